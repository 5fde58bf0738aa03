//! What does not change while a model is explored: the policy, and the names of refreshes and tokens.

use perennial::lifecycle::{
    Effect, Event, FlightId, Generation, Lifecycle, MissingLifetime, Policy, RawPolicy, Reuse,
    TokenTimes, apply,
};
use perennial::time::Draw;

use crate::tick::{FLIGHTS, Tick};

pub(crate) type Machine = Lifecycle<Tick>;
pub(crate) type Told = Event<Tick>;
pub(crate) type Answer = Effect<Tick>;

/// The policy's spans, in ticks.
pub(crate) const REFRESH_WINDOW: u8 = 2;
pub(crate) const MARGIN: u8 = 1;
pub(crate) const BACKOFF_BASE: u8 = 1;
pub(crate) const BACKOFF_CAP: u8 = 4;
pub(crate) const MISCONFIGURED_BASE: u8 = 2;
pub(crate) const MISCONFIGURED_CAP: u8 = 3;
pub(crate) const RETRY_AFTER_CAP: u8 = 5;
/// After how many refusals without a reason, and over how long, a login may be needed.
pub(crate) const UNEXPLAINED_COUNT: u8 = 2;
pub(crate) const UNEXPLAINED_WINDOW: u8 = 2;
pub(crate) const BUDGET_INTERVAL: u8 = 2;
pub(crate) const BUDGET_WINDOW: u8 = 4;
/// How many rejections of accepted tokens are paid for within how long, and how fast those that
/// helped are given back.
pub(crate) const REJECTIONS_COUNT: u8 = 1;
pub(crate) const REJECTIONS_WINDOW: u8 = 3;
pub(crate) const REJECTIONS_INTERVAL: u8 = 1;
pub(crate) const REFRESH_DEADLINE: u8 = 3;
/// How long a server of the kinds that do so answers a refresh token again.
pub(crate) const REUSE_WINDOW: u8 = 4;

const ENDLESS: TokenTimes<Tick> =
    TokenTimes { sent: Tick(0), lifetime: None, refresh_in: None, jitter: Draw::NONE };

/// More identities than the longest path uses.
const IDENTITIES: usize = 400;

/// What the models are explored under, and the names that are used in them.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) policy: Policy<Tick>,
    pub(crate) reuse: Reuse<Tick>,
    flights: Vec<FlightId>,
    generations: Vec<Generation>,
    /// A token of another session.
    pub(crate) foreign: Generation,
}

/// The five kinds of server that the client machine tells apart, and one of the two others with a window.
pub(crate) const KINDS: [(&str, Reuse<Tick>); 5] = [
    ("strict", Reuse::Strict),
    ("overlap", Reuse::OverlapSuccessors(REUSE_WINDOW)),
    ("idempotent", Reuse::Idempotent(REUSE_WINDOW)),
    ("confirm-by-use", Reuse::ConfirmByUse),
    ("unrotated", Reuse::Unrotated),
];

impl World {
    pub(crate) fn new(reuse: Reuse<Tick>) -> Self {
        Self::of(RawPolicy {
            refresh_window: REFRESH_WINDOW,
            margin: MARGIN,
            missing_lifetime: MissingLifetime::UntilRejected,
            backoff_base: BACKOFF_BASE,
            backoff_cap: BACKOFF_CAP,
            misconfigured_base: MISCONFIGURED_BASE,
            misconfigured_cap: MISCONFIGURED_CAP,
            retry_after_cap: RETRY_AFTER_CAP,
            unexplained_count: UNEXPLAINED_COUNT.into(),
            unexplained_window: UNEXPLAINED_WINDOW,
            budget_interval: BUDGET_INTERVAL,
            budget_window: BUDGET_WINDOW,
            rejections_count: REJECTIONS_COUNT.into(),
            rejections_window: REJECTIONS_WINDOW,
            rejections_interval: REJECTIONS_INTERVAL,
            refresh_deadline: REFRESH_DEADLINE,
            reuse,
        })
    }

    pub(crate) fn of(raw: RawPolicy<Tick>) -> Self {
        let (policy, reuse) = (Policy::from(raw), raw.reuse);
        // Identities are given out by a machine alone.
        let (mut machine, mut other) = (Machine::new(1), Machine::new(2));
        let (mut flights, mut generations) = (Vec::new(), Vec::new());
        for _ in 0..IDENTITIES {
            let _ = machine.handle_installed(&policy, Some(ENDLESS), None, Tick(0));
            generations.extend(machine.generation());
            let _ = machine.handle_installed(&policy, None, None, Tick(0));
            let _ = machine.handle_requested(&policy, Tick(0));
            flights.push(machine.newest_flight());
        }
        let _ = other.handle_installed(&policy, Some(ENDLESS), None, Tick(0));
        let foreign = other.generation().expect("a token was installed");
        Self { policy, reuse, flights, generations, foreign }
    }

    /// A machine that nobody is logged in to, and that has a past, so that there are old refreshes
    /// and tokens from the beginning on: to one without, nothing more can happen.
    pub(crate) fn past(&self) -> Machine {
        let mut machine = Machine::new(1);
        for _ in 0..FLIGHTS {
            let _ = machine.handle_installed(&self.policy, None, None, Tick(0));
            let _ = machine.handle_requested(&self.policy, Tick(0));
            let _ = machine.handle_installed(&self.policy, Some(ENDLESS), None, Tick(0));
        }
        machine.handle_cleared(&self.policy, Tick(0));
        machine
    }

    /// The refresh that was started `back` before the newest one of `machine`.
    pub(crate) fn flight(&self, machine: &Machine, back: u8) -> Option<FlightId> {
        let number = machine.newest_flight().number().checked_sub(back.into())?;
        self.flight_number(number)
    }

    /// The refresh that `machine` starts next.
    pub(crate) fn next_flight(&self, machine: &Machine) -> FlightId {
        self.flight_number(machine.newest_flight().number() + 1).expect("there are enough")
    }

    /// The token that was published `back` before the newest one of `machine`.
    pub(crate) fn generation(&self, machine: &Machine, back: u8) -> Option<Generation> {
        self.generation_number(machine.published().checked_sub(back.into())?)
    }

    /// The token that `machine` publishes next.
    pub(crate) fn next_generation(&self, machine: &Machine) -> Generation {
        self.generation_number(machine.published() + 1).expect("there are enough")
    }

    fn flight_number(&self, number: u64) -> Option<FlightId> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        Some(*self.flights.get(index).expect("no path starts so many refreshes"))
    }

    fn generation_number(&self, number: u64) -> Option<Generation> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        Some(*self.generations.get(index).expect("no path publishes so many tokens"))
    }

    /// What a caller would be told at `now`.
    pub(crate) fn answer(&self, machine: &Machine, now: Tick) -> Answer {
        apply(&self.policy, *machine, Told::Requested { usable_for: 0 }, now).1
    }

    /// The window within which the server answers a refresh token again, where it has one.
    pub(crate) fn reuse_window(&self) -> Option<u8> {
        match self.reuse {
            Reuse::OverlapAccessOnly(window)
            | Reuse::OverlapSuccessors(window)
            | Reuse::Idempotent(window) => Some(window),
            Reuse::Strict | Reuse::ConfirmByUse | Reuse::Unrotated => None,
        }
    }

    /// The machine once it has seen `now`, and nothing else: the rejection of a token of another
    /// session changes nothing.
    pub(crate) fn shown(&self, machine: Machine, now: Tick) -> Machine {
        let generation = self.foreign;
        apply(&self.policy, machine, Told::Rejected { generation }, now).0
    }
}
