//! Building a policy: the defaults, and what cannot be kept.

use core::time::Duration;

use thiserror::Error;

use super::policy::{MissingLifetime, Policy, RawPolicy, Reuse, Tolerance};
use crate::time::Span;

/// Builds a [`Policy`]; [`build`](PolicyBuilder::build) checks it.
#[derive(Copy, Clone, Debug)]
#[must_use]
pub struct PolicyBuilder {
    refresh_window: Duration,
    margin: Duration,
    missing_lifetime: MissingLifetime,
    backoff_base: Duration,
    backoff_cap: Duration,
    misconfigured_base: Duration,
    misconfigured_cap: Duration,
    retry_after_cap: Duration,
    unexplained_count: u32,
    unexplained_window: Duration,
    budget_count: u32,
    budget_window: Duration,
    rejections_count: u32,
    rejections_window: Duration,
    rejections_interval: Duration,
    refresh_deadline: Option<Duration>,
    reuse: Reuse,
}

/// How long a refresh may take where nothing else was asked for.
const REFRESH_DEADLINE: Duration = Duration::from_secs(30);

impl Policy {
    /// A builder that starts from the defaults.
    pub fn builder() -> PolicyBuilder {
        PolicyBuilder::default()
    }
}

impl Default for Policy {
    fn default() -> Self {
        PolicyBuilder::default().build().expect("the defaults keep every rule of the builder")
    }
}

impl Default for PolicyBuilder {
    fn default() -> Self {
        Self {
            refresh_window: Duration::from_secs(5 * 60),
            margin: Duration::from_secs(10),
            missing_lifetime: MissingLifetime::Assume(Span::from_secs(60 * 60)),
            backoff_base: Duration::from_secs(1),
            backoff_cap: Duration::from_secs(60),
            misconfigured_base: Duration::from_secs(30),
            misconfigured_cap: Duration::from_secs(10 * 60),
            retry_after_cap: Duration::from_secs(60 * 60),
            unexplained_count: 3,
            unexplained_window: Duration::from_secs(5 * 60),
            budget_count: 5,
            budget_window: Duration::from_secs(30),
            rejections_count: 3,
            rejections_window: Duration::from_secs(5 * 60),
            rejections_interval: Duration::from_secs(1),
            refresh_deadline: None,
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

    /// The shortest delay while the server does not accept the client [30 s], and the longest
    /// [10 min]. It is drawn from a span that doubles with each failure (rule B6).
    pub fn misconfigured_backoff(mut self, base: Duration, cap: Duration) -> Self {
        self.misconfigured_base = base;
        self.misconfigured_cap = cap;
        self
    }

    /// After how many refusals in a row without a reason \[3\], and no sooner than how long after
    /// the first of them [5 min], callers are told that a login may be needed (rule B6).
    pub fn unexplained(mut self, count: u32, window: Duration) -> Self {
        self.unexplained_count = count;
        self.unexplained_window = window;
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

    /// How many rejections of tokens that had been accepted withdraw them \[3\] within `window`
    /// [5 min], or within the token's lifetime where that is less; and after how long at the earliest
    /// [1 s] another one is given back, where the refresh helped (rule B9). A rejection beyond that
    /// is the caller's own: the token stays in use.
    pub fn rejections(mut self, count: u32, window: Duration, interval: Duration) -> Self {
        self.rejections_count = count;
        self.rejections_window = window;
        self.rejections_interval = interval;
        self
    }

    /// How long a refresh may take, after which its outcome is unknown (rule B13) \[30 s, or a third
    /// of the declared window where that is less\].
    pub fn refresh_deadline(mut self, deadline: Duration) -> Self {
        self.refresh_deadline = Some(deadline);
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
        let deadline = self.deadline()?;
        let at_least_a_millisecond = [
            (Field::BackoffBase, self.backoff_base),
            (Field::MisconfiguredBackoffBase, self.misconfigured_base),
            (Field::RefreshDeadline, deadline),
            (Field::BudgetWindow, self.budget_window),
        ];
        for (field, duration) in at_least_a_millisecond {
            if Span::from(duration) == Span::ZERO {
                return Err(PolicyError::TooShort(field));
            }
        }
        if self.backoff_cap < self.backoff_base || self.misconfigured_cap < self.misconfigured_base
        {
            return Err(PolicyError::CapBelowBase);
        }
        if self.budget_count == 0 {
            return Err(PolicyError::NoBudget);
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
            misconfigured_base: self.misconfigured_base.into(),
            misconfigured_cap: self.misconfigured_cap.into(),
            retry_after_cap: self.retry_after_cap.into(),
            unexplained_count: self.unexplained_count,
            unexplained_window: self.unexplained_window.into(),
            budget_interval: interval,
            budget_window: window,
            rejections_count: self.rejections_count,
            rejections_window: self.rejections_window.into(),
            rejections_interval: self.rejections_interval.into(),
            refresh_deadline: deadline.into(),
            reuse: self.reuse,
        }))
    }

    /// Rule B13: "Where a window is declared, the deadline MUST leave room in it for a retry."
    fn deadline(&self) -> Result<Duration, PolicyError> {
        let Tolerance::Within(window) = self.reuse.tolerance() else {
            return Ok(self.refresh_deadline.unwrap_or(REFRESH_DEADLINE));
        };
        if window == Span::ZERO {
            return Err(PolicyError::TooShort(Field::Reuse));
        }
        let window = window.to_duration();
        match self.refresh_deadline {
            // As long again for the retry, less the eighth that its backoff may take.
            Some(deadline) if deadline > window / 2 => Err(PolicyError::NoRoomForRetry),
            Some(deadline) => Ok(deadline),
            None => Ok(REFRESH_DEADLINE.min(window / 3).max(Duration::from_millis(1))),
        }
    }
}

/// A field of [`PolicyBuilder`], as its errors name it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Field {
    /// The first argument of [`PolicyBuilder::backoff`].
    BackoffBase,
    /// The first argument of [`PolicyBuilder::misconfigured_backoff`].
    MisconfiguredBackoffBase,
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
            Self::MisconfiguredBackoffBase => "misconfigured_backoff base",
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
    /// A refresh would end too late for a retry within the declared window, where the refresh token
    /// still works.
    #[error(
        "refresh_deadline must not be longer than half of the declared reuse window: leave it out, or shorten it"
    )]
    NoRoomForRetry,
    /// A budget of nothing would refuse every refresh after a rejection.
    #[error("budget count must be at least 1")]
    NoBudget,
}
