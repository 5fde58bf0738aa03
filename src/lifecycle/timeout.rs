//! When the machine changes by itself, and what changes (rule B12).

use super::Lifecycle;
use super::event::{Delay, Ending};
use super::outcome::Requested;
use super::policy::Policy;
use super::schedule::Schedule;
use super::state::{Budget, Credential, Flight, Holding, Pause, State, Trouble};
use crate::time::Time;

/// The next instant at which the machine changes without an event, and why.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Timeout<T: Time> {
    /// When it happens.
    pub at: T,
    /// What happens then.
    pub reason: TimeoutReason,
}

/// Why a [`Timeout`] happens.
///
/// Exhaustive on purpose: the machine has no other deadline.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum TimeoutReason {
    /// The token becomes due for refresh: refresh it to keep it fresh without traffic.
    Due,
    /// The token is no longer handed out.
    Lapse,
    /// The refresh in flight reaches its deadline: poll it once more, then report
    /// [`Event::TimePassed`](super::Event::TimePassed).
    RefreshDeadline,
    /// The backoff is over, and the next refresh may start.
    BackoffOver,
    /// The budget allows another refresh.
    BudgetAllows,
    /// The server no longer accepts the refresh token a second time.
    WindowClosed,
    /// The refresh token may be presented again, although it may have been used.
    DoubtOver,
    /// The server has refused for so long without saying why that a login may be needed.
    LoginMayHelp,
}

/// Everything that a caller can see without an event.
#[derive(PartialEq)]
struct Outlook<T: Time> {
    state: State,
    served: Served<T>,
    overdue: bool,
}

/// What a caller would get, without the identity and deadline of a refresh that would start.
#[derive(PartialEq)]
enum Served<T: Time> {
    Token,
    TokenAndStart,
    Start,
    Wait,
    BackOff(T, Delay),
    LogIn(Ending),
}

impl<T: Time> Lifecycle<T> {
    /// Returns the next instant after `now` at which anything visible changes without an event;
    /// `None` if nothing will.
    ///
    /// Nothing visible changes before it without an event, and something does at it. The result
    /// holds until the next event. Calling late, early or twice is harmless.
    // Rule B12: it "MUST be nothing or later than `now`, and exact: nothing visible changes before
    // it without an event, and something does at it".
    pub fn poll_timeout(&self, policy: &Policy<T>, now: T) -> Option<Timeout<T>> {
        let mut here = *self;
        here.observe(policy, now);
        let present = here.outlook(policy, now);
        let mut next: Option<Timeout<T>> = None;
        for candidate in here.candidates(policy).into_iter().flatten() {
            let sooner = next.is_none_or(|found| candidate.at < found.at);
            if candidate.at > now && sooner && here.outlook(policy, candidate.at) != present {
                next = Some(candidate);
            }
        }
        next
    }

    /// Every instant of the state at which something might change. If several coincide, the first
    /// in the list is the reason: what must be acted on comes first.
    fn candidates(&self, policy: &Policy<T>) -> [Option<Timeout<T>>; 9] {
        let timeout = |at, reason| Some(Timeout { at, reason });
        let over = |pause, reason| match pause {
            Pause::Until { instant, .. } => timeout(instant, reason),
            Pause::Over => None,
        };
        let (due, last_chance, lapse) = match self.holding {
            Holding::Nothing => (None, None, None),
            Holding::Token(held) => match held.schedule {
                Schedule::UntilRejected => (None, None, None),
                Schedule::Timed(deadlines) => (
                    timeout(deadlines.refresh_after, TimeoutReason::Due),
                    timeout(deadlines.last_chance(policy), TimeoutReason::DoubtOver),
                    timeout(deadlines.unusable_from, TimeoutReason::Lapse),
                ),
            },
        };
        let deadline = match self.flight {
            Flight::Out { deadline, .. } => timeout(deadline, TimeoutReason::RefreshDeadline),
            Flight::Overdue { .. } | Flight::Idle => None,
        };
        let open = over(self.late_answers(), TimeoutReason::DoubtOver);
        let backoff = over(self.pause, TimeoutReason::BackoffOver);
        let login = match self.trouble {
            Trouble::Unexplained { early, .. } => over(early, TimeoutReason::LoginMayHelp),
            Trouble::None | Trouble::Passing | Trouble::Misconfigured => None,
        };
        let budget = match self.budget {
            Budget::FullAt(full_at) => timeout(
                full_at.saturating_add(policy.budget.interval).saturating_sub(policy.budget.window),
                TimeoutReason::BudgetAllows,
            ),
            Budget::Full => None,
        };
        let window = match self.credential {
            Credential::InDoubtUntil(until) => timeout(until, TimeoutReason::WindowClosed),
            Credential::Absent | Credential::Ready | Credential::InDoubt | Credential::Declined => {
                None
            }
        };
        [deadline, lapse, due, backoff, budget, window, last_chance, open, login]
    }

    fn outlook(&self, policy: &Policy<T>, now: T) -> Outlook<T> {
        let mut next = *self;
        let served = match next.handle_requested(policy, now) {
            Requested::Use => Served::Token,
            Requested::UseAndStartRefresh(_) => Served::TokenAndStart,
            Requested::StartRefresh(_) => Served::Start,
            Requested::Wait { .. } => Served::Wait,
            Requested::BackOff { until, reason } => Served::BackOff(until, reason),
            Requested::LogIn(ending) => Served::LogIn(ending),
        };
        let overdue = match self.flight {
            Flight::Out { deadline, .. } => now >= deadline,
            Flight::Idle | Flight::Overdue { .. } => false,
        };
        Outlook { state: self.state(now), served, overdue }
    }
}
