//! The lease machine: rules F3 and F4, and A5 for its instants.

use perennial::lease::formal::{
    Lease, Limit, Note, Parts, Phase, Queue, Renewal, Stage, Tenure, Theirs, observed,
};
use perennial::lease::{Effect, Event, Found, GiveUpReason, Policy, State, Term, TimePassed, Turn};
use perennial::time::Time;

use super::{Verdict, ensure};
use crate::hold::{Glance, Hold};

fn is_over<T: Time>(lease: &Lease<T>) -> bool {
    matches!(lease.tenure, Tenure::Until { end: Limit::Over, .. })
}

/// The lease that is held at the step's now.
fn held<T: Time>(hold: &Hold<T>) -> Option<Lease<T>> {
    match hold.shown.phase {
        Phase::Holding(lease) if !is_over(&lease) => Some(lease),
        _ => None,
    }
}

/// What is left at the step's now of a limit that lies at `instant`.
fn left<T: Time>(limit: Limit<T>, now: T) -> Option<T::Span> {
    match limit {
        Limit::At { instant, at_most } => {
            let end = instant.min(now.saturating_add(at_most));
            (now < end).then(|| end.since(now))
        }
        Limit::Over => None,
    }
}

/// Whether a request may be sent in this step, by what was before it alone.
fn may_send<T: Time>(hold: &Hold<T>) -> bool {
    let (Phase::Holding(before), Some(lease)) = (hold.before.phase, held(hold)) else {
        return false;
    };
    let waits = match lease.stage {
        Stage::Preparing | Stage::Ready => left(before.deadline, hold.now).is_some(),
        Stage::Sent | Stage::Abandoned => false,
    };
    let enough = |left: Option<T::Span>| {
        left.is_some_and(|left| left >= hold.policy.margin && left >= hold.policy.refresh_deadline)
    };
    match (hold.event, before.tenure) {
        (Event::Prepared { version }, tenure) => {
            let lasts = match tenure {
                Tenure::Unlimited => true,
                Tenure::Until { end, .. } => enough(left(end, hold.now)),
            };
            waits && version >= hold.before.version && lasts
        }
        (
            Event::Renewed { term, version },
            Tenure::Until { renewal: Renewal::Asked(asked), .. },
        ) => {
            let lasts = match term {
                Term::WhileHeld => true,
                Term::For(span) => {
                    let end = asked.min(hold.now).saturating_add(span);
                    enough(left(Limit::At { instant: end, at_most: span }, hold.now))
                }
            };
            waits && lease.stage == Stage::Ready && version >= hold.before.version && lasts
        }
        _ => false,
    }
}

pub(super) fn send<T: Time>(hold: &Hold<T>) -> Verdict {
    if hold.effect == Effect::Send {
        ensure(may_send(hold), "sent without a lease, or with less than the margin left")?;
        let sent = matches!(hold.after.phase, Phase::Holding(Lease { stage: Stage::Sent, .. }));
        return ensure(sent, "sent, and not known to be");
    }
    ensure(!may_send(hold), "not sent though the lease is held for long enough")
}

/// Whether nothing may be sent any more in this turn.
fn is_spent<T: Time>(parts: &Parts<T>) -> bool {
    match parts.phase {
        Phase::Holding(lease) => match lease.stage {
            Stage::Sent | Stage::Abandoned => true,
            Stage::Preparing | Stage::Ready => is_over(&lease),
        },
        Phase::Lost { .. } | Phase::Released | Phase::Over => true,
        Phase::Idle | Phase::Asking { .. } | Phase::Waiting { .. } => false,
    }
}

pub(super) fn once<T: Time>(hold: &Hold<T>) -> Verdict {
    if !is_spent(&hold.shown) {
        return Ok(());
    }
    ensure(hold.effect != Effect::Send, "sent twice, or after the lease was lost")?;
    ensure(is_spent(&observed(hold.after.into(), hold.now).into()), "a spent turn began again")
}

pub(super) fn lost<T: Time>(hold: &Hold<T>) -> Verdict {
    let gone = match hold.shown.phase {
        Phase::Holding(lease) => is_over(&lease),
        Phase::Lost { .. } | Phase::Released | Phase::Over => true,
        Phase::Idle | Phase::Asking { .. } | Phase::Waiting { .. } => false,
    };
    if !gone {
        return Ok(());
    }
    match hold.effect {
        Effect::Send | Effect::Renew { .. } | Effect::Store { .. } => {
            return Err("acted under a lost lease");
        }
        _ => {}
    }
    let state = hold.state_after(hold.then[0]);
    ensure(
        matches!(state, State::Lost | State::Over),
        "a lost lease is held again, by a clock that went back or an answer that came late",
    )
}

