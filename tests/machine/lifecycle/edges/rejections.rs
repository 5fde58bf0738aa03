//! The allowance for rejections of tokens that had worked: one resource's 401 is not everybody's.

use perennial::lifecycle::{Delay, Effect, MissingLifetime, Policy, Remedy, State};
use perennial::time::{Draw, Span, Timestamp};

use crate::lifecycle::support::{Rig, at, built, hour, lives, sec, secs, unavailable_for};

/// The token works, then it is rejected; where that withdraws it another one comes at once.
#[track_caller]
fn round(rig: &mut Rig, now: Timestamp) -> bool {
    let _ = rig.accept(now);
    if rig.reject(now) == Effect::KeepUsing {
        assert_eq!(rig.request(now), Effect::Use);
        return false;
    }
    let flight = rig.start(now).flight;
    let _ = rig.land(flight, hour(now), now);
    true
}

// Rule B9. Case X20.
#[test]
fn ten_thousand_rounds_of_accept_and_reject_in_no_time_make_three_refreshes() {
    let mut rig = Rig::with_hour(Policy::default(), sec(0));
    let refreshes = (0..10_000).filter(|_| round(&mut rig, sec(0))).count();
    assert_eq!(refreshes, 3);
    assert_eq!(rig.state(sec(0)), State::Valid);
}

// Rule B9.
#[test]
fn the_allowance_is_whole_again_five_minutes_after_its_first_use() {
    let mut rig = Rig::with_hour(Policy::default(), sec(0));
    assert!(round(&mut rig, sec(0)) && round(&mut rig, sec(100)) && round(&mut rig, sec(200)));
    assert!(!round(&mut rig, sec(299)));
    let refreshes = (0..10).filter(|_| round(&mut rig, sec(300))).count();
    assert_eq!(refreshes, 3);
}

// Rule B9: tokens of two seconds.
#[test]
fn it_is_whole_again_after_the_lifetime_of_the_token_where_that_is_less() {
    let mut rig = Rig::empty(Policy::default());
    let _ = rig.install(Some(lives(sec(0), 2000)), None, sec(0));
    for start in [0, 2, 4, 6] {
        let mut refreshes = 0;
        for _ in 0..10 {
            let _ = rig.accept(sec(start));
            if rig.reject(sec(start)) == Effect::Withdraw {
                let flight = rig.start(sec(start)).flight;
                let _ = rig.land(flight, lives(sec(start), 2000), sec(start));
                refreshes += 1;
            }
        }
        // The first of a lapsed one is free.
        assert_eq!(refreshes, if start == 0 { 3 } else { 4 }, "at {start} s");
    }
}

// Rule B9.
#[test]
fn what_helped_is_given_back_once_a_second_and_what_did_not_help_is_not() {
    for (helps, most) in [(true, 23), (false, 3)] {
        let mut rig = Rig::with_hour(Policy::default(), sec(0));
        let mut refreshes = 0;
        // Ten rejections a second, for twenty seconds.
        for tenth in 0..200 {
            let now = at(tenth * 100);
            if round(&mut rig, now) {
                refreshes += 1;
                if helps {
                    let _ = rig.recover(now);
                }
            }
        }
        assert_eq!(refreshes, most, "helps: {helps}");
    }
}

// Rules B8, B9: an administrator revokes everything.
#[test]
fn many_rejections_of_one_token_are_paid_for_once() {
    let mut rig = Rig::with_hour(Policy::default(), sec(0));
    let _ = rig.accept(sec(0));
    assert_eq!(rig.reject(sec(1)), Effect::Withdraw);
    for _ in 0..1000 {
        assert_eq!(rig.reject(sec(1)), Effect::Nothing);
    }
    let flight = rig.start(sec(1)).flight;
    let _ = rig.land(flight, hour(sec(1)), sec(1));
    let _ = rig.accept(sec(1));
    let refreshes = (0..10).filter(|_| round(&mut rig, sec(1))).count();
    assert_eq!(refreshes, 2);
}

// Rule B9: each expiry is a rejection.
#[test]
fn tokens_without_a_lifetime_that_end_every_minute_are_replaced_for_ever_where_replays_succeed() {
    let policy = Policy::builder().missing_lifetime(MissingLifetime::UntilRejected);
    let mut rig = Rig::empty(built(policy));
    let endless = |sent| perennial::lifecycle::TokenTimes { lifetime: None, ..hour(sent) };
    let _ = rig.install(Some(endless(sec(0))), None, sec(0));
    for minute in 1..1000 {
        let now = sec(60 * minute);
        let _ = rig.accept(now);
        assert_eq!(rig.reject(now), Effect::Withdraw, "minute {minute}");
        let flight = rig.start(now).flight;
        let _ = rig.land(flight, endless(now), now);
        let _ = rig.recover(now);
    }
}

