//! Lifetimes and dates as servers write them, in text and in JSON.

use std::time::Duration;

use perennial::time::{ExpiresIn, Lifetime, Minting, NumericDate, ParseTimeError, Span, Timestamp};
use proptest::prelude::*;
use serde::de::value::{Error as ValueError, F64Deserializer};
use serde::de::{Deserialize, IntoDeserializer};

use super::config;

/// The lifetime that a text states, in milliseconds.
fn expires_in(text: &str) -> Result<u64, ParseTimeError> {
    text.parse::<ExpiresIn>().map(|stated| stated.span().as_millis())
}

/// The date that a text states, in milliseconds since the epoch.
fn date(text: &str) -> Result<i64, ParseTimeError> {
    text.parse::<NumericDate>().map(|stated| stated.timestamp().as_millis())
}

/// The lifetime in milliseconds that JSON states, or the error's text.
fn json(text: &str) -> Result<u64, String> {
    serde_json::from_str::<ExpiresIn>(text)
        .map(|stated| stated.span().as_millis())
        .map_err(|error| error.to_string())
}

const HOUR: u64 = 3_600_000;
const LONGEST: u64 = u64::MAX;

// Rule A4.
#[test]
fn each_form_of_a_lifetime_is_understood() {
    let table = [
        ("3600", HOUR),
        (" 3600 ", HOUR),
        ("\t3600\n", HOUR),
        ("+3600", HOUR),
        ("3600.0", HOUR),
        ("3.6e3", HOUR),
        ("36E+2", HOUR),
        ("1.9999", 1999),
        ("3599.5", 3_599_500),
        ("0.0009", 0),
        (".5", 500),
        ("5.", 5000),
        ("0", 0),
        ("-0", 0),
        ("-5", 0),
        ("-0.0001", 0),
        ("-1e36", 0),
        ("-1e300", 0),
        ("-1e400", 0),
        ("1e30", LONGEST),
        ("1e400", LONGEST),
        ("9223372036854775807", LONGEST),
        ("18446744073709551", 18_446_744_073_709_551_000),
        ("18446744073709552", LONGEST),
        ("99999999999999999999999999", LONGEST),
    ];
    for (text, millis) in table {
        assert_eq!(expires_in(text), Ok(millis), "{text:?}");
        assert_eq!(json(&format!("{text:?}")), Ok(millis), "{text:?} in JSON");
    }
}

// Rule A4.
#[test]
fn each_form_of_a_date_is_understood() {
    let table = [
        ("1700000000", 1_700_000_000_000),
        ("1700000000.5", 1_700_000_000_500),
        ("253402300800", 253_402_300_800_000),
        ("0", 0),
        ("1.5", 1500),
        ("-1", -1000),
        ("-0.0001", -1),
        ("-1.0005", -1001),
        ("1e30", i64::MAX),
        ("1e400", i64::MAX),
        ("-1e30", i64::MIN),
        ("-1e36", i64::MIN),
        ("-1e300", i64::MIN),
        ("-1e400", i64::MIN),
        ("9223372036854775", 9_223_372_036_854_775_000),
        ("9223372036854776", i64::MAX),
        ("-9223372036854776", i64::MIN),
        ("9223372036854775807", i64::MAX),
        ("-9223372036854775808", i64::MIN),
        ("-99999999999999999999", i64::MIN),
    ];
    for (text, millis) in table {
        assert_eq!(date(text), Ok(millis), "{text:?}");
        let text = format!("{text:?}");
        let stated: NumericDate = serde_json::from_str(&text).expect(&text);
        assert_eq!(stated.timestamp().as_millis(), millis, "{text} in JSON");
    }
}

