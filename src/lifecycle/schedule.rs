//! When a token is due for refresh, when it is no longer handed out, and when it expires (rule B1).

use super::policy::{MissingLifetime, Policy};
use crate::time::{Draw, Time};

/// The instants of one token's life: `sent <= refresh_after <= unusable_from <= expires_at`.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Deadlines<T: Time> {
    /// When the request for it was sent: its lifetime is counted from here.
    pub sent: T,
    /// From here on the next caller refreshes the token.
    pub refresh_after: T,
    /// From here on the token is not handed out.
    pub unusable_from: T,
    /// From here on the resource server refuses it.
    pub expires_at: T,
}

/// How long a token is usable.
///
/// Exhaustive on purpose: a token ends at a time or when it is rejected.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Schedule<T: Time> {
    /// Until a resource server rejects it: its lifetime was not stated.
    UntilRejected,
    /// By the clock.
    Timed(Deadlines<T>),
}

/// How far a token's life has come, by the clock alone. Later stages are greater.
///
/// Exhaustive on purpose: the order of the deadlines leaves no other.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Freshness {
    /// Before its `refresh_after`.
    Fresh,
    /// Due for refresh, and still handed out.
    Due,
    /// No longer handed out.
    Lapsed,
}

/// What a response says about its access token; no token material.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenTimes<T: Time> {
    /// When the request for it was sent: lifetimes are counted from here.
    pub sent: T,
    /// The stated lifetime, if one was stated.
    pub lifetime: Option<T::Span>,
    /// After how long the server suggests a refresh, if it said so.
    pub refresh_in: Option<T::Span>,
    /// Drawn once for this token: how much earlier than necessary it is refreshed.
    pub jitter: Draw,
}

impl<T: Time> Deadlines<T> {
    /// How long the token lives in all.
    pub(super) fn lifetime(&self) -> T::Span {
        self.expires_at.since(self.sent)
    }

    /// When a refresh token in doubt is presented again although the old token still works. Rule
    /// B6: "[one refresh deadline], or an eighth of the lifetime where that is less, before the old
    /// token becomes unusable".
    pub(super) fn last_chance(&self, policy: &Policy<T>) -> T {
        let eighth = T::halved(self.lifetime(), 3);
        self.unusable_from.saturating_sub(policy.refresh_deadline.min(eighth))
    }
}

impl<T: Time> Schedule<T> {
    /// Computes the schedule of a token that was received at `now`.
    pub fn of(policy: &Policy<T>, times: TokenTimes<T>, now: T) -> Self {
        // Rule A4: "Only a missing lifetime MUST mean what the policy says".
        let lifetime = match (times.lifetime, policy.missing_lifetime) {
            (Some(stated), _) => stated,
            (None, MissingLifetime::Assume(assumed)) => assumed,
            (None, MissingLifetime::UntilRejected) => return Self::UntilRejected,
        };
        // Rule B1: "A token's life MUST be counted from when its request was sent". An answer
        // cannot precede its request: where it seems to, the clock went back (rule A5).
        let sent = times.sent.min(now);
        let expires_at = sent.saturating_add(lifetime);
        // At the end of time the lifetime is what remains of it (rule A1).
        let lifetime = expires_at.since(sent);
        let eighth = T::halved(lifetime, 3);
        // Rule B1: "MUST lie [10 s] before the expiry, or an eighth of the lifetime where that is
        // less".
        let unusable_from = expires_at.saturating_sub(policy.margin.min(eighth));
        let wished = match times.refresh_in {
            Some(hint) => sent.saturating_add(hint),
            None => expires_at.saturating_sub(policy.refresh_window),
        };
        // Rule B1: "clamped to no earlier than half the lifetime and no later than
        // `unusable_from`".
        let earliest = sent.saturating_add(T::halved(lifetime, 1));
        let refresh_after =
            wished.saturating_sub(T::share(eighth, times.jitter)).max(earliest).min(unusable_from);
        Self::Timed(Deadlines { sent, refresh_after, unusable_from, expires_at })
    }

    /// Returns how far the token's life has come at `now`.
    pub fn freshness(&self, now: T) -> Freshness {
        match self {
            Self::UntilRejected => Freshness::Fresh,
            Self::Timed(deadlines) if now >= deadlines.unusable_from => Freshness::Lapsed,
            Self::Timed(deadlines) if now >= deadlines.refresh_after => Freshness::Due,
            Self::Timed(_) => Freshness::Fresh,
        }
    }

    /// Whether this token outlives `other`.
    pub(super) fn outlives(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::UntilRejected, Self::UntilRejected) | (Self::Timed(_), Self::UntilRejected) => {
                false
            }
            (Self::UntilRejected, Self::Timed(_)) => true,
            (Self::Timed(this), Self::Timed(other)) => this.expires_at > other.expires_at,
        }
    }
}
