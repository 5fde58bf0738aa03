//! Answers that have come, and those of them that have landed. A flight that set out before sends
//! nothing any more: what it would present is spent, or is not known to be fresh (rules B6, B14).
//!
//! All is relaxed: nothing is read on the strength of these numbers. What an answer brought is taken
//! in under the session's lock, and an answer that comes as another request is sent may as well have
//! come after it.

use std::sync::Arc;

use crate::primitives::{AtomicU64, Ordering};

/// Counts the grants that the flights of one epoch have brought.
#[derive(Default)]
pub(super) struct Answered {
    came: AtomicU64,
    landed: AtomicU64,
}

impl Answered {
    /// How many have come.
    pub(super) fn count(&self) -> u64 {
        self.came.load(Ordering::Relaxed)
    }

    /// How many of them have landed.
    pub(super) fn landed(&self) -> u64 {
        self.landed.load(Ordering::Relaxed)
    }

    /// Whether one of them is still being stored.
    pub(super) fn is_landing(&self) -> bool {
        self.landed() != self.count()
    }
}

/// One flight's answer, until it has landed.
pub(super) struct Answer(Arc<Answered>);

impl Answer {
    pub(super) fn noted_in(answered: &Arc<Answered>) -> Self {
        answered.came.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(answered))
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // What it brought has landed, or is lost with its flight.
        self.0.landed.fetch_add(1, Ordering::Relaxed);
    }
}
