//! The life of a token: rules A5, B1, B2, B5, B10.

use perennial::lifecycle::formal::{
    Budget, Credential, Flight, Holding, Parts, Pause, Refund, Rejections, Trouble,
};
use perennial::lifecycle::{
    Effect, Event, Freshness, Meanwhile, MissingLifetime, Novelty, Schedule, State, TokenTimes,
};
use perennial::time::Time;

use super::parts::{
    Declared, by_clock, declared, given_back, is_withdrawn, observed, token, usable,
};
use super::{Verdict, ensure, settled};
use crate::step::Step;

/// What this event says of a token, if it brings one.
pub(super) fn told<T: Time>(step: &Step<T>) -> Option<TokenTimes<T>> {
    match step.event {
        Event::Refreshed { token, .. } => Some(token),
        Event::Installed { token, .. } => token,
        Event::Requested { .. }
        | Event::RefreshFailed { .. }
        | Event::Rejected { .. }
        | Event::Accepted { .. }
        | Event::Recovered { .. }
        | Event::Cleared
        | Event::TimePassed { .. } => None,
    }
}

/// Told of a token of another session, the machine sees `now` and nothing else.
pub(super) fn observed_at<T: Time>(step: &Step<T>) -> Verdict {
    let Step { policy, before, now, shown, event, .. } = *step;
    let Event::Rejected { generation } = event else {
        return Ok(());
    };
    if generation.session() == before.session {
        return Ok(());
    }
    ensure(step.after == shown, "told of another session, it does more than see the instant")?;
    // A budget without a window, which the builder refuses, is full at once; it is only not called so.
    if T::zero() < policy.budget_window {
        let again = Step::take(policy, shown, event, now);
        ensure(again.shown == shown, "seeing an instant twice is not seeing it once")?;
        settled(&policy, &shown, now)?;
    }
    let holding = match before.holding {
        Holding::Nothing => Holding::Nothing,
        Holding::Token(mut held) => {
            held.freshness = held.freshness.max(by_clock(&held.schedule, now));
            Holding::Token(held)
        }
    };
    ensure(shown.holding == holding, "the token is not as its now shows it")?;
    let pause = observed(before.pause, now);
    ensure(shown.pause == pause, "the backoff is not as its now shows it")?;
    let trouble = match before.trouble {
        Trouble::Unexplained { missing, early } => {
            Trouble::Unexplained { missing, early: observed(early, now) }
        }
        Trouble::None | Trouble::Passing | Trouble::Misconfigured => before.trouble,
    };
    ensure(shown.trouble == trouble, "the refusals are not as their now shows them")?;
    let budget = match before.budget {
        Budget::FullAt(instant) if now < instant => {
            Budget::FullAt(instant.min(now.saturating_add(policy.budget_window)))
        }
        Budget::FullAt(_) | Budget::Full => Budget::Full,
    };
    ensure(shown.budget == budget, "the budget is not as its now shows it")?;
    let rejections = allowance_at(step);
    ensure(shown.rejections == rejections, "the allowance is not as its now shows it")?;
    let credential = grant_at(step);
    ensure(shown.credential == credential, "the grant is not as its now shows it")?;
    let flight = flight_at(step, credential);
    ensure(shown.flight == flight, "the flight is not as its now shows it")?;
    let superseded = observed(before.superseded, now);
    ensure(shown.superseded == superseded, "what was superseded is not as its now shows it")?;
    let seen = Parts {
        holding,
        pause,
        superseded,
        trouble,
        budget,
        rejections,
        credential,
        flight,
        ..before
    };
    ensure(seen == shown, "an instant changed an identity or a count")
}

/// Once its window is over it is whole; once its interval is over, what is owed is given back.
fn allowance_at<T: Time>(step: &Step<T>) -> Rejections<T> {
    let Step { policy, before, now, .. } = *step;
    let renewed = observed(before.rejections.renewed, now);
    let spent = if renewed == Pause::Over { 0 } else { before.rejections.spent };
    let (spent, refund) = match before.rejections.refund {
        Refund::Ready => (spent, Refund::Ready),
        Refund::Given(pause) => match observed(pause, now) {
            Pause::Over => (spent, Refund::Ready),
            pause @ Pause::Until { .. } => (spent, Refund::Given(pause)),
        },
        Refund::Owed(pause) => match observed(pause, now) {
            // By then it may be whole again.
            Pause::Over if spent == 0 => (spent, Refund::Ready),
            Pause::Over => (spent - 1, given_back(policy.rejections_interval, now)),
            pause @ Pause::Until { .. } => (spent, Refund::Owed(pause)),
        },
    };
    Rejections { spent, renewed, refund }
}

