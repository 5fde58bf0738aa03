//! How refreshes fail, and how long the next one waits at least (rules B6, B7).

use super::ledger::Ledger;
use super::network::Outcome;

/// The policy's defaults, in milliseconds.
const MISCONFIGURED: i64 = 30_000;
const RETRY_AFTER_CAP: i64 = 3_600_000;

/// How a refresh failed, as far as it tells how long the next one waits.
pub(crate) enum Failed {
    Plainly {
        asked: Option<i64>,
    },
    /// At most an eighth of the declared window.
    InWindow {
        left: i64,
    },
    /// Without a reason, and so for minutes.
    ForLong,
    Misconfigured,
}

impl Ledger {
    /// An attempt has failed, and is known to count.
    pub(crate) fn failed(&mut self, how: &Failed, half_draws: bool) {
        let longest = |base: i64, cap: i64| (base << self.failures).min(cap);
        let (longest, least) = match *how {
            Failed::Plainly { asked } => {
                (longest(1_000, 60_000), asked.unwrap_or(0).min(RETRY_AFTER_CAP))
            }
            Failed::InWindow { left } => (longest(1_000, 60_000).min(left), 0),
            Failed::ForLong => (60_000, 0),
            Failed::Misconfigured => (longest(MISCONFIGURED, 600_000), MISCONFIGURED),
        };
        self.failures = (self.failures + 1).min(16);
        let delay = least.max(if half_draws { longest / 2 } else { 0 });
        self.not_before = self.not_before.max(self.now() + delay);
    }

    /// Takes in a failure of the newest refresh before its deadline, and tells how long the next one
    /// waits for it. `surely` where nothing can have failed without being seen here.
    pub(crate) fn takes(
        &mut self,
        outcome: Outcome,
        asked: Option<i64>,
        left: Option<i64>,
        surely: bool,
    ) -> Option<Failed> {
        let now = self.now();
        let before = self.unexplained.take();
        self.unsure &= before.is_some();
        let plainly = left.map_or(Failed::Plainly { asked }, |left| Failed::InWindow { left });
        match outcome {
            Outcome::Declined => None,
            Outcome::Misconfigured => Some(Failed::Misconfigured),
            Outcome::Unexplained => {
                let (count, since) = before.map_or((1, now), |(count, since)| (count + 1, since));
                self.unexplained = Some((count, since));
                let surely = surely && self.store.is_none() && !self.unsure;
                let lasts = self.refused_for_long() && surely;
                Some(if lasts && left.is_none() { Failed::ForLong } else { plainly })
            }
            Outcome::Out | Outcome::Granted | Outcome::Unavailable | Outcome::Unknown => {
                Some(plainly)
            }
        }
    }

    /// Rule B6: "after [3] in a row over [5 min]".
    pub(crate) fn refused_for_long(&self) -> bool {
        self.unexplained.is_some_and(|(count, since)| count >= 3 && self.now() - since >= 300_000)
    }
}
