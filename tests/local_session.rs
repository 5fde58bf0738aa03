//! The local session: the same flight for all callers of one thread, with a refresher that never
//! leaves it. Every refresher here makes futures that hold an `Rc`.

mod session_support;

#[path = "local_session/support.rs"]
mod support;

#[path = "local_session/driving.rs"]
mod driving;
#[path = "local_session/harm.rs"]
mod harm;
#[path = "local_session/on_tokio.rs"]
mod on_tokio;
#[path = "local_session/sharing.rs"]
mod sharing;
