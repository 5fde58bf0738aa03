//! How often: rules B6 and B7.

use perennial::lifecycle::formal::{Credential, Parts, Pause};
use perennial::lifecycle::{Delay, Effect, Event, Failure};
use perennial::time::Time;

use super::credential::held_off_by_doubt;
use super::parts::{Declared, declared, is_final, is_out};
use super::trouble::{failure, held_off_by_misconfiguration, is_lasting};
use super::{Verdict, ensure};
use crate::step::Step;

/// What this step's failure asks for, if it counts as one.
enum Failed<T: Time> {
    /// For the backoff of rule B7, and the server for as long as this.
    Passing(T::Span),
    /// For the backoff of a misconfiguration, which is judged by a property of its own.
    Misconfigured,
}

fn failed<T: Time>(step: &Step<T>) -> Option<Failed<T>> {
    if let (Event::Refreshed { .. }, Effect::KeepRefreshToken) = (step.event, step.effect) {
        return Some(Failed::Passing(T::zero()));
    }
    match failure(step)?.0 {
        Failure::Declined => None,
        Failure::Misconfigured { .. } => Some(Failed::Misconfigured),
        Failure::Unavailable { retry_after } | Failure::Unexplained { retry_after } => {
            Some(Failed::Passing(retry_after.unwrap_or(T::zero())))
        }
        Failure::Unknown => Some(Failed::Passing(T::zero())),
    }
}

pub(super) fn backoff<T: Time>(step: &Step<T>) -> Verdict {
    let Step { policy, shown, after, now, .. } = *step;
    let Some(failed) = failed(step) else {
        let begins_anew = match step.event {
            Event::Installed { .. } | Event::Cleared => true,
            _ => matches!(step.effect, Effect::Publish { .. }),
        };
        if begins_anew {
            let none = (after.failures, after.pause) == (0, Pause::Over);
            return ensure(none, "a success leaves a backoff");
        }
        ensure(after.failures == shown.failures, "counted as a failure, and is none")?;
        return ensure(after.pause == shown.pause, "a backoff was changed by no failure");
    };
    ensure(after.failures == shown.failures.saturating_add(1), "a failure was not counted")?;
    let Failed::Passing(retry_after) = failed else {
        return ensure(longer_or_same(shown.pause, after.pause), "a failure shortens a backoff");
    };
    let longest = if is_lasting(&after, now) {
        policy.backoff_cap
    } else {
        T::doubled(policy.backoff_base, shown.failures).min(policy.backoff_cap)
    };
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

fn longer_or_same<T: Time>(was: Pause<T>, is: Pause<T>) -> bool {
    match (was, is) {
        (Pause::Over, _) => true,
        (Pause::Until { .. }, Pause::Over) => false,
        (Pause::Until { instant: was, .. }, Pause::Until { instant: is, .. }) => was <= is,
    }
}

/// Where a window is open, and a refresh failed whose server asked for nothing. A misconfiguration
/// has a backoff of its own, which no window shortens.
pub(super) fn window_room<T: Time>(step: &Step<T>) -> Verdict {
    let Step { policy, shown, after, now, .. } = *step;
    let asked_for_nothing = match failure(step) {
        Some((
            Failure::Unknown
            | Failure::Unavailable { retry_after: None }
            | Failure::Unexplained { retry_after: None },
            _,
        )) => true,
        Some((
            Failure::Declined
            | Failure::Misconfigured { .. }
            | Failure::Unavailable { retry_after: Some(_) }
            | Failure::Unexplained { retry_after: Some(_) },
            _,
        ))
        | None => false,
    };
    let (true, Credential::InDoubtUntil(_), Declared::Answers(window)) =
        (asked_for_nothing, after.credential, declared(policy.reuse))
    else {
        return Ok(());
    };
    let Pause::Until { instant, .. } = after.pause else {
        return Ok(());
    };
    if after.pause == shown.pause {
        // It was asked for before.
        return Ok(());
    }
    let eighth = T::halved(window, 3);
    ensure(instant <= now.saturating_add(eighth), "a retry waits for more of its window")
}

pub(super) fn waits<T: Time>(step: &Step<T>) -> Verdict {
    let Step { shown, effect, .. } = *step;
    let Pause::Until { instant, .. } = shown.pause else {
        return ensure(
            !matches!(effect, Effect::BackOff { reason: Delay::Failure, .. }),
            "told of a backoff that is over",
        );
    };
    ensure(effect.start().is_none(), "a refresh was started during backoff")?;
    let Parts { credential, .. } = shown;
    if effect.hands_out() || is_out(&shown) || is_final(credential) {
        return Ok(());
    }
    if held_off_by_doubt(step).is_some() || held_off_by_misconfiguration(step) {
        return Ok(());
    }
    let told = Effect::BackOff { until: instant, reason: Delay::Failure };
    ensure(effect == told, "callers are told of different backoffs")
}
