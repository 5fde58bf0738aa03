//! The table: explored line by line, compared with what was expected, and printed with a shortest
//! counterexample for each "no".

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use stateright::{Checker, HasDiscoveries, Model};

use super::expected::{FOUND_OUT_AT_ONCE, ROW_OF_THE_THIEF, ROWS};
use super::faults::Row;
use super::{Action, Claim, Explored, POLICIES, System};
use crate::runner::Findings;

/// What came of the whole table.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    pub(crate) states: usize,
    pub(crate) steps: usize,
    pub(crate) cells: usize,
    /// Cells that are not as expected, or break what holds in all.
    pub(crate) violations: usize,
    /// The page of the docs.
    pub(crate) page: String,
}

/// One line of the table under one policy.
struct Cell {
    states: usize,
    steps: usize,
    /// By claim, a shortest way to break it.
    broken: Vec<(&'static str, Vec<Action>)>,
}

fn explore(row: Row, policy: usize, threads: usize) -> Cell {
    let judged = Arc::new(AtomicUsize::new(0));
    let explored = Explored::new(System::new(row, policy), Arc::clone(&judged));
    let checker = explored.checker().threads(threads).finish_when(HasDiscoveries::All);
    let checker = checker.spawn_bfs().join();
    let (states, steps) = (judged.load(Ordering::Relaxed), checker.state_count());
    let broken = checker.discoveries().into_iter();
    let broken = broken.map(|(claim, path)| (claim, path.into_actions())).collect();
    Cell { states, steps, broken }
}

/// What the page says about the table.
const PAGE: &str = include_str!("page.md");

/// A line as it is printed.
struct Line {
    row: Row,
    claim: &'static str,
    expected: [bool; 5],
}

/// The lines, those of the honest and that of the thief.
fn lines() -> impl Iterator<Item = Line> {
    let thief = Line {
        row: ROW_OF_THE_THIEF,
        claim: Claim::ALL[Claim::FoundAtOnce as usize],
        expected: FOUND_OUT_AT_ONCE,
    };
    let honest = ROWS.into_iter().map(|row| Line {
        row,
        claim: Claim::ALL[Claim::StaysLoggedIn as usize],
        expected: row.stays_logged_in,
    });
    honest.chain([thief])
}

/// Explores all of it.
pub(crate) fn survey(threads: usize) -> Survey {
    let mut survey = Survey::default();
    let head = POLICIES.join(" | ");
    let mut table =
        format!("| | what goes wrong | {head} |\n|---|---|{}\n", ":-:|".repeat(POLICIES.len()));
    let mut diagrams = String::new();
    for (number, line) in (1..).zip(lines()) {
        let name = line.row.name;
        let _ = write!(table, "| {number} | {name} |");
        for (policy, expected) in line.expected.into_iter().enumerate() {
            let cell = explore(line.row, policy, threads);
            let (states, policy_name) = (cell.states, POLICIES[policy]);
            let holds = survey.take_in(&line, policy, expected, &cell);
            println!("system/{name}/{policy_name}: {states} states, {}", mark(holds));
            if holds {
                table.push_str(" yes |");
                continue;
            }
            let slug = policy_name.replace(' ', "-").replace(['(', ')'], "");
            let _ = write!(table, " [**no**](#{number}-{slug}) |");
            let (_, path) = &cell.broken[cell.place(line.claim).expect("it does not hold")];
            let diagram = System::new(line.row, policy).retold(path).diagram();
            let _ = write!(diagrams, "\n### {number} {policy_name}\n\n*{name}*\n\n{diagram}");
        }
        table.push('\n');
    }
    println!("{table}");
    survey.page = PAGE.replace("<!-- table -->\n", &table) + &diagrams;
    survey
}

fn mark(holds: bool) -> &'static str {
    if holds { "yes" } else { "no" }
}

impl Cell {
    fn place(&self, claim: &str) -> Option<usize> {
        self.broken.iter().position(|(broken, _)| *broken == claim)
    }
}

impl Survey {
    /// The same as what came of a model.
    pub(crate) fn findings(&self) -> Findings {
        let Self { states: unique, steps, violations, .. } = *self;
        Findings { unique, steps, violations, rules: Claim::ALL.len(), ..Findings::default() }
    }

    /// Counts a cell, and says where it is not as expected. Gives whether its claim holds.
    fn take_in(&mut self, line: &Line, policy: usize, expected: bool, cell: &Cell) -> bool {
        let (name, policy_name) = (line.row.name, POLICIES[policy]);
        let found = cell.place(line.claim).is_none();
        self.states += cell.states;
        self.steps += cell.steps;
        self.cells += 1;
        let mut right = found == expected;
        if !right {
            let expected = mark(expected);
            println!("system/{name}/{policy_name}: BROKEN {expected} was expected");
        }
        // The other claims hold in every line; whether a thief is found at once is asked of its own.
        let once = Claim::ALL[Claim::FoundAtOnce as usize];
        let others = cell.broken.iter().filter(|(broken, _)| ![line.claim, once].contains(broken));
        for (broken, path) in others {
            right = false;
            let diagram = System::new(line.row, policy).retold(path).diagram();
            println!("system/{name}/{policy_name}: BROKEN {broken}\n{diagram}");
        }
        self.violations += usize::from(!right);
        found
    }
}
