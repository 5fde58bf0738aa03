//! The budget of refreshes that nothing made due.

use perennial::lifecycle::{
    Cause, Delay, Effect, Lifecycle, MissingLifetime, Policy, RawPolicy, Requested, Reuse,
    TimeoutReason,
};
use perennial::time::{Draw, Span, Timestamp};

use crate::lifecycle::support::{Rig, UNAVAILABLE, at, built, hour, lives, sec, secs};

/// A token that never worked is rejected, and another one comes at once. False where the rejection
/// cannot be paid for.
#[track_caller]
fn replaced(rig: &mut Rig, now: Timestamp) -> bool {
    let effect = rig.reject(now);
    if effect != Effect::Withdraw {
        assert_eq!(effect, Effect::KeepUsing);
        return false;
    }
    let flight = rig.start(now).flight;
    let _ = rig.land(flight, hour(now), now);
    true
}

/// How often that goes on at one instant.
fn replacements(rig: &mut Rig, now: Timestamp) -> usize {
    (0..1000).take_while(|_| replaced(rig, now)).count()
}

// Rule B9. Case X20.
#[test]
fn tokens_that_never_worked_are_replaced_five_times_at_once_and_then_every_six_seconds() {
    let mut rig = Rig::with_hour(Policy::default(), sec(0));
    assert_eq!(replacements(&mut rig, sec(0)), 5);
    for round in 1..10 {
        let just_before = at(6_000 * round - 1);
        assert!(!replaced(&mut rig, just_before));
        // What could not be paid for stays in use.
        assert_eq!(rig.request(just_before), Effect::Use);
        assert_eq!(replacements(&mut rig, sec(6 * round)), 1);
    }
}

// Rule B9.
#[test]
fn a_budget_left_alone_is_full_again_and_never_more_than_full() {
    let mut rig = Rig::with_hour(Policy::default(), sec(0));
    for start in [0, 30, 1000] {
        assert_eq!(replacements(&mut rig, sec(start)), 5);
    }
}

// Rule B9.
#[test]
fn the_refresh_of_a_due_token_is_free() {
    let policy = built(Policy::builder().budget(1, secs(30)).reuse(Reuse::Unrotated));
    let mut rig = Rig::with_hour(policy, sec(0));
    for _ in 0..5 {
        let flight = rig.start(sec(3300)).flight;
        let _ = rig.fail(flight, UNAVAILABLE, Draw::NONE, sec(3300));
    }
    let _ = rig.reject(sec(3300));
    let flight = rig.start(sec(3300)).flight;
    let _ = rig.land(flight, hour(sec(3300)), sec(3300));
    // The budget is whole: the next early one is paid from it.
    let flight = rig.start_early(sec(3301)).flight;
    let _ = rig.fail(flight, UNAVAILABLE, Draw::NONE, sec(3301));
    let until = sec(3331);
    let reason = Delay::Budget;
    let effect = rig.request_for(u64::MAX, sec(3301));
    assert_eq!(effect, Effect::BackOff { until, reason });
}

// Rule B9.
#[test]
fn a_rejection_pays_for_one_try_and_the_next_ones_are_paid_from_the_budget() {
    for accepted in [true, false] {
        let policy = built(Policy::builder().budget(2, secs(60)));
        let mut rig = Rig::with_hour(policy, sec(0));
        if accepted {
            let _ = rig.accept(sec(0));
        }
        assert_eq!(rig.reject(sec(0)), Effect::Withdraw);
        let paid_from_it = if accepted { 2 } else { 1 };
        for _ in 0..=paid_from_it {
            let start = rig.start(sec(0));
            assert_eq!(start.cause, Cause::Rejected);
            let _ = rig.fail(start.flight, UNAVAILABLE, Draw::NONE, sec(0));
        }
        let until = sec(30);
        let reason = Delay::Budget;
        assert_eq!(rig.request(sec(0)), Effect::BackOff { until, reason });
        let next = rig.machine.poll_timeout(&rig.policy, sec(1)).expect("it allows one again");
        assert_eq!((next.at, next.reason), (until, TimeoutReason::BudgetAllows));
    }
}

// Rule B9.
#[test]
fn the_rejection_of_a_token_that_had_worked_is_not_paid_from_the_budget() {
    let policy = built(Policy::builder().budget(1, secs(30)));
    let mut rig = Rig::with_hour(policy, sec(0));
    let _ = rig.accept(sec(0));
    // An early refresh fails, and has spent the whole budget.
    let flight = rig.start_early(sec(0)).flight;
    let _ = rig.fail(flight, UNAVAILABLE, Draw::NONE, sec(0));
    assert_eq!(rig.reject(sec(1)), Effect::Withdraw);
    assert_eq!(rig.start(sec(1)).cause, Cause::Rejected);
}

// Rules B9, B11.
#[test]
fn a_login_or_a_logout_fills_the_budget() {
    for logout in [true, false] {
        let mut rig = Rig::with_hour(Policy::default(), sec(0));
        assert_eq!(replacements(&mut rig, sec(0)), 5);
        if logout {
            let _ = rig.clear(sec(0));
        }
        let _ = rig.install(Some(hour(sec(0))), None, sec(0));
        assert_eq!(replacements(&mut rig, sec(0)), 5);
    }
}

// Rules B9, B12.
#[test]
fn a_token_that_becomes_due_is_refreshed_before_the_budget_allows() {
    let policy = built(Policy::builder().budget(1, secs(30)));
    let mut rig = Rig::empty(policy);
    let _ = rig.install(Some(lives(sec(0), 20_000)), None, sec(0));
    let _ = rig.reject(sec(0));
    let flight = rig.start(sec(0)).flight;
    let _ = rig.fail(flight, UNAVAILABLE, Draw::NONE, sec(0));
    assert_eq!(rig.next(sec(0)), Some(sec(10)));
    assert!(matches!(rig.request(at(9_999)), Effect::BackOff { .. }));
    assert_eq!(rig.start(sec(10)).cause, Cause::Rejected);
}

// Rules B9, B12.
#[test]
fn an_interval_longer_than_its_window_still_lets_one_through() {
    let raw = RawPolicy::<Timestamp> {
        refresh_window: Span::from_secs(300),
        margin: Span::from_secs(10),
        missing_lifetime: MissingLifetime::UntilRejected,
        backoff_base: Span::from_secs(1),
        backoff_cap: Span::from_secs(60),
        misconfigured_base: Span::from_secs(30),
        misconfigured_cap: Span::from_secs(600),
        retry_after_cap: Span::from_secs(3600),
        unexplained_count: 3,
        unexplained_window: Span::from_secs(300),
        rejections_count: 3,
        rejections_window: Span::from_secs(300),
        rejections_interval: Span::from_secs(1),
        budget_interval: Span::from_secs(6),
        budget_window: Span::from_secs(2),
        refresh_deadline: Span::from_secs(30),
        reuse: Reuse::Strict,
    };
    let policy = Policy::from(raw);
    let mut machine = Lifecycle::new(1);
    let _ = machine.handle_installed(&policy, Some(hour(sec(0))), None, sec(0));
    let generation = machine.generation().expect("a token is held");
    let _ = machine.handle_rejected(&policy, generation, sec(0));
    let requested = machine.handle_requested(&policy, sec(0));
    assert!(matches!(requested, Requested::StartRefresh(_)), "{requested:?}");
}
