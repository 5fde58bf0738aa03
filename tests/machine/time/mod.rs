//! Instants, spans, and what servers write for them.

mod wire;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use perennial::time::{Draw, Span, Time, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use time::{OffsetDateTime, UtcDateTime};

fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource(
            "proptest-regressions",
        ))),
        ..ProptestConfig::default()
    }
}

// Rule A1.
#[test]
fn a_system_time_is_rounded_down_on_both_sides_of_the_epoch() {
    let nanos = Duration::from_nanos;
    let millis = |instant: SystemTime| Timestamp::from(instant).as_millis();
    for (after, expected) in [(0, 0), (1, 0), (999_999, 0), (1_000_000, 1), (1_999_999, 1)] {
        assert_eq!(millis(UNIX_EPOCH + nanos(after)), expected, "{after}");
    }
    for (before, expected) in [(1, -1), (1_000_000, -1), (1_000_001, -2), (2_000_000, -2)] {
        assert_eq!(millis(UNIX_EPOCH - nanos(before)), expected, "{before}");
    }
}

// Rule A1.
#[test]
fn a_system_time_beyond_the_timeline_saturates() {
    let age = Duration::from_secs(i64::MAX.unsigned_abs());
    if let Some(end) = UNIX_EPOCH.checked_add(age) {
        assert_eq!(Timestamp::from(end), Timestamp::MAX);
    }
    if let Some(start) = UNIX_EPOCH.checked_sub(age) {
        assert_eq!(Timestamp::from(start), Timestamp::MIN);
    }
}

// Rule A1.
#[test]
fn a_date_of_the_time_crate_is_rounded_down_and_refused_beyond_its_years() {
    let nanos = |nanos: i128| OffsetDateTime::from_unix_timestamp_nanos(nanos).expect("in range");
    for (nano, milli) in [(0, 0), (999_999, 0), (1_000_000, 1), (-1, -1), (-1_000_001, -2)] {
        assert_eq!(Timestamp::from(nanos(nano)).as_millis(), milli, "{nano}");
        let utc = UtcDateTime::from_unix_timestamp_nanos(nano).expect("in range");
        assert_eq!(Timestamp::from(utc).as_millis(), milli, "{nano}");
    }
    let last = Timestamp::from_millis(253_402_300_799_999);
    let civil = OffsetDateTime::try_from(last).expect("the last millisecond of 9999");
    assert_eq!((civil.year(), civil.millisecond()), (9999, 999));
    assert_eq!(Timestamp::from(civil), last);
    for beyond in [last.saturating_add(Span::from_millis(1)), Timestamp::MAX, Timestamp::MIN] {
        assert!(OffsetDateTime::try_from(beyond).is_err(), "{beyond:?}");
    }
}

// Rule A1.
#[test]
fn timestamps_and_spans_serialise_as_bare_numbers() {
    for millis in [i64::MIN, -1, 0, 1, i64::MAX] {
        let timestamp = Timestamp::from_millis(millis);
        let text = serde_json::to_string(&timestamp).expect("it serialises");
        assert_eq!(text, millis.to_string());
        assert_eq!(serde_json::from_str::<Timestamp>(&text).ok(), Some(timestamp));
    }
    for millis in [0, 1, u64::MAX] {
        let span = Span::from_millis(millis);
        let text = serde_json::to_string(&span).expect("it serialises");
        assert_eq!(text, millis.to_string());
        assert_eq!(serde_json::from_str::<Span>(&text).ok(), Some(span));
    }
}

// Rule A1.
#[test]
fn seconds_and_durations_saturate() {
    assert_eq!(Timestamp::from_secs(i64::MAX), Timestamp::MAX);
    assert_eq!(Timestamp::from_secs(i64::MIN), Timestamp::MIN);
    assert_eq!(Timestamp::from_secs(-1).as_millis(), -1000);
    assert_eq!(Span::from_secs(u64::MAX), Span::MAX);
    assert_eq!(Span::from(Duration::MAX), Span::MAX);
    assert_eq!(Span::from(Duration::from_micros(1999)), Span::from_millis(1));
    assert_eq!(Duration::from(Span::MAX), Duration::from_millis(u64::MAX));
}

