//! The machine against a model of the rules that was written another way (`tests/machine/lifecycle/model.rs`):
//! long sequences of events, with a clock that does as it likes, under policies of all kinds.
//! `PROPTEST_CASES` runs more of them.

use std::collections::HashSet;
use std::env;
use std::hash::Hash;

use perennial::lifecycle::{Effect, Event, Generation, Lifecycle, Policy, Schedule, apply};
use perennial::time::{Draw, Span, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use super::model::{Model, Reply, Rules, Told};
use super::ops::{Clock, Op, rules, sequences};
use super::seen::seen;
use super::told::{at, endless, event, life, policy, reply};

/// What a machine is once it has seen `now`, told of a token that is none of its own.
fn shown(policy: &Policy, machine: Lifecycle, now: Timestamp) -> Lifecycle {
    let mut elsewhere = Lifecycle::new(2);
    let start = Timestamp::MIN;
    let _ = elsewhere.handle_installed(&Policy::default(), Some(endless()), None, start);
    let generation = elsewhere.generation().expect("a token is held");
    apply(policy, machine, Event::Rejected { generation }, now).0
}

/// Rule B12: nothing visible changes before `poll_timeout`, and something does at it.
fn announced(
    policy: &Policy,
    machine: Lifecycle,
    now: Timestamp,
    sample: u64,
) -> Result<(), TestCaseError> {
    let next = machine.poll_timeout(policy, now);
    let machine = shown(policy, machine, now);
    let here = seen(policy, machine, now);
    prop_assert_eq!(machine.poll_timeout(policy, now), next);
    let end = match next {
        Some(next) => {
            prop_assert!(next.at > now, "{next:?} is not later than {now:?}");
            prop_assert_ne!(
                &seen(policy, machine, next.at),
                &here,
                "nothing happens at {:?}",
                next
            );
            next.at
        }
        None => Timestamp::MAX,
    };
    let before = if next.is_some() { end.saturating_sub(Span::from_millis(1)) } else { end };
    let width = before.since(now).as_millis();
    let inside = now.saturating_add(Span::from_millis(if width == 0 { 0 } else { sample % width }));
    for instant in [before, inside] {
        prop_assert_eq!(
            &seen(policy, machine, instant),
            &here,
            "{:?} is not announced: {:?}",
            instant,
            next
        );
    }
    Ok(())
}

/// Rules B1, B2, B3, B4: what holds whatever the model says.
fn kept(machine: &Lifecycle, told: Told, reply: Reply, model: &Model) -> Result<(), TestCaseError> {
    let now = at(model.now());
    if let Some(Schedule::Timed(life)) = machine.schedule() {
        prop_assert!(life.refresh_after <= life.unusable_from);
        prop_assert!(life.unusable_from <= life.expires_at);
        if let (
            Told::Installed(Some(token), _) | Told::Refreshed(_, token, ..),
            Reply::Publish(_),
        ) = (told, reply)
        {
            prop_assert!(at(token.sent).min(now) <= life.refresh_after);
        }
        if reply == Reply::Use {
            prop_assert!(now < life.unusable_from, "handed out at {:?}: {:?}", now, life);
        }
    }
    Ok(())
}

/// Rule B9: a burst of no more than the budget holds, and then one an interval.
fn within_budget(model: &Model) -> Result<(), TestCaseError> {
    let Rules { interval, budget_window, .. } = model.rules;
    let epoch = model.epoch();
    let forward = model.nows[epoch..].windows(2).all(|pair| pair[0] <= pair[1]);
    let charged: Vec<_> =
        model.charges.iter().filter(|step| **step >= epoch).map(|step| model.nows[*step]).collect();
    if !forward
        || interval == 0
        || charged.last().is_some_and(|last| *last >= i128::from(i64::MAX) - 2 * budget_window)
    {
        return Ok(());
    }
    for (first, from) in charged.iter().enumerate() {
        for (last, to) in charged.iter().enumerate().skip(first) {
            let count = i128::try_from(last - first + 1).expect("a count fits");
            // A window that is no multiple of the interval leaves a part of one over.
            let allowed = (budget_window + to - from) / interval;
            prop_assert!(count <= allowed, "{count} within {} ms", to - from);
        }
    }
    Ok(())
}

fn follow(rules: Rules, sequence: Vec<(Clock, Op)>, sample: u64) -> Result<(), TestCaseError> {
    let policy = policy(&rules);
    let mut model = Model::new(rules);
    let mut machine = Lifecycle::new(1);
    let mut given_out = HashSet::new();
    for (step, (clock, op)) in sequence.into_iter().enumerate() {
        let instant = clock.now(&model);
        let told = op.told(&model, instant);
        let now = at(instant);
        let expected = model.tell(told, instant);
        let found = reply(machine.handle(&policy, event(told), now));
        prop_assert_eq!(found, expected, "step {}: {:?} at {}", step, told, instant);
        prop_assert_eq!(
            machine.state(now),
            model.state(),
            "step {}: {:?} at {}",
            step,
            told,
            instant
        );
        prop_assert_eq!(machine.ending(), model.ending(), "step {}: {:?}", step, told);
        prop_assert_eq!(usize::try_from(machine.failures()).ok(), Some(model.failures_in_a_row()));
        let generation = machine.generation().map(Generation::number);
        prop_assert_eq!(generation, model.held_number());
        prop_assert_eq!(life(&machine), model.held_life());
        if let Reply::Publish(number) = found {
            prop_assert!(given_out.insert(number), "generation {} twice", number);
            prop_assert_eq!(given_out.iter().max(), Some(&number));
        }
        kept(&machine, told, found, &model)?;
        announced(&policy, machine, now, sample)?;
        // Asked with another now, also an earlier one, it is as exact.
        let elsewhere = at(clock_sample(&model, sample));
        announced(&policy, machine, elsewhere, sample)?;
        // To tell that time passed once more changes nothing (rule B12).
        let draw = Draw::NONE;
        let again = apply(&policy, machine, Event::TimePassed { draw }, now);
        if again.1 == Effect::Nothing {
            prop_assert_eq!(again.0, apply(&policy, again.0, Event::TimePassed { draw }, now).0);
        }
    }
    within_budget(&model)
}

/// Some instant near those at which something may change.
fn clock_sample(model: &Model, sample: u64) -> i128 {
    let which = usize::try_from(sample % 8).unwrap_or(0);
    let by = i64::try_from(sample % 7).unwrap_or(0) - 3;
    Clock::ToInstant(which, by).now(model)
}

/// How many histories are tried where `PROPTEST_CASES` does not say.
fn cases() -> u32 {
    let said = ProptestConfig::default().cases;
    if env::var_os("PROPTEST_CASES").is_some() { said } else { 800 }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(),
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("proptest-regressions"))),
        max_shrink_iters: 20_000,
        ..ProptestConfig::default()
    })]

    // Rules A1, A5, B1, B2, B3, B4, B5, B6, B7, B8, B9, B10, B11, B12, B13, B14.
    #[test]
    fn the_machine_answers_as_the_rules_do_whatever_happens_and_whatever_the_clock_does(
        rules in rules(),
        sequence in sequences(),
        sample: u64,
    ) {
        follow(rules, sequence, sample)?;
    }
}

// Rule B12.
#[test]
fn the_machine_is_small_and_can_be_copied_compared_hashed_and_sent() {
    fn takes<M: Copy + Eq + Hash + Send + Sync + 'static>() -> usize {
        size_of::<M>()
    }
    let size = takes::<Lifecycle>();
    assert!(size <= 304, "{size} bytes");
}
