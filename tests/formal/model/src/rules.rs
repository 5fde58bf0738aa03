//! The rules of part B as properties of one step: what the machine answered and became, against what
//! the history says, and against what can be seen without one.

use perennial::lifecycle::{
    Delay, Effect, Ending, Event, Failure, FlightId, Meanwhile, Novelty, Schedule, State, apply,
};
use perennial::time::{Draw, Time};

use crate::history::{History, Refresh};
use crate::life::{Instants, Life};
use crate::runner::Set;
use crate::sentences::sentences;
use crate::tick::{FAILURES, Tick};
use crate::world::{Answer, Machine, Told, World};

sentences! {
    Rule {
        Shown = "A5: what some now has shown, no later now takes back",
        Life = "B1: the instants of a token's life lie in order and where the rule puts them",
        Again = "B1: the same token, no longer-lived, is not refreshed again before backoff",
        NoDeadToken = "B2: nothing is handed out that has lapsed, was rejected, or is not held",
        OneOut = "B3: at most one refresh is out",
        Superseded = "B3: a superseded result changes nothing",
        Generations = "B4: generations grow by one, and are of their session",
        Overwrites = "B4: a late success overwrites no newer token, no login and no logout",
        KeepsWorking = "B5: a failure takes nothing from a token that works, and callers get it",
        Declined = "B6: declined is final until another grant comes",
        Unknown = "B6: what follows an unknown outcome is what the server is declared to tolerate",
        Misconfigured = "B6: what a misconfigured client is told, and when it tries again, is the rule's",
        Unexplained = "B6: refusals without a reason are counted in a row, and told of once they last",
        BackOff = "B7: no refresh starts before the backoff is over, and one may when it is",
        Rejections = "B8: a rejection that is paid for makes unusable at once, others change nothing",
        Budget = "B9: what nothing made due is paid from the budget, and what is free is not",
        Allowance = "B9: rejections are paid for, and given back, as the rule says",
        BornDead = "B10: a token born dead counts as a failed refresh",
        Logout = "B11: a logout ends everything",
        Timeout = "B12: nothing visible changes before poll_timeout says, and something does then",
        Harmless = "B12: telling that time passed once more changes nothing",
        Deadline = "B13: a refresh is out until its deadline and no longer, and its answer counts",
        Kept = "B14: a refresh token that came is kept, but after a newer one or its epoch's end",
        HeldBack = "B14: an answer whose repetition is out is held back under confirm by use, and no other",
        Starts = "a refresh that is needed and permitted is started",
    }
}

/// What came of telling something to the machine.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) machine: Machine,
    pub(crate) history: History,
    pub(crate) effect: Answer,
    pub(crate) broken: Set,
}

/// Tells the real machine and the history, and compares them.
pub(crate) fn tell(
    world: &World,
    before: &Machine,
    history: &History,
    event: Told,
    now: Tick,
) -> Outcome {
    let (machine, effect) = apply(&world.policy, *before, event, now);
    let mut next = *history;
    next.notice(world, now);
    let expected = expect(world, &mut next, before, event, now);
    let mut broken = 0;
    if effect != expected {
        broken |= blame(expected, effect, event).set();
    } else if !agrees(&machine, &next, now) {
        broken |= blame_event(event, &machine, &next, now).set();
    }
    broken |= without_history(world, before, event, now, &machine, effect);
    Outcome { machine, history: next, effect, broken }
}

fn expect(
    world: &World,
    history: &mut History,
    before: &Machine,
    event: Told,
    now: Tick,
) -> Answer {
    let back = |flight: FlightId| {
        let newest = before.newest_flight().number();
        u8::try_from(newest - flight.number()).expect("the models tell of no older refresh")
    };
    let current = |generation| world.generation(before, 0) == Some(generation);
    match event {
        Event::Requested { usable_for } => history.requested(world, before, usable_for, now),
        Event::Refreshed { flight, token, novelty, draw } => {
            history.refreshed(world, before, back(flight), (token, novelty), draw, now)
        }
        Event::RefreshFailed { flight, failure, draw } => {
            history.failed(world, back(flight), failure, draw, now)
        }
        Event::Rejected { generation } if current(generation) => history.rejected(now),
        Event::Rejected { .. } => Effect::Nothing,
        Event::Recovered { generation } => {
            if current(generation) {
                history.recovered(now);
            }
            Effect::Nothing
        }
        Event::Accepted { generation } => {
            if current(generation) {
                history.accepted();
            }
            Effect::Nothing
        }
        Event::Installed { token, intent } => history.installed(world, before, token, intent, now),
        Event::Cleared => history.cleared(),
        Event::TimePassed { draw } => history.time_passed(world, draw, now),
    }
}

