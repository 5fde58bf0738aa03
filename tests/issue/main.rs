//! The authorization server's part: what is issued, what is refused, and what is kept.

mod access;
mod bad_input;
mod cookie;
mod families;
mod faults;
mod http;
mod identity;
mod jwt;
mod letters;
mod limits;
mod notices;
mod origins;
mod refresh;
mod resource_server;
mod siblings;
mod support;
