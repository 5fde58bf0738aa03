//! One refresh, from the store to the authorization server and back.

pub(super) mod answers;
pub(super) mod epoch;
pub(super) mod persist;
pub(super) mod received;
pub(super) mod run;
pub(super) mod stage;
pub(super) mod timed_store;
