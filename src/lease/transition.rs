//! The transition function: every event in every phase, written out. What happens once the lease is
//! held is in `holding.rs`.

use super::event::{Effect, Event, Found, GiveUpReason, Term};
use super::outcome::{Acquired, Busy, Changed, NewerFound, NoteFound, Started, TimePassed};
use super::policy::Policy;
use super::turn::{Lease, Limit, Note, Phase, Queue, Renewal, Stage, Tenure, Theirs, Turn};
use crate::time::Time;

/// Returns the turn after `event` at `now`, and what the holder is to do.
///
/// A pure function. Any `now` is allowed, also one that goes back ([A5](crate::spec#a-time)); an
/// event that comes late, early or twice is harmless.
pub fn apply<T: Time>(
    policy: &Policy<T>,
    turn: Turn<T>,
    event: Event<T>,
    now: T,
) -> (Turn<T>, Effect<T>) {
    let mut next = turn;
    let effect = match event {
        Event::Started { deadline } => next.handle_started(policy, deadline, now).into(),
        Event::Acquired { fence, term, found } => {
            next.handle_acquired(policy, fence, term, found, now).into()
        }
        Event::Busy { remaining } => next.handle_busy(policy, remaining, now).into(),
        Event::NoteFound { version, sent, until } => {
            next.handle_note_found(policy, version, sent, until, now).into()
        }
        Event::NewerFound => next.handle_newer_found(now).into(),
        Event::Changed => next.handle_changed(policy, now).into(),
        Event::Prepared { version } => next.handle_prepared(policy, version, now).into(),
        Event::Renewed { term, version } => next.handle_renewed(policy, term, version, now).into(),
        Event::Outpaced => next.handle_outpaced(policy, now).into(),
        Event::Failed => next.handle_failed(now).into(),
        Event::Answered => next.handle_answered(now).into(),
        Event::Finished => next.handle_finished(now).into(),
        Event::TimePassed => next.handle_timeout(policy, now).into(),
    };
    (next, effect)
}

impl<T: Time> Turn<T> {
    /// Handles the start of a refresh that has to end by `deadline`. See [`Event::Started`].
    pub fn handle_started(&mut self, policy: &Policy<T>, deadline: T, now: T) -> Started<T> {
        self.observe(now);
        match self.phase {
            Phase::Idle => {
                let deadline = Limit::at(deadline, policy.refresh_deadline, now);
                let give_up = Limit::after(policy.wait_limit, now).or_sooner(deadline);
                let queue = Queue { give_up, deadline, polls: 0, theirs: Theirs::Unknown };
                self.phase = Phase::Asking { queue, asked: now };
                Started::Acquire { term: policy.term }
            }
            Phase::Asking { .. }
            | Phase::Waiting { .. }
            | Phase::Holding(_)
            | Phase::Lost { .. }
            | Phase::Released
            | Phase::Over => Started::Nothing,
        }
    }

    /// Handles a lease that the store has granted. See [`Event::Acquired`].
    pub fn handle_acquired(
        &mut self,
        policy: &Policy<T>,
        fence: u64,
        term: Term<T>,
        found: Found<T>,
        now: T,
    ) -> Acquired<T> {
        self.observe(now);
        match self.phase {
            Phase::Asking { queue, asked } => {
                let tenure = Tenure::of(term, asked, now);
                let deadline = queue.deadline;
                let mut lease = Lease { fence, tenure, stage: Stage::Preparing, deadline };
                let outcome = if fence < self.version {
                    Acquired::GiveUp(GiveUpReason::WentBack)
                } else {
                    self.version = fence;
                    Lease::begin(policy, term, found, now)
                };
                match outcome {
                    Acquired::Prepare { .. } => {}
                    Acquired::Adopt
                    | Acquired::GiveUp(_)
                    | Acquired::Release { .. }
                    | Acquired::Nothing => lease.stage = Stage::Abandoned,
                }
                self.phase = Phase::Holding(lease);
                outcome
            }
            // It is told twice.
            Phase::Holding(lease) if lease.fence == fence => Acquired::Nothing,
            // Nobody waits for it any more.
            Phase::Idle
            | Phase::Waiting { .. }
            | Phase::Holding(_)
            | Phase::Lost { .. }
            | Phase::Released
            | Phase::Over => Acquired::Release { fence },
        }
    }

