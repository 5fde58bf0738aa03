//! Resource servers on machines other than the authorization server.

mod answers;
mod claims;
mod endpoint;
mod keys;
mod layer;
mod sockets;
mod support;
