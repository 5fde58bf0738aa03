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
/// A secret that is being changed makes one session ask at a time, and not each of thousands. The first
/// whose request shows that the client is accepted lifts it: by a grant, or by the refusal of its refresh
/// token. One that is refused while others are accepted, since it asks for what it may not have, keeps
/// nobody else from asking.
#[derive(Clone)]
pub struct ClientBackoff(Arc<Shared>);

struct Shared {
    until: AtomicU64,
    /// How often the client was accepted, and one.
    accepted: AtomicU64,
}

/// As an instant: long before any clock.
const LIFTED: u64 = 0;

/// What a session's own refusals tell, until its next grant.
#[derive(Copy, Clone, Default)]
pub(crate) enum Refused {
    #[default]
    Never,
    /// While the client had been accepted so often; and until when nobody was to ask then.
    Lately { accepted: u64, until: u64 },
    /// Another one was accepted between two of them: it is this session alone that is not.
    Alone,
}

impl Default for ClientBackoff {
    fn default() -> Self {
        Self(Arc::new(Shared { until: AtomicU64::new(LIFTED), accepted: AtomicU64::new(0) }))
    }
}

impl ClientBackoff {
    /// A session was refused, which was `before` as well, and which asks again `until` then: so does
    /// everybody else, nor sooner than before. For a first refusal that is the shortest backoff, since
    /// others may be accepted.
    pub(crate) fn hold(
        &self,
        before: Refused,
        until: Timestamp,
        now: Timestamp,
        policy: &Policy,
    ) -> Refused {
        // Relaxed, as is all here: an instant and a count are all there is to see. Whoever misses one asks
        // once more than need be.
        let accepted = self.0.accepted.load(Ordering::Relaxed);
        let until = encoded(match before {
            Refused::Alone => return Refused::Alone,
            Refused::Lately { accepted: then, .. } if then != accepted => return Refused::Alone,
            Refused::Lately { .. } => until,
            Refused::Never => until.min(now.saturating_add(policy.misconfigured_base().into())),
        });
        self.0.until.fetch_max(until, Ordering::Relaxed);
        Refused::Lately { accepted, until }
    }

    /// The client was accepted.
    pub(crate) fn lift(&self) {
        self.0.accepted.fetch_add(1, Ordering::Relaxed);
        self.0.until.store(LIFTED, Ordering::Relaxed);
    }

    /// For how long the caller does not ask; `None` where it asks now. Once the backoff is over, the
    /// first to come asks, and the others wait for what it is told. One that was refused lets others go
    /// first, unless nobody has asked since.
    pub(crate) fn left(
        &self,
        refused: Refused,
        now: Timestamp,
        policy: &Policy,
    ) -> Option<Duration> {
        let found = self.0.until.load(Ordering::Relaxed);
        let latest = now.saturating_add(policy.misconfigured_cap().into());
        let answer = now.saturating_add(policy.refresh_deadline().into()).min(latest);
        if found == LIFTED {
            return None;
        }
        let until = decoded(found);
        if until > latest {
            // The clock went back (rule A5).
            self.0.until.store(encoded(latest), Ordering::Relaxed);
        }
        let until = match refused {
            Refused::Lately { until: own, .. } if own != found => {
                until.saturating_add(policy.refresh_deadline().into())
            }
            Refused::Never | Refused::Lately { .. } | Refused::Alone => until,
        };
        if now < until {
            return Some(until.min(latest).since(now).to_duration());
        }
        if matches!(refused, Refused::Alone) {
            return None;
        }
        let claim = encoded(answer);
        let claimed =
            self.0.until.compare_exchange(found, claim, Ordering::Relaxed, Ordering::Relaxed);
        claimed.is_err().then(|| answer.since(now).to_duration())
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