/// What is known of the grant once `now` is seen: a window is over at its end, and no longer than the
/// server's.
fn grant_at<T: Time>(step: &Step<T>) -> Credential<T> {
    let Step { policy, before, now, .. } = *step;
    match (before.credential, declared(policy.reuse)) {
        (Credential::InDoubtUntil(_), Declared::Always) => Credential::Ready,
        (Credential::InDoubtUntil(_), Declared::Refuses) => Credential::InDoubt,
        (Credential::InDoubtUntil(until), Declared::Answers(window)) => {
            if now < until {
                Credential::InDoubtUntil(until.min(now.saturating_add(window)))
            } else {
                Credential::InDoubt
            }
        }
        (credential, _) => credential,
    }
}

fn flight_at<T: Time>(step: &Step<T>, credential: Credential<T>) -> Flight<T> {
    let Step { policy, before, now, .. } = *step;
    match before.flight {
        Flight::Out { sent, deadline, attempt } => {
            let mut deadline = deadline.min(now.saturating_add(policy.refresh_deadline));
            if let Credential::InDoubtUntil(until) = credential {
                deadline = deadline.min(until);
            }
            Flight::Out { sent: sent.min(now), deadline, attempt }
        }
        Flight::Overdue { attempt, open } => Flight::Overdue { attempt, open: observed(open, now) },
        Flight::Idle => Flight::Idle,
    }
}

pub(super) fn latched<T: Time>(step: &Step<T>) -> Verdict {
    let (Some(was), Some(is)) = (token(&step.before), token(&step.after)) else {
        return Ok(());
    };
    if matches!(step.effect, Effect::Publish { .. }) {
        return Ok(());
    }
    ensure(is.schedule == was.schedule, "a token's deadlines were changed")?;
    ensure(is.freshness >= was.freshness, "what was once seen of a token was forgotten")?;
    ensure(is.freshness >= by_clock(&is.schedule, step.now), "what now shows was not remembered")?;
    let most = was.freshness.max(by_clock(&is.schedule, step.now));
    ensure(is.freshness <= most, "a token is held for older than anything has shown it to be")?;
    ensure(
        is_withdrawn(is.acceptance) || !is_withdrawn(was.acceptance),
        "a withdrawal was forgotten",
    )
}

pub(super) fn pulled_in<T: Time>(step: &Step<T>) -> Verdict {
    let Step { policy, now, after, .. } = *step;
    let ahead = |pause, longest| match pause {
        Pause::Over => false,
        Pause::Until { instant, .. } => instant <= now || now.saturating_add(longest) < instant,
    };
    if let Pause::Until { at_most, .. } = after.pause {
        ensure(!ahead(after.pause, at_most), "a backoff that is over, or lies too far ahead")?;
    }
    ensure(
        !ahead(after.superseded, policy.refresh_deadline),
        "a late answer is waited for too long",
    )?;
    if let Trouble::Unexplained { early, .. } = after.trouble {
        ensure(!ahead(early, policy.unexplained_window), "too early for too long")?;
    }
    let Rejections { renewed, refund, .. } = after.rejections;
    ensure(!ahead(renewed, policy.rejections_window), "the allowance is renewed too late")?;
    if let Refund::Given(pause) | Refund::Owed(pause) = refund {
        ensure(pause != Pause::Over, "the next is given back at once, and waits for it")?;
        ensure(!ahead(pause, policy.rejections_interval), "one is given back too late")?;
    }
    if let Budget::FullAt(instant) = after.budget {
        let latest = now.saturating_add(policy.budget_window);
        ensure(now <= instant && instant <= latest, "the budget fills too late")?;
    }
    if let Credential::InDoubtUntil(until) = after.credential {
        ensure(now < until, "a window that is closed was not dropped")?;
        let Declared::Answers(window) = declared(policy.reuse) else {
            return Err("a server without a window has one");
        };
        ensure(until <= now.saturating_add(window), "a window closes too late")?;
    }
    match after.flight {
        Flight::Idle => Ok(()),
        Flight::Overdue { open, .. } => {
            ensure(!ahead(open, policy.refresh_deadline), "a late answer is waited for too long")
        }
        Flight::Out { sent, deadline, .. } => {
            let latest = now.saturating_add(policy.refresh_deadline);
            ensure(sent <= now && deadline <= latest, "a refresh may be out for too long")?;
            match after.credential {
                Credential::InDoubtUntil(until) => {
                    ensure(deadline <= until, "a retry ends outside its window")
                }
                _ => Ok(()),
            }
        }
    }
}

