//! The corners that a machine can get into, so that no rule is kept for want of an occasion.

use perennial::lifecycle::{
    Cause, Delay, Effect, Ending, Event, Failure, Meanwhile, Novelty, Remedy, Reuse, State, Why,
};

use crate::history::{Grant, History, Refresh};
use crate::rules::Outcome;
use crate::runner::Set;
use crate::sentences::sentences;
use crate::tick::Tick;
use crate::world::{Answer, Machine, REFRESH_DEADLINE, Told, World};

sentences! {
    Corner {
        Valid = "state: Valid",
        Expiring = "state: Expiring",
        UseOld = "state: Refreshing, the old token works",
        Wait = "state: Refreshing, callers wait",
        Renewable = "state: Expired, a refresh may help",
        LoggedOut = "state: Expired, only a login can help",
        Nothing = "effect: Nothing",
        Use = "effect: Use",
        UseAndStart = "effect: UseAndStartRefresh",
        StartNoToken = "effect: StartRefresh, for want of a token",
        StartLapsed = "effect: StartRefresh, as the token has lapsed",
        StartRejected = "effect: StartRefresh, as the token was rejected",
        StartTooBrief = "effect: StartRefresh, as the token is too brief",
        WaitForIt = "effect: Wait",
        BackOffFailure = "effect: BackOff, after a failure",
        BackOffBudget = "effect: BackOff, as the budget is spent",
        BackOffDoubt = "effect: BackOff, in doubt",
        NoGrant = "effect: LogIn, as there is no grant",
        Declined = "effect: LogIn, as the grant was declined",
        Unsettled = "effect: LogIn, as the outcome is unknown",
        Publish = "effect: Publish",
        Keep = "effect: KeepRefreshToken",
        Orphan = "effect: ReleaseOrphan",
        Discard = "effect: Discard",
        Withdraw = "effect: Withdraw",
        EndAttempt = "effect: EndAttempt",
        WhyDue = "timeout: Due",
        WhyLapse = "timeout: Lapse",
        WhyDeadline = "timeout: RefreshDeadline",
        WhyBackoff = "timeout: BackoffOver",
        WhyBudget = "timeout: BudgetAllows",
        WhyWindow = "timeout: WindowClosed",
        LateSuccess = "a refresh lands after it was given up",
        Outruns = "an older refresh lands while a newer one is out",
        NotBelieved = "a decline of a grant that was replaced meanwhile is not believed",
        DeclinedLate = "a refresh that was given up turns out to have been declined",
        BornDead = "a token is born dead",
        SameAgain = "the same token comes again, no longer-lived",
        SameLonger = "the same token comes again, longer-lived",
        LastResort = "the one more try that doubt permits is made",
        WithinWindow = "a retry gets a shorter deadline, to end within the server's window",
        Closes = "the server's window closes",
        Free = "the first try after the rejection of a token that had worked is free",
        Paid = "a refresh is paid from the budget",
        JoinedByRejection = "a token is rejected while its refresh is out",
        StaleRejection = "an old token is rejected, and a token of another session",
        FoundInDoubt = "a login finds its refresh token presented before",
        PulledIn = "the clock goes back, and a backoff is pulled in",
    }
}

/// The corners that a machine can get into where the server is of this kind.
pub(crate) fn possible(reuse: Reuse<Tick>) -> Set {
    let all = (1 << Corner::ALL.len()) - 1;
    let window = Corner::WhyWindow.set() | Corner::WithinWindow.set() | Corner::Closes.set();
    let doubt = Corner::BackOffDoubt.set()
        | Corner::Unsettled.set()
        | Corner::LastResort.set()
        | Corner::FoundInDoubt.set();
    match reuse {
        Reuse::Strict => all & !window,
        Reuse::OverlapAccessOnly(_) | Reuse::OverlapSuccessors(_) | Reuse::Idempotent(_) => all,
        Reuse::ConfirmByUse | Reuse::Unrotated => all & !window & !doubt,
    }
}

/// Those of a timeout, which are dear to find out.
const TIMEOUTS: Set = Corner::WhyDue.set()
    | Corner::WhyLapse.set()
    | Corner::WhyDeadline.set()
    | Corner::WhyBackoff.set()
    | Corner::WhyBudget.set()
    | Corner::WhyWindow.set();

/// The corners that this step reached.
pub(crate) fn reached(
    world: &World,
    before: (&Machine, &History),
    event: Told,
    now: Tick,
    outcome: &Outcome,
    wanted: Set,
) -> Set {
    if wanted & possible(world.reuse) == 0 {
        // All that can be reached was. What cannot be is still looked for.
        return of_effect(outcome.effect).set() | of_event(world, before, event, now, outcome);
    }
    let timeouts = if wanted & TIMEOUTS & possible(world.reuse) == 0 {
        0
    } else {
        timeout(world, &outcome.machine, now)
    };
    let was = before.1;
    let Outcome { machine, history, effect, .. } = *outcome;
    let closes = matches!(was.grant, Grant::DoubtedSince(_)) && history.grant == Grant::Doubted;
    let pulled = matches!(
        (was.pause, history.pause),
        (Some((earlier, _)), Some((later, _))) if later < earlier
    );
    timeouts
        | of_state(&machine, now).set()
        | of_effect(effect).set()
        | of_event(world, before, event, now, outcome)
        | Corner::Closes.when(closes)
        | Corner::PulledIn.when(pulled)
}

