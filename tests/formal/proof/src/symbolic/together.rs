//! Which states, servers and events of the client's machine are put together: all that meet in one
//! decision of it, and little more.

use perennial::lifecycle::formal::{
    Acceptance, Attempt, Budget, Credential, Flight, Holding, Parts, Pause, Trouble,
};
use perennial::lifecycle::{Freshness, Reuse, Schedule};

use super::states::{is_simple, logged_out, plain, reuses, spent, superseding, troubled};
use super::sym::Instant;
use crate::step::Kind;

/// What an event asks a state for.
#[expect(clippy::struct_excessive_bools, reason = "each may be asked for without the others")]
struct Asks {
    /// For everything at once that may be waited for.
    all: bool,
    budget: bool,
    allowance: bool,
    trouble: bool,
    late: bool,
    server: bool,
}

impl Asks {
    #[rustfmt::skip]
    fn of(kind: Kind) -> Self {
        let nothing =
            Self { all: false, budget: false, allowance: false, trouble: false, late: false, server: false };
        match kind {
            Kind::Requested => Self { all: true, budget: true, trouble: true, late: true, ..nothing },
            Kind::Rejected => Self { all: true, budget: true, allowance: true, ..nothing },
            Kind::Recovered => Self { allowance: true, ..nothing },
            Kind::RefreshFailed | Kind::TimePassed => Self { trouble: true, server: true, ..nothing },
            Kind::Refreshed | Kind::Installed => Self { server: true, ..nothing },
            Kind::Accepted | Kind::Cleared => nothing,
        }
    }
}

/// Every state that such an event is told to. What it does not ask for it meets in few.
pub fn states(kind: Kind) -> Vec<Parts<Instant>> {
    let asks = Asks::of(kind);
    let plain = plain().into_iter().filter(|state| {
        let budget = asks.budget || state.budget == Budget::Full || is_simple(state);
        asks.all || (budget && waits_besides(state) <= AT_ONCE)
    });
    let few = |state: &Parts<Instant>| {
        state.pause == Pause::Over && state.budget == Budget::Full && is_bare(state)
    };
    let troubled = troubled().into_iter().filter(|state| asks.trouble || few(state));
    let spent = spent().into_iter().filter(|state| asks.allowance || few(state));
    let superseding = superseding().into_iter().filter(|state| asks.late || few(state));
    plain.chain(troubled).chain(spent).chain(superseding).collect()
}

/// The servers that may make a difference to that: all in simple states; elsewhere one of those that
/// refuse, that answer for a while and that always answer, or where nothing is asked of it, one.
pub fn servers(kind: Kind, state: &Parts<Instant>) -> Vec<Reuse<Instant>> {
    if state.superseded != Pause::Over {
        // Only one that answers again for a while leads there.
        return reuses().into_iter().skip(1).take(1).collect();
    }
    let simple = is_simple(state) && state.pause == Pause::Over && state.budget == Budget::Full;
    let known = match (state.credential, state.trouble) {
        (Credential::InDoubtUntil(_), _) | (_, Trouble::Misconfigured) => true,
        (_, Trouble::None | Trouble::Passing | Trouble::Unexplained { .. }) => false,
    };
    let different = if simple {
        6
    } else if known || Asks::of(kind).server {
        3
    } else {
        1
    };
    reuses().into_iter().take(different).collect()
}

/// Those that may differ in what is seen of this state: where nothing is in doubt, and the client is
/// accepted, nothing of it is asked.
pub fn servers_looked_at(state: &Parts<Instant>) -> Vec<Reuse<Instant>> {
    let [strict, idempotent, confirm, ..] = reuses();
    match (state.credential, state.trouble) {
        _ if state.superseded != Pause::Over => vec![idempotent],
        (Credential::InDoubtUntil(_), _) => vec![idempotent],
        (_, Trouble::Misconfigured) => vec![strict, idempotent, confirm],
        (_, Trouble::None | Trouble::Passing | Trouble::Unexplained { .. }) => vec![strict],
    }
}

