//! Retries within a window: what they supersede may still be answered.

use perennial::lifecycle::{Cause, Effect, Failure, FlightId, Policy, Reuse, State, TimeoutReason};
use perennial::time::Draw;

use crate::lifecycle::support::{Rig, UNAVAILABLE, built, doubt, hour, sec, secs};

/// The server's window closes at 60 s, and a refresh has a deadline of 20 s. One was sent at 25 s and met
/// its deadline at 45 s, so that its answer is waited for until 65 s; its retry was sent at 46 s.
/// With the identities of these two.
fn superseded() -> (Rig, [FlightId; 2]) {
    let policy = built(Policy::builder().reuse(Reuse::overlap_successors(secs(60))));
    let mut rig = Rig::without_token(policy, sec(0));
    let [_, older] = [0, 25].map(|now| {
        let flight = rig.start(sec(now)).flight;
        assert_eq!(rig.time_passes(Draw::NONE, sec(now + 20)), Effect::EndAttempt);
        flight
    });
    let retry = rig.start(sec(46)).flight;
    (rig, [older, retry])
}

// Rule B6. Case X52.
#[test]
fn the_late_answer_to_a_superseded_request_is_waited_for_though_its_retry_has_failed() {
    for failure in [UNAVAILABLE, Failure::Unknown, Failure::Unexplained { retry_after: None }] {
        let (mut rig, [_, retry]) = superseded();
        assert_eq!(rig.fail(retry, failure, Draw::NONE, sec(47)), Effect::EndAttempt);
        assert_eq!(rig.request(sec(60)), doubt(sec(65)), "{failure:?}");
        let next = rig.machine.poll_timeout(&rig.policy, sec(60)).expect("it waits");
        assert_eq!((next.at, next.reason), (sec(65), TimeoutReason::DoubtOver));
        assert_eq!(rig.start(sec(65)).cause, Cause::NoToken);
    }
}

// Rule B6.
#[test]
fn within_the_window_no_late_answer_keeps_a_retry_from_being_sent() {
    let (mut rig, [_, retry]) = superseded();
    assert_eq!(rig.fail(retry, UNAVAILABLE, Draw::NONE, sec(47)), Effect::EndAttempt);
    assert_eq!(rig.start(sec(47)).deadline, sec(60));
}

// Rule B6.
#[test]
fn of_a_retry_and_what_it_superseded_the_later_answer_is_waited_for() {
    let (mut rig, [_, retry]) = superseded();
    assert_eq!(rig.time_passes(Draw::NONE, sec(60)), Effect::EndAttempt);
    assert_eq!(rig.request(sec(60)), doubt(sec(80)));
    assert_eq!(rig.fail(retry, Failure::Unknown, Draw::NONE, sec(61)), Effect::EndAttempt);
    assert_eq!(rig.request(sec(61)), doubt(sec(65)));
}

// Rules A5, B6.
#[test]
fn a_clock_that_goes_back_prolongs_no_wait_for_what_was_superseded() {
    let (mut rig, [_, retry]) = superseded();
    assert_eq!(rig.fail(retry, UNAVAILABLE, Draw::NONE, sec(60)), Effect::EndAttempt);
    assert_eq!(rig.request(sec(10)), doubt(sec(30)));
    assert_eq!(rig.start(sec(30)).cause, Cause::NoToken);
}

// Rules B4, B6.
#[test]
fn the_late_answer_to_a_superseded_request_settles_the_doubt() {
    let (mut rig, [older, retry]) = superseded();
    assert_eq!(rig.fail(retry, UNAVAILABLE, Draw::NONE, sec(47)), Effect::EndAttempt);
    let effect = rig.land(older, hour(sec(62)), sec(62));
    assert!(matches!(effect, Effect::Publish { .. }), "{effect:?}");
    assert_eq!(rig.state(sec(62)), State::Valid);
}

// Rule B6.
#[test]
fn what_presented_an_older_refresh_token_is_not_waited_for() {
    let (mut rig, [_, retry]) = superseded();
    let _ = rig.land(retry, hour(sec(47)), sec(47));
    let newest = rig.start(sec(3400)).flight;
    let effect = rig.fail(newest, UNAVAILABLE, Draw::NONE, sec(3401));
    assert_eq!(effect, Effect::EndAttempt);
    assert!(matches!(rig.request(sec(3401)), Effect::UseAndStartRefresh(_)));
}
