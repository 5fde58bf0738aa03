//! Any policy, state, event: drawn, each part from all that it can be.

use perennial::lifecycle::formal::{
    Acceptance, Attempt, Budget, Credential, Flight, Held, Holding, Parts, Pause, Refund,
    Rejections, Trouble, flight_id, generation,
};
use perennial::lifecycle::{
    Deadlines, Event, Failure, Freshness, MissingLifetime, Novelty, RawPolicy, Reuse, Schedule,
    TokenTimes,
};

use super::tick::{ALL, Tick, draw};
use crate::rules::superseded_invariant;
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
pub const STANDINGS: [Acceptance; 4] =
    [Acceptance::Untried, Acceptance::Accepted, Acceptance::WithdrawnPaid, Acceptance::Withdrawn];
pub const FRESHNESSES: [Freshness; 3] = [Freshness::Fresh, Freshness::Due, Freshness::Lapsed];
pub const ATTEMPTS: [Attempt; 2] = [Attempt::Ordinary, Attempt::Outrun];
pub const FAILURES: [u32; 8] = [0, 1, 2, 3, 4, 63, 64, u32::MAX];
/// What a policy may count to, and what may be missing or spent of it.
pub const COUNTS: [u32; 4] = [0, 1, 2, 3];
const WHOLE: Rejections<Tick> =
    Rejections { spent: 0, renewed: Pause::Over, refund: Refund::Ready };
/// The newest that ended, landed, started.
pub const IDENTITIES: [(u64, u64, u64); 4] = [(1, 1, 1), (1, 1, 3), (1, 3, 3), (1, 3, 5)];

/// Every holding, but for when its token was sent for: see [`Any::dated`].
pub fn holdings() -> Vec<Holding<Tick>> {
    let mut lives = vec![(Schedule::UntilRejected, Freshness::Fresh)];
    for refresh_after in (0..ALL).map(Tick) {
        for unusable_from in (refresh_after.0..ALL).map(Tick) {
            for expires_at in (unusable_from.0..ALL).map(Tick) {
                let sent = refresh_after;
                let life = Deadlines { sent, refresh_after, unusable_from, expires_at };
                lives.extend(FRESHNESSES.map(|freshness| (Schedule::Timed(life), freshness)));
            }
        }
    }
    let mut all = vec![Holding::Nothing];
    for (schedule, freshness) in lives {
        for acceptance in STANDINGS {
            all.push(Holding::Token(Held { schedule, freshness, acceptance }));
        }
    }
    all
}

pub fn credentials() -> Vec<Credential<Tick>> {
    let known = [Credential::Ready, Credential::InDoubt];
    let ended = [Credential::Absent, Credential::Declined];
    let until = (0..ALL).map(|until| Credential::InDoubtUntil(Tick(until)));
    known.into_iter().chain(ended).chain(until).collect()
}

pub fn reuses() -> Vec<Reuse<Tick>> {
    let declared = [Reuse::Strict, Reuse::ConfirmByUse, Reuse::Unrotated];
    declared
        .into_iter()
        .chain((0..ALL).map(Reuse::OverlapAccessOnly))
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
        all.extend(pauses().into_iter().map(|open| Flight::Overdue { attempt, open }));
        for sent in (0..ALL).map(Tick) {
            for deadline in (0..ALL).map(Tick) {
                all.push(Flight::Out { sent, deadline, attempt });
            }
        }
    }
    all
}

