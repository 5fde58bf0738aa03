//! The contract of the adapters for requests, on each of them: what a resource server gets to see,
//! how often the authorization server is asked, and what reaches the caller. Over real sockets, in
//! virtual time.

mod wire;

#[path = "adapters/client.rs"]
mod client;
#[path = "adapters/table.rs"]
mod table;
#[path = "adapters/world.rs"]
mod world;

#[path = "adapters/attaching.rs"]
mod attaching;
#[path = "adapters/bodies.rs"]
mod bodies;
#[path = "adapters/cancelling.rs"]
mod cancelling;
#[path = "adapters/chains.rs"]
mod chains;
#[path = "adapters/classifying.rs"]
mod classifying;
#[path = "adapters/concurrent.rs"]
mod concurrent;
#[path = "adapters/early.rs"]
mod early;
#[path = "adapters/failing.rs"]
mod failing;
#[path = "adapters/known_bugs.rs"]
mod known_bugs;
#[path = "adapters/limits.rs"]
mod limits;
#[path = "adapters/origins.rs"]
mod origins;
#[path = "adapters/proxies.rs"]
mod proxies;
#[path = "adapters/redirects.rs"]
mod redirects;
#[path = "adapters/replaying.rs"]
mod replaying;

#[path = "adapters/tower_bodies.rs"]
mod tower_bodies;
#[path = "adapters/tower_grpc.rs"]
mod tower_grpc;
#[path = "adapters/tower_readiness.rs"]
mod tower_readiness;
#[path = "adapters/tower_redirects.rs"]
mod tower_redirects;
#[path = "adapters/ureq_only.rs"]
mod ureq_only;
