//! The policy: how refresh tokens rotate, and how long a family lives.

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

/// What happens when a refresh token is presented that was used before.
///
/// See rule [D2](crate::spec#d-the-authorization-server). Exhaustive on purpose: models compute
/// with each variant.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reuse<T: Time = Timestamp> {
    /// The family is revoked at once.
    Strict,
    /// For `window` from its first use, the token renews the access token, and is not rotated
    /// again. The response has no refresh token. At most `uses` times.
    OverlapAccessOnly {
        /// How long the overlap is, from the first use. Further uses do not extend it.
        window: T::Span,
        /// How often the token may be presented after its first use.
        uses: u32,
    },
    /// For `window` from its first use, the token yields another refresh token each time, which has
    /// the number of the newest. Whichever of these siblings is used first makes all of them the
    /// predecessor, so that the family does not fork. At most `uses` times.
    OverlapSuccessors {
        /// As for [`Reuse::OverlapAccessOnly`].
        window: T::Span,
        /// As for [`Reuse::OverlapAccessOnly`].
        uses: u32,
    },
    /// For `window` from its first use, the token yields the same successor again. At most `uses`
    /// times.
    Idempotent {
        /// As for [`Reuse::OverlapAccessOnly`].
        window: T::Span,
        /// As for [`Reuse::OverlapAccessOnly`].
        uses: u32,
    },
    /// The token yields the same successor again until that successor, or the access token issued
    /// with it, is first used.
    ConfirmByUse,
}

/// How often a predecessor may be presented within its overlap by default.
const USES: u32 = 1000;

impl Reuse {
    /// Returns [`Reuse::OverlapAccessOnly`] for `window`, up to 1000 times.
    pub fn overlap_access_only(window: Duration) -> Self {
        Self::OverlapAccessOnly { window: window.into(), uses: USES }
    }

    /// Returns [`Reuse::OverlapSuccessors`] for `window`, up to 1000 times.
    pub fn overlap_successors(window: Duration) -> Self {
        Self::OverlapSuccessors { window: window.into(), uses: USES }
    }

    /// Returns [`Reuse::Idempotent`] for `window`, up to 1000 times.
    pub fn idempotent(window: Duration) -> Self {
        Self::Idempotent { window: window.into(), uses: USES }
    }
}

/// A policy over any [`Time`], for models and embedders.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct RawPolicy<T: Time> {
    /// What happens when a refresh token is presented that was used before.
    pub reuse: Reuse<T>,
    /// How long a family lives from its login. `None`: without limit.
    pub absolute: Option<T::Span>,
    /// How long a family lives without being used. `None`: without limit.
    pub idle: Option<T::Span>,
}

impl<T: Time> From<RawPolicy<T>> for Policy<T> {
    fn from(raw: RawPolicy<T>) -> Self {
        Self { reuse: raw.reuse, absolute: raw.absolute, idle: raw.idle }
    }
}

impl Policy {
    /// Returns a policy with the default lifetimes.
    pub fn new(reuse: Reuse) -> Self {
        Self {
            reuse,
            absolute: Some(Span::from_secs(365 * 24 * 3600)),
            idle: Some(Span::from_secs(90 * 24 * 3600)),
        }
    }

    /// Sets how long a family lives from its login. Default: 365 days (RFC 9700, section 4.14.2).
    #[must_use]
    pub fn absolute_lifetime(mut self, lifetime: Duration) -> Self {
        self.absolute = Some(lifetime.into());
        self
    }

    /// Lets a family live for as long as it is used.
    #[must_use]
    pub fn without_absolute_lifetime(mut self) -> Self {
        self.absolute = None;
        self
    }

    /// Sets how long a family lives without being used. Default: 90 days.
    #[must_use]
    pub fn idle_lifetime(mut self, lifetime: Duration) -> Self {
        self.idle = Some(lifetime.into());
        self
    }

    /// Returns what happens when a refresh token is presented that was used before.
    pub fn reuse(&self) -> Reuse {
        self.reuse
    }
}

impl Default for Policy {
    /// Returns [`Reuse::Idempotent`] for 30 s: a client that lost the response gets the same one
    /// again, and the family never has two successors of one token.
    fn default() -> Self {
        Self::new(Reuse::idempotent(Duration::from_secs(30)))
    }
}
