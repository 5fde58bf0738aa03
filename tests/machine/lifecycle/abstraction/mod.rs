//! What allows the models in `tests/formal/model` to take time as small whole numbers, and to take
//! histories that differ in nothing but when they are for one.
//!
//! Justified here, for random policies and histories of up to some 200 events, on `Timestamp`s:
//! - a shift of all instants changes no decision, and neither does what happened in earlier epochs;
//! - a stretch of all instants and all spans by a whole factor changes none, where the spans can be
//!   divided by sixteen and the draws are none or one half, so that nothing is rounded;
//! - nor does it when, on a finer clock, each event comes a little later than that, and none by less
//!   than an event before it: what falls into one tick may be spread over it, in order.
//!
//! Not justified: what saturates at either end of time; what is rounded, where a lifetime's eighth or
//! a drawn share is no whole number; and, in the third, an answer that brings the same token again,
//! since whether that is longer-lived is decided by the difference of two ends. Those are left to
//! `tests/machine/lifecycle/conformance.rs` and to the proof.

mod history;

use perennial::lifecycle::{Lifecycle, Policy};
use perennial::time::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use super::model::{Token, Told};
use super::told::{self, event, life, policy, reply};
use history::{Grain, History, Image, histories};

/// A machine with a past of so many refreshes and tokens, and nobody logged in.
fn with_past(policy: &Policy, past: u64, now: Timestamp) -> Lifecycle {
    let mut machine = Lifecycle::new(1);
    for _ in 0..past {
        let _ = machine.handle_installed(policy, None, None, now);
        let _ = machine.handle_requested(policy, now);
        let _ = machine.handle_installed(policy, Some(told::endless()), None, Timestamp::MIN);
    }
    machine.handle_cleared(policy, now);
    machine
}

/// Follows a history and its image, and expects the same decisions.
fn same_decisions(history: &History, image: &Image) -> Result<(), TestCaseError> {
    let rules = image.rules(&history.rules);
    let (policy, stretched) = (policy(&history.rules), policy(&rules));
    let mut machine = Lifecycle::new(1);
    let mut other = with_past(&stretched, image.past, told::at(image.shift));
    for (step, &(now, told)) in history.events.iter().enumerate() {
        let (then, same) = (image.instant(now, step), image.told(told, step));
        let found = reply(machine.handle(&policy, event(told), told::at(now)));
        let there = reply(other.handle(&stretched, event(same), told::at(then)));
        let there = image.reply_back(there);
        prop_assert_eq!(
            found,
            there,
            "step {}: {:?} at {}, {:?} at {}",
            step,
            told,
            now,
            same,
            then
        );
        let (here, then) = (told::at(now), told::at(then));
        prop_assert_eq!(machine.state(here), other.state(then), "step {}: {:?}", step, told);
        prop_assert_eq!(machine.ending(), other.ending());
        prop_assert_eq!(machine.failures(), other.failures());
        let deadlines = life(&other).map(|life| life.map(|life| life.map(|at| image.back(at))));
        prop_assert_eq!(life(&machine), deadlines, "step {}: {:?}", step, told);
        if image.later.is_empty() {
            let next = machine.poll_timeout(&policy, here);
            let next = next.map(|next| (next.at.as_millis().into(), next.reason));
            let there = other.poll_timeout(&stretched, then);
            let there = there.map(|next| (image.back(next.at.as_millis().into()), next.reason));
            prop_assert_eq!(next, there, "step {}: {:?}", step, told);
        }
    }
    Ok(())
}

fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource(
            "proptest-regressions",
        ))),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    // Rules A1, A5, B12.
    #[test]
    fn a_shift_of_all_instants_and_another_past_change_no_decision(
        history in histories(Grain::Any),
        shift in -1_000_000_000_000_i64..1_000_000_000_000,
        past in 0_u64..4,
    ) {
        let image = Image { factor: 1, shift: shift.into(), past, later: Vec::new() };
        same_decisions(&history, &image)?;
    }

    // Rules A1, A5, B12.
    #[test]
    fn a_stretch_of_all_instants_and_all_spans_changes_no_decision(
        history in histories(Grain::Coarse),
        factor in 1_i64..100_000,
        shift in -1_000_000_i64..1_000_000,
    ) {
        let image =
            Image { factor: factor.into(), shift: shift.into(), past: 1, later: Vec::new() };
        same_decisions(&history, &image)?;
    }

    // Rules A1, A5.
    #[test]
    fn events_that_come_a_little_later_in_their_tick_and_in_order_change_no_decision(
        history in histories(Grain::Coarse),
        delays in prop::collection::vec(0_i64..16, 1..40),
    ) {
        let later = delays.iter().cycle().scan(0, |sum, delay| {
            *sum += i128::from(*delay);
            Some(*sum)
        });
        let later: Vec<_> = later.take(history.events.len()).collect();
        // None is delayed by a whole tick.
        let factor = later.last().copied().unwrap_or(0) + 1;
        let image = Image { factor, shift: 0, past: 0, later };
        same_decisions(&history.of_new_tokens(), &image)?;
    }
}

/// Without this the third claim would be one of nothing: delays that do not keep to the order of the
/// events do change what is decided.
// Rule A5.
#[test]
fn an_event_that_is_delayed_past_the_next_ones_changes_a_decision() {
    let rules = history::tame(Grain::Coarse);
    let token = Token { sent: 0, lifetime: Some(160), hint: None, jitter: 0 };
    let lapse = 160 - rules.margin.min(20);
    let events = vec![(0, Told::Installed(Some(token), None)), (lapse, Told::Requested(0))];
    let history = History { rules, events };
    let image = Image { factor: 100, shift: 0, past: 0, later: vec![1, 0] };
    assert!(same_decisions(&history, &image).is_err());
}
