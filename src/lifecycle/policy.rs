//! What the machine is told to do: windows, backoff, budget, and the server's declared behaviour.

use core::time::Duration;

use thiserror::Error;

use crate::time::{Span, Time, Timestamp};

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
    pub(super) backoff_base: T::Span,
    pub(super) backoff_cap: T::Span,
    pub(super) retry_after_cap: T::Span,
    pub(super) budget: Allowance<T>,
    pub(super) refresh_deadline: T::Span,
    pub(super) reuse: Reuse<T>,
}

/// What a token response that states no lifetime is taken to mean (rule A4).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum MissingLifetime<T: Time = Timestamp> {
    /// The token is taken to live this long.
    Assume(T::Span),
    /// The token is good until a resource server rejects it.
    UntilRejected,
}

/// What the authorization server does with a refresh token that it sees a second time (rule B6).
///
/// It decides what may follow a refresh whose outcome is unknown. Where the server's documentation
/// says nothing, [`Reuse::Strict`] is the safe answer.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Default)]
pub enum Reuse<T: Time = Timestamp> {
    /// It refuses, and may revoke the grant. Also for servers whose behaviour is not declared.
    #[default]
    Strict,
    /// For a while after the first use it renews the access token again, and returns no refresh
    /// token: a client that lost the first answer never learns the successor.
    OverlapAccessOnly(T::Span),
    /// For a while after the first use it answers again, each time with another successor.
    OverlapSuccessors(T::Span),
    /// For a while after the first use it answers again, with the very same successor.
    Idempotent(T::Span),
    /// It answers again until the successor is first used.
    ConfirmByUse,
    /// It does not rotate: the refresh token stays good, or none is used at all.
    Unrotated,
}

impl Reuse {
    /// Renews the access token again for `window` after the first use, without a refresh token.
    pub fn overlap_access_only(window: Duration) -> Self {
        Self::OverlapAccessOnly(window.into())
    }

    /// Answers again for `window` after the first use, each time with another successor.
    pub fn overlap_successors(window: Duration) -> Self {
        Self::OverlapSuccessors(window.into())
    }

    /// Answers again for `window` after the first use, with the very same successor.
    pub fn idempotent(window: Duration) -> Self {
        Self::Idempotent(window.into())
    }
}

/// The budget for refreshes that nothing made due (rule B9): one every `interval`, and at most
/// `window` worth of them at once.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Allowance<T: Time> {
    pub(super) interval: T::Span,
    pub(super) window: T::Span,
}

/// A policy in terms of a time of one's own, for those who bring instants other than
/// [`Timestamp`]. Each field has the meaning of the [`PolicyBuilder`] method of its name.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the methods of `PolicyBuilder` document each one")]
pub struct RawPolicy<T: Time> {
    pub refresh_window: T::Span,
    pub margin: T::Span,
    pub missing_lifetime: MissingLifetime<T>,
    pub backoff_base: T::Span,
    pub backoff_cap: T::Span,
    pub retry_after_cap: T::Span,
    /// The window of the budget divided by its count.
    pub budget_interval: T::Span,
    pub budget_window: T::Span,
    pub refresh_deadline: T::Span,
    pub reuse: Reuse<T>,
}

