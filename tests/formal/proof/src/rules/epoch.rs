//! Identities, epochs, and what is assumed of every state: rules B1, B3, B4, B9, B11.

use perennial::lifecycle::formal::{
    Attempt, Budget, Credential, Flight, Holding, Parts, Pause, Refund, Rejections, Trouble,
    generation,
};
use perennial::lifecycle::{Effect, Ending, Event, Freshness, RawPolicy, Schedule};
use perennial::time::Time;

use super::parts::{Declared, declared, is_passing, token};
use super::{Verdict, ensure, late};
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
    let Parts { started, landed, ended, failures, pause, trouble, .. } = *parts;
    ensure(ended <= landed && landed <= started, "identities out of order")?;
    ensure(parts.flight == Flight::Idle || landed < started, "what is out has landed")?;
    known(parts)?;
    ensure(failures > 0 || (pause, trouble) == (Pause::Over, Trouble::None), "none has failed")?;
    if let Holding::Token(held) = parts.holding {
        match held.schedule {
            Schedule::UntilRejected => {
                ensure(held.freshness == Freshness::Fresh, "it has no end, and has come near it")?;
            }
            Schedule::Timed(life) => {
                ensure(life.sent <= life.refresh_after, "due before it was sent")?;
                ensure(life.refresh_after <= life.unusable_from, "due once lapsed")?;
                ensure(life.unusable_from <= life.expires_at, "lapses once expired")?;
            }
        }
    }
    if let (Credential::InDoubtUntil(_), Declared::Answers(window)) =
        (parts.credential, declared(policy.reuse))
    {
        ensure(T::zero() < window, "a window that is none is open")?;
    }
    late::consistent(policy, parts)?;
    lengths(policy, parts)
}

/// What is known of the grant, and of how the last refresh failed, beside the flight.
fn known<T: Time>(parts: &Parts<T>) -> Verdict {
    match parts.credential {
        Credential::Absent => return ensure(logged_out(parts), "something is left after a logout"),
        Credential::Declined => {
            let ended = parts.flight == Flight::Idle && parts.trouble == Trouble::None;
            ensure(ended, "declined, and a refresh is out, or another one may help")?;
        }
        Credential::Ready | Credential::InDoubt | Credential::InDoubtUntil(_) => {}
    }
    match parts.flight {
        Flight::Idle | Flight::Out { attempt: Attempt::Ordinary, .. } => Ok(()),
        // An answer landed, or the deadline passed: in either way a row of refusals is over.
        Flight::Out { attempt: Attempt::Outrun, .. } | Flight::Overdue { .. } => {
            ensure(is_passing(parts.trouble), "a row of refusals goes on")
        }
    }
}

/// What is waited for, each no longer than the policy ever makes it.
fn lengths<T: Time>(policy: &RawPolicy<T>, parts: &Parts<T>) -> Verdict {
    let within = |pause, longest| match pause {
        Pause::Over => true,
        Pause::Until { at_most, .. } => T::zero() < at_most && at_most <= longest,
    };
    // That none is longer than the longest of three is no more than is said of each delay.
    if let Pause::Until { at_most, .. } = parts.pause {
        ensure(T::zero() < at_most, "held off for no time")?;
    }
    if let Flight::Out { sent, deadline, .. } = parts.flight {
        ensure(sent <= deadline, "over before it was sent")?;
    }
    if let Flight::Overdue { open, .. } = parts.flight {
        ensure(within(open, policy.refresh_deadline), "its answer is waited for too long")?;
    }
    if let Trouble::Unexplained { missing, early } = parts.trouble {
        ensure(missing < policy.unexplained_count.max(1), "more are missing than there are")?;
        ensure(within(early, policy.unexplained_window), "too early for too long")?;
    }
    let Rejections { spent, renewed, refund } = parts.rejections;
    ensure(spent <= policy.rejections_count, "more spent than there are")?;
    ensure(spent == 0 || renewed != Pause::Over, "spent, and never whole again")?;
    ensure(within(renewed, policy.rejections_window), "the allowance is renewed too late")?;
    match refund {
        Refund::Ready => Ok(()),
        Refund::Given(pause) | Refund::Owed(pause) => {
            let waits = pause != Pause::Over && within(pause, policy.rejections_interval);
            ensure(waits, "one is given back too late, or waits for nothing")
        }
    }
}

fn logged_out<T: Time>(parts: &Parts<T>) -> bool {
    let Parts { started, landed, ended, .. } = *parts;
    parts.credential == Credential::Absent
        && parts.holding == Holding::Nothing
        && parts.flight == Flight::Idle
        && is_whole(parts)
        && started == landed
        && landed == ended
}

/// Whether nothing is left of what failed or was paid for.
fn is_whole<T: Time>(parts: &Parts<T>) -> bool {
    parts.failures == 0
        && parts.trouble == Trouble::None
        && parts.superseded == Pause::Over
        && parts.pause == Pause::Over
        && parts.budget == Budget::Full
        && parts.rejections == Rejections { spent: 0, renewed: Pause::Over, refund: Refund::Ready }
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
            ensure(is_whole(&after), "a failure or a payment was left over")?;
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
        | Event::Recovered { .. }
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
