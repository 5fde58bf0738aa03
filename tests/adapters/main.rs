//! The contract of the adapters for requests, on each of them: what a resource server gets to see,
//! how often the authorization server is asked, and what reaches the caller. Over real sockets, in
//! virtual time.

#[path = "../wire/mod.rs"]
mod wire;

mod client;
mod table;
mod world;

mod attaching;
mod bodies;
mod cancelling;
mod chains;
mod classifying;
mod concurrent;
mod early;
mod failing;
mod faults;
mod interceptor;
mod known_bugs;
mod limits;
mod origins;
mod proxies;
mod redirects;
mod replaying;

mod tower_bodies;
mod tower_grpc;
mod tower_readiness;
mod tower_redirects;
mod ureq_only;
mod verdict;
