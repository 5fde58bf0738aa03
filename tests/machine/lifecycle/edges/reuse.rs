//! What may follow a refresh whose outcome is unknown, for each declared behaviour of the server.

use perennial::lifecycle::{
    Cause, Delay, Effect, Ending, Failure, Policy, Remedy, Reuse, State, TimeoutReason,
};
use perennial::time::Draw;

use crate::lifecycle::support::{MOST, Rig, UNAVAILABLE, at, built, doubt, hour, lives, sec, secs};

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

/// The refresh that is out meets its deadline at `now`.
#[track_caller]
fn overdue(rig: &mut Rig, now: i64) {
    assert_eq!(rig.time_passes(Draw::NONE, sec(now)), Effect::EndAttempt);
}

// Rule B6. Case X51: two lost requests are no logout, nor are three, nor a hundred.
#[test]
fn a_server_that_refuses_reuse_is_asked_until_it_declines_by_itself() {
    let mut rig = unknown_once(Reuse::Strict);
    for now in 2..100 {
        unknown(&mut rig, now);
        assert_eq!(rig.machine.ending(), None);
        assert_eq!(rig.state(sec(now)), State::Expired(Remedy::Refresh));
    }
    let flight = rig.start(sec(100)).flight;
    let _ = rig.land(flight, hour(sec(100)), sec(101));
    assert_eq!(rig.request(sec(101)), Effect::Use);

    let mut rig = unknown_once(Reuse::Strict);
    unknown(&mut rig, 2);
    let flight = rig.start(sec(3)).flight;
    let _ = rig.fail(flight, Failure::Declined, Draw::NONE, sec(3));
    assert_eq!(rig.request(sec(3)), Effect::LogIn(Ending::Declined));
}

// Rule B6.
#[test]
fn a_refresh_token_in_doubt_is_not_presented_before_the_last_chance_of_the_old_token() {
    let mut rig = Rig::with_hour(declared(Reuse::Strict), sec(0));
    let flight = rig.start(sec(3300)).flight;
    let _ = rig.fail(flight, Failure::Unknown, Draw::NONE, sec(3300));
    // One refresh deadline before it becomes unusable.
    let until = sec(3560);
    assert_eq!(rig.request(at(3_559_999)), Effect::Use);
    assert_eq!(rig.request_for(40_000, at(3_559_999)), doubt(until));
    let next = rig.machine.poll_timeout(&rig.policy, sec(3400)).expect("the last chance");
    assert_eq!((next.at, next.reason), (until, TimeoutReason::DoubtOver));
    // The old token is handed out meanwhile.
    assert!(matches!(rig.request(until), Effect::UseAndStartRefresh(_)));
}

// Rule B6.
#[test]
fn the_last_chance_is_an_eighth_of_the_lifetime_before_the_end_where_that_is_less_than_a_deadline()
{
    // It is due at 20 s, and lapses at 35 s.
    let mut rig = Rig::empty(declared(Reuse::Strict));
    let _ = rig.install(Some(lives(sec(0), 40_000)), None, sec(0));
    let flight = rig.start(sec(20)).flight;
    let _ = rig.fail(flight, Failure::Unknown, Draw::NONE, sec(20));
    assert_eq!(rig.request(at(29_999)), Effect::Use);
    assert!(matches!(rig.request(sec(30)), Effect::UseAndStartRefresh(_)));
}

// Rule B6. Case X52.
#[test]
fn a_request_that_is_still_open_is_waited_for_one_more_deadline_before_it_is_repeated() {
    let mut rig = Rig::without_token(declared(Reuse::Strict), sec(0));
    let flight = rig.start(sec(0)).flight;
    overdue(&mut rig, 30);
    assert_eq!(rig.request(sec(30)), doubt(sec(60)));
    let next = rig.machine.poll_timeout(&rig.policy, sec(40)).expect("the wait ends");
    assert_eq!((next.at, next.reason), (sec(60), TimeoutReason::DoubtOver));
    let mut late = Rig { policy: rig.policy, machine: rig.machine };
    let _ = late.land(flight, hour(sec(0)), sec(59));
    assert_eq!(late.request(sec(59)), Effect::Use);
    assert_eq!(rig.start(sec(60)).cause, Cause::NoToken);
}

// Rule B6.
#[test]
fn a_request_that_has_failed_is_not_waited_for() {
    for failure in [Failure::Unknown, UNAVAILABLE] {
        let mut rig = Rig::without_token(declared(Reuse::Strict), sec(0));
        let flight = rig.start(sec(0)).flight;
        overdue(&mut rig, 30);
        assert_eq!(rig.fail(flight, failure, MOST, sec(31)), Effect::EndAttempt);
        assert_eq!(rig.start(sec(31)).cause, Cause::NoToken);
    }
}

