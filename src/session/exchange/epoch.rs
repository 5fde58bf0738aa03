//! Which refreshes belong to a grant that a login or a logout has replaced.

use crate::lifecycle::FlightId;
use crate::primitives::{AtomicU64, Ordering};

/// Which flights are of an epoch that has ended, by login or logout: they send nothing any more,
/// and write to no store.
#[derive(Default)]
pub(crate) struct EpochFence(AtomicU64);

impl EpochFence {
    /// Ends the epoch of `newest` and all before it.
    pub(crate) fn through(&self, newest: FlightId) {
        // Relaxed: this comes before what the login or logout writes to the store. A flight that has
        // read that from the store is ordered after this by the store, as any reader of a value is
        // after its writer; one that has not is free to see either.
        self.0.store(newest.number(), Ordering::Relaxed);
    }

    pub(crate) fn includes(&self, flight: FlightId) -> bool {
        flight.number() <= self.0.load(Ordering::Relaxed)
    }
}
