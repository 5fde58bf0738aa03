//! Models of the private protocols between keyed sessions and their keeper.

use std::sync::Arc;

use loom::thread;

use super::nudge::Nudge;
use crate::primitives::{Mutex, Parker};

#[path = "../../tests/loom/exhaust.rs"]
mod exhaust;

use exhaust::{Bound::Unbounded, exhaust};

// Rule C3.
#[test]
fn a_keeper_that_looked_before_a_key_was_scheduled_is_nudged() {
    exhaust(Unbounded, || {
        // What is due is under a shard's lock; here, that one key is.
        let (nudge, shard) = (Arc::new(Nudge::default()), Arc::new(Mutex::new(false)));
        let (nudging, scheduled) = (Arc::clone(&nudge), Arc::clone(&shard));
        let scheduling = thread::spawn(move || {
            *scheduled.lock().expect("no panic") = true;
            nudging.call();
        });
        let parker = Parker::new();
        loop {
            nudge.wait(parker.waker());
            let is_due = *shard.lock().expect("no panic");
            if is_due {
                break;
            }
            parker.park();
        }
        scheduling.join().expect("no panic");
    });
}
