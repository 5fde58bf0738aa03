//! What all models share: a step that says which rules it broke and which corners it reached, made
//! into a model that stateright explores, and the printing of what came of it.
//!
//! A rule is an *always* property. A step that breaks one leads to a state that says so, which has no
//! successors. A corner is a *sometimes* property: the first step into it leads to a state that is
//! marked, and so is told apart once from the same state without the mark. Such states are not
//! counted.

use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model, Property};

/// A set of rules or of corners, by their places in the scenario's lists.
pub(crate) type Set = u128;

/// How many a set holds.
const ROOM: usize = 128;

/// A set that many threads add to.
#[derive(Debug, Default)]
pub(crate) struct SharedSet([AtomicU64; 2]);

impl SharedSet {
    pub(crate) fn load(&self) -> Set {
        let [low, high] = self.0.each_ref().map(|half| Set::from(half.load(Ordering::Relaxed)));
        high << 64 | low
    }

    /// Adds these. Gives those that it held before.
    pub(crate) fn add(&self, set: Set) -> Set {
        let [low, high] = &self.0;
        #[allow(clippy::cast_possible_truncation, reason = "the two halves")]
        let (low_half, high_half) = (set as u64, (set >> 64) as u64);
        let low = low.fetch_or(low_half, Ordering::Relaxed);
        let high = high.fetch_or(high_half, Ordering::Relaxed);
        Set::from(high) << 64 | Set::from(low)
    }
}

/// What is explored.
pub(crate) trait Scenario: Send + Sync + 'static {
    type State: Copy + Eq + Hash + Debug + Send + Sync + 'static;
    type Action: Copy + Eq + Debug + Send + Sync + 'static;

    /// Each as a sentence that is true of every step and state.
    fn rules(&self) -> &'static [&'static str];

    /// Each as something that can happen.
    fn corners(&self) -> &'static [&'static str];

    /// The corners that must be reached. The others never may.
    fn possible(&self) -> Set;

    /// Those of them that a run to a depth may miss.
    fn rare(&self) -> Set {
        0
    }

    fn start(&self) -> Self::State;

    fn actions(&self, state: &Self::State, actions: &mut Vec<Self::Action>);

    /// Takes one step. Only the corners in `wanted` need be told of.
    fn step(&self, state: &Self::State, action: Self::Action, wanted: Set) -> Step<Self::State>;

    /// The rules that concern one state alone, asked once of each. Gives those that it breaks.
    fn judge(&self, state: &Self::State) -> Set;
}

/// What one action came to.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Step<S> {
    pub(crate) next: S,
    pub(crate) broken: Set,
    pub(crate) corners: Set,
}

/// A state of the scenario, and what the step into it broke or reached first.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node<S> {
    inner: S,
    broken: Set,
    corners: Set,
}

impl<S: Hash> Hash for Node<S> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
        if self.broken != 0 || self.corners != 0 {
            (self.broken, self.corners).hash(state);
        }
    }
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Move<A> {
    Ordinary(A),
    /// The state itself breaks these rules.
    Broken(Set),
}

struct Explored<S> {
    scenario: S,
    /// The corners that were reached.
    reached: Arc<SharedSet>,
    /// How many states were judged, and their steps taken.
    judged: Arc<AtomicUsize>,
}

impl<S: Scenario> Model for Explored<S> {
    type State = Node<S::State>;
    type Action = Move<S::Action>;

    fn init_states(&self) -> Vec<Self::State> {
        vec![Node { inner: self.scenario.start(), broken: 0, corners: 0 }]
    }

    fn actions(&self, node: &Self::State, actions: &mut Vec<Self::Action>) {
        if node.broken != 0 {
            return;
        }
        self.judged.fetch_add(1, Ordering::Relaxed);
        let broken = self.scenario.judge(&node.inner);
        if broken != 0 {
            actions.push(Move::Broken(broken));
            return;
        }
        let mut ordinary = Vec::with_capacity(80);
        self.scenario.actions(&node.inner, &mut ordinary);
        actions.extend(ordinary.into_iter().map(Move::Ordinary));
    }

    fn next_state(&self, node: &Self::State, action: Self::Action) -> Option<Self::State> {
        Some(match action {
            Move::Broken(broken) => Node { broken, ..*node },
            Move::Ordinary(action) => {
                let wanted = !self.reached.load();
                let step = self.scenario.step(&node.inner, action, wanted);
                let Step { next, broken, mut corners } = step;
                corners &= wanted;
                if corners != 0 {
                    corners &= !self.reached.add(corners);
                }
                Node { inner: next, broken, corners }
            }
        })
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let rules = self.scenario.rules().iter().zip(keeps::<S>());
        let corners = self.scenario.corners().iter().zip(reaches::<S>());
        rules
            .map(|(name, keeps)| Property::always(name, keeps))
            .chain(corners.map(|(name, reaches)| Property::sometimes(name, reaches)))
            .collect()
    }
}

type Condition<S> = fn(&Explored<S>, &Node<<S as Scenario>::State>) -> bool;

