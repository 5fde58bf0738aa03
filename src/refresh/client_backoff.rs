//! Until when the sessions of one client ask no more, since its server does not accept it.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use crate::lifecycle::Policy;
use crate::primitives::{AtomicU64, Ordering};
use crate::time::Timestamp;

/// What the sessions of one client share while the authorization server does not accept that client
/// (rule B6): when the next of them may ask. Clones share it.
///
/// A secret that is being changed makes one session ask at a time, and not each of thousands. The
/// first that succeeds lifts it.
#[derive(Clone)]
pub struct ClientBackoff(Arc<AtomicU64>);

/// As an instant: long before any clock.
const LIFTED: u64 = 0;

impl Default for ClientBackoff {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(LIFTED)))
    }
}

impl ClientBackoff {
    /// Nobody asks until then, nor sooner than before.
    pub(crate) fn hold(&self, until: Timestamp) {
        // Relaxed, as is all here: an instant is all there is to see. Whoever misses it asks once more
        // than need be.
        self.0.fetch_max(encoded(until), Ordering::Relaxed);
    }

    pub(crate) fn lift(&self) {
        // A shared line is not written for each of very many sessions.
        if self.0.load(Ordering::Relaxed) != LIFTED {
            self.0.store(LIFTED, Ordering::Relaxed);
        }
    }

    /// For how long the caller does not ask; `None` where it asks now. Once the backoff is over, the
    /// first to come asks, and the others wait for what it is told.
    pub(crate) fn left(&self, now: Timestamp, policy: &Policy) -> Option<Duration> {
        let found = self.0.load(Ordering::Relaxed);
        let until = decoded(found);
        let latest = now.saturating_add(policy.misconfigured_cap().into());
        if found == LIFTED {
            return None;
        }
        if now < until {
            if until > latest {
                // The clock went back (rule A5).
                self.0.store(encoded(latest), Ordering::Relaxed);
            }
            return Some(until.min(latest).since(now).to_duration());
        }
        let answered = now.saturating_add(policy.refresh_deadline().into()).min(latest);
        let claimed =
            self.0.compare_exchange(found, encoded(answered), Ordering::Relaxed, Ordering::Relaxed);
        claimed.is_err().then(|| answered.since(now).to_duration())
    }
}

/// Later instants are greater, and the first one is zero.
fn encoded(instant: Timestamp) -> u64 {
    instant.since(Timestamp::MIN).as_millis()
}

fn decoded(number: u64) -> Timestamp {
    Timestamp::MIN.saturating_add(crate::time::Span::from_millis(number))
}

impl fmt::Debug for ClientBackoff {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ClientBackoff(..)")
    }
}
