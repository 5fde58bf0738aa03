//! Terms in the language of a solver (SMT-LIB), twice: as unbounded integers within 64-bit bounds,
//! and as bit vectors of 64 bits that are widened where they might overflow.

use super::solver::Assumption;
use super::term::{Arena, Comparison, Place, Sort, Term};

/// How numbers are written.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Encoding {
    Integers,
    Vectors,
}

/// What a term is to the solver: declarations, and what holds of it at all times.
pub struct Definition {
    pub declared: String,
    pub always: String,
}

impl Encoding {
    pub fn logic(self) -> &'static str {
        match self {
            Self::Integers => "QF_LIA",
            Self::Vectors => "QF_BV",
        }
    }

    pub fn define(self, arena: &Arena, place: Place) -> Definition {
        match self {
            Self::Integers => integers(arena, place),
            Self::Vectors => vectors(arena, place),
        }
    }

    /// That a comparison holds, or does not.
    pub fn compare(self, arena: &Arena, (question, holds): Assumption) -> String {
        let comparison = arena.comparison(question);
        let [one, other] = comparison.terms();
        let less = match (self, arena.sort(one)) {
            (Self::Integers, _) => "<",
            (Self::Vectors, Sort::Instant) => "bvslt",
            (Self::Vectors, Sort::Span) => "bvult",
        };
        let holding = match comparison {
            Comparison::Less(..) => format!("({less} t{one} t{other})"),
            Comparison::Equal(..) => format!("(= t{one} t{other})"),
        };
        if holds { holding } else { format!("(not {holding})") }
    }
}

fn integers(arena: &Arena, place: Place) -> Definition {
    // The bounds of `i64`, and of `u64`.
    let (first, last, longest) = ("(- 9223372036854775808)", i64::MAX, u64::MAX);
    let within = |sort| match sort {
        Sort::Instant => format!("(assert (<= {first} t{place} {last}))\n"),
        Sort::Span => format!("(assert (<= 0 t{place} {longest}))\n"),
    };
    let variable = format!("(declare-const t{place} Int)\n");
    let function = |body: String| Definition {
        declared: format!("(define-fun t{place} () Int {body})\n"),
        always: String::new(),
    };
    match arena.at(place) {
        Term::Variable(_, sort) => Definition { declared: variable, always: within(sort) },
        Term::Share(span, _) => {
            Definition { declared: variable, always: format!("(assert (<= 0 t{place} t{span}))\n") }
        }
        Term::Nothing => function("0".into()),
        Term::Later(from, span) => {
            function(format!("(ite (> (+ t{from} t{span}) {last}) {last} (+ t{from} t{span}))"))
        }
        Term::Earlier(from, span) => {
            function(format!("(ite (< (- t{from} t{span}) {first}) {first} (- t{from} t{span}))"))
        }
        Term::Since(late, early) => {
            function(format!("(ite (> t{late} t{early}) (- t{late} t{early}) 0)"))
        }
        Term::Halved(_, times) if times >= 64 => function("0".into()),
        // Its quotient is a number of its own: this stays linear.
        Term::Halved(span, times) => {
            let by = 1_u128 << times;
            Definition {
                declared: variable,
                always: format!("(assert (<= 0 (- t{span} (* {by} t{place})) {}))\n", by - 1),
            }
        }
        Term::Doubled(span, times) if times >= 64 => {
            function(format!("(ite (= t{span} 0) 0 {longest})"))
        }
        Term::Doubled(span, times) => {
            let product = format!("(* {} t{span})", 1_u128 << times);
            function(format!("(ite (> {product} {longest}) {longest} {product})"))
        }
        Term::Least(one, other) => function(format!("(ite (< t{other} t{one}) t{other} t{one})")),
        Term::Greatest(one, other) => {
            function(format!("(ite (< t{one} t{other}) t{other} t{one})"))
        }
    }
}

fn vectors(arena: &Arena, place: Place) -> Definition {
    let (first, last) = ("#x8000000000000000", "#x7fffffffffffffff");
    let (none, longest) = ("#x0000000000000000", "#xffffffffffffffff");
    let variable = format!("(declare-const t{place} (_ BitVec 64))\n");
    let function = |body: String| Definition {
        declared: format!("(define-fun t{place} () (_ BitVec 64) {body})\n"),
        always: String::new(),
    };
    // Two bits more hold any sum of a signed and an unsigned number.
    let wide = |operation: &str, from: Place, span: Place| {
        format!("({operation} ((_ sign_extend 2) t{from}) ((_ zero_extend 2) t{span}))")
    };
    let less = match arena.sort(place) {
        Sort::Instant => "bvslt",
        Sort::Span => "bvult",
    };
    match arena.at(place) {
        Term::Variable(..) => Definition { declared: variable, always: String::new() },
        Term::Share(span, _) => Definition {
            declared: variable,
            always: format!("(assert (bvule t{place} t{span}))\n"),
        },
        Term::Nothing => function(none.into()),
        Term::Later(from, span) => {
            let sum = wide("bvadd", from, span);
            function(format!(
                "(ite (bvsgt {sum} ((_ sign_extend 2) {last})) {last} ((_ extract 63 0) {sum}))"
            ))
        }
        Term::Earlier(from, span) => {
            let difference = wide("bvsub", from, span);
            function(format!(
                "(ite (bvslt {difference} ((_ sign_extend 2) {first})) {first} ((_ extract 63 0) {difference}))"
            ))
        }
        Term::Since(late, early) => {
            function(format!("(ite (bvsgt t{late} t{early}) (bvsub t{late} t{early}) {none})"))
        }
        Term::Halved(_, times) if times >= 64 => function(none.into()),
        Term::Halved(span, times) => function(format!("(bvlshr t{span} (_ bv{times} 64))")),
        Term::Doubled(span, times) if times >= 64 => {
            function(format!("(ite (= t{span} {none}) {none} {longest})"))
        }
        Term::Doubled(span, times) => {
            let product = format!("(bvshl t{span} (_ bv{times} 64))");
            function(format!(
                "(ite (= (bvlshr {product} (_ bv{times} 64)) t{span}) {product} {longest})"
            ))
        }
        Term::Least(one, other) => {
            function(format!("(ite ({less} t{other} t{one}) t{other} t{one})"))
        }
        Term::Greatest(one, other) => {
            function(format!("(ite ({less} t{one} t{other}) t{other} t{one})"))
        }
    }
}
