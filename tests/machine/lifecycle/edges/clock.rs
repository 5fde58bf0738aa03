//! A `now` that goes back, by a moment or by ten years, and one that jumps there and back.

use perennial::lifecycle::{
    Delay, Effect, Event, Failure, Meanwhile, Policy, Remedy, Reuse, State,
};
use perennial::time::{Draw, Span, Timestamp};

use crate::lifecycle::support::{
    MOST, Rig, UNAVAILABLE, at, built, hour, sec, secs, unavailable_for,
};

/// Ten years and a little, in seconds.
const LONG_AGO: i64 = -10 * 366 * 86_400;

// Rules A5, B2.
#[test]
fn a_token_that_was_seen_lapsed_stays_so_when_the_clock_goes_back() {
    let mut rig = Rig::with_hour(Policy::default(), sec(0));
    let _ = rig.time_passes(Draw::NONE, sec(3590));
    for now in [sec(3589), sec(0), sec(LONG_AGO), Timestamp::MIN] {
        assert_eq!(rig.state(now), State::Expired(Remedy::Refresh));
    }
    assert!(matches!(rig.request(sec(0)), Effect::StartRefresh(_)));
}

// Rule A5.
#[test]
fn a_token_that_was_seen_due_stays_so_when_the_clock_goes_back() {
    let mut rig = Rig::with_hour(Policy::default(), sec(0));
    let _ = rig.time_passes(Draw::NONE, sec(3300));
    assert_eq!(rig.state(sec(0)), State::Expiring);
    assert!(matches!(rig.request(sec(0)), Effect::UseAndStartRefresh(_)));
}

/// Tells a machine something.
type Told<'a> = dyn Fn(&mut Rig) -> Effect<Timestamp> + 'a;

// Rules A5, B2.
#[test]
fn any_event_at_all_latches_what_its_now_has_shown() {
    let rig = Rig::with_hour(Policy::default(), sec(0));
    let mut elsewhere = Rig::without_token(Policy::default(), sec(0));
    let flight = elsewhere.start(sec(0)).flight;
    let tell: [&Told<'_>; 6] = [
        &|rig| rig.request(sec(3590)),
        &|rig| rig.land(flight, hour(sec(0)), sec(3590)),
        &|rig| rig.fail(flight, Failure::Unknown, MOST, sec(3590)),
        &|rig| rig.accept(sec(3590)),
        &|rig| rig.time_passes(MOST, sec(3590)),
        &|rig| rig.request_for(1, sec(3590)),
    ];
    for (which, tell) in tell.iter().enumerate() {
        let mut rig = Rig { policy: rig.policy, machine: rig.machine };
        let _ = tell(&mut rig);
        assert_ne!(rig.request(sec(0)), Effect::Use, "{which}");
    }
}

// Rules A5, B7.
#[test]
fn a_backoff_is_no_longer_than_its_own_delay_when_the_clock_goes_back() {
    let mut rig = Rig::without_token(Policy::default(), sec(0));
    let flight = rig.start(sec(0)).flight;
    let _ = rig.fail(flight, unavailable_for(Span::from_secs(90)), MOST, sec(0));
    let reason = Delay::Failure;
    for now in [-1, LONG_AGO] {
        let until = sec(now + 90);
        assert_eq!(rig.next(sec(now)), Some(until));
        assert_eq!(rig.request(sec(now)), Effect::BackOff { until, reason });
    }
}

// Rule A5.
#[test]
fn a_backoff_that_was_seen_over_stays_over() {
    let mut rig = Rig::without_token(Policy::default(), sec(0));
    let flight = rig.start(sec(0)).flight;
    let _ = rig.fail(flight, unavailable_for(Span::from_secs(90)), MOST, sec(0));
    let _ = rig.accept_none(sec(90));
    assert!(matches!(rig.request(sec(0)), Effect::StartRefresh(_)));
}

// Rules A5, B13.
#[test]
fn a_refresh_has_no_more_time_than_its_deadline_when_the_clock_goes_back() {
    let mut rig = Rig::without_token(Policy::default(), sec(0));
    let _ = rig.start(sec(0));
    let now = sec(LONG_AGO);
    let until = sec(LONG_AGO + 30);
    assert_eq!(rig.next(now), Some(until));
    assert_eq!(rig.request(now), Effect::Wait { until });
    assert_eq!(rig.state(until), State::Refreshing(Meanwhile::Wait));
    assert_eq!(rig.time_passes(MOST, until), Effect::EndAttempt);
    assert_eq!(rig.state(until), State::Expired(Remedy::Refresh));
}

// Rules A5, B6.
#[test]
fn a_window_is_no_longer_than_declared_when_the_clock_goes_back() {
    let policy = built(
        Policy::builder().reuse(Reuse::overlap_successors(secs(20))).refresh_deadline(secs(10)),
    );
    let mut rig = Rig::without_token(policy, sec(0));
    let flight = rig.start(sec(0)).flight;
    let _ = rig.fail(flight, Failure::Unknown, Draw::NONE, sec(1));
    let _ = rig.time_passes(Draw::NONE, sec(LONG_AGO));
    assert_eq!(rig.start(sec(LONG_AGO + 15)).deadline, sec(LONG_AGO + 20));
}

