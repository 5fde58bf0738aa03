//! Processes that share a grant, where one is killed or paused at a step of its refresh, has a clock that is
//! wrong, or finds the disk full. The grant is in a file; with the features `redis` and `postgres`, where
//! `.ci/crash` runs it, in these as well.
//!
//! The processes are this very program, run again for `child::program` alone. The authorization server is
//! that of the examples, which owes nothing to the crate.
#![cfg(unix)]

#[path = "../../examples/authorization_server/server/mod.rs"]
mod authorization;

mod child;
mod clocks;
mod crashes;
mod full_disk;
mod pauses;
#[cfg(feature = "postgres")]
#[allow(dead_code, reason = "only what starts a server is used here")]
#[path = "../postgres/server.rs"]
mod postgres_server;
#[cfg(feature = "redis")]
#[allow(dead_code, reason = "only what starts a server is used here")]
#[path = "../redis/server.rs"]
mod redis_server;
#[cfg(any(feature = "redis", feature = "postgres"))]
#[path = "../server_support/mod.rs"]
mod server_support;
mod shared;
mod world;
