//! Time as an argument: instants, spans, and the times that arrive on the wire.
//!
//! ```
//! use perennial::time::{ExpiresIn, Lifetime, Span, Timestamp};
//!
//! let lifetime: ExpiresIn = "3599.5".parse()?;
//! assert_eq!(lifetime.span(), Span::from_millis(3_599_500));
//! assert_eq!(Timestamp::MAX.saturating_add(Span::from_secs(1)), Timestamp::MAX);
//! # Ok::<(), perennial::time::ParseTimeError>(())
//! ```
//!
//! Invariants: nothing in this module overflows, panics or reads a clock
//! ([A1](crate::spec#a-time)).
//!
//! Out of scope: time zones, calendars and formatting. Convert to the `time` crate (feature
//! `time`) or to [`std::time::SystemTime`] for those.

mod convert;
mod wire;

use core::fmt::Debug;
use core::hash::Hash;
use core::time::Duration;

pub use wire::{ExpiresIn, Lifetime, Minting, NumericDate, ParseTimeError};

/// The operations on instants that the state machines need.
///
/// Most programs use [`Timestamp`]. The trait exists so that the same source also runs on other
/// instants: an embedder's ticks, three-bit integers enumerated exhaustively, or the terms of a
/// solver.
///
/// Every method saturates, whatever its arguments.
// Rule A1: "No input, however hostile, may overflow or panic".
pub trait Time: Copy + Ord + Hash + Debug {
    /// The type of durations; never negative.
    type Span: Copy + Ord + Hash + Debug;

    /// Returns the zero span.
    fn zero() -> Self::Span;
    /// Returns the instant `span` after this one, or the last instant there is.
    #[must_use]
    fn saturating_add(self, span: Self::Span) -> Self;
    /// Returns the instant `span` before this one, or the first instant there is.
    #[must_use]
    fn saturating_sub(self, span: Self::Span) -> Self;
    /// Returns the span from `earlier` to this instant, or zero if `earlier` is not earlier.
    fn since(self, earlier: Self) -> Self::Span;
    /// Returns `span` halved `times` times, rounded down.
    fn halved(span: Self::Span, times: u32) -> Self::Span;
    /// Returns `span` doubled `times` times, or the longest span there is.
    fn doubled(span: Self::Span, times: u32) -> Self::Span;
    /// Returns a share of `span` chosen by `draw`: never more than `span`.
    fn share(span: Self::Span, draw: Draw) -> Self::Span;
}

/// A random number drawn in advance, so that the machines need no source of randomness.
///
/// `Draw::NONE` selects a share of zero; `Draw::new(u32::MAX)` selects nearly all.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Draw(u32);

impl Draw {
    /// The draw for a share of zero: no jitter, no delay.
    pub const NONE: Self = Self(0);

    /// Creates a draw from a number that is uniformly distributed over `u32`.
    pub const fn new(drawn: u32) -> Self {
        Self(drawn)
    }
}

/// An instant: milliseconds since the Unix epoch, in a signed 64-bit integer. Arithmetic on it
/// saturates.
///
/// ```
/// use perennial::time::{Span, Timestamp};
/// let sent = Timestamp::from_millis(1_700_000_000_000);
/// assert_eq!(sent.saturating_add(Span::from_secs(60)).since(sent), Span::from_secs(60));
/// ```
// Rule A1: "All time MUST lie on one timeline: milliseconds since the Unix epoch in a signed 64-bit
// integer. Arithmetic on it MUST saturate."
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Timestamp(i64);

impl Timestamp {
    /// The first instant, about 292 million years before the epoch.
    pub const MIN: Self = Self(i64::MIN);
    /// The last instant, about 292 million years after the epoch.
    pub const MAX: Self = Self(i64::MAX);
    /// 1970-01-01T00:00:00Z.
    pub const UNIX_EPOCH: Self = Self(0);

    /// Creates the instant `millis` milliseconds after the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Creates the instant `seconds` seconds after the Unix epoch, saturating.
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Returns the milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Returns the instant `span` later, or [`Timestamp::MAX`].
    #[must_use]
    pub const fn saturating_add(self, span: Span) -> Self {
        Self(self.0.saturating_add_unsigned(span.0))
    }

    /// Returns the instant `span` earlier, or [`Timestamp::MIN`].
    #[must_use]
    pub const fn saturating_sub(self, span: Span) -> Self {
        Self(self.0.saturating_sub_unsigned(span.0))
    }

    /// Returns the span since `earlier`, or zero if `earlier` is not earlier.
    pub const fn since(self, earlier: Self) -> Span {
        if self.0 > earlier.0 { Span(self.0.abs_diff(earlier.0)) } else { Span::ZERO }
    }
}

/// A duration: milliseconds, never negative. Arithmetic on it saturates.
///
/// A conversion from a [`Duration`] rounds down, so that a lifetime never grows.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Span(u64);

impl Span {
    /// The zero span.
    pub const ZERO: Self = Self(0);
    /// The longest span: from [`Timestamp::MIN`] to [`Timestamp::MAX`].
    pub const MAX: Self = Self(u64::MAX);

    /// Creates a span of `millis` milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Creates a span of `seconds` seconds, saturating.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Returns the span in milliseconds.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Returns the span as a [`Duration`].
    pub const fn to_duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl From<Duration> for Span {
    fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        span.to_duration()
    }
}

impl Time for Timestamp {
    type Span = Span;

    fn zero() -> Span {
        Span::ZERO
    }

    fn saturating_add(self, span: Span) -> Self {
        self.saturating_add(span)
    }

    fn saturating_sub(self, span: Span) -> Self {
        self.saturating_sub(span)
    }

    fn since(self, earlier: Self) -> Span {
        self.since(earlier)
    }

    fn halved(span: Span, times: u32) -> Span {
        Span(span.0.checked_shr(times).unwrap_or(0))
    }

    fn doubled(span: Span, times: u32) -> Span {
        if times > span.0.leading_zeros() && span.0 > 0 {
            Span::MAX
        } else {
            Span(span.0.checked_shl(times).unwrap_or(0))
        }
    }

    fn share(span: Span, draw: Draw) -> Span {
        let scaled = (u128::from(span.0) * u128::from(draw.0)) >> 32;
        // The product of 64 and 32 bits, less 32, fits 64 bits.
        Span(u64::try_from(scaled).unwrap_or(u64::MAX))
    }
}
