//! Handling what resource servers say about the held token: accepted, rejected, or that a refresh
//! helped.

use super::Lifecycle;
use super::outcome::Rejected;
use super::policy::Policy;
use super::schedule::{Freshness, Schedule};
use super::state::{Acceptance, Flight, Generation, Holding};
use crate::time::Time;

impl<T: Time> Lifecycle<T> {
    /// Rule B8: "A rejection names the generation that the request carried. A stale one MUST change
    /// nothing; a current one MUST make the token unusable at once where rule B9 pays for its
    /// replacement, and else MUST change nothing".
    pub(super) fn rejected(
        &mut self,
        policy: &Policy<T>,
        generation: Generation,
        now: T,
    ) -> Rejected {
        let held = match &mut self.holding {
            Holding::Token(held) if generation == self.generation => held,
            Holding::Token(_) | Holding::Nothing => return Rejected::Nothing,
        };
        match (held.acceptance, held.freshness, self.flight) {
            (Acceptance::Withdrawn | Acceptance::WithdrawnPaid, _, _) => return Rejected::Nothing,
            // Rule B8: "nor is a token withdrawn that has worked, while the backoff holds its
            // replacement off for longer than a refresh may take".
            (
                Acceptance::Accepted,
                Freshness::Fresh | Freshness::Due,
                Flight::Idle | Flight::Overdue { .. },
            ) if self.pause.lasts_beyond(now.saturating_add(policy.refresh_deadline)) => {
                return Rejected::KeepUsing;
            }
            // Another token is on its way, or is free.
            (Acceptance::Untried | Acceptance::Accepted, _, Flight::Out { .. })
            | (
                Acceptance::Untried | Acceptance::Accepted,
                Freshness::Due | Freshness::Lapsed,
                Flight::Idle | Flight::Overdue { .. },
            ) => held.acceptance = Acceptance::Withdrawn,
            (Acceptance::Untried, Freshness::Fresh, Flight::Idle | Flight::Overdue { .. }) => {
                match self.budget.less_one(policy, now) {
                    Ok(paid) => self.budget = paid,
                    Err(_) => return Rejected::KeepUsing,
                }
                held.acceptance = Acceptance::WithdrawnPaid;
            }
            (Acceptance::Accepted, Freshness::Fresh, Flight::Idle | Flight::Overdue { .. }) => {
                let lifetime = match held.schedule {
                    Schedule::UntilRejected => None,
                    Schedule::Timed(deadlines) => Some(deadlines.lifetime()),
                };
                match self.rejections.less_one(policy, lifetime, now) {
                    Some(paid) => self.rejections = paid,
                    None => return Rejected::KeepUsing,
                }
                held.acceptance = Acceptance::WithdrawnPaid;
            }
        }
        Rejected::Withdraw
    }

    pub(super) fn accepted(&mut self, generation: Generation) {
        match &mut self.holding {
            Holding::Token(held) if generation == self.generation => match held.acceptance {
                Acceptance::Untried => held.acceptance = Acceptance::Accepted,
                Acceptance::Accepted | Acceptance::Withdrawn | Acceptance::WithdrawnPaid => {}
            },
            Holding::Token(_) | Holding::Nothing => {}
        }
    }

    /// Rule B9: "one is given back, no sooner than [1 s] after the last, where the rejected request
    /// succeeds with the successor". It also counts as accepted.
    pub(super) fn recovered(&mut self, policy: &Policy<T>, generation: Generation, now: T) {
        match self.holding {
            Holding::Token(_) if generation == self.generation => {
                self.rejections = self.rejections.helped(policy, now);
            }
            Holding::Token(_) | Holding::Nothing => {}
        }
        self.accepted(generation);
    }
}