fn timeout(world: &World, machine: &Machine, now: Tick) -> Set {
    match machine.poll_timeout(&world.policy, now).map(|timeout| timeout.why) {
        None => 0,
        Some(Why::Due) => Corner::WhyDue.set(),
        Some(Why::Lapse) => Corner::WhyLapse.set(),
        Some(Why::RefreshDeadline) => Corner::WhyDeadline.set(),
        Some(Why::BackoffOver) => Corner::WhyBackoff.set(),
        Some(Why::BudgetAllows) => Corner::WhyBudget.set(),
        Some(Why::WindowClosed) => Corner::WhyWindow.set(),
    }
}

fn of_state(machine: &Machine, now: Tick) -> Corner {
    match machine.state(now) {
        State::Valid => Corner::Valid,
        State::Expiring => Corner::Expiring,
        State::Refreshing(Meanwhile::UseOld) => Corner::UseOld,
        State::Refreshing(Meanwhile::Wait) => Corner::Wait,
        State::Expired(Remedy::Refresh) => Corner::Renewable,
        State::Expired(Remedy::LogIn) => Corner::LoggedOut,
    }
}

fn of_effect(effect: Answer) -> Corner {
    match effect {
        Effect::Nothing => Corner::Nothing,
        Effect::Use => Corner::Use,
        Effect::UseAndStartRefresh(_) => Corner::UseAndStart,
        Effect::StartRefresh(start) => match start.cause {
            Cause::NoToken | Cause::Due => Corner::StartNoToken,
            Cause::Lapsed => Corner::StartLapsed,
            Cause::Rejected => Corner::StartRejected,
            Cause::TooBrief => Corner::StartTooBrief,
        },
        Effect::Wait { .. } => Corner::WaitForIt,
        Effect::BackOff { reason: Delay::Failure, .. } => Corner::BackOffFailure,
        Effect::BackOff { reason: Delay::Budget, .. } => Corner::BackOffBudget,
        Effect::BackOff { reason: Delay::Doubt, .. } => Corner::BackOffDoubt,
        Effect::LogIn(Ending::NoGrant) => Corner::NoGrant,
        Effect::LogIn(Ending::Declined) => Corner::Declined,
        Effect::LogIn(Ending::Unsettled) => Corner::Unsettled,
        Effect::Publish { .. } => Corner::Publish,
        Effect::KeepRefreshToken => Corner::Keep,
        Effect::ReleaseOrphan => Corner::Orphan,
        Effect::Discard => Corner::Discard,
        Effect::Withdraw => Corner::Withdraw,
        Effect::EndAttempt => Corner::EndAttempt,
    }
}

fn of_event(
    world: &World,
    (machine, was): (&Machine, &History),
    event: Told,
    now: Tick,
    outcome: &Outcome,
) -> Set {
    let Outcome { history, effect, .. } = *outcome;
    let kept = matches!(effect, Effect::Publish { .. } | Effect::KeepRefreshToken);
    match event {
        Event::Requested { .. } => effect.start().map_or(0, |start| {
            let rejected = was.token.filter(|token| token.rejected && !token.seen_due);
            let free = rejected.is_some_and(|token| token.accepted && !token.free_try_made);
            Corner::LastResort.when(history.last_resort)
                | Corner::WithinWindow.when(start.deadline < now.plus(REFRESH_DEADLINE))
                | Corner::Free.when(free && history.full_at == was.full_at)
                | Corner::Paid.when(history.full_at > was.full_at)
        }),
        Event::Refreshed { flight, novelty, .. } => {
            let newest = flight == machine.newest_flight();
            let same = novelty == Novelty::Same && was.token.is_some();
            let keeps = effect == Effect::KeepRefreshToken;
            Corner::LateSuccess.when(kept && newest && was.refresh == Refresh::Overdue)
                | Corner::Outruns.when(kept && !newest && was.is_out())
                | Corner::BornDead.when(keeps && novelty == Novelty::New)
                | Corner::SameAgain.when(keeps && same)
                | Corner::SameLonger.when(kept && !keeps && same)
        }
        Event::RefreshFailed { failure: Failure::Declined, .. } => {
            let late = was.refresh == Refresh::Overdue;
            Corner::DeclinedLate.when(late && effect == Effect::EndAttempt)
                | Corner::NotBelieved.when(was.outrun && was.refresh != history.refresh)
        }
        Event::Rejected { generation } => {
            let stale = generation == world.foreign || effect == Effect::Nothing;
            Corner::JoinedByRejection.when(effect == Effect::Withdraw && was.is_out())
                | Corner::StaleRejection.when(stale && was.works(now))
        }
        Event::Installed { .. } => Corner::FoundInDoubt.when(
            matches!(history.grant, Grant::Doubted | Grant::DoubtedSince(_)) && history.ended == 0,
        ),
        Event::RefreshFailed { .. }
        | Event::Accepted { .. }
        | Event::Cleared
        | Event::TimePassed { .. } => 0,
    }
}
