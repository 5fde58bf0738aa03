//! What resource servers say, and what is paid for it: rules B8 and B9.

use perennial::lifecycle::formal::{
    Acceptance, Budget, Held, Holding, Parts, Pause, Refund, Rejections, generation,
};
use perennial::lifecycle::{Delay, Effect, Event, Freshness, Generation, Schedule};
use perennial::time::Time;

use super::parts::{from_now, given_back, is_out, is_withdrawn, token, usable};
use super::{Verdict, ensure};
use crate::step::Step;

/// The token that a resource server speaks of, if that is the one held.
fn named<T: Time>(step: &Step<T>, named: Generation) -> Option<Held<T>> {
    let current = named == generation(step.before.session, step.before.number);
    token(&step.shown).filter(|_| current)
}

fn with_standing<T: Time>(held: Held<T>, acceptance: Acceptance) -> Holding<T> {
    Holding::Token(Held { acceptance, ..held })
}

pub(super) fn rejected<T: Time>(step: &Step<T>) -> Verdict {
    let Step { shown, after, effect, .. } = *step;
    let (told, accepts) = match step.event {
        Event::Rejected { generation } => (generation, false),
        Event::Accepted { generation } | Event::Recovered { generation } => (generation, true),
        _ => return Ok(()),
    };
    let Some(held) = named(step, told) else {
        ensure(effect == Effect::Nothing, "what concerns no held token has an effect")?;
        return ensure(after == shown, "what concerns no held token changed something");
    };
    if accepts {
        let acceptance = match held.acceptance {
            Acceptance::Untried => Acceptance::Accepted,
            Acceptance::Accepted | Acceptance::Withdrawn | Acceptance::WithdrawnPaid => {
                held.acceptance
            }
        };
        ensure(effect == Effect::Nothing, "an acceptance has an effect")?;
        let rejections = match step.event {
            Event::Recovered { .. } => after.rejections,
            _ => shown.rejections,
        };
        let rest = Parts { holding: with_standing(held, acceptance), rejections, ..shown };
        return ensure(after == rest, "an acceptance changed more than that it was accepted");
    }
    if effect != Effect::Withdraw {
        let told = matches!(effect, Effect::Nothing | Effect::KeepUsing);
        ensure(told, "a rejection is answered by something else")?;
        return ensure(after == shown, "what does not withdraw changed something");
    }
    ensure(!is_withdrawn(held.acceptance), "withdrawn a second time")?;
    ensure(!usable(&after, step.now), "still handed out once it was withdrawn")?;
    let Some(is) = token(&after) else {
        return Err("a rejection drops what is known of the token");
    };
    let Parts { budget, rejections, .. } = after;
    let holding = with_standing(held, is.acceptance);
    let rest = Parts { holding, budget, rejections, ..shown };
    ensure(after == rest, "a rejection changed more than the token and what pays for it")
}

/// What pays for another token once this one was rejected.
enum Payment {
    Nothing,
    Budget,
    Allowance,
}

pub(super) fn payment<T: Time>(step: &Step<T>) -> Verdict {
    let Step { policy, shown, after, now, effect, .. } = *step;
    let Event::Rejected { generation } = step.event else {
        return Ok(());
    };
    let Some(held) = named(step, generation).filter(|held| !is_withdrawn(held.acceptance)) else {
        return ensure(
            effect == Effect::Nothing,
            "a rejection that concerns nothing has an effect",
        );
    };
    let worked = held.acceptance == Acceptance::Accepted && held.freshness != Freshness::Lapsed;
    let held_off = match shown.pause {
        Pause::Until { instant, .. } => instant > now.saturating_add(policy.refresh_deadline),
        Pause::Over => false,
    };
    if worked && !is_out(&shown) && held_off {
        ensure(effect == Effect::KeepUsing, "withdrawn though nothing can replace it yet")?;
        ensure(after == shown, "held off, and something changed")?;
        return ensure(usable(&after, now), "held off, and no longer of use");
    }
    let due = held.freshness != Freshness::Fresh;
    let payment = if due || is_out(&shown) {
        Payment::Nothing
    } else if held.acceptance == Acceptance::Untried {
        Payment::Budget
    } else {
        Payment::Allowance
    };
    let (budget, rejections) = (shown.budget, shown.rejections);
    let (paid, acceptance, budget, rejections) = match payment {
        Payment::Nothing => (true, Acceptance::Withdrawn, budget, rejections),
        Payment::Budget => {
            let budget = Budget::FullAt(full_at(step));
            (can_be_paid(step), Acceptance::WithdrawnPaid, budget, rejections)
        }
        Payment::Allowance => {
            let allowed = rejections.spent < policy.rejections_count;
            let rejections = if allowed { one_spent(step, &held) } else { rejections };
            (allowed, Acceptance::WithdrawnPaid, budget, rejections)
        }
    };
    if !paid {
        ensure(effect == Effect::KeepUsing, "not paid for, and withdrawn all the same")?;
        ensure(after == shown, "not paid for, and something changed")?;
        return ensure(usable(&after, now), "not paid for, and no longer of use");
    }
    ensure(effect == Effect::Withdraw, "paid for, and not withdrawn")?;
    let rest = Parts { holding: with_standing(held, acceptance), budget, rejections, ..shown };
    ensure(after == rest, "a rejection costs something else")
}

