//! When something will change by itself, and what (rule B12).

use super::event::{Delay, Effect, Ending, Event};
use super::policy::Policy;
use super::schedule::Schedule;
use super::state::{Budget, Credential, Flight, Holding, Pause, State, Trouble};
use super::{Lifecycle, apply};
use crate::time::Time;

/// The next instant at which the machine changes without an event, and why.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Timeout<T: Time> {
    /// When.
    pub at: T,
    /// What happens then.
    pub why: Why,
}

/// What a [`Timeout`] is for.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// The token becomes due: refresh it, to keep it fresh without traffic.
    Due,
    /// The token stops being handed out.
    Lapse,
    /// The refresh that is out meets its deadline: poll it once more, then tell
    /// [`Event::TimePassed`].
    RefreshDeadline,
    /// The next refresh may start: the backoff is over.
    BackoffOver,
    /// The next refresh may start: the budget allows one again.
    BudgetAllows,
    /// The server no longer answers the refresh token a second time (rule B6).
    WindowClosed,
    /// The refresh token may be presented again, although it may have been used (rule B6).
    DoubtOver,
    /// The server has refused for so long without saying why that a login may be needed (rule B6).
    LoginMayHelp,
}

/// Everything that a caller can see without an event.
#[derive(PartialEq)]
struct Outlook<T: Time> {
    state: State,
    answer: Answer<T>,
    overdue: bool,
}

/// What a caller would be told; the identity and deadline of a refresh that would start apart.
#[derive(PartialEq)]
enum Answer<T: Time> {
    Use,
    UseAndStart,
    Start,
    Wait,
    BackOff(T, Delay),
    LogIn(Ending),
}

impl<T: Time> Lifecycle<T> {
    /// The next instant after `now` at which anything visible changes without an event; `None`
    /// where nothing will. Rule B12: it "MUST be nothing or later than `now`, and exact: nothing
    /// visible changes before it without an event, and something does at it".
    ///
    /// The answer holds until the next event. Calling late, early or twice is harmless.
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

    /// Every instant of the state at which something might change. Where several fall together the
    /// first one names the reason: what must be acted on comes first.
    fn candidates(&self, policy: &Policy<T>) -> [Option<Timeout<T>>; 9] {
        let timeout = |at, why| Some(Timeout { at, why });
        let over = |pause, why| match pause {
            Pause::Until { instant, .. } => timeout(instant, why),
            Pause::Over => None,
        };
        let (due, last_chance, lapse) = match self.holding {
            Holding::Nothing => (None, None, None),
            Holding::Token(held) => match held.schedule {
                Schedule::UntilRejected => (None, None, None),
                Schedule::Timed(deadlines) => (
                    timeout(deadlines.refresh_after, Why::Due),
                    timeout(deadlines.last_chance(policy), Why::DoubtOver),
                    timeout(deadlines.unusable_from, Why::Lapse),
                ),
            },
        };
        let deadline = match self.flight {
            Flight::Out { deadline, .. } => timeout(deadline, Why::RefreshDeadline),
            Flight::Overdue { .. } | Flight::Idle => None,
        };
        let open = over(self.late_answers(), Why::DoubtOver);
        let backoff = over(self.pause, Why::BackoffOver);
        let login = match self.trouble {
            Trouble::Unexplained { early, .. } => over(early, Why::LoginMayHelp),
            Trouble::None | Trouble::Passing | Trouble::Misconfigured => None,
        };
        let budget = match self.budget {
            Budget::FullAt(full_at) => timeout(
                full_at.saturating_add(policy.budget.interval).saturating_sub(policy.budget.window),
                Why::BudgetAllows,
            ),
            Budget::Full => None,
        };
        let window = match self.credential {
            Credential::DoubtedUntil(until) => timeout(until, Why::WindowClosed),
            Credential::Absent | Credential::Ready | Credential::Doubted | Credential::Declined => {
                None
            }
        };
        [deadline, lapse, due, backoff, budget, window, last_chance, open, login]
    }

    fn outlook(&self, policy: &Policy<T>, now: T) -> Outlook<T> {
        let request = Event::Requested { usable_for: T::zero() };
        let answer = match apply(policy, *self, request, now).1 {
            Effect::UseAndStartRefresh(_) => Answer::UseAndStart,
            Effect::StartRefresh(_) => Answer::Start,
            Effect::Wait { .. } => Answer::Wait,
            Effect::BackOff { until, reason } => Answer::BackOff(until, reason),
            Effect::LogIn(ending) => Answer::LogIn(ending),
            Effect::Use
            | Effect::Nothing
            | Effect::Publish { .. }
            | Effect::KeepRefreshToken
            | Effect::ReleaseOrphan
            | Effect::HoldBack
            | Effect::Discard
            | Effect::Withdraw
            | Effect::KeepUsing
            | Effect::EndAttempt => Answer::Use,
        };
        let overdue = match self.flight {
            Flight::Out { deadline, .. } => now >= deadline,
            Flight::Idle | Flight::Overdue { .. } => false,
        };
        Outlook { state: self.state(now), answer, overdue }
    }
}