// Rules A5, B6.
#[test]
fn a_clock_that_goes_back_prolongs_no_wait_for_a_late_answer() {
    let mut rig = Rig::without_token(declared(Reuse::Strict), sec(1000));
    let _ = rig.start(sec(1000));
    overdue(&mut rig, 1030);
    assert_eq!(rig.request(sec(0)), doubt(sec(30)));
    assert_eq!(rig.start(sec(30)).cause, Cause::NoToken);
}

// Rule B6.
#[test]
fn each_repetition_that_stays_open_is_waited_for_as_well() {
    let mut rig = unknown_once(Reuse::Strict);
    for now in [2, 62, 122] {
        let _ = rig.start(sec(now));
        overdue(&mut rig, now + 30);
        assert_eq!(rig.request(sec(now + 30)), doubt(sec(now + 60)));
    }
}

// Rules B6, B8.
#[test]
fn a_rejection_in_doubt_permits_a_try_at_once() {
    let mut rig = Rig::with_hour(declared(Reuse::Strict), sec(0));
    let flight = rig.start(sec(3300)).flight;
    let _ = rig.fail(flight, Failure::Unknown, Draw::NONE, sec(3300));
    assert_eq!(rig.reject(sec(3301)), Effect::Withdraw);
    unknown(&mut rig, 3301);
    assert_eq!(rig.start(sec(3302)).cause, Cause::Rejected);
}

// Rules B6, B14.
#[test]
fn the_late_answer_to_a_repetition_settles_the_doubt() {
    let mut rig = unknown_once(Reuse::Strict);
    let flight = rig.start(sec(2)).flight;
    overdue(&mut rig, 32);
    let _ = rig.land(flight, hour(sec(2)), sec(50));
    assert_eq!(rig.request(sec(50)), Effect::Use);
    // The next unknown outcome is a doubt of its own.
    unknown(&mut rig, 3302);
    assert_eq!(rig.request_for(600_000, sec(3303)), doubt(sec(3562)));
}

// Rule B6.
#[test]
fn a_repetition_that_was_definitely_not_honoured_leaves_the_doubt() {
    let mut rig = Rig::with_hour(declared(Reuse::Strict), sec(0));
    unknown(&mut rig, 3300);
    let flight = rig.start(sec(3560)).flight;
    let _ = rig.fail(flight, UNAVAILABLE, Draw::NONE, sec(3560));
    assert_eq!(rig.machine.ending(), None);
    assert!(matches!(rig.request(sec(3561)), Effect::UseAndStartRefresh(_)));
}

// Rule B6. Case X53.
#[test]
fn within_its_window_a_server_is_asked_again_and_each_try_ends_inside() {
    for reuse in windows(60) {
        let mut rig = unknown_once(reuse);
        // A third of the window is the deadline.
        for now in [1, 20, 40, 59] {
            let start = rig.start(sec(now));
            assert_eq!(start.deadline, sec((now + 20).min(60)), "{reuse:?}");
            let _ = rig.fail(start.flight, Failure::Unknown, Draw::NONE, sec(now));
        }
        // The window has closed: as for a strict server, with all the time that a try has.
        assert_eq!(rig.start(sec(60)).deadline, sec(80));
        overdue(&mut rig, 80);
        assert_eq!(rig.request(sec(80)), doubt(sec(100)), "{reuse:?}");
    }
}

// Rule B6. Cases X8, X53.
#[test]
fn with_the_default_deadline_a_second_sending_fits_into_every_window_with_and_without_a_token() {
    for window in [2, 5, 10, 30, 60, 120] {
        for reuse in windows(window) {
            for token in [true, false] {
                let mut rig = Rig::empty(declared(reuse));
                let _ = rig.install(token.then_some(hour(sec(-3300))), None, sec(0));
                let first = rig.start(sec(0));
                let _ = rig.time_passes(MOST, first.deadline);
                // The longest backoff that can be drawn.
                let again = rig.next(first.deadline).expect("the backoff ends");
                let second = rig.start(again);
                let window = i64::try_from(window).expect("it is small");
                assert!(second.deadline <= sec(window), "{reuse:?}, token: {token}");
                assert!(again < sec(window) && second.deadline > again);
            }
        }
    }
}

