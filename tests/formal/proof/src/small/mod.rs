//! The same rules on three-bit integers, by brute force: no solver, no terms, the shipped source compiled
//! as for any user.
//!
//! A machine has far too many parts for all of them to be gone through at once. Each family of
//! [`families`] goes through every combination of those that meet in one decision; what it does not
//! speak of is drawn, each time anew, from all that it can be. So does the last family with everything.

pub mod any;
pub mod families;
pub mod holds;
pub mod tick;
pub mod troubles;
pub mod turns;

use crate::hold::{Glance, Hold};
use crate::rules::{Property, invariant, of_glances, of_holds, of_looks, of_steps, of_turns};
use crate::step::{Kind, Look, Step};
use crate::turn::Turn;
use tick::Tick;

/// What was gone through, and what was found.
#[derive(Debug)]
pub struct Count {
    /// Those of each kind, so that none is looked for among all.
    properties: Vec<Vec<Property<Step<Tick>>>>,
    look: Property<Look<Tick>>,
    turns: Vec<Property<Turn<Tick>>>,
    holds: Vec<Property<Hold<Tick>>>,
    glance: Property<Glance<Tick>>,
    /// Of all machines.
    pub transitions: u64,
    /// Of the server's alone.
    pub server_transitions: u64,
    /// Of the lease machine alone.
    pub lease_transitions: u64,
    pub looks: u64,
    pub violations: u64,
}

/// After how many violations there is no point in going on.
const ENOUGH: u64 = 3;

impl core::fmt::Display for Count {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { transitions, server_transitions, lease_transitions, looks, violations, .. } =
            self;
        write!(
            formatter,
            "transitions={transitions} server_transitions={server_transitions} lease_transitions={lease_transitions} looks={looks} violations={violations}"
        )
    }
}

impl Default for Count {
    fn default() -> Self {
        let of = |kind| of_steps().into_iter().filter(move |p: &Property<_>| p.on.contains(&kind));
        Self {
            properties: Kind::ALL.into_iter().map(|kind| of(kind).collect()).collect(),
            look: of_looks(),
            turns: of_turns(),
            holds: of_holds(),
            glance: of_glances(),
            transitions: 0,
            server_transitions: 0,
            lease_transitions: 0,
            looks: 0,
            violations: 0,
        }
    }
}

impl Count {
    /// Has the machine take one step, and judges it.
    pub fn step(&mut self, step: &any::Case) {
        if invariant(&step.policy, &step.before).is_err() {
            return;
        }
        let step = Step::take(step.policy, step.before, step.event, step.now);
        self.transitions += 1;
        let broken = first_broken(&self.properties[step.kind() as usize], &step);
        self.judged(broken);
    }

    /// The same of the server's machine, of which nothing is assumed.
    pub fn turn(&mut self, turn: &Turn<Tick>) {
        self.transitions += 1;
        self.server_transitions += 1;
        let broken = first_broken(&self.turns, turn);
        self.judged(broken);
    }

    /// The same of the lease machine, of which nothing is assumed.
    pub fn hold(&mut self, hold: &Hold<Tick>) {
        self.transitions += 1;
        self.lease_transitions += 1;
        let broken = first_broken(&self.holds, hold);
        self.judged(broken);
    }

    /// Looks at a turn at two instants, and judges what its `poll_timeout` says.
    pub fn glance(&mut self, glance: &Glance<Tick>) {
        self.looks += 1;
        let broken = first_broken(core::slice::from_ref(&self.glance), glance);
        self.judged(broken);
    }

    /// Looks at the machine at two instants, and judges what `poll_timeout` says.
    pub fn look(&mut self, look: &Look<Tick>) {
        if invariant(&look.policy, &look.machine).is_err() {
            return;
        }
        self.looks += 1;
        let broken = first_broken(core::slice::from_ref(&self.look), look);
        self.judged(broken);
    }

    /// The first few are enough: what is broken in one place is broken in many.
    fn judged(&mut self, broken: Option<String>) {
        let Some(how) = broken else { return };
        self.violations += 1;
        eprintln!("{how}");
        if self.violations == ENOUGH {
            println!("{self}");
            std::process::exit(1);
        }
    }
}

/// Which rule is broken, and by what.
fn first_broken<S: core::fmt::Debug>(properties: &[Property<S>], subject: &S) -> Option<String> {
    properties.iter().find_map(|Property { name, rules, holds, .. }| {
        holds(subject).err().map(|broken| format!("{name} ({rules}): {broken}\n{subject:#?}"))
    })
}
