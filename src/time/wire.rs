//! Lifetimes and dates as authorization servers write them: `expires_in`, `exp` (rules A3, A4).

use core::str::FromStr;

use thiserror::Error;

use super::{Span, Timestamp};

/// The text is not a number of seconds.
///
/// The text itself is left out: it came from the network and may hold anything.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum ParseTimeError {
    /// The text is empty.
    #[error("expected a number of seconds, found nothing")]
    Empty,
    /// The text is not a decimal number.
    #[error("expected a number of seconds such as 3600 or \"3600\", found something else")]
    NotANumber,
}

/// The `expires_in` of a token response (RFC 6749, section 5.1).
///
/// | in the response | parsed as |
/// |---|---|
/// | `3600`, `"3600"`, `" 3600 "`, `3.6e3` | one hour |
/// | `1.9999` | 1,999 ms: rounded down, so that a token never lives longer |
/// | `0`, `-5` | zero: the token has expired already |
/// | `1e30`, `1e400` | the longest span: the token does not expire by the clock |
/// | `"soon"`, `true`, `{}` | an error; the adapters treat it as missing |
/// | missing, `null` | [`Lifetime::Unstated`]: the policy decides |
///
/// See rule [A4](crate::spec#a-time).
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExpiresIn(Span);

impl ExpiresIn {
    /// Returns the stated lifetime.
    pub const fn span(self) -> Span {
        self.0
    }
}

impl OnTheWire for ExpiresIn {
    fn from_millis(millis: i128) -> Self {
        // Rule A4: "zero and negative lifetimes MUST be taken as over, huge ones MUST saturate".
        Self(Span::from_millis(u64::try_from(millis.max(0)).unwrap_or(u64::MAX)))
    }
}

impl FromStr for ExpiresIn {
    type Err = ParseTimeError;

    fn from_str(text: &str) -> Result<Self, ParseTimeError> {
        parse_seconds(text).map(Self::from_millis)
    }
}

/// A `NumericDate` such as `exp` or `iat`: seconds since the Unix epoch, possibly fractional (RFC
/// 7519, section 2).
///
/// Fractions are rounded down to the millisecond; dates beyond the year 9999, and beyond the range
/// of a [`Timestamp`], saturate. See rule [A4](crate::spec#a-time).
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NumericDate(Timestamp);

impl NumericDate {
    /// Returns the instant.
    pub const fn timestamp(self) -> Timestamp {
        self.0
    }
}

impl OnTheWire for NumericDate {
    fn from_millis(millis: i128) -> Self {
        let saturated = if millis > 0 { i64::MAX } else { i64::MIN };
        Self(Timestamp::from_millis(i64::try_from(millis).unwrap_or(saturated)))
    }
}

impl FromStr for NumericDate {
    type Err = ParseTimeError;

    fn from_str(text: &str) -> Result<Self, ParseTimeError> {
        parse_seconds(text).map(Self::from_millis)
    }
}

/// A number of seconds in either form, made from milliseconds with saturation.
trait OnTheWire {
    fn from_millis(millis: i128) -> Self;
}

/// Reads a decimal number of seconds as milliseconds. Rule A4: "Fractions MUST be rounded down".
fn parse_seconds(text: &str) -> Result<i128, ParseTimeError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(ParseTimeError::Empty);
    }
    if let Ok(whole) = text.parse::<i64>() {
        return Ok(i128::from(whole) * 1000);
    }
    // Words that Rust parses as numbers ("inf", "nan") are not numbers here.
    if !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')) {
        return Err(ParseTimeError::NotANumber);
    }
    text.parse().map(millis_below).map_err(|_| ParseTimeError::NotANumber)
}

/// Seconds as milliseconds, rounded down; infinities saturate.
fn millis_below(seconds: f64) -> i128 {
    let millis = seconds * 1000.0;
    #[expect(clippy::cast_possible_truncation, reason = "the cast saturates, as is wanted")]
    let towards_zero = millis as i128;
    #[expect(clippy::cast_precision_loss, reason = "only the sign of the difference is read")]
    let rounded_up = millis.is_finite() && towards_zero as f64 > millis;
    towards_zero.saturating_sub(i128::from(rounded_up))
}

