//! Networks and servers that fail, over real sockets and through a fault proxy: at the token
//! endpoint, and at the resource server. On every adapter for requests, in virtual time.

#[path = "../../../examples/authorization_server/server/mod.rs"]
mod authorization;

mod in_a_row;
mod proxy;
mod resource_server;
mod token_endpoint;
