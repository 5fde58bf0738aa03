//! The backoff that all sessions of a client share while its server does not accept the client.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use crate::lifecycle::Policy;
use crate::primitives::{AtomicU64, Ordering};
use crate::time::Timestamp;

/// The backoff that the sessions of one client share while the authorization server does not accept
/// that client. Clones share it. See rule [B6](crate::spec#b-the-client-machine).
///
/// While a client secret is being changed, one session asks at a time instead of thousands. The
/// backoff ends with the first request which shows that the client is accepted: by a grant, or by a
/// refusal of its refresh token. A session that is refused while others are accepted, because it
/// asks for something that it is not allowed, does not delay the others.
#[derive(Clone)]
pub struct ClientBackoff(Arc<Shared>);

struct Shared {
    until: AtomicU64,
    /// How often the client was accepted.
    accepted: AtomicU64,
}

/// As an instant, this is long before any clock's.
const LIFTED: u64 = 0;

/// What a session's own refusals show, until its next grant.
#[derive(Copy, Clone, Default)]
pub(crate) enum Refused {
    #[default]
    Never,
    /// The client had been accepted this often; and nobody was to ask before this instant.
    Lately { accepted: u64, until: u64 },
    /// Another session was accepted between two refusals: only this one is refused.
    Alone,
}

impl Default for ClientBackoff {
    fn default() -> Self {
        Self(Arc::new(Shared { until: AtomicU64::new(LIFTED), accepted: AtomicU64::new(0) }))
    }
}

impl ClientBackoff {
    /// Records that a session was refused, which had been refused as `before` says, and which asks
    /// again at `until`: until then, or a later instant that is already set, nobody asks. After a
    /// first refusal that is the shortest backoff, since others may be accepted.
    pub(crate) fn hold(
        &self,
        before: Refused,
        until: Timestamp,
        now: Timestamp,
        policy: &Policy,
    ) -> Refused {
        // Relaxed, as is all here: an instant and a count are all there is to see. A session that
        // misses one asks once more than necessary.
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

    /// Records that the client was accepted.
    pub(crate) fn lift(&self) {
        self.0.accepted.fetch_add(1, Ordering::Relaxed);
        self.0.until.store(LIFTED, Ordering::Relaxed);
    }

    /// Returns for how long the caller must not ask; `None` if it may ask now. Once the backoff is
    /// over, the first session to call this asks, and the others wait for its outcome. One that was
    /// refused lets others go first, unless nobody has asked since.
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
