//! The server's machine: rules A1, A5, D1, D2, D3, D4.

use perennial::rotation::{Effect, Event, RefusalReason, Reuse, Row, State, Tolerance};
use perennial::time::Time;

use super::{Verdict, ensure};
use crate::turn::Turn;

fn is_served(effect: Effect) -> bool {
    match effect {
        Effect::IssueSuccessor { .. }
        | Effect::RepeatSuccessor { .. }
        | Effect::IssueSibling { .. }
        | Effect::RenewAccess => true,
        Effect::Nothing | Effect::Refuse(_) | Effect::RevokeFamily => false,
    }
}

fn is_issued(effect: Effect) -> bool {
    matches!(effect, Effect::IssueSuccessor { .. })
}

/// Whether a lifetime of the family before the step has passed.
fn is_over<T: Time>(turn: &Turn<T>) -> bool {
    let Turn { policy, before, now, .. } = *turn;
    policy.absolute.is_some_and(|lifetime| now >= before.began.saturating_add(lifetime))
        || policy.idle.is_some_and(|lifetime| now >= before.used.saturating_add(lifetime))
}

/// What was presented, where the family lives.
fn presented_to_the_living<T: Time>(turn: &Turn<T>) -> Option<u64> {
    match turn.event {
        Event::Presented { number } => (!turn.before.revoked && !is_over(turn)).then_some(number),
        Event::Confirmed { .. } | Event::Revoked => None,
    }
}

/// How long an overlap is, and how often it may be used.
fn overlap<T: Time>(reuse: Reuse<T>) -> Option<(T::Span, u32)> {
    match reuse {
        Reuse::OverlapAccessOnly { window, uses }
        | Reuse::OverlapSuccessors { window, uses }
        | Reuse::Idempotent { window, uses } => Some((window, uses)),
        Reuse::Strict | Reuse::ConfirmByUse => None,
    }
}

/// What is tolerated at `now`, before anything else happens.
fn shown<T: Time>(turn: &Turn<T>) -> Tolerance<T> {
    let Turn { policy, before, now, .. } = *turn;
    match (before.tolerance, overlap(policy.reuse)) {
        (Tolerance::Open { until, uses }, Some((window, _))) => {
            let within = now.saturating_add(window);
            if now < until && now < within {
                Tolerance::Open { until: until.min(within), uses }
            } else {
                Tolerance::Closed
            }
        }
        (Tolerance::Unconfirmed, _) if policy.reuse == Reuse::ConfirmByUse => {
            Tolerance::Unconfirmed
        }
        // What the policy does not know.
        (Tolerance::Open { .. } | Tolerance::Unconfirmed | Tolerance::Closed, _) => {
            Tolerance::Closed
        }
    }
}

pub(super) fn rotates_once<T: Time>(turn: &Turn<T>) -> Verdict {
    let Turn { before, event, after, effect, .. } = *turn;
    let Effect::IssueSuccessor { number: successor } = effect else {
        return ensure(after.newest == before.newest, "a number was used up for nothing");
    };
    let newest = Event::Presented { number: before.newest };
    ensure(event == newest, "a successor of what is not the newest")?;
    ensure(before.newest.checked_add(1) == Some(successor), "a number was skipped or came back")?;
    ensure(after.newest == successor, "issued under another number")?;
    let again = turn.next(event, turn.then[0]);
    ensure(!is_issued(again.effect), "one token has two successors")?;
    ensure(!is_issued(again.next(event, turn.then[1]).effect), "one token has two successors")
}

pub(super) fn answered<T: Time>(turn: &Turn<T>) -> Verdict {
    let Turn { policy, before, effect, .. } = *turn;
    let Some(number) = presented_to_the_living(turn) else {
        return ensure(!is_served(effect), "served though nothing that lives was presented");
    };
    if number == before.newest {
        // Its successor would have no number.
        let served = before.newest == u64::MAX || is_issued(effect);
        return ensure(served, "the newest did not rotate");
    }
    let predecessor = number > 0 && number < before.newest && before.newest - number == 1;
    let told = match (policy.reuse, shown(turn)) {
        (Reuse::OverlapAccessOnly { uses: most, .. }, Tolerance::Open { uses, .. })
            if uses < most =>
        {
            Effect::RenewAccess
        }
        (Reuse::OverlapSuccessors { uses: most, .. }, Tolerance::Open { uses, .. })
            if uses < most =>
        {
            Effect::IssueSibling { number: before.newest, sibling: uses + 1 }
        }
        (Reuse::Idempotent { uses: most, .. }, Tolerance::Open { uses, .. }) if uses < most => {
            Effect::RepeatSuccessor { number: before.newest }
        }
        (Reuse::ConfirmByUse, Tolerance::Unconfirmed) => {
            Effect::RepeatSuccessor { number: before.newest }
        }
        _ => return ensure(!is_served(effect), "served though it is not tolerated"),
    };
    if predecessor {
        return ensure(effect == told, "the predecessor is not told what its policy says");
    }
    ensure(!is_served(effect), "served though it is neither the newest nor its predecessor")
}

