//! The two state machines, and the time that they reckon with, as values: no session, no I/O.

mod lease;
mod lifecycle;
mod lifetimes;
mod providers;
mod rotation;
mod tick;
mod time;
