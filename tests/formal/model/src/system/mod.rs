//! The whole: the real client machine, as one or two holders of a grant have it, and the real
//! server machine, and the real lease machine where they take turns, with a network, stores, crashes and a thief between them (rule D7).
//!
//! Around the two machines stands a small copy of what a session does with its store (rule F2:
//! intent, exchange, persist, publish), and of what an authorization server answers for each effect.
//! A line of the table lets one thing go wrong, as often as it says. Instants are hashed by how long ago they are,
//! tokens by how many came since, so that each line is explored to its end.

pub(crate) mod expected;
pub(crate) mod faults;
mod server;
mod state;
mod steps;
pub(crate) mod table;
mod told;
mod turns;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use perennial::lease;
use perennial::lifecycle::{self, MissingLifetime, RawPolicy};
use perennial::rotation;
use stateright::{Model, Property};

use crate::runner::{Set, SharedSet};
use crate::sentences::sentences;
use crate::tick::Tick;
use crate::world::World;
use faults::Row;
use state::State;
use told::Told;

/// Spans, in ticks: how long an access token lives, how long before its end it is refreshed, how long a
/// refresh may take, and for how long a server whose policy has a window tolerates a predecessor.
const LIFETIME: u8 = 8;
/// So early that the old token still works when a refresh meets its deadline.
const REFRESH_WINDOW: u8 = 4;
const DEADLINE: u8 = 2;
const WINDOW: u8 = 6;
/// More uses of a predecessor than anybody honest makes.
const USES: u32 = 9;

sentences! {
    /// What is asked of each line of the table.
    Claim {
        StaysLoggedIn = "no honest holder is told to log in",
        LateReuse = "a token that is not tolerated any more revokes the family, and one that is does not",
        AtMostTwo = "the newest number works, at most its predecessor beside it, and no other",
        Answered = "whoever waits is answered once messages arrive",
        FoundAtOnce = "whoever uses a token second is found out",
    }
}

/// The policies, by their place in the table.
pub(crate) const POLICIES: [&str; 5] =
    ["strict", "overlap (access only)", "overlap (successors)", "idempotent", "confirm by use"];

/// One line of the table under one policy.
#[derive(Debug)]
pub(crate) struct System {
    world: World,
    policy: rotation::Policy<Tick>,
    reuse: rotation::Reuse<Tick>,
    lease: lease::Policy<Tick>,
    row: Row,
}

/// What may happen next.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// A caller of this holder wants a token.
    Asks(usize),
    /// A request with its access token meets a resource server.
    Uses(usize),
    /// The message in this place arrives.
    Arrives(usize),
    /// It never does.
    Lost(usize),
    /// It is doubled on the way.
    Doubled(usize),
    /// It takes longer than its sender waits.
    Delayed(usize),
    /// The process is gone, and starts again.
    Crashes(usize),
    /// The clock goes on, and deadlines are judged.
    Time,
    Steals,
    /// The thief uses the refresh token that it has.
    Presents,
    /// The thief uses the access token that came with it.
    Abuses,
}

impl System {
    pub(crate) fn new(row: Row, policy: usize) -> Self {
        let (declared, reuse) = [
            (lifecycle::Reuse::Strict, rotation::Reuse::Strict),
            (
                lifecycle::Reuse::OverlapAccessOnly(WINDOW),
                rotation::Reuse::OverlapAccessOnly { window: WINDOW, uses: USES },
            ),
            (
                lifecycle::Reuse::OverlapSuccessors(WINDOW),
                rotation::Reuse::OverlapSuccessors { window: WINDOW, uses: USES },
            ),
            (
                lifecycle::Reuse::Idempotent(WINDOW),
                rotation::Reuse::Idempotent { window: WINDOW, uses: USES },
            ),
            (lifecycle::Reuse::ConfirmByUse, rotation::Reuse::ConfirmByUse),
        ][policy];
        let client = RawPolicy {
            refresh_window: REFRESH_WINDOW,
            margin: 1,
            missing_lifetime: MissingLifetime::UntilRejected,
            backoff_base: 1,
            backoff_cap: 1,
            misconfigured_base: 1,
            misconfigured_cap: 1,
            retry_after_cap: 1,
            unexplained_count: 1,
            unexplained_window: 1,
            budget_interval: 2,
            budget_window: 4,
            rejections_count: 1,
            rejections_window: 4,
            rejections_interval: 1,
            refresh_deadline: DEADLINE,
            reuse: declared,
        };
        let server = rotation::RawPolicy { reuse, absolute: None, idle: None };
        let (world, policy) = (World::of(client), server.into());
        Self { world, policy, reuse, lease: turns::policy(), row }
    }

    /// The steps from the start, told.
    pub(crate) fn retold(&self, actions: &[Action]) -> Told {
        let (mut told, mut state) = (Told::default(), State::start(self));
        for action in actions {
            state = self.take(&state, *action, Some(&mut told)).0;
        }
        told
    }
}

/// A state, and what the step into it broke.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
struct Node {
    inner: State,
    broken: Set,
}

struct Explored {
    system: System,
    /// The claims that were broken: the first way to break one, which is a shortest, is marked.
    found: SharedSet,
    /// How many states were judged, and their steps taken.
    judged: Arc<AtomicUsize>,
}

impl Explored {
    fn new(system: System, judged: Arc<AtomicUsize>) -> Self {
        Self { system, found: SharedSet::default(), judged }
    }
}

impl Model for Explored {
    type State = Node;
    type Action = Action;

    fn init_states(&self) -> Vec<Node> {
        vec![Node { inner: State::start(&self.system), broken: 0 }]
    }

    fn actions(&self, node: &Node, actions: &mut Vec<Action>) {
        self.judged.fetch_add(1, Ordering::Relaxed);
        self.system.offer(&node.inner, actions);
    }

    fn next_state(&self, node: &Node, action: Action) -> Option<Node> {
        let (inner, broken) = self.system.take(&node.inner, action, None);
        let broken = broken | self.system.judge(&inner);
        let before = if broken == 0 { 0 } else { self.found.add(broken) };
        Some(Node { inner, broken: broken & !before })
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn kept<const PLACE: u32>(_: &Explored, node: &Node) -> bool {
            node.broken & (1 << PLACE) == 0
        }
        let kept = [kept::<0>, kept::<1>, kept::<2>, kept::<3>, kept::<4>];
        let claims = Claim::ALL.iter().zip(kept);
        claims.map(|(claim, kept)| Property::always(claim, kept)).collect()
    }
}
