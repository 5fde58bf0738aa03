//! The corners that a machine can get into, so that no rule is kept for want of an occasion.

use perennial::lifecycle::{
    Cause, Delay, Effect, Ending, Event, Failure, Meanwhile, Novelty, Remedy, Reuse, State,
    TimeoutReason,
};
use perennial::time::{Draw, Time};

use crate::history::{Grant, History, Refresh, Trouble};
use crate::rules::Outcome;
use crate::runner::Set;
use crate::sentences::sentences;
use crate::tick::{MOST, Tick};
use crate::world::{Answer, BACKOFF_BASE, BACKOFF_CAP, Machine, REFRESH_DEADLINE, Told, World};

sentences! {
    Corner {
        Valid = "state: Valid",
        Expiring = "state: Expiring",
        UseOld = "state: Refreshing, the old token works",
        Wait = "state: Refreshing, callers wait",
        Renewable = "state: Expired, a refresh may help",
        Reconfigure = "state: Expired, the configuration must be corrected",
        TryLogIn = "state: Expired, a login may help",
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
        BackOffMisconfigured = "effect: BackOff, as the server does not accept the client",
        NoGrant = "effect: LogIn, as there is no grant",
        Declined = "effect: LogIn, as the grant was declined",
        Publish = "effect: Publish",
        Keep = "effect: KeepRefreshToken",
        Orphan = "effect: ReleaseOrphan",
        HoldBack = "effect: HoldBack",
        Discard = "effect: Discard",
        Withdraw = "effect: Withdraw",
        KeepUsing = "effect: KeepUsing",
        EndAttempt = "effect: EndAttempt",
        WhyDue = "timeout: Due",
        WhyLapse = "timeout: Lapse",
        WhyDeadline = "timeout: RefreshDeadline",
        WhyBackoff = "timeout: BackoffOver",
        WhyBudget = "timeout: BudgetAllows",
        WhyWindow = "timeout: WindowClosed",
        WhyDoubt = "timeout: DoubtOver",
        WhyLogin = "timeout: LoginMayHelp",
        LateSuccess = "a refresh lands after it was given up",
        Outruns = "an older refresh lands while a newer one is out",
        NotBelieved = "a decline of a grant that was replaced meanwhile is not believed",
        DeclinedLate = "a refresh that was given up turns out to have been declined",
        BornDead = "a token is born dead",
        SameAgain = "the same token comes again, no longer-lived",
        SameLonger = "the same token comes again, longer-lived",
        LastChance = "in doubt, the refresh token is presented again as its access token is nearly over",
        AskedOn = "in doubt, and after nothing else helped, the refresh token is presented again",
        WaitsLate = "in doubt, the late answer to a request that is open is waited for",
        WaitsSuperseded = "in doubt, a retry has failed, and the answer to what it superseded is waited for",
        WaitsNoMore = "a late answer is waited for no more, as the request has failed",
        RarelyTried = "a misconfigured client tries again while nothing works",
        SlowTries = "refusals without a reason last, and the next try waits for the backoff's cap",
        InARow = "a refusal with a reason comes between those without, which are counted anew",
        WithinWindow = "a retry gets a shorter deadline, to end within the server's window",
        Closes = "the server's window closes",
        EighthOfWindow = "a backoff is shorter than it would be without the server's window",
        Prepaid = "a refresh was paid for when its token was rejected, and its retry is paid for again",
        Paid = "a refresh is paid from the budget",
        PaidUntried = "the rejection of a token that never worked is paid from the budget",
        PaidAccepted = "the rejection of a token that had worked is paid from the allowance",
        FreeRejection = "a rejection is free, as the token is due",
        RefusedUntried = "a token that never worked stays in use, as the budget is spent",
        RefusedInBackoff = "a token that had worked stays in use, as nothing can replace it yet",
        RefusedAccepted = "a token that had worked stays in use, as the allowance is spent",
        GivenBack = "a refresh that helped is given back",
        NotYetGivenBack = "a refresh that helped is not given back, as one was just now",
        Whole = "the allowance is whole again",
        JoinedByRejection = "a token is rejected while its refresh is out",
        StaleRejection = "an old token is rejected, and a token of another session",
        FoundInDoubt = "a login finds its refresh token presented before",
        PulledIn = "the clock goes back, and a backoff is pulled in",
    }
}

