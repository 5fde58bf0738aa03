//! The refresh grant on the wire: what is asked, what is read from the answer, and on which threads
//! it may be used. Over real sockets, in virtual time.

mod answered;
mod asked;
mod own;
mod threads;
