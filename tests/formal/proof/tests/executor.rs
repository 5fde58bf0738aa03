//! What the prover rests on: that it goes every way that is open, and no other.

use perennial::time::Time;
use perennial_proof::symbolic::sym::{Instant, Length, begin, explore};
use perennial_proof::symbolic::tree::ROOT;

/// Every way there is, and what it comes to.
fn ways<R>(mut run: impl FnMut() -> R) -> Vec<R> {
    begin(Some(1));
    let mut all = Vec::new();
    explore(ROOT, || all.push(run()));
    all
}

#[test]
fn an_open_comparison_goes_both_ways() {
    let ways = ways(|| Instant::any("one") < Instant::any("other"));
    assert_eq!(ways, [true, false]);
}

#[test]
fn what_follows_from_what_was_decided_is_not_open() {
    let ways = ways(|| {
        let (early, middle, late) =
            (Instant::any("early"), Instant::any("middle"), Instant::any("late"));
        (early < middle && middle < late).then(|| early < late)
    });
    assert_eq!(ways, [Some(true), None, None]);
}

#[test]
fn the_end_of_time_is_among_the_ways() {
    let ways = ways(|| {
        let (now, span) = (Instant::any("now"), Length::any("span"));
        let later = now.saturating_add(span);
        (Instant::zero() < span && later <= now).then(|| format!("{now:?}"))
    });
    // There alone is a span later not later.
    let found: Vec<_> = ways.into_iter().flatten().collect();
    assert_eq!(found, [i64::MAX.to_string()]);
}

#[test]
fn the_lesser_of_two_is_one_term_and_below_both() {
    let ways = ways(|| {
        let (one, other) = (Instant::any("one"), Instant::any("other"));
        one.min(other) <= one && one.min(other) <= other && one <= one.max(other)
    });
    assert_eq!(ways, [true]);
}

#[test]
fn a_share_is_any_part_and_never_more_than_the_whole() {
    let draw = perennial::time::Draw::NONE;
    let ways = ways(|| {
        let span = Length::any("span");
        let share = Instant::share(span, draw);
        (share <= span, share == span)
    });
    assert_eq!(ways, [(true, true), (true, false)]);
}
