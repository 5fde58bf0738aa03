//! The decisions that were taken, as a tree that all runs share, and the run that is under way.
//!
//! A node is what is assumed so far. Each question that comes up at a node is answered once: where only
//! one answer is possible it costs nothing ever after; where both are, each leads to a node. A run is
//! repeated with the other answer until there is none left.
//!
//! That an answer is possible is shown by numbers, of which the shipped arithmetic of `Timestamp` makes
//! it true: by ones that are known already, or by those that z3 finds. That none are is said by z3,
//! with the few assumptions that rule it out: wherever those are met again it need not be asked again.

use rustc_hash::{FxHashMap, FxHashSet};

use super::search::Search;
use super::solver::{Asker, Assumption, Confirmed, Confirmer, Found};
use super::term::{Arena, Comparison, Question};
use super::value::{Model, Sums};

pub type Node = u32;

/// Nothing is assumed.
pub const ROOT: Node = 0;
/// How many of the models that once showed an answer to be possible are tried again.
const WITNESSES: usize = 40;

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
    /// Questions that were put to a solver.
    pub queries: u64,
    /// Decisions, of which most had been taken before.
    pub decisions: u64,
    /// Questions answered by numbers, or by assumptions, that were known.
    pub known: u64,
}

#[derive(Debug)]
pub struct Tree {
    pub arena: Arena,
    asker: Asker,
    confirmer: Option<Confirmer>,
    nodes: Vec<Assumed>,
    models: Vec<Model>,
    answers: FxHashMap<(Node, Question), Answer>,
    /// By what each assumption is ruled out.
    cores: FxHashMap<Assumption, Vec<Vec<Assumption>>>,
    /// By which models each was shown to be possible.
    witnesses: FxHashMap<Assumption, Vec<usize>>,
    pub run: Run,
    pub cost: Cost,
    /// Whether the lesser of two terms is looked for before it is left open.
    pub simplifies: bool,
}

impl Tree {
    /// An empty tree, where one answer in so many has to be confirmed in bit vectors.
    pub fn new(confirmed: Option<u64>) -> Self {
        Self {
            arena: Arena::default(),
            asker: Asker::start(),
            confirmer: confirmed.map(Confirmer::start),
            nodes: vec![Assumed { parent: ROOT, assumption: None, model: 0 }],
            models: vec![Model::default()],
            answers: FxHashMap::default(),
            cores: FxHashMap::default(),
            witnesses: FxHashMap::default(),
            run: Run::default(),
            cost: Cost::default(),
            simplifies: false,
        }
    }

    /// In how many answers the second encoding agreed, now that all are in.
    pub fn agreed(&mut self) -> Option<Confirmed> {
        self.confirmer.take().map(Confirmer::finish)
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

    /// Whether a comparison is known, without going either way.
    pub fn settles(&mut self, comparison: Comparison) -> Option<bool> {
        if !self.simplifies {
            return None;
        }
        let question = self.arena.question(comparison);
        let here = self.run.node;
        let answer = match self.answers.get(&(here, question)) {
            Some(answer) => *answer,
            None => self.find_out(here, question),
        };
        match answer {
            Answer::Always => Some(true),
            Answer::Never => Some(false),
            Answer::Either { .. } => None,
        }
    }

    fn find_out(&mut self, here: Node, question: Question) -> Answer {
        let comparison = self.arena.comparison(question);
        let model = self.nodes[here as usize].model;
        // One answer is possible by what is known; only the other is in question.
        let known = self.models[model].sums(&self.arena).holds(comparison);
        let answer = match self.possible(here, (question, !known)) {
            None if known => Answer::Always,
            None => Answer::Never,
            Some(other) => {
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

    /// Numbers by which `asked` can be, at this node.
    fn possible(&mut self, here: Node, asked: Assumption) -> Option<usize> {
        let assumed = self.assumed(here);
        let together: FxHashSet<Assumption> = assumed.iter().copied().collect();
        let cores = self.cores.entry(asked).or_default();
        if cores.iter().any(|core| core.iter().all(|needed| together.contains(needed))) {
            self.cost.known += 1;
            return None;
        }
        let near = &self.models[self.nodes[here as usize].model];
        let search = Search { arena: &self.arena, near, assumed: &assumed, asked };
        let witnesses = self.witnesses.entry(asked).or_default();
        let earlier = witnesses.iter().rev().take(WITNESSES).map(|&model| &self.models[model]);
        if let Some(model) = search.among(earlier).or_else(|| search.nearby()) {
            self.cost.known += 1;
            witnesses.push(self.models.len());
            self.models.push(model);
            return Some(self.models.len() - 1);
        }
        self.cost.queries += 1;
        match self.asker.ask(&self.arena, &assumed, asked) {
            Found::Impossible(mut core) => {
                self.cores.entry(asked).or_default().push(core.clone());
                core.push(asked);
                if let Some(confirmer) = &mut self.confirmer {
                    confirmer.tell(&self.arena, &core, None);
                }
                None
            }
            Found::Possible(model) => {
                let mut together = assumed;
                together.push(asked);
                let mut sums = model.sums(&self.arena);
                for &(question, holds) in &together {
                    let really = sums.holds(self.arena.comparison(question));
                    assert_eq!(really, holds, "`Timestamp` does not compute what was encoded");
                }
                assert!(sums.is_fair(), "a share of more than there is");
                if let Some(confirmer) = &mut self.confirmer {
                    confirmer.tell(&self.arena, &together, Some(&model));
                }
                self.witnesses.entry(asked).or_default().push(self.models.len());
                self.models.push(model);
                Some(self.models.len() - 1)
            }
        }
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