/// Whether an issuer's `iat` is the time of the response.
///
/// Exhaustive on purpose: an issuer does one or the other.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Default)]
pub enum Minting {
    /// The issuer may return a token that it made earlier, so `iat` says nothing about the present.
    #[default]
    MayCache,
    /// The issuer makes each token when asked, so `iat` is its clock at that moment.
    MintsAfresh,
}

/// How long an access token lives, as the response stated it. See rule [A3](crate::spec#a-time).
///
/// Exhaustive on purpose: the machine computes with each form.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Default)]
pub enum Lifetime {
    /// A relative lifetime, counted from when the request was sent.
    For(Span),
    /// An absolute expiry on the issuer's clock.
    Until {
        /// When it expires, on the issuer's clock.
        exp: Timestamp,
        /// What the issuer's clock showed when it responded, if known. Otherwise the local wall
        /// clock is used instead, and skew between the two hosts matters.
        issuer_now: Option<Timestamp>,
    },
    /// No lifetime was stated. The policy decides: see
    /// [`MissingLifetime`](crate::lifecycle::MissingLifetime).
    #[default]
    Unstated,
}

impl Lifetime {
    /// Returns the best lifetime that a response states.
    ///
    /// `expires_in` takes precedence over `exp`. `exp` is counted from the `Date` of the response,
    /// or from `iat` if the issuer is declared to mint tokens afresh.
    pub fn from_response(
        expires_in: Option<ExpiresIn>,
        exp: Option<NumericDate>,
        date: Option<Timestamp>,
        iat: Option<NumericDate>,
        issuer: Minting,
    ) -> Self {
        let minted = match issuer {
            Minting::MayCache => None,
            Minting::MintsAfresh => iat.map(NumericDate::timestamp),
        };
        match (expires_in, exp) {
            // Rule A3: "A relative lifetime MUST beat an absolute one."
            (Some(expires_in), _) => Self::For(expires_in.span()),
            (None, Some(exp)) => Self::Until { exp: exp.timestamp(), issuer_now: date.or(minted) },
            (None, None) => Self::Unstated,
        }
    }

    /// Returns the lifetime as a span; `None` if none was stated. `wall` is the local wall clock,
    /// used if the issuer's is not known.
    pub fn span(self, wall: Timestamp) -> Option<Span> {
        match self {
            Self::For(span) => Some(span),
            // Rule A3: "An absolute expiry MUST be turned into a lifetime by the issuer's own clock
            // where the answer shows it", "and by the local wall clock otherwise".
            Self::Until { exp, issuer_now } => Some(exp.since(issuer_now.unwrap_or(wall))),
            Self::Unstated => None,
        }
    }
}

impl From<Span> for Lifetime {
    fn from(span: Span) -> Self {
        Self::For(span)
    }
}

impl From<core::time::Duration> for Lifetime {
    fn from(duration: core::time::Duration) -> Self {
        Self::For(duration.into())
    }
}

#[cfg(feature = "serde")]
mod with_serde {
    use core::fmt;
    use core::marker::PhantomData;
    use core::str::FromStr;

    use serde::de::{Deserialize, Deserializer, Error, Visitor};

    use super::{ExpiresIn, NumericDate, OnTheWire, ParseTimeError, millis_below};

    /// Accepts a number of seconds or a text that holds one (rule A4).
    struct Seconds<N>(PhantomData<N>);

    impl<N: OnTheWire + FromStr<Err = ParseTimeError>> Visitor<'_> for Seconds<N> {
        type Value = N;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a number of seconds, or a text that holds one")
        }

        fn visit_i64<E: Error>(self, seconds: i64) -> Result<N, E> {
            Ok(N::from_millis(i128::from(seconds) * 1000))
        }

        fn visit_u64<E: Error>(self, seconds: u64) -> Result<N, E> {
            Ok(N::from_millis(i128::from(seconds) * 1000))
        }

        fn visit_f64<E: Error>(self, seconds: f64) -> Result<N, E> {
            // JSON has no such number; formats that have it must not turn it into a lifetime.
            if seconds.is_nan() {
                return Err(E::custom(ParseTimeError::NotANumber));
            }
            Ok(N::from_millis(millis_below(seconds)))
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<N, E> {
            text.parse().map_err(E::custom)
        }
    }

    impl<'de> Deserialize<'de> for ExpiresIn {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_any(Seconds(PhantomData))
        }
    }

    impl<'de> Deserialize<'de> for NumericDate {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_any(Seconds(PhantomData))
        }
    }
}
