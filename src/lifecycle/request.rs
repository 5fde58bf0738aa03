//! A caller wants a token: use what works, join what is out, start what is needed and permitted.

use super::Lifecycle;
use super::event::{Cause, Delay, Effect, Ending, Start};
use super::policy::Policy;
use super::schedule::{Freshness, Schedule};
use super::state::{Attempt, Budget, Credential, Flight, FlightId, Held, Holding, Pause, Standing};
use crate::time::Time;

/// What the held token can do for a caller.
enum Service {
    Fresh,
    Due,
    /// It works, but not for as long as the caller wants.
    TooBrief,
    Lapsed,
    Rejected,
    NoToken,
}

/// Whether a refresh may start.
enum Permit<T: Time> {
    Granted(Attempt, Budget<T>),
    Later { until: T, reason: Delay },
    Never(Ending),
}

impl<T: Time> Lifecycle<T> {
    /// Rules B2, B3, B5, B8: use what works, join what is out, start what is needed.
    pub(super) fn requested(
        &mut self,
        policy: &Policy<T>,
        usable_for: T::Span,
        now: T,
    ) -> Effect<T> {
        let service = self.service(usable_for, now);
        let cause = match (service, self.flight) {
            (Service::Fresh, Flight::Idle | Flight::Overdue { .. } | Flight::Out { .. })
            | (Service::Due, Flight::Out { .. }) => return Effect::Use,
            (
                Service::TooBrief | Service::Lapsed | Service::Rejected | Service::NoToken,
                Flight::Out { deadline, .. },
                // Rule B3: "At most one refresh MUST be out." Rule B8: "Where a refresh is out
                // already it MUST be joined".
            ) => return Effect::Wait { until: deadline },
            (Service::Due, Flight::Idle | Flight::Overdue { .. }) => Cause::Due,
            (Service::TooBrief, Flight::Idle | Flight::Overdue { .. }) => Cause::TooBrief,
            (Service::Lapsed, Flight::Idle | Flight::Overdue { .. }) => Cause::Lapsed,
            (Service::Rejected, Flight::Idle | Flight::Overdue { .. }) => Cause::Rejected,
            (Service::NoToken, Flight::Idle | Flight::Overdue { .. }) => Cause::NoToken,
        };
        match (cause, self.permit(policy, now)) {
            (Cause::Due, Permit::Granted(attempt, budget)) => {
                Effect::UseAndStartRefresh(self.start(policy, attempt, budget, cause, now))
            }
            (_, Permit::Granted(attempt, budget)) => {
                Effect::StartRefresh(self.start(policy, attempt, budget, cause, now))
            }
            // Rule B5: "callers get it until it lapses, and the next try waits for backoff".
            (Cause::Due, Permit::Later { .. } | Permit::Never(_)) => Effect::Use,
            (_, Permit::Later { until, reason }) => Effect::BackOff { until, reason },
            (_, Permit::Never(ending)) => Effect::LogIn(ending),
        }
    }

    fn service(&self, usable_for: T::Span, now: T) -> Service {
        let held = match &self.holding {
            Holding::Nothing => return Service::NoToken,
            Holding::Token(held) => held,
        };
        match held.standing {
            Standing::RejectedUntried | Standing::RejectedAccepted => return Service::Rejected,
            Standing::Untried | Standing::Accepted => {}
        }
        let then = held.schedule.freshness(now.saturating_add(usable_for));
        match (held.freshness, then) {
            (Freshness::Lapsed, _) => Service::Lapsed,
            (Freshness::Fresh | Freshness::Due, Freshness::Lapsed) => Service::TooBrief,
            (Freshness::Fresh, Freshness::Fresh | Freshness::Due) => Service::Fresh,
            (Freshness::Due, Freshness::Fresh | Freshness::Due) => Service::Due,
        }
    }

    /// Whether a refresh may start now: the credential first (rule B6), then the backoff (rule B7),
    /// then the budget (rule B9).
    fn permit(&self, policy: &Policy<T>, now: T) -> Permit<T> {
        let attempt = match (self.credential, self.holding) {
            (Credential::Absent, _) => return Permit::Never(Ending::NoGrant),
            // Rule B6: "no further refresh starts until another grant comes".
            (Credential::Declined, _) => return Permit::Never(Ending::Declined),
            (Credential::Unsettled, _) => return Permit::Never(Ending::Unsettled),
            (Credential::Ready | Credential::DoubtedUntil(_), _) => Attempt::Ordinary,
            // Rule B6: "nothing while the old token is usable, then one more try".
            (Credential::Doubted, Holding::Token(held)) if held.usable(now) => {
                return match held.schedule {
                    Schedule::Timed(deadlines) => {
                        Permit::Later { until: deadlines.unusable_from, reason: Delay::Doubt }
                    }
                    // Such a token is never due, never too brief; nothing would be asked of it.
                    Schedule::UntilRejected => Permit::Never(Ending::Unsettled),
                };
            }
            (Credential::Doubted, Holding::Token(_) | Holding::Nothing) => Attempt::LastResort,
        };
        if let Pause::Until { instant, .. } = self.pause {
            return Permit::Later { until: instant, reason: Delay::Failure };
        }
        if self.is_free() {
            return Permit::Granted(attempt, self.budget);
        }
        // Rule B9: "paid from one budget: [5 per 30 s], as a token bucket". It is kept as the
        // instant at which it is full again.
        let full_at = match self.budget {
            Budget::Full => now,
            Budget::FullAt(instant) => instant,
        };
        let full_at = full_at.saturating_add(policy.budget.interval);
        if full_at.since(now) <= policy.budget.window {
            Permit::Granted(attempt, Budget::FullAt(full_at))
        } else {
            Permit::Later {
                until: full_at.saturating_sub(policy.budget.window),
                reason: Delay::Budget,
            }
        }
    }

    /// Whether the next refresh costs nothing. Rule B9: "A refresh is free where the token that it
    /// replaces had reached its `refresh_after`, where there is none to replace, and for the first
    /// try after the rejection of a token that had once been accepted."
    fn is_free(&self) -> bool {
        match self.holding {
            Holding::Nothing => true,
            Holding::Token(Held { freshness: Freshness::Due | Freshness::Lapsed, .. }) => true,
            Holding::Token(Held { freshness: Freshness::Fresh, standing, .. }) => match standing {
                Standing::RejectedAccepted => true,
                Standing::Untried | Standing::Accepted | Standing::RejectedUntried => false,
            },
        }
    }

    fn start(
        &mut self,
        policy: &Policy<T>,
        attempt: Attempt,
        budget: Budget<T>,
        cause: Cause,
        now: T,
    ) -> Start<T> {
        let whole = now.saturating_add(policy.refresh_deadline);
        let deadline = match self.credential {
            // Rule B6: "retries, each ending within the declared window".
            Credential::DoubtedUntil(until) => whole.min(until),
            Credential::Absent
            | Credential::Ready
            | Credential::Doubted
            | Credential::Unsettled
            | Credential::Declined => whole,
        };
        if let Holding::Token(held) = &mut self.holding {
            held.standing = match held.standing {
                // This is the try that is free; any further one is paid for (rule B9).
                Standing::RejectedAccepted => Standing::RejectedUntried,
                Standing::Untried | Standing::Accepted | Standing::RejectedUntried => held.standing,
            };
        }
        self.flights.started += 1;
        self.budget = budget;
        self.flight = Flight::Out { sent: now, deadline, attempt };
        Start { flight: FlightId(self.flights.started), deadline, cause }
    }
}
