//! One token's life: its deadlines, its end, its rejection.

use std::time::Duration;

use perennial::lifecycle::{
    Cause, Deadlines, Delay, Effect, Event, Freshness, MissingLifetime, Novelty, Policy, Remedy,
    Schedule, State, TokenTimes,
};
use perennial::time::{Draw, Span, Timestamp};

use crate::lifecycle::support::{
    MOST, Rig, UNAVAILABLE, at, built, hour, lives, sec, secs, unavailable_for,
};

/// The three deadlines of a token received when it was sent for, in milliseconds after that.
#[track_caller]
fn laid_out(policy: &Policy, token: TokenTimes<Timestamp>) -> [u64; 3] {
    match Schedule::of(policy, token, token.sent) {
        Schedule::Timed(deadlines) => {
            let Deadlines { sent: _, refresh_after, unusable_from, expires_at } = deadlines;
            [refresh_after, unusable_from, expires_at]
                .map(|instant| instant.since(token.sent).as_millis())
        }
        Schedule::UntilRejected => panic!("a lifetime was stated"),
    }
}

// Rule B1.
#[test]
fn each_deadline_lies_where_the_rule_puts_it() {
    let policy = Policy::default();
    let hinted = |millis, hint, jitter| TokenTimes {
        refresh_in: Some(Span::from_millis(hint)),
        jitter,
        ..lives(at(0), millis)
    };
    let jittered = |millis| TokenTimes { jitter: MOST, ..lives(at(0), millis) };
    let table: [(TokenTimes<Timestamp>, [u64; 3]); 17] = [
        // Nothing, and nearly nothing.
        (lives(at(0), 0), [0, 0, 0]),
        (lives(at(0), 1), [0, 1, 1]),
        (lives(at(0), 7), [3, 7, 7]),
        (lives(at(0), 8), [4, 7, 8]),
        // An eighth is less than ten seconds up to eighty.
        (lives(at(0), 79_999), [39_999, 70_000, 79_999]),
        (lives(at(0), 80_000), [40_000, 70_000, 80_000]),
        (lives(at(0), 88_000), [44_000, 78_000, 88_000]),
        // Half the lifetime is more than five minutes before the end from ten minutes on.
        (lives(at(0), 599_999), [299_999, 589_999, 599_999]),
        (lives(at(0), 600_001), [300_001, 590_001, 600_001]),
        (hour(at(0)), [3_300_000, 3_590_000, 3_600_000]),
        // The jitter comes before the clamp: an eighth of an hour, and no earlier than half.
        (jittered(3_600_000), [2_850_001, 3_590_000, 3_600_000]),
        (jittered(700_000), [350_000, 690_000, 700_000]),
        // The server's hint, clamped on both sides, jittered before.
        (hinted(3_600_000, 2_000_000, Draw::NONE), [2_000_000, 3_590_000, 3_600_000]),
        (hinted(3_600_000, 1, Draw::NONE), [1_800_000, 3_590_000, 3_600_000]),
        (hinted(3_600_000, 9_000_000, Draw::NONE), [3_590_000, 3_590_000, 3_600_000]),
        (hinted(3_600_000, 3_600_000, MOST), [3_150_001, 3_590_000, 3_600_000]),
        (hinted(80, u64::MAX, MOST), [70, 70, 80]),
    ];
    for (token, expected) in table {
        assert_eq!(laid_out(&policy, token), expected, "{token:?}");
    }
}

// Rules A1, B1.
#[test]
fn at_the_end_of_time_a_lifetime_is_what_is_left_of_it() {
    let sent = Timestamp::from_millis(i64::MAX - 800);
    let deadlines = laid_out(&Policy::default(), lives(sent, u64::MAX));
    assert_eq!(deadlines, [400, 700, 800]);
    assert_eq!(laid_out(&Policy::default(), hour(Timestamp::MAX)), [0; 3]);
}

// Rules A1, B1.
#[test]
fn a_life_that_starts_with_time_itself_keeps_its_order() {
    let longest = laid_out(&Policy::default(), lives(Timestamp::MIN, u64::MAX));
    let end = u64::MAX;
    assert_eq!(longest, [end - 300_000, end - 10_000, end]);
    let wide = built(Policy::builder().refresh_window(Duration::MAX));
    assert_eq!(laid_out(&wide, hour(Timestamp::MIN))[0], 1_800_000);
}