pub(super) fn overlap_bound<T: Time>(turn: &Turn<T>) -> Verdict {
    let Turn { policy, before, now, after, effect, .. } = *turn;
    let known = overlap(policy.reuse);
    if is_issued(effect) {
        return first_use(turn);
    }
    match (after.tolerance, before.tolerance) {
        (Tolerance::Closed, _) => Ok(()),
        (Tolerance::Unconfirmed, Tolerance::Unconfirmed) => {
            ensure(policy.reuse == Reuse::ConfirmByUse, "what the policy does not know is kept")
        }
        (Tolerance::Open { until, .. }, Tolerance::Open { until: earlier, .. }) => {
            let (window, _) = known.ok_or("an overlap that the policy does not know")?;
            ensure(until <= earlier, "an overlap was made longer")?;
            ensure(now < until, "an overlap that is over was left open")?;
            ensure(until <= now.saturating_add(window), "an overlap lies ahead by more than it")
        }
        (Tolerance::Open { .. } | Tolerance::Unconfirmed, _) => Err("an overlap was opened anew"),
    }
}

/// From the first use on, and not beyond the window whatever is presented in between.
fn first_use<T: Time>(turn: &Turn<T>) -> Verdict {
    let Turn { policy, now, after, .. } = *turn;
    let Some((window, _)) = overlap(policy.reuse) else {
        let tolerated = match policy.reuse {
            Reuse::ConfirmByUse => Tolerance::Unconfirmed,
            Reuse::Strict
            | Reuse::OverlapAccessOnly { .. }
            | Reuse::OverlapSuccessors { .. }
            | Reuse::Idempotent { .. } => Tolerance::Closed,
        };
        return ensure(after.tolerance == tolerated, "the first use opens what it should not");
    };
    let until = now.saturating_add(window);
    let tolerated =
        if now < until { Tolerance::Open { until, uses: 0 } } else { Tolerance::Closed };
    ensure(after.tolerance == tolerated, "the overlap is not its window, from the first use on")?;
    let again = turn.next(turn.event, turn.then[0]);
    ensure(turn.then[0] < until || !is_served(again.effect), "served once its window was over")?;
    let last = again.next(turn.event, turn.then[1]);
    ensure(turn.then[1] < until || !is_served(last.effect), "to be used again made it longer")
}

pub(super) fn overlap_uses<T: Time>(turn: &Turn<T>) -> Verdict {
    let Turn { policy, before, after, effect, .. } = *turn;
    let (Tolerance::Open { uses, .. }, Some((_, most))) = (shown(turn), overlap(policy.reuse))
    else {
        return ensure(
            effect != Effect::Refuse(RefusalReason::TooOften),
            "too often, with no overlap",
        );
    };
    if is_issued(effect) {
        return Ok(());
    }
    if is_served(effect) {
        ensure(uses < most, "served more often than it may be")?;
        let counted =
            matches!(after.tolerance, Tolerance::Open { uses: now, .. } if now == uses + 1);
        return ensure(counted, "a use was not counted");
    }
    let kept = matches!(after.tolerance, Tolerance::Open { uses: now, .. } if now == uses);
    ensure(kept, "counted, or closed, though it was not used")?;
    let predecessor = presented_to_the_living(turn)
        .is_some_and(|number| number > 0 && number < before.newest && before.newest - number == 1);
    let too_often = effect == Effect::Refuse(RefusalReason::TooOften);
    ensure(too_often == (predecessor && uses >= most), "too often is another number of times")
}

pub(super) fn siblings<T: Time>(turn: &Turn<T>) -> Verdict {
    let Turn { policy, before, event, after, effect, .. } = *turn;
    let Effect::IssueSibling { number, sibling } = effect else { return Ok(()) };
    let successors = matches!(policy.reuse, Reuse::OverlapSuccessors { .. });
    ensure(successors, "a sibling under another policy")?;
    ensure(number == before.newest && number == after.newest, "a sibling of another number")?;
    ensure(sibling > 0, "the token of the rotation itself issued again")?;
    // Whatever comes next, at whatever instant, brings another.
    let next = turn.next(event, turn.then[0]);
    ensure(next.effect != effect, "one sibling issued twice")?;
    ensure(next.next(event, turn.then[1]).effect != effect, "one sibling issued twice")
}

pub(super) fn reuse<T: Time>(turn: &Turn<T>) -> Verdict {
    let Turn { before, event, effect, .. } = *turn;
    if event == Event::Revoked {
        return Ok(());
    }
    let tolerated = presented_to_the_living(turn).is_none_or(|number| {
        let spent = 0 < number && number < before.newest;
        !spent || (before.newest - number == 1 && shown(turn) != Tolerance::Closed)
    });
    ensure(
        (effect == Effect::RevokeFamily) != tolerated,
        "revoked where it is tolerated, or not where it is not",
    )
}

