//! Answers that have come, and those of them that have landed. A flight that set out before sends
//! nothing any more: what it would present is spent, or is not known to be fresh (rules B6, B14).
//!
//! All is relaxed: nothing is read on the strength of these numbers. What an answer brought is taken
//! in under the session's lock, and an answer that comes as another request is sent may as well have
//! come after it.

use crate::primitives::{AtomicU64, Ordering};
use std::sync::Arc;

/// Counts the grants that the flights of one epoch have brought.
#[derive(Default)]
pub(crate) struct AnswerCount {
    came: AtomicU64,
    landed: AtomicU64,
}

impl AnswerCount {
    /// How many have come.
    pub(crate) fn count(&self) -> u64 {
        self.came.load(Ordering::Relaxed)
    }

    /// How many of them have landed.
    pub(crate) fn landed(&self) -> u64 {
        self.landed.load(Ordering::Relaxed)
    }

    /// Whether one of them is still being stored.
    pub(crate) fn is_landing(&self) -> bool {
        self.landed() != self.count()
    }
}

/// One flight's answer, until it has landed.
pub(crate) struct AnswerGuard(Arc<AnswerCount>);

impl AnswerGuard {
    pub(crate) fn counted_in(answers: &Arc<AnswerCount>) -> Self {
        answers.came.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(answers))
    }
}

impl Drop for AnswerGuard {
    fn drop(&mut self) {
        // What it brought has landed, or is lost with its flight.
        self.0.landed.fetch_add(1, Ordering::Relaxed);
    }
}