    /// Handles a store whose lease another holder has. See [`Event::Busy`].
    pub fn handle_busy(
        &mut self,
        policy: &Policy<T>,
        remaining: Option<T::Span>,
        now: T,
    ) -> Busy<T> {
        self.observe(now);
        match self.phase {
            Phase::Asking { mut queue, .. } => {
                queue.theirs = match remaining {
                    Some(remaining) => Theirs::Ends(Limit::after(remaining, now)),
                    None => Theirs::Unknown,
                };
                self.wait(policy, queue, now)
            }
            Phase::Idle
            | Phase::Waiting { .. }
            | Phase::Holding(_)
            | Phase::Lost { .. }
            | Phase::Released
            | Phase::Over => Busy::Nothing,
        }
    }

    /// Handles a note of intent in a store where notes are leases. See [`Event::NoteFound`].
    // Rule F3: "Where a store has no leases, the note of intent MUST be one, until the deadline that
    // it states, or one refresh deadline after it where it states none".
    pub fn handle_note_found(
        &mut self,
        policy: &Policy<T>,
        version: u64,
        sent: T,
        until: Option<T>,
        now: T,
    ) -> NoteFound<T> {
        self.observe(now);
        let Phase::Asking { mut queue, .. } = self.phase else {
            return NoteFound::Nothing;
        };
        if version < self.version {
            self.phase = Phase::Over;
            return NoteFound::GiveUp(GiveUpReason::WentBack);
        }
        // Rule A5: "pulled in to that"; no holder takes the lease for longer than a term.
        let found = if let Some(until) = until {
            Limit::at(until, policy.term, now)
        } else {
            let longest = policy.refresh_deadline;
            Limit::at(sent.saturating_add(longest), longest, now)
        };
        // A note seen before ends no later for being found again: the clock that wrote it may be far
        // ahead.
        let end = match self.note {
            Note::Seen { version: seen, end } if seen == version => end.or_sooner(found),
            Note::Seen { .. } | Note::Unseen => found,
        };
        self.note = Note::Seen { version, end };
        match end {
            Limit::At { .. } if version > self.version => {
                queue.theirs = Theirs::Ends(end);
                match self.wait(policy, queue, now) {
                    Busy::Wait { until } => NoteFound::Wait { until },
                    Busy::Acquire { term } => NoteFound::Acquire { term },
                    Busy::GiveUp(reason) => NoteFound::GiveUp(reason),
                    Busy::Nothing => NoteFound::Nothing,
                }
            }
            // It is over, or this holder's own.
            Limit::Over | Limit::At { .. } => {
                if queue.deadline == Limit::Over {
                    self.phase = Phase::Over;
                    return NoteFound::GiveUp(GiveUpReason::Overdue);
                }
                queue.theirs = Theirs::Unknown;
                self.phase = Phase::Asking { queue, asked: now };
                NoteFound::TakeOver { after: version, term: policy.term }
            }
        }
    }

    /// Handles a store that holds a newer usable grant. See [`Event::NewerFound`].
    pub fn handle_newer_found(&mut self, now: T) -> NewerFound {
        self.observe(now);
        match self.phase {
            Phase::Idle | Phase::Asking { .. } | Phase::Waiting { .. } => {
                self.phase = Phase::Over;
                NewerFound::Adopt
            }
            Phase::Holding(lease) => match lease.stage {
                Stage::Preparing | Stage::Ready => {
                    self.phase = Phase::Holding(Lease { stage: Stage::Abandoned, ..lease });
                    NewerFound::Adopt
                }
                Stage::Sent | Stage::Abandoned => NewerFound::Nothing,
            },
            Phase::Lost { .. } | Phase::Released | Phase::Over => NewerFound::Nothing,
        }
    }

    /// Handles a change of the store. See [`Event::Changed`].
    pub fn handle_changed(&mut self, policy: &Policy<T>, now: T) -> Changed<T> {
        self.observe(now);
        match self.phase {
            Phase::Waiting { queue, .. } => {
                self.phase = Phase::Asking { queue, asked: now };
                Changed::Acquire { term: policy.term }
            }
            Phase::Idle
            | Phase::Asking { .. }
            | Phase::Holding(_)
            | Phase::Lost { .. }
            | Phase::Released
            | Phase::Over => Changed::Nothing,
        }
    }

