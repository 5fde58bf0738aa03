//! The server's machine: every family under every policy, told of everything.

use perennial::rotation::{RawPolicy, Reuse, Row, Tolerance};

use super::Count;
use super::any::Any;
use super::tick::{Tick, instants, spans};
use crate::turn::{Turn, events};

const NEWEST: [u64; 4] = [1, 2, 3, u64::MAX];
const USES: [u32; 4] = [0, 1, 2, u32::MAX];

fn reuses() -> Vec<Reuse<Tick>> {
    let mut all = vec![Reuse::Strict, Reuse::ConfirmByUse];
    for window in spans() {
        for uses in USES {
            all.push(Reuse::OverlapAccessOnly { window, uses });
            all.push(Reuse::OverlapSuccessors { window, uses });
            all.push(Reuse::Idempotent { window, uses });
        }
    }
    all
}

fn tolerances() -> Vec<Tolerance<Tick>> {
    let mut all = vec![Tolerance::Closed, Tolerance::Unconfirmed];
    for until in instants() {
        all.extend(USES.map(|uses| Tolerance::Open { until, uses }));
    }
    all
}

fn lifetimes() -> Vec<Option<u8>> {
    [None].into_iter().chain(spans().map(Some)).collect()
}

/// Every event to this family at every now.
fn told(count: &mut Count, any: &mut Any, policy: RawPolicy<Tick>, row: Row<Tick>) {
    for event in events(row.newest) {
        for now in instants() {
            let then = [any.instant(), any.instant()];
            count.turn(&Turn::take(policy, row, event, now, then));
        }
    }
}

/// Everything that is tolerated meets every policy on it, event and now, a few times over.
pub(super) fn tolerated(count: &mut Count, any: &mut Any) {
    let lifetimes = lifetimes();
    for tolerance in core::iter::repeat_n(tolerances(), 4).flatten() {
        for reuse in reuses() {
            for newest in NEWEST {
                for revoked in [false, true] {
                    let (began, used) = (any.instant(), any.instant());
                    let mut lifetime = || any.one(&lifetimes);
                    let policy = RawPolicy { reuse, absolute: lifetime(), idle: lifetime() };
                    told(count, any, policy, Row { began, used, newest, tolerance, revoked });
                }
            }
        }
    }
}

/// Every beginning and use meets both lifetimes, every event and now.
pub(super) fn outlived(count: &mut Count, any: &mut Any) {
    let (tolerances, reuses) = (tolerances(), reuses());
    for began in instants() {
        for used in instants() {
            for absolute in lifetimes() {
                for idle in lifetimes() {
                    for newest in NEWEST {
                        let policy = RawPolicy { reuse: any.one(&reuses), absolute, idle };
                        let tolerance = any.one(&tolerances);
                        let revoked = any.span() == 0;
                        told(count, any, policy, Row { began, used, newest, tolerance, revoked });
                    }
                }
            }
        }
    }
}