// Rule A4.
#[test]
fn what_is_no_number_is_refused_in_plain_words_without_repeating_it() {
    for text in ["", " ", "\n\t "] {
        assert_eq!(expires_in(text), Err(ParseTimeError::Empty), "{text:?}");
        assert_eq!(date(text), Err(ParseTimeError::Empty), "{text:?}");
    }
    let words = [
        "soon", "true", "{}", "null", "inf", "-inf", "nan", "NaN", "infinity", "e", ".", "-", "+",
        "1e", "e5", "--5", "1.2.3", "1_000", "1,5", "0x10", "3600s", "3600 s", "٣٦٠٠", "1e5e5",
    ];
    for text in words {
        assert_eq!(expires_in(text), Err(ParseTimeError::NotANumber), "{text:?}");
        assert_eq!(date(text), Err(ParseTimeError::NotANumber), "{text:?}");
    }
    assert_eq!(ParseTimeError::Empty.to_string(), "expected a number of seconds, found nothing");
    assert_eq!(
        ParseTimeError::NotANumber.to_string(),
        "expected a number of seconds such as 3600 or \"3600\", found something else"
    );
}

// Rule A4.
#[test]
fn each_number_of_json_is_understood() {
    let table = [
        ("3600", HOUR),
        ("3.6e3", HOUR),
        ("1.9999", 1999),
        ("0", 0),
        ("-0.0", 0),
        ("-5", 0),
        ("-9223372036854775808", 0),
        ("1e30", LONGEST),
        ("18446744073709551615", LONGEST),
        ("99999999999999999999999999", LONGEST),
    ];
    for (text, millis) in table {
        assert_eq!(json(text), Ok(millis), "{text}");
    }
    let far: NumericDate = serde_json::from_str("1e30").expect("a number");
    assert_eq!(far.timestamp(), Timestamp::MAX);
    let whole: NumericDate = serde_json::from_str("-5").expect("a number");
    assert_eq!(whole.timestamp(), Timestamp::from_secs(-5));
    let past: NumericDate = serde_json::from_str("-0.0001").expect("a number");
    assert_eq!(past.timestamp(), Timestamp::from_millis(-1));
}

// Rule A4.
#[test]
fn what_json_holds_instead_of_a_number_is_named() {
    let wanted = "expected a number of seconds, or a text that holds one";
    let table = [
        ("true", format!("invalid type: boolean `true`, {wanted} at line 1 column 4")),
        ("null", format!("invalid type: null, {wanted} at line 1 column 4")),
        ("{}", format!("invalid type: map, {wanted} at line 1 column 2")),
        ("[]", format!("invalid type: sequence, {wanted} at line 1 column 2")),
        (
            "\"soon\"",
            "expected a number of seconds such as 3600 or \"3600\", found something else at line \
             1 column 6"
                .to_owned(),
        ),
        ("\"\"", "expected a number of seconds, found nothing at line 1 column 2".to_owned()),
        // The parser's own: no visitor is ever shown such a number. As a text it is understood.
        ("1e400", "number out of range at line 1 column 5".to_owned()),
    ];
    for (text, error) in table {
        assert_eq!(json(text), Err(error), "{text}");
    }
    let missing: Option<ExpiresIn> = serde_json::from_str("null").expect("nothing is allowed");
    assert_eq!(missing, None);
}

// Rule A4.
#[test]
fn a_double_that_is_no_number_is_refused() {
    let read = |double: f64| {
        let deserializer: F64Deserializer<ValueError> = double.into_deserializer();
        ExpiresIn::deserialize(deserializer).map(|stated| stated.span().as_millis())
    };
    assert!(read(f64::NAN).is_err());
    assert_eq!(read(f64::INFINITY), Ok(LONGEST));
    assert_eq!(read(f64::NEG_INFINITY), Ok(0));
    assert_eq!(read(f64::MAX), Ok(LONGEST));
    assert_eq!(read(f64::MIN_POSITIVE), Ok(0));
}

