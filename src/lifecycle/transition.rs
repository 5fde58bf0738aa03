//! The transition function: every event in every state, written out. Callers' requests are handled
//! in `request.rs`.

use super::Lifecycle;
use super::event::{Effect, Event, Failure, Novelty};
use super::outcome::{Failed, Installed, Refreshed};
use super::policy::{Backoff, Policy, Reuse, Tolerance};
use super::schedule::{Freshness, Schedule, TokenTimes};
use super::state::{
    Acceptance, Attempt, Budget, Credential, Flight, FlightId, Generation, Held, Holding, Pause,
    Rejections, Trouble,
};
use crate::time::{Draw, Time};

/// Returns the next state, and what to do, after `event` has happened at `now`.
///
/// The function is pure. Any `now` is allowed, also one that goes back ([A5](crate::spec#a-time));
/// an event that comes late, early or twice is harmless ([B12](crate::spec#b-the-client-machine)).
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
    /// Does what [`apply`] does, in place.
    pub(super) fn advance(&mut self, policy: &Policy<T>, event: Event<T>, now: T) -> Effect<T> {
        self.observe(policy, now);
        match event {
            Event::Requested { usable_for } => self.requested(policy, usable_for, now).into(),
            Event::Refreshed { flight, token, novelty, draw } => {
                self.refreshed(policy, flight, token, novelty, draw, now).into()
            }
            Event::RefreshFailed { flight, failure, draw } => {
                self.refresh_failed(policy, flight, failure, draw, now).into()
            }
            Event::Rejected { generation } => self.rejected(policy, generation, now).into(),
            Event::Accepted { generation } => {
                self.accepted(generation);
                Effect::Nothing
            }
            Event::Recovered { generation } => {
                self.recovered(policy, generation, now);
                Effect::Nothing
            }
            Event::Installed { token, intent } => self.installed(policy, token, intent, now).into(),
            Event::Cleared => {
                self.cleared();
                Effect::Withdraw
            }
            Event::TimePassed { draw } => self.time_passed(policy, draw, now).into(),
        }
    }

    /// Latches what `now` shows as facts, and pulls in instants that are further ahead than
    /// possible, since the clock went back (rule A5).
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
        if let Credential::InDoubtUntil(until) = self.credential {
            self.credential = match policy.reuse.tolerance() {
                Tolerance::Within(window) if now < until => {
                    Credential::InDoubtUntil(until.min(now.saturating_add(window)))
                }
                Tolerance::Within(_) | Tolerance::Never => Credential::InDoubt,
                Tolerance::Always => Credential::Ready,
            };
        }
        self.flight = match self.flight {
            Flight::Idle => Flight::Idle,
            Flight::Out { sent, deadline, attempt } => {
                let deadline = deadline.min(now.saturating_add(policy.refresh_deadline));
                let deadline = match self.credential {
                    // A retry still ends within its window, which may have been pulled in just now.
                    Credential::InDoubtUntil(until) => deadline.min(until),
                    Credential::Absent
                    | Credential::Ready
                    | Credential::InDoubt
                    | Credential::Declined => deadline,
                };
                Flight::Out { sent: sent.min(now), deadline, attempt }
            }
            Flight::Overdue { attempt, open } => {
                Flight::Overdue { attempt, open: open.observed(now) }
            }
        };
    }

    /// Rules B4, B10, B14: a result counts unless a newer one has landed or the epoch ended, and
    /// its refresh token is kept even if its access token is unusable.
    pub(super) fn refreshed(
        &mut self,
        policy: &Policy<T>,
        flight: FlightId,
        token: TokenTimes<T>,
        novelty: Novelty,
        draw: Draw,
        now: T,
    ) -> Refreshed {
        // Rule B4: "A result MUST NOT overwrite what a newer refresh, a login or a logout left."
        if flight.0 <= self.flights.ended {
            return Refreshed::ReleaseOrphan;
        }
        if flight.0 <= self.flights.landed || flight.0 > self.flights.started {
            return Refreshed::Discard;
        }
        // Rule B14: "a late answer whose repetition is out is persisted at once, and is handed out once the
        // repetition has landed or has met its deadline".
        if let (Flight::Out { .. }, Reuse::ConfirmByUse, true) =
            (self.flight, policy.reuse, flight.0 < self.flights.started)
        {
            return Refreshed::HoldBack;
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
            (Novelty::Same, Holding::Token(held)) => match held.acceptance {
                Acceptance::Withdrawn | Acceptance::WithdrawnPaid => true,
                Acceptance::Untried | Acceptance::Accepted => !schedule.outlives(&held.schedule),
            },
        };
        // Rule B10: it "MUST count as a failed refresh and back off". Rule B14: "A refresh token
        // that was received MUST NOT be thrown away while its grant is installed".
        if stillborn || stale {
            self.trouble = Trouble::Passing;
            self.back_off(policy, None, draw, now);
            return Refreshed::KeepRefreshToken;
        }
        self.failures = 0;
        self.trouble = Trouble::None;
        self.pause = Pause::Over;
        Refreshed::Publish { generation: self.publish(schedule, now) }
    }

    fn publish(&mut self, schedule: Schedule<T>, now: T) -> Generation {
        self.generation.number += 1;
        self.holding = Holding::Token(Held {
            schedule,
            freshness: schedule.freshness(now),
            acceptance: Acceptance::Untried,
        });
        self.generation
    }

    /// Rules B3, B5, B6: a failure ends its own attempt and touches no token.
    pub(super) fn refresh_failed(
        &mut self,
        policy: &Policy<T>,
        flight: FlightId,
        failure: Failure<T>,
        draw: Draw,
        now: T,
    ) -> Failed {
        // Rule B3: "A superseded result MUST change nothing".
        if flight.0 != self.flights.started {
            return Failed::Nothing;
        }
        match (self.flight, failure) {
            (Flight::Idle, _) => Failed::Nothing,
            (Flight::Out { attempt, .. } | Flight::Overdue { attempt, .. }, Failure::Declined) => {
                self.flight = Flight::Idle;
                match attempt {
                    // The grant that it presented has been replaced.
                    Attempt::Outrun => {}
                    Attempt::Ordinary => {
                        self.credential = Credential::Declined;
                        self.superseded = Pause::Over;
                        self.trouble = Trouble::None;
                    }
                }
                Failed::EndAttempt
            }
            (
                Flight::Out { .. },
                Failure::Unavailable { .. }
                | Failure::Misconfigured { .. }
                | Failure::Unexplained { .. },
            ) => {
                self.flight = Flight::Idle;
                self.fail(policy, failure, draw, now);
                Failed::EndAttempt
            }
            (Flight::Out { sent, attempt, .. }, Failure::Unknown) => {
                self.flight = Flight::Idle;
                self.doubt(policy, sent, attempt, now);
                self.fail(policy, failure, draw, now);
                Failed::EndAttempt
            }
            // It already counts as unknown. But no late response is waited for any more.
            (
                Flight::Overdue { .. },
                Failure::Unavailable { .. }
                | Failure::Misconfigured { .. }
                | Failure::Unexplained { .. }
                | Failure::Unknown,
            ) => {
                self.flight = Flight::Idle;
                Failed::EndAttempt
            }
        }
    }

    /// Records how a refresh failed, and delays the next one (rules B6, B7).
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

    /// Records that a refresh of unknown outcome was sent at `sent`. Rule B6: "What may follow MUST
    /// depend on what the server is declared to do with a refresh token seen twice".
    fn doubt(&mut self, policy: &Policy<T>, sent: T, attempt: Attempt, now: T) {
        self.credential = match (self.credential, attempt, policy.reuse.tolerance()) {
            // The grant that it presented has been replaced.
            (credential, Attempt::Outrun, _)
            | (credential, Attempt::Ordinary, Tolerance::Always) => credential,
            // Where the window closed while a retry was out, that retry does not open it anew.
            (_, Attempt::Ordinary, Tolerance::Never)
            | (Credential::InDoubt, Attempt::Ordinary, Tolerance::Within(_)) => Credential::InDoubt,
            (Credential::InDoubtUntil(until), Attempt::Ordinary, Tolerance::Within(_)) => {
                Credential::InDoubtUntil(until)
            }
            (
                Credential::Absent | Credential::Ready | Credential::Declined,
                Attempt::Ordinary,
                Tolerance::Within(window),
            ) => {
                let until = sent.saturating_add(window);
                if now < until { Credential::InDoubtUntil(until) } else { Credential::InDoubt }
            }
        };
    }

    /// Delays the next refresh. Rule B7: "Backoff MUST be drawn between nothing and base [1 s] ×
    /// 2^(failures − 1), at most [60 s], and MUST be correct at any number of failures."
    fn back_off(&mut self, policy: &Policy<T>, retry_after: Option<T::Span>, draw: Draw, now: T) {
        // Rule B6: "tries go on at the backoff's cap".
        let longest = if self.trouble.lasts(now) {
            policy.backoff.cap
        } else {
            policy.backoff.longest(self.failures)
        };
        let longest = match (self.credential, policy.reuse.tolerance()) {
            // Rule B6: "after a backoff of at most an eighth of it".
            (Credential::InDoubtUntil(_), Tolerance::Within(window)) => {
                longest.min(T::halved(window, 3))
            }
            (Credential::InDoubtUntil(_), Tolerance::Never | Tolerance::Always)
            | (
                Credential::Absent | Credential::Ready | Credential::InDoubt | Credential::Declined,
                _,
            ) => longest,
        };
        let drawn = T::share(longest, draw);
        // Rule B6: "honours `Retry-After`, up to [1 h]".
        let asked = retry_after.unwrap_or(T::zero()).min(policy.retry_after_cap);
        self.hold_off(drawn.max(asked), now);
    }

    /// Counts a failure, and delays the next refresh by `delay`.
    fn hold_off(&mut self, delay: T::Span, now: T) {
        self.failures = self.failures.saturating_add(1);
        let instant = now.saturating_add(delay);
        self.pause = match self.pause {
            // A late response with an expired token does not shorten an earlier, longer delay.
            Pause::Until { instant: earlier, .. } if earlier > instant => self.pause,
            Pause::Until { .. } | Pause::Over => Pause::of(delay, now),
        };
    }

    /// Begins a new epoch with a grant (rules B4, B9).
    pub(super) fn installed(
        &mut self,
        policy: &Policy<T>,
        token: Option<TokenTimes<T>>,
        intent: Option<T>,
        now: T,
    ) -> Installed {
        self.end_epoch();
        self.credential = Credential::Ready;
        if let Some(sent) = intent {
            self.doubt(policy, sent.min(now), Attempt::Ordinary, now);
        }
        let Some(token) = token else {
            return Installed::KeepRefreshToken;
        };
        let schedule = Schedule::of(policy, token, now);
        match schedule.freshness(now) {
            Freshness::Lapsed => Installed::KeepRefreshToken,
            Freshness::Fresh | Freshness::Due => {
                Installed::Publish { generation: self.publish(schedule, now) }
            }
        }
    }

    /// Rule B11: "Logging out MUST end the epoch".
    pub(super) fn cleared(&mut self) {
        self.end_epoch();
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

    /// Rule B13: "A refresh MUST have a deadline [30 s], after which it is *unknown* if it was
    /// sent". Its result still counts.
    pub(super) fn time_passed(&mut self, policy: &Policy<T>, draw: Draw, now: T) -> Failed {
        match self.flight {
            Flight::Out { sent, deadline, attempt } if now >= deadline => {
                let open = Pause::of(policy.refresh_deadline, now);
                self.flight = Flight::Overdue { attempt, open };
                self.doubt(policy, sent, attempt, now);
                self.fail(policy, Failure::Unknown, draw, now);
                Failed::EndAttempt
            }
            Flight::Out { .. } | Flight::Overdue { .. } | Flight::Idle => Failed::Nothing,
        }
    }
}