fn life(machine: &Machine) -> Option<Life> {
    machine.schedule().map(|schedule| match schedule {
        Schedule::UntilRejected => None,
        Schedule::Timed(deadlines) => Some(Instants {
            length: deadlines.expires_at.since(deadlines.sent),
            due: deadlines.refresh_after,
            lapse: deadlines.unusable_from,
            end: deadlines.expires_at,
        }),
    })
}

fn works(machine: &Machine, now: Tick) -> bool {
    match machine.state(now) {
        State::Valid | State::Expiring | State::Refreshing(Meanwhile::UseOld) => true,
        State::Refreshing(Meanwhile::Wait) | State::Expired(_) => false,
    }
}

/// The public view that the history calls for.
fn state(history: &History, now: Tick) -> State {
    match (history.works(now), history.is_out()) {
        (true, true) => State::Refreshing(Meanwhile::UseOld),
        (false, true) => State::Refreshing(Meanwhile::Wait),
        (true, false) => {
            let due = history.token.is_some_and(|token| {
                token.seen_due || token.life.is_some_and(|life| now >= life.due)
            });
            if due { State::Expiring } else { State::Valid }
        }
        (false, false) => State::Expired(history.remedy(now)),
    }
}

/// Whether all that can be read off the machine is what the history calls for: now, a while ago, and
/// around the instant at which the token lapses.
fn agrees(machine: &Machine, history: &History, now: Tick) -> bool {
    let lapse = history.token.and_then(|token| token.life).map_or(now, |life| life.lapse);
    let deadline = match history.refresh {
        Refresh::Out { deadline, .. } => Some(deadline),
        Refresh::Settled | Refresh::Overdue(_) => None,
    };
    [now, now.minus(4), lapse, lapse.minus(1)]
        .into_iter()
        .all(|then| machine.state(then) == state(history, then))
        && machine.ending() == history.ending()
        && machine.refresh_deadline() == deadline
        && machine.failures().min(FAILURES) == u32::from(history.failures)
        && life(machine) == history.token.map(|token| token.life)
        && machine.is_accepted()
            == history.token.is_some_and(|token| token.accepted && !token.rejected)
}

