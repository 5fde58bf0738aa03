//! When a turn changes by itself, and what is to be done then.

use super::event::GiveUpReason;
use super::outcome::TimePassed;
use super::policy::Policy;
use super::turn::{Lease, Limit, Phase, Renewal, State, Tenure, Turn};
use crate::time::Time;

/// The next instant at which a turn changes without an event, and why.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Timeout<T: Time> {
    /// When to report [`Event::TimePassed`](super::Event::TimePassed).
    pub at: T,
    /// What happens then.
    pub reason: TimeoutReason,
}

/// Why a [`Timeout`] happens.
///
/// Exhaustive on purpose: a turn has no other deadline.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum TimeoutReason {
    /// The term of the lease ends.
    LeaseOver,
    /// The refresh reaches its deadline.
    RefreshDeadline,
    /// Another holder was waited for as long as the policy allows.
    WaitLimit,
    /// The store is to be asked for the lease again.
    Poll,
    /// The lease is to be renewed.
    Renewal,
}

/// Everything that a holder can see without an event.
#[derive(PartialEq)]
struct Outlook {
    state: State,
    task: Task,
}

/// What is to be done at some instant.
#[derive(PartialEq)]
enum Task {
    Nothing,
    Acquire,
    Renew,
    Lost,
    Release,
    GiveUp(Why),
}

/// Why nothing is sent.
#[derive(PartialEq)]
enum Why {
    Busy,
    Unreachable,
    Lost,
    Overdue,
    TermTooShort,
    WentBack,
}

impl<T: Time> Turn<T> {
    /// Returns the next instant after `now` at which [`Turn::state`], or what
    /// [`Turn::handle_timeout`] returns, changes without an event; `None` if neither will.
    ///
    /// Nothing visible changes before it without an event, and something does at it. The result
    /// holds until the next event. Calling late, early or twice is harmless.
    pub fn poll_timeout(&self, policy: &Policy<T>, now: T) -> Option<Timeout<T>> {
        let mut here = *self;
        here.observe(now);
        let present = here.outlook(policy, now);
        let mut next: Option<Timeout<T>> = None;
        for (limit, reason) in here.candidates().into_iter().flatten() {
            let Limit::At { instant: at, .. } = limit else { continue };
            let sooner = next.is_none_or(|found| at < found.at);
            if at > now && sooner && here.outlook(policy, at) != present {
                next = Some(Timeout { at, reason });
            }
        }
        next
    }

    /// Every limit of the turn. If several coincide, the first in the list is the reason.
    fn candidates(&self) -> [Option<(Limit<T>, TimeoutReason)>; 3] {
        match self.phase {
            Phase::Idle | Phase::Lost { .. } | Phase::Released | Phase::Over => [None; 3],
            Phase::Asking { queue, .. } => {
                [Some((queue.give_up, TimeoutReason::WaitLimit)), None, None]
            }
            Phase::Waiting { queue, poll } => [
                Some((queue.give_up, TimeoutReason::WaitLimit)),
                Some((poll, TimeoutReason::Poll)),
                None,
            ],
            Phase::Holding(Lease { tenure, deadline, .. }) => {
                let deadline = Some((deadline, TimeoutReason::RefreshDeadline));
                match tenure {
                    Tenure::Unlimited => [deadline, None, None],
                    Tenure::Until { end, renewal } => {
                        let renewal = match renewal {
                            Renewal::At(limit) => Some((limit, TimeoutReason::Renewal)),
                            Renewal::Asked(_) | Renewal::None => None,
                        };
                        [Some((end, TimeoutReason::LeaseOver)), deadline, renewal]
                    }
                }
            }
        }
    }

    fn outlook(&self, policy: &Policy<T>, now: T) -> Outlook {
        let mut next = *self;
        let task = match next.handle_timeout(policy, now) {
            TimePassed::Nothing => Task::Nothing,
            TimePassed::Acquire { .. } => Task::Acquire,
            TimePassed::Renew { .. } => Task::Renew,
            TimePassed::Lost => Task::Lost,
            TimePassed::Release { .. } => Task::Release,
            TimePassed::GiveUp(reason) => Task::GiveUp(match reason {
                GiveUpReason::Busy { .. } => Why::Busy,
                GiveUpReason::Unreachable => Why::Unreachable,
                GiveUpReason::Lost => Why::Lost,
                GiveUpReason::Overdue => Why::Overdue,
                GiveUpReason::TermTooShort => Why::TermTooShort,
                GiveUpReason::WentBack => Why::WentBack,
            }),
        };
        Outlook { state: self.state(now), task }
    }
}
