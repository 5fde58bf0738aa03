//! Results: late, twice, from elsewhere, from nowhere, after a logout, after a login.

use perennial::lifecycle::{
    Cause, Delay, Effect, Ending, Event, Failure, FlightId, Lifecycle, Meanwhile, Novelty, Policy,
    Rejected, Remedy, Reuse, State, TimeoutReason,
};
use perennial::time::{Draw, Span, Timestamp};

use crate::lifecycle::support::{
    HALF, MOST, Rig, UNAVAILABLE, at, built, hour, lives, sec, secs, started, unavailable_for,
};

/// A login without a token, whose first refresh has met its deadline and whose second is out.
fn overtaken() -> (Rig, [FlightId; 2]) {
    let policy = Policy::builder().reuse(Reuse::Unrotated).build();
    let mut rig = Rig::without_token(policy.expect("it can be kept"), sec(0));
    let first = rig.start(sec(0)).flight;
    assert_eq!(rig.time_passes(Draw::NONE, sec(30)), Effect::EndAttempt);
    let second = rig.start(sec(30)).flight;
    (rig, [first, second])
}

// Rule B3.
#[test]
fn only_one_refresh_is_out_however_many_ask() {
    let mut rig = Rig::with_hour(Policy::default(), sec(0));
    assert!(matches!(rig.request(sec(3300)), Effect::UseAndStartRefresh(_)));
    for _ in 0..3 {
        assert_eq!(rig.request(sec(3301)), Effect::Use);
        let until = sec(3330);
        assert_eq!(rig.request_for(u64::MAX, sec(3301)), Effect::Wait { until });
    }
    assert_eq!(rig.state(sec(3301)), State::Refreshing(Meanwhile::UseOld));
}

// Rules B3, B4, B14.
#[test]
fn a_result_for_a_flight_that_was_never_started_changes_nothing() {
    let mut elsewhere = Rig::without_token(Policy::default(), sec(0));
    let _ = elsewhere.start(sec(0));
    let _ = elsewhere.time_passes(Draw::NONE, sec(30));
    let foreign = elsewhere.start(sec(60)).flight;

    let mut rig = Rig::with_hour(Policy::default(), sec(0));
    let before = rig.machine;
    assert_eq!(rig.land(foreign, hour(sec(0)), sec(1)), Effect::Discard);
    let failure = Failure::Declined;
    assert_eq!(rig.fail(foreign, failure, MOST, sec(1)), Effect::Nothing);
    assert_eq!(rig.machine, before);
}

// Rule B4.
#[test]
fn a_result_that_comes_twice_counts_once() {
    let mut rig = Rig::without_token(Policy::default(), sec(0));
    let flight = rig.start(sec(0)).flight;
    let effect = rig.land(flight, hour(sec(0)), sec(1));
    let generation = rig.held();
    assert_eq!(effect, Effect::Publish { generation });
    let once = rig.machine;
    assert_eq!(rig.land(flight, hour(sec(5)), sec(6)), Effect::Discard);
    for failure in [Failure::Declined, Failure::Unknown, UNAVAILABLE] {
        assert_eq!(rig.fail(flight, failure, MOST, sec(6)), Effect::Nothing);
    }
    assert_eq!(rig.machine, once);
    assert_eq!(generation.number(), 1);
}

// Rules B3, B6.
#[test]
fn a_failure_that_comes_twice_counts_once() {
    let mut rig = Rig::without_token(Policy::default(), sec(0));
    let flight = rig.start(sec(0)).flight;
    let effect = rig.fail(flight, UNAVAILABLE, MOST, sec(1));
    assert_eq!(effect, Effect::EndAttempt);
    let once = rig.machine;
    for failure in [Failure::Declined, Failure::Unknown, UNAVAILABLE] {
        assert_eq!(rig.fail(flight, failure, MOST, sec(1)), Effect::Nothing);
    }
    assert_eq!(rig.machine, once);
    assert_eq!(rig.machine.failures(), 1);
}

// Rules B3, B14.
#[test]
fn an_answer_after_the_deadline_is_still_taken() {
    let mut rig = Rig::without_token(Policy::default(), sec(0));
    let flight = rig.start(sec(0)).flight;
    assert_eq!(rig.time_passes(MOST, at(29_999)), Effect::Nothing);
    assert_eq!(rig.time_passes(MOST, sec(30)), Effect::EndAttempt);
    assert_eq!(rig.time_passes(MOST, sec(30)), Effect::Nothing);
    assert_eq!(rig.state(sec(30)), State::Expired(Remedy::Refresh));
    let effect = rig.land(flight, hour(sec(0)), sec(40));
    let generation = rig.held();
    assert_eq!(effect, Effect::Publish { generation });
    assert_eq!(rig.machine.failures(), 0);
    assert_eq!(rig.request(sec(40)), Effect::Use);
}

