//! How far a refresh has come: whether it was sent, or called off before that.
//!
//! All orderings are relaxed, since no other memory is read on the strength of a stage. Each change is
//! one compare-and-exchange of one number, so that a refresh is either sent or called off.

use crate::primitives::{AtomicU64, Ordering};

const WAITING: u64 = 0;
const SENT: u64 = 1;
const CALLED_OFF: u64 = 2;

/// The stage of one refresh. Rule B6: "What was never sent is never unknown."
#[derive(Default)]
pub(crate) struct Stage(AtomicU64);

impl Stage {
    /// Marks the refresh as sent. Returns false where it was called off.
    pub(crate) fn send(&self) -> bool {
        self.leave_waiting_for(SENT)
    }

    /// Calls the refresh off for good. Returns false where it was sent.
    pub(crate) fn call_off(&self) -> bool {
        self.leave_waiting_for(CALLED_OFF) || !self.is_sent()
    }

    pub(crate) fn is_sent(&self) -> bool {
        self.0.load(Ordering::Relaxed) == SENT
    }

    fn leave_waiting_for(&self, stage: u64) -> bool {
        self.0.compare_exchange(WAITING, stage, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}
