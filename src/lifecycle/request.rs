//! Handling a caller that wants a token: use what works, join the refresh in flight, start what is
//! needed and permitted.

use super::Lifecycle;
use super::event::{Cause, Delay, Ending, Start};
use super::outcome::Requested;
use super::policy::{Policy, Tolerance};
use super::schedule::{Freshness, Schedule};
use super::state::{
    Acceptance, Attempt, Budget, Credential, Flight, FlightId, Held, Holding, Pause, Trouble,
};
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
    Granted(Budget<T>),
    Later {
        until: T,
        reason: Delay,
    },
    /// Not while the held token works, which is until it is rejected.
    WhenRejected,
    Never(Ending),
}

impl<T: Time> Lifecycle<T> {
    /// Rules B2, B3, B5, B8: use what works, join the refresh in flight, start what is needed.
    pub(super) fn requested(
        &mut self,
        policy: &Policy<T>,
        usable_for: T::Span,
        now: T,
    ) -> Requested<T> {
        let service = self.service(usable_for, now);
        let cause = match (service, self.flight) {
            (Service::Fresh, Flight::Idle | Flight::Overdue { .. } | Flight::Out { .. })
            | (Service::Due, Flight::Out { .. }) => return Requested::Use,
            (
                Service::TooBrief | Service::Lapsed | Service::Rejected | Service::NoToken,
                Flight::Out { deadline, .. },
                // Rule B3: "At most one refresh MUST be out." Rule B8: "Where a refresh is out
                // already it MUST be joined".
            ) => return Requested::Wait { until: deadline },
            (Service::Due, Flight::Idle | Flight::Overdue { .. }) => Cause::Due,
            (Service::TooBrief, Flight::Idle | Flight::Overdue { .. }) => Cause::TooBrief,
            (Service::Lapsed, Flight::Idle | Flight::Overdue { .. }) => Cause::Lapsed,
            (Service::Rejected, Flight::Idle | Flight::Overdue { .. }) => Cause::Rejected,
            (Service::NoToken, Flight::Idle | Flight::Overdue { .. }) => Cause::NoToken,
        };
        match (cause, self.permit(policy, now)) {
            (Cause::Due, Permit::Granted(budget)) => {
                Requested::UseAndStartRefresh(self.start(policy, budget, cause, now))
            }
            (_, Permit::Granted(budget)) => {
                Requested::StartRefresh(self.start(policy, budget, cause, now))
            }
            // Rule B5: "callers get it until it lapses, and the next try waits for backoff".
            (Cause::Due, Permit::Later { .. } | Permit::Never(_)) | (_, Permit::WhenRejected) => {
                Requested::Use
            }
            (_, Permit::Later { until, reason }) => Requested::BackOff { until, reason },
            (_, Permit::Never(ending)) => Requested::LogIn(ending),
        }
    }

