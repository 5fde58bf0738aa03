//! The transition function: every event in every state, written out. What answers a caller's
//! request is in `request.rs`.

use super::Lifecycle;
use super::event::{Effect, Event, Failure, Novelty};
use super::policy::{Backoff, Bearing, Policy, Reuse};
use super::schedule::{Freshness, Schedule, TokenTimes};
use super::state::{
    Attempt, Budget, Credential, Flight, FlightId, Held, Holding, Pause, Rejections, Standing,
    Trouble,
};
use crate::time::{Draw, Time};

/// What the machine becomes, and what is to be done, once `event` has happened at `now`.
///
/// Pure: the same arguments give the same answer, nothing is read or written besides. Any `now`
/// will do, also one that goes back (rule A5); an event that comes late, early or twice is harmless
/// (rule B12).
pub fn apply<T: Time>(
    policy: &Policy<T>,
    state: Lifecycle<T>,
    event: Event<T>,
    now: T,
) -> (Lifecycle<T>, Effect<T>) {
    let mut next = state;
    let effect = next.advance(policy, event, now);
    (next, effect)
}

impl<T: Time> Lifecycle<T> {
    /// [`apply`], in place.
    pub(super) fn advance(&mut self, policy: &Policy<T>, event: Event<T>, now: T) -> Effect<T> {
        self.observe(policy, now);
        match event {
            Event::Requested { usable_for } => self.requested(policy, usable_for, now),
            Event::Refreshed { flight, token, novelty, draw } => {
                self.refreshed(policy, flight, token, novelty, draw, now)
            }
            Event::RefreshFailed { flight, failure, draw } => {
                self.refresh_failed(policy, flight, failure, draw, now)
            }
            Event::Rejected { generation } => self.rejected(policy, generation, now),
            Event::Accepted { generation } => self.accepted(generation),
            Event::Recovered { generation } => self.recovered(policy, generation, now),
            Event::Installed { token, intent } => self.installed(policy, token, intent, now),
            Event::Cleared => self.cleared(),
            Event::TimePassed { draw } => self.time_passed(policy, draw, now),
        }
    }

    /// Latches what `now` shows as facts, and pulls in instants that lie further ahead than they
    /// ever could: the clock went back (rule A5).
    pub(crate) fn observe(&mut self, policy: &Policy<T>, now: T) {
        if let Holding::Token(held) = &mut self.holding {
            held.freshness = held.freshness_at(now);
        }
        // Rule A5: it "MUST remember facts that a `now` has shown" and "MUST NOT remember `now`". "An
        // instant to wait for that lies further ahead than its own longest delay MUST be pulled in
        // to that."
        self.pause = self.pause.observed(now);
        self.superseded = self.superseded.observed(now);
        self.rejections = self.rejections.observed(policy, now);
        if let Trouble::Unexplained { missing, early } = self.trouble {
            self.trouble = Trouble::Unexplained { missing, early: early.observed(now) };
        }
        if let Budget::FullAt(instant) = self.budget {
            self.budget = if now >= instant {
                Budget::Full
            } else {
                Budget::FullAt(instant.min(now.saturating_add(policy.budget.window)))
            };
        }
        if let Credential::DoubtedUntil(until) = self.credential {
            self.credential = match policy.reuse.bearing() {
                Bearing::Within(window) if now < until => {
                    Credential::DoubtedUntil(until.min(now.saturating_add(window)))
                }
                Bearing::Within(_) | Bearing::Never => Credential::Doubted,
                Bearing::Always => Credential::Ready,
            };
        }
        self.flight = match self.flight {
            Flight::Idle => Flight::Idle,
            Flight::Out { sent, deadline, attempt } => {
                let deadline = deadline.min(now.saturating_add(policy.refresh_deadline));
                let deadline = match self.credential {
                    // A retry still ends within its window, which may have been pulled in just now.
                    Credential::DoubtedUntil(until) => deadline.min(until),
                    Credential::Absent
                    | Credential::Ready
                    | Credential::Doubted
                    | Credential::Declined => deadline,
                };
                Flight::Out { sent: sent.min(now), deadline, attempt }
            }
            Flight::Overdue { attempt, open } => {
                Flight::Overdue { attempt, open: open.observed(now) }
            }
        };
    }

