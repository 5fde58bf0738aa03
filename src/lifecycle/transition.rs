//! The transition function: every event in every state, written out. What answers a caller's
//! request is in `request.rs`.

use super::Lifecycle;
use super::event::{Effect, Event, Failure, Novelty};
use super::policy::{Policy, Reuse};
use super::schedule::{Freshness, Schedule, TokenTimes};
use super::state::{
    Attempt, Budget, Credential, Flight, FlightId, Generation, Held, Holding, Pause, Standing,
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
            Event::Rejected { generation } => self.rejected(generation),
            Event::Accepted { generation } => self.accepted(generation),
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
        if let Pause::Until { instant, at_most } = self.pause {
            self.pause = if now >= instant {
                Pause::Over
            } else {
                Pause::Until { instant: instant.min(now.saturating_add(at_most)), at_most }
            };
        }
        if let Budget::FullAt(instant) = self.budget {
            self.budget = if now >= instant {
                Budget::Full
            } else {
                Budget::FullAt(instant.min(now.saturating_add(policy.budget.window)))
            };
        }
        if let Credential::DoubtedUntil(until) = self.credential {
            self.credential = match policy.reuse {
                Reuse::OverlapAccessOnly(window)
                | Reuse::OverlapSuccessors(window)
                | Reuse::Idempotent(window)
                    if now < until =>
                {
                    Credential::DoubtedUntil(until.min(now.saturating_add(window)))
                }
                Reuse::OverlapAccessOnly(_)
                | Reuse::OverlapSuccessors(_)
                | Reuse::Idempotent(_)
                | Reuse::Strict => Credential::Doubted,
                Reuse::ConfirmByUse | Reuse::Unrotated => Credential::Ready,
            };
        }
        if let Flight::Out { sent, deadline, attempt } = self.flight {
            let deadline = deadline.min(now.saturating_add(policy.refresh_deadline));
            let deadline = match self.credential {
                // A retry still ends within its window, which may have been pulled in just now.
                Credential::DoubtedUntil(until) => deadline.min(until),
                Credential::Absent
                | Credential::Ready
                | Credential::Doubted
                | Credential::Unsettled
                | Credential::Declined => deadline,
            };
            self.flight = Flight::Out { sent: sent.min(now), deadline, attempt };
        }
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
        self.flights.landed = flight.0;
        self.credential = Credential::Ready;
        self.flight = if flight.0 == self.flights.started {
            Flight::Idle
        } else {
            match self.flight {
                Flight::Idle => Flight::Idle,
                Flight::Overdue { .. } => Flight::Overdue { attempt: Attempt::Outrun },
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
                Standing::RejectedUntried | Standing::RejectedAccepted => true,
                Standing::Untried | Standing::Accepted => !schedule.outlives(&held.schedule),
            },
        };
        // Rule B10: it "MUST count as a failed refresh and back off". Rule B14: "A refresh token
        // that was received MUST NOT be thrown away while its grant is installed".
        if stillborn || stale {
            self.back_off(policy, None, draw, now);
            return Effect::KeepRefreshToken;
        }
        self.failures = 0;
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
            (Flight::Out { attempt: Attempt::Outrun, .. }, Failure::Declined) => {
                self.flight = Flight::Idle;
                Effect::EndAttempt
            }
            (Flight::Out { .. }, Failure::Declined) => {
                self.flight = Flight::Idle;
                self.credential = Credential::Declined;
                Effect::EndAttempt
            }
            (
                Flight::Out { .. },
                Failure::Unavailable { retry_after }
                | Failure::Misconfigured { retry_after }
                | Failure::Unexplained { retry_after },
            ) => {
                self.flight = Flight::Idle;
                self.back_off(policy, retry_after, draw, now);
                Effect::EndAttempt
            }
            (Flight::Out { sent, attempt, .. }, Failure::Unknown) => {
                self.flight = Flight::Idle;
                self.doubt(policy, sent, attempt, now);
                self.back_off(policy, None, draw, now);
                Effect::EndAttempt
            }
            // Already judged unknown. That the server declines is news all the same.
            (Flight::Overdue { attempt }, Failure::Declined) => {
                self.flight = Flight::Idle;
                match attempt {
                    Attempt::Outrun => Effect::Nothing,
                    Attempt::Ordinary | Attempt::LastResort => {
                        self.credential = Credential::Declined;
                        Effect::EndAttempt
                    }
                }
            }
            (
                Flight::Overdue { .. },
                Failure::Unavailable { .. }
                | Failure::Misconfigured { .. }
                | Failure::Unexplained { .. }
                | Failure::Unknown,
            ) => Effect::Nothing,
        }
    }

    /// Takes in that a refresh of unknown outcome was sent at `sent`. Rule B6: "what may follow
    /// MUST depend on what the server is declared to do with a refresh token seen twice".
    fn doubt(&mut self, policy: &Policy<T>, sent: T, attempt: Attempt, now: T) {
        self.credential = match (self.credential, attempt, policy.reuse) {
            (_, Attempt::LastResort, _) => Credential::Unsettled,
            // The grant that it presented is no longer the one that is held.
            (credential, Attempt::Outrun, _)
            | (credential, Attempt::Ordinary, Reuse::ConfirmByUse | Reuse::Unrotated) => credential,
            // Where the window closed while a retry was out, that retry does not open it anew.
            (_, Attempt::Ordinary, Reuse::Strict)
            | (
                Credential::Doubted,
                Attempt::Ordinary,
                Reuse::OverlapAccessOnly(_) | Reuse::OverlapSuccessors(_) | Reuse::Idempotent(_),
            ) => Credential::Doubted,
            (
                Credential::DoubtedUntil(until),
                Attempt::Ordinary,
                Reuse::OverlapAccessOnly(_) | Reuse::OverlapSuccessors(_) | Reuse::Idempotent(_),
            ) => Credential::DoubtedUntil(until),
            (
                Credential::Absent
                | Credential::Ready
                | Credential::Unsettled
                | Credential::Declined,
                Attempt::Ordinary,
                Reuse::OverlapAccessOnly(window)
                | Reuse::OverlapSuccessors(window)
                | Reuse::Idempotent(window),
            ) => {
                let until = sent.saturating_add(window);
                if now < until { Credential::DoubtedUntil(until) } else { Credential::Doubted }
            }
        };
    }

    /// Counts a failure, and holds the next refresh off. Rule B7: "Backoff MUST be drawn between
    /// nothing and base [1 s] × 2^(failures − 1), at most [60 s], and MUST be correct at any number
    /// of failures."
    fn back_off(&mut self, policy: &Policy<T>, retry_after: Option<T::Span>, draw: Draw, now: T) {
        let longest = T::doubled(policy.backoff_base, self.failures).min(policy.backoff_cap);
        self.failures = self.failures.saturating_add(1);
        let drawn = T::share(longest, draw);
        // Rule B6: "honours `Retry-After`, up to [1 h]".
        let delay = match retry_after {
            Some(asked) => drawn.max(asked.min(policy.retry_after_cap)),
            None => drawn,
        };
        let instant = now.saturating_add(delay);
        let (instant, delay) = match self.pause {
            // An answer that comes late and dead does not shorten what was asked for before it.
            Pause::Until { instant: earlier, at_most } if earlier > instant => (earlier, at_most),
            Pause::Until { .. } | Pause::Over => (instant, delay),
        };
        // Without a delay, and at the end of time, there is nothing to wait for.
        self.pause =
            if instant > now { Pause::Until { instant, at_most: delay } } else { Pause::Over };
    }

    /// Rule B8: "A rejection names the generation that the request carried. A stale one MUST change
    /// nothing; a current one MUST make the token unusable at once."
    fn rejected(&mut self, generation: Generation) -> Effect<T> {
        match &mut self.holding {
            Holding::Token(held) if generation == self.generation => match held.standing {
                Standing::Untried => {
                    held.standing = Standing::RejectedUntried;
                    Effect::Withdraw
                }
                Standing::Accepted => {
                    held.standing = Standing::RejectedAccepted;
                    Effect::Withdraw
                }
                Standing::RejectedUntried | Standing::RejectedAccepted => Effect::Nothing,
            },
            Holding::Token(_) | Holding::Nothing => Effect::Nothing,
        }
    }

    fn accepted(&mut self, generation: Generation) -> Effect<T> {
        match &mut self.holding {
            Holding::Token(held) if generation == self.generation => match held.standing {
                Standing::Untried => held.standing = Standing::Accepted,
                Standing::Accepted | Standing::RejectedUntried | Standing::RejectedAccepted => {}
            },
            Holding::Token(_) | Holding::Nothing => {}
        }
        Effect::Nothing
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

    /// Rule B9: "A login or a logout MUST fill it again."
    fn end_epoch(&mut self) {
        self.holding = Holding::Nothing;
        self.credential = Credential::Absent;
        self.flight = Flight::Idle;
        self.flights.landed = self.flights.started;
        self.flights.ended = self.flights.started;
        self.failures = 0;
        self.pause = Pause::Over;
        self.budget = Budget::Full;
    }

    /// Rule B13: "A refresh MUST have a deadline [30 s], after which it is *unknown*." Its result
    /// still counts.
    fn time_passed(&mut self, policy: &Policy<T>, draw: Draw, now: T) -> Effect<T> {
        match self.flight {
            Flight::Out { sent, deadline, attempt } if now >= deadline => {
                self.flight = Flight::Overdue { attempt };
                self.doubt(policy, sent, attempt, now);
                self.back_off(policy, None, draw, now);
                Effect::EndAttempt
            }
            Flight::Out { .. } | Flight::Overdue { .. } | Flight::Idle => Effect::Nothing,
        }
    }
}
