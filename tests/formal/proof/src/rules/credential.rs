//! What is known of the refresh token: rule B6.

use perennial::lifecycle::formal::{Attempt, Credential, Flight, Parts, Pause, Trouble};
use perennial::lifecycle::{Delay, Effect, Ending, Event, Failure, Schedule};
use perennial::time::Time;

use super::late::waited_for;
use super::parts::{Declared, declared, eighth, is_final, is_out, token, usable};
use super::{Verdict, ensure};
use crate::step::Step;

pub(super) fn declined<T: Time>(step: &Step<T>) -> Verdict {
    let Step { shown, after, effect, .. } = *step;
    if let Event::RefreshFailed { flight, failure: Failure::Declined, .. } = step.event {
        if flight.number() != shown.started {
            return Ok(());
        }
        let (Flight::Out { attempt, .. } | Flight::Overdue { attempt, .. }) = shown.flight else {
            return Ok(());
        };
        let (credential, trouble) = match attempt {
            // What it presented is no longer what is held.
            Attempt::Outrun => (shown.credential, shown.trouble),
            Attempt::Ordinary => (Credential::Declined, Trouble::None),
        };
        ensure(effect == Effect::EndAttempt, "declined, and nobody is told")?;
        ensure(after.credential == credential, "declined is not taken as final")?;
        let superseded = after.superseded;
        let rest = Parts { flight: Flight::Idle, credential, superseded, trouble, ..shown };
        return ensure(after == rest, "declined backs off, or changes more");
    }
    let Event::Requested { .. } = step.event else {
        return Ok(());
    };
    let ending = match shown.credential {
        Credential::Absent => Ending::NoGrant,
        Credential::Declined => Ending::Declined,
        Credential::Ready | Credential::InDoubt | Credential::InDoubtUntil(_) => {
            let told = matches!(effect, Effect::LogIn(_));
            return ensure(!told, "sent to log in while a refresh may help");
        }
    };
    ensure(effect.start().is_none(), "a refresh was started though only a login can help")?;
    if effect.hands_out() || is_out(&shown) {
        return Ok(());
    }
    ensure(effect == Effect::LogIn(ending), "not told to log in")
}

/// What a refresh of unknown outcome, sent at `sent`, leaves of what was known.
fn doubted<T: Time>(
    step: &Step<T>,
    known: Credential<T>,
    attempt: Attempt,
    sent: T,
) -> Credential<T> {
    match attempt {
        Attempt::Outrun => return known,
        Attempt::Ordinary => {}
    }
    match declared(step.policy.reuse) {
        Declared::Always => known,
        Declared::Refuses => Credential::InDoubt,
        Declared::Answers(window) => match known {
            // Counted from the first sending: a retry opens nothing anew.
            Credential::InDoubt | Credential::InDoubtUntil(_) => known,
            Credential::Absent | Credential::Ready | Credential::Declined => {
                let until = sent.saturating_add(window);
                if step.now < until { Credential::InDoubtUntil(until) } else { Credential::InDoubt }
            }
        },
    }
}

pub(super) fn doubt<T: Time>(step: &Step<T>) -> Verdict {
    let Step { shown, after, now, .. } = *step;
    let known = shown.credential;
    let expected = match (step.event, shown.flight) {
        // Declined is judged by a property of its own.
        (Event::RefreshFailed { failure: Failure::Declined, .. }, _) => return Ok(()),
        (
            Event::RefreshFailed { flight, failure: Failure::Unknown, .. },
            Flight::Out { sent, attempt, .. },
        ) if flight.number() == shown.started => doubted(step, known, attempt, sent),
        (Event::RefreshFailed { flight, .. }, Flight::Overdue { .. })
            if flight.number() == shown.started =>
        {
            // It was unknown already; what it says now ends no more than the wait for its answer.
            let rest = Parts { flight: Flight::Idle, ..shown };
            return ensure(after == rest, "a failure that comes late counts again");
        }
        (Event::TimePassed { .. }, Flight::Out { sent, deadline, attempt }) if now >= deadline => {
            doubted(step, known, attempt, sent)
        }
        (Event::Installed { intent: Some(sent), .. }, _) => {
            doubted(step, Credential::Ready, Attempt::Ordinary, sent.min(now))
        }
        (Event::Installed { intent: None, .. }, _) => Credential::Ready,
        _ => known,
    };
    ensure(after.credential == expected, "the grant is not known as an unknown outcome leaves it")?;
    let ends = is_final(after.credential) && !is_final(known);
    ensure(!ends, "an outcome that nobody knows is the end")
}

/// Until when a doubt keeps the refresh token from being presented.
pub(super) enum HeldOff<T: Time> {
    Until(T),
    /// For as long as the token works.
    WhileUsable,
}

/// Rule B6: "nothing until [one refresh deadline], or an eighth of the lifetime where that is less, before
/// the old token becomes unusable; then, for at most one more refresh deadline, the late answer to a request that is
/// still open is waited for".
pub(super) fn held_off_by_doubt<T: Time>(step: &Step<T>) -> Option<HeldOff<T>> {
    let Step { policy, shown, now, .. } = *step;
    if shown.credential != Credential::InDoubt {
        return None;
    }
    match token(&shown).map(|held| held.schedule) {
        Some(Schedule::UntilRejected) if usable(&shown, now) => return Some(HeldOff::WhileUsable),
        Some(Schedule::Timed(life)) if usable(&shown, now) => {
            let before = policy.refresh_deadline.min(eighth(&life));
            let last_chance = life.unusable_from.saturating_sub(before);
            if now < last_chance {
                return Some(HeldOff::Until(last_chance));
            }
        }
        Some(Schedule::UntilRejected | Schedule::Timed(_)) | None => {}
    }
    match waited_for(&shown) {
        Pause::Until { instant, .. } => Some(HeldOff::Until(instant)),
        Pause::Over => None,
    }
}

pub(super) fn retry<T: Time>(step: &Step<T>) -> Verdict {
    let Step { shown, after, now, effect, .. } = *step;
    ensure(after.credential == shown.credential, "a request changed what is known of the grant")?;
    let told = match effect {
        Effect::BackOff { until, reason: Delay::Doubt } => Some(until),
        _ => None,
    };
    match held_off_by_doubt(step) {
        Some(HeldOff::WhileUsable) => {
            ensure(effect.start().is_none(), "presented again while the old token works")?;
            ensure(told.is_none(), "told of an instant, and there is none")
        }
        Some(HeldOff::Until(until)) => {
            ensure(effect.start().is_none(), "presented again too early")?;
            ensure(now < until, "held off by what is over")?;
            let waits = effect.hands_out() || is_out(&shown);
            ensure(waits || told == Some(until), "not told until when a doubt holds it off")
        }
        None => {
            ensure(told.is_none(), "held off without doubt")?;
            match (effect.start(), shown.credential) {
                (Some(start), Credential::InDoubtUntil(until)) => {
                    ensure(start.deadline <= until, "a retry that ends outside its window")
                }
                _ => Ok(()),
            }
        }
    }
}
