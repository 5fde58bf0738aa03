//! The epoch fence: which refreshes belong to a grant that a login or a logout has replaced.

use crate::lifecycle::FlightId;
use crate::primitives::{AtomicU64, Ordering};

/// The flights of epochs that a login or a logout has ended. They send nothing any more, and write to
/// no store.
#[derive(Default)]
pub(crate) struct EpochFence(AtomicU64);

impl EpochFence {
    /// Ends the epoch of `newest` and of all flights before it.
    pub(crate) fn through(&self, newest: FlightId) {
        // Relaxed: this comes before the login or logout writes to the store. A flight that has read
        // that write from the store is ordered after this by the store, as any reader of a value is
        // after its writer; one that has not may see either.
        self.0.store(newest.number(), Ordering::Relaxed);
    }

    pub(crate) fn includes(&self, flight: FlightId) -> bool {
        flight.number() <= self.0.load(Ordering::Relaxed)
    }
}
