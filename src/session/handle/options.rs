//! The options of one caller: what it asks for, and how long it waits.

use crate::session::alarm::Alarm;
use crate::time::{Span, Timestamp};

/// What a caller asks for beyond a token that works now.
pub(crate) struct Options {
    pub(crate) usable_for: Span,
    /// Set with the first poll.
    pub(crate) limits: Option<Limits>,
    /// How many tokens had been published when a longer-lived one was asked for.
    pub(crate) too_brief: Option<u64>,
    /// The number of the look at the store that this caller waits for, or has waited for.
    pub(crate) look: Option<u64>,
    pub(crate) alarm: Alarm,
    pub(crate) pace: Pace,
}

/// The caller's limits, as instants.
#[derive(Copy, Clone)]
pub(crate) struct Limits {
    pub(crate) retry_for: Timestamp,
    pub(crate) within: Option<Timestamp>,
}

impl Limits {
    /// The limits of a plain call: the first attempt that fails ends it.
    pub(crate) const NONE: Self = Self { retry_for: Timestamp::MIN, within: None };
}

/// Keeps the refreshes that one waiter starts apart, since a backoff may be drawn as zero, and a token
/// may have expired when it is received. Rule B7: "no waiter may start two refreshes within a
/// millisecond".
#[derive(Default)]
pub(crate) struct Pace {
    /// Nothing is started before this.
    until: Option<Timestamp>,
}

impl Pace {
    /// Returns when the next refresh may start after one that was started `now`.
    pub(crate) fn after(now: Timestamp) -> Timestamp {
        now.saturating_add(Span::from_millis(1))
    }

    /// Records that a refresh was started.
    pub(crate) fn start(&mut self, now: Timestamp) {
        self.until = Some(Self::after(now));
    }

    /// Returns until when to wait, if that lies ahead: a millisecond at most, even if the clock went
    /// back (rule A5).
    pub(crate) fn rest(&mut self, now: Timestamp) -> Option<Timestamp> {
        self.until =
            self.until.filter(|until| now < *until).map(|until| until.min(Self::after(now)));
        self.until
    }
}