    /// Rules B4, B10, B14: what lands counts unless something newer has landed or the epoch ended,
    /// and its refresh token is kept even where its access token is of no use.
    fn refreshed(
        &mut self,
        policy: &Policy<T>,
        flight: FlightId,
        token: TokenTimes<T>,
        novelty: Novelty,
        draw: Draw,
        now: T,
    ) -> Effect<T> {
        // Rule B4: "A result MUST NOT overwrite what a newer refresh, a login or a logout left."
        if flight.0 <= self.flights.ended {
            return Effect::ReleaseOrphan;
        }
        if flight.0 <= self.flights.landed || flight.0 > self.flights.started {
            return Effect::Discard;
        }
        // Rule B14: "a late answer whose repetition is out is persisted at once, and is handed out once the
        // repetition has landed or has met its deadline".
        if let (Flight::Out { .. }, Reuse::ConfirmByUse, true) =
            (self.flight, policy.reuse, flight.0 < self.flights.started)
        {
            return Effect::HoldBack;
        }
        self.flights.landed = flight.0;
        self.credential = Credential::Ready;
        self.superseded = Pause::Over;
        self.flight = if flight.0 == self.flights.started {
            Flight::Idle
        } else {
            match self.flight {
                Flight::Idle => Flight::Idle,
                Flight::Overdue { open, .. } => Flight::Overdue { attempt: Attempt::Outrun, open },
                Flight::Out { sent, deadline, .. } => {
                    Flight::Out { sent, deadline, attempt: Attempt::Outrun }
                }
            }
        };
        let schedule = Schedule::of(policy, token, now);
        let stillborn = schedule.freshness(now) == Freshness::Lapsed;
        // Rule B1: "An answer that brings the very same token, not longer-lived than it is already
        // held to be, MUST NOT be followed by another refresh before backoff."
        let stale = match (novelty, self.holding) {
            (Novelty::New, _) | (Novelty::Same, Holding::Nothing) => false,
            (Novelty::Same, Holding::Token(held)) => match held.standing {
                Standing::Withdrawn | Standing::WithdrawnPaid => true,
                Standing::Untried | Standing::Accepted => !schedule.outlives(&held.schedule),
            },
        };
        // Rule B10: it "MUST count as a failed refresh and back off". Rule B14: "A refresh token
        // that was received MUST NOT be thrown away while its grant is installed".
        if stillborn || stale {
            self.trouble = Trouble::Passing;
            self.back_off(policy, None, draw, now);
            return Effect::KeepRefreshToken;
        }
        self.failures = 0;
        self.trouble = Trouble::None;
        self.pause = Pause::Over;
        self.publish(schedule, now)
    }

    fn publish(&mut self, schedule: Schedule<T>, now: T) -> Effect<T> {
        self.generation.number += 1;
        self.holding = Holding::Token(Held {
            schedule,
            freshness: schedule.freshness(now),
            standing: Standing::Untried,
        });
        Effect::Publish { generation: self.generation }
    }

