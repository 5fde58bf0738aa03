//! Every state, policy and event of the machine: their kinds written out one by one, their instants
//! and spans any at all.

use perennial::lifecycle::formal::{
    Acceptance, Attempt, Budget, Credential, Flight, Held, Holding, Parts, Pause, Refund,
    Rejections, Trouble,
};
use perennial::lifecycle::{Deadlines, Freshness, MissingLifetime, RawPolicy, Reuse, Schedule};

use super::sym::{Instant, Length};

/// The session of every machine here.
pub(super) const SESSION: u64 = 1;
/// The generation that it stands at.
pub(super) const NUMBER: u64 = 2;
/// Neither none nor at a bound; `failures_in_full` has the others.
const FAILURES: u32 = 3;
/// The same of what a policy counts.
pub(super) const COUNT: u32 = 3;
const WHOLE: Rejections<Instant> =
    Rejections { spent: 0, renewed: Pause::Over, refund: Refund::Ready };

pub fn now() -> Instant {
    Instant::any("now")
}

pub fn then() -> Instant {
    Instant::any("then")
}

pub const FRESHNESSES: [Freshness; 3] = [Freshness::Fresh, Freshness::Due, Freshness::Lapsed];
const STANDINGS: [Acceptance; 4] =
    [Acceptance::Untried, Acceptance::Accepted, Acceptance::WithdrawnPaid, Acceptance::Withdrawn];
const ATTEMPTS: [Attempt; 2] = [Attempt::Ordinary, Attempt::Outrun];

/// Every declaration of what the server does with a refresh token seen twice.
pub(super) fn reuses() -> [Reuse<Instant>; 6] {
    let window = Length::any("policy.reuse window");
    [
        Reuse::Strict,
        Reuse::Idempotent(window),
        Reuse::ConfirmByUse,
        Reuse::OverlapAccessOnly(window),
        Reuse::OverlapSuccessors(window),
        Reuse::Unrotated,
    ]
}

/// What of a policy is no span: each matters to a few events alone.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Whether a lifetime that is not stated is assumed.
    pub assumes: bool,
    /// How many refusals without a reason make a login worth a try.
    pub unexplained: u32,
    /// How many rejections of accepted tokens are allowed.
    pub rejections: u32,
}

impl Choice {
    /// What the policy is of a state to which it does not matter.
    pub fn of(state: &Parts<Instant>) -> Self {
        let rejections = if state.rejections.spent > COUNT { u32::MAX } else { COUNT };
        Self { assumes: true, unexplained: COUNT, rejections }
    }
}

pub fn policy(reuse: Reuse<Instant>, choice: Choice) -> RawPolicy<Instant> {
    RawPolicy {
        refresh_window: Length::any("policy.refresh_window"),
        margin: Length::any("policy.margin"),
        missing_lifetime: if choice.assumes {
            MissingLifetime::Assume(Length::any("policy.missing"))
        } else {
            MissingLifetime::UntilRejected
        },
        backoff_base: Length::any("policy.backoff_base"),
        backoff_cap: Length::any("policy.backoff_cap"),
        misconfigured_base: Length::any("policy.misconfigured_base"),
        misconfigured_cap: Length::any("policy.misconfigured_cap"),
        retry_after_cap: Length::any("policy.retry_after_cap"),
        unexplained_count: choice.unexplained,
        unexplained_window: Length::any("policy.unexplained_window"),
        budget_interval: Length::any("policy.budget_interval"),
        budget_window: Length::any("policy.budget_window"),
        rejections_count: choice.rejections,
        rejections_window: Length::any("policy.rejections_window"),
        rejections_interval: Length::any("policy.rejections_interval"),
        refresh_deadline: Length::any("policy.refresh_deadline"),
        reuse,
    }
}

fn holdings() -> Vec<Holding<Instant>> {
    let timed = Schedule::Timed(Deadlines {
        sent: Instant::any("token sent"),
        refresh_after: Instant::any("refresh_after"),
        unusable_from: Instant::any("unusable_from"),
        expires_at: Instant::any("expires_at"),
    });
    let fresh = |freshness| (Schedule::UntilRejected, freshness);
    let lives = FRESHNESSES.map(|freshness| (timed, freshness));
    let mut all = vec![Holding::Nothing];
    for (schedule, freshness) in [fresh(Freshness::Fresh)].into_iter().chain(lives) {
        for acceptance in STANDINGS {
            all.push(Holding::Token(Held { schedule, freshness, acceptance }));
        }
    }
    all
}

fn credentials() -> [Credential<Instant>; 5] {
    [
        Credential::Absent,
        Credential::Ready,
        Credential::InDoubtUntil(Instant::any("doubted until")),
        Credential::InDoubt,
        Credential::Declined,
    ]
}

fn flights() -> Vec<Flight<Instant>> {
    let (sent, deadline) = (Instant::any("sent"), Instant::any("deadline"));
    let mut all = vec![Flight::Idle];
    for attempt in ATTEMPTS {
        all.push(Flight::Out { sent, deadline, attempt });
        all.extend(pauses("open", "open at most").map(|open| Flight::Overdue { attempt, open }));
    }
    all
}

fn pauses(name: &'static str, length: &'static str) -> [Pause<Instant>; 2] {
    [Pause::Over, Pause::Until { instant: Instant::any(name), at_most: Length::any(length) }]
}

