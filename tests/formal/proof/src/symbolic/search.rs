//! Numbers that show that an answer is possible, looked for before a solver is asked. What is found is
//! right by the shipped arithmetic; where none is found that proves nothing.

use perennial::time::{Span, Timestamp};

use super::solver::Assumption;
use super::term::{Arena, Place, Sort, Term};
use super::value::{Model, Value};

/// How many pairs of numbers are changed at once, at most.
const PAIRS: usize = 1500;
/// How far apart numbers are kept where they can be.
const ROOM: u64 = 1 << 20;
/// Spans that tell much apart.
const SPANS: [Span; 4] = [Span::from_millis(ROOM), Span::ZERO, Span::from_millis(1), Span::MAX];

/// A search for numbers that make `asked` true with all that is assumed.
#[derive(Copy, Clone, Debug)]
pub struct Search<'a> {
    pub arena: &'a Arena,
    /// Makes all true that is assumed, but not `asked`.
    pub near: &'a Model,
    pub assumed: &'a [Assumption],
    pub asked: Assumption,
}

impl Search<'_> {
    fn is(&self, model: &Model, (question, holds): Assumption) -> bool {
        model.sums(self.arena).holds(self.arena.comparison(question)) == holds
    }

    /// Whether all holds, where these numbers alone differ from those near by.
    fn holds(&self, model: &Model, changed: &[Place]) -> bool {
        let concerned = |&&(question, _): &&Assumption| {
            self.arena.numbers(question).iter().any(|place| changed.contains(place))
        };
        self.is(model, self.asked)
            && self.assumed.iter().rev().filter(concerned).all(|&known| self.is(model, known))
            && model.sums(self.arena).is_fair()
    }

    /// What once made `asked` true: as it is, or put in the place of what that speaks of, as far
    /// from the present now as it was from its own.
    pub fn among<'m>(&self, earlier: impl Iterator<Item = &'m Model> + Clone) -> Option<Model> {
        let all = |model: &&Model| {
            self.is(model, self.asked)
                && self.assumed.iter().rev().all(|&known| self.is(model, known))
        };
        if let Some(found) = earlier.clone().find(all) {
            return Some(found.clone());
        }
        let now = self.now()?;
        let cluster = self.cluster(now);
        let here = self.near.sums(self.arena).value(now).instant();
        earlier.into_iter().find_map(|model| {
            let mut sums = model.sums(self.arena);
            let there = sums.value(now).instant();
            let mut moved = self.near.clone();
            for &place in &cluster {
                moved = moved.with(place, sums.value(place).moved(there, here));
            }
            self.holds(&moved, &cluster).then_some(moved)
        })
    }

    /// The now that everything is compared with.
    fn now(&self) -> Option<Place> {
        let mut all = self.assumed.iter().flat_map(|(question, _)| self.arena.numbers(*question));
        all.find(|place| matches!(self.arena.at(**place), Term::Variable("now", _))).copied()
    }

    /// The numbers that hang together with those of `asked`, but for `now`.
    fn cluster(&self, now: Place) -> Vec<Place> {
        let mut cluster: Vec<Place> = self.arena.numbers(self.asked.0).to_vec();
        cluster.retain(|place| *place != now);
        loop {
            let before = cluster.len();
            for &(question, _) in self.assumed {
                let numbers = self.arena.numbers(question);
                if numbers.iter().any(|place| cluster.contains(place)) {
                    for &place in numbers {
                        if place != now && !cluster.contains(&place) {
                            cluster.push(place);
                        }
                    }
                }
            }
            if cluster.len() == before {
                return cluster;
            }
        }
    }

    /// What is near by, but for one number, or all spans, or two numbers, of those that `asked`
    /// speaks of.
    pub fn nearby(&self) -> Option<Model> {
        let numbers = self.arena.numbers(self.asked.0);
        let tries: Vec<(Place, Vec<Value>)> =
            numbers.iter().map(|&place| (place, self.candidates(place))).collect();
        for (place, values) in &tries {
            for &value in values {
                let changed = self.near.with(*place, value);
                if self.holds(&changed, &[*place]) {
                    return Some(changed);
                }
            }
        }
        for alike in SPANS {
            let mut changed = self.near.clone();
            for &place in numbers.iter().filter(|place| self.arena.sort(**place) == Sort::Span) {
                changed = changed.with(place, Value::Span(alike));
            }
            if self.holds(&changed, numbers) {
                return Some(changed);
            }
        }
        let mut left = PAIRS;
        for (index, (one, ones)) in tries.iter().enumerate() {
            for (other, others) in &tries[..index] {
                for &value in ones {
                    let first = self.near.with(*one, value);
                    for &value in others {
                        left = left.checked_sub(1)?;
                        let changed = first.with(*other, value);
                        if self.holds(&changed, &[*one, *other]) {
                            return Some(changed);
                        }
                    }
                }
            }
        }
        None
    }

    /// What a number might be instead: about what the terms that it is compared with come to, or at
    /// the ends of time.
    fn candidates(&self, place: Place) -> Vec<Value> {
        let sort = self.arena.sort(place);
        let mut sums = self.near.sums(self.arena);
        let values: Vec<Value> = self
            .assumed
            .iter()
            .filter(|(question, _)| self.arena.numbers(*question).contains(&place))
            .chain([&self.asked])
            .flat_map(|&(question, _)| self.arena.comparison(question).terms())
            .filter(|term| self.arena.sort(*term) == sort)
            .map(|term| sums.value(term))
            .collect();
        let mut all = Vec::new();
        let mut add = |value: Value| {
            if !all.contains(&value) {
                all.push(value);
            }
        };
        // Roomy ones first: what lies close together leaves no room for what is asked later.
        values.iter().flat_map(|value| [value.less(ROOM), value.more(ROOM)]).for_each(&mut add);
        values.iter().flat_map(|value| [*value, value.less(1), value.more(1)]).for_each(&mut add);
        match sort {
            Sort::Instant => [Timestamp::MIN, Timestamp::MAX, Timestamp::UNIX_EPOCH]
                .into_iter()
                .map(Value::Instant)
                .for_each(add),
            Sort::Span => SPANS.into_iter().map(Value::Span).for_each(add),
        }
        all
    }
}
