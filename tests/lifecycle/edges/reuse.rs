//! What may follow a refresh whose outcome is unknown, for each declared behaviour of the server.

use perennial::lifecycle::{
    Cause, Delay, Effect, Ending, Failure, Policy, Remedy, Reuse, State, Why,
};
use perennial::time::{Draw, Timestamp};

use crate::support::{MOST, Rig, UNAVAILABLE, at, built, hour, sec, secs};

fn declared(reuse: Reuse) -> Policy {
    built(Policy::builder().reuse(reuse))
}

/// A login without a token, and a refresh of unknown outcome sent at the start, told at 1 s.
fn unknown_once(reuse: Reuse) -> Rig {
    let mut rig = Rig::without_token(declared(reuse), sec(0));
    let flight = rig.start(sec(0)).flight;
    let _ = rig.fail(flight, Failure::Unknown, Draw::NONE, sec(1));
    rig
}

#[track_caller]
fn unknown(rig: &mut Rig, now: i64) {
    let flight = rig.start(sec(now)).flight;
    let effect = rig.fail(flight, Failure::Unknown, Draw::NONE, sec(now));
    assert_eq!(effect, Effect::EndAttempt);
}

const UNSETTLED: Effect<Timestamp> = Effect::LogIn(Ending::Unsettled);

// Rule B6.
#[test]
fn a_server_that_refuses_is_asked_once_more_and_no_more() {
    let mut rig = unknown_once(Reuse::Strict);
    assert_eq!(rig.machine.ending(), None);
    unknown(&mut rig, 2);
    assert_eq!(rig.request(sec(3)), UNSETTLED);
    assert_eq!(rig.state(sec(3)), State::Expired(Remedy::LogIn));
    assert_eq!(rig.machine.ending(), Some(Ending::Unsettled));
}

// Rule B6.
#[test]
fn a_server_that_refuses_is_not_asked_again_while_the_old_token_works() {
    let mut rig = Rig::with_hour(declared(Reuse::Strict), sec(0));
    let flight = rig.start(sec(3300)).flight;
    let _ = rig.fail(flight, Failure::Unknown, Draw::NONE, sec(3300));
    assert_eq!(rig.request(at(3_589_999)), Effect::Use);
    let until = sec(3590);
    let reason = Delay::Doubt;
    assert_eq!(rig.request_for(20_000, sec(3580)), Effect::BackOff { until, reason });
    assert_eq!(rig.next(sec(3400)), Some(until));
    unknown(&mut rig, 3590);
    assert_eq!(rig.request(sec(3590)), UNSETTLED);
}

// Rules B6, B8.
#[test]
fn a_rejection_in_doubt_permits_the_last_try_at_once() {
    let mut rig = Rig::with_hour(declared(Reuse::Strict), sec(0));
    let flight = rig.start(sec(3300)).flight;
    let _ = rig.fail(flight, Failure::Unknown, Draw::NONE, sec(3300));
    let _ = rig.reject(sec(3301));
    unknown(&mut rig, 3301);
    assert_eq!(rig.request(sec(3302)), UNSETTLED);
}

// Rules B6, B13.
#[test]
fn a_last_try_that_meets_its_deadline_is_unknown_too() {
    let mut rig = unknown_once(Reuse::Strict);
    let _ = rig.start(sec(2));
    assert_eq!(rig.time_passes(Draw::NONE, sec(32)), Effect::EndAttempt);
    assert_eq!(rig.request(sec(32)), UNSETTLED);
}

// Rules B6, B14.
#[test]
fn the_late_answer_to_the_last_try_settles_it() {
    let mut rig = unknown_once(Reuse::Strict);
    let flight = rig.start(sec(2)).flight;
    let _ = rig.time_passes(Draw::NONE, sec(32));
    let _ = rig.land(flight, hour(sec(2)), sec(50));
    assert_eq!(rig.request(sec(50)), Effect::Use);
    assert_eq!(rig.machine.ending(), None);
}

