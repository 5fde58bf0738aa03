//! What is known of the refresh token: rule B6.

use perennial::lifecycle::formal::{Attempt, Credential, Flight};
use perennial::lifecycle::{Delay, Effect, Ending, Event, Failure, Reuse, Schedule};
use perennial::time::Time;

use super::{Verdict, ensure, is_final, is_out, token, usable};
use crate::step::Step;

pub(super) fn declined<T: Time>(step: &Step<T>) -> Verdict {
    let Step { shown, after, effect, .. } = *step;
    if let Event::RefreshFailed { flight, failure: Failure::Declined, .. } = step.event {
        if flight.number() != shown.started {
            return Ok(());
        }
        let (Flight::Out { attempt, .. } | Flight::Overdue { attempt }) = shown.flight else {
            return Ok(());
        };
        let credential = match attempt {
            // What it presented is no longer what is held.
            Attempt::Outrun => shown.credential,
            Attempt::Ordinary | Attempt::LastResort => {
                ensure(effect == Effect::EndAttempt, "declined, and nobody is told")?;
                Credential::Declined
            }
        };
        ensure(after.credential == credential, "declined is not taken as final")?;
        return ensure(after.failures == shown.failures, "declined backs off");
    }
    let Event::Requested { .. } = step.event else {
        return Ok(());
    };
    if !is_final(shown.credential) {
        return ensure(
            !matches!(effect, Effect::LogIn(_)) || shown.credential == Credential::Doubted,
            "sent to log in while a refresh may help",
        );
    }
    ensure(effect.start().is_none(), "a refresh was started though only a login can help")?;
    ensure(after.credential == shown.credential, "a request changed what is known of the grant")?;
    if effect.hands_out() || is_out(&shown) {
        return Ok(());
    }
    let ending = match shown.credential {
        Credential::Absent => Ending::NoGrant,
        Credential::Declined => Ending::Declined,
        Credential::Unsettled => Ending::Unsettled,
        Credential::Ready | Credential::Doubted | Credential::DoubtedUntil(_) => return Ok(()),
    };
    ensure(effect == Effect::LogIn(ending), "not told to log in")
}

/// What a refresh of unknown outcome, sent at `sent`, leaves of what was known.
fn doubted<T: Time>(
    reuse: Reuse<T>,
    known: Credential<T>,
    attempt: Attempt,
    sent: T,
    now: T,
) -> Credential<T> {
    match attempt {
        Attempt::LastResort => return Credential::Unsettled,
        Attempt::Outrun => return known,
        Attempt::Ordinary => {}
    }
    match reuse {
        Reuse::ConfirmByUse | Reuse::Unrotated => known,
        Reuse::Strict => Credential::Doubted,
        Reuse::OverlapAccessOnly(window) | Reuse::OverlapSuccessors(window) | Reuse::Idempotent(window) => match known {
            // Counted from the first sending: a retry opens nothing anew.
            Credential::Doubted | Credential::DoubtedUntil(_) => known,
            Credential::Absent
            | Credential::Ready
            | Credential::Unsettled
            | Credential::Declined => {
                let until = sent.saturating_add(window);
                if now < until { Credential::DoubtedUntil(until) } else { Credential::Doubted }
            }
        },
    }
}

pub(super) fn doubt<T: Time>(step: &Step<T>) -> Verdict {
    let Step { policy, shown, after, now, .. } = *step;
    let known = shown.credential;
    let expected = match (step.event, shown.flight) {
        (
            Event::RefreshFailed { flight, failure: Failure::Unknown, .. },
            Flight::Out { sent, attempt, .. },
        ) if flight.number() == shown.started => doubted(policy.reuse, known, attempt, sent, now),
        (Event::TimePassed { .. }, Flight::Out { sent, deadline, attempt }) if now >= deadline => {
            doubted(policy.reuse, known, attempt, sent, now)
        }
        (Event::Installed { intent: Some(sent), .. }, _) => {
            doubted(policy.reuse, Credential::Ready, Attempt::Ordinary, sent.min(now), now)
        }
        (Event::Installed { intent: None, .. }, _) => Credential::Ready,
        // Declined is judged by a property of its own.
        (Event::RefreshFailed { failure: Failure::Declined, .. }, _) => return Ok(()),
        _ => known,
    };
    ensure(after.credential == expected, "the grant is not known as an unknown outcome leaves it")
}

pub(super) fn retry<T: Time>(step: &Step<T>) -> Verdict {
    let Step { shown, after, now, effect, .. } = *step;
    ensure(after.credential == shown.credential, "a request changed what is known of the grant")?;
    let works = usable(&shown, now);
    if let Effect::BackOff { until, reason: Delay::Doubt } = effect {
        ensure(shown.credential == Credential::Doubted && works, "held off without doubt")?;
        if let Some(Schedule::Timed(life)) = token(&shown).map(|held| held.schedule) {
            ensure(until == life.unusable_from && until > now, "held off until another instant")?;
        }
    }
    let Some(start) = effect.start() else {
        return Ok(());
    };
    match shown.credential {
        Credential::Doubted => ensure(!works, "shown again while the old token still works"),
        Credential::DoubtedUntil(until) => {
            ensure(start.deadline <= until, "a retry that ends outside its window")
        }
        Credential::Ready => Ok(()),
        Credential::Absent | Credential::Declined | Credential::Unsettled => {
            Err("started though only a login can help")
        }
    }
}
