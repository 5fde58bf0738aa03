//! What happens while the lease is held: sending under it, renewing it, losing it, releasing it.

use super::event::{Found, GiveUpReason, Term};
use super::outcome::{Acquired, Answered, Failed, Finished, Outpaced, Prepared, Renewed};
use super::policy::Policy;
use super::turn::{Lease, Limit, Phase, Renewal, Stage, Tenure, Turn};
use crate::time::Time;

impl<T: Time> Turn<T> {
    /// Handles a request that can be sent: call it immediately before. See [`Event::Prepared`].
    ///
    /// [`Event::Prepared`]: super::Event::Prepared
    // Rule F3: "Immediately before sending, the lease and the version MUST be checked, and at least a
    // margin of the term be left".
    pub fn handle_prepared(&mut self, policy: &Policy<T>, version: u64, now: T) -> Prepared<T> {
        self.observe(now);
        let lease = match self.phase {
            Phase::Holding(lease) => lease,
            Phase::Idle
            | Phase::Asking { .. }
            | Phase::Waiting { .. }
            | Phase::Lost { .. }
            | Phase::Released
            | Phase::Over => return Prepared::GiveUp(GiveUpReason::Lost),
        };
        match lease.stage {
            Stage::Preparing | Stage::Ready => {}
            Stage::Sent => return Prepared::Nothing,
            Stage::Abandoned => return Prepared::GiveUp(GiveUpReason::Lost),
        }
        if version < self.version {
            return Prepared::GiveUp(self.abandon(lease, GiveUpReason::WentBack));
        }
        self.version = version;
        if lease.is_over() {
            return Prepared::GiveUp(self.abandon(lease, GiveUpReason::Lost));
        }
        if lease.deadline == Limit::Over {
            return Prepared::GiveUp(self.abandon(lease, GiveUpReason::Overdue));
        }
        if lease.lasts(policy, now) {
            self.phase = Phase::Holding(Lease { stage: Stage::Sent, ..lease });
            return Prepared::Send;
        }
        let mut lease = Lease { stage: Stage::Ready, ..lease };
        let outcome = match lease.tenure {
            Tenure::Until { renewal: Renewal::Asked(_), .. } => Prepared::Nothing,
            Tenure::Until { renewal: Renewal::At(_) | Renewal::None, .. } | Tenure::Unlimited => {
                lease.tenure = lease.tenure.asked(now);
                Prepared::Renew { fence: lease.fence, term: policy.term }
            }
        };
        self.phase = Phase::Holding(lease);
        outcome
    }

    /// Handles a lease that the store has renewed. See [`Event::Renewed`].
    ///
    /// [`Event::Renewed`]: super::Event::Renewed
    pub fn handle_renewed(
        &mut self,
        policy: &Policy<T>,
        term: Term<T>,
        version: u64,
        now: T,
    ) -> Renewed<T> {
        self.observe(now);
        let lease = match self.phase {
            Phase::Holding(lease) => lease,
            // Once lost, it is not held again.
            Phase::Lost { fence } => return Renewed::Release { fence },
            Phase::Idle
            | Phase::Asking { .. }
            | Phase::Waiting { .. }
            | Phase::Released
            | Phase::Over => return Renewed::Nothing,
        };
        let (end, asked) = match lease.tenure {
            Tenure::Until { end, renewal: Renewal::Asked(asked) } => (end, asked),
            Tenure::Until { renewal: Renewal::At(_) | Renewal::None, .. } | Tenure::Unlimited => {
                return Renewed::Nothing;
            }
        };
        if version < self.version {
            let tenure = Tenure::Until { end, renewal: Renewal::None };
            let lease = Lease { tenure, ..lease };
            return match lease.stage {
                Stage::Sent => {
                    self.phase = Phase::Lost { fence: lease.fence };
                    Renewed::Nothing
                }
                Stage::Abandoned => {
                    self.phase = Phase::Holding(lease);
                    Renewed::Nothing
                }
                Stage::Preparing | Stage::Ready => {
                    Renewed::GiveUp(self.abandon(lease, GiveUpReason::WentBack))
                }
            };
        }
        self.version = version;
        let was_over = lease.is_over();
        let lease = Lease { tenure: Tenure::of(term, asked, now), ..lease };
        self.phase = Phase::Holding(lease);
        match (lease.stage, was_over) {
            (Stage::Abandoned, _) | (Stage::Preparing | Stage::Sent, false) => Renewed::Nothing,
            // Once lost, it is not held again.
            (Stage::Sent, true) => {
                self.phase = Phase::Lost { fence: lease.fence };
                Renewed::Release { fence: lease.fence }
            }
            (Stage::Preparing | Stage::Ready, true) => {
                Renewed::GiveUp(self.abandon(lease, GiveUpReason::Lost))
            }
            (Stage::Ready, false) => self.send_renewed(policy, lease, now),
        }
    }