// Rule B6.
#[test]
fn a_last_try_that_was_definitely_not_honoured_may_be_made_again() {
    let mut rig = unknown_once(Reuse::Strict);
    for now in 2..5 {
        let flight = rig.start(sec(now)).flight;
        let _ = rig.fail(flight, UNAVAILABLE, Draw::NONE, sec(now));
    }
    unknown(&mut rig, 5);
    assert_eq!(rig.request(sec(5)), UNSETTLED);
}

// Rule B6.
#[test]
fn within_its_window_a_server_is_asked_again_and_each_try_ends_inside() {
    for reuse in [Reuse::overlap_successors(secs(60)), Reuse::idempotent(secs(60))] {
        let mut rig = unknown_once(reuse);
        for now in [1, 20, 40, 59] {
            let start = rig.start(sec(now));
            assert_eq!(start.deadline, sec((now + 30).min(60)), "{reuse:?}");
            let _ = rig.fail(start.flight, Failure::Unknown, Draw::NONE, sec(now));
        }
        // The window has closed: one more try, with all the time that a try has.
        let start = rig.start(sec(60));
        assert_eq!(start.deadline, sec(90));
        let _ = rig.fail(start.flight, Failure::Unknown, Draw::NONE, sec(60));
        assert_eq!(rig.request(sec(60)), UNSETTLED);
    }
}

// Rule B6.
#[test]
fn a_retry_that_is_out_when_the_window_closes_does_not_open_it_anew() {
    for reuse in [Reuse::overlap_successors(secs(60)), Reuse::idempotent(secs(60))] {
        for told in [true, false] {
            let mut rig = unknown_once(reuse);
            let start = rig.start(sec(35));
            assert_eq!(start.deadline, sec(60));
            let effect = if told {
                rig.fail(start.flight, Failure::Unknown, Draw::NONE, sec(60))
            } else {
                rig.time_passes(Draw::NONE, sec(60))
            };
            assert_eq!(effect, Effect::EndAttempt);
            // The first sending was 61 s ago: only the last try is left.
            unknown(&mut rig, 61);
            assert_eq!(rig.request(sec(62)), UNSETTLED, "{reuse:?}, told: {told}");
        }
    }
}

// Rule B6.
#[test]
fn within_its_window_a_due_token_is_retried_and_after_it_left_alone() {
    let mut rig = Rig::with_hour(declared(Reuse::overlap_successors(secs(60))), sec(0));
    unknown(&mut rig, 3300);
    unknown(&mut rig, 3330);
    let next = rig.machine.poll_timeout(&rig.policy, sec(3330));
    let next = next.expect("the window closes");
    assert_eq!((next.at, next.why), (sec(3360), Why::WindowClosed));
    assert!(matches!(rig.request(at(3_359_999)), Effect::UseAndStartRefresh(_)));
    let _ = rig.time_passes(Draw::NONE, sec(3360));
    assert_eq!(rig.request(sec(3361)), Effect::Use);
    assert_eq!(rig.state(sec(3361)), State::Expiring);
}

// Rule B6.
#[test]
fn a_window_longer_than_the_lifetime_permits_retries_until_it_closes() {
    let mut rig = unknown_once(Reuse::overlap_successors(secs(7200)));
    for now in (30..7200).step_by(30) {
        unknown(&mut rig, now);
    }
    assert_eq!(rig.start(at(7_199_999)).deadline, sec(7200));
}

// Rules A1, B6.
#[test]
fn the_longest_window_ends_with_time() {
    let mut rig = unknown_once(Reuse::overlap_successors(std::time::Duration::MAX));
    for now in 1..100 {
        unknown(&mut rig, now * 1_000_000);
    }
}

// Rule B6.
#[test]
fn a_server_that_waits_for_the_successors_use_is_asked_as_often_as_it_takes() {
    for reuse in [Reuse::ConfirmByUse, Reuse::Unrotated] {
        let mut rig = unknown_once(reuse);
        for now in 1..20 {
            unknown(&mut rig, now * 100);
            let _ = rig.start(sec(now * 100));
            let effect = rig.time_passes(Draw::NONE, sec(now * 100 + 30));
            assert_eq!(effect, Effect::EndAttempt);
        }
        assert_eq!(rig.machine.ending(), None);
    }
}

