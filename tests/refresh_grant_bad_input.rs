//! The refresh grant, given what it should not be given: what the caller sees, what the session
//! keeps, and whether the next good answer mends it. Over real sockets, in virtual time.

mod wire;

#[path = "refresh_grant_bad_input/building.rs"]
mod building;
#[path = "refresh_grant_bad_input/garbled.rs"]
mod garbled;
#[path = "refresh_grant_bad_input/led_on.rs"]
mod led_on;
#[path = "refresh_grant_bad_input/refusals.rs"]
mod refusals;
#[path = "refresh_grant_bad_input/silent.rs"]
mod silent;