impl<T: Time> From<RawPolicy<T>> for Policy<T> {
    /// Takes the fields as they are: no combination of them breaks a rule, though some are of
    /// little use.
    fn from(raw: RawPolicy<T>) -> Self {
        Self {
            refresh_window: raw.refresh_window,
            margin: raw.margin,
            missing_lifetime: raw.missing_lifetime,
            backoff_base: raw.backoff_base,
            backoff_cap: raw.backoff_cap,
            retry_after_cap: raw.retry_after_cap,
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
    /// A builder that starts from the defaults.
    pub fn builder() -> PolicyBuilder {
        PolicyBuilder::default()
    }

    /// How long a refresh may take before its outcome counts as unknown.
    pub fn refresh_deadline(&self) -> Duration {
        self.refresh_deadline.to_duration()
    }

    /// What the authorization server is declared to do with a refresh token seen twice.
    pub fn reuse(&self) -> Reuse {
        self.reuse
    }
}

impl Default for Policy {
    fn default() -> Self {
        PolicyBuilder::default().build().expect("the defaults keep every rule of the builder")
    }
}

/// Builds a [`Policy`]; [`build`](PolicyBuilder::build) checks it.
#[derive(Copy, Clone, Debug)]
#[must_use]
pub struct PolicyBuilder {
    refresh_window: Duration,
    margin: Duration,
    missing_lifetime: MissingLifetime,
    backoff_base: Duration,
    backoff_cap: Duration,
    retry_after_cap: Duration,
    budget_count: u32,
    budget_window: Duration,
    refresh_deadline: Duration,
    reuse: Reuse,
}

impl Default for PolicyBuilder {
    fn default() -> Self {
        Self {
            refresh_window: Duration::from_secs(5 * 60),
            margin: Duration::from_secs(10),
            missing_lifetime: MissingLifetime::Assume(Span::from_secs(60 * 60)),
            backoff_base: Duration::from_secs(1),
            backoff_cap: Duration::from_secs(60),
            retry_after_cap: Duration::from_secs(60 * 60),
            budget_count: 5,
            budget_window: Duration::from_secs(30),
            refresh_deadline: Duration::from_secs(30),
            reuse: Reuse::Strict,
        }
    }
}

impl PolicyBuilder {
    /// How long before its expiry a token is refreshed [5 min], where the server gave no hint of
    /// its own. Never more than half the token's lifetime comes to bear (rule B1).
    pub fn refresh_window(mut self, window: Duration) -> Self {
        self.refresh_window = window;
        self
    }

    /// How long before its expiry a token is no longer handed out [10 s], for clock skew and
    /// transit. Never more than an eighth of the token's lifetime comes to bear (rule B1).
    pub fn margin(mut self, margin: Duration) -> Self {
        self.margin = margin;
        self
    }

    /// What an answer without a lifetime means [one hour].
    pub fn missing_lifetime(mut self, meaning: MissingLifetime) -> Self {
        self.missing_lifetime = meaning;
        self
    }

    /// The longest delay after the first failure [1 s], and the longest after any [60 s]. The
    /// former doubles with each failure; the delay is drawn between nothing and that (rule B7).
    pub fn backoff(mut self, base: Duration, cap: Duration) -> Self {
        self.backoff_base = base;
        self.backoff_cap = cap;
        self
    }

    /// The longest `Retry-After` that is honoured [1 h].
    pub fn retry_after_cap(mut self, cap: Duration) -> Self {
        self.retry_after_cap = cap;
        self
    }

    /// How many refreshes that nothing made due are allowed at once \[5\], and in which `window` [30 s]
    /// as many come back, one after the other: a token bucket (rule B9). So a window that starts with
    /// a burst can see just under twice the count.
    pub fn budget(mut self, count: u32, window: Duration) -> Self {
        self.budget_count = count;
        self.budget_window = window;
        self
    }

    /// How long a refresh may take [30 s], after which its outcome is unknown (rule B13).
    pub fn refresh_deadline(mut self, deadline: Duration) -> Self {
        self.refresh_deadline = deadline;
        self
    }

    /// What the server does with a refresh token seen twice \[refuse\] (rule B6).
    pub fn reuse(mut self, reuse: Reuse) -> Self {
        self.reuse = reuse;
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// Names the first field that cannot be kept, and what it may be.
    pub fn build(self) -> Result<Policy, PolicyError> {
        let at_least_a_millisecond = [
            (Field::BackoffBase, self.backoff_base),
            (Field::RefreshDeadline, self.refresh_deadline),
            (Field::BudgetWindow, self.budget_window),
        ];
        for (field, duration) in at_least_a_millisecond {
            if Span::from(duration) == Span::ZERO {
                return Err(PolicyError::TooShort(field));
            }
        }
        if self.backoff_cap < self.backoff_base {
            return Err(PolicyError::CapBelowBase);
        }
        if self.budget_count == 0 {
            return Err(PolicyError::NoBudget);
        }
        match self.reuse {
            Reuse::OverlapAccessOnly(Span::ZERO)
            | Reuse::OverlapSuccessors(Span::ZERO)
            | Reuse::Idempotent(Span::ZERO) => {
                return Err(PolicyError::TooShort(Field::Reuse));
            }
            Reuse::OverlapAccessOnly(_)
            | Reuse::OverlapSuccessors(_)
            | Reuse::Idempotent(_)
            | Reuse::Strict
            | Reuse::ConfirmByUse
            | Reuse::Unrotated => {}
        }
        // A remainder is given to the interval, and the window made to hold the count exactly.
        let window = Span::from(self.budget_window);
        let interval = window.as_millis().div_ceil(self.budget_count.into());
        let window = Span::from_millis(interval.saturating_mul(self.budget_count.into()));
        let interval = Span::from_millis(interval);
        Ok(Policy::from(RawPolicy {
            refresh_window: self.refresh_window.into(),
            margin: self.margin.into(),
            missing_lifetime: self.missing_lifetime,
            backoff_base: self.backoff_base.into(),
            backoff_cap: self.backoff_cap.into(),
            retry_after_cap: self.retry_after_cap.into(),
            budget_interval: interval,
            budget_window: window,
            refresh_deadline: self.refresh_deadline.into(),
            reuse: self.reuse,
        }))
    }
}

/// A field of [`PolicyBuilder`], as its errors name it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Field {
    /// The first argument of [`PolicyBuilder::backoff`].
    BackoffBase,
    /// [`PolicyBuilder::refresh_deadline`].
    RefreshDeadline,
    /// The second argument of [`PolicyBuilder::budget`].
    BudgetWindow,
    /// The window of [`PolicyBuilder::reuse`].
    Reuse,
}

impl core::fmt::Display for Field {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str(match self {
            Self::BackoffBase => "backoff base",
            Self::RefreshDeadline => "refresh_deadline",
            Self::BudgetWindow => "budget window",
            Self::Reuse => "reuse window",
        })
    }
}

/// A policy that cannot be kept.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The field must be at least one millisecond.
    #[error("{0} must be at least one millisecond")]
    TooShort(Field),
    /// The cap of the backoff must not be below its base.
    #[error("backoff cap must not be shorter than backoff base")]
    CapBelowBase,
    /// A budget of nothing would refuse every refresh after a rejection.
    #[error("budget count must be at least 1")]
    NoBudget,
}
