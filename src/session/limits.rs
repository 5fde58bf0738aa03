//! What a caller of a session asks for, and for how long it waits.

use super::alarm::Alarm;
use crate::time::{Span, Timestamp};

/// What a caller wants beyond a token that works now.
pub(super) struct Wishes {
    pub(super) usable_for: Span,
    /// From the first poll on.
    pub(super) limits: Option<Limits>,
    /// How many tokens there had been when a longer-lived one was asked for.
    pub(super) too_brief: Option<u64>,
    pub(super) alarm: Alarm,
    pub(super) pace: Pace,
}

/// The caller's limits as instants.
#[derive(Copy, Clone)]
pub(super) struct Limits {
    pub(super) patience: Timestamp,
    pub(super) within: Option<Timestamp>,
}

impl Limits {
    /// Of a bare call: the first attempt that fails ends it.
    pub(super) const NONE: Self = Self { patience: Timestamp::MIN, within: None };
}

/// Keeps the refreshes that one waiter starts apart: a backoff may have been drawn as nothing, and a token
/// may be over when it comes. Rule B7: "no waiter may start two refreshes within a millisecond".
#[derive(Default)]
pub(super) struct Pace {
    /// Before this nothing is started.
    until: Option<Timestamp>,
}

impl Pace {
    /// When another one may start after what was started `now`.
    pub(super) fn after(now: Timestamp) -> Timestamp {
        now.saturating_add(Span::from_millis(1))
    }

    /// It has started something.
    pub(super) fn start(&mut self, now: Timestamp) {
        self.until = Some(Self::after(now));
    }

    /// Until when to wait, if that lies ahead: by a millisecond at most, also where the clock went back
    /// (rule A5).
    pub(super) fn rest(&mut self, now: Timestamp) -> Option<Timestamp> {
        self.until =
            self.until.filter(|until| now < *until).map(|until| until.min(Self::after(now)));
        self.until
    }
}