pub(super) fn family_revoked<T: Time>(turn: &Turn<T>) -> Verdict {
    let Turn { before, event, after, effect, .. } = *turn;
    let revoked = before.revoked || effect == Effect::RevokeFamily;
    ensure(after.revoked == revoked, "revoked without a reason, or no longer")?;
    if before.revoked
        && let Event::Presented { .. } = event
    {
        ensure(
            effect == Effect::Refuse(RefusalReason::Revoked),
            "a revoked family told something else",
        )?;
    }
    if !revoked {
        return Ok(());
    }
    // For good: whatever comes next, at whatever instant.
    let newest = Event::Presented { number: after.newest };
    let confirmed = turn.next(Event::Confirmed { number: after.newest }, turn.then[0]);
    for next in [turn.next(newest, turn.then[0]), confirmed.next(newest, turn.then[1])] {
        ensure(next.after.revoked, "a revoked family came back")?;
        ensure(
            next.effect == Effect::Refuse(RefusalReason::Revoked),
            "a revoked family served again",
        )?;
    }
    Ok(())
}

pub(super) fn lifetimes<T: Time>(turn: &Turn<T>) -> Verdict {
    let Turn { before, event, now, after, effect, .. } = *turn;
    ensure(after.began == before.began, "a family began again")?;
    let used = if is_served(effect) { now } else { before.used };
    ensure(after.used == used, "used is not when it was last served")?;
    let Event::Presented { number } = event else {
        return ensure(
            effect != Effect::Refuse(RefusalReason::Expired),
            "nothing presented, and expired",
        );
    };
    let numberless = number == u64::MAX && before.newest == u64::MAX;
    let over = !before.revoked && (is_over(turn) || numberless);
    ensure((effect == Effect::Refuse(RefusalReason::Expired)) == over, "ended early or late")
}

pub(super) fn family_state<T: Time>(turn: &Turn<T>) -> Verdict {
    let Turn { policy, before, now, .. } = *turn;
    let expected = if before.revoked {
        State::Revoked
    } else if is_over(turn) {
        State::Expired
    } else if shown(turn) == Tolerance::Closed {
        State::Active
    } else {
        State::Rotated
    };
    ensure(turn.state_at(now) == expected, "seen as another than it is")?;
    match turn.ends_at() {
        None => ensure((policy.absolute, policy.idle) == (None, None), "bounded, and never ends"),
        Some(ends_at) => ensure((now >= ends_at) == is_over(turn), "ends at another instant"),
    }
}

pub(super) fn overlap_shown<T: Time>(turn: &Turn<T>) -> Verdict {
    let Turn { now, after, effect, .. } = *turn;
    let unheard = Event::Confirmed { number: 0 };
    ensure(turn.next(unheard, now).after == after, "to see a now twice is another thing")?;
    if is_issued(effect) || shown(turn) != Tolerance::Closed || after.newest == 1 {
        return Ok(());
    }
    let back = turn.next(Event::Presented { number: after.newest - 1 }, turn.then[0]);
    ensure(!is_served(back.effect), "a clock that went back opened what was closed")
}

pub(super) fn refusal<T: Time>(turn: &Turn<T>) -> Verdict {
    let Turn { before, event, after, effect, .. } = *turn;
    if let Effect::Refuse(reason) = effect {
        let unborn =
            matches!(event, Event::Presented { number } if number == 0 || number > before.newest);
        ensure(reason != RefusalReason::Unknown || unborn, "what was issued is unknown")?;
        let seen = Row { tolerance: shown(turn), ..before };
        ensure(after == seen, "a refusal changed more than its now has shown")?;
    }
    Ok(())
}

pub(super) fn told<T: Time>(turn: &Turn<T>) -> Verdict {
    let Turn { before, event, after, effect, .. } = *turn;
    let seen = Row { tolerance: shown(turn), ..before };
    match event {
        Event::Presented { .. } => ensure(effect != Effect::Nothing, "presented, and not answered"),
        Event::Confirmed { number } => {
            ensure(effect == Effect::Nothing, "a confirmation is answered")?;
            let arrived = number == before.newest
                && !before.revoked
                && seen.tolerance == Tolerance::Unconfirmed;
            let tolerance = if arrived { Tolerance::Closed } else { seen.tolerance };
            ensure(after == Row { tolerance, ..seen }, "a confirmation did more or less than close")
        }
        Event::Revoked => {
            ensure(effect == Effect::RevokeFamily, "a revocation that nobody is told of")?;
            ensure(after == Row { revoked: true, ..seen }, "a revocation did more than revoke")
        }
    }
}
