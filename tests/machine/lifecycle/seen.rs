//! What can be seen of a machine without an event, for any time.

use perennial::lifecycle::{Delay, Effect, Ending, Event, Lifecycle, Policy, State, apply};
use perennial::time::{Draw, Time};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen<T: Time> {
    pub(crate) state: State,
    pub(crate) start: bool,
    pub(crate) served: bool,
    pub(crate) refused: Option<(T, Delay)>,
    pub(crate) ending: Option<Ending>,
    pub(crate) overdue: bool,
}

pub(crate) fn seen<T: Time>(policy: &Policy<T>, machine: Lifecycle<T>, now: T) -> Seen<T> {
    let usable_for = T::zero();
    let draw = Draw::NONE;
    let answer = apply(policy, machine, Event::Requested { usable_for }, now).1;
    let (mut refused, mut ending) = (None, None);
    if let Effect::BackOff { until, reason } = answer {
        refused = Some((until, reason));
    }
    if let Effect::LogIn(found) = answer {
        ending = Some(found);
    }
    Seen {
        state: machine.state(now),
        start: matches!(answer, Effect::StartRefresh(_) | Effect::UseAndStartRefresh(_)),
        served: matches!(answer, Effect::Use | Effect::UseAndStartRefresh(_)),
        refused,
        ending,
        overdue: apply(policy, machine, Event::TimePassed { draw }, now).1 == Effect::EndAttempt,
    }
}
