//! Failures that are not for good: the client is misconfigured, the server refuses without a reason.

use perennial::lifecycle::{Delay, Effect, Failure, Policy, Remedy, Reuse, State, TimeoutReason};
use perennial::time::{Draw, Span, Timestamp};

use crate::lifecycle::support::{HALF, MOST, Rig, UNAVAILABLE, at, built, hour, sec, secs};

const MISCONFIGURED: Failure<Timestamp> = Failure::Misconfigured { retry_after: None };
const UNEXPLAINED: Failure<Timestamp> = Failure::Unexplained { retry_after: None };

#[track_caller]
fn fails(rig: &mut Rig, failure: Failure<Timestamp>, draw: Draw, now: Timestamp) {
    let flight = rig.start(now).flight;
    assert_eq!(rig.fail(flight, failure, draw, now), Effect::EndAttempt);
}

// Rule B6. Cases X2, X3.
#[test]
fn a_misconfigured_client_is_tried_again_between_thirty_seconds_and_ten_minutes_and_recovers() {
    for (draw, delays) in
        [(Draw::NONE, [30, 30, 30, 30, 30, 30]), (HALF, [30, 30, 60, 120, 240, 300])]
    {
        let mut rig = Rig::without_token(Policy::default(), sec(0));
        let mut now = 0;
        for delay in delays {
            fails(&mut rig, MISCONFIGURED, draw, sec(now));
            assert_eq!(rig.state(sec(now)), State::Expired(Remedy::Reconfigure));
            assert_eq!(rig.machine.ending(), None);
            let until = sec(now + delay);
            let reason = Delay::Failure;
            assert_eq!(rig.request(sec(now)), Effect::BackOff { until, reason });
            now += delay;
        }
        let flight = rig.start(sec(now)).flight;
        let _ = rig.land(flight, hour(sec(now)), sec(now));
        assert_eq!(rig.state(sec(now)), State::Valid);
    }
    let mut rig = Rig::without_token(Policy::default(), sec(0));
    let mut now = sec(0);
    for _ in 0..1000 {
        fails(&mut rig, MISCONFIGURED, MOST, now);
        let next = rig.next(now).expect("it is tried again");
        assert!(next <= now.saturating_add(Span::from_secs(600)));
        now = next;
    }
}

// Rule B6.
#[test]
fn what_another_session_of_the_client_was_told_is_waited_for() {
    let mut rig = Rig::without_token(Policy::default(), sec(0));
    let retry_after = Some(Span::from_secs(500));
    fails(&mut rig, Failure::Misconfigured { retry_after }, Draw::NONE, sec(0));
    assert_eq!(rig.next(sec(0)), Some(sec(500)));
    let mut rig = Rig::without_token(Policy::default(), sec(0));
    let retry_after = Some(Span::MAX);
    fails(&mut rig, Failure::Misconfigured { retry_after }, Draw::NONE, sec(0));
    assert_eq!(rig.next(sec(0)), Some(sec(600)));
}

// Rule B6.
#[test]
fn a_strict_server_is_not_shown_a_misconfigured_client_while_the_old_token_works() {
    let window = secs(3000);
    for (reuse, again) in [
        (Reuse::Strict, 3590),
        (Reuse::overlap_successors(window), 3330),
        (Reuse::ConfirmByUse, 3330),
        (Reuse::Unrotated, 3330),
    ] {
        let policy = built(Policy::builder().reuse(reuse).refresh_deadline(secs(30)));
        let mut rig = Rig::with_hour(policy, sec(0));
        fails(&mut rig, MISCONFIGURED, Draw::NONE, sec(3300));
        assert_eq!(rig.request(at(again * 1000 - 1)), Effect::Use, "{reuse:?}");
        assert!(rig.request(sec(again)).start().is_some(), "{reuse:?}");
        if reuse == Reuse::Strict {
            let mut rig = Rig::with_hour(policy, sec(0));
            fails(&mut rig, MISCONFIGURED, Draw::NONE, sec(3300));
            let held_off = Effect::BackOff { until: sec(3590), reason: Delay::Misconfigured };
            assert_eq!(rig.request_for(600_000, sec(3340)), held_off);
        }
    }
}

// Rule B6.
#[test]
fn another_outcome_tells_that_the_client_is_configured_by_now() {
    let mut rig = Rig::without_token(Policy::default(), sec(0));
    fails(&mut rig, MISCONFIGURED, Draw::NONE, sec(0));
    fails(&mut rig, UNAVAILABLE, Draw::NONE, sec(30));
    assert_eq!(rig.state(sec(30)), State::Expired(Remedy::Refresh));
    let mut rig = Rig::without_token(Policy::default(), sec(0));
    fails(&mut rig, MISCONFIGURED, Draw::NONE, sec(0));
    let _ = rig.install(None, None, sec(1));
    assert_eq!(rig.state(sec(1)), State::Expired(Remedy::Refresh));
}