/// The allowance once one more is spent. Its window, or the lifetime of the token where that is less,
/// begins with the first.
fn one_spent<T: Time>(step: &Step<T>, held: &Held<T>) -> Rejections<T> {
    let Step { policy, shown, now, .. } = *step;
    let Rejections { spent, renewed, refund } = shown.rejections;
    let mut window = policy.rejections_window;
    if let Schedule::Timed(life) = held.schedule {
        window = window.min(life.expires_at.since(life.sent));
    }
    let renewed = if renewed == Pause::Over { from_now(window, now) } else { renewed };
    // Where its window is over at once, so is what was spent.
    let spent = if renewed == Pause::Over { 0 } else { spent + 1 };
    Rejections { spent, renewed, refund }
}

/// Whether the next refresh costs nothing.
pub(super) fn is_free<T: Time>(parts: &Parts<T>) -> bool {
    token(parts).is_none_or(|held| {
        held.freshness != Freshness::Fresh || held.acceptance == Acceptance::WithdrawnPaid
    })
}

/// When the budget is full again once one more was paid from it.
fn full_at<T: Time>(step: &Step<T>) -> T {
    let Step { policy, shown, now, .. } = *step;
    let interval = policy.budget_interval.min(policy.budget_window);
    let spent = match shown.budget {
        Budget::Full => now,
        Budget::FullAt(instant) => instant,
    };
    spent.saturating_add(interval)
}

/// Whether one more can be paid from the budget.
pub(super) fn can_be_paid<T: Time>(step: &Step<T>) -> bool {
    full_at(step).since(step.now) <= step.policy.budget_window
}

pub(super) fn budget<T: Time>(step: &Step<T>) -> Verdict {
    let Step { policy, shown, after, effect, .. } = *step;
    let pays = match step.event {
        // A login or a logout makes it whole.
        Event::Installed { .. } | Event::Cleared => return Ok(()),
        Event::Requested { .. } => effect.start().is_some() && !is_free(&shown),
        Event::Rejected { .. } => {
            let fresh = token(&shown).is_some_and(|held| {
                held.freshness == Freshness::Fresh && held.acceptance == Acceptance::Untried
            });
            effect == Effect::Withdraw && fresh && !is_out(&shown)
        }
        _ => false,
    };
    if pays {
        ensure(can_be_paid(step), "a refresh beyond the budget")?;
        ensure(after.budget == Budget::FullAt(full_at(step)), "not paid")?;
    } else {
        ensure(after.budget == shown.budget, "paid, and nothing was bought")?;
    }
    if effect.start().is_some()
        && let Some(held) = token(&after)
    {
        ensure(
            held.acceptance != Acceptance::WithdrawnPaid,
            "what was paid for once is free twice",
        )?;
    }
    if let Effect::BackOff { until, reason: Delay::Budget } = effect {
        ensure(!can_be_paid(step) && !is_free(&shown), "refused though it could be paid")?;
        ensure(step.now < until, "told to come back in the past")?;
        // By then it can be paid.
        let left = full_at(step).since(until);
        ensure(left <= policy.budget_window, "told to come back too early")?;
    }
    Ok(())
}

pub(super) fn allowance<T: Time>(step: &Step<T>) -> Verdict {
    let Step { policy, shown, after, now, .. } = *step;
    let (was, is) = (shown.rejections, after.rejections);
    match step.event {
        // A login or a logout makes it whole.
        Event::Installed { .. } | Event::Cleared => Ok(()),
        Event::Rejected { .. } => {
            ensure(is.refund == was.refund, "a rejection gives one back")?;
            if is.spent == was.spent {
                // Also where its window is over at once.
                return ensure(is == was, "nothing was spent, and the allowance is another");
            }
            ensure(is.spent == was.spent + 1, "one rejection costs more than one")?;
            ensure(is.spent <= policy.rejections_count, "more than the allowance")?;
            if let Pause::Until { .. } = was.renewed {
                return ensure(
                    is.renewed == was.renewed,
                    "its window is moved by being spent from",
                );
            }
            ensure(is.renewed != Pause::Over, "spent, and never renewed")
        }
        Event::Recovered { generation } if named(step, generation).is_some() => {
            if was.spent == 0 {
                return ensure(is == was, "what was not spent is given back");
            }
            let (spent, refund) = match was.refund {
                Refund::Ready => (was.spent - 1, given_back(policy.rejections_interval, now)),
                // One was given back too short a time ago: the next, and no more, once that is over.
                Refund::Given(pause) | Refund::Owed(pause) => (was.spent, Refund::Owed(pause)),
            };
            let rest = Rejections { spent, refund, ..was };
            ensure(is == rest, "a refresh helped, and it is not given back as it should be")
        }
        Event::Requested { .. }
        | Event::Refreshed { .. }
        | Event::RefreshFailed { .. }
        | Event::Accepted { .. }
        | Event::Recovered { .. }
        | Event::TimePassed { .. } => {
            ensure(is == was, "the allowance is changed by something else")
        }
    }
}