pub(super) fn fence<T: Time>(hold: &Hold<T>) -> Verdict {
    let Hold { before, event, after, .. } = *hold;
    ensure(after.version >= before.version, "a version went back")?;
    if after.version > before.version {
        let told = match event {
            Event::Acquired { fence, .. } => fence,
            Event::Prepared { version } | Event::Renewed { version, .. } => version,
            _ => return Err("a version grew by itself"),
        };
        ensure(after.version == told, "a version that nobody told")?;
    }
    let named = |parts: &Parts<T>| match parts.phase {
        Phase::Holding(lease) => Some(lease.fence),
        _ => None,
    };
    match (named(&before), named(&after), event) {
        (Some(one), Some(other), _) => ensure(one == other, "another lease under the same turn"),
        (None, Some(new), Event::Acquired { fence, .. }) => {
            ensure(new == fence, "a lease by another number")?;
            let older = fence < before.version;
            let refused = hold.effect == Effect::GiveUp(GiveUpReason::WentBack);
            ensure(older == refused, "an older content is trusted, or a newer is not")
        }
        (None, Some(_), _) => Err("a lease that was not acquired"),
        (_, None, _) => Ok(()),
    }
}

pub(super) fn kept<T: Time>(hold: &Hold<T>) -> Verdict {
    let after = hold.before.version;
    let stored = match hold.effect {
        Effect::Store { after: following } => {
            ensure(following == after, "stored after another version")?;
            Some(true)
        }
        Effect::StoreUnlessOutpaced { after: following } => {
            ensure(following == after, "kept for another version")?;
            Some(false)
        }
        _ => None,
    };
    if hold.event != Event::Answered {
        return ensure(stored.is_none(), "stored without a response");
    }
    let sent = held(hold).is_some_and(|lease| lease.stage == Stage::Sent);
    ensure(stored == Some(sent), "thrown away, or stored as if the lease were held")?;
    ensure(hold.after == hold.shown, "a response changed the turn")
}

fn queue<T: Time>(parts: &Parts<T>) -> Option<Queue<T>> {
    match parts.phase {
        Phase::Asking { queue, .. } | Phase::Waiting { queue, .. } => Some(queue),
        _ => None,
    }
}

pub(super) fn wait<T: Time>(hold: &Hold<T>) -> Verdict {
    let Hold { policy, now, .. } = *hold;
    if let (Event::Started { deadline }, Phase::Idle) = (hold.event, hold.before.phase) {
        let queue = queue(&hold.after).ok_or("started, and not asked for")?;
        if let Limit::At { instant, .. } = queue.give_up {
            ensure(instant <= now.saturating_add(policy.wait_limit), "waits beyond the limit")?;
            ensure(instant <= deadline, "waits beyond the refresh's deadline")?;
        }
        return Ok(());
    }
    let before = queue(&hold.shown);
    if let (Some(before), Some(after)) = (before, queue(&hold.after)) {
        ensure(before.give_up == after.give_up, "the wait limit moved")?;
        ensure(before.deadline == after.deadline, "the deadline moved")?;
    }
    let over = before.is_some_and(|queue| queue.give_up == Limit::Over);
    match hold.effect {
        Effect::Wait { until } => {
            ensure(!over, "waits though the limit is over")?;
            ensure(now < until, "waits for what is over")?;
            ensure(until <= now.saturating_add(policy.poll_cap), "asks less often than it is to")?;
            match before.map(|queue| queue.give_up) {
                Some(Limit::At { instant, .. }) => ensure(until <= instant, "waits too long"),
                Some(Limit::Over) | None => Err("waits though nobody asked"),
            }
        }
        Effect::GiveUp(GiveUpReason::Busy { .. }) => ensure(over, "gave up before the limit"),
        Effect::Acquire { .. } => {
            let begun = before.is_some() && matches!(hold.after.phase, Phase::Asking { .. });
            ensure(begun, "asked for out of turn")?;
            ensure(!over || hold.event == Event::Changed, "asked for though the wait limit is over")
        }
        Effect::GiveUp(_) => Ok(()),
        _ => {
            let asked = matches!(hold.shown.phase, Phase::Asking { .. });
            let ends = match hold.event {
                Event::Busy { .. } | Event::Outpaced => asked,
                event => event == Event::TimePassed,
            };
            ensure(!(over && ends), "went on beyond the limit")
        }
    }
}

