//! The life of a token, from the rule.

use perennial::lifecycle::TokenTimes;
use perennial::time::Time;

use crate::tick::Tick;
use crate::world::{MARGIN, REFRESH_WINDOW};

/// The life of a token: nothing where only a rejection ends it.
pub(crate) type Life = Option<Instants>;

#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Instants {
    pub(crate) due: Tick,
    pub(crate) lapse: Tick,
    pub(crate) end: Tick,
}

/// Rule B1.
pub(crate) fn lay_out(token: TokenTimes<Tick>, now: Tick) -> Life {
    let lifetime = token.lifetime?;
    let sent = token.sent.min(now);
    let end = sent.plus(lifetime);
    let lapse = end.minus(MARGIN.min(lifetime / 8));
    let wish = token.refresh_in.map_or(end.minus(REFRESH_WINDOW), |hint| sent.plus(hint));
    let wish = wish.minus(Tick::share(lifetime / 8, token.jitter));
    Some(Instants { due: wish.max(sent.plus(lifetime / 2)).min(lapse), lapse, end })
}

pub(crate) fn outlives(new: Life, old: Life) -> bool {
    match (new, old) {
        (Some(new), Some(old)) => new.end > old.end,
        (None, Some(_)) => true,
        (_, None) => false,
    }
}
