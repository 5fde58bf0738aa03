//! How often: rules B7, B8, B9.

use perennial::lifecycle::formal::{
    Budget, Credential, Flight, Parts, Pause, Standing, generation,
};
use perennial::lifecycle::{Delay, Effect, Event, Failure, Freshness};
use perennial::time::Time;

use super::{Verdict, ensure, is_final, is_out, is_rejected, token, usable};
use crate::step::Step;

/// Whether this step counts as a failure, and after how long the server asks to come back.
fn failure<T: Time>(step: &Step<T>) -> Option<T::Span> {
    match (step.event, step.shown.flight) {
        (Event::RefreshFailed { flight, failure, .. }, Flight::Out { .. })
            if flight.number() == step.shown.started =>
        {
            match failure {
                Failure::Declined => None,
                Failure::Unavailable { retry_after } => Some(retry_after.unwrap_or(T::zero())),
                Failure::Unknown => Some(T::zero()),
            }
        }
        (Event::TimePassed { .. }, Flight::Out { deadline, .. }) if step.now >= deadline => {
            Some(T::zero())
        }
        (Event::Refreshed { .. }, _) if step.effect == Effect::KeepRefreshToken => Some(T::zero()),
        _ => None,
    }
}

pub(super) fn backoff<T: Time>(step: &Step<T>) -> Verdict {
    let Step { policy, shown, after, now, .. } = *step;
    let Some(retry_after) = failure(step) else {
        if let Effect::Publish { .. } = step.effect {
            return ensure(
                (after.failures, after.pause) == (0, Pause::Over),
                "a success leaves a backoff",
            );
        }
        ensure(after.failures == shown.failures, "counted as a failure, and is none")?;
        return ensure(after.pause == shown.pause, "a backoff was changed by no failure");
    };
    ensure(after.failures == shown.failures.saturating_add(1), "a failure was not counted")?;
    let longest = T::doubled(policy.backoff_base, shown.failures).min(policy.backoff_cap);
    let asked = retry_after.min(policy.retry_after_cap);
    let earliest = now.saturating_add(asked);
    let latest = now.saturating_add(longest.max(asked));
    match (shown.pause, after.pause) {
        (Pause::Over, Pause::Over) => ensure(earliest <= now, "what the server asked is ignored"),
        (Pause::Until { .. }, Pause::Over) => Err("a failure lifts a backoff"),
        (Pause::Over, Pause::Until { instant, at_most }) => {
            ensure(now < instant && earliest <= instant, "what the server asked is ignored")?;
            ensure(instant <= latest, "held off for longer than the backoff allows")?;
            ensure(at_most <= longest.max(asked), "pulled in by more than the delay")
        }
        (Pause::Until { instant: was, .. }, Pause::Until { instant, .. }) => {
            ensure(was <= instant, "a failure shortens a backoff")?;
            ensure(earliest <= instant, "what the server asked is ignored")?;
            ensure(instant <= latest.max(was), "held off for longer than the backoff allows")
        }
    }
}

pub(super) fn waits<T: Time>(step: &Step<T>) -> Verdict {
    let Step { shown, now, effect, .. } = *step;
    let Pause::Until { instant, .. } = shown.pause else {
        return ensure(
            !matches!(effect, Effect::BackOff { reason: Delay::Failure, .. }),
            "told of a backoff that is over",
        );
    };
    ensure(effect.start().is_none(), "a refresh was started during backoff")?;
    let doubt = shown.credential == Credential::Doubted && usable(&shown, now);
    if effect.hands_out() || is_out(&shown) || is_final(shown.credential) || doubt {
        return Ok(());
    }
    let told = Effect::BackOff { until: instant, reason: Delay::Failure };
    ensure(effect == told, "callers are told of different backoffs")
}

pub(super) fn rejected<T: Time>(step: &Step<T>) -> Verdict {
    let Step { before, shown, after, effect, .. } = *step;
    let (named, accepts) = match step.event {
        Event::Rejected { generation } => (generation, false),
        Event::Accepted { generation } => (generation, true),
        _ => return Ok(()),
    };
    let current = named == generation(before.session, before.number);
    let (Some(held), true) = (token(&shown), current) else {
        ensure(effect == Effect::Nothing, "a stale rejection has an effect")?;
        return ensure(after == shown, "what concerns no held token changed something");
    };
    let standing = match (held.standing, accepts) {
        (Standing::Untried, true) => Standing::Accepted,
        (Standing::Untried, false) => Standing::RejectedUntried,
        (Standing::Accepted, false) => Standing::RejectedAccepted,
        (standing, _) => standing,
    };
    let withdrawn = !accepts && !is_rejected(held.standing);
    let told = if withdrawn { Effect::Withdraw } else { Effect::Nothing };
    ensure(effect == told, "a rejection is not told")?;
    let Some(is) = token(&after) else {
        return Err("a rejection drops what is known of the token");
    };
    ensure(is.standing == standing, "the token's standing is not what was said of it")?;
    ensure(accepts || !usable(&after, step.now), "still handed out once it was rejected")?;
    let rest = Parts { holding: shown.holding, ..after };
    ensure(rest == shown, "a rejection changed more than the token")
}

/// Whether the next refresh costs nothing.
fn is_free<T: Time>(parts: &Parts<T>) -> bool {
    token(parts).is_none_or(|held| {
        held.freshness >= Freshness::Due || held.standing == Standing::RejectedAccepted
    })
}

pub(super) fn budget<T: Time>(step: &Step<T>) -> Verdict {
    let Step { policy, shown, after, now, effect, .. } = *step;
    let interval = policy.budget_interval.min(policy.budget_window);
    let spent = match shown.budget {
        Budget::Full => now,
        Budget::FullAt(instant) => instant,
    };
    let full_at = spent.saturating_add(interval);
    let enough = full_at.since(now) <= policy.budget_window;
    if effect.start().is_none() || is_free(&shown) {
        ensure(after.budget == shown.budget, "paid, and nothing was bought")?;
    } else {
        ensure(enough, "a refresh beyond the budget")?;
        ensure(after.budget == Budget::FullAt(full_at), "not paid")?;
    }
    if effect.start().is_some()
        && let Some(held) = token(&after)
    {
        ensure(held.standing != Standing::RejectedAccepted, "the one free try is free twice")?;
    }
    if let Effect::BackOff { until, reason: Delay::Budget } = effect {
        ensure(!enough && !is_free(&shown), "refused though it could be paid")?;
        ensure(now < until, "told to come back in the past")?;
        // By then it can be paid.
        let left = full_at.since(until);
        ensure(left <= policy.budget_window, "told to come back too early")?;
    }
    Ok(())
}
