//! The transition function: every event in every state, written out.

use super::event::{Effect, Event, Presented, RefusalReason};
use super::family::{Family, Life, State, Tolerance};
use super::policy::{Policy, Reuse};
use crate::time::Time;

/// Returns the family after `event` at `now`, and what the server is to do.
///
/// A pure function. `now` may be any instant, also one before an earlier call's: an overlap that
/// was seen to end stays closed, and one that would end later than its length from `now` is
/// shortened to that.
pub fn apply<T: Time>(
    policy: &Policy<T>,
    family: Family<T>,
    event: Event,
    now: T,
) -> (Family<T>, Effect) {
    let mut next = family;
    let effect = match event {
        Event::Presented { number } => next.handle_presented(policy, number, now).into(),
        Event::Confirmed { number } => {
            next.handle_confirmed(policy, number, now);
            Effect::Nothing
        }
        Event::Revoked => {
            next.handle_revoked(policy, now);
            Effect::RevokeFamily
        }
    };
    (next, effect)
}

/// The age of the presented token within its family.
enum Age {
    Unborn,
    Newest,
    Predecessor,
    Older,
}

impl<T: Time> Tolerance<T> {
    /// An overlap that ends at `until`, or none if that has passed.
    fn open(until: T, uses: u32, now: T) -> Self {
        if now < until { Self::Open { until, uses } } else { Self::Closed }
    }
}

impl<T: Time> Family<T> {
    /// Handles [`Event::Presented`], and returns how the server is to respond.
    pub fn handle_presented(&mut self, policy: &Policy<T>, number: u64, now: T) -> Presented {
        self.observe(policy, now);
        self.present(policy, number, now)
    }

    /// Handles [`Event::Confirmed`]: under [`Reuse::ConfirmByUse`], confirming the newest token
    /// ends the tolerance of its predecessor. The server is to store the family if that changed it.
    pub fn handle_confirmed(&mut self, policy: &Policy<T>, number: u64, now: T) {
        self.observe(policy, now);
        match (self.life, self.tolerance) {
            (Life::Alive, Tolerance::Unconfirmed) if number == self.newest => {
                self.tolerance = Tolerance::Closed;
            }
            (Life::Alive | Life::Revoked, _) => {}
        }
    }

    /// Handles [`Event::Revoked`]: the family is revoked, and stays so. The server is to store it.
    pub fn handle_revoked(&mut self, policy: &Policy<T>, now: T) {
        self.observe(policy, now);
        self.life = Life::Revoked;
    }

    /// Returns the public view of the family at `now`.
    pub fn state(&self, policy: &Policy<T>, now: T) -> State {
        let mut seen = *self;
        seen.observe(policy, now);
        match (seen.life, seen.tolerance) {
            (Life::Revoked, _) => State::Revoked,
            (Life::Alive, _) if seen.has_expired(policy, now) => State::Expired,
            (Life::Alive, Tolerance::Closed) => State::Active,
            (Life::Alive, Tolerance::Open { .. } | Tolerance::Unconfirmed) => State::Rotated,
        }
    }

    /// Returns when the family expires if it is not used again, or `None` if it never does.
    pub fn ends_at(&self, policy: &Policy<T>) -> Option<T> {
        let absolute = policy.absolute.map(|lifetime| self.began.saturating_add(lifetime));
        let idle = policy.idle.map(|lifetime| self.used.saturating_add(lifetime));
        match (absolute, idle) {
            (Some(absolute), Some(idle)) => Some(absolute.min(idle)),
            (one, other) => one.or(other),
        }
    }

    /// Rule D4: "An absolute and an idle lifetime [365 days, 90 days] MUST bound a family". Computed
    /// each time and never stored: a server's clock that jumps ahead for a while must not end its
    /// families for good.
    fn has_expired(&self, policy: &Policy<T>, now: T) -> bool {
        self.ends_at(policy).is_some_and(|ends_at| now >= ends_at)
    }

