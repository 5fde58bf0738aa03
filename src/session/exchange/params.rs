//! The parameters of one refresh: what it needs to know of its session.

use std::prelude::rust_2024::*;
use std::sync::Arc;

use crate::lifecycle::{Cause, FlightId};
use crate::refresh::Refused;
use crate::session::exchange::epoch::EpochFence;
use crate::session::exchange::grant_count::GrantCount;
use crate::session::exchange::received::Unsaved;
use crate::session::exchange::seen_note::SeenNote;
use crate::session::exchange::stage::Stage;
use crate::store::Version;
use crate::time::Timestamp;
use crate::token::Grant;

/// The parameters that a refresh starts with.
pub(crate) struct ExchangeParams {
    pub(crate) flight: FlightId,
    pub(crate) cause: Cause,
    pub(crate) deadline: Timestamp,
    /// After this too little is left of it to send the request.
    pub(crate) send_by: Timestamp,
    /// The grant to renew, unless the store holds a newer one.
    pub(crate) grant: Option<Grant>,
    /// The store's version at which `grant` was read or written; `None` before the store was first
    /// read.
    pub(crate) version: Option<Version>,
    pub(crate) seen_note: Arc<SeenNote>,
    /// Whether the refresh token of `grant` was sent before with unknown outcome.
    pub(crate) in_doubt: bool,
    /// A grant that was received and could not be stored.
    pub(crate) unsaved: Option<Unsaved>,
    pub(crate) refused: Refused,
    pub(crate) epoch_fence: Arc<EpochFence>,
    pub(crate) stage: Arc<Stage>,
    /// Counts the grants received; `landed` is how many had landed at the launch.
    pub(crate) grants: Arc<GrantCount>,
    pub(crate) landed: u64,
}

impl ExchangeParams {
    /// Returns whether too little time is left at `now` to send the request. Rule B6: "A request MUST NOT be
    /// sent with less than a quarter of its time left".
    pub(crate) fn is_too_late(&self, now: Timestamp) -> bool {
        now >= self.deadline || now > self.send_by
    }

    /// Returns whether a grant was received that had not landed at the launch: what this refresh would
    /// present may be spent (rule B6).
    pub(crate) fn is_outrun(&self) -> bool {
        self.grants.count() != self.landed
    }
}