    fn service(&self, usable_for: T::Span, now: T) -> Service {
        let held = match &self.holding {
            Holding::Nothing => return Service::NoToken,
            Holding::Token(held) => held,
        };
        match held.acceptance {
            Acceptance::Withdrawn | Acceptance::WithdrawnPaid => return Service::Rejected,
            Acceptance::Untried | Acceptance::Accepted => {}
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
        match self.credential {
            Credential::Absent => return Permit::Never(Ending::NoGrant),
            // Rule B6: "no further refresh starts until another grant comes".
            Credential::Declined => return Permit::Never(Ending::Declined),
            Credential::InDoubt => {
                if let Some(held_off) = self.held_off_by_doubt(policy, now) {
                    return held_off;
                }
            }
            Credential::Ready | Credential::InDoubtUntil(_) => {}
        }
        if let Some(held_off) = self.held_off_by_misconfiguration(policy, now) {
            return held_off;
        }
        if let Pause::Until { instant, .. } = self.pause {
            return Permit::Later { until: instant, reason: Delay::Failure };
        }
        if self.is_free() {
            return Permit::Granted(self.budget);
        }
        match self.budget.less_one(policy, now) {
            Ok(paid) => Permit::Granted(paid),
            Err(until) => Permit::Later { until, reason: Delay::Budget },
        }
    }

    /// Rule B6: "nothing until [one refresh deadline], or an eighth of the lifetime where that is
    /// less, before the old token becomes unusable; then, for at most one more refresh deadline,
    /// the late answer to a request that is still open is waited for".
    fn held_off_by_doubt(&self, policy: &Policy<T>, now: T) -> Option<Permit<T>> {
        let reason = Delay::Doubt;
        match self.usable_schedule(now) {
            // Such a token is never due and never too brief, so no refresh is needed.
            Some(Schedule::UntilRejected) => return Some(Permit::WhenRejected),
            Some(Schedule::Timed(deadlines)) => {
                let until = deadlines.last_chance(policy);
                if now < until {
                    return Some(Permit::Later { until, reason });
                }
            }
            None => {}
        }
        match self.late_answers() {
            Pause::Until { instant: until, .. } => Some(Permit::Later { until, reason }),
            Pause::Over => None,
        }
    }

    /// For how long the late response to any request that presented the refresh token in doubt is
    /// waited for (rule B6).
    pub(super) fn late_answers(&self) -> Pause<T> {
        match self.flight {
            Flight::Overdue { open, .. } => open.or_longer(self.superseded),
            Flight::Idle | Flight::Out { .. } => self.superseded,
        }
    }

    /// Rule B6: "and, where the server refuses a refresh token seen twice, not while the old token is
    /// usable".
    fn held_off_by_misconfiguration(&self, policy: &Policy<T>, now: T) -> Option<Permit<T>> {
        match (self.trouble, policy.reuse.tolerance()) {
            (Trouble::Misconfigured, Tolerance::Never) => match self.usable_schedule(now)? {
                Schedule::UntilRejected => Some(Permit::WhenRejected),
                Schedule::Timed(deadlines) => Some(Permit::Later {
                    until: deadlines.unusable_from,
                    reason: Delay::Misconfigured,
                }),
            },
            (Trouble::Misconfigured, Tolerance::Within(_) | Tolerance::Always)
            | (Trouble::None | Trouble::Passing | Trouble::Unexplained { .. }, _) => None,
        }
    }

    /// The schedule of the held token, if it may be handed out.
    fn usable_schedule(&self, now: T) -> Option<Schedule<T>> {
        match self.holding {
            Holding::Token(held) if held.usable(now) => Some(held.schedule),
            Holding::Token(_) | Holding::Nothing => None,
        }
    }

    /// Whether the next refresh costs nothing. Rule B9: "A refresh is free where the token that it
    /// replaces had reached its `refresh_after`, and where there is none to replace."
    fn is_free(&self) -> bool {
        match self.holding {
            Holding::Nothing => true,
            Holding::Token(Held { freshness: Freshness::Due | Freshness::Lapsed, .. }) => true,
            Holding::Token(Held { freshness: Freshness::Fresh, acceptance, .. }) => {
                match acceptance {
                    // It was paid for when the token was rejected.
                    Acceptance::WithdrawnPaid => true,
                    Acceptance::Untried | Acceptance::Accepted | Acceptance::Withdrawn => false,
                }
            }
        }
    }

    fn start(&mut self, policy: &Policy<T>, budget: Budget<T>, cause: Cause, now: T) -> Start<T> {
        let whole = now.saturating_add(policy.refresh_deadline);
        let deadline = match self.credential {
            // Rule B6: "retries, each ending within the declared window".
            Credential::InDoubtUntil(until) => whole.min(until),
            Credential::Absent | Credential::Ready | Credential::InDoubt | Credential::Declined => {
                whole
            }
        };
        if let Holding::Token(held) = &mut self.holding {
            held.acceptance = match held.acceptance {
                // This is what was paid for; any further one is paid from the budget (rule B9).
                Acceptance::WithdrawnPaid => Acceptance::Withdrawn,
                Acceptance::Untried | Acceptance::Accepted | Acceptance::Withdrawn => {
                    held.acceptance
                }
            };
        }
        // Rule B6: a retry within the window supersedes an overdue refresh, whose late response
        // still counts.
        self.superseded = match self.credential {
            Credential::InDoubtUntil(_) => self.late_answers(),
            Credential::Absent | Credential::Ready | Credential::InDoubt | Credential::Declined => {
                Pause::Over
            }
        };
        self.flights.started += 1;
        self.budget = budget;
        self.flight = Flight::Out { sent: now, deadline, attempt: Attempt::Ordinary };
        Start { flight: FlightId(self.flights.started), deadline, cause }
    }
}
