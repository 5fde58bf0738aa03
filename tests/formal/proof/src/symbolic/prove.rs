//! All of it: each property on every way that the shipped source can go, with what it cost.

use core::fmt::Debug;
use std::thread::spawn;
use std::time::{Duration, Instant as Clock};

use perennial::lifecycle::formal::Parts;
use perennial::lifecycle::{Lifecycle, Reuse};

use super::events::events;
use super::holds::{glances, holds};
use super::solver::Confirmed;
use super::states::{self, Choice};
use super::sym::{Instant, Length, begin, explore, here, with};
use super::together;
use super::tree::{Cost, ROOT, Tree};
use super::turns::turns;
use crate::rules::{self, Numbers, Property, invariant, settled};
use crate::step::{Kind, Look, Step};

/// What is to be proved.
#[derive(Clone, Debug)]
pub struct Options {
    /// One in so many answers is confirmed in the second encoding; none where there is no number.
    pub confirmed: Option<u64>,
    /// The properties of these names; all where there are none.
    pub only: Vec<String>,
    /// One in so many of the states, policies and events.
    pub one_in: u64,
}

/// What one property cost, and whether it holds.
#[derive(Clone, Debug)]
pub struct Line {
    pub name: &'static str,
    pub rules: &'static str,
    pub says: &'static str,
    /// How many ways it was checked on.
    pub paths: u64,
    /// How many questions that the solvers were asked for it alone.
    pub queries: u64,
    pub took: Duration,
    pub counterexample: Option<String>,
}

/// A property with its line.
struct Case<S> {
    property: Property<S>,
    line: Line,
}

impl<S: Debug> Case<S> {
    fn new(property: Property<S>) -> Self {
        let Property { name, rules, says, .. } = property;
        let (paths, queries, took) = (0, 0, Duration::ZERO);
        Self {
            property,
            line: Line { name, rules, says, paths, queries, took, counterexample: None },
        }
    }

    /// Checks it on every way from where the run stands.
    fn check(&mut self, subject: &S) {
        if self.line.counterexample.is_some() {
            return;
        }
        let (started, before) = (clock(), with(|tree| tree.cost.queries));
        self.line.paths += explore(here(), || {
            if let Err(broken) = (self.property.holds)(subject) {
                self.line.counterexample.get_or_insert_with(|| format!("{broken}\n{subject:#?}"));
            }
        });
        self.line.took += started.elapsed();
        self.line.queries += with(|tree| tree.cost.queries) - before;
    }
}

#[expect(clippy::disallowed_methods, reason = "what a proof costs is real time")]
fn clock() -> Clock {
    Clock::now()
}

/// The whole proof.
#[derive(Debug, Default)]
pub struct Report {
    pub lines: Vec<Line>,
    /// How many states with a policy and an event the machine was run on.
    pub starts: u64,
    /// How many ways there were through `apply` from those.
    pub steps: u64,
    /// How many of those were of the server's machine.
    pub turns: u64,
    /// How many of those were of the lease machine.
    pub holds: u64,
    pub cost: Cost,
    /// In how many answers the second encoding agreed, where it was asked.
    pub agreed: Option<Confirmed>,
}

struct Proof {
    options: Options,
    report: Report,
    counted: u64,
}

/// Proves what `options` say: the steps of the machines, and beside them the looks at the client's, each
/// with a tree and solvers of its own.
pub fn prove(options: &Options) -> Report {
    let looks = options.clone();
    let looks = spawn(move || part(looks, Proof::looks));
    let mut report = part(options.clone(), |proof| {
        proof.arithmetic();
        proof.steps();
        proof.turns();
        proof.holds();
    });
    let looks = looks.join().expect("the other half of the proof does not panic");
    report.lines.extend(looks.lines);
    report.starts += looks.starts;
    report.cost.queries += looks.cost.queries;
    report.cost.decisions += looks.cost.decisions;
    report.cost.known += looks.cost.known;
    if let (Some(all), Some(agreed)) = (&mut report.agreed, looks.agreed) {
        all.agreed += agreed.agreed;
        all.undecided += agreed.undecided;
    }
    report
}

fn part(options: Options, work: impl FnOnce(&mut Proof)) -> Report {
    begin(options.confirmed);
    let mut proof = Proof { options, report: Report::default(), counted: 0 };
    work(&mut proof);
    let mut report = proof.report;
    report.agreed = with(Tree::agreed);
    report.cost = with(|tree| tree.cost);
    report
}

impl Proof {
    fn wanted<S>(&self, property: &Property<S>) -> bool {
        self.options.only.is_empty() || self.options.only.iter().any(|name| name == property.name)
    }

    /// Whether the next one is among those to be taken.
    fn is_taken(&mut self) -> bool {
        self.counted = self.counted.wrapping_add(1);
        // Spread over all of them, and the same ones each time.
        let spread = self.counted.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        spread.is_multiple_of(self.options.one_in)
    }

