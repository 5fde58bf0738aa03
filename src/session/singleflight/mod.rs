//! The flights of a session: who polls what is in flight, and who is woken.

pub(super) mod flights;
pub(super) mod waiters;
