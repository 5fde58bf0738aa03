//! How refresh tokens rotate, and how long a family lives.

use core::time::Duration;

use crate::time::{Span, Time, Timestamp};

/// The settings of a [`Family`](super::Family).
///
/// ```
/// use core::time::Duration;
/// use perennial::rotation::{Policy, Reuse};
///
/// let policy = Policy::new(Reuse::idempotent(Duration::from_secs(30)))
///     .absolute_lifetime(Duration::from_secs(30 * 24 * 3600));
/// # assert_ne!(policy, Policy::default());
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Policy<T: Time = Timestamp> {
    pub(super) reuse: Reuse<T>,
    pub(super) absolute: Option<T::Span>,
    pub(super) idle: Option<T::Span>,
}

/// What is done with a refresh token that was used before (rule D2).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reuse<T: Time = Timestamp> {
    /// Its family is revoked at once.
    Strict,
    /// For `window` from its first use on, it renews the access token and stays itself as it is;
    /// at most `uses` times more.
    OverlapAccessOnly {
        /// How long, from the first use on; never longer for being used again.
        window: T::Span,
        /// How often after the first use.
        uses: u32,
    },
    /// For `window` from its first use on, it gets the very same successor again; at most `uses`
    /// times more.
    Idempotent {
        /// As for [`Reuse::OverlapAccessOnly`].
        window: T::Span,
        /// As for [`Reuse::OverlapAccessOnly`].
        uses: u32,
    },
    /// It gets the very same successor again until that, or its access token, is first used.
    ConfirmByUse,
}

/// How often a predecessor may be presented again within its overlap by default.
const USES: u32 = 1000;

impl Reuse {
    /// [`Reuse::OverlapAccessOnly`] for `window` [30 s], up to \[1000\] times.
    pub fn overlap_access_only(window: Duration) -> Self {
        Self::OverlapAccessOnly { window: window.into(), uses: USES }
    }

    /// [`Reuse::Idempotent`] for `window` [30 s], up to \[1000\] times.
    pub fn idempotent(window: Duration) -> Self {
        Self::Idempotent { window: window.into(), uses: USES }
    }
}

/// A policy in terms of a time of one's own.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct RawPolicy<T: Time> {
    /// What is done with a refresh token that was used before.
    pub reuse: Reuse<T>,
    /// How long a family lives, if not for ever.
    pub absolute: Option<T::Span>,
    /// How long a family lives without being used, if not for ever.
    pub idle: Option<T::Span>,
}

impl<T: Time> From<RawPolicy<T>> for Policy<T> {
    fn from(raw: RawPolicy<T>) -> Self {
        Self { reuse: raw.reuse, absolute: raw.absolute, idle: raw.idle }
    }
}

impl Policy {
    /// Families that live for [90 days] without being used, and for ever otherwise.
    pub fn new(reuse: Reuse) -> Self {
        Self { reuse, absolute: None, idle: Some(Span::from_secs(90 * 24 * 3600)) }
    }

    /// How long a family lives from its login on [for ever].
    #[must_use]
    pub fn absolute_lifetime(mut self, lifetime: Duration) -> Self {
        self.absolute = Some(lifetime.into());
        self
    }

    /// How long a family lives without being used [90 days].
    #[must_use]
    pub fn idle_lifetime(mut self, lifetime: Duration) -> Self {
        self.idle = Some(lifetime.into());
        self
    }

    /// How refresh tokens rotate.
    pub fn reuse(&self) -> Reuse {
        self.reuse
    }
}

impl Default for Policy {
    /// [`Reuse::Idempotent`] for 30 s: a response that was lost can be had again, and nothing forks.
    fn default() -> Self {
        Self::new(Reuse::idempotent(Duration::from_secs(30)))
    }
}