    /// Handles the passing of time. See [`Event::TimePassed`].
    pub fn handle_timeout(&mut self, policy: &Policy<T>, now: T) -> TimePassed<T> {
        self.observe(now);
        match self.phase {
            Phase::Asking { queue, .. } => match queue.give_up {
                Limit::Over => {
                    self.phase = Phase::Over;
                    TimePassed::GiveUp(match queue.polls {
                        0 => GiveUpReason::Unreachable,
                        1.. => GiveUpReason::Busy { until: queue.until() },
                    })
                }
                Limit::At { .. } => TimePassed::Nothing,
            },
            Phase::Waiting { queue, poll } => match (queue.give_up, poll) {
                (Limit::Over, _) => {
                    self.phase = Phase::Over;
                    TimePassed::GiveUp(GiveUpReason::Busy { until: queue.until() })
                }
                (Limit::At { .. }, Limit::Over) => {
                    self.phase = Phase::Asking { queue, asked: now };
                    TimePassed::Acquire { term: policy.term }
                }
                (Limit::At { .. }, Limit::At { .. }) => TimePassed::Nothing,
            },
            Phase::Holding(lease) => self.held(policy, lease, now),
            Phase::Idle | Phase::Lost { .. } | Phase::Released | Phase::Over => TimePassed::Nothing,
        }
    }

    /// Handles the passing of time while the lease is held.
    fn held(&mut self, policy: &Policy<T>, mut lease: Lease<T>, now: T) -> TimePassed<T> {
        let Lease { fence, stage, deadline, .. } = lease;
        match (stage, lease.is_over(), deadline) {
            (Stage::Abandoned, _, _) => TimePassed::Nothing,
            (Stage::Sent, true, _) => {
                self.phase = Phase::Lost { fence };
                TimePassed::Lost
            }
            (Stage::Preparing | Stage::Ready, true, _) => {
                TimePassed::GiveUp(self.abandon(lease, GiveUpReason::Lost))
            }
            // The outcome is unknown from here on, as the note of intent says.
            (Stage::Sent, false, Limit::Over) => {
                self.phase = Phase::Released;
                TimePassed::Release { fence }
            }
            (Stage::Preparing | Stage::Ready, false, Limit::Over) => {
                TimePassed::GiveUp(self.abandon(lease, GiveUpReason::Overdue))
            }
            (Stage::Preparing | Stage::Ready | Stage::Sent, false, Limit::At { .. }) => {
                match lease.tenure {
                    Tenure::Until { renewal: Renewal::At(Limit::Over), .. } => {
                        lease.tenure = lease.tenure.asked(now);
                        self.phase = Phase::Holding(lease);
                        TimePassed::Renew { fence, term: policy.term }
                    }
                    Tenure::Until {
                        renewal: Renewal::At(Limit::At { .. }) | Renewal::Asked(_) | Renewal::None,
                        ..
                    }
                    | Tenure::Unlimited => TimePassed::Nothing,
                }
            }
        }
    }

    /// Waits for the other holder, or gives up.
    // Rule F4: "Waiting for another holder MUST be bounded".
    fn wait(&mut self, policy: &Policy<T>, mut queue: Queue<T>, now: T) -> Busy<T> {
        let Limit::At { instant: give_up, .. } = queue.give_up else {
            self.phase = Phase::Over;
            return Busy::GiveUp(GiveUpReason::Busy { until: queue.until() });
        };
        let interval = policy.interval(queue.polls);
        queue.polls = queue.polls.saturating_add(1);
        let next = now.saturating_add(interval);
        // Sooner, where the other holder's lease ends sooner.
        let next = queue.until().map_or(next, |end| next.min(end));
        let poll = Limit::at(next, interval, now);
        match poll {
            Limit::Over => {
                self.phase = Phase::Asking { queue, asked: now };
                Busy::Acquire { term: policy.term }
            }
            Limit::At { instant, .. } => {
                self.phase = Phase::Waiting { queue, poll };
                Busy::Wait { until: instant.min(give_up) }
            }
        }
    }
}