// Rule B6.
#[test]
fn a_declined_grant_is_final_until_another_one_comes() {
    let declined = Effect::LogIn(Ending::Declined);
    for reuse in [
        Reuse::Strict,
        Reuse::overlap_successors(secs(60)),
        Reuse::idempotent(secs(60)),
        Reuse::ConfirmByUse,
        Reuse::Unrotated,
    ] {
        let mut rig = Rig::with_hour(declared(reuse), sec(0));
        let flight = rig.start(sec(3300)).flight;
        let _ = rig.fail(flight, Failure::Declined, MOST, sec(3301));
        assert_eq!(rig.request(sec(3400)), Effect::Use);
        assert_eq!(rig.request_for(600_000, sec(3400)), declined);
        assert_eq!(rig.request(sec(3590)), declined);
        assert_eq!(rig.request(sec(9_000_000)), declined);
        let _ = rig.install(None, None, sec(9_000_000));
        assert_eq!(rig.start(sec(9_000_000)).cause, Cause::NoToken);
    }
}

// Rules B3, B6.
#[test]
fn a_refusal_that_comes_after_the_deadline_is_final_as_well() {
    let mut rig = Rig::without_token(declared(Reuse::Unrotated), sec(0));
    let flight = rig.start(sec(0)).flight;
    let _ = rig.time_passes(Draw::NONE, sec(30));
    let effect = rig.fail(flight, Failure::Declined, MOST, sec(31));
    assert_eq!(effect, Effect::EndAttempt);
    assert_eq!(rig.request(sec(31)), Effect::LogIn(Ending::Declined));
}

// Rules B6, B14.
#[test]
fn an_answer_ends_every_doubt() {
    let mut rig = unknown_once(Reuse::Strict);
    let flight = rig.start(sec(2)).flight;
    let _ = rig.land(flight, hour(sec(2)), sec(3));
    unknown(&mut rig, 3302);
    unknown(&mut rig, 3600);
    assert_eq!(rig.request(sec(3600)), UNSETTLED);
}

// Rules B6, B11.
#[test]
fn a_grant_stored_in_mid_flight_is_in_doubt_from_the_first() {
    let asked = Some(sec(-10));
    let mut rig = Rig::empty(declared(Reuse::Strict));
    let _ = rig.install(None, asked, sec(0));
    unknown(&mut rig, 0);
    assert_eq!(rig.request(sec(0)), UNSETTLED);

    let mut rig = Rig::empty(declared(Reuse::overlap_successors(secs(15))));
    let _ = rig.install(None, asked, sec(0));
    assert_eq!(rig.start(sec(0)).deadline, sec(5));

    let mut rig = Rig::empty(declared(Reuse::Strict));
    let _ = rig.install(Some(hour(sec(0))), asked, sec(0));
    assert_eq!(rig.request(sec(3300)), Effect::Use);
    assert_eq!(rig.next(sec(3300)), Some(sec(3590)));
}

// Rules A5, B6.
#[test]
fn an_intent_from_the_future_is_taken_to_be_of_now() {
    let mut rig = Rig::empty(declared(Reuse::overlap_successors(secs(15))));
    let _ = rig.install(None, Some(sec(1_000_000)), sec(0));
    assert_eq!(rig.start(sec(0)).deadline, sec(15));
}

// Rules B6, B7.
#[test]
fn each_try_after_an_unknown_outcome_waits_for_backoff() {
    let reuses = [Reuse::Strict, Reuse::overlap_successors(secs(60)), Reuse::Unrotated];
    for reuse in reuses {
        let mut rig = Rig::without_token(declared(reuse), sec(0));
        let flight = rig.start(sec(0)).flight;
        let _ = rig.fail(flight, Failure::Unknown, MOST, sec(1));
        let until = at(1_999);
        let reason = Delay::Failure;
        assert_eq!(rig.request(sec(1)), Effect::BackOff { until, reason });
        assert_eq!(rig.start(until).cause, Cause::NoToken);
    }
}
