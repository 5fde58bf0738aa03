//! The middleware for `reqwest-middleware`: what a resource server gets to see, how often the
//! authorization server is asked, and what reaches the caller. Over real sockets, in virtual time.

mod wire;

#[path = "reqwest_middleware/attaching.rs"]
mod attaching;
#[path = "reqwest_middleware/concurrent.rs"]
mod concurrent;
#[path = "reqwest_middleware/failing.rs"]
mod failing;
#[path = "reqwest_middleware/replaying.rs"]
mod replaying;
#[path = "reqwest_middleware/world.rs"]
mod world;