// Rules B3, B4, B14.
#[test]
fn a_late_answer_is_kept_while_the_newer_refresh_is_still_out() {
    let (mut rig, [first, second]) = overtaken();
    let effect = rig.land(first, hour(sec(0)), sec(31));
    let generation = rig.held();
    assert_eq!(effect, Effect::Publish { generation });
    // The newer one is out all the same, and nobody starts a third.
    assert_eq!(rig.state(sec(31)), State::Refreshing(Meanwhile::UseOld));
    let until = sec(60);
    assert_eq!(rig.request_for(u64::MAX, sec(31)), Effect::Wait { until });
    let effect = rig.land(second, hour(sec(30)), sec(32));
    let generation = rig.held();
    assert_eq!(effect, Effect::Publish { generation });
    assert_eq!(generation.number(), 2);
}

// Rules B4, B14.
#[test]
fn a_late_answer_is_dropped_after_a_newer_one_has_landed() {
    let (mut rig, [first, second]) = overtaken();
    let _ = rig.land(second, hour(sec(30)), sec(31));
    let newest = rig.machine;
    assert_eq!(rig.land(first, hour(sec(0)), sec(32)), Effect::Discard);
    assert_eq!(rig.machine, newest);
}

// Rules B4, B14.
#[test]
fn a_late_answer_is_dropped_after_a_newer_one_has_landed_dead() {
    let (mut rig, [first, second]) = overtaken();
    let effect = rig.land(second, lives(sec(30), 0), sec(31));
    assert_eq!(effect, Effect::KeepRefreshToken);
    assert_eq!(rig.land(first, hour(sec(0)), sec(32)), Effect::Discard);
    assert_eq!(rig.machine.generation(), None);
}

// Rules B3, B6.
#[test]
fn a_superseded_failure_changes_nothing() {
    let (mut rig, [first, _]) = overtaken();
    let before = rig.machine;
    for failure in [Failure::Declined, Failure::Unknown, UNAVAILABLE] {
        assert_eq!(rig.fail(first, failure, MOST, sec(31)), Effect::Nothing);
        assert_eq!(rig.machine, before);
    }
}

// Rules B6, B14.
#[test]
fn the_refusal_of_a_grant_that_was_already_replaced_is_no_refusal_of_the_new_one() {
    let (mut rig, [first, second]) = overtaken();
    let _ = rig.land(first, lives(sec(0), 40_000), sec(31));
    let effect = rig.fail(second, Failure::Declined, MOST, sec(32));
    assert_eq!(effect, Effect::EndAttempt);
    assert_eq!(rig.machine.ending(), None);
    assert_eq!(rig.start(sec(36)).cause, Cause::Lapsed);

    // Nor when it is told after the deadline.
    let (mut rig, [first, second]) = overtaken();
    let _ = rig.land(first, lives(sec(0), 40_000), sec(31));
    assert_eq!(rig.time_passes(Draw::NONE, sec(60)), Effect::EndAttempt);
    let effect = rig.fail(second, Failure::Declined, MOST, sec(61));
    assert_eq!(effect, Effect::EndAttempt);
    assert_eq!(rig.machine.ending(), None);
}

// Rules B5, B6.
#[test]
fn a_refresh_that_an_older_answer_overtook_backs_off_when_it_fails() {
    let asked = unavailable_for(Span::from_secs(600));
    for (failure, until) in [(asked, sec(632)), (Failure::Unknown, at(32_999))] {
        let (mut rig, [first, second]) = overtaken();
        let _ = rig.land(first, hour(sec(0)), sec(31));
        let effect = rig.fail(second, failure, MOST, sec(32));
        assert_eq!(effect, Effect::EndAttempt);
        let _ = rig.reject(sec(32));
        let reason = Delay::Failure;
        assert_eq!(rig.request(sec(32)), Effect::BackOff { until, reason });
    }
    // So it does when it meets its deadline.
    let (mut rig, [first, _]) = overtaken();
    let _ = rig.land(first, hour(sec(0)), sec(31));
    let _ = rig.time_passes(MOST, sec(60));
    assert_eq!(rig.machine.failures(), 1);
}

