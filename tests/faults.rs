//! Networks and servers that fail, over real sockets and through a fault proxy: at the token
//! endpoint, and at the resource server. On every adapter for requests, in virtual time.
#![allow(dead_code, reason = "shared with tests/adapters.rs, of which this uses a part")]

mod wire;

#[path = "adapters/client.rs"]
mod client;
#[path = "adapters/world.rs"]
mod world;

#[path = "../examples/authorization_server/server/mod.rs"]
mod authorization;

#[path = "faults/in_a_row.rs"]
mod in_a_row;
#[path = "faults/proxy.rs"]
mod proxy;
#[path = "faults/resource_server.rs"]
mod resource_server;
#[path = "faults/token_endpoint.rs"]
mod token_endpoint;
