//! The refresh grant, given what it should not be given: what the caller sees, what the session
//! keeps, and whether the next good answer mends it. Over real sockets, in virtual time.

mod building;
mod garbled;
mod led_on;
mod refusals;
mod silent;
