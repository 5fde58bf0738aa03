//! How far a refresh has come: whether it was sent, or called off before that.
//!
//! All orderings are relaxed, since no other memory is read on the strength of a stage. Each change is
//! one compare-and-exchange of one number, so that a refresh is either sent or called off.

use std::prelude::rust_2024::*;
use std::sync::PoisonError;

use crate::primitives::{AtomicU64, Mutex, Ordering};
use crate::token::{Grant, Secret};

const WAITING: u64 = 0;
const SENT: u64 = 1;
const CALLED_OFF: u64 = 2;

/// The stage of one refresh. Rule B6: "What was never sent is never unknown."
#[derive(Default)]
pub(crate) struct Stage {
    stage: AtomicU64,
    /// The refresh token that is sent, if one is.
    presented: Mutex<Option<Secret>>,
}

impl Stage {
    /// Marks the refresh as sent, with this refresh token. Returns false where it was called off.
    pub(crate) fn send(&self, presented: Option<Secret>) -> bool {
        *self.presented.lock().unwrap_or_else(PoisonError::into_inner) = presented;
        self.leave_waiting_for(SENT)
    }

    /// Returns whether the refresh presents the refresh token of `grant`, if it was sent.
    pub(crate) fn presents(&self, grant: &Grant) -> bool {
        let presented = self.presented.lock().unwrap_or_else(PoisonError::into_inner);
        presented.is_some() && presented.as_ref() == grant.refresh_token()
    }

    /// Calls the refresh off for good. Returns false where it was sent.
    pub(crate) fn call_off(&self) -> bool {
        self.leave_waiting_for(CALLED_OFF) || !self.is_sent()
    }

    pub(crate) fn is_sent(&self) -> bool {
        self.stage.load(Ordering::Relaxed) == SENT
    }

    fn leave_waiting_for(&self, stage: u64) -> bool {
        self.stage.compare_exchange(WAITING, stage, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}
