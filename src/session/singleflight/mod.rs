//! Who polls what is in the air, and who is woken.

pub(super) mod flights;
pub(super) mod waiters;