/// The rule that an answer breaks where another one was called for.
#[allow(clippy::wildcard_enum_match_arm, reason = "most pairs have nothing to say")]
fn blame(expected: Answer, found: Answer, event: Told) -> Rule {
    match (expected, found) {
        (Effect::Publish { .. }, Effect::Publish { .. }) => Rule::Generations,
        (Effect::ReleaseOrphan | Effect::Discard, Effect::Publish { .. }) => Rule::Overwrites,
        (Effect::ReleaseOrphan | Effect::Discard, _) => Rule::Overwrites,
        (Effect::HoldBack, _) | (_, Effect::HoldBack) => Rule::HeldBack,
        (Effect::KeepUsing, _) | (_, Effect::KeepUsing) => Rule::Allowance,
        (Effect::Publish { .. } | Effect::KeepRefreshToken, Effect::ReleaseOrphan)
        | (Effect::Publish { .. } | Effect::KeepRefreshToken, Effect::Discard) => Rule::Kept,
        (Effect::KeepRefreshToken, _) => match event {
            Event::Refreshed { novelty: Novelty::Same, .. } => Rule::Again,
            _ => Rule::BornDead,
        },
        (Effect::Wait { .. }, Effect::Wait { .. }) => Rule::Deadline,
        (Effect::Wait { .. }, _) if found.start().is_some() => Rule::OneOut,
        (_, _) if found.hands_out() && !expected.hands_out() => Rule::NoDeadToken,
        (_, _) if expected.hands_out() && !found.hands_out() => Rule::KeepsWorking,
        (Effect::BackOff { reason: Delay::Failure, .. }, _) => Rule::BackOff,
        (Effect::BackOff { reason: Delay::Budget, .. }, _) => Rule::Budget,
        (Effect::BackOff { reason: Delay::Doubt, .. }, _) => Rule::Unknown,
        (Effect::BackOff { reason: Delay::Misconfigured, .. }, _) => Rule::Misconfigured,
        (Effect::LogIn(Ending::Declined), _) => Rule::Declined,
        (Effect::LogIn(Ending::NoGrant), _) => Rule::Logout,
        (_, Effect::BackOff { reason: Delay::Failure, .. }) => Rule::BackOff,
        (_, Effect::BackOff { reason: Delay::Budget, .. }) => Rule::Budget,
        (_, Effect::BackOff { reason: Delay::Doubt, .. }) => Rule::Unknown,
        (_, Effect::BackOff { reason: Delay::Misconfigured, .. }) => Rule::Misconfigured,
        (Effect::StartRefresh(_) | Effect::UseAndStartRefresh(_), _) => Rule::Starts,
        (Effect::Use, _) => match event {
            Event::Requested { .. } => Rule::BackOff,
            _ => Rule::Superseded,
        },
        _ => match event {
            Event::Rejected { .. } | Event::Accepted { .. } | Event::Recovered { .. } => {
                Rule::Rejections
            }
            Event::TimePassed { .. } => Rule::Deadline,
            Event::RefreshFailed { .. } => Rule::Superseded,
            Event::Cleared => Rule::Logout,
            Event::Requested { .. } | Event::Refreshed { .. } | Event::Installed { .. } => {
                Rule::Life
            }
        },
    }
}

/// The rule that is broken where the answer is as it must be and the machine is not.
fn blame_event(event: Told, machine: &Machine, history: &History, now: Tick) -> Rule {
    let laid_out = life(machine) == history.token.map(|token| token.life);
    let serves = works(machine, now) == history.works(now);
    match event {
        _ if !laid_out => Rule::Life,
        _ if serves && works(machine, now.minus(4)) != history.works(now.minus(4)) => Rule::Shown,
        Event::Requested { .. } => Rule::Starts,
        Event::Refreshed { .. } => Rule::BornDead,
        Event::RefreshFailed { .. } if !serves => Rule::KeepsWorking,
        Event::RefreshFailed { failure: Failure::Declined, .. } => Rule::Declined,
        Event::RefreshFailed { failure: Failure::Unavailable { .. }, .. } => Rule::BackOff,
        Event::RefreshFailed { failure: Failure::Unknown, .. } => Rule::Unknown,
        Event::RefreshFailed { failure: Failure::Misconfigured { .. }, .. } => Rule::Misconfigured,
        Event::RefreshFailed { failure: Failure::Unexplained { .. }, .. } => Rule::Unexplained,
        Event::Rejected { .. } | Event::Accepted { .. } => Rule::Rejections,
        Event::Recovered { .. } => Rule::Allowance,
        Event::Installed { .. } => Rule::Overwrites,
        Event::Cleared => Rule::Logout,
        Event::TimePassed { .. } => Rule::Deadline,
    }
}

/// What can be said of a step without any history.
fn without_history(
    world: &World,
    before: &Machine,
    event: Told,
    now: Tick,
    after: &Machine,
    effect: Answer,
) -> Set {
    let mut broken = 0;
    if effect.hands_out() {
        let lapsed = life(after).is_none_or(|life| life.is_some_and(|life| now >= life.lapse));
        broken |= Rule::NoDeadToken.when(lapsed || !works(after, now));
    }
    if let Some(start) = effect.start() {
        broken |= Rule::OneOut.when(
            before.refresh_deadline().is_some()
                || start.flight.number() != before.newest_flight().number() + 1,
        );
        broken |= Rule::Declined.when(before.ending().is_some());
    }
    broken
        | after_effect(world, before, now, after, effect)
        | after_event(world, before, event, now, after, effect)
}

