//! How long tokens live, in whichever words an answer says it (rules A3, A4).

use std::prelude::rust_2024::*;

use time::format_description::well_known::{Iso8601, Rfc2822, Rfc3339};
use time::{OffsetDateTime, PrimitiveDateTime};

use super::members::Members;
use crate::time::{ExpiresIn, NumericDate, Span, Timestamp};

/// Members that say when an access token ends, the better ones first.
const OF_ACCESS_TOKEN: [Named; 25] = [
    // Zoho has milliseconds in `expires_in` where this stands beside it.
    Named("expires_in_sec", Unit::Seconds),
    Named("expires_in", Unit::Seconds),
    Named("expires_in_ms", Unit::Milliseconds),
    Named("expiresIn", Unit::Told),
    Named("expireIn", Unit::Told),
    Named("expire_in", Unit::Told),
    Named("access_token_expires_in", Unit::Told),
    Named("accessTokenExpiresIn", Unit::Told),
    Named("expires", Unit::Told),
    Named("expire", Unit::Told),
    Named("expires_at", Unit::Told),
    Named("expiresAt", Unit::Told),
    Named("expires_on", Unit::Told),
    Named("expiresOn", Unit::Told),
    Named(".expires", Unit::Told),
    Named("access_token_expires_at", Unit::Told),
    Named("accessTokenExpiresAt", Unit::Told),
    // TikTok Shop: a date all the same.
    Named("access_token_expire_in", Unit::Told),
    Named("token_expiry", Unit::Told),
    Named("expire_time", Unit::Told),
    Named("expireTime", Unit::Told),
    Named("expiry", Unit::Told),
    Named("expiry_date", Unit::Told),
    Named("expiration", Unit::Told),
    Named("exp", Unit::Told),
];

/// Members that say when a refresh token ends.
const OF_REFRESH_TOKEN: [Named; 12] = [
    // GitHub, Azure AD B2C, eBay, LinkedIn; Keycloak, TikTok, Lark; Intuit.
    Named("refresh_token_expires_in", Unit::Told),
    Named("refresh_expires_in", Unit::Told),
    Named("x_refresh_token_expires_in", Unit::Told),
    Named("refreshTokenExpiresIn", Unit::Told),
    Named("refreshExpiresIn", Unit::Told),
    Named("refreshTokenExpireIn", Unit::Told),
    Named("refresh_token_expires_at", Unit::Told),
    Named("refresh_expires_at", Unit::Told),
    Named("refreshTokenExpiresAt", Unit::Told),
    Named("refresh_token_expires", Unit::Told),
    Named("refresh_token_expires_on", Unit::Told),
    // TikTok Shop: a date.
    Named("refresh_token_expire_in", Unit::Told),
];

#[derive(Copy, Clone)]
struct Named(&'static str, Unit);

/// What a number under a name counts.
#[derive(Copy, Clone)]
enum Unit {
    /// Seconds from now, whatever it is.
    Seconds,
    /// Milliseconds from now, whatever it is.
    Milliseconds,
    /// What its size tells.
    Told,
}

/// When something ends.
#[derive(Copy, Clone)]
pub(super) enum End {
    After(Span),
    At(Timestamp),
}

impl End {
    /// How the access token's end is said, if it is.
    pub(super) fn of_access_token(members: &Members) -> Option<Self> {
        Self::first_of(&OF_ACCESS_TOKEN, members)
    }

    /// How the refresh token's end is said, if it is.
    pub(super) fn of_refresh_token(members: &Members) -> Option<Self> {
        Self::first_of(&OF_REFRESH_TOKEN, members)
    }

    /// Rule A3: "A relative lifetime MUST beat an absolute one."
    fn first_of(names: &[Named], members: &Members) -> Option<Self> {
        let mut said = names.iter().flat_map(|Named(name, unit)| {
            members.literals(name).filter_map(|text| unit.end(text.expose())).take(1)
        });
        let first = said.next()?;
        match first {
            Self::After(_) => Some(first),
            Self::At(_) => Some(said.find(|end| matches!(end, Self::After(_))).unwrap_or(first)),
        }
    }
}

impl Unit {
    fn end(self, text: &str) -> Option<End> {
        let text = text.trim();
        // A duration as protocol buffers write it.
        let number = text.strip_suffix('s').filter(|it| it.ends_with(|c: char| c.is_ascii_digit()));
        match number.unwrap_or(text).parse::<ExpiresIn>() {
            Ok(relative) => Some(self.number(number.unwrap_or(text), relative.span())),
            Err(_) => date(text).map(End::At),
        }
    }

    /// A number that would be more than 31 years of seconds is a date, in seconds since the Unix epoch,
    /// or in milli-, micro- or nanoseconds if that brings it nearer than the year 33658.
    fn number(self, text: &str, relative: Span) -> End {
        /// 2001-09-09, as a date in seconds.
        const DATE: f64 = 1e9;
        let seconds = text.parse::<f64>().unwrap_or(0.0);
        match self {
            Self::Seconds => End::After(relative),
            Self::Milliseconds => End::After(Span::from_millis(relative.as_millis() / 1000)),
            Self::Told if seconds < DATE => End::After(relative),
            Self::Told => {
                let fineness = [1.0, 1e3, 1e6, 1e9];
                let unit = fineness.into_iter().find(|fine| seconds < DATE * 1e3 * fine);
                let scaled = match unit {
                    Some(fine) if fine > 1.0 => format!("{}", seconds / fine),
                    Some(_) | None => text.to_owned(),
                };
                let date = scaled.parse::<NumericDate>().map(NumericDate::timestamp);
                End::At(date.unwrap_or(Timestamp::MAX))
            }
        }
    }
}

/// A date in the forms that are in use: HTTP's (RFC 9110, section 5.6.7), RFC 3339's and ISO 8601's,
/// with a space for the `T` or without a zone as well, which is then UTC; RFC 2822's; and Azure App
/// Service's `9/14/2017 5:00:00 PM +00:00`.
fn date(text: &str) -> Option<Timestamp> {
    const APP_SERVICE: &str = "[month padding:none]/[day padding:none]/[year] \
                               [hour repr:12 padding:none]:[minute]:[second] [period] \
                               [offset_hour sign:mandatory]:[offset_minute]";
    if let Ok(date) = httpdate::parse_http_date(text) {
        return Some(Timestamp::from(date));
    }
    let mut joined = text.to_owned();
    if text.as_bytes().get(10) == Some(&b' ') {
        joined.replace_range(10..11, "T");
    }
    // As some write it: with a space before the zone.
    let joined = joined.replace(" +", "+").replace(" Z", "Z").replace(" UTC", "Z");
    let zoned = OffsetDateTime::parse(&joined, &Rfc3339)
        .or_else(|_| OffsetDateTime::parse(&joined, &Iso8601::PARSING))
        .or_else(|_| {
            PrimitiveDateTime::parse(&joined, &Iso8601::PARSING).map(PrimitiveDateTime::assume_utc)
        })
        .or_else(|_| OffsetDateTime::parse(text, &Rfc2822))
        .ok();
    let in_app_service = || {
        let form = time::format_description::parse_borrowed::<2>(APP_SERVICE).ok()?;
        OffsetDateTime::parse(text, &form).ok()
    };
    let zoned = zoned.or_else(in_app_service)?;
    let millis = zoned.unix_timestamp_nanos().div_euclid(1_000_000);
    Some(Timestamp::from_millis(i64::try_from(millis).ok()?))
}