fn backoffs() -> [Pause<Instant>; 2] {
    pauses("pause", "at most")
}

fn budgets() -> [Budget<Instant>; 2] {
    [Budget::Full, Budget::FullAt(Instant::any("full at"))]
}

/// Every way in which the last refresh can have failed, but that it passes.
fn troubles() -> Vec<Trouble<Instant>> {
    let mut all = vec![Trouble::None, Trouble::Misconfigured];
    for missing in 0..COUNT {
        all.extend(
            pauses("early", "early at most").map(|early| Trouble::Unexplained { missing, early }),
        );
    }
    all
}

/// Each order that what is spent and its limit can be in, and the end of both.
fn allowances() -> Vec<Rejections<Instant>> {
    let mut all = Vec::new();
    let [_, pause] = pauses("refund", "refund at most");
    for refund in [Refund::Ready, Refund::Given(pause), Refund::Owed(pause)] {
        for renewed in pauses("renewed", "renewed at most") {
            for spent in [0, 1, COUNT - 1, COUNT, u32::MAX - 1, u32::MAX] {
                if spent == 0 || renewed != Pause::Over {
                    all.push(Rejections { spent, renewed, refund });
                }
            }
        }
    }
    all
}

/// The newest that ended, landed, started: every order that identities can be in, with room between
/// those that differ.
const IDENTITIES: [(u64, u64, u64); 4] = [(1, 1, 1), (1, 1, 4), (1, 4, 4), (1, 4, 7)];

/// A machine after a logout.
pub(super) fn logged_out() -> Parts<Instant> {
    Parts {
        session: SESSION,
        number: NUMBER,
        holding: Holding::Nothing,
        credential: Credential::Absent,
        flight: Flight::Idle,
        started: 1,
        landed: 1,
        ended: 1,
        failures: 0,
        trouble: Trouble::None,
        superseded: Pause::Over,
        pause: Pause::Over,
        budget: Budget::Full,
        rejections: WHOLE,
    }
}

/// Any state, reachable or not, of which nothing speaks against
/// [`invariant`](crate::rules::invariant) but what is known of instants and spans: that is left out
/// when it is met. What the last failure was, the allowance, and what was superseded are in
/// [`troubled`], [`spent`] and [`superseding`].
pub(super) fn plain() -> Vec<Parts<Instant>> {
    let mut all = vec![logged_out()];
    for holding in holdings() {
        for flight in flights() {
            for (ended, landed, started) in IDENTITIES {
                if flight != Flight::Idle && landed == started {
                    continue;
                }
                for credential in credentials() {
                    let trouble = match (credential, flight) {
                        (Credential::Absent, _) => continue,
                        (Credential::Declined, Flight::Idle) => Trouble::None,
                        (Credential::Declined, _) => continue,
                        _ => Trouble::Passing,
                    };
                    for pause in backoffs() {
                        all.extend(budgets().map(|budget| Parts {
                            holding,
                            credential,
                            flight,
                            started,
                            landed,
                            ended,
                            failures: FAILURES,
                            trouble,
                            pause,
                            budget,
                            ..logged_out()
                        }));
                    }
                }
            }
        }
    }
    all
}

/// Those in which it matters how the last refresh failed: the grant, the flight, the backoff, the token.
pub(super) fn troubled() -> Vec<Parts<Instant>> {
    let mut all = Vec::new();
    for state in plain().into_iter().filter(is_simple) {
        for trouble in troubles() {
            let over = match state.flight {
                Flight::Idle | Flight::Out { attempt: Attempt::Ordinary, .. } => false,
                Flight::Out { attempt: Attempt::Outrun, .. } | Flight::Overdue { .. } => true,
            };
            if state.budget == Budget::Full
                && state.trouble == Trouble::Passing
                && (!over || trouble == Trouble::None)
            {
                all.push(Parts { trouble, ..state });
            }
        }
    }
    all
}

/// Those in which it matters what is left of the allowance: the token, the flight, the budget.
pub(super) fn spent() -> Vec<Parts<Instant>> {
    let mut all = Vec::new();
    for state in plain().into_iter().filter(is_simple) {
        if state.credential == Credential::Ready && state.pause == Pause::Over {
            for rejections in allowances().into_iter().filter(|allowance| *allowance != WHOLE) {
                all.push(Parts { rejections, ..state });
            }
        }
    }
    all
}

/// Those in which the answer to what was superseded is waited for: the token, the grant, the flight, the
/// backoff, the budget.
pub(super) fn superseding() -> Vec<Parts<Instant>> {
    let [_, superseded] = pauses("superseded", "superseded at most");
    let doubted = |state: &Parts<Instant>| {
        matches!(state.credential, Credential::InDoubt | Credential::InDoubtUntil(_))
    };
    let ordinary = |state: &Parts<Instant>| match state.flight {
        Flight::Out { attempt, .. } | Flight::Overdue { attempt, .. } => {
            attempt == Attempt::Ordinary
        }
        Flight::Idle => true,
    };
    let all =
        plain().into_iter().filter(|state| is_simple(state) && doubted(state) && ordinary(state));
    all.map(|state| Parts { superseded, ..state }).collect()
}

pub(super) fn is_simple(state: &Parts<Instant>) -> bool {
    (state.ended, state.landed, state.started) == (1, 1, 4)
}