// Rules B3, B6.
#[test]
fn a_late_dead_answer_does_not_shorten_what_the_server_asked_for() {
    let (mut rig, [first, second]) = overtaken();
    let _ = rig.fail(second, unavailable_for(Span::from_secs(600)), MOST, sec(31));
    let effect = rig.land(first, lives(sec(0), 0), sec(32));
    assert_eq!(effect, Effect::KeepRefreshToken);
    let until = sec(631);
    let reason = Delay::Failure;
    assert_eq!(rig.request(sec(33)), Effect::BackOff { until, reason });
}

// Rules B11, B14.
#[test]
fn nothing_comes_back_after_a_logout() {
    let mut rig = Rig::with_hour(Policy::default(), sec(0));
    let old = rig.held();
    let flight = rig.start(sec(3300)).flight;
    assert_eq!(rig.clear(sec(3301)), Effect::Withdraw);
    assert_eq!(rig.state(sec(3301)), State::Expired(Remedy::LogIn));
    let nothing = Effect::LogIn(Ending::NoGrant);
    assert_eq!(rig.request(sec(3301)), nothing);
    let after = rig.machine;
    let effect = rig.land(flight, hour(sec(3300)), sec(3302));
    assert_eq!(effect, Effect::ReleaseOrphan);
    for failure in [Failure::Declined, Failure::Unknown, UNAVAILABLE] {
        assert_eq!(rig.fail(flight, failure, MOST, sec(3302)), Effect::Nothing);
    }
    let rejected = rig.machine.handle_rejected(&rig.policy, old, sec(3302));
    assert_eq!(rejected, Rejected::Nothing);
    assert_eq!(rig.time_passes(MOST, sec(9999)), Effect::Nothing);
    assert_eq!(rig.machine, after);
    assert_eq!(rig.request(sec(9999)), nothing);
    assert_eq!(rig.next(sec(0)), None);
}

// Rules B4, B11, B14.
#[test]
fn a_result_from_before_a_login_is_offered_as_an_orphan() {
    let mut rig = Rig::with_hour(Policy::default(), sec(0));
    let flight = rig.start(sec(3300)).flight;
    let _ = rig.install(Some(hour(sec(3300))), None, sec(3301));
    assert_eq!(rig.held().number(), 2);
    let after = rig.machine;
    let effect = rig.land(flight, hour(sec(3300)), sec(3302));
    assert_eq!(effect, Effect::ReleaseOrphan);
    assert_eq!(rig.fail(flight, Failure::Declined, MOST, sec(3302)), Effect::Nothing);
    assert_eq!(rig.machine, after);
    // Its identity is not given to another.
    assert!(rig.start_early(sec(3303)).flight > flight);
}

// Rules B4, B8.
#[test]
fn a_rejection_of_another_token_changes_nothing() {
    let mut rig = Rig::with_hour(Policy::default(), sec(0));
    let stale = rig.held();
    let flight = rig.start(sec(3300)).flight;
    let _ = rig.land(flight, hour(sec(3300)), sec(3301));
    let mut elsewhere: Lifecycle<Timestamp> = Lifecycle::new(2);
    for _ in 0..2 {
        let _ = elsewhere.handle_installed(&rig.policy, Some(hour(sec(0))), None, sec(0));
    }
    let foreign = elsewhere.generation().expect("a token is held");
    assert_eq!(foreign.number(), rig.held().number());
    assert_eq!((foreign.session(), rig.held().session()), (2, 1));
    let before = rig.machine;
    for generation in [stale, foreign] {
        let rejected = rig.machine.handle_rejected(&rig.policy, generation, sec(3302));
        assert_eq!(rejected, Rejected::Nothing);
        rig.machine.handle_accepted(&rig.policy, generation, sec(3302));
        assert_eq!(rig.machine, before);
    }
}

// Rule B8.
#[test]
fn a_rejection_while_a_refresh_is_out_joins_it() {
    let mut rig = Rig::with_hour(Policy::default(), sec(0));
    let flight = rig.start(sec(3300)).flight;
    assert_eq!(rig.reject(sec(3301)), Effect::Withdraw);
    assert_eq!(rig.state(sec(3301)), State::Refreshing(Meanwhile::Wait));
    assert_eq!(rig.request(sec(3301)), Effect::Wait { until: sec(3330) });
    let _ = rig.land(flight, hour(sec(3300)), sec(3302));
    assert_eq!(rig.request(sec(3302)), Effect::Use);
}

