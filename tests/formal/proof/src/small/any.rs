//! Any policy, state, event: drawn, each part from all that it can be.

use perennial::lifecycle::formal::{
    Attempt, Budget, Credential, Flight, Held, Holding, Parts, Pause, Standing, flight_id,
    generation,
};
use perennial::lifecycle::{
    Deadlines, Event, Failure, Freshness, MissingLifetime, Novelty, RawPolicy, Reuse, Schedule,
    TokenTimes,
};

use super::tick::{ALL, Tick, draw};
use crate::step::Kind;

/// A step that is to be taken.
#[derive(Copy, Clone, Debug)]
pub struct Case {
    pub policy: RawPolicy<Tick>,
    pub before: Parts<Tick>,
    pub event: Event<Tick>,
    pub now: Tick,
}

pub const SESSION: u64 = 1;
pub const NUMBER: u64 = 2;
pub const STANDINGS: [Standing; 4] =
    [Standing::Untried, Standing::Accepted, Standing::RejectedUntried, Standing::RejectedAccepted];
pub const FRESHNESSES: [Freshness; 3] = [Freshness::Fresh, Freshness::Due, Freshness::Lapsed];
pub const ATTEMPTS: [Attempt; 3] = [Attempt::Ordinary, Attempt::LastResort, Attempt::Outrun];
pub const FAILURES: [u32; 8] = [0, 1, 2, 3, 4, 63, 64, u32::MAX];
/// The newest that ended, landed, started.
pub const IDENTITIES: [(u64, u64, u64); 4] = [(1, 1, 1), (1, 1, 3), (1, 3, 3), (1, 3, 5)];

/// Every holding.
pub fn holdings() -> Vec<Holding<Tick>> {
    let mut schedules = vec![Schedule::UntilRejected];
    for refresh_after in (0..ALL).map(Tick) {
        for unusable_from in (refresh_after.0..ALL).map(Tick) {
            for expires_at in (unusable_from.0..ALL).map(Tick) {
                let life = Deadlines { refresh_after, unusable_from, expires_at };
                schedules.push(Schedule::Timed(life));
            }
        }
    }
    let mut all = vec![Holding::Nothing];
    for schedule in schedules {
        for freshness in FRESHNESSES {
            for standing in STANDINGS {
                all.push(Holding::Token(Held { schedule, freshness, standing }));
            }
        }
    }
    all
}

pub fn credentials() -> Vec<Credential<Tick>> {
    let known = [Credential::Ready, Credential::Doubted, Credential::Unsettled];
    let ended = [Credential::Absent, Credential::Declined];
    let until = (0..ALL).map(|until| Credential::DoubtedUntil(Tick(until)));
    known.into_iter().chain(ended).chain(until).collect()
}

pub fn reuses() -> Vec<Reuse<Tick>> {
    let declared = [Reuse::Strict, Reuse::ConfirmByUse, Reuse::Unrotated];
    declared
        .into_iter()
        .chain((0..ALL).map(Reuse::OverlapSuccessors))
        .chain((0..ALL).map(Reuse::Idempotent))
        .collect()
}

pub fn pauses() -> Vec<Pause<Tick>> {
    let mut all = vec![Pause::Over];
    for instant in (0..ALL).map(Tick) {
        all.extend((1..ALL).map(|at_most| Pause::Until { instant, at_most }));
    }
    all
}

pub fn budgets() -> Vec<Budget<Tick>> {
    [Budget::Full].into_iter().chain((0..ALL).map(|at| Budget::FullAt(Tick(at)))).collect()
}

pub fn flights() -> Vec<Flight<Tick>> {
    let mut all = vec![Flight::Idle];
    for attempt in ATTEMPTS {
        all.push(Flight::Overdue { attempt });
        for sent in (0..ALL).map(Tick) {
            for deadline in (0..ALL).map(Tick) {
                all.push(Flight::Out { sent, deadline, attempt });
            }
        }
    }
    all
}

/// Draws anything; the same things each time.
#[derive(Debug)]
pub struct Any {
    seed: u64,
    holdings: Vec<Holding<Tick>>,
    credentials: Vec<Credential<Tick>>,
    reuses: Vec<Reuse<Tick>>,
    pauses: Vec<Pause<Tick>>,
    budgets: Vec<Budget<Tick>>,
    flights: Vec<Flight<Tick>>,
}

impl Default for Any {
    fn default() -> Self {
        Self {
            seed: 0x2545_f491_4f6c_dd1d,
            holdings: holdings(),
            credentials: credentials(),
            reuses: reuses(),
            pauses: pauses(),
            budgets: budgets(),
            flights: flights(),
        }
    }
}

/// One of these, by a number drawn.
fn one<T: Copy>(of: &[T], drawn: u64) -> T {
    let below = u64::try_from(of.len()).unwrap_or(1);
    of[usize::try_from(((drawn >> 32) * below) >> 32).unwrap_or(0)]
}

