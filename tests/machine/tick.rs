//! An instant of three bits: seven is the end of time.

use perennial::time::{Draw, Span, Time, Timestamp};

pub(crate) const LAST: u8 = 7;

#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Tick(pub(crate) u8);

/// Every instant there is.
pub(crate) fn all() -> impl DoubleEndedIterator<Item = Tick> {
    (0..=LAST).map(Tick)
}

impl Time for Tick {
    type Span = u8;

    fn zero() -> u8 {
        0
    }

    fn saturating_add(self, span: u8) -> Self {
        Self(self.0.saturating_add(span).min(LAST))
    }

    fn saturating_sub(self, span: u8) -> Self {
        Self(self.0.saturating_sub(span))
    }

    fn since(self, earlier: Self) -> u8 {
        self.0.saturating_sub(earlier.0)
    }

    fn halved(span: u8, times: u32) -> u8 {
        span.checked_shr(times).unwrap_or(0)
    }

    fn doubled(span: u8, times: u32) -> u8 {
        (0..times.min(8)).fold(span, |span, _| span.saturating_mul(2)).min(LAST)
    }

    fn share(span: u8, draw: Draw) -> u8 {
        let shared = Timestamp::share(Span::from_millis(span.into()), draw);
        u8::try_from(shared.as_millis()).unwrap_or(LAST)
    }
}
