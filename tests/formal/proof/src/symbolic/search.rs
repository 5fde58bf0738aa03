//! Numbers that show that an answer is possible: looked for near those of the other answer, before a
//! solver is asked. What is found is right by the shipped arithmetic; what is not found proves nothing.

use perennial::time::{Span, Timestamp};

use super::solver::Assumption;
use super::term::{Arena, Place, Sort};
use super::value::{Model, Value};

/// How many pairs of numbers are changed at once, at most.
const PAIRS: usize = 600;
/// Spans that tell much apart.
const SPANS: [Span; 4] = [Span::ZERO, Span::from_millis(1), Span::from_millis(64), Span::MAX];

/// Numbers that make `asked` true with all that is assumed, of which `model` makes all but that true.
pub fn near(
    arena: &Arena,
    model: &Model,
    assumed: &[Assumption],
    asked: Assumption,
) -> Option<Model> {
    let numbers = arena.numbers(asked.0);
    let tries: Vec<(Place, Vec<Value>)> =
        numbers.iter().map(|&place| (place, candidates(arena, model, assumed, asked, place))).collect();
    let holds = |model: &Model, changed: &[Place]| {
        let mut sums = model.sums(arena);
        sums.holds(arena.comparison(asked.0)) == asked.1
            && assumed.iter().rev().all(|&(question, holds)| {
                !arena.numbers(question).iter().any(|place| changed.contains(place))
                    || sums.holds(arena.comparison(question)) == holds
            })
            && sums.is_fair()
    };
    for (place, values) in &tries {
        for &value in values {
            let changed = model.with(*place, value);
            if holds(&changed, &[*place]) {
                return Some(changed);
            }
        }
    }
    // All spans of it alike.
    for alike in SPANS {
        let mut changed = model.clone();
        for &place in numbers.iter().filter(|place| arena.sort(**place) == Sort::Span) {
            changed = changed.with(place, Value::Span(alike));
        }
        if holds(&changed, numbers) {
            return Some(changed);
        }
    }
    let mut left = PAIRS;
    for (index, (one, ones)) in tries.iter().enumerate() {
        for (other, others) in &tries[..index] {
            for &value in ones {
                let first = model.with(*one, value);
                for &value in others {
                    left = left.checked_sub(1)?;
                    let changed = first.with(*other, value);
                    if holds(&changed, &[*one, *other]) {
                        return Some(changed);
                    }
                }
            }
        }
    }
    None
}

/// What a number might be instead: what the terms about it come to, a little less and more, and the
/// ends of time.
fn candidates(
    arena: &Arena,
    model: &Model,
    assumed: &[Assumption],
    asked: Assumption,
    place: Place,
) -> Vec<Value> {
    let sort = arena.sort(place);
    let mut sums = model.sums(arena);
    let mut all = Vec::new();
    let mut add = |value: Value| {
        if !all.contains(&value) {
            all.push(value);
        }
    };
    let about = assumed
        .iter()
        .filter(|(question, _)| arena.numbers(*question).contains(&place))
        .chain([&asked]);
    for &(question, _) in about {
        for term in arena.comparison(question).terms() {
            let value = sums.value(term);
            for value in [value.less(), value, value.more()] {
                if arena.sort(term) == sort {
                    add(value);
                }
            }
        }
    }
    match sort {
        Sort::Instant => [Timestamp::MIN, Timestamp::MAX, Timestamp::UNIX_EPOCH]
            .into_iter()
            .map(Value::Instant)
            .for_each(add),
        Sort::Span => SPANS.into_iter().map(Value::Span).for_each(add),
    }
    all
}
