//! Model checking of both machines with stateright: the shipped `apply`, not a copy of it.
//!
//! `perennial-model [--large] [--threads N] [--depth N] [--traces] [--page FILE] [MODEL[/KIND]…]` explores
//! the models named, or all of them, prints what was found, and ends with one line of JSON. It fails
//! where a rule is broken, or where something that can happen never did, and where the table of `system`
//! is not the expected one; FILE is written to say what that is. See `tests/formal/README.md`.

mod adversary;
mod alone;
mod corners;
mod history;
mod life;
mod payment;
mod rotation;
mod rules;
mod runner;
mod sentences;
mod system;
mod tick;
mod world;

use std::process::ExitCode;
use std::{env, fs};

use adversary::Adversary;
use alone::{Alone, Part};
use perennial::lifecycle::Reuse;
use runner::{Findings, Manner, run};
use tick::Tick;
use world::{KINDS, World};

/// A model, and how far it is explored: in steps, or to its end.
struct Listed {
    name: &'static str,
    /// Of which servers.
    kinds: &'static [(&'static str, Reuse<Tick>)],
    run: fn(&str, Reuse<Tick>, Manner) -> Findings,
    /// How deep, in the form that every change must pass; of which kinds of servers.
    reduced: (Option<usize>, &'static [&'static str]),
    /// How deep, in the large form, with all kinds.
    large: Option<usize>,
}

/// A further model is one more line.
const MODELS: [Listed; 6] = [
    Listed {
        name: "alone",
        kinds: &KINDS,
        run: |name, reuse, manner| {
            let world = World::new(reuse);
            run(name, Alone { world, part: Part::Whole }, manner)
        },
        reduced: (Some(9), &["strict", "overlap", "unrotated"]),
        large: Some(12),
    },
    Listed {
        name: "refusals",
        kinds: &KINDS,
        run: |name, reuse, manner| {
            let world = World::new(reuse);
            run(name, Alone { world, part: Part::Refusals }, manner)
        },
        reduced: (Some(9), &["strict"]),
        large: None,
    },
    Listed {
        name: "rejections",
        kinds: &KINDS,
        run: |name, reuse, manner| {
            let world = World::new(reuse);
            run(name, Alone { world, part: Part::Rejections }, manner)
        },
        reduced: (Some(9), &["strict"]),
        large: None,
    },
    Listed {
        name: "adversary",
        kinds: &KINDS,
        run: |name, reuse, manner| {
            run(name, Adversary { world: World::new(reuse), callers: 2 }, manner)
        },
        reduced: (Some(10), &["strict", "overlap", "unrotated"]),
        large: Some(13),
    },
    Listed {
        name: "three-callers",
        kinds: &KINDS,
        run: |name, reuse, manner| {
            run(name, Adversary { world: World::new(reuse), callers: 3 }, manner)
        },
        reduced: (Some(10), &["strict"]),
        large: Some(12),
    },
    Listed {
        name: "rotation",
        kinds: &rotation::KINDS,
        run: |name, reuse, manner| {
            let machine = rotation::of(reuse);
            machine.map_or_else(Findings::default, |machine| run(name, machine, manner))
        },
        reduced: (
            Some(12),
            &[
                "strict",
                "overlap-access-only",
                "overlap-successors",
                "idempotent",
                "confirm-by-use",
            ],
        ),
        large: None,
    },
];

/// What was asked for on the command line.
struct Asked {
    large: bool,
    traces: bool,
    threads: usize,
    depth: Option<usize>,
    page: Option<String>,
    models: Vec<String>,
}

fn asked() -> Result<Asked, String> {
    let mut asked = Asked {
        large: false,
        traces: false,
        threads: 1,
        depth: None,
        page: None,
        models: Vec::new(),
    };
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || {
            let number = arguments.next().and_then(|number| number.parse().ok());
            number.ok_or_else(|| format!("{argument} needs a number"))
        };
        match argument.as_str() {
            "--large" => asked.large = true,
            "--traces" => asked.traces = true,
            "--threads" => asked.threads = number()?,
            "--depth" => asked.depth = Some(number()?),
            "--page" => asked.page = arguments.next(),
            option if option.starts_with('-') => return Err(format!("unknown option {option}")),
            _ => asked.models.push(argument),
        }
    }
    Ok(asked)
}

fn main() -> ExitCode {
    let asked = match asked() {
        Ok(asked) => asked,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let mut all = Findings::default();
    for Listed { name: model, kinds, run, reduced: (reduced, of), large } in MODELS {
        for (kind, reuse) in kinds {
            let name = format!("{model}/{kind}");
            let chosen = if asked.models.is_empty() {
                asked.large || of.contains(kind)
            } else {
                asked.models.iter().any(|chosen| *chosen == model || *chosen == name)
            };
            if !chosen {
                continue;
            }
            let depth = asked.depth.or(if asked.large { large } else { reduced });
            let manner = Manner { threads: asked.threads, depth, traces: asked.traces };
            all = all.plus(run(&name, *reuse, manner));
        }
    }
    let mut cells = 0;
    if asked.models.is_empty() || asked.models.iter().any(|model| model == "system") {
        let survey = system::table::survey(asked.threads);
        if let Some(page) = &asked.page {
            fs::write(page, &survey.page).expect("the page can be written");
        }
        all = all.plus(survey.findings());
        cells = survey.cells;
    }
    println!(
        "{{\"unique_states\":{},\"steps\":{},\"rules\":{},\"violations\":{},\"corners\":{},\"sometimes_witnessed\":{},\"cells\":{cells}}}",
        all.unique, all.steps, all.rules, all.violations, all.corners, all.witnessed
    );
    if all.unique > 0 && all.violations == 0 && all.witnessed == all.corners {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
