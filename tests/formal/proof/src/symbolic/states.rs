//! Every state, policy and event of the machine: their kinds written out one by one, their instants
//! and spans any at all.

use perennial::lifecycle::formal::{
    Attempt, Budget, Credential, Flight, Held, Holding, Parts, Pause, Standing, flight_id,
    generation,
};
use perennial::lifecycle::{
    Deadlines, Event, Failure, FlightId, Freshness, MissingLifetime, Novelty, RawPolicy, Reuse,
    Schedule, TokenTimes,
};
use perennial::time::Draw;

use super::sym::{Instant, Length};
use crate::step::Kind;

/// The session of every machine here.
const SESSION: u64 = 1;
/// The generation that it stands at.
const NUMBER: u64 = 2;
/// Neither none nor at a bound; `failures_in_full` has the others.
const FAILURES: u32 = 3;
/// Two draws that need not be alike.
const JITTER: Draw = Draw::new(1);
const DELAY: Draw = Draw::new(2);

pub fn now() -> Instant {
    Instant::any("now")
}

pub fn then() -> Instant {
    Instant::any("then")
}

pub const FRESHNESSES: [Freshness; 3] = [Freshness::Fresh, Freshness::Due, Freshness::Lapsed];
const STANDINGS: [Standing; 4] =
    [Standing::Untried, Standing::Accepted, Standing::RejectedUntried, Standing::RejectedAccepted];
const ATTEMPTS: [Attempt; 3] = [Attempt::Ordinary, Attempt::LastResort, Attempt::Outrun];

/// Every declaration of what the server does with a refresh token seen twice.
pub fn reuses() -> [Reuse<Instant>; 5] {
    let window = Length::any("policy.reuse window");
    [
        Reuse::Strict,
        Reuse::OverlapSuccessors(window),
        Reuse::Idempotent(window),
        Reuse::ConfirmByUse,
        Reuse::Unrotated,
    ]
}

pub fn missing_lifetimes() -> [MissingLifetime<Instant>; 2] {
    [MissingLifetime::Assume(Length::any("policy.missing")), MissingLifetime::UntilRejected]
}

pub fn policy(
    reuse: Reuse<Instant>,
    missing_lifetime: MissingLifetime<Instant>,
) -> RawPolicy<Instant> {
    RawPolicy {
        refresh_window: Length::any("policy.refresh_window"),
        margin: Length::any("policy.margin"),
        missing_lifetime,
        backoff_base: Length::any("policy.backoff_base"),
        backoff_cap: Length::any("policy.backoff_cap"),
        retry_after_cap: Length::any("policy.retry_after_cap"),
        budget_interval: Length::any("policy.budget_interval"),
        budget_window: Length::any("policy.budget_window"),
        refresh_deadline: Length::any("policy.refresh_deadline"),
        reuse,
    }
}

fn holdings() -> Vec<Holding<Instant>> {
    let timed = Schedule::Timed(Deadlines {
        refresh_after: Instant::any("refresh_after"),
        unusable_from: Instant::any("unusable_from"),
        expires_at: Instant::any("expires_at"),
    });
    let mut all = vec![Holding::Nothing];
    for schedule in [Schedule::UntilRejected, timed] {
        for freshness in FRESHNESSES {
            for standing in STANDINGS {
                all.push(Holding::Token(Held { schedule, freshness, standing }));
            }
        }
    }
    all
}

fn credentials() -> [Credential<Instant>; 6] {
    [
        Credential::Absent,
        Credential::Ready,
        Credential::DoubtedUntil(Instant::any("doubted until")),
        Credential::Doubted,
        Credential::Unsettled,
        Credential::Declined,
    ]
}

fn flights() -> Vec<Flight<Instant>> {
    let (sent, deadline) = (Instant::any("sent"), Instant::any("deadline"));
    let out = ATTEMPTS.map(|attempt| Flight::Out { sent, deadline, attempt });
    let overdue = ATTEMPTS.map(|attempt| Flight::Overdue { attempt });
    [Flight::Idle].into_iter().chain(out).chain(overdue).collect()
}

fn pauses() -> [Pause<Instant>; 2] {
    let instant = Instant::any("pause");
    [Pause::Over, Pause::Until { instant, at_most: Length::any("at most") }]
}

fn budgets() -> [Budget<Instant>; 2] {
    [Budget::Full, Budget::FullAt(Instant::any("full at"))]
}

/// The newest that ended, landed, started: every order that identities can be in, with room between
/// those that differ.
const IDENTITIES: [(u64, u64, u64); 4] = [(1, 1, 1), (1, 1, 4), (1, 4, 4), (1, 4, 7)];
/// One below, at, and above each of those.
const NUMBERS: [u64; 7] = [0, 1, 2, 4, 5, 7, 8];

