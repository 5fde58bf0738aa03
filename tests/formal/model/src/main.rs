//! Model checking of the client machine with stateright: the shipped `apply`, not a copy of it.
//!
//! `perennial-model [--large] [--traces] [--threads N] [MODEL…]` explores the models named, or all
//! of them, prints what was found, and ends with one line of JSON. It fails where a rule is broken,
//! or where something that can happen never did. See `tests/formal/README.md`.

mod adversary;
mod alone;
mod corners;
mod history;
mod rules;
mod runner;
mod sentences;
mod tick;
mod world;

use std::process::ExitCode;

use alone::{Alone, Events};
use runner::{Findings, Manner, Search, run};
use world::{KINDS, World};

fn main() -> ExitCode {
    let mut found = Findings::default();
    let manner = Manner { search: Search::BreadthFirst, threads: 1, traces: false };
    for (kind, reuse) in KINDS {
        if std::env::args().any(|a| a == "adv") {
            let n = std::env::args().last().unwrap().parse().unwrap();
            let adv = adversary::Adversary { world: World::new(reuse), callers: n };
            found = found.plus(run(&format!("adversary/{kind}"), adv, manner));
            continue;
        }
        let events = if std::env::args().any(|a| a == "--large") { Events::All } else { Events::Few };
        let alone = Alone { world: World::new(reuse), events };
        found = found.plus(run(&format!("alone/{kind}"), alone, manner));
    }
    if found.violations == 0 && found.witnessed == found.corners {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
