//! The settings of the machine: windows, backoff, budget, and the server's declared behaviour.

use core::time::Duration;

use crate::time::{Time, Timestamp};

/// The settings of a [`Lifecycle`](super::Lifecycle), checked when built.
///
/// ```
/// use core::time::Duration;
/// use perennial::lifecycle::{Policy, Reuse};
///
/// let policy = Policy::builder()
///     .refresh_window(Duration::from_secs(120))
///     .reuse(Reuse::idempotent(Duration::from_secs(30)))
///     .build()?;
/// # assert_ne!(policy, Policy::default());
/// # Ok::<(), perennial::lifecycle::PolicyError>(())
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Policy<T: Time = Timestamp> {
    pub(super) refresh_window: T::Span,
    pub(super) margin: T::Span,
    pub(super) missing_lifetime: MissingLifetime<T>,
    pub(super) backoff: Backoff<T>,
    pub(super) misconfigured: Backoff<T>,
    pub(super) retry_after_cap: T::Span,
    pub(super) unexplained: Refusals<T>,
    pub(super) budget: Allowance<T>,
    pub(super) rejections: Rejections<T>,
    pub(super) refresh_deadline: T::Span,
    pub(super) reuse: Reuse<T>,
}

/// What a token response without a lifetime means. See rule [A4](crate::spec#a-time).
///
/// Exhaustive on purpose: a token without a lifetime is taken for one or the other.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum MissingLifetime<T: Time = Timestamp> {
    /// The token is assumed to live this long.
    Assume(T::Span),
    /// The token is usable until a resource server rejects it.
    UntilRejected,
}

/// What the authorization server does with a refresh token that it sees a second time.
///
/// It determines what may follow a refresh whose outcome is unknown: see rule
/// [B6](crate::spec#b-the-client-machine). If the server's documentation says nothing,
/// [`Reuse::Strict`] is the safe choice.
///
/// Exhaustive on purpose: models and the page of faults compute each.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Default)]
pub enum Reuse<T: Time = Timestamp> {
    /// The server refuses it, and may revoke the grant. Also for servers whose behaviour is not
    /// known.
    #[default]
    Strict,
    /// For this long after the first use, the server returns a new access token and no refresh
    /// token. A client that lost the first response never learns the successor.
    OverlapAccessOnly(T::Span),
    /// For this long after the first use, the server returns another successor each time.
    OverlapSuccessors(T::Span),
    /// For this long after the first use, the server returns the same successor again.
    Idempotent(T::Span),
    /// The server accepts it again until the successor is first used.
    ConfirmByUse,
    /// The server does not rotate: the refresh token stays valid, or none is used at all.
    Unrotated,
}

impl Reuse {
    /// Returns [`Reuse::OverlapAccessOnly`] with this window.
    pub fn overlap_access_only(window: Duration) -> Self {
        Self::OverlapAccessOnly(window.into())
    }

    /// Returns [`Reuse::OverlapSuccessors`] with this window.
    pub fn overlap_successors(window: Duration) -> Self {
        Self::OverlapSuccessors(window.into())
    }

    /// Returns [`Reuse::Idempotent`] with this window.
    pub fn idempotent(window: Duration) -> Self {
        Self::Idempotent(window.into())
    }
}

/// What a declaration of [`Reuse`] means for the client.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Tolerance<T: Time> {
    /// A refresh token that may have been used must not be presented again while the old token
    /// works.
    Never,
    /// It may be presented again, for this long after it was first sent.
    Within(T::Span),
    /// It may be presented again at any time.
    Always,
}

impl<T: Time> Reuse<T> {
    pub(super) const fn tolerance(&self) -> Tolerance<T> {
        match self {
            Self::Strict => Tolerance::Never,
            Self::OverlapAccessOnly(window)
            | Self::OverlapSuccessors(window)
            | Self::Idempotent(window) => Tolerance::Within(*window),
            Self::ConfirmByUse | Self::Unrotated => Tolerance::Always,
        }
    }
}