pub(super) fn note<T: Time>(hold: &Hold<T>) -> Verdict {
    let Hold { policy, before, now, .. } = *hold;
    let asked = matches!(before.phase, Phase::Asking { .. });
    let (Event::NoteFound { version, sent, until }, true) = (hold.event, asked) else {
        let taken = matches!(hold.effect, Effect::TakeOver { .. });
        return ensure(!taken, "took over what nobody found");
    };
    if version < before.version {
        let refused = hold.effect == Effect::GiveUp(GiveUpReason::WentBack);
        return ensure(refused, "an older content is trusted");
    }
    let (instant, longest) = match until {
        Some(until) => (until, policy.term.max(hold.margin())),
        None => (sent.saturating_add(policy.refresh_deadline), policy.refresh_deadline),
    };
    let seen = match hold.shown.note {
        Note::Seen { version: seen, end } if seen == version => Some(end),
        Note::Seen { .. } | Note::Unseen => None,
    };
    let found = left(Limit::At { instant, at_most: longest }, now);
    let over = version == before.version || found.is_none() || seen == Some(Limit::Over);
    let late = queue(&hold.shown).is_some_and(|queue| queue.deadline == Limit::Over);
    match hold.effect {
        Effect::TakeOver { after, .. } => {
            ensure(over, "took over a lease that is not over")?;
            ensure(!late, "took over though the refresh is")?;
            ensure(after == version, "took over another version")?;
        }
        Effect::GiveUp(GiveUpReason::Overdue) => ensure(over && late, "gave up in time")?,
        _ => ensure(!over, "waited for what is over")?,
    }
    // Told again, the same note is over no later.
    let Note::Seen { version: noted, end } = hold.after.note else {
        return Err("a note is forgotten");
    };
    ensure(noted == version, "another note is remembered")?;
    match (seen, end) {
        (Some(Limit::At { instant: once, .. }), Limit::At { instant, .. }) => {
            ensure(instant <= once, "a note is over later for being found again")
        }
        (Some(Limit::Over), Limit::At { .. }) => Err("a note that was over is not any more"),
        _ => Ok(()),
    }
}

pub(super) fn renewal<T: Time>(hold: &Hold<T>) -> Verdict {
    let lease = held(hold);
    let asked = |tenure| matches!(tenure, Tenure::Until { renewal: Renewal::Asked(_), .. });
    if let Effect::Renew { fence, .. } = hold.effect {
        let lease = lease.ok_or("renewed without a lease")?;
        ensure(fence == lease.fence, "renewed another lease")?;
        ensure(!asked(lease.tenure), "renewed twice at a time")?;
        let Phase::Holding(after) = hold.after.phase else { return Err("renewed and let go") };
        return ensure(asked(after.tenure), "renewed, and not known to be");
    }
    let Some(lease) = lease else { return Ok(()) };
    let due = match lease.tenure {
        Tenure::Until { renewal: Renewal::At(Limit::Over), .. } => true,
        Tenure::Until { .. } | Tenure::Unlimited => false,
    };
    let runs = lease.stage != Stage::Abandoned && lease.deadline != Limit::Over;
    let passed = hold.event == Event::TimePassed;
    ensure(!(due && runs && passed), "a renewal that is due is not asked for")?;
    // A renewal that fails takes nothing from the lease while the request is out.
    if hold.event == Event::Failed && lease.stage == Stage::Sent {
        let Phase::Holding(after) = hold.after.phase else {
            return Err("lost for a renewal that failed");
        };
        return match (lease.tenure, after.tenure) {
            (Tenure::Until { end: one, .. }, Tenure::Until { end: other, renewal }) => {
                ensure(one == other, "a failed renewal moved the end")?;
                match (renewal, other) {
                    (Renewal::At(Limit::At { instant, .. }), Limit::At { instant: end, .. })
                        if asked(lease.tenure) =>
                    {
                        ensure(instant <= end, "asked for when over")
                    }
                    _ => Ok(()),
                }
            }
            (one, other) => ensure(one == other, "a failed renewal changed the term"),
        };
    }
    Ok(())
}

/// Whether a limit is as it can be at `now`.
fn fits<T: Time>(limit: Limit<T>, now: T) -> bool {
    match limit {
        Limit::Over => true,
        Limit::At { instant, at_most } => now < instant && instant <= now.saturating_add(at_most),
    }
}