// Rule A3.
#[test]
fn a_relative_lifetime_beats_an_absolute_one_and_the_date_beats_the_iat() {
    let relative = Some("60".parse().expect("a number"));
    let exp = Some("1000".parse().expect("a number"));
    let iat = Some("300".parse().expect("a number"));
    let date = Some(Timestamp::from_secs(400));
    let until = |issuer_now: Option<i64>| Lifetime::Until {
        exp: Timestamp::from_secs(1000),
        issuer_now: issuer_now.map(Timestamp::from_secs),
    };
    let minute = Lifetime::For(Span::from_secs(60));
    let (cached, fresh) = (Minting::MayCache, Minting::MintsAfresh);
    let table = [
        (relative, exp, date, iat, fresh, minute),
        (relative, None, None, None, cached, minute),
        (None, exp, date, iat, fresh, until(Some(400))),
        (None, exp, date, iat, cached, until(Some(400))),
        (None, exp, None, iat, fresh, until(Some(300))),
        (None, exp, None, iat, cached, until(None)),
        (None, exp, None, None, fresh, until(None)),
        (None, None, date, iat, fresh, Lifetime::Unstated),
    ];
    for (row, (expires_in, exp, date, iat, issuer, lifetime)) in table.into_iter().enumerate() {
        let found = Lifetime::from_response(expires_in, exp, date, iat, issuer);
        assert_eq!(found, lifetime, "row {row}");
    }
    assert_eq!(Minting::default(), Minting::MayCache);
    assert_eq!(Lifetime::default(), Lifetime::Unstated);
}

// Rules A3, A4.
#[test]
fn an_absolute_expiry_is_counted_from_the_issuers_clock_or_else_from_the_wall() {
    let wall = Timestamp::from_secs(990);
    let until = |exp: i64, issuer_now: Option<i64>| {
        Lifetime::Until {
            exp: Timestamp::from_secs(exp),
            issuer_now: issuer_now.map(Timestamp::from_secs),
        }
        .span(wall)
    };
    assert_eq!(until(1000, Some(400)), Some(Span::from_secs(600)));
    assert_eq!(until(1000, None), Some(Span::from_secs(10)));
    // Over already, by either clock.
    assert_eq!(until(1000, Some(1001)), Some(Span::ZERO));
    assert_eq!(until(980, None), Some(Span::ZERO));
    assert_eq!(Lifetime::Unstated.span(wall), None);
    assert_eq!(
        Lifetime::from(Duration::from_nanos(1_999_999)).span(wall),
        Some(Span::from_millis(1))
    );
    assert_eq!(Lifetime::from(Span::MAX).span(wall), Some(Span::MAX));
    let whole = Lifetime::Until { exp: Timestamp::MAX, issuer_now: Some(Timestamp::MIN) };
    assert_eq!(whole.span(wall), Some(Span::MAX));
}

proptest! {
    #![proptest_config(config())]

    // Rules A1, A4.
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC*|[-+]?[0-9]{0,40}(\\.[0-9]{0,12})?([eE][-+]?[0-9]{0,5})?") {
        let _ = expires_in(&text);
        let _ = date(&text);
        let _ = json(&text);
    }

    // Rule A4.
    #[test]
    fn a_number_and_the_text_that_holds_it_mean_the_same(seconds: i64) {
        let number = json(&seconds.to_string());
        prop_assert_eq!(&number, &json(&format!("\"{seconds}\"")));
        let exact = (i128::from(seconds) * 1000).clamp(0, u64::MAX.into());
        prop_assert_eq!(number.map(i128::from), Ok(exact));
    }

    // Rule A4.
    #[test]
    fn a_fraction_is_rounded_down_to_the_millisecond(whole in 0_u32.., micros in 0_u32..1_000_000, minus: bool) {
        let sign = if minus { "-" } else { "" };
        let text = format!("{sign}{whole}.{micros:06}");
        let magnitude = i64::from(whole) * 1_000_000 + i64::from(micros);
        let exact = (if minus { -magnitude } else { magnitude }).div_euclid(1000);
        // A double holds a thousandth only nearly: one millisecond less is allowed, one more is not.
        let near = exact - 1..=exact;
        let as_text = date(&text).expect("a number");
        prop_assert!(near.contains(&as_text), "{text}: {as_text}");
        let as_number: NumericDate = serde_json::from_str(&text).expect("a number");
        prop_assert!(near.contains(&as_number.timestamp().as_millis()), "{text}: {as_number:?}");
    }
}
