//! One step of the machine, and one look at it: what the rules speak of.

use perennial::lifecycle::formal::{Parts, observed};
use perennial::lifecycle::{Effect, Event, Lifecycle, Policy, RawPolicy, apply};
use perennial::time::Time;

/// What an event did to a machine.
#[derive(Copy, Clone, Debug)]
pub struct Step<T: Time> {
    pub policy: RawPolicy<T>,
    pub before: Parts<T>,
    pub event: Event<T>,
    pub now: T,
    /// The machine before, once it has seen `now`.
    pub shown: Parts<T>,
    pub after: Parts<T>,
    pub effect: Effect<T>,
}

impl<T: Time> Step<T> {
    /// Has the shipped machine take the step.
    pub fn take(raw: RawPolicy<T>, before: Parts<T>, event: Event<T>, now: T) -> Self {
        let policy = Policy::from(raw);
        let shown = observed(&policy, before.into(), now).into();
        let (after, effect) = apply(&policy, before.into(), event, now);
        Self { policy: raw, before, event, now, shown, after: after.into(), effect }
    }

    pub fn kind(&self) -> Kind {
        match self.event {
            Event::Requested { .. } => Kind::Requested,
            Event::Refreshed { .. } => Kind::Refreshed,
            Event::RefreshFailed { .. } => Kind::RefreshFailed,
            Event::Rejected { .. } => Kind::Rejected,
            Event::Accepted { .. } => Kind::Accepted,
            Event::Recovered { .. } => Kind::Recovered,
            Event::Installed { .. } => Kind::Installed,
            Event::Cleared => Kind::Cleared,
            Event::TimePassed { .. } => Kind::TimePassed,
        }
    }

    pub fn policy(&self) -> Policy<T> {
        Policy::from(self.policy)
    }

    pub fn machine(&self) -> Lifecycle<T> {
        self.after.into()
    }
}

/// A machine looked at now and at some other instant.
#[derive(Copy, Clone, Debug)]
pub struct Look<T: Time> {
    pub policy: RawPolicy<T>,
    pub machine: Parts<T>,
    pub now: T,
    pub then: T,
}

/// The events, without what they bring.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Cleared,
    TimePassed,
    Requested,
    Rejected,
    Accepted,
    Recovered,
    Installed,
    RefreshFailed,
    Refreshed,
}

impl Kind {
    /// Those first from which there are few ways to go.
    pub const ALL: [Self; 9] = [
        Self::Cleared,
        Self::TimePassed,
        Self::Requested,
        Self::Rejected,
        Self::Accepted,
        Self::Recovered,
        Self::Installed,
        Self::RefreshFailed,
        Self::Refreshed,
    ];
}