/// The corners that a machine can get into where the server is of this kind.
pub(crate) fn possible(reuse: Reuse<Tick>) -> Set {
    let all = (1 << Corner::ALL.len()) - 1;
    let window = Corner::WhyWindow.set()
        | Corner::WithinWindow.set()
        | Corner::EighthOfWindow.set()
        | Corner::WaitsSuperseded.set()
        | Corner::Closes.set();
    let doubt = Corner::BackOffDoubt.set()
        | Corner::WhyDoubt.set()
        | Corner::LastChance.set()
        | Corner::AskedOn.set()
        | Corner::WaitsLate.set()
        | Corner::WaitsNoMore.set()
        | Corner::FoundInDoubt.set();
    let strict = Corner::BackOffMisconfigured.set();
    let held_back = Corner::HoldBack.set();
    match reuse {
        Reuse::Strict => all & !(window | held_back),
        Reuse::OverlapAccessOnly(_) | Reuse::OverlapSuccessors(_) | Reuse::Idempotent(_) => {
            all & !(strict | held_back)
        }
        // What would outrun the refresh that is out is held back.
        Reuse::ConfirmByUse => all & !(window | doubt | strict | Corner::Outruns.set()),
        Reuse::Unrotated => all & !(window | doubt | strict | held_back),
    }
}

/// Those that only a resource server leads to.
pub(crate) const OF_REJECTIONS: Set = Corner::StartRejected.set()
    | Corner::KeepUsing.set()
    | Corner::Prepaid.set()
    | Corner::PaidUntried.set()
    | Corner::PaidAccepted.set()
    | Corner::FreeRejection.set()
    | Corner::RefusedUntried.set()
    | Corner::RefusedInBackoff.set()
    | Corner::RefusedAccepted.set()
    | Corner::GivenBack.set()
    | Corner::NotYetGivenBack.set()
    | Corner::Whole.set()
    | Corner::JoinedByRejection.set()
    | Corner::StaleRejection.set();

/// Those that only an authorization server leads to that answers in every way.
pub(crate) const OF_REFUSALS: Set = Corner::Reconfigure.set()
    | Corner::TryLogIn.set()
    | Corner::BackOffMisconfigured.set()
    | Corner::WhyLogin.set()
    | Corner::BornDead.set()
    | Corner::SameAgain.set()
    | Corner::SameLonger.set()
    | Corner::RarelyTried.set()
    | Corner::SlowTries.set()
    | Corner::InARow.set();

/// Those of a timeout, which are dear to find out.
const TIMEOUTS: Set = Corner::WhyDue.set()
    | Corner::WhyLapse.set()
    | Corner::WhyDeadline.set()
    | Corner::WhyBackoff.set()
    | Corner::WhyBudget.set()
    | Corner::WhyWindow.set()
    | Corner::WhyDoubt.set()
    | Corner::WhyLogin.set();

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
    let closes = matches!(was.grant, Grant::DoubtedSince(_)) && history.grant == Grant::InDoubt;
    let whole = was.purse.spent > 0 && history.purse.whole.is_none();
    let pulled = matches!(
        (was.pause, history.pause),
        (Some((before, _)), Some((after, _))) if after < before
    );
    timeouts
        | of_state(&machine, now).set()
        | of_effect(effect).set()
        | of_event(world, before, event, now, outcome)
        | Corner::Closes.when(closes)
        | Corner::Whole.when(whole && !matches!(event, Event::Installed { .. } | Event::Cleared))
        | Corner::PulledIn.when(pulled)
}

