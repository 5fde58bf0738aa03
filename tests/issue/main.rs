//! The authorization server's part: what is issued, what is refused, and what is kept.

mod access;
mod bad_input;
mod cookie;
mod families;
mod faults;
mod http;
mod jwt;
mod notices;
mod origins;
mod refresh;
mod support;