// Rules A1, B1, B2.
#[test]
fn a_token_of_the_year_10000_is_served_until_then() {
    let year_10000 = Timestamp::from_secs(253_402_300_800);
    let mut rig = Rig::empty(Policy::default());
    let lifetime = year_10000.since(sec(0)).as_millis();
    let _ = rig.install(Some(lives(sec(0), lifetime)), None, sec(0));
    let before = Timestamp::from_millis(year_10000.as_millis() - 300_001);
    assert_eq!(rig.request(before), Effect::Use);
    assert!(matches!(
        rig.request(year_10000),
        Effect::StartRefresh(start) if start.cause == Cause::Lapsed
    ));
}

// Rule B1.
#[test]
fn a_life_is_counted_from_when_the_request_was_sent() {
    let mut rig = Rig::without_token(Policy::default(), sec(0));
    let flight = rig.start(sec(0)).flight;
    let _ = rig.land(flight, lives(sec(0), 80_000), sec(25));
    assert_eq!(rig.state(at(39_999)), State::Valid);
    assert_eq!(rig.state(at(40_000)), State::Expiring);
    assert_eq!(rig.state(at(69_999)), State::Expiring);
    assert_eq!(rig.state(at(70_000)), State::Expired(Remedy::Refresh));
}

// Rules A5, B1.
#[test]
fn an_answer_that_seems_to_precede_its_request_is_counted_from_now() {
    let schedule = Schedule::of(&Policy::default(), hour(sec(500)), sec(0));
    assert_eq!(schedule, Schedule::of(&Policy::default(), hour(sec(0)), sec(0)));
}

// Rule B2.
#[test]
fn a_token_is_not_handed_out_from_the_very_instant_it_is_unusable() {
    let mut rig = Rig::with_hour(Policy::default(), sec(0));
    let flight = rig.start(sec(3589)).flight;
    assert_eq!(rig.request(at(3_589_999)), Effect::Use);
    let until = at(3_619_000);
    assert_eq!(rig.request(at(3_590_000)), Effect::Wait { until });
    assert_eq!(flight.number(), 1);
}

// Rules B2, B8.
#[test]
fn a_rejected_token_is_never_handed_out_again() {
    let mut rig = Rig::with_hour(Policy::default(), sec(0));
    assert_eq!(rig.reject(sec(1)), Effect::Withdraw);
    assert_eq!(rig.reject(sec(1)), Effect::Nothing);
    assert_eq!(rig.accept(sec(1)), Effect::Nothing);
    assert_eq!(rig.state(sec(1)), State::Expired(Remedy::Refresh));
    let flight = rig.start(sec(1)).flight;
    assert_eq!(rig.request(sec(1)), Effect::Wait { until: sec(31) });
    // The server hands out the very same token, with a longer life: it was rejected all the same.
    let effect = rig.land_same(flight, hour(sec(2)), Draw::NONE, sec(2));
    assert_eq!(effect, Effect::KeepRefreshToken);
    assert_eq!(rig.state(sec(2)), State::Expired(Remedy::Refresh));
}

// Rules B2, B8.
#[test]
fn a_rejection_in_the_millisecond_of_the_expiry_leaves_the_refresh_free() {
    let policy = built(Policy::builder().margin(Duration::ZERO).budget(1, secs(30)));
    let mut rig = Rig::with_hour(policy, sec(0));
    assert_eq!(rig.reject(sec(3600)), Effect::Withdraw);
    for attempt in 0..3 {
        let start = rig.start(sec(3600));
        assert_eq!(start.cause, Cause::Rejected, "{attempt}");
        let _ = rig.fail(start.flight, UNAVAILABLE, Draw::NONE, sec(3600));
    }
}

// Rules A4, B2.
#[test]
fn without_a_lifetime_a_token_serves_until_it_is_rejected_if_the_policy_says_so() {
    let unstated = TokenTimes { lifetime: None, ..hour(sec(0)) };
    let policy = built(Policy::builder().missing_lifetime(MissingLifetime::UntilRejected));
    let mut rig = Rig::empty(policy);
    let _ = rig.install(Some(unstated), None, sec(0));
    assert_eq!(rig.request(Timestamp::MAX), Effect::Use);
    assert_eq!(rig.request_for(u64::MAX, Timestamp::MAX), Effect::Use);
    assert_eq!(rig.next(Timestamp::MIN), None);
    assert_eq!(rig.reject(sec(1)), Effect::Withdraw);
    assert_eq!(rig.start(sec(1)).cause, Cause::Rejected);

    let assumed = Schedule::of(&Policy::default(), unstated, sec(0));
    assert_eq!(assumed, Schedule::of(&Policy::default(), hour(sec(0)), sec(0)));
}