// Rules B5, B7.
#[test]
fn a_failed_refresh_takes_nothing_from_a_token_that_still_works() {
    for failure in [Failure::Declined, Failure::Unknown, UNAVAILABLE] {
        let mut rig = Rig::with_hour(Policy::default(), sec(0));
        let flight = rig.start(sec(3300)).flight;
        let _ = rig.fail(flight, failure, HALF, sec(3301));
        assert_eq!(rig.request(sec(3301)), Effect::Use, "{failure:?}");
        assert_eq!(rig.request(at(3_301_499)), Effect::Use, "{failure:?}");
        assert_eq!(rig.state(at(3_589_999)), State::Expiring, "{failure:?}");
    }
}

// Rule B7.
#[test]
fn the_millionth_failure_backs_off_like_the_seventh() {
    let mut rig = Rig::without_token(Policy::default(), sec(0));
    let waits = [499, 999, 1_999, 3_999, 7_999, 15_999, 29_999, 29_999];
    let half = Draw::new((1 << 31) - 1);
    for failures in 1..=1_000_000_u32 {
        let flight = rig.start(sec(0)).flight;
        let draw = if failures < 9 || failures == 1_000_000 { half } else { Draw::NONE };
        let _ = rig.fail(flight, UNAVAILABLE, draw, sec(0));
        assert_eq!(rig.machine.failures(), failures);
        if draw == half {
            let wait = waits[usize::try_from(failures - 1).unwrap_or(7).min(7)];
            assert_eq!(rig.next(sec(0)), Some(at(wait)), "{failures}");
            // A clock that goes to and fro shows the backoff over, and costs nothing else.
            let _ = rig.time_passes(Draw::NONE, at(wait));
        }
    }
}

// Rules B6, B7.
#[test]
fn a_retry_after_is_honoured_up_to_its_cap() {
    let hour_from_now = sec(3600);
    for (asked, drawn, until) in [
        (Span::MAX, Draw::NONE, hour_from_now),
        (Span::from_secs(3601), MOST, hour_from_now),
        (Span::from_millis(3_599_999), MOST, at(3_599_999)),
        // What is drawn still counts where it is more.
        (Span::from_millis(10), MOST, at(999)),
        (Span::ZERO, HALF, at(500)),
    ] {
        let mut rig = Rig::without_token(Policy::default(), sec(0));
        let flight = rig.start(sec(0)).flight;
        let _ = rig.fail(flight, unavailable_for(asked), drawn, sec(0));
        let reason = Delay::Failure;
        assert_eq!(rig.request(sec(0)), Effect::BackOff { until, reason });
        assert_eq!(rig.next(sec(0)), Some(until));
        assert_eq!(rig.start(until).cause, Cause::NoToken);
    }
}

// Rules B12, B13.
#[test]
fn the_deadline_of_a_refresh_is_announced_as_such_also_where_the_token_is_due_just_then() {
    let mut rig = Rig::with_hour(Policy::default(), sec(0));
    let start = started(rig.request_for(u64::MAX, sec(3270)));
    assert_eq!(start.deadline, sec(3300));
    let next = rig.machine.poll_timeout(&rig.policy, sec(3270));
    let next = next.expect("something will happen");
    assert_eq!((next.at, next.reason), (sec(3300), TimeoutReason::RefreshDeadline));
}

// Rules A5, B7, B10.
#[test]
fn of_two_delays_that_end_together_the_later_one_is_what_a_clock_that_goes_back_is_held_to() {
    let policy = Policy::builder().reuse(Reuse::Unrotated).backoff(secs(8), secs(60));
    let mut rig = Rig::without_token(built(policy), sec(0));
    let flight = rig.start(sec(0)).flight;
    // Half of eight seconds, from 31 s on.
    assert_eq!(rig.time_passes(HALF, sec(31)), Effect::EndAttempt);
    assert_eq!(rig.next(sec(31)), Some(sec(35)));
    // It lands after all, and is dead: an eighth of sixteen seconds, from 33 s on.
    let (token, novelty, draw) = (lives(sec(0), 0), Novelty::New, Draw::new(1 << 29));
    let effect = rig.tell(Event::Refreshed { flight, token, novelty, draw }, sec(33));
    assert_eq!(effect, Effect::KeepRefreshToken);
    assert_eq!(rig.next(sec(33)), Some(sec(35)));
    assert_eq!(rig.next(sec(20)), Some(sec(22)));
}
