//! The life of a token, from the rule.

use perennial::lifecycle::TokenTimes;
use perennial::time::Time;

use crate::tick::Tick;
use crate::world::{MARGIN, REFRESH_DEADLINE, REFRESH_WINDOW};

/// The life of a token: nothing where only a rejection ends it.
pub(crate) type Life = Option<Instants>;

#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Instants {
    /// How long it is in all.
    pub(crate) length: u8,
    pub(crate) due: Tick,
    pub(crate) lapse: Tick,
    pub(crate) end: Tick,
}

impl Instants {
    /// From when on a refresh token that may be refused is presented although this one works (rule B6):
    /// a refresh deadline before it lapses, or an eighth of its life where that is less.
    pub(crate) fn last_chance(self) -> Tick {
        self.lapse.minus(REFRESH_DEADLINE.min(self.length / 8))
    }
}

/// Rule B1.
pub(crate) fn lay_out(token: TokenTimes<Tick>, now: Tick) -> Life {
    let length = token.lifetime?;
    let sent = token.sent.min(now);
    let end = sent.plus(length);
    let lapse = end.minus(MARGIN.min(length / 8));
    let wish = token.refresh_in.map_or(end.minus(REFRESH_WINDOW), |hint| sent.plus(hint));
    let wish = wish.minus(Tick::share(length / 8, token.jitter));
    Some(Instants { length, due: wish.max(sent.plus(length / 2)).min(lapse), lapse, end })
}

pub(crate) fn outlives(new: Life, old: Life) -> bool {
    match (new, old) {
        (Some(new), Some(old)) => new.end > old.end,
        (None, Some(_)) => true,
        (_, None) => false,
    }
}