// Rules B8, B9.
#[test]
fn the_rejection_of_a_token_that_is_due_or_being_refreshed_is_free() {
    let mut rig = Rig::with_hour(Policy::default(), sec(0));
    assert_eq!((0..10).filter(|_| round(&mut rig, sec(0))).count(), 3);
    // A refresh is out: it is joined.
    let start = rig.start_early(sec(1));
    let _ = rig.accept(sec(1));
    assert_eq!(rig.reject(sec(1)), Effect::Withdraw);
    assert_eq!(rig.request(sec(1)), Effect::Wait { until: start.deadline });
    let _ = rig.land(start.flight, hour(sec(1)), sec(1));
    // Due.
    let _ = rig.accept(sec(2));
    assert_eq!(rig.reject(sec(2)), Effect::KeepUsing);
    assert_eq!(rig.reject(sec(3301)), Effect::Withdraw);
}

// Rules B9, B11.
#[test]
fn a_login_or_a_logout_makes_the_allowance_whole() {
    for logout in [true, false] {
        let mut rig = Rig::with_hour(Policy::default(), sec(0));
        assert_eq!((0..10).filter(|_| round(&mut rig, sec(0))).count(), 3);
        if logout {
            let _ = rig.clear(sec(0));
        }
        let _ = rig.install(Some(hour(sec(0))), None, sec(0));
        assert_eq!((0..10).filter(|_| round(&mut rig, sec(0))).count(), 3);
    }
}

// Rules A5, B9.
#[test]
fn a_clock_that_goes_back_does_not_keep_the_allowance_spent() {
    let mut rig = Rig::with_hour(Policy::default(), sec(0));
    let _ = rig.install(Some(hour(sec(100_000))), None, sec(100_000));
    assert_eq!((0..10).filter(|_| round(&mut rig, sec(100_000))).count(), 3);
    assert!(!round(&mut rig, sec(0)));
    assert_eq!((0..10).filter(|_| round(&mut rig, sec(300))).count(), 3);
}

// Rule B8.
#[test]
fn a_stale_recovery_gives_nothing_back() {
    let mut rig = Rig::with_hour(Policy::default(), sec(0));
    let old = rig.held();
    assert_eq!((0..10).filter(|_| round(&mut rig, sec(0))).count(), 3);
    rig.machine.handle_recovered(&rig.policy, old, sec(0));
    assert!(!round(&mut rig, sec(0)));
    let _ = rig.recover(sec(0));
    assert!(round(&mut rig, sec(0)));
}

// Rule B9.
#[test]
fn an_allowance_of_none_leaves_each_rejection_to_its_caller() {
    let policy = Policy::builder().rejections(0, secs(300), secs(1));
    let mut rig = Rig::with_hour(built(policy), sec(0));
    let _ = rig.accept(sec(0));
    assert_eq!(rig.reject(sec(0)), Effect::KeepUsing);
    assert_eq!(rig.request_for(0, sec(0)), Effect::Use);
}

// Rules B5, B8. Case X21: the authorization server asks for ten minutes, and one resource says 401.
#[test]
fn a_token_that_has_worked_is_not_withdrawn_while_the_backoff_holds_its_replacement_off() {
    for accepted in [true, false] {
        let mut rig = Rig::with_hour(Policy::default(), sec(0));
        if accepted {
            let _ = rig.accept(sec(0));
        }
        let flight = rig.start(sec(3300)).flight;
        let _ = rig.fail(flight, unavailable_for(Span::from_secs(600)), Draw::NONE, sec(3301));
        let (effect, state) = (rig.reject(sec(3302)), rig.state(sec(3302)));
        if accepted {
            assert_eq!((effect, state), (Effect::KeepUsing, State::Expiring));
            assert_eq!(rig.request(sec(3302)), Effect::Use);
            // Nor is anything held against it later.
            assert_eq!(rig.state(sec(3589)), State::Expiring);
        } else {
            assert_eq!((effect, state), (Effect::Withdraw, State::Expired(Remedy::Refresh)));
        }
    }
}

// Rule B8: the backoff is over sooner than a refresh would be, so that whoever waits for it is helped.
#[test]
fn a_token_that_has_worked_is_withdrawn_where_its_replacement_is_not_held_off_for_long() {
    let mut rig = Rig::with_hour(Policy::default(), sec(0));
    let _ = rig.accept(sec(0));
    let flight = rig.start(sec(3300)).flight;
    let _ = rig.fail(flight, unavailable_for(Span::from_secs(99)), Draw::NONE, sec(3301));
    assert_eq!(rig.reject(at(3_369_999)), Effect::KeepUsing);
    assert_eq!(rig.reject(sec(3370)), Effect::Withdraw);
    let until = sec(3400);
    assert_eq!(rig.request(sec(3370)), Effect::BackOff { until, reason: Delay::Failure });
    assert!(rig.request(until).start().is_some());
}
