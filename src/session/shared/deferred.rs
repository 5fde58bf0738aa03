//! What is deferred until the session's lock is released.

use core::task::Waker;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use crate::events::Event;
use crate::session::error::Error;
use crate::session::exchange::received::Report;
use crate::session::panics::Panic;
use crate::session::shared::snapshot::Snapshot;
use crate::session::singleflight::flights::InFlight;
use crate::token::Grant;

/// Work to do once the lock is released: wake, drop, and call the user's code.
#[derive(Default)]
pub(crate) struct Deferred {
    pub(crate) wakers: Vec<Option<Waker>>,
    /// Values to drop; their destructors are the program's code.
    pub(crate) jobs: Vec<InFlight<Report>>,
    pub(crate) errors: Vec<Error>,
    pub(crate) replaced: Option<Waker>,
    pub(crate) snapshots: Vec<Arc<Snapshot>>,
    /// Whether a job was launched that asks the store, and is to be driven.
    pub(crate) launched: bool,
    pub(crate) calls: Option<Box<Calls>>,
}

/// Calls of the program's hooks. Most changes cause none.
#[derive(Default)]
pub(crate) struct Calls {
    /// For the hooks of `on_event`.
    pub(crate) events: Vec<Event>,
    /// For the hook of `on_orphan`.
    pub(crate) orphans: Vec<Grant>,
    /// Panics of the program's clocks and hooks. The first is resumed once all else is done.
    pub(crate) panics: Vec<Panic>,
}

impl Deferred {
    /// Returns the calls of the program's hooks, to add to them.
    pub(crate) fn calls(&mut self) -> &mut Calls {
        self.calls.get_or_insert_default()
    }

    /// Returns whether there is nothing to do, as for most callers that come while a refresh is in
    /// flight.
    pub(crate) fn is_empty(&self) -> bool {
        self.wakers.is_empty()
            && self.jobs.is_empty()
            && self.errors.is_empty()
            && self.replaced.is_none()
            && self.snapshots.is_empty()
            && self.calls.is_none()
    }

    /// Adds `wakers` to those to wake.
    pub(crate) fn wake(&mut self, mut wakers: Vec<Option<Waker>>) {
        if self.wakers.is_empty() {
            self.wakers = wakers;
        } else {
            self.wakers.append(&mut wakers);
        }
    }
}