/// Every limit of a turn.
fn limits<T: Time>(parts: &Parts<T>) -> Vec<Limit<T>> {
    let of_queue = |queue: Queue<T>| {
        let theirs = match queue.theirs {
            Theirs::Unknown => None,
            Theirs::Ends(limit) => Some(limit),
        };
        [queue.give_up, queue.deadline].into_iter().chain(theirs)
    };
    let mut all: Vec<_> = match parts.phase {
        Phase::Asking { queue, .. } => of_queue(queue).collect(),
        Phase::Waiting { queue, poll } => of_queue(queue).chain([poll]).collect(),
        Phase::Holding(lease) => match lease.tenure {
            Tenure::Unlimited => vec![lease.deadline],
            Tenure::Until { end, renewal: Renewal::At(limit) } => vec![lease.deadline, end, limit],
            Tenure::Until { end, renewal: Renewal::Asked(_) | Renewal::None } => {
                vec![lease.deadline, end]
            }
        },
        Phase::Idle | Phase::Lost { .. } | Phase::Released | Phase::Over => Vec::new(),
    };
    if let Note::Seen { end, .. } = parts.note {
        all.push(end);
    }
    all
}

pub(super) fn pulled_in<T: Time>(hold: &Hold<T>) -> Verdict {
    let fit = limits(&hold.after).into_iter().all(|limit| fits(limit, hold.now));
    ensure(fit, "an instant to wait for is over, or lies further ahead than it can")?;
    let asked = match hold.after.phase {
        Phase::Asking { asked, .. } => Some(asked),
        Phase::Holding(Lease {
            tenure: Tenure::Until { renewal: Renewal::Asked(asked), .. },
            ..
        }) => Some(asked),
        _ => None,
    };
    ensure(asked.is_none_or(|asked| asked <= hold.now), "asked for in the future")
}

pub(super) fn latched<T: Time>(hold: &Hold<T>) -> Verdict {
    let (before, shown) = (limits(&hold.before), limits(&hold.shown));
    ensure(before.len() == shown.len(), "a now changed more than what it shows")?;
    for (one, other) in before.into_iter().zip(shown) {
        match (one, other) {
            (Limit::Over, Limit::Over) => {}
            (Limit::Over, Limit::At { .. }) => return Err("what was over is not any more"),
            (Limit::At { instant, at_most }, Limit::Over) => {
                let pulled = instant.min(hold.now.saturating_add(at_most));
                ensure(pulled <= hold.now, "over before its time")?;
            }
            (Limit::At { instant: one, .. }, Limit::At { instant: other, at_most }) => {
                let pulled = one.min(hold.now.saturating_add(at_most));
                ensure(hold.now < one && other == pulled, "pulled in to something else")?;
            }
        }
    }
    // For good: whichever instant comes then.
    let then: Parts<T> = observed(hold.shown.into(), hold.then[0]).into();
    for (one, other) in limits(&hold.shown).into_iter().zip(limits(&then)) {
        ensure(one != Limit::Over || other == Limit::Over, "a clock that went back opened it")?;
    }
    Ok(())
}

pub(super) fn store_down<T: Time>(hold: &Hold<T>) -> Verdict {
    if hold.event != Event::Failed {
        let unreachable = hold.effect == Effect::GiveUp(GiveUpReason::Unreachable);
        let silent = hold.event == Event::TimePassed
            && queue(&hold.shown).is_some_and(|queue| queue.polls == 0);
        return ensure(!unreachable || silent, "unreachable though it answers");
    }
    let asks = match hold.shown.phase {
        Phase::Asking { .. } => true,
        Phase::Holding(lease) => lease.stage == Stage::Ready,
        _ => false,
    };
    let told = hold.effect == Effect::GiveUp(GiveUpReason::Unreachable);
    ensure(told == asks, "a store that is down ends what needs it, and nothing else")?;
    ensure(told || hold.effect == Effect::Nothing, "a store that is down has something done")
}

pub(super) fn released<T: Time>(hold: &Hold<T>) -> Verdict {
    let named = match hold.shown.phase {
        Phase::Holding(Lease { fence, .. }) | Phase::Lost { fence } => Some(fence),
        _ => None,
    };
    let expected = match hold.event {
        Event::Finished => {
            ensure(hold.after.phase == Phase::Over, "finished, and goes on")?;
            named
        }
        Event::Acquired { fence, .. } => match hold.shown.phase {
            Phase::Asking { .. } => None,
            Phase::Holding(lease) if lease.fence == fence => None,
            _ => Some(fence),
        },
        Event::TimePassed => match held(hold) {
            Some(lease) if lease.stage == Stage::Sent && lease.deadline == Limit::Over => {
                ensure(hold.after.phase == Phase::Released, "released, and held all the same")?;
                Some(lease.fence)
            }
            _ => None,
        },
        // Once lost, it is not held again.
        Event::Renewed { .. } => match hold.effect {
            Effect::Release { .. } => {
                let lost = matches!(hold.after.phase, Phase::Lost { .. });
                ensure(lost, "released, and held all the same")?;
                named
            }
            _ => None,
        },
        _ => None,
    };
    let found = match hold.effect {
        Effect::Release { fence } => Some(fence),
        _ => None,
    };
    ensure(found == expected, "released another lease, or not, or too early")
}