    fn arithmetic(&mut self) {
        let mut case = Case::new(rules::arithmetic());
        if !self.wanted(&case.property) {
            return;
        }
        let instants = [Instant::any("early"), Instant::any("late")];
        let spans = [Length::any("short"), Length::any("long")];
        for times in 0..=65 {
            case.check(&Numbers { instants, spans, times });
        }
        self.report.lines.push(case.line);
    }

    fn steps(&mut self) {
        let wanted = rules::of_steps().into_iter().filter(|property| self.wanted(property));
        let mut cases: Vec<_> = wanted.map(Case::new).collect();
        if cases.iter().any(|case| case.property.name == "invariant") {
            let new = Lifecycle::<Instant>::new(1).into();
            let policy = states::policy(Reuse::Strict, Choice::of(&new));
            invariant(&policy, &new).expect("a new machine has what is assumed of every state");
        }
        for kind in Kind::ALL {
            let begun = clock();
            let mut concerned: Vec<_> =
                cases.iter_mut().filter(|case| case.property.on.contains(&kind)).collect();
            if concerned.is_empty() {
                continue;
            }
            let steps = self.report.steps;
            for state in together::states(kind) {
                for reuse in together::servers(kind, &state) {
                    self.on_state(kind, &state, reuse, &mut concerned);
                }
            }
            for state in together::counted(kind) {
                self.on_state(kind, &state, Reuse::Strict, &mut concerned);
            }
            let steps = self.report.steps - steps;
            eprintln!("{kind:?}: {steps} ways, {:.1} s", begun.elapsed().as_secs_f64());
        }
        self.report.lines.extend(cases.into_iter().map(|case| case.line));
    }

    fn on_state(
        &mut self,
        kind: Kind,
        state: &Parts<Instant>,
        reuse: Reuse<Instant>,
        cases: &mut [&mut Case<Step<Instant>>],
    ) {
        for (event, choice) in events(kind, state) {
            let refuted = cases.iter().all(|case| case.line.counterexample.is_some());
            if refuted || !self.is_taken() {
                continue;
            }
            let policy = states::policy(reuse, choice);
            self.report.starts += 1;
            let mut steps = 0;
            explore(ROOT, || {
                if invariant(&policy, state).is_err() {
                    return;
                }
                steps += 1;
                let step = Step::take(policy, *state, event, states::now());
                for case in &mut *cases {
                    case.check(&step);
                }
            });
            self.report.steps += steps;
        }
    }

    fn turns(&mut self) {
        let wanted = rules::of_turns().into_iter().filter(|property| self.wanted(property));
        let mut cases: Vec<_> = wanted.map(Case::new).collect();
        let begun = clock();
        for take in turns() {
            let refuted = cases.iter().all(|case| case.line.counterexample.is_some());
            if refuted || !self.is_taken() {
                continue;
            }
            self.report.starts += 1;
            self.report.turns += explore(ROOT, || {
                let turn = take();
                for case in &mut cases {
                    case.check(&turn);
                }
            });
        }
        self.report.steps += self.report.turns;
        eprintln!("server: {} ways, {:.1} s", self.report.turns, begun.elapsed().as_secs_f64());
        self.report.lines.extend(cases.into_iter().map(|case| case.line));
    }

    fn holds(&mut self) {
        let wanted = rules::of_holds().into_iter().filter(|property| self.wanted(property));
        let mut cases: Vec<_> = wanted.map(Case::new).collect();
        let begun = clock();
        for take in holds() {
            let refuted = cases.iter().all(|case| case.line.counterexample.is_some());
            if refuted || !self.is_taken() {
                continue;
            }
            self.report.starts += 1;
            self.report.holds += explore(ROOT, || {
                let hold = take();
                for case in &mut cases {
                    case.check(&hold);
                }
            });
        }
        self.report.lines.extend(cases.into_iter().map(|case| case.line));
        let mut case = Case::new(rules::of_glances());
        if self.wanted(&case.property) {
            for glance in glances() {
                if self.is_taken() {
                    self.report.starts += 1;
                    case.check(&glance);
                }
            }
            self.report.lines.push(case.line);
        }
        self.report.steps += self.report.holds;
        eprintln!("lease: {} ways, {:.1} s", self.report.holds, begun.elapsed().as_secs_f64());
    }

    fn looks(&mut self) {
        let mut case = Case::new(rules::of_looks());
        if !self.wanted(&case.property) {
            return;
        }
        with(|tree| tree.simplifies = true);
        let (now, then) = (states::now(), states::then());
        for machine in together::looked_at() {
            for reuse in together::servers_looked_at(&machine) {
                if case.line.counterexample.is_some() || !self.is_taken() {
                    continue;
                }
                let policy = states::policy(reuse, Choice::of(&machine));
                self.report.starts += 1;
                explore(ROOT, || {
                    let reached = invariant(&policy, &machine);
                    if reached.and_then(|()| settled(&policy, &machine, now)).is_ok() {
                        case.check(&Look { policy, machine, now, then });
                    }
                });
            }
        }
        self.report.lines.push(case.line);
    }
}
