//! Parsing dates and durations, in the forms that are in use (rule A4).

use std::prelude::rust_2024::*;

use time::format_description::well_known::{Iso8601, Rfc2822, Rfc3339};
use time::{OffsetDateTime, PrimitiveDateTime};

use crate::time::{ExpiresIn, Span, Timestamp};

/// The maximum length of a date.
const LONGEST: usize = 120;

/// A date on the first day of the epoch or before it is how languages write an unset date.
const FIRST_DAY: Timestamp = Timestamp::from_secs(24 * 3600);

/// Parses a date: HTTP's (RFC 9110, section 5.6.7), RFC 3339's and ISO 8601's, with a space for the
/// `T`, with one before the zone, or without a zone, which is then UTC; RFC 2822's; JavaScript's
/// and Go's own; ASP.NET's `/Date(1700000600000)/`; fourteen digits; and Azure App Service's
/// `9/14/2017 5:00:00 PM +00:00`.
pub(super) fn date(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let read = || {
        of_asp_net(text)
            .or_else(|| of_digits(text.strip_suffix('Z').unwrap_or(text)))
            .or_else(|| of_http(without_zone_name(text)))
            .or_else(|| in_words(without_zone_name(text)).and_then(timestamp))
    };
    if text.len() > LONGEST { None } else { read().filter(|date| *date > FIRST_DAY) }
}

/// Parses fourteen digits such as `20231114222320`, if they are a plausible date.
pub(super) fn of_digits(text: &str) -> Option<Timestamp> {
    if text.len() != 14 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let date = parsed(text, "[year][month][day][hour][minute][second]")?.assume_utc();
    if (1970..=2200).contains(&date.year()) { timestamp(date) } else { None }
}

/// Parses milliseconds since the epoch. An offset behind them does not change the instant.
fn of_asp_net(text: &str) -> Option<Timestamp> {
    let millis = text.strip_prefix("/Date(")?.strip_suffix(")/")?;
    let end = millis.char_indices().skip(1).find(|(_, c)| "+-".contains(*c));
    let millis = end.map_or(millis, |(end, _)| &millis[..end]);
    Some(Timestamp::from_millis(millis.parse().ok()?))
}

/// Removes the name of a zone behind its offset: `[Europe/Berlin]`, `(CET)`.
fn without_zone_name(text: &str) -> &str {
    let name = if text.ends_with(']') { text.rfind('[') } else { None };
    let name = name.or_else(|| if text.ends_with(')') { text.find(" (") } else { None });
    name.map_or(text, |at| &text[..at])
}

fn of_http(text: &str) -> Option<Timestamp> {
    let zone = ["UTC", "Z"].into_iter().find_map(|zone| text.strip_suffix(zone));
    let in_gmt = zone.map(|date| format!("{date}GMT"));
    let date = httpdate::parse_http_date(in_gmt.as_deref().unwrap_or(text)).ok()?;
    Some(Timestamp::from(date))
}

fn in_words(text: &str) -> Option<OffsetDateTime> {
    const APP_SERVICE: &str = "[month padding:none]/[day padding:none]/[year] \
                               [hour repr:12 padding:none]:[minute]:[second] [period] \
                               [offset_hour sign:mandatory]:[offset_minute]";
    const JAVASCRIPT: &str = "[weekday repr:short] [month repr:short] [day] [year] \
                              [hour]:[minute]:[second] GMT[offset_hour sign:mandatory][offset_minute]";
    let zoned = |form: &str| {
        let form = time::format_description::parse_borrowed::<2>(form).ok()?;
        OffsetDateTime::parse(text, &form).ok()
    };
    in_iso(text)
        .or_else(|| OffsetDateTime::parse(text, &Rfc2822).ok())
        .or_else(|| zoned(APP_SERVICE))
        .or_else(|| zoned(JAVASCRIPT))
}

