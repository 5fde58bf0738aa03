//! What terms come to when every variable is a number: by the shipped arithmetic of `Timestamp`, so
//! that each answer of a solver is also held against that.

use perennial::time::{Span, Time, Timestamp};
use rustc_hash::FxHashMap;

use super::term::{Arena, Comparison, Place, Sort, Term};

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Instant(Timestamp),
    Span(Span),
}

impl Value {
    /// The number as it lies in memory.
    pub fn bits(self) -> u64 {
        match self {
            Self::Instant(instant) => instant.as_millis().cast_unsigned(),
            Self::Span(span) => span.as_millis(),
        }
    }

    /// An instant as far from `to` as this one is from `from`; a span as it is.
    #[must_use]
    pub fn moved(self, from: Timestamp, to: Timestamp) -> Self {
        match self {
            Self::Instant(instant) if from < to => {
                Self::Instant(instant.saturating_add(to.since(from)))
            }
            Self::Instant(instant) => Self::Instant(instant.saturating_sub(from.since(to))),
            Self::Span(_) => self,
        }
    }

    /// The number so much less, or the least there is.
    #[must_use]
    pub fn less(self, by: u64) -> Self {
        match self {
            Self::Instant(instant) => Self::Instant(instant.saturating_sub(Span::from_millis(by))),
            Self::Span(span) => Self::Span(Span::from_millis(span.as_millis().saturating_sub(by))),
        }
    }

    /// The number so much more, or the most there is.
    #[must_use]
    pub fn more(self, by: u64) -> Self {
        match self {
            Self::Instant(instant) => Self::Instant(instant.saturating_add(Span::from_millis(by))),
            Self::Span(span) => Self::Span(Span::from_millis(span.as_millis().saturating_add(by))),
        }
    }

    pub fn instant(self) -> Timestamp {
        match self {
            Self::Instant(instant) => instant,
            Self::Span(_) => unreachable!("terms are built by their sorts"),
        }
    }

    fn span(self) -> Span {
        match self {
            Self::Span(span) => span,
            Self::Instant(_) => unreachable!("terms are built by their sorts"),
        }
    }
}

/// Numbers for some variables; the others are nought.
#[derive(Clone, Debug, Default)]
pub struct Model(Vec<(Place, Value)>);

/// What terms come to in a model, each worked out once.
#[derive(Debug)]
pub struct Sums<'a> {
    arena: &'a Arena,
    model: &'a Model,
    known: FxHashMap<Place, Value>,
}

impl Model {
    pub fn new(mut given: Vec<(Place, Value)>) -> Self {
        given.sort_unstable_by_key(|(place, _)| *place);
        Self(given)
    }

    /// The same but for one number.
    #[must_use]
    pub fn with(&self, place: Place, value: Value) -> Self {
        let mut changed = self.clone();
        match changed.0.binary_search_by_key(&place, |(place, _)| *place) {
            Ok(index) => changed.0[index].1 = value,
            Err(index) => changed.0.insert(index, (place, value)),
        }
        changed
    }

    pub fn sums<'a>(&'a self, arena: &'a Arena) -> Sums<'a> {
        Sums { arena, model: self, known: FxHashMap::default() }
    }

    fn given(&self, place: Place) -> Option<Value> {
        let index = self.0.binary_search_by_key(&place, |(place, _)| *place).ok()?;
        Some(self.0[index].1)
    }
}

impl Sums<'_> {
    pub fn value(&mut self, place: Place) -> Value {
        if let Some(known) = self.known.get(&place) {
            return *known;
        }
        let value = self.work_out(place);
        self.known.insert(place, value);
        value
    }

    fn work_out(&mut self, place: Place) -> Value {
        let given = self.model.given(place);
        let term = self.arena.at(place);
        let mut instant = |place| self.value(place).instant();
        match term {
            Term::Variable(_, Sort::Instant) => {
                given.unwrap_or(Value::Instant(Timestamp::UNIX_EPOCH))
            }
            Term::Variable(_, Sort::Span) | Term::Share(..) => {
                given.unwrap_or(Value::Span(Span::ZERO))
            }
            Term::Nothing => Value::Span(Timestamp::zero()),
            Term::Later(from, span) => {
                let from = instant(from);
                Value::Instant(from.saturating_add(self.value(span).span()))
            }
            Term::Earlier(from, span) => {
                let from = instant(from);
                Value::Instant(from.saturating_sub(self.value(span).span()))
            }
            Term::Since(late, early) => Value::Span(instant(late).since(instant(early))),
            Term::Halved(span, times) => {
                Value::Span(Timestamp::halved(self.value(span).span(), times))
            }
            Term::Doubled(span, times) => {
                Value::Span(Timestamp::doubled(self.value(span).span(), times))
            }
            Term::Least(one, other) => {
                if self.less(other, one) {
                    self.value(other)
                } else {
                    self.value(one)
                }
            }
            Term::Greatest(one, other) => {
                if self.less(one, other) {
                    self.value(other)
                } else {
                    self.value(one)
                }
            }
        }
    }

    fn less(&mut self, one: Place, other: Place) -> bool {
        match (self.value(one), self.value(other)) {
            (Value::Instant(one), Value::Instant(other)) => one < other,
            (Value::Span(one), Value::Span(other)) => one < other,
            (Value::Instant(_), Value::Span(_)) | (Value::Span(_), Value::Instant(_)) => {
                unreachable!("terms are compared with their like")
            }
        }
    }

    pub fn holds(&mut self, comparison: Comparison) -> bool {
        match comparison {
            Comparison::Less(one, other) => self.less(one, other),
            Comparison::Equal(one, other) => self.value(one) == self.value(other),
        }
    }

    /// Whether every share is a share: no more than what it is of.
    pub fn is_fair(&mut self) -> bool {
        self.model.0.iter().all(|&(place, _)| match self.arena.at(place) {
            Term::Share(span, _) => self.value(place).span() <= self.value(span).span(),
            _ => true,
        })
    }
}
