//! What may be waited for: rule B12.

use perennial::lifecycle::formal::{
    Budget, Credential, Flight, Holding, Parts, Pause, Refund, Rejections, Trouble, observed,
};
use perennial::lifecycle::{
    Delay, Effect, Ending, Event, Lifecycle, Policy, RawPolicy, State, apply,
};
use perennial::time::{Draw, Time};

use super::parts::{Declared, by_clock, declared};
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

/// Whether the machine has seen `now` already, so that to see it again changes nothing: what
/// `poll_timeout` brings about before it does anything else, and `observed_at` shows of every state.
///
/// # Errors
/// Says what it has not seen.
pub fn settled<T: Time>(policy: &RawPolicy<T>, parts: &Parts<T>, now: T) -> Verdict {
    if let Holding::Token(held) = parts.holding {
        ensure(held.freshness >= by_clock(&held.schedule, now), "its token is older")?;
    }
    let is_seen = |pause| match pause {
        Pause::Over => true,
        Pause::Until { instant, at_most } => {
            now < instant && instant <= now.saturating_add(at_most)
        }
    };
    ensure(is_seen(parts.pause), "its backoff is another")?;
    ensure(is_seen(parts.superseded), "what it waits for is another")?;
    if let Trouble::Unexplained { early, .. } = parts.trouble {
        ensure(is_seen(early), "its refusals are others")?;
    }
    let Rejections { spent, renewed, refund } = parts.rejections;
    ensure(is_seen(renewed), "its allowance is another")?;
    if let Refund::Given(pause) | Refund::Owed(pause) = refund {
        ensure(pause != Pause::Over && is_seen(pause), "its allowance is another")?;
    }
    ensure(spent == 0 || renewed != Pause::Over, "its allowance is another")?;
    if let Budget::FullAt(instant) = parts.budget {
        let latest = now.saturating_add(policy.budget_window);
        ensure(now < instant && instant <= latest, "its budget is another")?;
    }
    if let Credential::InDoubtUntil(until) = parts.credential {
        let Declared::Answers(window) = declared(policy.reuse) else {
            return Err("it has a window, and the server has none");
        };
        ensure(now < until && until <= now.saturating_add(window), "its window is another")?;
    }
    match parts.flight {
        Flight::Idle => Ok(()),
        Flight::Overdue { open, .. } => ensure(is_seen(open), "what it waits for is another"),
        Flight::Out { sent, deadline, .. } => {
            let latest = now.saturating_add(policy.refresh_deadline);
            ensure(sent <= now && deadline <= latest, "its deadline is another")?;
            match parts.credential {
                Credential::InDoubtUntil(until) => {
                    ensure(deadline <= until, "its deadline is another")
                }
                _ => Ok(()),
            }
        }
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