/// As before, by what was answered.
#[allow(clippy::wildcard_enum_match_arm, reason = "most effects have nothing to say")]
fn after_effect(
    world: &World,
    before: &Machine,
    now: Tick,
    after: &Machine,
    effect: Answer,
) -> Set {
    match effect {
        Effect::Publish { generation } => {
            let next = generation.number() == before.published() + 1 && generation.session() == 1;
            Rule::Generations.when(!next || after.generation() != Some(generation))
        }
        Effect::ReleaseOrphan | Effect::Discard | Effect::HoldBack => {
            Rule::Superseded.when(*after != world.shown(*before, now))
        }
        Effect::KeepUsing => {
            let kept = works(after, now) == works(&world.shown(*before, now), now);
            Rule::Allowance.when(!kept || *after != world.shown(*before, now))
        }
        Effect::BackOff { until, .. } => Rule::BackOff.when(until <= now),
        Effect::Wait { until } => {
            let told = Event::TimePassed { draw: Draw::NONE };
            let (judged, effect) = apply(&world.policy, *after, told, until.max(now));
            let over = effect == Effect::EndAttempt && judged.refresh_deadline().is_none();
            Rule::Deadline.when(!over)
        }
        _ => 0,
    }
}

/// As before, by what was told.
fn after_event(
    world: &World,
    before: &Machine,
    event: Told,
    now: Tick,
    after: &Machine,
    effect: Answer,
) -> Set {
    let mut broken = 0;
    // Only the server declines.
    let declines = matches!(event, Event::RefreshFailed { failure: Failure::Declined, .. });
    let is_final = |machine: &Machine| machine.ending() == Some(Ending::Declined);
    broken |= Rule::Declined.when(is_final(after) && !is_final(before) && !declines);
    if let (Event::RefreshFailed { .. } | Event::TimePassed { .. }, Effect::Nothing) =
        (event, effect)
    {
        let shown = world.shown(*before, now);
        broken |= Rule::Superseded.when(shown.newest_flight() != after.newest_flight());
        broken |= Rule::KeepsWorking.when(works(&shown, now) != works(after, now));
    }
    if event == Event::Cleared {
        let request = Event::Requested { usable_for: 0 };
        let answer = |then| apply(&world.policy, *after, request, then).1;
        let nothing = Effect::LogIn(Ending::NoGrant);
        let ended =
            [now, now.minus(4), now.plus(9)].into_iter().all(|then| answer(then) == nothing);
        broken |= Rule::Logout.when(!ended);
    }
    broken
}

/// The view, the answer to a caller, and whether the refresh that is out is overdue.
type Seen = (State, (bool, bool, bool, Option<Answer>), bool);

/// Everything that can be seen of a machine at an instant without an event.
fn seen(world: &World, machine: Machine, now: Tick) -> Seen {
    let request = Event::Requested { usable_for: 0 };
    let answer = apply(&world.policy, machine, request, now).1;
    // Whether one would start, and not which; that one is waited for, and not until when: its
    // deadline is seen in whether it is overdue.
    let waits = matches!(answer, Effect::Wait { .. });
    let refused = (!waits && answer.start().is_none()).then_some(answer);
    let answer = (answer.start().is_some(), answer.hands_out(), waits, refused);
    let told = Event::TimePassed { draw: Draw::NONE };
    let overdue = apply(&world.policy, machine, told, now).1 == Effect::EndAttempt;
    (machine.state(now), answer, overdue)
}

/// Rule B12 for one state.
pub(crate) fn judge(world: &World, machine: &Machine, now: Tick) -> Set {
    let next = machine.poll_timeout(&world.policy, now).map(|timeout| timeout.at);
    if next.is_some_and(|next| next <= now) {
        return Rule::Timeout.set();
    }
    let shown = world.shown(*machine, now);
    let here = seen(world, shown, now);
    let end = next.unwrap_or(now.plus(12));
    let quiet = (now.0 + 1..end.0).all(|then| seen(world, shown, Tick(then)) == here);
    let changes = next.is_none_or(|next| seen(world, shown, next) != here);
    let told = Event::TimePassed { draw: Draw::NONE };
    let once = apply(&world.policy, *machine, told, now);
    let twice = apply(&world.policy, once.0, told, now);
    let harmless = twice.1 == Effect::Nothing && (twice.0 == once.0);
    Rule::Timeout.when(!(quiet && changes)) | Rule::Harmless.when(!harmless)
}