fn in_iso(text: &str) -> Option<OffsetDateTime> {
    // Go appends the reading of its monotonic clock.
    let text = text.split_once(" m=").map_or(text, |(date, _)| date).to_ascii_uppercase();
    let (day, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix(' ').map(|time| format!("T{time}")).unwrap_or(rest.to_owned());
    let (rest, is_utc) = match [" UTC", " GMT", " Z"].iter().find_map(|it| rest.strip_suffix(it)) {
        Some(rest) => (rest, true),
        None => (rest.as_str(), false),
    };
    let mut joined = format!("{day}{}", rest.replace(" +", "+").replace(" -", "-"));
    let is_zoned = rest.contains(['+', '-', 'Z']);
    if is_utc && !is_zoned {
        joined.push('Z');
    }
    OffsetDateTime::parse(&joined, &Rfc3339)
        .or_else(|_| OffsetDateTime::parse(&joined, &Iso8601::PARSING))
        .or_else(|_| {
            PrimitiveDateTime::parse(&joined, &Iso8601::PARSING).map(PrimitiveDateTime::assume_utc)
        })
        .ok()
}

fn parsed(text: &str, form: &str) -> Option<PrimitiveDateTime> {
    let form = time::format_description::parse_borrowed::<2>(form).ok()?;
    PrimitiveDateTime::parse(text, &form).ok()
}

fn timestamp(date: OffsetDateTime) -> Option<Timestamp> {
    let millis = date.unix_timestamp_nanos().div_euclid(1_000_000);
    Some(Timestamp::from_millis(i64::try_from(millis).ok()?))
}

/// Parses a duration: numbers with units (`1h30m`, `600 seconds`), ISO 8601 (`PT10M`) without
/// months and years, whose length varies, or hours, minutes and seconds (`00:10:00`).
pub(super) fn duration(text: &str) -> Option<Span> {
    let millis = on_a_clock(text).or_else(|| as_iso_has_it(text)).or_else(|| {
        sum(text, |unit| {
            let unit = if unit.len() > 1 { unit.to_ascii_lowercase() } else { unit.to_owned() };
            match unit.as_str() {
                "ms" | "msec" | "millis" | "millisecond" | "milliseconds" => Some(1),
                "s" | "sec" | "secs" | "second" | "seconds" => Some(SECOND),
                "m" | "min" | "mins" | "minute" | "minutes" => Some(MINUTE),
                "h" | "hr" | "hrs" | "hour" | "hours" => Some(HOUR),
                "d" | "day" | "days" => Some(DAY),
                "w" | "week" | "weeks" => Some(7 * DAY),
                _ => None,
            }
        })
    });
    millis.map(Span::from_millis)
}

/// Units in milliseconds.
const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

fn on_a_clock(text: &str) -> Option<u64> {
    let mut parts = text.split(':');
    let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
    let two = |part: &str| part.len() == 2 && part.as_bytes()[0] < b'6';
    let whole_seconds = seconds.split('.').next()?;
    if parts.next().is_some() || hours.is_empty() || !two(minutes) || !two(whole_seconds) {
        return None;
    }
    sum(&format!("{hours}H{minutes}M{seconds}S"), of_a_day)
}

fn as_iso_has_it(text: &str) -> Option<u64> {
    let text = text.to_ascii_uppercase();
    let (days, rest) = match text.strip_prefix('P')?.split_once('T') {
        Some((days, rest)) => (days, Some(rest)),
        None => (text.strip_prefix('P')?, None),
    };
    let of_a_week = |unit: &str| match unit {
        "W" => Some(7 * DAY),
        "D" => Some(DAY),
        _ => None,
    };
    match (days, rest) {
        ("", Some(rest)) => sum(rest, of_a_day),
        (days, Some(rest)) => Some(sum(days, of_a_week)?.saturating_add(sum(rest, of_a_day)?)),
        (days, None) => sum(days, of_a_week),
    }
}

fn of_a_day(unit: &str) -> Option<u64> {
    match unit {
        "H" => Some(HOUR),
        "M" => Some(MINUTE),
        "S" => Some(SECOND),
        _ => None,
    }
}

/// Returns the sum of one or more numbers, each with a unit behind it.
fn sum(text: &str, unit: impl Fn(&str) -> Option<u64>) -> Option<u64> {
    let mut rest = text.trim();
    let mut sum = None;
    while !rest.is_empty() {
        let (number, behind) = split(rest, |c| c.is_ascii_digit() || c == '.')?;
        let (name, behind) = split(behind.trim_start(), |c| c.is_ascii_alphabetic())?;
        // Parsed as seconds, which may have a fraction.
        let seconds = number.parse::<ExpiresIn>().ok()?.span().as_millis();
        let unit = unit(name)?;
        let millis = seconds.checked_mul(unit).map_or(u64::MAX, |it| it / SECOND);
        sum = Some(sum.unwrap_or(0_u64).saturating_add(millis));
        rest = behind.trim_start();
    }
    sum
}

/// Splits a text after its longest non-empty prefix of such characters.
fn split(text: &str, of: impl Fn(char) -> bool) -> Option<(&str, &str)> {
    let end = text.find(|c| !of(c)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}
