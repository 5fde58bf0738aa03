//! Refreshes: rules B3, B4, B13, B14.

use perennial::lifecycle::formal::{Attempt, Credential, Flight, flight_id};
use perennial::lifecycle::{Cause, Effect, Event, Failure, Freshness};
use perennial::time::Time;

use super::{Verdict, by_clock, ensure, is_out, is_rejected, token, usable};
use crate::step::Step;

pub(super) fn one_out<T: Time>(step: &Step<T>) -> Verdict {
    let Step { before, shown, after, now, effect, .. } = *step;
    let Some(start) = effect.start() else {
        ensure(after.started == before.started, "a refresh that nobody was told to send")?;
        ensure(after.flight == shown.flight, "a request touched the flight")?;
        if let Flight::Out { deadline, .. } = shown.flight
            && !effect.hands_out()
        {
            return ensure(effect == Effect::Wait { until: deadline }, "not joined");
        }
        return Ok(());
    };
    ensure(!is_out(&before), "a second refresh beside the one that is out")?;
    ensure(after.started == before.started + 1, "an identity was skipped or used again")?;
    ensure(start.flight == flight_id(after.started), "sent under another identity")?;
    let attempt = match shown.credential {
        Credential::Doubted => Attempt::LastResort,
        Credential::Absent
        | Credential::Ready
        | Credential::DoubtedUntil(_)
        | Credential::Unsettled
        | Credential::Declined => Attempt::Ordinary,
    };
    let out = Flight::Out { sent: now, deadline: start.deadline, attempt };
    ensure(after.flight == out, "what is out is not what was sent")?;
    ensure(start.cause == cause(step), "sent for another reason")
}

/// Why a refresh would be sent.
fn cause<T: Time>(step: &Step<T>) -> Cause {
    match token(&step.shown) {
        None => Cause::NoToken,
        Some(held) if is_rejected(held.standing) => Cause::Rejected,
        Some(_) if !usable(&step.shown, step.now) => Cause::Lapsed,
        Some(_) if step.effect.hands_out() => Cause::Due,
        Some(_) => Cause::TooBrief,
    }
}

pub(super) fn superseded<T: Time>(step: &Step<T>) -> Verdict {
    let Step { before, shown, after, effect, .. } = *step;
    let nothing = match step.event {
        Event::Refreshed { flight, .. } if flight.number() <= before.ended => Effect::ReleaseOrphan,
        Event::Refreshed { flight, .. }
            if flight.number() <= before.landed || flight.number() > before.started =>
        {
            Effect::Discard
        }
        Event::RefreshFailed { flight, failure, .. } => {
            let newest = flight.number() == before.started;
            match (shown.flight, failure) {
                (Flight::Out { .. }, _) | (Flight::Overdue { .. }, Failure::Declined) if newest => {
                    return ensure(after.flight == Flight::Idle, "it failed, and is still out");
                }
                _ => Effect::Nothing,
            }
        }
        _ => return Ok(()),
    };
    ensure(effect == nothing, "a superseded result has an effect")?;
    ensure(after == shown, "a superseded result changed something")
}

pub(super) fn landing<T: Time>(step: &Step<T>) -> Verdict {
    let Step { before, shown, after, now, effect, .. } = *step;
    let Event::Refreshed { flight, .. } = step.event else {
        return Ok(());
    };
    let number = flight.number();
    if number <= before.ended || number <= before.landed || number > before.started {
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
        Flight::Overdue { .. } => Flight::Overdue { attempt },
    };
    ensure(after.flight == flight, "the flight is not as an answer leaves it")?;
    match effect {
        Effect::Publish { .. } => {
            let Some(held) = token(&after) else {
                return Err("published, and nothing is held");
            };
            let shown = by_clock(&held.schedule, now);
            ensure(shown != Freshness::Lapsed, "published dead")?;
            ensure(held.freshness == shown && !is_rejected(held.standing), "published worn")
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
        if let Credential::DoubtedUntil(until) = shown.credential {
            latest = latest.min(until);
        }
        return ensure(start.deadline == latest, "a deadline that is not the policy's");
    }
    let Event::TimePassed { .. } = step.event else {
        return Ok(());
    };
    match shown.flight {
        Flight::Out { deadline, attempt, .. } if now >= deadline => {
            ensure(effect == Effect::EndAttempt, "the deadline was not judged")?;
            ensure(
                after.flight == Flight::Overdue { attempt },
                "past its deadline, and still out",
            )?;
            ensure(after.landed < after.started || shown.landed == shown.started, "it cannot land")
        }
        Flight::Out { .. } | Flight::Idle | Flight::Overdue { .. } => {
            ensure(effect == Effect::Nothing && after == shown, "time alone changed something")
        }
    }
}