// Rules A1, B7.
#[test]
fn doubling_is_exact_up_to_the_last_bit_and_saturates_beyond() {
    let doubled = |span, times| Timestamp::doubled(Span::from_millis(span), times).as_millis();
    assert_eq!((doubled(1, 63), doubled(1, 64)), (1 << 63, u64::MAX));
    assert_eq!((doubled(3, 62), doubled(3, 63)), (3 << 62, u64::MAX));
    assert_eq!((doubled(u64::MAX, 0), doubled(u64::MAX, 1)), (u64::MAX, u64::MAX));
    assert_eq!((doubled(0, 64), doubled(0, u32::MAX)), (0, 0));
}

// Rule A1.
#[test]
fn an_instant_that_the_platform_holds_is_given_as_its_own() {
    for (millis, expected) in [
        (0, UNIX_EPOCH),
        (1, UNIX_EPOCH + Duration::from_millis(1)),
        (-1, UNIX_EPOCH - Duration::from_millis(1)),
        (1_700_000_000_000, UNIX_EPOCH + Duration::from_secs(1_700_000_000)),
    ] {
        assert_eq!(Timestamp::from_millis(millis).to_system_time(), Some(expected));
    }
}

/// Instants and spans, those at the ends of the range among them.
fn instants() -> impl Strategy<Value = i64> {
    prop_oneof![
        any::<i64>(),
        -5_i64..5,
        (0_i64..5).prop_map(|from_end| i64::MAX - from_end),
        (0_i64..5).prop_map(|from_start| i64::MIN + from_start),
    ]
}

fn spans() -> impl Strategy<Value = u64> {
    prop_oneof![any::<u64>(), 0_u64..5, (0_u64..5).prop_map(|from_end| u64::MAX - from_end)]
}

/// `exact`, or the nearest instant there is.
fn nearest(exact: i128) -> Timestamp {
    let clamped = exact.clamp(i64::MIN.into(), i64::MAX.into());
    Timestamp::from_millis(i64::try_from(clamped).expect("clamped"))
}

proptest! {
    #![proptest_config(config())]

    // Rule A1.
    #[test]
    fn arithmetic_is_exact_or_saturates(instant in instants(), span in spans(), other in instants()) {
        let (here, there) = (Timestamp::from_millis(instant), Timestamp::from_millis(other));
        let stretch = Span::from_millis(span);
        prop_assert_eq!(here.saturating_add(stretch), nearest(i128::from(instant) + i128::from(span)));
        prop_assert_eq!(here.saturating_sub(stretch), nearest(i128::from(instant) - i128::from(span)));
        let since = (i128::from(instant) - i128::from(other)).max(0);
        prop_assert_eq!(i128::from(here.since(there).as_millis()), since);
    }

    // Rules A1, B7.
    #[test]
    fn doubling_halving_and_sharing_are_exact_or_saturate(span in spans(), times: u8, drawn: u32) {
        let (stretch, times) = (Span::from_millis(span), u32::from(times));
        let halved = if times > 63 { 0 } else { span >> times };
        prop_assert_eq!(Timestamp::halved(stretch, times), Span::from_millis(halved));
        let doubled = (0..times).fold(span, |span, _| span.saturating_mul(2));
        prop_assert_eq!(Timestamp::doubled(stretch, times), Span::from_millis(doubled));
        prop_assert_eq!(Timestamp::doubled(stretch, u32::MAX) == Span::ZERO, span == 0);
        let share = u128::from(Timestamp::share(stretch, Draw::new(drawn)).as_millis());
        prop_assert_eq!(share, u128::from(span) * u128::from(drawn) / (1 << 32));
    }

    // Rule A1.
    #[test]
    fn a_system_time_comes_back_as_it_went(millis in instants()) {
        let timestamp = Timestamp::from_millis(millis);
        if let Some(instant) = timestamp.to_system_time() {
            prop_assert_eq!(Timestamp::from(instant), timestamp);
        }
    }

    // Rule A1.
    #[test]
    fn a_date_of_the_time_crate_comes_back_as_it_went(millis in -62_135_596_800_000_i64..=253_402_300_799_999) {
        let timestamp = Timestamp::from_millis(millis);
        let civil = OffsetDateTime::try_from(timestamp);
        prop_assert_eq!(civil.map(Timestamp::from).ok(), Some(timestamp));
    }
}
