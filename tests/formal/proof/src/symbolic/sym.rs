//! Instants and spans that are terms; to compare two of them is to decide.

use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use std::cell::RefCell;

use perennial::time::{Draw, Time};

use super::term::{Comparison, Place, Sort, Term};
use super::tree::{Node, Tree};
use super::value::Value;

thread_local! {
    static TREE: RefCell<Option<Tree>> = const { RefCell::new(None) };
}

/// Works on this thread's tree.
pub fn with<R>(work: impl FnOnce(&mut Tree) -> R) -> R {
    TREE.with_borrow_mut(|tree| work(tree.as_mut().expect("a proof is under way")))
}

/// Begins a proof on this thread; one answer in so many is `confirmed` in bit vectors.
pub fn begin(confirmed: Option<u64>) {
    TREE.set(Some(Tree::new(confirmed)));
}

/// Runs once for each possible way from `node` on, and says how many there were.
pub fn explore(node: Node, mut run: impl FnMut()) -> u64 {
    let outer = with(|tree| std::mem::take(&mut tree.run));
    let mut paths = 0;
    loop {
        with(|tree| tree.rewind(node));
        run();
        paths += 1;
        if !with(Tree::turn) {
            break;
        }
    }
    with(|tree: &mut Tree| tree.run = outer);
    paths
}

/// Where the run stands: all that is assumed so far.
pub fn here() -> Node {
    with(|tree| tree.run.node)
}

fn term(term: Term) -> Place {
    with(|tree| tree.arena.term(term))
}

fn less(one: Place, other: Place) -> bool {
    one != other && with(|tree| tree.decide(Comparison::Less(one, other)))
}

fn equal(one: Place, other: Place) -> bool {
    one == other || with(|tree| tree.decide(Comparison::Equal(one.min(other), one.max(other))))
}

macro_rules! symbol {
    ($name:ident, $sort:ident) => {
        #[derive(Copy, Clone)]
        pub struct $name(Place);

        impl $name {
            /// Any number at all, under this name.
            pub fn any(name: &'static str) -> Self {
                Self(term(Term::Variable(name, Sort::$sort)))
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                equal(self.0, other.0)
            }
        }

        impl Eq for $name {}

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }

            fn lt(&self, other: &Self) -> bool {
                less(self.0, other.0)
            }

            fn le(&self, other: &Self) -> bool {
                !less(other.0, self.0)
            }

            fn gt(&self, other: &Self) -> bool {
                less(other.0, self.0)
            }

            fn ge(&self, other: &Self) -> bool {
                !less(self.0, other.0)
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                if less(self.0, other.0) {
                    Ordering::Less
                } else if less(other.0, self.0) {
                    Ordering::Greater
                } else {
                    Ordering::Equal
                }
            }

            /// A term, not a decision.
            fn min(self, other: Self) -> Self {
                let (one, other) = (self.0.min(other.0), self.0.max(other.0));
                if one == other {
                    return self;
                }
                match with(|tree| tree.settles(Comparison::Less(one, other))) {
                    Some(true) => Self(one),
                    Some(false) => Self(other),
                    None => Self(term(Term::Least(one, other))),
                }
            }

            /// A term, not a decision.
            fn max(self, other: Self) -> Self {
                let (one, other) = (self.0.min(other.0), self.0.max(other.0));
                if one == other {
                    return self;
                }
                match with(|tree| tree.settles(Comparison::Less(other, one))) {
                    Some(true) => Self(one),
                    Some(false) => Self(other),
                    None => Self(term(Term::Greatest(one, other))),
                }
            }
        }

        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.0.hash(state);
            }
        }

        /// The number that it is in the example at hand.
        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                match with(|tree| tree.example().value(self.0)) {
                    Value::Instant(instant) => write!(formatter, "{}", instant.as_millis()),
                    Value::Span(span) => write!(formatter, "{}", span.as_millis()),
                }
            }
        }
    };
}

symbol!(Instant, Instant);
symbol!(Length, Span);

impl Time for Instant {
    type Span = Length;

    fn zero() -> Length {
        Length(term(Term::Nothing))
    }

    fn saturating_add(self, span: Length) -> Self {
        Self(term(Term::Later(self.0, span.0)))
    }

    fn saturating_sub(self, span: Length) -> Self {
        Self(term(Term::Earlier(self.0, span.0)))
    }

    fn since(self, earlier: Self) -> Length {
        Length(term(Term::Since(self.0, earlier.0)))
    }

    fn halved(span: Length, times: u32) -> Length {
        Length(term(Term::Halved(span.0, times)))
    }

    fn doubled(span: Length, times: u32) -> Length {
        Length(term(Term::Doubled(span.0, times)))
    }

    fn share(span: Length, draw: Draw) -> Length {
        Length(term(Term::Share(span.0, draw)))
    }
}
