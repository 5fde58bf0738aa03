//! The refresh grant on the wire: what is asked, what is read from the answer, and on which threads
//! it may be used. Over real sockets, in virtual time.

mod wire;

#[path = "refresh_grant/answered.rs"]
mod answered;
#[path = "refresh_grant/asked.rs"]
mod asked;
#[path = "refresh_grant/own.rs"]
mod own;
#[path = "refresh_grant/threads.rs"]
mod threads;