    /// Rules B3, B5, B6: a failure ends its own attempt and touches no token.
    fn refresh_failed(
        &mut self,
        policy: &Policy<T>,
        flight: FlightId,
        failure: Failure<T>,
        draw: Draw,
        now: T,
    ) -> Effect<T> {
        // Rule B3: "A superseded result MUST change nothing".
        if flight.0 != self.flights.started {
            return Effect::Nothing;
        }
        match (self.flight, failure) {
            (Flight::Idle, _) => Effect::Nothing,
            (Flight::Out { attempt, .. } | Flight::Overdue { attempt, .. }, Failure::Declined) => {
                self.flight = Flight::Idle;
                match attempt {
                    // The grant that it presented is no longer the one that is held.
                    Attempt::Outrun => {}
                    Attempt::Ordinary => {
                        self.credential = Credential::Declined;
                        self.superseded = Pause::Over;
                        self.trouble = Trouble::None;
                    }
                }
                Effect::EndAttempt
            }
            (
                Flight::Out { .. },
                Failure::Unavailable { .. }
                | Failure::Misconfigured { .. }
                | Failure::Unexplained { .. },
            ) => {
                self.flight = Flight::Idle;
                self.fail(policy, failure, draw, now);
                Effect::EndAttempt
            }
            (Flight::Out { sent, attempt, .. }, Failure::Unknown) => {
                self.flight = Flight::Idle;
                self.doubt(policy, sent, attempt, now);
                self.fail(policy, failure, draw, now);
                Effect::EndAttempt
            }
            // It was judged unknown already. But no late answer is to be waited for any more.
            (
                Flight::Overdue { .. },
                Failure::Unavailable { .. }
                | Failure::Misconfigured { .. }
                | Failure::Unexplained { .. }
                | Failure::Unknown,
            ) => {
                self.flight = Flight::Idle;
                Effect::EndAttempt
            }
        }
    }

    /// Takes in how a refresh failed, and holds the next one off (rules B6, B7).
    fn fail(&mut self, policy: &Policy<T>, failure: Failure<T>, draw: Draw, now: T) {
        match failure {
            Failure::Declined => {}
            Failure::Unavailable { retry_after } => {
                self.trouble = Trouble::Passing;
                self.back_off(policy, retry_after, draw, now);
            }
            Failure::Unknown => {
                self.trouble = Trouble::Passing;
                self.back_off(policy, None, draw, now);
            }
            Failure::Unexplained { retry_after } => {
                // Rule B6: "in a row over [5 min] with nothing usable".
                let (missing, early) = match self.trouble {
                    Trouble::Unexplained { missing, early } => (missing, early),
                    Trouble::None | Trouble::Passing | Trouble::Misconfigured => {
                        (policy.unexplained.count, Pause::of(policy.unexplained.window, now))
                    }
                };
                self.trouble = Trouble::Unexplained { missing: missing.saturating_sub(1), early };
                self.back_off(policy, retry_after, draw, now);
            }
            Failure::Misconfigured { retry_after } => {
                self.trouble = Trouble::Misconfigured;
                // Rule B6: "tried again on a backoff of [30 s to 10 min]".
                let Backoff { base, cap } = policy.misconfigured;
                let drawn = T::share(policy.misconfigured.longest(self.failures), draw).max(base);
                let asked = retry_after.unwrap_or(base);
                self.hold_off(drawn.max(asked).min(cap), now);
            }
        }
    }

    /// Takes in that a refresh of unknown outcome was sent at `sent`. Rule B6: "What may follow
    /// MUST depend on what the server is declared to do with a refresh token seen twice".
    fn doubt(&mut self, policy: &Policy<T>, sent: T, attempt: Attempt, now: T) {
        self.credential = match (self.credential, attempt, policy.reuse.bearing()) {
            // The grant that it presented is no longer the one that is held.
            (credential, Attempt::Outrun, _) | (credential, Attempt::Ordinary, Bearing::Always) => {
                credential
            }
            // Where the window closed while a retry was out, that retry does not open it anew.
            (_, Attempt::Ordinary, Bearing::Never)
            | (Credential::Doubted, Attempt::Ordinary, Bearing::Within(_)) => Credential::Doubted,
            (Credential::DoubtedUntil(until), Attempt::Ordinary, Bearing::Within(_)) => {
                Credential::DoubtedUntil(until)
            }
            (
                Credential::Absent | Credential::Ready | Credential::Declined,
                Attempt::Ordinary,
                Bearing::Within(window),
            ) => {
                let until = sent.saturating_add(window);
                if now < until { Credential::DoubtedUntil(until) } else { Credential::Doubted }
            }
        };
    }

