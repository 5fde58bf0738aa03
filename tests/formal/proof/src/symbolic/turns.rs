//! Every family, policy and event of the server's machine: numbers written out one by one, instants
//! and spans any at all.

use perennial::rotation::{RawPolicy, Reuse, Row, Tolerance};

use super::states::{now, then};
use super::sym::{Instant, Length};
use crate::turn::{Turn, events};

/// Each order that a count of uses and its limit can be in, and the ends of both.
const USES: [u32; 5] = [0, 1, 2, u32::MAX - 1, u32::MAX];
const LIMITS: [u32; 4] = [0, 1, 2, u32::MAX];
/// None, which a row may say; with no, one and several tokens before it; and the ends.
const NEWEST: [u64; 7] = [0, 1, 2, 3, 5, u64::MAX - 1, u64::MAX];

fn policies() -> Vec<RawPolicy<Instant>> {
    let window = Length::any("policy.window");
    let mut reuses = vec![Reuse::Strict, Reuse::ConfirmByUse];
    for uses in LIMITS {
        reuses.push(Reuse::OverlapAccessOnly { window, uses });
        reuses.push(Reuse::OverlapSuccessors { window, uses });
        reuses.push(Reuse::Idempotent { window, uses });
    }
    let absolutes = [None, Some(Length::any("policy.absolute"))];
    let idles = [None, Some(Length::any("policy.idle"))];
    let mut all = Vec::new();
    for reuse in reuses {
        for absolute in absolutes {
            all.extend(idles.map(|idle| RawPolicy { reuse, absolute, idle }));
        }
    }
    all
}

/// Any row of a store, also one that no history leads to: nothing is assumed of it.
fn rows() -> Vec<Row<Instant>> {
    let until = Instant::any("until");
    let open = USES.map(|uses| Tolerance::Open { until, uses });
    let mut all = Vec::new();
    for tolerance in [Tolerance::Closed, Tolerance::Unconfirmed].into_iter().chain(open) {
        for newest in NEWEST {
            for revoked in [false, true] {
                let (began, used) = (Instant::any("began"), Instant::any("used"));
                all.push(Row { began, used, newest, tolerance, revoked });
            }
        }
    }
    all
}

/// Every step that there is to be taken, in the hands of the one who takes it.
pub fn turns() -> impl Iterator<Item = impl Fn() -> Turn<Instant>> {
    let rows = rows();
    policies().into_iter().flat_map(move |policy| {
        let rows = rows.clone();
        rows.into_iter().flat_map(move |row| {
            events(row.newest.max(1)).into_iter().map(move |event| {
                move || Turn::take(policy, row, event, now(), [then(), Instant::any("later")])
            })
        })
    })
}