impl Any {
    /// Marsaglia's xorshift.
    fn next(&mut self) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// One of these.
    pub fn one<T: Copy>(&mut self, of: &[T]) -> T {
        one(of, self.next())
    }

    pub fn span(&mut self) -> u8 {
        self.eighths()[0]
    }

    pub fn instant(&mut self) -> Tick {
        Tick(self.span())
    }

    /// Up to ten numbers below eight from one draw.
    fn eighths(&mut self) -> [u8; 10] {
        let drawn = self.next() >> 30;
        core::array::from_fn(|index| u8::try_from((drawn >> (3 * index)) & 7).unwrap_or(0))
    }

    pub fn holding(&mut self) -> Holding<Tick> {
        let drawn = self.next();
        // Nothing held is not as rare as one state among all.
        if drawn.is_multiple_of(8) { Holding::Nothing } else { one(&self.holdings, drawn) }
    }

    pub fn policy(&mut self) -> RawPolicy<Tick> {
        let [a, b, c, d, e, f, g, h, missing, coin] = self.eighths();
        let drawn = self.next();
        RawPolicy {
            refresh_window: a,
            margin: b,
            missing_lifetime: if coin & 1 == 0 {
                MissingLifetime::UntilRejected
            } else {
                MissingLifetime::Assume(missing)
            },
            backoff_base: c,
            backoff_cap: d,
            retry_after_cap: e,
            budget_interval: f,
            budget_window: g,
            refresh_deadline: h,
            reuse: one(&self.reuses, drawn),
        }
    }

    pub fn state(&mut self) -> Parts<Tick> {
        let drawn = self.next();
        let holding = self.holding();
        let mut state = Parts {
            session: SESSION,
            number: NUMBER,
            holding,
            credential: one(&self.credentials, drawn),
            flight: one(&self.flights, drawn.rotate_left(8)),
            started: 0,
            landed: 0,
            ended: 0,
            failures: one(&FAILURES, drawn.rotate_left(16)),
            pause: one(&self.pauses, drawn.rotate_left(24)),
            budget: one(&self.budgets, drawn.rotate_left(32)),
        };
        if drawn.is_multiple_of(4) {
            state.flight = Flight::Idle;
        }
        (state.ended, state.landed, state.started) = match state.flight {
            Flight::Idle => one(&IDENTITIES, drawn.rotate_left(40)),
            Flight::Out { .. } | Flight::Overdue { .. } => {
                IDENTITIES[if drawn & 4 == 0 { 1 } else { 3 }]
            }
        };
        if state.credential == Credential::Absent {
            logged_out(&mut state);
        }
        state
    }

    pub fn token(&mut self) -> TokenTimes<Tick> {
        let [sent, lifetime, refresh_in, jitter, coins, ..] = self.eighths();
        TokenTimes {
            sent: Tick(sent),
            lifetime: (coins & 1 == 0).then_some(lifetime),
            refresh_in: (coins & 2 == 0).then_some(refresh_in),
            jitter: draw(jitter),
        }
    }

    pub fn event(&mut self, kind: Kind) -> Event<Tick> {
        let [first, share, third, fourth, fifth, ..] = self.eighths();
        let flight = flight_id(u64::from(first) % 7);
        let draw = draw(share);
        let session = if fifth == 0 { SESSION + 1 } else { SESSION };
        let generation = generation(session, NUMBER + 1 - u64::from(third % 3));
        match kind {
            Kind::Requested => Event::Requested { usable_for: if third < 4 { 0 } else { share } },
            Kind::Refreshed => {
                let novelty = if fourth & 1 == 0 { Novelty::New } else { Novelty::Same };
                Event::Refreshed { flight, token: self.token(), novelty, draw }
            }
            Kind::RefreshFailed => {
                let failure = match fourth & 3 {
                    0 => Failure::Declined,
                    1 => Failure::Unknown,
                    2 => Failure::Unavailable { retry_after: None },
                    _ => Failure::Unavailable { retry_after: Some(fifth) },
                };
                Event::RefreshFailed { flight, failure, draw }
            }
            Kind::Rejected => Event::Rejected { generation },
            Kind::Accepted => Event::Accepted { generation },
            Kind::Installed => Event::Installed {
                token: (fourth > 0).then(|| self.token()),
                intent: (fifth & 1 == 0).then_some(Tick(first)),
            },
            Kind::Cleared => Event::Cleared,
            Kind::TimePassed => Event::TimePassed { draw },
        }
    }
}

/// What a logout leaves.
pub fn logged_out(state: &mut Parts<Tick>) {
    state.holding = Holding::Nothing;
    state.flight = Flight::Idle;
    (state.ended, state.landed, state.started) = (3, 3, 3);
}
