//! One seed, one whole world: processes with real sessions, an authorization server, a resource
//! server, stores, a network that fails, clocks that jump; crashes and restarts. No threads, no real
//! time: every choice comes from one source, and what follows is the same each time.
//!
//! The port implementations are the world's; the sessions, the machine and the standard clock are
//! the crate's own. Beside each session a ledger keeps what it was told, and judges by the rules of
//! `src/spec.md` what it sends (`door.rs`), what it tells its callers (`told.rs`), and what is left
//! in its hands (`steps.rs`).
//!
//! What is not modelled: threads (loom's and shuttle's), blocking callers, a lease between
//! processes. Two holders of one grant may spend it twice.

#![allow(clippy::struct_excessive_bools, reason = "what is watched of a world is so, or is not")]
#![allow(clippy::wildcard_enum_match_arm, reason = "a network's fates fall together at the end")]
#![allow(
    clippy::match_same_arms,
    reason = "what is chosen is told apart, also where it falls together"
)]
#![allow(clippy::single_match_else, clippy::similar_names, reason = "read better so here")]

mod callers;
pub(crate) mod choices;
mod clock;
mod door;
mod doubt;
mod failing;
mod fate;
mod ledger;
mod life;
mod log;
mod network;
mod plan;
mod purse;
mod reckoning;
mod reported;
mod resource;
mod rest;
mod server;
mod steps;
mod store;
mod told;
mod weather;
mod why;
mod world;

pub(crate) use log::{Corner, Counts};
pub(crate) use plan::Size;

use choices::Choices;
use life::Life;
use plan::Plan;
use world::{START, World};

/// What came of one world.
pub(crate) struct Report {
    /// A number that stands for everything that happened.
    pub(crate) hash: u64,
    pub(crate) steps: u64,
    pub(crate) polls: u64,
    pub(crate) refreshes: usize,
    pub(crate) counts: Counts,
    /// The rule that was broken, if one was.
    pub(crate) violation: Option<String>,
    plan: Plan,
    trace: String,
}

impl Report {
    /// What was broken, and what led to it.
    pub(crate) fn told(&self) -> String {
        let Self { plan, trace, violation, .. } = self;
        let violation = violation.as_deref().unwrap_or("no rule was broken");
        format!("{plan:?}\n{trace}{violation}")
    }
}

/// Lives through one world. With `all`, the whole trace is kept.
pub(crate) fn simulate(mut choices: impl Choices + 'static, size: Size, all: bool) -> Report {
    let plan = Plan::draw(&mut choices, size);
    let mut life = Life::new(World::new(Box::new(choices), plan, all));
    let steps = life.trouble();
    if !life.is_broken() {
        life.come_to_rest();
    }
    let mut world = life.shared.lock();
    let violation = world.violation.take();
    Report {
        hash: world.log.hash(),
        steps,
        polls: life.polls,
        refreshes: world.calls.len(),
        counts: world.counts.clone(),
        trace: if violation.is_some() || all { world.log.told(START) } else { String::new() },
        violation,
        plan,
    }
}