pub(super) fn begun<T: Time>(hold: &Hold<T>) -> Verdict {
    let asked = matches!(hold.shown.phase, Phase::Asking { .. });
    let (Event::Acquired { fence, term, found }, true) = (hold.event, asked) else {
        return ensure(!matches!(hold.effect, Effect::Prepare { .. }), "prepared without a lease");
    };
    if fence < hold.before.version {
        return Ok(());
    }
    let short = match term {
        Term::WhileHeld => false,
        Term::For(span) => span < hold.margin(),
    };
    let expected = match found {
        Found::Newer => Effect::Adopt,
        Found::Unchanged | Found::Note { .. } if short => {
            Effect::GiveUp(GiveUpReason::TermTooShort)
        }
        Found::Unchanged => Effect::Prepare { intent: None },
        Found::Note { sent } => Effect::Prepare { intent: Some(sent.min(hold.now)) },
    };
    ensure(hold.effect == expected, "what was found is not what follows")?;
    let (Phase::Asking { asked, .. }, Phase::Holding(lease)) = (hold.shown.phase, hold.after.phase)
    else {
        return Err("acquired, and not held");
    };
    match (term, lease.tenure) {
        (Term::WhileHeld, Tenure::Unlimited) => Ok(()),
        (Term::For(span), Tenure::Until { end: Limit::At { instant, .. }, .. }) => {
            ensure(instant <= asked.saturating_add(span), "held for longer than the term")
        }
        (Term::For(_), Tenure::Until { end: Limit::Over, .. }) => Ok(()),
        _ => Err("held for something else than the term"),
    }
}

pub(super) fn seen_as<T: Time>(hold: &Hold<T>) -> Verdict {
    let expected = match hold.shown.phase {
        Phase::Idle => State::Idle,
        Phase::Asking { .. } => State::Asking,
        Phase::Waiting { .. } => State::Waiting,
        Phase::Holding(lease) => match lease.stage {
            Stage::Abandoned => State::Over,
            Stage::Preparing | Stage::Ready if is_over(&lease) => State::Over,
            Stage::Preparing | Stage::Ready => State::Held,
            Stage::Sent if is_over(&lease) => State::Lost,
            Stage::Sent => State::Sent,
        },
        Phase::Lost { .. } | Phase::Released => State::Lost,
        Phase::Over => State::Over,
    };
    ensure(hold.state_before() == expected, "seen as another than it is")
}

/// Everything that a holder can see without an event, but for numbers.
fn outlook<T: Time>(policy: &Policy<T>, turn: Turn<T>, now: T) -> (State, u8) {
    let mut next = turn;
    let task = match next.handle_timeout(policy, now) {
        TimePassed::Nothing => 0,
        TimePassed::Acquire { .. } => 1,
        TimePassed::Renew { .. } => 2,
        TimePassed::Lost => 3,
        TimePassed::Release { .. } => 4,
        TimePassed::GiveUp(reason) => match reason {
            GiveUpReason::Busy { .. } => 5,
            GiveUpReason::Unreachable => 6,
            GiveUpReason::Lost => 7,
            GiveUpReason::Overdue => 8,
            _ => 9,
        },
    };
    (turn.state(now), task)
}

pub(super) fn exact<T: Time>(glance: &Glance<T>) -> Verdict {
    let Glance { policy, turn, now, then } = *glance;
    let policy = Policy::from(policy);
    let turn = observed(turn.into(), now);
    let present = outlook(&policy, turn, now);
    let next = turn.poll_timeout(&policy, now).map(|timeout| timeout.at);
    if let Some(next) = next {
        ensure(now < next, "a timeout that is not later than now")?;
        ensure(outlook(&policy, turn, next) != present, "nothing happens at the timeout")?;
    }
    if now < then && next.is_none_or(|next| then < next) {
        ensure(outlook(&policy, turn, then) == present, "something happens before the timeout")?;
    }
    Ok(())
}
