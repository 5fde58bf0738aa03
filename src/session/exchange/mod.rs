//! One refresh: load, note the intent, ask, persist. Nothing here knows who waits for it.

pub(super) mod ask;
pub(super) mod epoch;
pub(super) mod grant_count;
pub(super) mod params;
pub(super) mod persist;
pub(super) mod received;
pub(super) mod revoke;
pub(super) mod run;
pub(super) mod stage;
mod stored;
pub(super) mod timed_store;
