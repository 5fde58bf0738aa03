//! Whole worlds, each from one seed: see `tests/simulation/mod.rs`.
//!
//! `SIM_SEED=7 cargo test --test simulation -- --nocapture one_world` replays one world and prints its
//! whole trace; `SIM_WORLDS=1000000 .ci/simulate` is the soak.

#[path = "simulation/mod.rs"]
mod simulation;

use std::env;

use simulation::choices::Seeded;
use simulation::{Corner, Counts, Report, Size, simulate};

/// How many worlds a plain `cargo test` lives through.
const WORLDS: u64 = 400;

/// The fewest worlds in which every kind of thing must have occurred.
const ENOUGH: u64 = 10_000;

fn number_of(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

fn world(seed: u64, all: bool) -> Report {
    simulate(Seeded::new(seed), Size::Full, all)
}

/// What led to a breach, and how to see it again.
fn told(seed: u64, report: &Report) -> String {
    format!(
        "{}\nseed {seed}; the same again, with the whole trace:\n\
         SIM_SEED={seed} cargo test --test simulation -- --nocapture one_world\n",
        report.told()
    )
}

// Rules A2, A5, B1, B2, B3, B4, B5, B6, B7, B8, B9, B10, B11, B13, B14, C3, C4, C5, C7, C9, F1, F2, F5.
#[test]
fn no_world_breaks_a_rule_whatever_fails_in_it() {
    let first = number_of("SIM_FIRST").unwrap_or(0);
    let worlds = number_of("SIM_WORLDS").unwrap_or(WORLDS);
    let mut counts = Counts::new();
    let (mut steps, mut refreshes, mut violations) = (0, 0, Vec::new());
    for seed in first..first + worlds {
        let report = world(seed, false);
        if let Some(violation) = &report.violation {
            println!("BROKEN seed {seed}: {violation}");
            violations.push(told(seed, &report));
        }
        steps += report.steps + report.polls;
        refreshes += report.refreshes;
        counts.add(&report.counts);
    }
    let kinds = Corner::ALL.iter().filter(|corner| counts.of(**corner) > 0).count();
    for corner in Corner::ALL {
        println!("{:>10}  {}", counts.of(*corner), corner.told());
    }
    println!(
        "SIMULATION {{\"worlds\":{worlds},\"violations\":{},\"steps\":{steps},\
         \"refreshes\":{refreshes},\"crashes\":{},\"faults\":{},\"logins\":{},\"kinds\":{kinds}}}",
        violations.len(),
        counts.of(Corner::Crash),
        counts.faults(),
        counts.of(Corner::LoggedIn),
    );
    assert!(violations.is_empty(), "{} worlds break a rule\n{}", violations.len(), violations[0]);
    let missing = Corner::ALL.iter().filter(|corner| counts.of(**corner) == 0);
    let missing: Vec<&str> = missing.map(|corner| corner.told()).collect();
    assert!(worlds < ENOUGH || missing.is_empty(), "never occurred: {missing:?}");
}

#[test]
fn one_world_is_the_same_each_time() {
    let seeds = number_of("SIM_SEED").map_or(0..8, |seed| seed..seed + 1);
    for seed in seeds {
        let (one, other) = (world(seed, true), world(seed, true));
        if env::var("SIM_SEED").is_ok() {
            println!("{}", one.told());
        }
        assert_eq!((one.hash, one.steps, one.told()), (other.hash, other.steps, other.told()));
        assert!(one.violation.is_none(), "{}", told(seed, &one));
    }
}
