//! One refresh: take turns, note the intent, ask, persist. Nothing here knows who waits for it.

pub(super) mod ask;
pub(super) mod epoch;
pub(super) mod grant_count;
mod lease_turn;
pub(super) mod params;
pub(super) mod persist;
pub(super) mod received;
pub(super) mod revoke;
pub(super) mod run;
pub(super) mod seen_note;
#[cfg(feature = "tracing")]
pub(super) mod span;
pub(super) mod stage;
mod stored;
mod take_turn;
pub(super) mod timed_store;
