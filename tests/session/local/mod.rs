//! The local session: the same flight for all callers of one thread, with a refresher that never
//! leaves it. Every refresher here makes futures that hold an `Rc`.

mod support;

mod driving;
mod harm;
mod on_tokio;
mod sharing;
