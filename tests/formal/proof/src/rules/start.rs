//! Which refreshes start: rules B3, B5, B6, B9.

use perennial::lifecycle::formal::{Acceptance, Attempt, Flight, Holding, Parts, Pause, flight_id};
use perennial::lifecycle::{Cause, Effect, Event, Freshness};
use perennial::time::Time;

use super::credential::held_off_by_doubt;
use super::parts::{by_clock, is_final, is_out, is_withdrawn, token, usable};
use super::payment::{can_be_paid, is_free};
use super::trouble::held_off_by_misconfiguration;
use super::{Verdict, ensure};
use crate::step::Step;

pub(super) fn one_out<T: Time>(step: &Step<T>) -> Verdict {
    let Step { before, shown, after, now, effect, .. } = *step;
    let Some(start) = effect.start() else {
        ensure(after == shown, "nothing was started, and something changed")?;
        if let Flight::Out { deadline, .. } = shown.flight
            && !effect.hands_out()
        {
            return ensure(effect == Effect::Wait { until: deadline }, "not joined");
        }
        return ensure(!matches!(effect, Effect::Wait { .. }), "made to wait for nothing");
    };
    ensure(!is_out(&before), "a second refresh beside the one that is out")?;
    ensure(after.started == before.started + 1, "an identity was skipped or used again")?;
    ensure(start.flight == flight_id(after.started), "sent under another identity")?;
    let flight = Flight::Out { sent: now, deadline: start.deadline, attempt: Attempt::Ordinary };
    ensure(after.flight == flight, "what is out is not what was sent")?;
    ensure(start.cause == cause(step), "sent for another reason")?;
    let mut holding = shown.holding;
    if let Holding::Token(held) = &mut holding
        && held.acceptance == Acceptance::WithdrawnPaid
    {
        held.acceptance = Acceptance::Withdrawn;
    }
    let Parts { started, superseded, budget, .. } = after;
    let rest = Parts { holding, flight, started, superseded, budget, ..shown };
    ensure(after == rest, "a refresh that starts changed more than that it is out, and paid for")
}

/// Why a refresh would be sent.
fn cause<T: Time>(step: &Step<T>) -> Cause {
    match token(&step.shown) {
        None => Cause::NoToken,
        Some(held) if is_withdrawn(held.acceptance) => Cause::Rejected,
        Some(_) if !usable(&step.shown, step.now) => Cause::Lapsed,
        Some(_) if step.effect.hands_out() => Cause::Due,
        Some(_) => Cause::TooBrief,
    }
}

/// A refresh is wanted where there is nothing to hand out, where the token is due, and where it does not
/// last for as long as the caller wants. What may stand in its way: the grant, a doubt, a
/// misconfiguration, the backoff, the budget.
pub(super) fn wanted<T: Time>(step: &Step<T>) -> Verdict {
    let (Step { shown, now, effect, .. }, Event::Requested { usable_for }) = (*step, step.event)
    else {
        return Ok(());
    };
    let starts = effect.start().is_some();
    let wanted = match token(&shown) {
        Some(held) if usable(&shown, now) => {
            held.freshness == Freshness::Due
                || by_clock(&held.schedule, now.saturating_add(usable_for)) == Freshness::Lapsed
        }
        Some(_) | None => true,
    };
    if !wanted {
        return ensure(!starts && effect == Effect::Use, "a refresh that nobody wants");
    }
    let hindered = is_out(&shown)
        || is_final(shown.credential)
        || held_off_by_doubt(step).is_some()
        || held_off_by_misconfiguration(step)
        || shown.pause != Pause::Over
        || !(is_free(&shown) || can_be_paid(step));
    if hindered {
        return ensure(!starts, "started, and something stands in its way");
    }
    ensure(starts, "nothing stands in its way, and it does not start")
}
