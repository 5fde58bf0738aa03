//! The outcomes of refreshes: rules B3, B4, B13, B14.

use perennial::lifecycle::formal::{Attempt, Credential, Flight, Parts};
use perennial::lifecycle::{Effect, Event, Freshness, Reuse};
use perennial::time::Time;

use super::parts::{by_clock, counts, from_now, is_out, is_withdrawn, token};
use super::{Verdict, ensure};
use crate::step::Step;

pub(super) fn superseded<T: Time>(step: &Step<T>) -> Verdict {
    let Step { before, shown, after, effect, .. } = *step;
    let nothing = match step.event {
        Event::Refreshed { flight, .. } if flight.number() <= before.ended => Effect::ReleaseOrphan,
        Event::Refreshed { flight, .. } if !counts(&before, flight.number()) => Effect::Discard,
        Event::RefreshFailed { flight, .. } => {
            if flight.number() == before.started && shown.flight != Flight::Idle {
                ensure(effect == Effect::EndAttempt, "it failed, and nobody is told")?;
                return ensure(after.flight == Flight::Idle, "it failed, and is still out");
            }
            Effect::Nothing
        }
        _ => return Ok(()),
    };
    ensure(effect == nothing, "a superseded result has an effect")?;
    ensure(after == shown, "a superseded result changed something")
}

/// Whether this is an answer that confirm by use makes wait for its repetition.
fn is_held_back<T: Time>(step: &Step<T>, number: u64) -> bool {
    let repeated = number < step.before.started && is_out(&step.shown);
    matches!(step.policy.reuse, Reuse::ConfirmByUse) && repeated && counts(&step.before, number)
}

pub(super) fn hold_back<T: Time>(step: &Step<T>) -> Verdict {
    let Event::Refreshed { flight, .. } = step.event else {
        return Ok(());
    };
    if !is_held_back(step, flight.number()) {
        return ensure(step.effect != Effect::HoldBack, "held back, and nothing repeats it");
    }
    ensure(step.effect == Effect::HoldBack, "handed out while its repetition is out")?;
    ensure(step.after == step.shown, "what is held back changed something")
}

pub(super) fn landing<T: Time>(step: &Step<T>) -> Verdict {
    let Step { before, shown, after, now, effect, .. } = *step;
    let Event::Refreshed { flight, .. } = step.event else {
        return Ok(());
    };
    let number = flight.number();
    if !counts(&before, number) || is_held_back(step, number) {
        return Ok(());
    }
    ensure(after.landed == number, "an answer may count twice")?;
    ensure((after.started, after.ended) == (before.started, before.ended), "an identity moved")?;
    ensure(after.credential == Credential::Ready, "the grant that came is not held")?;
    let attempt = Attempt::Outrun;
    let flight = match shown.flight {
        _ if number == before.started => Flight::Idle,
        Flight::Idle => Flight::Idle,
        Flight::Out { sent, deadline, .. } => Flight::Out { sent, deadline, attempt },
        Flight::Overdue { open, .. } => Flight::Overdue { attempt, open },
    };
    ensure(after.flight == flight, "the flight is not as an answer leaves it")?;
    match effect {
        Effect::Publish { .. } => {
            let Some(held) = token(&after) else {
                return Err("published, and nothing is held");
            };
            let shown = by_clock(&held.schedule, now);
            ensure(shown != Freshness::Lapsed, "published dead")?;
            ensure(held.freshness == shown && !is_withdrawn(held.acceptance), "published worn")
        }
        Effect::KeepRefreshToken => {
            ensure(after.holding == shown.holding, "a useless answer touched the token")
        }
        _ => Err("a refresh token was thrown away"),
    }
}

pub(super) fn deadline<T: Time>(step: &Step<T>) -> Verdict {
    let Step { shown, after, now, effect, policy, .. } = *step;
    if let Some(start) = effect.start() {
        let mut latest = now.saturating_add(policy.refresh_deadline);
        if let Credential::InDoubtUntil(until) = shown.credential {
            latest = latest.min(until);
        }
        return ensure(start.deadline == latest, "a deadline that is not the policy's");
    }
    let Event::TimePassed { .. } = step.event else {
        return Ok(());
    };
    let Flight::Out { deadline, attempt, .. } = shown.flight else {
        return ensure(effect == Effect::Nothing && after == shown, "time changed something");
    };
    if now < deadline {
        return ensure(effect == Effect::Nothing && after == shown, "judged before its deadline");
    }
    ensure(effect == Effect::EndAttempt, "the deadline was not judged")?;
    // Rule B6: its late answer is waited for "for at most one more refresh deadline".
    let open = from_now(policy.refresh_deadline, now);
    let overdue = Flight::Overdue { attempt, open };
    ensure(after.flight == overdue, "past its deadline, and not as it should be")?;
    ensure(after.landed < after.started, "past its deadline, and it cannot land")?;
    let rest = Parts {
        flight: after.flight,
        credential: after.credential,
        trouble: after.trouble,
        failures: after.failures,
        pause: after.pause,
        ..shown
    };
    ensure(after == rest, "a deadline changed more than what is known of its refresh")
}
