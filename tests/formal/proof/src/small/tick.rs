//! Instants and spans of three bits.

use perennial::time::{Draw, Span, Time, Timestamp};

/// How many instants there are, and how many spans.
pub const ALL: u8 = 8;
pub const LAST: u8 = ALL - 1;

#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(pub u8);

/// The draw that takes `share` of whatever has as much.
pub fn draw(share: u8) -> Draw {
    Draw::new(u32::from(share) << 29)
}

impl Time for Tick {
    type Span = u8;

    fn zero() -> u8 {
        0
    }

    fn saturating_add(self, span: u8) -> Self {
        Self((self.0 + span).min(LAST))
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
        match span {
            0 => 0,
            _ if times >= 3 => LAST,
            _ => (span << times).min(LAST),
        }
    }

    fn share(span: u8, draw: Draw) -> u8 {
        // Eight draws, so that every share of every span is taken by one of them.
        let eighths = Timestamp::share(Span::from_millis(ALL.into()), draw).as_millis();
        u8::try_from(eighths).unwrap_or(LAST).min(span)
    }
}

pub fn instants() -> impl Iterator<Item = Tick> {
    (0..ALL).map(Tick)
}

pub fn spans() -> impl Iterator<Item = u8> {
    0..ALL
}