/// The longest delay after the first failure, and after any (rule B7).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Backoff<T: Time> {
    pub(super) base: T::Span,
    pub(super) cap: T::Span,
}

impl<T: Time> Backoff<T> {
    /// The longest delay after a failure that follows `failures` others.
    pub(super) fn longest(&self, failures: u32) -> T::Span {
        T::doubled(self.base, failures).min(self.cap)
    }
}

/// After how many unexplained refusals in a row, and how long after the first of them at the
/// earliest, a login may be needed (rule B6).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Refusals<T: Time> {
    pub(super) count: u32,
    pub(super) window: T::Span,
}

/// The allowance for rejections of tokens that had been accepted (rule B9): `count` within
/// `window`, one of which is given back at most every `interval`.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Rejections<T: Time> {
    pub(super) count: u32,
    pub(super) window: T::Span,
    pub(super) interval: T::Span,
}

/// The budget for refreshes of tokens that are not due (rule B9): one every `interval`, and at most
/// `window` worth of them at once.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Allowance<T: Time> {
    pub(super) interval: T::Span,
    pub(super) window: T::Span,
}

/// A policy for instants other than [`Timestamp`], unchecked. Each field means what the
/// [`PolicyBuilder`](super::PolicyBuilder) method of its name says.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the methods of `PolicyBuilder` document each one")]
pub struct RawPolicy<T: Time> {
    pub refresh_window: T::Span,
    pub margin: T::Span,
    pub missing_lifetime: MissingLifetime<T>,
    pub backoff_base: T::Span,
    pub backoff_cap: T::Span,
    pub misconfigured_base: T::Span,
    pub misconfigured_cap: T::Span,
    pub retry_after_cap: T::Span,
    pub unexplained_count: u32,
    pub unexplained_window: T::Span,
    /// The budget's window divided by its count.
    pub budget_interval: T::Span,
    pub budget_window: T::Span,
    pub rejections_count: u32,
    pub rejections_window: T::Span,
    pub rejections_interval: T::Span,
    pub refresh_deadline: T::Span,
    pub reuse: Reuse<T>,
}

impl<T: Time> From<RawPolicy<T>> for Policy<T> {
    /// Takes the fields as they are. No combination breaks a rule, though some are of little use.
    fn from(raw: RawPolicy<T>) -> Self {
        Self {
            refresh_window: raw.refresh_window,
            margin: raw.margin,
            missing_lifetime: raw.missing_lifetime,
            backoff: Backoff { base: raw.backoff_base, cap: raw.backoff_cap },
            misconfigured: Backoff { base: raw.misconfigured_base, cap: raw.misconfigured_cap },
            retry_after_cap: raw.retry_after_cap,
            unexplained: Refusals { count: raw.unexplained_count, window: raw.unexplained_window },
            rejections: Rejections {
                count: raw.rejections_count,
                window: raw.rejections_window,
                interval: raw.rejections_interval,
            },
            budget: Allowance {
                // A bucket smaller than one refresh would never let one through.
                interval: raw.budget_interval.min(raw.budget_window),
                window: raw.budget_window,
            },
            refresh_deadline: raw.refresh_deadline,
            reuse: raw.reuse,
        }
    }
}

impl Policy {
    /// Returns how long a refresh may take before its outcome counts as unknown.
    pub fn refresh_deadline(&self) -> Duration {
        self.refresh_deadline.to_duration()
    }

    /// Returns the shortest backoff while the server does not accept the client.
    pub fn misconfigured_base(&self) -> Duration {
        self.misconfigured.base.to_duration()
    }

    /// Returns the longest backoff while the server does not accept the client.
    pub fn misconfigured_cap(&self) -> Duration {
        self.misconfigured.cap.to_duration()
    }

    /// Returns what the authorization server is declared to do with a refresh token that it sees
    /// twice.
    pub fn reuse(&self) -> Reuse {
        self.reuse
    }
}