    /// Holds the next refresh off. Rule B7: "Backoff MUST be drawn between nothing and base [1 s] ×
    /// 2^(failures − 1), at most [60 s], and MUST be correct at any number of failures."
    fn back_off(&mut self, policy: &Policy<T>, retry_after: Option<T::Span>, draw: Draw, now: T) {
        // Rule B6: "tries go on at the backoff's cap".
        let longest = if self.trouble.lasts(now) {
            policy.backoff.cap
        } else {
            policy.backoff.longest(self.failures)
        };
        let longest = match (self.credential, policy.reuse.bearing()) {
            // Rule B6: "after a backoff of at most an eighth of it".
            (Credential::DoubtedUntil(_), Bearing::Within(window)) => {
                longest.min(T::halved(window, 3))
            }
            (Credential::DoubtedUntil(_), Bearing::Never | Bearing::Always)
            | (
                Credential::Absent | Credential::Ready | Credential::Doubted | Credential::Declined,
                _,
            ) => longest,
        };
        let drawn = T::share(longest, draw);
        // Rule B6: "honours `Retry-After`, up to [1 h]".
        let asked = retry_after.unwrap_or(T::zero()).min(policy.retry_after_cap);
        self.hold_off(drawn.max(asked), now);
    }

    /// Counts a failure, and holds the next refresh off for `delay`.
    fn hold_off(&mut self, delay: T::Span, now: T) {
        self.failures = self.failures.saturating_add(1);
        let instant = now.saturating_add(delay);
        self.pause = match self.pause {
            // An answer that comes late and dead does not shorten what was asked for before it.
            Pause::Until { instant: earlier, .. } if earlier > instant => self.pause,
            Pause::Until { .. } | Pause::Over => Pause::of(delay, now),
        };
    }

    /// A new epoch with a grant (rules B4, B9).
    fn installed(
        &mut self,
        policy: &Policy<T>,
        token: Option<TokenTimes<T>>,
        intent: Option<T>,
        now: T,
    ) -> Effect<T> {
        self.end_epoch();
        self.credential = Credential::Ready;
        if let Some(sent) = intent {
            self.doubt(policy, sent.min(now), Attempt::Ordinary, now);
        }
        let Some(token) = token else {
            return Effect::KeepRefreshToken;
        };
        let schedule = Schedule::of(policy, token, now);
        match schedule.freshness(now) {
            Freshness::Lapsed => Effect::KeepRefreshToken,
            Freshness::Fresh | Freshness::Due => self.publish(schedule, now),
        }
    }

    /// Rule B11: "Logging out MUST end the epoch".
    fn cleared(&mut self) -> Effect<T> {
        self.end_epoch();
        Effect::Withdraw
    }

    /// Rule B9: "A login or a logout MUST make both whole."
    fn end_epoch(&mut self) {
        self.holding = Holding::Nothing;
        self.credential = Credential::Absent;
        self.flight = Flight::Idle;
        self.flights.landed = self.flights.started;
        self.flights.ended = self.flights.started;
        self.failures = 0;
        self.trouble = Trouble::None;
        self.superseded = Pause::Over;
        self.pause = Pause::Over;
        self.budget = Budget::Full;
        self.rejections = Rejections::WHOLE;
    }

    /// Rule B13: "A refresh MUST have a deadline [30 s], after which it is *unknown* if it was sent". Its result
    /// still counts.
    fn time_passed(&mut self, policy: &Policy<T>, draw: Draw, now: T) -> Effect<T> {
        match self.flight {
            Flight::Out { sent, deadline, attempt } if now >= deadline => {
                let open = Pause::of(policy.refresh_deadline, now);
                self.flight = Flight::Overdue { attempt, open };
                self.doubt(policy, sent, attempt, now);
                self.fail(policy, Failure::Unknown, draw, now);
                Effect::EndAttempt
            }
            Flight::Out { .. } | Flight::Overdue { .. } | Flight::Idle => Effect::Nothing,
        }
    }
}
