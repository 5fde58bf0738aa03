//! The timing wheel against a sorted map.

use std::collections::BTreeMap;

use perennial::keyed::Wheel;
use perennial::time::{Span, Timestamp};
use proptest::prelude::*;

/// What is done to both.
#[derive(Clone, Debug)]
enum Step {
    Set(u32, i64),
    Unset(u32),
    Advance(i64),
}

const START: i64 = 1_700_000_000_000;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ahead = prop_oneof![-1000..100_000_i64, 0..100_000_000_i64, 0..50_000_000_000_i64];
    let jump = prop_oneof![-5000..5000_i64, 0..1_000_000_i64, 0..3_000_000_000_i64];
    let step = prop_oneof![
        4 => (0..40_u32, ahead).prop_map(|(id, ahead)| Step::Set(id, ahead)),
        1 => (0..40_u32).prop_map(Step::Unset),
        3 => jump.prop_map(Step::Advance),
    ];
    prop::collection::vec(step, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    // Rule B12.
    #[test]
    fn nothing_fires_early_or_twice_and_nothing_is_more_than_a_tick_late(steps in steps()) {
        let mut wheel = Wheel::new(Timestamp::from_millis(START));
        let mut set: BTreeMap<u32, i64> = BTreeMap::new();
        let (mut now, mut newest) = (START, START);
        for step in steps {
            match step {
                Step::Set(id, ahead) => {
                    wheel.set(id, Timestamp::from_millis(now + ahead));
                    // What is set for the past fires with the next tick.
                    set.insert(id, (now + ahead).max(newest));
                }
                Step::Unset(id) => {
                    wheel.unset(id);
                    set.remove(&id);
                }
                Step::Advance(by) => {
                    now += by;
                    newest = newest.max(now);
                    let mut fired = Vec::new();
                    wheel.advance(Timestamp::from_millis(now), |id| fired.push(id));
                    for id in fired {
                        let due = set.remove(&id);
                        prop_assert!(due.is_some_and(|due| due <= now), "{id}: {due:?} at {now}");
                    }
                    let late = set.values().find(|due| **due + 512 <= now);
                    prop_assert_eq!(late, None, "at {}", now);
                }
            }
            let first = set.values().min();
            prop_assert_eq!(wheel.next_stir().is_some(), first.is_some());
            if let (Some(stir), Some(first)) = (wheel.next_stir(), first) {
                // It may stir before, to bring something nearer, and not after a tick.
                let after = stir.since(Timestamp::from_millis(*first));
                prop_assert!(after <= Span::from_millis(512), "{stir:?} for {first}");
            }
        }
    }
}

// Rule A1.
#[test]
fn instants_at_the_ends_of_time_are_held_like_others() {
    let mut wheel = Wheel::new(Timestamp::from_millis(START));
    wheel.set(1, Timestamp::MAX);
    wheel.set(2, Timestamp::MIN);
    let mut fired = Vec::new();
    wheel.advance(Timestamp::from_millis(START + 1000), |id| fired.push(id));
    assert_eq!(fired, [2]);
    wheel.advance(Timestamp::MIN, |id| fired.push(id));
    wheel.advance(Timestamp::MAX, |id| fired.push(id));
    assert_eq!(fired, [2, 1]);
    assert_eq!(wheel.next_stir(), None);
}

// Rule B12.
#[test]
fn nothing_fires_within_the_tick_before_its_instant() {
    let at = |millis: i64| Timestamp::from_millis(START + millis);
    for due in [1, 255, 256, 257, 300, 20_000, 5_000_001] {
        let mut wheel = Wheel::new(at(0));
        wheel.set(1, at(due));
        wheel.advance(at(due - 1), |id| panic!("{id} fired early, {due}"));
        let mut fired = 0;
        wheel.advance(at(due + 256), |_| fired += 1);
        assert_eq!(fired, 1, "{due}");
    }
}
