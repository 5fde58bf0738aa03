//! What a flight brings back.

use core::any::Any;
use std::panic::resume_unwind;
use std::prelude::rust_2024::*;
use std::sync::{Mutex, PoisonError};

use super::answered::Answer;
use crate::primitives::contained;
use crate::refresh::RefreshError;
use crate::store::{StoreError, StoredGrant, Version};
use crate::time::Timestamp;
use crate::token::Grant;

/// A grant that was received and could not be stored: rotated but not persisted (rule F2).
#[derive(Clone)]
pub(super) struct Unsaved {
    pub(super) stored: StoredGrant,
    /// When its request was sent, on the session's timeline.
    pub(super) sent: Timestamp,
    /// The grant that it renews.
    pub(super) renewed: Option<Grant>,
    /// The store's version that the grant to renew was last seen at.
    pub(super) version: Version,
    /// Whether its access token is handed out already.
    pub(super) published: bool,
}

/// What a flight brings back.
pub(super) struct Report {
    pub(super) outcome: Outcome,
    /// The store's version, as last seen.
    pub(super) version: Option<Version>,
    /// The unsaved grant that it set out with, if it is stored now.
    pub(super) saved: Option<StoredGrant>,
    /// Given up once this has landed.
    pub(super) answer: Option<Answer>,
    /// When it set out, for where the clocks cannot be read as it lands.
    pub(super) set_out: SetOut,
    /// What panicked on the way and cost nothing; it goes on once this has landed.
    pub(super) panic: Option<Panic>,
}

impl Report {
    pub(super) fn new(outcome: Outcome, version: Option<Version>, set_out: SetOut) -> Self {
        Self { outcome, version, saved: None, answer: None, set_out, panic: None }
    }
}

/// When a flight set out.
#[derive(Copy, Clone)]
pub(super) struct SetOut {
    pub(super) now: Timestamp,
    pub(super) wall: Timestamp,
}

/// What a panic brought.
pub(super) type Panic = Box<dyn Any + Send>;

/// Where the first panic of a clock or a hook is kept while a flight goes on.
#[derive(Default)]
pub(super) struct PanicKept(Mutex<Option<Panic>>);

impl PanicKept {
    /// Calls `code`, which is the program's. `None` where it panics.
    pub(super) fn call<T>(&self, code: impl FnOnce() -> T) -> Option<T> {
        let panic = match contained(code) {
            Ok(value) => return Some(value),
            Err(panic) => panic,
        };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.is_none() {
            *kept = Some(panic);
        }
        None
    }

    /// Panics with what was kept, if anything was.
    pub(super) fn goes_on(&self) {
        if let Some(panic) = self.take() {
            resume_unwind(panic);
        }
    }

    pub(super) fn take(&self) -> Option<Panic> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

pub(super) enum Outcome {
    /// A new grant, complete.
    Granted { grant: Unsaved, stored: Result<(), StoreError> },
    /// The store holds this grant: the first that was read.
    Loaded(StoredGrant),
    /// The store holds a newer grant than the one to renew, and than the one received, if any.
    Adopted { stored: StoredGrant, received: Option<Grant> },
    /// The store holds none: nobody has logged in, or somebody has logged out.
    Empty { received: Option<Grant> },
    /// No grant came.
    Failed(RefreshError),
    /// The store failed before anything was sent.
    StoreFailed(StoreError),
}

impl Outcome {
    /// Somebody else has written `stored`.
    pub(super) fn outpaced(stored: Option<StoredGrant>, received: Option<Grant>) -> Self {
        match stored {
            Some(stored) => Self::Adopted { stored, received },
            None => Self::Empty { received },
        }
    }
}

/// Whether a refresh would present the same thing for both.
pub(super) fn same_credential(one: &Grant, other: &Grant) -> bool {
    match (one.refresh_token(), other.refresh_token()) {
        (Some(one), Some(other)) => one == other,
        (None, None) => one.access_token() == other.access_token(),
        (Some(_), None) | (None, Some(_)) => false,
    }
}
