//! Counts the grants that were received, and those of them that have landed. Once a grant was received
//! that had not landed at a flight's launch, the flight sends nothing any more: what it would present is
//! spent, or may be.
//!
//! All orderings are relaxed, since no other memory is read on the strength of these numbers. A
//! received grant is applied under the session's lock, and one that is received while another request
//! is being sent may as well have been received after it.

use crate::primitives::{AtomicU64, Ordering};
use std::sync::Arc;

/// Counts the grants that the flights of one epoch have received (rules B6, B14).
#[derive(Default)]
pub(crate) struct GrantCount {
    came: AtomicU64,
    landed: AtomicU64,
}

impl GrantCount {
    /// Returns how many were received.
    pub(crate) fn count(&self) -> u64 {
        self.came.load(Ordering::Relaxed)
    }

    /// Returns how many of them have landed.
    pub(crate) fn landed(&self) -> u64 {
        self.landed.load(Ordering::Relaxed)
    }

    /// Returns whether one of them is still being stored.
    pub(crate) fn is_landing(&self) -> bool {
        self.landed() != self.count()
    }
}

/// The grant that one flight has received, counted as landed when this is dropped.
pub(crate) struct GrantGuard(Arc<GrantCount>);

impl GrantGuard {
    pub(crate) fn counted_in(grants: &Arc<GrantCount>) -> Self {
        grants.came.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(grants))
    }
}

impl Drop for GrantGuard {
    fn drop(&mut self) {
        // The grant has landed, or is lost with its flight.
        self.0.landed.fetch_add(1, Ordering::Relaxed);
    }
}
