//! What is told of a refresh that failed, and what follows from its kind: rule B6.

use perennial::lifecycle::formal::{Attempt, Credential, Flight, Parts, Pause, Trouble};
use perennial::lifecycle::{Delay, Effect, Event, Failure, FlightId, Remedy, Schedule, State};
use perennial::time::{Draw, Time};

use super::parts::{Declared, declared, from_now, is_final, is_out, token, usable};
use super::{Verdict, ensure};
use crate::step::Step;

/// The failure that this step is told of a refresh that is out, if it is.
pub(super) fn failure<T: Time>(step: &Step<T>) -> Option<(Failure<T>, Draw)> {
    match (step.event, step.shown.flight) {
        (Event::RefreshFailed { flight, failure, draw }, Flight::Out { .. })
            if flight.number() == step.shown.started =>
        {
            Some((failure, draw))
        }
        (Event::TimePassed { draw }, Flight::Out { deadline, .. }) if step.now >= deadline => {
            Some((Failure::Unknown, draw))
        }
        _ => None,
    }
}

/// Rule B6: "and, where the server refuses a refresh token seen twice, not while the old token is usable".
pub(super) fn held_off_by_misconfiguration<T: Time>(step: &Step<T>) -> bool {
    let Step { policy, shown, now, .. } = *step;
    shown.trouble == Trouble::Misconfigured
        && matches!(declared(policy.reuse), Declared::Refuses)
        && usable(&shown, now)
}

pub(super) fn misconfigured<T: Time>(step: &Step<T>) -> Verdict {
    let Step { policy, shown, after, now, effect, .. } = *step;
    if let Some((Failure::Misconfigured { retry_after }, _)) = failure(step) {
        ensure(after.trouble == Trouble::Misconfigured, "a misconfiguration is not told")?;
        ensure(after.credential == shown.credential, "a misconfiguration is held for more")?;
        let (base, cap) = (policy.misconfigured_base, policy.misconfigured_cap);
        let asked = retry_after.unwrap_or(base);
        let earliest = now.saturating_add(base.max(asked).min(cap));
        let drawn = T::doubled(base, shown.failures).min(cap);
        let latest = now.saturating_add(drawn.max(base).max(asked).min(cap));
        // One that was asked for before is not shortened.
        let was = match shown.pause {
            Pause::Until { instant, .. } => instant.max(now),
            Pause::Over => now,
        };
        return match after.pause {
            Pause::Over => ensure(earliest <= now && was <= now, "tried again at once"),
            Pause::Until { instant, .. } => {
                ensure(earliest <= instant, "tried again too soon")?;
                ensure(instant <= latest.max(was), "not tried again for too long")
            }
        };
    }
    let Event::Requested { .. } = step.event else {
        return Ok(());
    };
    let told = match effect {
        Effect::BackOff { until, reason: Delay::Misconfigured } => Some(until),
        _ => None,
    };
    if !held_off_by_misconfiguration(step) {
        return ensure(told.is_none(), "held off by a misconfiguration that does not matter");
    }
    ensure(effect.start().is_none(), "presented again while the old token works")?;
    match (token(&shown).map(|held| held.schedule), told) {
        (Some(Schedule::Timed(life)), Some(until)) => {
            ensure(until == life.unusable_from && now < until, "held off until another instant")
        }
        (_, Some(_)) => Err("told of an instant, and there is none"),
        (_, None) => Ok(()),
    }
}

pub(super) fn unexplained<T: Time>(step: &Step<T>) -> Verdict {
    let Step { policy, shown, after, now, .. } = *step;
    let newest = |flight: FlightId| flight.number() == shown.started;
    let expected = match (failure(step), step.event) {
        (Some((Failure::Unexplained { .. }, _)), _) => match shown.trouble {
            Trouble::Unexplained { missing, early } => {
                Trouble::Unexplained { missing: missing.saturating_sub(1), early }
            }
            Trouble::None | Trouble::Passing | Trouble::Misconfigured => Trouble::Unexplained {
                missing: policy.unexplained_count.saturating_sub(1),
                early: from_now(policy.unexplained_window, now),
            },
        },
        (Some((Failure::Misconfigured { .. }, _)), _) => Trouble::Misconfigured,
        (Some((Failure::Unavailable { .. } | Failure::Unknown, _)), _) => Trouble::Passing,
        (_, Event::RefreshFailed { flight, failure: Failure::Declined, .. }) if newest(flight) => {
            match shown.flight {
                Flight::Out { attempt: Attempt::Ordinary, .. }
                | Flight::Overdue { attempt: Attempt::Ordinary, .. } => Trouble::None,
                // What it presented is no longer what is held.
                Flight::Out { attempt: Attempt::Outrun, .. }
                | Flight::Overdue { attempt: Attempt::Outrun, .. }
                | Flight::Idle => shown.trouble,
            }
        }
        (_, Event::Refreshed { .. }) => match step.effect {
            Effect::Publish { .. } => Trouble::None,
            Effect::KeepRefreshToken => Trouble::Passing,
            _ => shown.trouble,
        },
        (_, Event::Installed { .. } | Event::Cleared) => Trouble::None,
        (
            _,
            Event::Requested { .. }
            | Event::RefreshFailed { .. }
            | Event::Rejected { .. }
            | Event::Accepted { .. }
            | Event::Recovered { .. }
            | Event::TimePassed { .. },
        ) => shown.trouble,
    };
    ensure(after.trouble == expected, "how the last refresh failed is not what is held of it")?;
    if !matches!(after.trouble, Trouble::Unexplained { .. }) {
        return Ok(());
    }
    ensure(after.credential == shown.credential, "a refusal without a reason is held for more")
}

/// Whether refusals without a reason have been enough, for long enough.
pub(super) fn is_lasting<T: Time>(parts: &Parts<T>, now: T) -> bool {
    match parts.trouble {
        Trouble::Unexplained { missing: 0, early: Pause::Over } => true,
        Trouble::Unexplained { missing: 0, early: Pause::Until { instant, .. } } => now >= instant,
        Trouble::Unexplained { .. } | Trouble::None | Trouble::Passing | Trouble::Misconfigured => {
            false
        }
    }
}

pub(super) fn lasts<T: Time>(step: &Step<T>) -> Verdict {
    let Step { policy, shown, after, now, .. } = *step;
    let lasting = is_lasting(&after, now);
    let remedy = if is_final(after.credential) {
        Remedy::LogIn
    } else if after.trouble == Trouble::Misconfigured {
        Remedy::Reconfigure
    } else if lasting {
        Remedy::TryLogIn
    } else {
        Remedy::Refresh
    };
    let expected = (!usable(&after, now) && !is_out(&after)).then_some(remedy);
    let told = match step.machine().state(now) {
        State::Expired(remedy) => Some(remedy),
        State::Valid | State::Expiring | State::Refreshing(_) => None,
    };
    ensure(told == expected, "told of another remedy")?;
    // Rule B6: "tries go on at the backoff's cap". Outside a window, which the cap gives way to.
    let (Some((Failure::Unexplained { retry_after: None }, draw)), true, Pause::Over) =
        (failure(step), lasting, shown.pause)
    else {
        return Ok(());
    };
    if let Credential::InDoubtUntil(_) = after.credential {
        return Ok(());
    }
    let delay = T::share(policy.backoff_cap, draw);
    ensure(after.pause == from_now(delay, now), "the next try is not drawn from all of the cap")
}