/// Those of them that are looked at: one of several that differ only in identities, in the allowance,
/// in whether the token was accepted, in whether what is out was outrun, in how many refusals are missing
/// for a login, and in whether none failed or one did, of all of which nothing is visible.
pub fn looked_at() -> Vec<Parts<Instant>> {
    let plain = plain().into_iter().filter(is_simple).collect();
    let mut all = [plain, troubled(), superseding()].concat();
    all.retain(|state| {
        let acceptance = match state.holding {
            Holding::Nothing => true,
            Holding::Token(held) => held.acceptance != Acceptance::Accepted,
        };
        let attempt = match state.flight {
            Flight::Idle => true,
            Flight::Out { attempt, .. } | Flight::Overdue { attempt, .. } => {
                attempt == Attempt::Ordinary
            }
        };
        let trouble = match state.trouble {
            Trouble::None => state.credential == Credential::Declined,
            Trouble::Passing | Trouble::Misconfigured => true,
            Trouble::Unexplained { missing, .. } => missing < 2,
        };
        acceptance && attempt && trouble
    });
    all.push(logged_out());
    all.retain(|state| waits(state) <= AT_ONCE || is_doubted_throughout(state));
    all
}

/// Where a doubt makes three of them follow on each other: the token's last chance, the late answer, the
/// backoff.
fn is_doubted_throughout(state: &Parts<Instant>) -> bool {
    let open = matches!(state.flight, Flight::Overdue { open: Pause::Until { .. }, .. });
    state.credential == Credential::InDoubt && open && waits(state) == 3
}

/// How many things are waited for at once, at most, where `poll_timeout` is looked at, and where an
/// answer or a login comes.
const AT_ONCE: usize = 2;

/// How many things change by themselves: the token, the flight or what it leaves, the backoff, the budget,
/// the window, the refusals.
pub fn waits(state: &Parts<Instant>) -> usize {
    usize::from(is_out(state)) + waits_besides(state)
}

fn is_out(state: &Parts<Instant>) -> bool {
    matches!(state.flight, Flight::Out { .. })
}

/// The same, but for a flight that is out, which an answer ends.
fn waits_besides(state: &Parts<Instant>) -> usize {
    let timed = match state.holding {
        Holding::Token(held) => matches!(held.schedule, Schedule::Timed(_)),
        Holding::Nothing => false,
    };
    let early = Trouble::Unexplained { missing: 0, early: Pause::Over };
    [
        timed,
        matches!(state.flight, Flight::Overdue { open: Pause::Until { .. }, .. }),
        matches!(state.superseded, Pause::Until { .. }),
        matches!(state.pause, Pause::Until { .. }),
        matches!(state.budget, Budget::FullAt(_)),
        matches!(state.credential, Credential::InDoubtUntil(_)),
        matches!(state.trouble, Trouble::Unexplained { .. }) && state.trouble != early,
    ]
    .into_iter()
    .filter(|waits| *waits)
    .count()
}

/// Whether its token is none, or one of which nothing has been seen or said.
fn is_bare(state: &Parts<Instant>) -> bool {
    match state.holding {
        Holding::Nothing => true,
        Holding::Token(held) => {
            matches!(held.schedule, Schedule::Timed(_))
                && held.freshness == Freshness::Fresh
                && held.acceptance == Acceptance::Untried
        }
    }
}

/// Every count of failures that the machine may treat in another way: none, each that doubles by
/// less than 64 bits, those about there, and the last there is.
fn failures_in_full() -> impl Iterator<Item = u32> {
    (0..=66).chain([u32::MAX - 1, u32::MAX])
}

/// The states on which every count of failures is tried: the count meets the flight, the backoff and
/// the policy, and nothing else.
pub fn counted(kind: Kind) -> Vec<Parts<Instant>> {
    let few = plain().into_iter().filter(|state| {
        let out = matches!(state.flight, Flight::Out { .. });
        is_simple(state)
            && state.holding == Holding::Nothing
            && (out || !matches!(kind, Kind::Refreshed | Kind::Installed))
            && state.budget == Budget::Full
            && state.credential == Credential::Ready
    });
    let with = |state: Parts<Instant>| {
        failures_in_full().map(move |failures| {
            let trouble = if failures == 0 { Trouble::None } else { state.trouble };
            Parts { failures, trouble, ..state }
        })
    };
    few.flat_map(with).collect()
}
