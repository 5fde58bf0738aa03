//! One step of the server's machine: what the rules of part D speak of.

use perennial::rotation::{Effect, Event, Family, Policy, RawPolicy, Row, State, apply};
use perennial::time::Time;

/// What an event did to a family of refresh tokens.
#[derive(Copy, Clone, Debug)]
pub struct Turn<T: Time> {
    pub policy: RawPolicy<T>,
    pub before: Row<T>,
    pub event: Event,
    pub now: T,
    /// Any two instants, for what is asked afterwards.
    pub then: [T; 2],
    pub after: Row<T>,
    pub effect: Effect,
}

impl<T: Time> Turn<T> {
    /// Has the shipped machine take the step, from what a store kept.
    pub fn take(policy: RawPolicy<T>, row: Row<T>, event: Event, now: T, then: [T; 2]) -> Self {
        let family = Family::from_row(row);
        let (after, effect) = apply(&Policy::from(policy), family, event, now);
        Self { policy, before: family.to_row(), event, now, then, after: after.to_row(), effect }
    }

    /// The step after this one.
    #[must_use]
    pub fn next(&self, event: Event, now: T) -> Self {
        Self::take(self.policy, self.after, event, now, self.then)
    }

    /// The public view of the family before the step.
    pub fn state_at(&self, now: T) -> State {
        Family::from_row(self.before).state(&Policy::from(self.policy), now)
    }

    /// When the family would end by itself, as it was before the step.
    pub fn ends_at(&self) -> Option<T> {
        Family::from_row(self.before).ends_at(&Policy::from(self.policy))
    }
}

/// Every event, with each number that differs from the others in its place beside the newest.
pub fn events(newest: u64) -> Vec<Event> {
    let beside = [-3, -2, -1, 0, 1, 2].map(|by| newest.checked_add_signed(by));
    let mut numbers: Vec<u64> = beside.into_iter().flatten().chain([0, 1, u64::MAX]).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let presented = numbers.iter().map(|&number| Event::Presented { number });
    let confirmed = numbers.iter().map(|&number| Event::Confirmed { number });
    presented.chain(confirmed).chain([Event::Revoked]).collect()
}
