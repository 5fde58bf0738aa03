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
