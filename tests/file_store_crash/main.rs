//! Processes that share a grant in a file, where one is killed or paused at a step of its refresh, has a
//! clock that is wrong, or finds the disk full.
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
mod world;
