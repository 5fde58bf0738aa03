//! Building a policy: the defaults, and checking the settings.

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

/// How long a refresh may take by default.
const REFRESH_DEADLINE: Duration = Duration::from_secs(30);

impl Policy {
    /// Returns a builder with the defaults.
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
    /// Sets how long before its expiry a token is refreshed, if the server sent no hint of its own.
    /// Default: 5 min.
    ///
    /// The refresh window is at most half the token's lifetime.
    pub fn refresh_window(mut self, window: Duration) -> Self {
        self.refresh_window = window;
        self
    }

    /// Sets how long before its expiry a token is no longer handed out, to allow for clock skew and
    /// transit. Default: 10 s.
    ///
    /// The margin is at most an eighth of the token's lifetime.
    pub fn margin(mut self, margin: Duration) -> Self {
        self.margin = margin;
        self
    }

    /// Sets what a response without a lifetime means. Default: one hour.
    pub fn missing_lifetime(mut self, meaning: MissingLifetime) -> Self {
        self.missing_lifetime = meaning;
        self
    }

    /// Sets the backoff after a failed refresh. Default: 1 s, up to 60 s.
    ///
    /// The delay is drawn between zero and a maximum, which is `base` after the first failure,
    /// doubles with each further one, and is at most `cap`. See rule
    /// [B7](crate::spec#b-the-client-machine).
    pub fn backoff(mut self, base: Duration, cap: Duration) -> Self {
        self.backoff_base = base;
        self.backoff_cap = cap;
        self
    }

    /// Sets the backoff while the server does not accept the client. Default: 30 s, up to 10 min.
    ///
    /// The delay is drawn as for [`backoff`](Self::backoff), and is at least `base`.
    pub fn misconfigured_backoff(mut self, base: Duration, cap: Duration) -> Self {
        self.misconfigured_base = base;
        self.misconfigured_cap = cap;
        self
    }

    /// Sets after how many unexplained refusals in a row the error says that a login may be needed.
    /// Default: 3, at least 5 min after the first of them.
    ///
    /// A refusal is unexplained if it has no `error` of RFC 6749, section 5.2. See rule
    /// [B6](crate::spec#b-the-client-machine).
    pub fn unexplained(mut self, count: u32, window: Duration) -> Self {
        self.unexplained_count = count;
        self.unexplained_window = window;
        self
    }

    /// Sets the longest `Retry-After` that is honoured. Default: 1 h.
    pub fn retry_after_cap(mut self, cap: Duration) -> Self {
        self.retry_after_cap = cap;
        self
    }

    /// Sets the budget for retries and other refreshes of a token that is not due. Default: 5 per
    /// 30 s.
    ///
    /// The budget is a token bucket: it allows `count` refreshes at once and refills over `window`.
    /// So a window that starts with a burst can see just under twice the count. See rule
    /// [B9](crate::spec#b-the-client-machine).
    pub fn budget(mut self, count: u32, window: Duration) -> Self {
        self.budget_count = count;
        self.budget_window = window;
        self
    }

    /// Sets how many rejections of tokens that had been accepted are acted on. Default: 3 per 5
    /// min, and one is given back at most every second.
    ///
    /// `count` tokens may be withdrawn within `window`, or within the token's lifetime if that is
    /// shorter. One is given back each time a refresh helped, at most one per `interval`. Beyond
    /// that a rejected token stays in use, and the caller gets its 401. See rule
    /// [B9](crate::spec#b-the-client-machine).
    pub fn rejections(mut self, count: u32, window: Duration, interval: Duration) -> Self {
        self.rejections_count = count;
        self.rejections_window = window;
        self.rejections_interval = interval;
        self
    }

    /// Sets how long a refresh may take before its outcome counts as unknown. Default: 30 s, or a
    /// third of the declared reuse window if that is less.
    ///
    /// A session sends no request with less than a quarter of its time left
    /// ([B6](crate::spec#b-the-client-machine)): choose at least four times what the server takes to answer.
    pub fn refresh_deadline(mut self, deadline: Duration) -> Self {
        self.refresh_deadline = Some(deadline);
        self
    }

    /// Declares what the server does with a refresh token presented twice. Default:
    /// [`Reuse::Strict`].
    pub fn reuse(mut self, reuse: Reuse) -> Self {
        self.reuse = reuse;
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`PolicyError`], which names the first invalid field and what it may be.
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
        // The interval is rounded up, and the window made to hold the count exactly.
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

/// An invalid policy.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The field must be at least one millisecond.
    #[error("{0} must be at least one millisecond")]
    TooShort(Field),
    /// The cap of the backoff must not be below its base.
    #[error("backoff cap must not be shorter than backoff base")]
    CapBelowBase,
    /// A refresh must leave room for a retry within the declared window, in which the refresh token
    /// still works.
    #[error(
        "refresh_deadline must not be longer than half of the declared reuse window: leave it out, or shorten it"
    )]
    NoRoomForRetry,
    /// The budget must be at least one: zero would refuse every refresh after a rejection.
    #[error("budget count must be at least 1")]
    NoBudget,
}
