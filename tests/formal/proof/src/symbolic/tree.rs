//! The decisions that were taken, as a tree that all runs share, and the run that is under way.
//!
//! A node is what is assumed so far. Each question asked at a node is put to the solvers once: where
//! only one answer is possible it costs nothing ever after; where both are, each leads to a node. A
//! run is repeated with the other answer until there is none left.

use rustc_hash::FxHashMap;

use super::encode::Encoding;
use super::solver::{Assumption, Solver};
use super::term::{Arena, Comparison, Question};
use super::value::{Model, Sums};

pub type Node = u32;

/// Nothing is assumed.
pub const ROOT: Node = 0;

#[derive(Copy, Clone, Debug)]
enum Answer {
    Always,
    Never,
    Either { yes: Node, no: Node },
}

#[derive(Debug)]
struct Assumed {
    parent: Node,
    assumption: Option<Assumption>,
    /// Numbers of which all that is assumed is true.
    model: usize,
}

/// Where a run stands.
#[derive(Debug, Default)]
pub struct Run {
    pub node: Node,
    /// Which way it went at each open decision.
    taken: Vec<bool>,
    /// How many of those it has repeated.
    repeated: usize,
}

/// What the proof has cost.
#[derive(Copy, Clone, Debug, Default)]
pub struct Cost {
    /// Questions put to each solver.
    pub queries: u64,
    /// Decisions, most of which were known.
    pub decisions: u64,
}

#[derive(Debug)]
pub struct Tree {
    pub arena: Arena,
    solvers: Vec<Solver>,
    nodes: Vec<Assumed>,
    models: Vec<Model>,
    answers: FxHashMap<(Node, Question), Answer>,
    pub run: Run,
    pub cost: Cost,
}

impl Tree {
    /// An empty tree, whose questions are put to a solver in each of these encodings.
    pub fn new(encodings: &[Encoding]) -> Self {
        Self {
            arena: Arena::default(),
            solvers: encodings.iter().copied().map(Solver::start).collect(),
            nodes: vec![Assumed { parent: ROOT, assumption: None, model: 0 }],
            models: vec![Model::default()],
            answers: FxHashMap::default(),
            run: Run::default(),
            cost: Cost::default(),
        }
    }

    /// Which way this run goes.
    pub fn decide(&mut self, comparison: Comparison) -> bool {
        self.cost.decisions += 1;
        let question = self.arena.question(comparison);
        let here = self.run.node;
        let answer = match self.answers.get(&(here, question)) {
            Some(answer) => *answer,
            None => self.find_out(here, question),
        };
        let (yes, no) = match answer {
            Answer::Always => return true,
            Answer::Never => return false,
            Answer::Either { yes, no } => (yes, no),
        };
        let run = &mut self.run;
        if run.repeated == run.taken.len() {
            run.taken.push(true);
        }
        let way = run.taken[run.repeated];
        run.repeated += 1;
        run.node = if way { yes } else { no };
        way
    }

    fn find_out(&mut self, here: Node, question: Question) -> Answer {
        let comparison = self.arena.comparison(question);
        let model = self.nodes[here as usize].model;
        // One answer is possible by what is known; only the other is asked for.
        let known = self.models[model].sums(&self.arena).holds(comparison);
        let assumed = self.assumed(here);
        let answer = match self.ask(&assumed, (question, !known)) {
            None if known => Answer::Always,
            None => Answer::Never,
            Some(other) => {
                self.models.push(other);
                let other = self.models.len() - 1;
                let (yes, no) = if known { (model, other) } else { (other, model) };
                Answer::Either {
                    yes: self.node(here, (question, true), yes),
                    no: self.node(here, (question, false), no),
                }
            }
        };
        self.answers.insert((here, question), answer);
        answer
    }

    fn node(&mut self, parent: Node, assumption: Assumption, model: usize) -> Node {
        let new = Node::try_from(self.nodes.len()).expect("fewer nodes than fill the memory");
        self.nodes.push(Assumed { parent, assumption: Some(assumption), model });
        new
    }

    /// All that is assumed at this node, the earliest first.
    fn assumed(&self, node: Node) -> Vec<Assumption> {
        let mut all = Vec::new();
        let mut at = &self.nodes[node as usize];
        while let Some(assumption) = at.assumption {
            all.push(assumption);
            at = &self.nodes[at.parent as usize];
        }
        all.reverse();
        all
    }

    /// Puts one question to every solver; where they say that it is possible, by which numbers.
    fn ask(&mut self, assumed: &[Assumption], asked: Assumption) -> Option<Model> {
        self.cost.queries += 1;
        let mut found: Option<Option<Model>> = None;
        for solver in &mut self.solvers {
            let possible = solver.is_possible(&self.arena, assumed, asked);
            if let Some(earlier) = &found {
                assert_eq!(earlier.is_some(), possible, "the encodings disagree");
            }
            if possible && found.is_none() {
                found = Some(Some(solver.model(&self.arena)));
            } else {
                solver.forget();
                found.get_or_insert(None);
            }
        }
        let model = found.expect("a solver was asked")?;
        let mut sums = model.sums(&self.arena);
        for &(question, holds) in assumed.iter().chain([&asked]) {
            let comparison = self.arena.comparison(question);
            let really = sums.holds(comparison);
            assert_eq!(really, holds, "the arithmetic of `Timestamp` is not what was encoded");
        }
        assert!(sums.is_fair(), "a share of more than there is");
        Some(model)
    }

    /// Numbers of which all that is assumed here is true.
    pub fn example(&self) -> Sums<'_> {
        self.models[self.nodes[self.run.node as usize].model].sums(&self.arena)
    }

    /// Begins the run again.
    pub(super) fn rewind(&mut self, from: Node) {
        self.run.node = from;
        self.run.repeated = 0;
    }

    /// Turns the last decision that can be turned; `false` where there is none.
    pub(super) fn turn(&mut self) -> bool {
        let run = &mut self.run;
        run.taken.truncate(run.repeated);
        while run.taken.last() == Some(&false) {
            run.taken.pop();
        }
        match run.taken.last_mut() {
            None => false,
            Some(last) => {
                *last = false;
                true
            }
        }
    }
}
