//! What may be waited for: rule B12.

use perennial::lifecycle::formal::observed;
use perennial::lifecycle::{
    Delay, Effect, Ending, Event, Lifecycle, Policy, State, apply,
};
use perennial::time::{Draw, Time};

use super::{Verdict, ensure};
use crate::step::Look;

/// Everything that a caller can see without an event.
#[derive(Copy, Clone, PartialEq)]
struct Seen<T: Time> {
    state: State,
    starts: bool,
    served: bool,
    refused: Option<(T, Delay)>,
    ending: Option<Ending>,
    overdue: bool,
}

fn seen<T: Time>(policy: &Policy<T>, machine: Lifecycle<T>, now: T) -> Seen<T> {
    let answer = apply(policy, machine, Event::Requested { usable_for: T::zero() }, now).1;
    let told = apply(policy, machine, Event::TimePassed { draw: Draw::NONE }, now).1;
    let (mut refused, mut ending) = (None, None);
    if let Effect::BackOff { until, reason } = answer {
        refused = Some((until, reason));
    }
    if let Effect::LogIn(found) = answer {
        ending = Some(found);
    }
    Seen {
        state: machine.state(now),
        starts: answer.start().is_some(),
        served: answer.hands_out(),
        refused,
        ending,
        overdue: told == Effect::EndAttempt,
    }
}

pub(super) fn exact<T: Time>(look: &Look<T>) -> Verdict {
    let Look { now, then, .. } = *look;
    let policy = Policy::from(look.policy);
    let shown = observed(&policy, look.machine.into(), now);
    let next = Lifecycle::from(look.machine).poll_timeout(&policy, now);
    let here = seen(&policy, shown, now);
    if let Some(next) = next {
        ensure(now < next.at, "a timeout that is not later than now")?;
        ensure(seen(&policy, shown, next.at) != here, "nothing changes at the timeout")?;
        if next.at <= then {
            return Ok(());
        }
    }
    if then <= now {
        return Ok(());
    }
    ensure(seen(&policy, shown, then) == here, "something changes before the timeout")
}