    /// Closes an overlap that has ended by `now`, and shortens one that would end later than its
    /// length from `now`, since then the clock went back (rule A5). Closes what the policy no
    /// longer allows.
    fn observe(&mut self, policy: &Policy<T>, now: T) {
        self.tolerance = match (self.tolerance, policy.reuse) {
            (
                Tolerance::Open { until, uses },
                Reuse::OverlapAccessOnly { window, .. }
                | Reuse::OverlapSuccessors { window, .. }
                | Reuse::Idempotent { window, .. },
            ) => Tolerance::open(until.min(now.saturating_add(window)), uses, now),
            (Tolerance::Unconfirmed, Reuse::ConfirmByUse) => Tolerance::Unconfirmed,
            (Tolerance::Closed | Tolerance::Open { .. } | Tolerance::Unconfirmed, _) => {
                Tolerance::Closed
            }
        };
    }

    /// Decides on a presented token, after `observe`.
    fn present(&mut self, policy: &Policy<T>, number: u64, now: T) -> Presented {
        match self.life {
            Life::Revoked => return Presented::Refuse(RefusalReason::Revoked),
            Life::Alive if self.has_expired(policy, now) => {
                return Presented::Refuse(RefusalReason::Expired);
            }
            Life::Alive => {}
        }
        match (self.age(number), self.tolerance) {
            (Age::Unborn, _) => Presented::Refuse(RefusalReason::Unknown),
            (Age::Newest, Tolerance::Closed | Tolerance::Open { .. } | Tolerance::Unconfirmed) => {
                self.rotate(policy, now)
            }
            (Age::Predecessor, Tolerance::Open { until, uses }) => {
                self.again(policy, until, uses, now)
            }
            (Age::Predecessor, Tolerance::Unconfirmed) => {
                self.used = now;
                Presented::RepeatSuccessor { number: self.newest }
            }
            // Rule D3: "Reuse that the policy does not tolerate MUST revoke the family for good".
            (Age::Predecessor, Tolerance::Closed)
            | (Age::Older, Tolerance::Closed | Tolerance::Open { .. } | Tolerance::Unconfirmed) => {
                self.life = Life::Revoked;
                Presented::RevokeFamily
            }
        }
    }

    /// Returns the age of the token with this number.
    fn age(&self, number: u64) -> Age {
        match self.newest.checked_sub(number) {
            _ if number == 0 => Age::Unborn,
            None => Age::Unborn,
            Some(0) => Age::Newest,
            Some(1) => Age::Predecessor,
            Some(_) => Age::Older,
        }
    }

    /// Rotates the newest token. Rule D1: "exactly one MUST rotate it", since it is the newest
    /// no longer.
    fn rotate(&mut self, policy: &Policy<T>, now: T) -> Presented {
        let Some(number) = self.newest.checked_add(1) else {
            // One token a nanosecond for half a millennium.
            return Presented::Refuse(RefusalReason::Expired);
        };
        self.newest = number;
        self.used = now;
        self.tolerance = match policy.reuse {
            Reuse::Strict => Tolerance::Closed,
            Reuse::OverlapAccessOnly { window, .. }
            | Reuse::OverlapSuccessors { window, .. }
            | Reuse::Idempotent { window, .. } => {
                Tolerance::open(now.saturating_add(window), 0, now)
            }
            Reuse::ConfirmByUse => Tolerance::Unconfirmed,
        };
        Presented::IssueSuccessor { number }
    }

    /// Presents the predecessor within its overlap. Rule D2: "from the first use of a token on,
    /// never longer for being used again", and counted.
    fn again(&mut self, policy: &Policy<T>, until: T, uses: u32, now: T) -> Presented {
        let (most, outcome) = match policy.reuse {
            Reuse::OverlapAccessOnly { uses, .. } => (uses, Presented::RenewAccess),
            Reuse::OverlapSuccessors { uses: most, .. } => {
                // Counted from one: the token that the rotation has issued is none of them.
                let sibling = uses.saturating_add(1);
                (most, Presented::IssueSibling { number: self.newest, sibling })
            }
            Reuse::Idempotent { uses, .. } => {
                (uses, Presented::RepeatSuccessor { number: self.newest })
            }
            // `observe` has closed an overlap that the policy does not have.
            Reuse::Strict | Reuse::ConfirmByUse => {
                return Presented::Refuse(RefusalReason::Unknown);
            }
        };
        if uses >= most {
            return Presented::Refuse(RefusalReason::TooOften);
        }
        self.used = now;
        self.tolerance = Tolerance::Open { until, uses: uses + 1 };
        outcome
    }
}