fn timeout(world: &World, machine: &Machine, now: Tick) -> Set {
    match machine.poll_timeout(&world.policy, now).map(|timeout| timeout.reason) {
        None => 0,
        Some(TimeoutReason::Due) => Corner::WhyDue.set(),
        Some(TimeoutReason::Lapse) => Corner::WhyLapse.set(),
        Some(TimeoutReason::RefreshDeadline) => Corner::WhyDeadline.set(),
        Some(TimeoutReason::BackoffOver) => Corner::WhyBackoff.set(),
        Some(TimeoutReason::BudgetAllows) => Corner::WhyBudget.set(),
        Some(TimeoutReason::WindowClosed) => Corner::WhyWindow.set(),
        Some(TimeoutReason::DoubtOver) => Corner::WhyDoubt.set(),
        Some(TimeoutReason::LoginMayHelp) => Corner::WhyLogin.set(),
    }
}

fn of_state(machine: &Machine, now: Tick) -> Corner {
    match machine.state(now) {
        State::Valid => Corner::Valid,
        State::Expiring => Corner::Expiring,
        State::Refreshing(Meanwhile::UseOld) => Corner::UseOld,
        State::Refreshing(Meanwhile::Wait) => Corner::Wait,
        State::Expired(Remedy::Refresh) => Corner::Renewable,
        State::Expired(Remedy::Reconfigure) => Corner::Reconfigure,
        State::Expired(Remedy::TryLogIn) => Corner::TryLogIn,
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
        Effect::BackOff { reason: Delay::Misconfigured, .. } => Corner::BackOffMisconfigured,
        Effect::LogIn(Ending::NoGrant) => Corner::NoGrant,
        Effect::LogIn(Ending::Declined) => Corner::Declined,
        Effect::Publish { .. } => Corner::Publish,
        Effect::KeepRefreshToken => Corner::Keep,
        Effect::ReleaseOrphan => Corner::Orphan,
        Effect::HoldBack => Corner::HoldBack,
        Effect::Discard => Corner::Discard,
        Effect::Withdraw => Corner::Withdraw,
        Effect::KeepUsing => Corner::KeepUsing,
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
        Event::Requested { .. } => effect.start().map_or_else(
            || {
                let Effect::BackOff { until, reason: Delay::Doubt } = effect else { return 0 };
                let superseded = history.superseded.is_some_and(|(waits, _)| waits == until);
                Corner::WaitsLate.when(!history.works(now))
                    | Corner::WaitsSuperseded.when(superseded && was.refresh == Refresh::Settled)
            },
            |start| started(was, start.deadline, now, &history),
        ),
        Event::Refreshed { flight, novelty, .. } => {
            let newest = flight == machine.newest_flight();
            let same = novelty == Novelty::Same && was.token.is_some();
            let keeps = effect == Effect::KeepRefreshToken;
            Corner::LateSuccess.when(kept && newest && was.is_overdue())
                | Corner::Outruns.when(kept && !newest && was.is_out())
                | Corner::BornDead.when(keeps && novelty == Novelty::New)
                | Corner::SameAgain.when(keeps && same)
                | Corner::SameLonger.when(kept && !keeps && same)
        }
        Event::RefreshFailed { failure, draw, .. } => {
            failed(was, failure, now, &history, effect) | shortened(was, &history, draw, now)
        }
        Event::Rejected { generation } => {
            let stale = generation == world.foreign || effect == Effect::Nothing;
            Corner::StaleRejection.when(stale && was.works(now))
                | rejected(was, &history, effect, now)
        }
        Event::Recovered { .. } => {
            let spent = was.purse.spent > 0 && history.purse.whole.is_some();
            let less = history.purse.spent < was.purse.spent;
            Corner::GivenBack.when(spent && less) | Corner::NotYetGivenBack.when(spent && !less)
        }
        Event::Installed { .. } => Corner::FoundInDoubt.when(
            matches!(history.grant, Grant::InDoubt | Grant::DoubtedSince(_)) && history.ended == 0,
        ),
        Event::TimePassed { draw } => shortened(was, &history, draw, now),
        Event::Accepted { .. } | Event::Cleared => 0,
    }
}

