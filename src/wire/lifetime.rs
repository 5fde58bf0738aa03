//! The lifetimes of tokens, in all the forms that responses have (rules A3, A4).

use std::prelude::rust_2024::*;

use super::dates::{date, duration, of_digits};
use super::members::Members;
use crate::time::{ExpiresIn, NumericDate, Span, Timestamp};

/// The members for the expiry of an access token, in order of preference.
const OF_ACCESS_TOKEN: [Named; 36] = [
    // Zoho: if this is present, `expires_in` is in milliseconds.
    Named("expires_in_sec", Unit::Seconds),
    Named("expires_in", Unit::Seconds),
    Named("expires_in_seconds", Unit::Seconds),
    Named("expiresInSeconds", Unit::Seconds),
    Named("expires_in_ms", Unit::Milliseconds),
    Named("expiresIn", Unit::Inferred),
    // Amazon Cognito.
    Named("ExpiresIn", Unit::Inferred),
    Named("expireIn", Unit::Inferred),
    Named("expire_in", Unit::Inferred),
    Named("access_token_expires_in", Unit::Inferred),
    Named("accessTokenExpiresIn", Unit::Inferred),
    Named("expires", Unit::Inferred),
    Named("expire", Unit::Inferred),
    Named("expires_at", Unit::Inferred),
    Named("expiresAt", Unit::Inferred),
    Named("expires_on", Unit::Inferred),
    Named("expiresOn", Unit::Inferred),
    Named(".expires", Unit::Inferred),
    Named("access_token_expires_at", Unit::Inferred),
    Named("accessTokenExpiresAt", Unit::Inferred),
    Named("access_token_expires", Unit::Inferred),
    Named("accessTokenExpires", Unit::Inferred),
    // dj-rest-auth uses both.
    Named("access_expiration", Unit::Inferred),
    Named("access_token_expiration", Unit::Inferred),
    Named("accessTokenExpiration", Unit::Inferred),
    Named("accessTokenExpiry", Unit::Inferred),
    Named("valid_until", Unit::Inferred),
    Named("validUntil", Unit::Inferred),
    // TikTok Shop: a date in spite of its name.
    Named("access_token_expire_in", Unit::Inferred),
    Named("token_expiry", Unit::Inferred),
    Named("expire_time", Unit::Inferred),
    Named("expireTime", Unit::Inferred),
    Named("expiry", Unit::Inferred),
    Named("expiry_date", Unit::Inferred),
    Named("expiration", Unit::Inferred),
    Named("exp", Unit::Inferred),
];

/// The members for the expiry of a refresh token, in order of preference.
const OF_REFRESH_TOKEN: [Named; 15] = [
    // GitHub, Azure AD B2C, eBay, LinkedIn; Keycloak, TikTok, Lark; Intuit.
    Named("refresh_token_expires_in", Unit::Inferred),
    Named("refresh_expires_in", Unit::Inferred),
    Named("x_refresh_token_expires_in", Unit::Inferred),
    Named("refreshTokenExpiresIn", Unit::Inferred),
    Named("refreshExpiresIn", Unit::Inferred),
    Named("refreshTokenExpireIn", Unit::Inferred),
    Named("refresh_token_expires_at", Unit::Inferred),
    Named("refresh_expires_at", Unit::Inferred),
    Named("refreshTokenExpiresAt", Unit::Inferred),
    Named("refresh_token_expires", Unit::Inferred),
    Named("refreshTokenExpires", Unit::Inferred),
    // dj-rest-auth.
    Named("refresh_expiration", Unit::Inferred),
    Named("refresh_token_expiration", Unit::Inferred),
    Named("refresh_token_expires_on", Unit::Inferred),
    // TikTok Shop: a date.
    Named("refresh_token_expire_in", Unit::Inferred),
];

#[derive(Copy, Clone)]
struct Named(&'static str, Unit);

/// The unit of a number under a name.
#[derive(Copy, Clone)]
enum Unit {
    /// Seconds from now, whatever the size.
    Seconds,
    /// Milliseconds from now, whatever the size.
    Milliseconds,
    /// Inferred from the size.
    Inferred,
}

/// The end of a lifetime or a wait.
#[derive(Copy, Clone)]
pub(super) enum End {
    After(Span),
    At(Timestamp),
}

impl End {
    /// Returns the expiry of the access token, if there is one.
    pub(super) fn of_access_token(members: &Members) -> Option<Self> {
        Self::first_of(&OF_ACCESS_TOKEN, members)
    }

    /// Parses a wait or a lifetime.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Unit::Inferred.end(text)
    }

    /// Returns the expiry of the refresh token, if there is one.
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
        // A duration in the JSON form of protocol buffers.
        let number = text.strip_suffix('s').filter(|it| it.ends_with(|c: char| c.is_ascii_digit()));
        match number.unwrap_or(text).parse::<ExpiresIn>() {
            Ok(relative) => Some(self.number(number.unwrap_or(text), relative.span())),
            Err(_) => duration(text).map(End::After).or_else(|| date(text).map(End::At)),
        }
    }

    /// Interprets a number. One that would be more than 31 years in seconds is a date: the digits
    /// of one, or seconds since the Unix epoch, or the coarsest of milli-, micro- and nanoseconds
    /// before the year 33658.
    fn number(self, text: &str, relative: Span) -> End {
        /// 2001-09-09, as a date in seconds.
        const DATE: f64 = 1e9;
        let seconds = text.parse::<f64>().unwrap_or(0.0);
        match self {
            Self::Seconds => End::After(relative),
            Self::Milliseconds => End::After(Span::from_millis(relative.as_millis() / 1000)),
            Self::Inferred if seconds < DATE => End::After(relative),
            Self::Inferred => {
                if let Some(date) = of_digits(text) {
                    return End::At(date);
                }
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