/// Each kind of window of so many seconds.
fn windows(seconds: u64) -> [Reuse; 3] {
    [Reuse::overlap_access_only, Reuse::overlap_successors, Reuse::idempotent]
        .map(|of| of(secs(seconds)))
}

// Rule B6.
#[test]
fn a_retry_that_is_out_when_the_window_closes_does_not_open_it_anew() {
    for reuse in windows(60) {
        for told in [true, false] {
            let mut rig = unknown_once(reuse);
            let start = rig.start(sec(45));
            assert_eq!(start.deadline, sec(60));
            let effect = if told {
                rig.fail(start.flight, Failure::Unknown, Draw::NONE, sec(60))
            } else {
                rig.time_passes(Draw::NONE, sec(60))
            };
            assert_eq!(effect, Effect::EndAttempt);
            // The first sending was 61 s ago. The late answer of one that is open is waited for.
            let answer = rig.request(sec(61));
            if told {
                assert!(answer.start().is_some(), "{reuse:?}");
            } else {
                assert_eq!(answer, doubt(sec(80)), "{reuse:?}");
            }
        }
    }
}

// Rule B6.
#[test]
fn within_its_window_a_due_token_is_retried_and_after_it_left_alone_until_its_last_chance() {
    let mut rig = Rig::with_hour(declared(Reuse::overlap_successors(secs(60))), sec(0));
    unknown(&mut rig, 3300);
    unknown(&mut rig, 3330);
    let next = rig.machine.poll_timeout(&rig.policy, sec(3330));
    let next = next.expect("the window closes");
    assert_eq!((next.at, next.reason), (sec(3360), TimeoutReason::WindowClosed));
    assert!(matches!(rig.request(at(3_359_999)), Effect::UseAndStartRefresh(_)));
    let _ = rig.time_passes(Draw::NONE, sec(3360));
    assert_eq!(rig.request(sec(3361)), Effect::Use);
    assert_eq!(rig.state(sec(3361)), State::Expiring);
    assert!(rig.request(sec(3570)).start().is_some());
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

// Rules B6, B11.
#[test]
fn a_grant_stored_in_mid_flight_is_in_doubt_from_the_first() {
    let asked = Some(sec(-10));
    // Whoever sent it is gone, and so is its answer.
    let mut rig = Rig::empty(declared(Reuse::Strict));
    let _ = rig.install(None, asked, sec(0));
    unknown(&mut rig, 0);

    let mut rig = Rig::empty(declared(Reuse::overlap_successors(secs(15))));
    let _ = rig.install(None, asked, sec(0));
    assert_eq!(rig.start(sec(0)).deadline, sec(5));

    let mut rig = Rig::empty(declared(Reuse::Strict));
    let _ = rig.install(Some(hour(sec(0))), asked, sec(0));
    assert_eq!(rig.request(sec(3300)), Effect::Use);
    assert_eq!(rig.next(sec(3300)), Some(sec(3560)));
}

// Rules A5, B6.
#[test]
fn an_intent_from_the_future_is_taken_to_be_of_now() {
    let mut rig = Rig::empty(declared(Reuse::overlap_successors(secs(15))));
    let _ = rig.install(None, Some(sec(1_000_000)), sec(0));
    assert_eq!(rig.start(sec(0)).deadline, sec(5));
    let _ = rig.time_passes(Draw::NONE, sec(5));
    assert_eq!(rig.start(sec(12)).deadline, sec(15));
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

// Rule B14, row 7 of the page of faults.
#[test]
fn under_confirm_by_use_a_late_answer_waits_for_its_repetition_and_then_counts() {
    let mut rig = Rig::without_token(declared(Reuse::ConfirmByUse), sec(0));
    let first = rig.start(sec(0)).flight;
    overdue(&mut rig, 30);
    let second = rig.start(sec(31)).flight;
    let before = rig.machine;
    assert_eq!(rig.land(first, hour(sec(0)), sec(32)), Effect::HoldBack);
    assert_eq!(rig.machine, before);
    // The repetition lands: what was held back is old.
    let mut landed = Rig { policy: rig.policy, machine: rig.machine };
    assert!(matches!(landed.land(second, hour(sec(31)), sec(33)), Effect::Publish { .. }));
    assert_eq!(landed.land(first, hour(sec(0)), sec(33)), Effect::Discard);
    // It meets its deadline, fails, or the server declines it: what was held back counts.
    overdue(&mut rig, 61);
    assert!(matches!(rig.land(first, hour(sec(0)), sec(61)), Effect::Publish { .. }));
    assert_eq!(rig.request(sec(61)), Effect::Use);
}