// Rule B6. Case X1.
#[test]
fn three_refusals_without_a_reason_over_five_minutes_say_that_a_login_may_help_and_tries_go_on() {
    let mut rig = Rig::without_token(Policy::default(), sec(0));
    for now in [0, 100, 200] {
        fails(&mut rig, UNEXPLAINED, Draw::NONE, sec(now));
        assert_eq!(rig.state(sec(now)), State::Expired(Remedy::Refresh));
    }
    // Time alone makes the difference, and is announced.
    let next = rig.machine.poll_timeout(&rig.policy, sec(200)).expect("it lasts");
    assert_eq!((next.at, next.reason), (sec(300), TimeoutReason::LoginMayHelp));
    assert_eq!(rig.state(sec(300)), State::Expired(Remedy::TryLogIn));
    assert_eq!(rig.machine.ending(), None);
    // At the cap, whatever the number of failures.
    fails(&mut rig, UNEXPLAINED, HALF, sec(300));
    assert_eq!(rig.next(sec(300)), Some(sec(330)));
    assert_eq!(rig.state(sec(320)), State::Expired(Remedy::TryLogIn));
    let flight = rig.start(sec(330)).flight;
    let _ = rig.land(flight, hour(sec(330)), sec(330));
    assert_eq!(rig.state(sec(330)), State::Valid);
}

// Rule B6.
#[test]
fn two_refusals_without_a_reason_are_too_few_and_three_within_a_minute_too_quick() {
    let mut rig = Rig::without_token(Policy::default(), sec(0));
    for now in [0, 1000] {
        fails(&mut rig, UNEXPLAINED, Draw::NONE, sec(now));
    }
    assert_eq!(rig.state(sec(2000)), State::Expired(Remedy::Refresh));
    let mut rig = Rig::without_token(Policy::default(), sec(0));
    for now in [0, 10, 20, 30] {
        fails(&mut rig, UNEXPLAINED, Draw::NONE, sec(now));
    }
    assert_eq!(rig.state(sec(299)), State::Expired(Remedy::Refresh));
}

// Rule B6.
#[test]
fn any_other_outcome_in_between_begins_the_count_anew() {
    for failure in [UNAVAILABLE, MISCONFIGURED, Failure::Unknown] {
        let policy = built(Policy::builder().reuse(Reuse::Unrotated));
        let mut rig = Rig::without_token(policy, sec(0));
        for now in [0, 100] {
            fails(&mut rig, UNEXPLAINED, Draw::NONE, sec(now));
        }
        fails(&mut rig, failure, Draw::NONE, sec(200));
        for now in [300, 400] {
            fails(&mut rig, UNEXPLAINED, Draw::NONE, sec(now));
        }
        assert_eq!(rig.state(sec(1000)), State::Expired(Remedy::Refresh), "{failure:?}");
        fails(&mut rig, UNEXPLAINED, Draw::NONE, sec(1000));
        assert_eq!(rig.state(sec(1000)), State::Expired(Remedy::TryLogIn), "{failure:?}");
    }
}

// Rules B5, B6.
#[test]
fn while_the_old_token_works_nobody_is_told_of_a_login() {
    let mut rig = Rig::with_hour(Policy::default(), sec(0));
    for now in [3300, 3400, 3500] {
        fails(&mut rig, UNEXPLAINED, Draw::NONE, sec(now));
    }
    assert_eq!(rig.state(sec(3589)), State::Expiring);
    assert_eq!(rig.state(sec(3590)), State::Expired(Remedy::Refresh));
    assert_eq!(rig.state(sec(3600)), State::Expired(Remedy::TryLogIn));
}

// Rules A5, B6.
#[test]
fn a_clock_that_goes_back_defers_no_advice_for_longer_than_five_minutes() {
    let mut rig = Rig::without_token(Policy::default(), sec(10_000));
    for now in [10_000, 10_001, 10_002] {
        fails(&mut rig, UNEXPLAINED, Draw::NONE, sec(now));
    }
    let _ = rig.time_passes(Draw::NONE, sec(0));
    assert_eq!(rig.state(sec(299)), State::Expired(Remedy::Refresh));
    assert_eq!(rig.state(sec(300)), State::Expired(Remedy::TryLogIn));
}
