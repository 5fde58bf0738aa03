//! What is counted, in bins of time, and what follows from the counts.

use std::time::Duration;

use crate::redis::{Bytes, Step};
use crate::{Fleet, SECOND};

/// Each quantity by bins of `Fleet::bin`.
#[derive(Debug, Default, Clone)]
pub(crate) struct Counts {
    pub(crate) asked: Vec<u64>,
    pub(crate) granted: Vec<u64>,
    pub(crate) steps: Vec<u64>,
    pub(crate) bytes: Vec<u64>,
    pub(crate) published: Vec<u64>,
    /// How many grants had no usable token in the store.
    pub(crate) lapsed: Vec<i64>,
    /// When the last grant that had been refused was granted.
    pub(crate) recovered: Duration,
    /// How often a holder has waited for another one.
    pub(crate) waits: u64,
    /// How often a spent refresh token was presented.
    pub(crate) reused: u64,
}

impl Counts {
    pub(crate) fn new(bins: usize) -> Self {
        let none = vec![0; bins];
        Self {
            asked: none.clone(),
            granted: none.clone(),
            steps: none.clone(),
            bytes: none.clone(),
            published: none,
            lapsed: vec![0; bins + 1],
            ..Self::default()
        }
    }

    pub(crate) fn step(&mut self, bin: usize, step: Step, bytes: &Bytes) {
        self.steps[bin] += 1;
        self.bytes[bin] += bytes.of(step);
        match step {
            Step::Noted | Step::Stored | Step::Released => self.published[bin] += 1,
            Step::Acquired | Step::Refused | Step::Loaded => {}
        }
    }
}

/// What a run shows, at the size of the whole fleet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Figures {
    /// A second, without an outage.
    pub(crate) refreshes: f64,
    pub(crate) peak: f64,
    pub(crate) steps: f64,
    pub(crate) bytes: f64,
    pub(crate) published: f64,
    /// In multiples of `refreshes`.
    pub(crate) asked_in_outage: f64,
    pub(crate) asked_after: f64,
    pub(crate) granted_after: f64,
    /// A lifetime later, when what was granted at once comes back.
    pub(crate) echo: f64,
    pub(crate) asked_again: f64,
    pub(crate) steps_in_outage: f64,
    /// Of all grants, at worst.
    pub(crate) lapsed: f64,
    pub(crate) recovered: Duration,
}

impl Figures {
    pub(crate) fn of(fleet: &Fleet, counts: &Counts) -> Self {
        let bin =
            |at: Duration| usize::try_from(at.as_millis() / fleet.bin.as_millis()).expect("few");
        let life = fleet.lifetime;
        let (outage, end) = (fleet.outage_at(), fleet.outage_at() + fleet.outage);
        let steady = bin(life)..bin(2 * life);
        let a_second = fleet.scale() / fleet.bin.as_secs_f64();
        let mean = |bins: &[u64]| {
            let all = &bins[steady.clone()];
            all.iter().sum::<u64>() as f64 / all.len() as f64 * a_second
        };
        let peak = |bins: &[u64], from: Duration, to: Duration| {
            let highest = bins[bin(from)..bin(to)].iter().max().copied().unwrap_or_default();
            highest as f64 * a_second
        };
        let refreshes = mean(&counts.granted);
        let mut open = 0;
        let lapsed = counts.lapsed.iter().map(|change| {
            open += change;
            open
        });
        let lapsed = lapsed.max().unwrap_or_default() as f64 / f64::from(fleet.sample);
        // Soon after the end, and not what comes back a lifetime later.
        let after = end + life / 2;
        Self {
            refreshes,
            peak: peak(&counts.granted, life, 2 * life),
            steps: mean(&counts.steps),
            bytes: mean(&counts.bytes),
            published: mean(&counts.published),
            asked_in_outage: peak(&counts.asked, outage, end) / refreshes,
            asked_after: peak(&counts.asked, end, after) / refreshes,
            granted_after: peak(&counts.granted, end, after) / refreshes,
            echo: peak(&counts.granted, after, end + life * 3 / 2) / refreshes,
            asked_again: peak(&counts.asked, after, end + life * 3 / 2) / refreshes,
            steps_in_outage: peak(&counts.steps, outage, end) / mean(&counts.steps),
            lapsed,
            recovered: counts.recovered.saturating_sub(end),
        }
    }
}

/// What a page of arithmetic says of the same.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Estimate {
    /// From one refresh of a grant to its next.
    pub(crate) interval: f64,
    pub(crate) refreshes: f64,
    pub(crate) steps: f64,
    pub(crate) bytes: f64,
    pub(crate) published: f64,
    pub(crate) asked_in_outage: f64,
}

impl Estimate {
    pub(crate) fn of(fleet: &Fleet, bytes: &Bytes, jitter: bool) -> Self {
        let holders = f64::from(fleet.holders);
        let life = fleet.lifetime.as_secs_f64();
        // Of this many draws the highest decides; their gaps are all alike.
        let spread = if jitter { life / 8.0 } else { 0.0 };
        let gap = spread / (holders + 1.0);
        let interval = life - fleet.window.as_secs_f64() - gap * holders;
        let refreshes = fleet.grants as f64 / interval;
        let of = |step| bytes.of(step) as f64;
        let adoption = of(Step::Acquired) + of(Step::Released);
        let refresh = adoption + of(Step::Noted) + of(Step::Stored);
        // One more holder of each grant that became due is due after each gap.
        let outage = fleet.outage.as_secs_f64();
        let due = (0..fleet.holders).map(|it| (outage - gap * f64::from(it)).max(0.0));
        // The backoff doubles so often from a second to its cap; delays are half of it in the mean.
        let cap = fleet.backoff_cap.as_secs_f64();
        let doublings = cap.max(1.0).log2().ceil();
        let doubling = (doublings.exp2() - 1.0) / 2.0;
        let asked = due.map(|it| 1.0 + doublings + (it - doubling).max(0.0) / (cap / 2.0));
        Self {
            interval,
            refreshes,
            steps: refreshes * (4.0 + 2.0 * (holders - 1.0)),
            bytes: refreshes * (refresh + adoption * (holders - 1.0)),
            published: refreshes * (3.0 + holders - 1.0),
            asked_in_outage: asked.sum(),
        }
    }
}

pub(crate) fn seconds(span: Duration) -> String {
    format!("{} s", span.as_millis().div_ceil(SECOND.as_millis()))
}