pub fn troubles() -> Vec<Trouble<Tick>> {
    let mut all = vec![Trouble::None, Trouble::Passing, Trouble::Misconfigured];
    for missing in 0..3 {
        all.extend(pauses().into_iter().map(|early| Trouble::Unexplained { missing, early }));
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
    troubles: Vec<Trouble<Tick>>,
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
            troubles: troubles(),
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

    pub fn pause(&mut self) -> Pause<Tick> {
        let drawn = self.next();
        one(&self.pauses, drawn)
    }

    /// Up to ten numbers below eight from one draw.
    fn eighths(&mut self) -> [u8; 10] {
        let drawn = self.next() >> 30;
        core::array::from_fn(|index| u8::try_from((drawn >> (3 * index)) & 7).unwrap_or(0))
    }

    pub fn holding(&mut self) -> Holding<Tick> {
        let drawn = self.next();
        // Nothing held is not as rare as one state among all.
        let holding =
            if drawn.is_multiple_of(8) { Holding::Nothing } else { one(&self.holdings, drawn) };
        self.dated(holding)
    }

    /// The same, with its token sent for at some time.
    pub fn dated(&mut self, mut holding: Holding<Tick>) -> Holding<Tick> {
        let drawn = self.span();
        if let Holding::Token(Held { schedule: Schedule::Timed(life), .. }) = &mut holding {
            life.sent = Tick(drawn.min(life.refresh_after.0));
        }
        holding
    }

    pub fn policy(&mut self) -> RawPolicy<Tick> {
        let [a, b, c, d, e, f, g, h, missing, coin] = self.eighths();
        let [base, cap, early, renewed, returned, refusals, rejections, ..] = self.eighths();
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
            misconfigured_base: base,
            misconfigured_cap: cap,
            retry_after_cap: e,
            unexplained_count: COUNTS[usize::from(refusals & 3)],
            unexplained_window: early,
            budget_interval: f,
            budget_window: g,
            rejections_count: COUNTS[usize::from(rejections & 3)],
            rejections_window: renewed,
            rejections_interval: returned,
            refresh_deadline: h,
            reuse: one(&self.reuses, drawn),
        }
    }

    /// What is left of an allowance of this policy.
    pub fn rejections(&mut self, policy: &RawPolicy<Tick>) -> Rejections<Tick> {
        let (mut renewed, mut pause) = (self.pause(), self.pause());
        let [spent, coin, ..] = self.eighths();
        shortened(&mut renewed, policy.rejections_window);
        shortened(&mut pause, policy.rejections_interval);
        let spent = match renewed {
            Pause::Over => 0,
            Pause::Until { .. } => u32::from(spent) % (policy.rejections_count + 1),
        };
        let refund = match pause {
            Pause::Over => Refund::Ready,
            Pause::Until { .. } if coin & 1 == 0 => Refund::Given(pause),
            Pause::Until { .. } => Refund::Owed(pause),
        };
        Rejections { spent, renewed, refund }
    }

    /// A state that this policy can lead to, as far as [`invariant`](crate::rules::invariant) says; mostly.
    pub fn state(&mut self, policy: &RawPolicy<Tick>) -> Parts<Tick> {
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
            trouble: one(&self.troubles, drawn.rotate_left(48)),
            superseded: one(&self.pauses, drawn.rotate_left(56)),
            pause: one(&self.pauses, drawn.rotate_left(24)),
            budget: one(&self.budgets, drawn.rotate_left(32)),
            rejections: self.rejections(policy),
        };
        if drawn.is_multiple_of(4) {
            state.flight = Flight::Idle;
        }
        if drawn & 8 == 0 {
            state.superseded = Pause::Over;
        }
        (state.ended, state.landed, state.started) = match state.flight {
            Flight::Idle => one(&IDENTITIES, drawn.rotate_left(40)),
            Flight::Out { .. } | Flight::Overdue { .. } => {
                IDENTITIES[if drawn & 4 == 0 { 1 } else { 3 }]
            }
        };
        consistent(policy, &mut state);
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
                let retry_after = (fifth > 2).then_some(third);
                let failure = match fourth {
                    0 => Failure::Declined,
                    1 | 2 => Failure::Unknown,
                    3 => Failure::Unavailable { retry_after },
                    4 | 5 => Failure::Misconfigured { retry_after },
                    _ => Failure::Unexplained { retry_after },
                };
                Event::RefreshFailed { flight, failure, draw }
            }
            Kind::Rejected => Event::Rejected { generation },
            Kind::Accepted => Event::Accepted { generation },
            Kind::Recovered => Event::Recovered { generation },
            Kind::Installed => Event::Installed {
                token: (fourth > 0).then(|| self.token()),
                intent: (fifth & 1 == 0).then_some(Tick(first)),
            },
            Kind::Cleared => Event::Cleared,
            Kind::TimePassed => Event::TimePassed { draw },
        }
    }
}

/// Bends what [`invariant`](crate::rules::invariant) rules out, so that little of what is drawn is lost.
pub fn consistent(policy: &RawPolicy<Tick>, state: &mut Parts<Tick>) {
    if state.credential == Credential::Absent {
        *state = Parts {
            holding: Holding::Nothing,
            flight: Flight::Idle,
            ended: 3,
            landed: 3,
            started: 3,
            failures: 0,
            trouble: Trouble::None,
            superseded: Pause::Over,
            pause: Pause::Over,
            budget: Budget::Full,
            rejections: WHOLE,
            ..*state
        };
    }
    if state.credential == Credential::Declined {
        (state.flight, state.trouble) = (Flight::Idle, Trouble::None);
    }
    match &mut state.flight {
        Flight::Out { sent, deadline, attempt } => {
            *sent = (*sent).min(*deadline);
            if *attempt == Attempt::Outrun && !matches!(state.trouble, Trouble::None) {
                state.trouble = Trouble::Passing;
            }
        }
        Flight::Overdue { open, .. } => {
            shortened(open, policy.refresh_deadline);
            if !matches!(state.trouble, Trouble::None) {
                state.trouble = Trouble::Passing;
            }
        }
        Flight::Idle => {}
    }
    shortened(&mut state.superseded, policy.refresh_deadline);
    if superseded_invariant(policy, state).is_err() {
        state.superseded = Pause::Over;
    }
    if let Trouble::Unexplained { missing, early } = &mut state.trouble {
        *missing = (*missing).min(policy.unexplained_count.saturating_sub(1));
        shortened(early, policy.unexplained_window);
    }
    if state.failures == 0 {
        (state.trouble, state.pause) = (Trouble::None, Pause::Over);
    }
}

/// No longer than that.
fn shortened(pause: &mut Pause<Tick>, longest: u8) {
    if let Pause::Until { at_most, .. } = pause {
        *at_most = (*at_most).min(longest);
        if *at_most == 0 {
            *pause = Pause::Over;
        }
    }
}
