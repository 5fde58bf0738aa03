//! The stores of PostgreSQL on a real server, which each test starts for itself and ends by its id. Not
//! part of `cargo test`: `.ci/stores` runs them.

mod claims;
mod families;
mod faults;
mod kits;
mod lease;
mod server;
#[path = "../server_support/mod.rs"]
mod server_support;
mod servers;
mod store;

/// A test on a server of its own, or a line that says that there is none.
macro_rules! on_a_server {
    ($server:ident) => {
        let Some(mut $server) = crate::server::Server::start().await else { return };
        let _ = &mut $server;
    };
}
pub(crate) use on_a_server;