/// A refresh starts.
fn started(was: &History, deadline: Tick, now: Tick, history: &History) -> Set {
    let doubted = history.grant == Grant::InDoubt;
    let again = was.token.is_some_and(|token| token.rejected && !token.prepaid && !token.seen_due);
    let paid = history.purse.full_at > was.purse.full_at;
    Corner::LastChance.when(doubted && was.works(now))
        | Corner::AskedOn.when(doubted && !was.works(now))
        | Corner::RarelyTried.when(was.trouble == Trouble::Misconfigured)
        | Corner::WithinWindow.when(deadline < now.plus(REFRESH_DEADLINE))
        | Corner::Prepaid.when(again && paid)
        | Corner::Paid.when(paid)
}

/// A refresh fails.
fn failed(
    was: &History,
    failure: Failure<Tick>,
    now: Tick,
    history: &History,
    effect: Answer,
) -> Set {
    let ended = effect == Effect::EndAttempt;
    let waited = was.waits_for_late_answer().is_some_and(|until| now < until);
    let waits_no_more = Corner::WaitsNoMore.when(waited && ended);
    let of_kind = match failure {
        Failure::Declined => {
            Corner::DeclinedLate.when(was.is_overdue() && history.grant == Grant::Declined)
                | Corner::NotBelieved.when(was.outrun && was.refresh != history.refresh)
        }
        Failure::Unexplained { .. } => {
            let lasts = history.remedy(now) == Remedy::TryLogIn && was.failures < 2;
            let capped = history.pause.is_some_and(|(_, length)| length == BACKOFF_CAP);
            Corner::SlowTries.when(ended && lasts && capped)
        }
        Failure::Misconfigured { .. } | Failure::Unavailable { .. } | Failure::Unknown => {
            let counted = matches!(was.trouble, Trouble::Unexplained(..));
            Corner::InARow.when(counted && was.trouble != history.trouble && was.is_out())
        }
    };
    waits_no_more | of_kind
}

/// A backoff that is drawn takes an eighth of the server's window at most.
fn shortened(was: &History, history: &History, draw: Draw, now: Tick) -> Set {
    let drawn = Tick::doubled(BACKOFF_BASE, was.failures.into()).min(BACKOFF_CAP);
    let shorter = match history.pause {
        Some((until, _)) => until < now.plus(drawn),
        None => drawn > 0,
    };
    let in_window = matches!(history.grant, Grant::DoubtedSince(_));
    let failed = was.is_out() && !history.is_out() && draw == MOST;
    Corner::EighthOfWindow.when(failed && in_window && shorter)
}

fn rejected(was: &History, history: &History, effect: Answer, now: Tick) -> Set {
    let Some(token) = was.token else { return 0 };
    let withdrawn = effect == Effect::Withdraw;
    let prepaid = history.token.is_some_and(|token| token.prepaid);
    let refused = effect == Effect::KeepUsing;
    Corner::JoinedByRejection.when(withdrawn && was.is_out())
        | Corner::FreeRejection.when(withdrawn && !was.is_out() && !prepaid)
        | Corner::PaidUntried.when(withdrawn && prepaid && !token.accepted)
        | Corner::PaidAccepted.when(withdrawn && prepaid && token.accepted)
        | Corner::RefusedUntried.when(refused && !token.accepted)
        | Corner::RefusedInBackoff.when(refused && token.accepted && was.is_held_off(now))
        | Corner::RefusedAccepted.when(refused && token.accepted && !was.is_held_off(now))
}