/// Rule B1, sentence by sentence, of the token that was published.
pub(super) fn schedule<T: Time>(step: &Step<T>) -> Verdict {
    let Effect::Publish { .. } = step.effect else {
        return Ok(());
    };
    let (Some(held), Some(told)) = (token(&step.after), told(step)) else {
        return Err("something was published that nobody brought");
    };
    let lifetime = match (told.lifetime, step.policy.missing_lifetime) {
        (Some(stated), _) => stated,
        (None, MissingLifetime::Assume(assumed)) => assumed,
        (None, MissingLifetime::UntilRejected) => {
            return ensure(
                held.schedule == Schedule::UntilRejected,
                "an unstated lifetime was invented",
            );
        }
    };
    let Schedule::Timed(life) = held.schedule else {
        return Err("a stated lifetime was dropped");
    };
    let sent = told.sent.min(step.now);
    ensure(life.expires_at == sent.saturating_add(lifetime), "not counted from when it was sent")?;
    ensure(life.sent == sent, "it is not known when it was sent")?;
    ensure(sent <= life.refresh_after, "due before it was sent")?;
    ensure(life.refresh_after <= life.unusable_from, "due only once it has lapsed")?;
    ensure(life.unusable_from <= life.expires_at, "handed out past its expiry")?;
    // What is left of the lifetime at the end of time (rule A1).
    let lifetime = life.expires_at.since(sent);
    let eighth = T::halved(lifetime, 3);
    let margin = step.policy.margin.min(eighth);
    ensure(
        life.unusable_from == life.expires_at.saturating_sub(margin),
        "the margin is not the policy's, or an eighth of the lifetime",
    )?;
    let half = sent.saturating_add(T::halved(lifetime, 1));
    ensure(
        life.refresh_after >= half.min(life.unusable_from),
        "due in the first half of its life",
    )?;
    let wished = match told.refresh_in {
        Some(hint) => sent.saturating_add(hint),
        None => life.expires_at.saturating_sub(step.policy.refresh_window),
    };
    ensure(life.refresh_after <= wished.max(half), "due later than was wished for")?;
    let earliest = wished.saturating_sub(eighth);
    ensure(life.refresh_after >= earliest.min(life.unusable_from), "jitter beyond an eighth")
}

pub(super) fn same_again<T: Time>(step: &Step<T>) -> Verdict {
    let (Event::Refreshed { novelty: Novelty::Same, token: told, .. }, Some(held)) =
        (step.event, token(&step.shown))
    else {
        return Ok(());
    };
    let outlives = match (Schedule::of(&step.policy(), told, step.now), held.schedule) {
        (Schedule::UntilRejected, Schedule::Timed(_)) => true,
        (Schedule::Timed(comes), Schedule::Timed(held)) => comes.expires_at > held.expires_at,
        (_, Schedule::UntilRejected) => false,
    };
    if outlives && !is_withdrawn(held.acceptance) {
        return Ok(());
    }
    ensure(!matches!(step.effect, Effect::Publish { .. }), "the same token again was published")
}

pub(super) fn handed_out<T: Time>(step: &Step<T>) -> Verdict {
    if !step.effect.hands_out() {
        return Ok(());
    }
    let Some(held) = token(&step.before) else {
        return Err("handed out, and there is none");
    };
    ensure(!is_withdrawn(held.acceptance), "handed out once it was withdrawn")?;
    ensure(held.freshness != Freshness::Lapsed, "handed out once it was seen lapsed")?;
    match held.schedule {
        Schedule::UntilRejected => Ok(()),
        Schedule::Timed(life) => ensure(step.now < life.unusable_from, "handed out once it lapsed"),
    }
}

pub(super) fn served<T: Time>(step: &Step<T>) -> Verdict {
    let (Event::Requested { usable_for }, Some(held)) = (step.event, token(&step.before)) else {
        return Ok(());
    };
    if !usable(&step.before, step.now) {
        return Ok(());
    }
    let then = step.now.saturating_add(usable_for);
    if by_clock(&held.schedule, then) == Freshness::Lapsed {
        return Ok(());
    }
    ensure(step.effect.hands_out(), "a token that works was withheld")
}

pub(super) fn takes_nothing<T: Time>(step: &Step<T>) -> Verdict {
    ensure(step.after.holding == step.shown.holding, "a failure touched the token")?;
    ensure(step.after.number == step.before.number, "a failure made a token")
}

pub(super) fn born_dead<T: Time>(step: &Step<T>) -> Verdict {
    let Some(told) = told(step) else {
        return ensure(!matches!(step.effect, Effect::Publish { .. }), "published from nothing");
    };
    let dead = by_clock(&Schedule::of(&step.policy(), told, step.now), step.now);
    if let Effect::Publish { .. } = step.effect {
        ensure(dead != Freshness::Lapsed, "what was born dead was published")?;
        if let Some(lifetime) = told.lifetime {
            ensure(lifetime > T::zero(), "a lifetime of nothing was published")?;
        }
        return ensure(usable(&step.after, step.now), "what was published cannot be used");
    }
    if dead == Freshness::Lapsed && step.effect == Effect::KeepRefreshToken {
        let untouched = match step.event {
            Event::Refreshed { .. } => step.shown.holding,
            _ => Holding::Nothing,
        };
        return ensure(step.after.holding == untouched, "what was born dead took a token away");
    }
    Ok(())
}

pub(super) fn view<T: Time>(step: &Step<T>) -> Verdict {
    let works = match step.machine().state(step.now) {
        State::Valid | State::Expiring | State::Refreshing(Meanwhile::UseOld) => true,
        State::Refreshing(Meanwhile::Wait) | State::Expired(_) => false,
    };
    ensure(works == usable(&step.after, step.now), "the view and the rule disagree")
}
