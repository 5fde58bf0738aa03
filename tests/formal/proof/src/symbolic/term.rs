//! Terms: what the machine makes of instants and spans that are not known.

use perennial::time::Draw;
use rustc_hash::FxHashMap;

/// A term, by its place in the arena. Equal terms have equal places.
pub type Place = u32;
/// A comparison, by its place in the arena.
pub type Question = u32;

#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Sort {
    Instant,
    Span,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Term {
    /// Any number at all of its sort.
    Variable(&'static str, Sort),
    /// The span of no length.
    Nothing,
    /// The instant a span after.
    Later(Place, Place),
    /// The instant a span before.
    Earlier(Place, Place),
    /// The span from the second to the first.
    Since(Place, Place),
    /// A span divided by a power of two.
    Halved(Place, u32),
    /// A span multiplied by a power of two.
    Doubled(Place, u32),
    /// Any share of a span: a number of its own, from nothing to all of it.
    Share(Place, Draw),
    Least(Place, Place),
    Greatest(Place, Place),
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    Less(Place, Place),
    Equal(Place, Place),
}

impl Comparison {
    pub fn terms(self) -> [Place; 2] {
        let (Self::Less(one, other) | Self::Equal(one, other)) = self;
        [one, other]
    }
}

/// All terms and comparisons, each once.
#[derive(Debug, Default)]
pub struct Arena {
    terms: Vec<(Term, Sort)>,
    places: FxHashMap<Term, Place>,
    comparisons: Vec<(Comparison, Vec<Place>)>,
    questions: FxHashMap<Comparison, Question>,
}

fn place(length: usize) -> u32 {
    u32::try_from(length).expect("fewer terms than fill the memory")
}

impl Arena {
    pub fn term(&mut self, term: Term) -> Place {
        if let Some(&found) = self.places.get(&term) {
            return found;
        }
        let sort = match term {
            Term::Variable(_, sort) => sort,
            Term::Later(..) | Term::Earlier(..) => Sort::Instant,
            Term::Nothing
            | Term::Since(..)
            | Term::Halved(..)
            | Term::Doubled(..)
            | Term::Share(..) => Sort::Span,
            Term::Least(one, _) | Term::Greatest(one, _) => self.sort(one),
        };
        let new = place(self.terms.len());
        self.terms.push((term, sort));
        self.places.insert(term, new);
        new
    }

    pub fn question(&mut self, comparison: Comparison) -> Question {
        if let Some(&found) = self.questions.get(&comparison) {
            return found;
        }
        let new = place(self.comparisons.len());
        let mut numbers = Vec::new();
        for place in comparison.terms() {
            self.add_numbers(place, &mut numbers);
        }
        self.comparisons.push((comparison, numbers));
        self.questions.insert(comparison, new);
        new
    }

    pub fn at(&self, place: Place) -> Term {
        self.terms[place as usize].0
    }

    pub fn sort(&self, place: Place) -> Sort {
        self.terms[place as usize].1
    }

    pub fn comparison(&self, question: Question) -> Comparison {
        self.comparisons[question as usize].0
    }

    /// The numbers that a question is about: the terms in it that are not made of others.
    pub fn numbers(&self, question: Question) -> &[Place] {
        &self.comparisons[question as usize].1
    }

    fn add_numbers(&self, place: Place, all: &mut Vec<Place>) {
        if self.is_free(place) && !all.contains(&place) {
            all.push(place);
        }
        for part in parts(self.at(place)) {
            self.add_numbers(part, all);
        }
    }

    /// Whether it is a number of its own, and not made of others.
    pub fn is_free(&self, place: Place) -> bool {
        matches!(self.at(place), Term::Variable(..) | Term::Share(..))
    }

    pub fn len(&self) -> usize {
        self.terms.len()
    }

    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }
}

/// The terms that this one is made of.
pub fn parts(term: Term) -> impl Iterator<Item = Place> {
    let (one, other) = match term {
        Term::Variable(..) | Term::Nothing => (None, None),
        Term::Halved(span, _) | Term::Doubled(span, _) | Term::Share(span, _) => (Some(span), None),
        Term::Later(one, other)
        | Term::Earlier(one, other)
        | Term::Since(one, other)
        | Term::Least(one, other)
        | Term::Greatest(one, other) => (Some(one), Some(other)),
    };
    one.into_iter().chain(other)
}