// Rules A5, B6.
#[test]
fn a_retry_that_is_out_ends_within_its_window_also_when_the_clock_goes_back() {
    let policy = built(
        Policy::builder().reuse(Reuse::overlap_successors(secs(20))).refresh_deadline(secs(10)),
    );
    let mut rig = Rig::without_token(policy, sec(0));
    let flight = rig.start(sec(0)).flight;
    let _ = rig.fail(flight, Failure::Unknown, Draw::NONE, sec(1));
    assert_eq!(rig.start(sec(12)).deadline, sec(20));
    let until = sec(LONG_AGO + 10);
    assert_eq!(rig.request(sec(LONG_AGO)), Effect::Wait { until });
}

// Rules A5, B6.
#[test]
fn a_window_that_was_over_when_the_outcome_was_told_stays_over() {
    // The deadline is judged late: the server's window of twenty seconds is over by then.
    let policy = built(
        Policy::builder().reuse(Reuse::overlap_successors(secs(20))).refresh_deadline(secs(10)),
    );
    let mut rig = Rig::without_token(policy, sec(0));
    let _ = rig.start(sec(0));
    let _ = rig.time_passes(Draw::NONE, sec(30));
    // Back inside the window: what was shown is remembered, and the late answer is waited for.
    let (until, reason) = (sec(15), Delay::Doubt);
    assert_eq!(rig.request(sec(5)), Effect::BackOff { until, reason });
    assert_eq!(rig.start(until).deadline, sec(25));

    let mut rig = Rig::empty(policy);
    let _ = rig.install(None, Some(sec(-20)), sec(0));
    assert_eq!(rig.start(sec(-1)).deadline, sec(9));
}

// Rules A5, B9.
#[test]
fn a_budget_is_full_again_within_its_window_when_the_clock_goes_back() {
    let mut rig = Rig::with_hour(Policy::default(), sec(0));
    let _ = rig.reject(sec(0));
    for _ in 0..5 {
        let flight = rig.start(sec(0)).flight;
        let _ = rig.fail(flight, UNAVAILABLE, Draw::NONE, sec(0));
    }
    let until = sec(LONG_AGO + 6);
    let reason = Delay::Budget;
    let effect = rig.request(sec(LONG_AGO));
    assert_eq!(effect, Effect::BackOff { until, reason });
    assert_eq!(rig.next(sec(LONG_AGO)), Some(until));
    assert!(matches!(rig.request(until), Effect::StartRefresh(_)));
}

// Rules A5, B9.
#[test]
fn a_budget_that_was_seen_full_stays_full() {
    let policy = built(Policy::builder().budget(1, secs(30)));
    let mut rig = Rig::with_hour(policy, sec(0));
    let flight = rig.start_early(sec(0)).flight;
    let _ = rig.fail(flight, UNAVAILABLE, Draw::NONE, sec(0));
    let _ = rig.time_passes(Draw::NONE, sec(30));
    let _ = rig.start_early(sec(0));
}

// Rules A5, B6.
#[test]
fn doubt_does_not_depend_on_the_clock_going_on() {
    let mut rig = Rig::with_hour(Policy::default(), sec(0));
    let flight = rig.start(sec(3300)).flight;
    let _ = rig.fail(flight, Failure::Unknown, Draw::NONE, sec(3301));
    // The old token was due, and works by the clock that went back: it is served, nothing starts.
    assert_eq!(rig.request(sec(LONG_AGO)), Effect::Use);
    assert_eq!(rig.state(sec(LONG_AGO)), State::Expiring);
    let _ = rig.reject(sec(LONG_AGO));
    let deadline = sec(LONG_AGO + 30);
    assert_eq!(rig.start(sec(LONG_AGO)).deadline, deadline);
}

// Rules A5, B13.
#[test]
fn the_first_sending_is_never_later_than_any_now_since() {
    let policy = built(Policy::builder().reuse(Reuse::overlap_successors(secs(60))));
    let mut rig = Rig::without_token(policy, sec(1000));
    let flight = rig.start(sec(1000)).flight;
    // The clock shows an earlier time while it is out: it was sent no later than that.
    assert_eq!(rig.request(sec(0)), Effect::Wait { until: sec(20) });
    let _ = rig.fail(flight, Failure::Unknown, Draw::NONE, sec(19));
    assert_eq!(rig.start(sec(40)).deadline, sec(60));
}

// Rules A5, B2.
#[test]
fn a_jump_there_and_back_does_not_touch_the_tokens_that_come_after() {
    let mut rig = Rig::with_hour(Policy::default(), sec(0));
    let flight = rig.start(at(i64::from(u32::MAX) * 1000)).flight;
    let _ = rig.land(flight, hour(sec(10)), sec(10));
    assert_eq!(rig.state(sec(10)), State::Valid);
    assert_eq!(rig.next(sec(10)), Some(sec(3310)));
}

impl Rig {
    /// A resource server accepts a token of long ago: an event that changes nothing but what its
    /// `now` shows.
    fn accept_none(&mut self, now: Timestamp) -> Effect<Timestamp> {
        let mut elsewhere = Self::with_hour(self.policy, now);
        let generation = elsewhere.held();
        let _ = elsewhere.clear(now);
        self.tell(Event::Accepted { generation }, now)
    }
}