    /// Handles a write or a renewal that found somebody else's. See [`Event::Outpaced`].
    ///
    /// [`Event::Outpaced`]: super::Event::Outpaced
    pub fn handle_outpaced(&mut self, policy: &Policy<T>, now: T) -> Outpaced<T> {
        self.observe(now);
        match self.phase {
            Phase::Asking { queue, .. } => match queue.give_up {
                Limit::Over => {
                    self.phase = Phase::Over;
                    Outpaced::GiveUp(GiveUpReason::Busy { until: queue.until() })
                }
                Limit::At { .. } => {
                    self.phase = Phase::Asking { queue, asked: now };
                    Outpaced::Acquire { term: policy.term }
                }
            },
            Phase::Holding(lease) => match lease.stage {
                Stage::Preparing | Stage::Ready => {
                    Outpaced::GiveUp(self.abandon(lease, GiveUpReason::Lost))
                }
                Stage::Sent => {
                    self.phase = Phase::Lost { fence: lease.fence };
                    Outpaced::Lost
                }
                Stage::Abandoned => Outpaced::Nothing,
            },
            Phase::Idle
            | Phase::Waiting { .. }
            | Phase::Lost { .. }
            | Phase::Released
            | Phase::Over => Outpaced::Nothing,
        }
    }

    /// Handles a store that could not be asked. See [`Event::Failed`].
    ///
    /// [`Event::Failed`]: super::Event::Failed
    pub fn handle_failed(&mut self, now: T) -> Failed<T> {
        self.observe(now);
        match self.phase {
            Phase::Asking { .. } => {
                self.phase = Phase::Over;
                Failed::GiveUp(GiveUpReason::Unreachable)
            }
            Phase::Holding(lease) => {
                let renewal = |end| match lease.stage {
                    Stage::Preparing | Stage::Sent => Renewal::again(end, now),
                    Stage::Ready | Stage::Abandoned => Renewal::None,
                };
                let tenure = match lease.tenure {
                    Tenure::Until { end, renewal: Renewal::Asked(_) } => {
                        Tenure::Until { end, renewal: renewal(end) }
                    }
                    tenure @ (Tenure::Until { renewal: Renewal::At(_) | Renewal::None, .. }
                    | Tenure::Unlimited) => tenure,
                };
                let lease = Lease { tenure, ..lease };
                self.phase = Phase::Holding(lease);
                match lease.stage {
                    Stage::Ready => Failed::GiveUp(self.abandon(lease, GiveUpReason::Unreachable)),
                    Stage::Preparing | Stage::Sent | Stage::Abandoned => Failed::Nothing,
                }
            }
            Phase::Idle
            | Phase::Waiting { .. }
            | Phase::Lost { .. }
            | Phase::Released
            | Phase::Over => Failed::Nothing,
        }
    }

    /// Handles a response with a grant, which is kept in any case. See [`Event::Answered`].
    ///
    /// [`Event::Answered`]: super::Event::Answered
    // Rule F3: "What is received after it was lost MUST be kept, and stored only where nobody has
    // written meanwhile."
    pub fn handle_answered(&mut self, now: T) -> Answered {
        self.observe(now);
        let after = self.version;
        match self.phase {
            Phase::Holding(lease) if lease.is_over() => Answered::StoreUnlessOutpaced { after },
            Phase::Holding(lease) => match lease.stage {
                Stage::Sent => Answered::Store { after },
                Stage::Preparing | Stage::Ready | Stage::Abandoned => {
                    Answered::StoreUnlessOutpaced { after }
                }
            },
            Phase::Idle
            | Phase::Asking { .. }
            | Phase::Waiting { .. }
            | Phase::Lost { .. }
            | Phase::Released
            | Phase::Over => Answered::StoreUnlessOutpaced { after },
        }
    }

