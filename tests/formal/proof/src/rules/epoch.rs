//! Identities, epochs, and what is assumed of every state: rules B1, B3, B4, B9, B11.

use perennial::lifecycle::formal::{Budget, Credential, Flight, Holding, Parts, Pause, generation};
use perennial::lifecycle::{Effect, Ending, Event, RawPolicy, Reuse, Schedule};
use perennial::time::Time;

use super::{Verdict, ensure, token};
use crate::step::Step;

pub(super) fn generations<T: Time>(step: &Step<T>) -> Verdict {
    let Step { before, after, effect, .. } = *step;
    ensure(after.session == before.session, "a session took another's identity")?;
    ensure(after.started >= before.started, "an identity came back")?;
    ensure(after.landed >= before.landed && after.ended >= before.ended, "an identity came back")?;
    if let Effect::Publish { generation: told } = effect {
        ensure(after.number == before.number + 1, "a generation was skipped or used again")?;
        ensure(told == generation(after.session, after.number), "published under another name")?;
        return ensure(token(&after).is_some(), "published, and nothing is held");
    }
    ensure(after.number == before.number, "a generation was used up for nothing")?;
    ensure(token(&after).is_none() || token(&before).is_some(), "a token that nobody published")
}

/// What every reachable state satisfies: shown by `invariant_kept`, and all that is assumed of the
/// state before a step.
///
/// # Errors
/// Says what does not hold.
pub fn invariant<T: Time>(policy: &RawPolicy<T>, parts: &Parts<T>) -> Verdict {
    let Parts { started, landed, ended, .. } = *parts;
    ensure(ended <= landed && landed <= started, "identities out of order")?;
    ensure(parts.flight == Flight::Idle || landed < started, "what is out has landed")?;
    if let Holding::Token(held) = parts.holding
        && let Schedule::Timed(life) = held.schedule
    {
        ensure(life.refresh_after <= life.unusable_from, "due once lapsed")?;
        ensure(life.unusable_from <= life.expires_at, "lapses once expired")?;
    }
    if let Pause::Until { at_most, .. } = parts.pause {
        ensure(T::zero() < at_most, "held off for no time")?;
    }
    match (parts.credential, policy.reuse) {
        (Credential::Absent, _) => ensure(logged_out(parts), "something is left after a logout"),
        (Credential::DoubtedUntil(_), Reuse::OverlapAccessOnly(window) | Reuse::OverlapSuccessors(window) | Reuse::Idempotent(window)) => {
            ensure(T::zero() < window, "a window that is none is open")
        }
        _ => Ok(()),
    }
}

fn logged_out<T: Time>(parts: &Parts<T>) -> bool {
    let Parts { started, landed, ended, .. } = *parts;
    parts.credential == Credential::Absent
        && parts.holding == Holding::Nothing
        && parts.flight == Flight::Idle
        && started == landed
        && landed == ended
}

pub(super) fn invariant_kept<T: Time>(step: &Step<T>) -> Verdict {
    invariant(&step.policy, &step.after)
}

pub(super) fn epoch<T: Time>(step: &Step<T>) -> Verdict {
    let Step { before, after, effect, .. } = *step;
    match step.event {
        Event::Cleared | Event::Installed { .. } => {
            ensure(after.flight == Flight::Idle, "a refresh outlives its epoch")?;
            ensure(after.ended == before.started, "a refresh of the old epoch still counts")?;
            ensure(after.landed == before.started, "a refresh of the old epoch may still land")?;
            ensure(after.budget == Budget::Full, "the budget was not filled")?;
            ensure((after.failures, after.pause) == (0, Pause::Over), "a backoff was left over")?;
            if step.event == Event::Cleared {
                ensure(effect == Effect::Withdraw, "nobody is told of the logout")?;
                return ensure(logged_out(&after), "something is left after a logout");
            }
            ensure(after.credential != Credential::Absent, "a login that brought nothing")?;
            return match (effect, after.holding) {
                (Effect::Publish { .. }, Holding::Token(_)) => Ok(()),
                (Effect::KeepRefreshToken, Holding::Nothing) => Ok(()),
                _ => Err("a token of the old epoch was left over, or the new one lost"),
            };
        }
        Event::Requested { .. }
        | Event::Refreshed { .. }
        | Event::RefreshFailed { .. }
        | Event::Rejected { .. }
        | Event::Accepted { .. }
        | Event::TimePassed { .. } => {}
    }
    ensure(after.ended == before.ended, "an epoch ended by itself")?;
    if !logged_out(&before) {
        return Ok(());
    }
    ensure(logged_out(&after), "something came back after a logout")?;
    let told = match step.event {
        Event::Requested { .. } => Effect::LogIn(Ending::NoGrant),
        Event::Refreshed { flight, .. } if flight.number() <= before.ended => Effect::ReleaseOrphan,
        Event::Refreshed { .. } => Effect::Discard,
        _ => Effect::Nothing,
    };
    ensure(effect == told, "after a logout something is done all the same")
}