/// Any state, reachable or not, but that identities are in order and what is out has not landed. What
/// else [`invariant`](crate::rules::invariant) rules out is left out when it is met.
pub fn states() -> Vec<Parts<Instant>> {
    let mut all = Vec::new();
    for holding in holdings() {
        for flight in flights() {
            for (ended, landed, started) in IDENTITIES {
                if flight != Flight::Idle && landed == started {
                    continue;
                }
                for credential in credentials() {
                    for pause in pauses() {
                        for budget in budgets() {
                            all.push(Parts {
                                session: SESSION,
                                number: NUMBER,
                                holding,
                                credential,
                                flight,
                                started,
                                landed,
                                ended,
                                failures: FAILURES,
                                pause,
                                budget,
                            });
                        }
                    }
                }
            }
        }
    }
    all
}

/// Those of them that differ in more than identities.
pub fn states_but_for_identities() -> Vec<Parts<Instant>> {
    states().into_iter().filter(|parts| (parts.landed, parts.started) == (1, 4)).collect()
}

/// Every count of failures that the machine may treat in another way: none, each that doubles by
/// less than 64 bits, those about there, and the last there is.
pub fn failures_in_full() -> impl Iterator<Item = u32> {
    (0..=66).chain([u32::MAX - 1, u32::MAX])
}

/// The ways in which a token can be told of, with what the policy says of its lifetime.
fn tokens() -> [(TokenTimes<Instant>, usize); 5] {
    let lifetime = Some(Length::any("lifetime"));
    let refresh_in = Some(Length::any("refresh in"));
    let token = |lifetime, refresh_in| TokenTimes {
        sent: Instant::any("sent at"),
        lifetime,
        refresh_in,
        jitter: JITTER,
    };
    [
        (token(lifetime, None), 0),
        (token(lifetime, refresh_in), 0),
        (token(None, None), 0),
        (token(None, refresh_in), 0),
        // Its lifetime is not stated and not assumed: a hint would change nothing.
        (token(None, None), 1),
    ]
}

fn failures() -> [Failure<Instant>; 4] {
    [
        Failure::Declined,
        Failure::Unknown,
        Failure::Unavailable { retry_after: None },
        Failure::Unavailable { retry_after: Some(Length::any("retry after")) },
    ]
}

/// Every identity that differs from the others in its place among those of the state.
fn identities(state: &Parts<Instant>) -> impl Iterator<Item = FlightId> {
    let Parts { started, landed, ended, .. } = *state;
    let place = move |number: u64| (number.cmp(&ended), number.cmp(&landed), number.cmp(&started));
    NUMBERS.into_iter().enumerate().filter_map(move |(index, number)| {
        let known = NUMBERS[..index].iter().any(|&earlier| place(earlier) == place(number));
        (!known).then(|| flight_id(number))
    })
}

/// Every event of a kind that may be told to this state, each with which of [`missing_lifetimes`]
/// it is to be told under.
pub fn events(kind: Kind, state: &Parts<Instant>) -> Vec<(Event<Instant>, usize)> {
    let mut all = Vec::new();
    let generations =
        [(SESSION, NUMBER), (SESSION, NUMBER - 1), (SESSION, NUMBER + 1), (SESSION + 1, NUMBER)];
    match kind {
        Kind::Requested => {
            all.push((Event::Requested { usable_for: Length::any("usable for") }, 0));
        }
        Kind::Refreshed => {
            for flight in identities(state) {
                let number = flight.number();
                let lands = number > state.landed && number <= state.started;
                for (token, missing) in tokens() {
                    for novelty in [Novelty::New, Novelty::Same] {
                        let event = Event::Refreshed { flight, token, novelty, draw: DELAY };
                        all.push((event, missing));
                    }
                }
                if !lands {
                    // What does not count is dropped before it is looked at: one will do.
                    all.truncate(all.len() - 9);
                }
            }
        }
        Kind::RefreshFailed => {
            for flight in identities(state) {
                for failure in failures() {
                    all.push((Event::RefreshFailed { flight, failure, draw: DELAY }, 0));
                }
            }
        }
        Kind::Rejected => {
            all.extend(generations.map(|(session, number)| {
                (Event::Rejected { generation: generation(session, number) }, 0)
            }));
        }
        Kind::Accepted => {
            all.extend(generations.map(|(session, number)| {
                (Event::Accepted { generation: generation(session, number) }, 0)
            }));
        }
        Kind::Installed => {
            for intent in [None, Some(Instant::any("intent"))] {
                all.push((Event::Installed { token: None, intent }, 0));
                for (token, missing) in tokens() {
                    all.push((Event::Installed { token: Some(token), intent }, missing));
                }
            }
        }
        Kind::Cleared => all.push((Event::Cleared, 0)),
        Kind::TimePassed => all.push((Event::TimePassed { draw: DELAY }, 0)),
    }
    all
}
