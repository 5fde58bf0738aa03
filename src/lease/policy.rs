//! The policy: how long a lease is, and how long another holder is waited for.

use core::time::Duration;

use crate::time::{Span, Time, Timestamp};

/// The settings of a [`Turn`](super::Turn). All holders of one store are to have the same.
///
/// ```
/// use core::time::Duration;
/// use perennial::lease::Policy;
///
/// let policy = Policy::new(Duration::from_secs(30)).wait_limit(Duration::from_secs(10));
/// assert_eq!(policy.term().to_duration(), Duration::from_secs(60));
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Policy<T: Time = Timestamp> {
    pub(super) refresh_deadline: T::Span,
    pub(super) term: T::Span,
    pub(super) margin: T::Span,
    pub(super) wait_limit: T::Span,
    pub(super) poll_base: T::Span,
    pub(super) poll_cap: T::Span,
}

/// A policy over any [`Time`], for models and embedders.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct RawPolicy<T: Time> {
    /// How long a refresh may take.
    pub refresh_deadline: T::Span,
    /// For how long a lease is asked for. At least the margin.
    pub term: T::Span,
    /// How much of the term must be left when the request is sent. At least the refresh deadline.
    pub margin: T::Span,
    /// For how long another holder is waited for.
    pub wait_limit: T::Span,
    /// How long to wait before the store is first asked again.
    pub poll_base: T::Span,
    /// How long to wait at most before it is asked again.
    pub poll_cap: T::Span,
}

impl<T: Time> From<RawPolicy<T>> for Policy<T> {
    /// Raises the margin to the refresh deadline, and the term to the margin, where they are less.
    fn from(raw: RawPolicy<T>) -> Self {
        // Rule F3: "at least a margin of the term be left, not below the refresh deadline".
        let margin = raw.margin.max(raw.refresh_deadline);
        Self {
            refresh_deadline: raw.refresh_deadline,
            term: raw.term.max(margin),
            margin,
            wait_limit: raw.wait_limit,
            poll_base: raw.poll_base,
            poll_cap: raw.poll_cap,
        }
    }
}

impl Policy {
    /// Returns the default policy for refreshes that may take as long as `refresh_deadline`.
    pub fn new(refresh_deadline: Duration) -> Self {
        let deadline = Span::from(refresh_deadline);
        Self::from(RawPolicy {
            refresh_deadline: deadline,
            term: Timestamp::doubled(deadline, 1),
            margin: deadline,
            wait_limit: refresh_deadline.saturating_sub(refresh_deadline / 4).into(),
            poll_base: Span::from_millis(20),
            poll_cap: Span::from_millis(250),
        })
    }

    /// Sets for how long a lease is asked for. Default: twice the refresh deadline.
    ///
    /// A holder that dies is replaced once its term is over. Raised to the margin where it is less.
    #[must_use]
    pub fn lease_term(mut self, term: Duration) -> Self {
        self.term = Span::from(term).max(self.margin);
        self
    }

    /// Sets how much of the term must be left when the request is sent. Default: the refresh
    /// deadline.
    ///
    /// Raised to the refresh deadline where it is less. The term is raised to the margin.
    #[must_use]
    pub fn margin(mut self, margin: Duration) -> Self {
        self.margin = Span::from(margin).max(self.refresh_deadline);
        self.term = self.term.max(self.margin);
        self
    }

    /// Sets for how long another holder is waited for. Default: three quarters of the refresh deadline, so
    /// that a quarter is left for the request.
    ///
    /// The wait ends with the refresh's own deadline at the latest.
    #[must_use]
    pub fn wait_limit(mut self, limit: Duration) -> Self {
        self.wait_limit = limit.into();
        self
    }

    /// Sets how often the store is asked while another holder is waited for. Default: after 20 ms,
    /// doubling to 250 ms.
    ///
    /// `base` is raised to one millisecond, and `cap` to `base`, where they are less.
    #[must_use]
    pub fn poll(mut self, base: Duration, cap: Duration) -> Self {
        self.poll_base = Span::from(base).max(Span::from_millis(1));
        self.poll_cap = Span::from(cap).max(self.poll_base);
        self
    }

    /// Returns for how long a lease is asked for.
    pub fn term(&self) -> Span {
        self.term
    }
}

impl Default for Policy {
    /// Returns the policy for refreshes that may take 30 s.
    fn default() -> Self {
        Self::new(Duration::from_secs(30))
    }
}

impl<T: Time> Policy<T> {
    /// Returns how long to wait before the store is asked again, after it was asked `polls` times.
    pub(super) fn interval(&self, polls: u32) -> T::Span {
        T::doubled(self.poll_base, polls).min(self.poll_cap)
    }
}
