//! What a caller of a session asks for, and for how long it waits.

use crate::session::alarm::Alarm;
use crate::time::{Span, Timestamp};

/// What a caller wants beyond a token that works now.
pub(crate) struct Options {
    pub(crate) usable_for: Span,
    /// From the first poll on.
    pub(crate) limits: Option<Limits>,
    /// How many tokens there had been when a longer-lived one was asked for.
    pub(crate) too_brief: Option<u64>,
    pub(crate) alarm: Alarm,
    pub(crate) pace: Pace,
}

/// The caller's limits as instants.
#[derive(Copy, Clone)]
pub(crate) struct Limits {
    pub(crate) retry_for: Timestamp,
    pub(crate) within: Option<Timestamp>,
}

impl Limits {
    /// Of a bare call: the first attempt that fails ends it.
    pub(crate) const NONE: Self = Self { retry_for: Timestamp::MIN, within: None };
}

/// Keeps the refreshes that one waiter starts apart: a backoff may have been drawn as nothing, and a token
/// may be over when it comes. Rule B7: "no waiter may start two refreshes within a millisecond".
#[derive(Default)]
pub(crate) struct Pace {
    /// Before this nothing is started.
    until: Option<Timestamp>,
}

impl Pace {
    /// When another one may start after what was started `now`.
    pub(crate) fn after(now: Timestamp) -> Timestamp {
        now.saturating_add(Span::from_millis(1))
    }

    /// It has started something.
    pub(crate) fn start(&mut self, now: Timestamp) {
        self.until = Some(Self::after(now));
    }

    /// Until when to wait, if that lies ahead: by a millisecond at most, also where the clock went back
    /// (rule A5).
    pub(crate) fn rest(&mut self, now: Timestamp) -> Option<Timestamp> {
        self.until =
            self.until.filter(|until| now < *until).map(|until| until.min(Self::after(now)));
        self.until
    }
}