    /// Handles the end of the turn, also of one that is called off. See [`Event::Finished`].
    ///
    /// A lease that is lost is released as well: the store compares the fencing number, and keeps a
    /// lease that another holder has acquired since.
    ///
    /// [`Event::Finished`]: super::Event::Finished
    pub fn handle_finished(&mut self, now: T) -> Finished {
        self.observe(now);
        let phase = self.phase;
        self.phase = Phase::Over;
        match phase {
            Phase::Holding(Lease { fence, .. }) | Phase::Lost { fence } => {
                Finished::Release { fence }
            }
            Phase::Idle
            | Phase::Asking { .. }
            | Phase::Waiting { .. }
            | Phase::Released
            | Phase::Over => Finished::Nothing,
        }
    }

    /// Sends under a lease that was renewed for that, or gives up: it is renewed once.
    // Rule F3: "under one that cannot be renewed nothing may be sent".
    fn send_renewed(&mut self, policy: &Policy<T>, lease: Lease<T>, now: T) -> Renewed<T> {
        match lease.deadline {
            Limit::Over => Renewed::GiveUp(self.abandon(lease, GiveUpReason::Overdue)),
            Limit::At { .. } if lease.lasts(policy, now) => {
                self.phase = Phase::Holding(Lease { stage: Stage::Sent, ..lease });
                Renewed::Send
            }
            Limit::At { .. } => Renewed::GiveUp(self.abandon(lease, GiveUpReason::TermTooShort)),
        }
    }

    /// Ends the turn without a request, and returns why. The lease is released when that is reported
    /// as finished.
    pub(super) fn abandon(&mut self, lease: Lease<T>, reason: GiveUpReason<T>) -> GiveUpReason<T> {
        self.phase = Phase::Holding(Lease { stage: Stage::Abandoned, ..lease });
        reason
    }
}

impl<T: Time> Lease<T> {
    /// Returns what follows from what the store holds, read after the lease was acquired.
    pub(super) fn begin(policy: &Policy<T>, term: Term<T>, found: Found<T>, now: T) -> Acquired<T> {
        match (found, term) {
            // Rule F3: "a newer usable grant MUST be adopted rather than refreshed".
            (Found::Newer, _) => Acquired::Adopt,
            (Found::Unchanged | Found::Note { .. }, Term::For(span)) if span < policy.margin => {
                Acquired::GiveUp(GiveUpReason::TermTooShort)
            }
            (Found::Unchanged, Term::WhileHeld | Term::For(_)) => {
                Acquired::Prepare { intent: None }
            }
            // A note from the future: the clocks differ.
            (Found::Note { sent }, Term::WhileHeld | Term::For(_)) => {
                Acquired::Prepare { intent: Some(sent.min(now)) }
            }
        }
    }

    /// Whether at least the margin is left of its term.
    fn lasts(&self, policy: &Policy<T>, now: T) -> bool {
        match self.tenure {
            Tenure::Unlimited => true,
            Tenure::Until { end: Limit::At { instant, .. }, .. } => {
                instant.since(now) >= policy.margin
            }
            Tenure::Until { end: Limit::Over, .. } => false,
        }
    }
}

impl<T: Time> Tenure<T> {
    /// Returns the same tenure, its renewal asked for at `now`.
    pub(super) fn asked(self, now: T) -> Self {
        match self {
            Self::Unlimited => Self::Unlimited,
            Self::Until { end, renewal: _ } => Self::Until { end, renewal: Renewal::Asked(now) },
        }
    }
}

impl<T: Time> Renewal<T> {
    /// Returns when to ask again after a failure: after half of what is left of the term.
    fn again(end: Limit<T>, now: T) -> Self {
        match end {
            Limit::Over => Self::None,
            Limit::At { instant, .. } => {
                match Limit::after(T::halved(instant.since(now), 1), now) {
                    Limit::Over => Self::None,
                    limit @ Limit::At { .. } => Self::At(limit),
                }
            }
        }
    }
}