/// A property's condition is a plain function, so that there must be one for each place.
macro_rules! each_place {
    ($($place:literal)*) => {
        fn keeps<S: Scenario>() -> [Condition<S>; ROOM] {
            [$(|_, node| node.broken & (1 << $place) == 0),*]
        }

        fn reaches<S: Scenario>() -> [Condition<S>; ROOM] {
            [$(|_, node| node.corners & (1 << $place) != 0),*]
        }
    };
}

each_place!(
    0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23
    24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47
    48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64 65 66 67 68 69 70 71
    72 73 74 75 76 77 78 79 80 81 82 83 84 85 86 87 88 89 90 91 92 93 94 95
    96 97 98 99 100 101 102 103 104 105 106 107 108 109 110 111 112 113 114 115 116 117 118 119
    120 121 122 123 124 125 126 127
);

/// How a model is run.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Manner {
    /// With one, the path to each corner is a shortest one.
    pub(crate) threads: usize,
    /// How many steps from the start, where it is not all there is.
    pub(crate) depth: Option<usize>,
    /// Print the path to each corner, too, and not only to what breaks a rule.
    pub(crate) traces: bool,
}

/// What came of one model.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Findings {
    pub(crate) unique: usize,
    pub(crate) steps: usize,
    pub(crate) rules: usize,
    /// Broken rules, and corners that were reached and cannot be.
    pub(crate) violations: usize,
    pub(crate) corners: usize,
    pub(crate) witnessed: usize,
}

impl Findings {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            unique: self.unique + other.unique,
            steps: self.steps + other.steps,
            rules: self.rules + other.rules,
            violations: self.violations + other.violations,
            corners: self.corners + other.corners,
            witnessed: self.witnessed + other.witnessed,
        }
    }
}

/// Explores a scenario to its end, or to the first broken rule, and prints what was found.
#[allow(clippy::disallowed_methods, reason = "how long it took is no part of a model")]
pub(crate) fn run<S: Scenario>(name: &str, scenario: S, manner: Manner) -> Findings {
    let began = Instant::now();
    let (rules, corners, possible) = (scenario.rules(), scenario.corners(), scenario.possible());
    let missable = if manner.depth.is_some() { scenario.rare() } else { 0 };
    assert!(rules.len() <= ROOM && corners.len() <= ROOM, "they fit into a set");
    let reached = Arc::new(SharedSet::default());
    let judged = Arc::new(AtomicUsize::new(0));
    let counters = (Arc::clone(&reached), Arc::clone(&judged));
    let explored = Explored { scenario, reached: counters.0, judged: counters.1 };
    let mut checker =
        explored.checker().threads(manner.threads).finish_when(HasDiscoveries::AnyFailures);
    if let Some(depth) = manner.depth {
        // The checker counts states and not steps, and makes the last ones without looking at them.
        checker = checker.target_max_depth(depth + 2);
    }
    let checker = checker.spawn_bfs().join();
    // Those that were marked may have been met without the mark, too.
    let marked = reached.load().count_ones() as usize;
    let unique = judged.load(Ordering::Relaxed).saturating_sub(marked);
    let found = discoveries(&checker);
    let depth = manner.depth.unwrap_or(checker.max_depth() - 1);
    let mut findings = Findings {
        unique,
        steps: checker.state_count(),
        rules: rules.len(),
        violations: 0,
        corners: possible.count_ones() as usize,
        witnessed: 0,
    };
    let path = |name| found.iter().find(|(found, _)| *found == name).map(|(_, path)| path);
    for (rule, path) in rules.iter().filter_map(|rule| Some((rule, path(*rule)?))) {
        findings.violations += 1;
        println!("{name}: BROKEN {rule}\n{path}");
    }
    for (place, corner) in corners.iter().enumerate() {
        match (path(*corner), possible & (1 << place) != 0) {
            (Some(path), true) => {
                findings.witnessed += 1;
                if manner.traces {
                    println!("{name}: {corner}\n{path}");
                }
            }
            (Some(path), false) => {
                findings.violations += 1;
                println!("{name}: IMPOSSIBLE {corner}\n{path}");
            }
            (None, true) if missable & (1 << place) != 0 => findings.corners -= 1,
            (None, true) => println!("{name}: NEVER {corner}"),
            (None, false) => {}
        }
    }
    println!(
        "{name}: {} states, {} steps, {depth} deep, {} rules, {} violations, {} of {} corners, {:.1} s",
        findings.unique,
        findings.steps,
        findings.rules,
        findings.violations,
        findings.witnessed,
        findings.corners,
        began.elapsed().as_secs_f64(),
    );
    findings
}

/// Each discovery by its name, with the path to it.
fn discoveries<M, C>(checker: &C) -> Vec<(&'static str, String)>
where
    M: Model,
    M::State: Clone + PartialEq,
    M::Action: Clone + PartialEq + Debug,
    C: Checker<M>,
{
    let found = checker.discoveries().into_iter().map(|(name, path)| {
        let steps = path.into_actions();
        let steps = steps.iter().enumerate().map(|(number, step)| format!("  {number}: {step:?}"));
        (name, steps.collect::<Vec<_>>().join("\n"))
    });
    found.collect()
}