// Rule B1.
#[test]
fn the_same_token_again_no_longer_lived_waits_for_backoff() {
    let mut rig = Rig::with_hour(Policy::default(), sec(0));
    let flight = rig.start(sec(3300)).flight;
    let same = lives(sec(3300), 300_000);
    let effect = rig.land_same(flight, same, MOST, sec(3301));
    assert_eq!(effect, Effect::KeepRefreshToken);
    assert_eq!(rig.machine.failures(), 1);
    assert_eq!(rig.held().number(), 1);
    assert_eq!(rig.request(sec(3301)), Effect::Use);
    // Drawn from one second: 999 ms.
    assert_eq!(rig.request(at(3_301_998)), Effect::Use);
    assert_eq!(rig.start(at(3_301_999)).cause, Cause::Due);
}

// Rule B1.
#[test]
fn the_same_token_again_with_a_longer_life_is_published_anew() {
    let mut rig = Rig::with_hour(Policy::default(), sec(0));
    let flight = rig.start(sec(3300)).flight;
    let longer = lives(sec(3300), 300_001);
    let effect = rig.land_same(flight, longer, MOST, sec(3301));
    let generation = rig.held();
    assert_eq!(effect, Effect::Publish { generation });
    assert_eq!(generation.number(), 2);
}

// Rules B5, B10.
#[test]
fn a_stillborn_early_refresh_leaves_the_working_token_alone() {
    let mut rig = Rig::with_hour(Policy::default(), sec(0));
    let flight = rig.start_early(sec(10)).flight;
    let effect = rig.land(flight, lives(sec(10), 0), sec(11));
    assert_eq!(effect, Effect::KeepRefreshToken);
    assert_eq!(rig.request(sec(11)), Effect::Use);
    assert_eq!(rig.held().number(), 1);
    assert_eq!(rig.machine.failures(), 1);
}

// Rules B10, B14.
#[test]
fn a_token_that_is_over_when_it_arrives_backs_off_and_its_refresh_token_is_kept() {
    let mut rig = Rig::without_token(Policy::default(), sec(0));
    let flight = rig.start(sec(0)).flight;
    let event =
        Event::Refreshed { flight, token: lives(sec(0), 8_000), novelty: Novelty::New, draw: MOST };
    // Unusable from seven seconds on: that is when it comes.
    assert_eq!(rig.tell(event, sec(7)), Effect::KeepRefreshToken);
    let until = at(7_999);
    let reason = Delay::Failure;
    assert_eq!(rig.request(sec(7)), Effect::BackOff { until, reason });
    assert_eq!(rig.machine.generation(), None);
    assert_eq!(rig.start(until).flight.number(), 2);
}

// Rule B10.
#[test]
fn a_token_that_works_for_one_more_millisecond_is_published() {
    let mut rig = Rig::without_token(Policy::default(), sec(0));
    let flight = rig.start(sec(0)).flight;
    let effect = rig.land(flight, lives(sec(0), 8_000), at(6_999));
    let generation = rig.held();
    assert_eq!(effect, Effect::Publish { generation });
    let schedule = rig.machine.schedule().expect("a token is held");
    assert_eq!(schedule.freshness(at(6_999)), Freshness::Due);
}

// Rules A1, B2, B12.
#[test]
fn at_the_last_instant_every_event_still_has_an_answer() {
    let end = Timestamp::MAX;
    let mut rig = Rig::with_hour(Policy::default(), end);
    assert_eq!(rig.state(end), State::Expired(Remedy::Refresh));
    for attempt in 1..10 {
        let start = rig.start(end);
        assert_eq!(start.deadline, end, "{attempt}");
        assert_eq!(rig.request(end), Effect::Wait { until: end });
        assert_eq!(rig.next(end), None);
        let failure = unavailable_for(Span::MAX);
        let _ = rig.fail(start.flight, failure, MOST, end);
        // There is no later instant to wait for, so nobody waits.
        assert_eq!(rig.next(end), None);
    }
}

// Rules A1, B1.
#[test]
fn at_the_first_instant_a_token_is_served_as_at_any_other() {
    let mut rig = Rig::with_hour(Policy::default(), Timestamp::MIN);
    assert_eq!(rig.request(Timestamp::MIN), Effect::Use);
    let due = Timestamp::MIN.saturating_add(Span::from_secs(3300));
    assert_eq!(rig.next(Timestamp::MIN), Some(due));
    assert_eq!(rig.start(due).cause, Cause::Due);
}
