//! What effects say of themselves, tokens without an end, and a policy that changes on the way.

use perennial::lifecycle::{
    Delay, Effect, Ending, Failure, FlightId, Lifecycle, MissingLifetime, Policy, Reuse, State,
    TokenTimes,
};
use perennial::time::{Draw, Span, Timestamp};

use crate::lifecycle::support::{Rig, at, built, hour, sec};

// Rules B2, B3.
#[test]
fn each_effect_says_whether_it_starts_a_refresh_and_whether_it_hands_out_the_token() {
    let mut rig = Rig::with_hour(built(Policy::builder()), sec(0));
    let (generation, start) = (rig.held(), rig.start(sec(3300)));
    let (until, reason) = (sec(1), Delay::Failure);
    let effects: [(Effect<Timestamp>, bool, bool); 13] = [
        (Effect::Nothing, false, false),
        (Effect::Use, false, true),
        (Effect::UseAndStartRefresh(start), true, true),
        (Effect::StartRefresh(start), true, false),
        (Effect::Wait { until }, false, false),
        (Effect::BackOff { until, reason }, false, false),
        (Effect::LogIn(Ending::NoGrant), false, false),
        (Effect::Publish { generation }, false, false),
        (Effect::KeepRefreshToken, false, false),
        (Effect::ReleaseOrphan, false, false),
        (Effect::Discard, false, false),
        (Effect::Withdraw, false, false),
        (Effect::EndAttempt, false, false),
    ];
    for (effect, starts, hands_out) in effects {
        assert_eq!(effect.start(), starts.then_some(start), "{effect:?}");
        assert_eq!(effect.hands_out(), hands_out, "{effect:?}");
    }
}

/// A token of no stated lifetime, which works until it is rejected.
fn endless(sent: Timestamp) -> TokenTimes<Timestamp> {
    TokenTimes { lifetime: None, ..hour(sent) }
}

/// A machine with a token of an hour and two refreshes in the air, both still to be answered.
fn two_out() -> (Rig, FlightId, FlightId) {
    let policy = Policy::builder().missing_lifetime(MissingLifetime::UntilRejected);
    let mut rig = Rig::with_hour(built(policy.reuse(Reuse::Unrotated)), sec(0));
    let one = rig.start_early(sec(1)).flight;
    assert_eq!(rig.time_passes(Draw::NONE, sec(31)), Effect::EndAttempt);
    let two = rig.start_early(sec(31)).flight;
    (rig, one, two)
}

// Rule B1.
#[test]
fn the_same_token_again_is_news_only_where_it_outlives_what_it_was_held_to_be() {
    for (first, again, published) in [
        (endless(sec(1)), endless(sec(31)), false),
        (endless(sec(1)), hour(sec(31)), false),
        (hour(sec(1)), endless(sec(31)), true),
        (hour(sec(1)), hour(sec(31)), true),
        (hour(sec(31)), hour(sec(31)), false),
        (hour(sec(31)), hour(sec(1)), false),
    ] {
        let (mut rig, one, two) = two_out();
        let _ = rig.land(one, first, sec(32));
        let (before, count) = (rig.held(), rig.machine.published());
        assert_eq!(count, 2);
        let effect = rig.land_same(two, again, Draw::NONE, sec(33));
        assert_eq!(matches!(effect, Effect::Publish { .. }), published, "{first:?} {again:?}");
        assert_eq!(effect == Effect::KeepRefreshToken, !published);
        assert_eq!(rig.held() != before, published);
        assert_eq!(rig.machine.published(), count + u64::from(published));
    }
}

// Rules B1, B6.
#[test]
fn a_token_without_an_end_is_never_too_brief_and_is_used_in_doubt() {
    let (mut rig, one, two) = two_out();
    let _ = rig.land(one, endless(sec(1)), sec(32));
    let _ = rig.fail(two, Failure::Unknown, Draw::NONE, sec(33));
    assert_eq!(rig.request_for(u64::MAX, sec(34)), Effect::Use);
    assert_eq!(rig.request_for(u64::MAX, Timestamp::MAX), Effect::Use);
    assert_eq!(rig.next(sec(34)), None);
}

// Rules A5, B6.
#[test]
fn a_doubt_is_over_once_the_server_is_declared_to_take_a_refresh_token_twice() {
    for reuse in [Reuse::Unrotated, Reuse::ConfirmByUse] {
        let overlap = built(Policy::builder().reuse(Reuse::OverlapSuccessors(Span::from_secs(20))));
        let mut rig = Rig::without_token(overlap, sec(0));
        let flight = rig.start(sec(0)).flight;
        let _ = rig.fail(flight, Failure::Unknown, Draw::NONE, sec(1));
        rig.policy = built(Policy::builder().reuse(reuse));
        // Within the window it would have had to end at its close, at 20 s.
        assert_eq!(rig.start(sec(2)).deadline, sec(32));
    }
}

// Rule B4.
#[test]
fn a_machine_with_nothing_in_it_says_so() {
    let machine = Lifecycle::<Timestamp>::new(7);
    assert_eq!(machine.generation(), None);
    assert_eq!(machine.schedule(), None);
    assert_eq!((machine.published(), machine.failures()), (0, 0));
    assert_eq!((machine.refresh_deadline(), machine.is_accepted()), (None, false));
    assert_eq!(machine.ending(), Some(Ending::NoGrant));
    let mut rig = Rig::with_hour(built(Policy::builder()), sec(0));
    assert!(!rig.machine.is_accepted());
    let _ = rig.accept(sec(1));
    assert!(rig.machine.is_accepted());
    let flight = rig.start(sec(3300)).flight;
    assert_eq!(rig.machine.refresh_deadline(), Some(sec(3330)));
    assert_eq!(rig.machine.newest_flight(), flight);
    let _ = rig.fail(flight, Failure::Unavailable { retry_after: None }, Draw::NONE, at(3_300_001));
    assert_eq!((rig.machine.failures(), rig.machine.refresh_deadline()), (1, None));
    assert_eq!(rig.state(at(3_300_001)), State::Expiring);
}
