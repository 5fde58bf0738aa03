//! The snapshot that readers see: the token, and how long it may be handed out without asking the
//! lifecycle. Reading it takes no lock and writes nothing.

use std::sync::Arc;

use crate::primitives::{AtomicU64, Latest, Ordering};
use crate::session::ports::SessionClock;
use crate::time::Timestamp;
use crate::token::AccessToken;

/// A token that is handed out as it is while `since <= now < until`. At other times, or without one,
/// the session's lifecycle is asked.
pub(crate) struct Snapshot {
    pub(crate) token: AccessToken,
    /// When it was published. A clock that shows less has gone back (rule A5).
    since: Timestamp,
    /// The first instant at which anything changes without an event (rule B12).
    until: Timestamp,
}

impl Snapshot {
    pub(crate) fn new(token: AccessToken, since: Timestamp, until: Timestamp) -> Self {
        Self { token, since, until }
    }

    pub(crate) fn holds_at(&self, now: Timestamp) -> bool {
        self.since <= now && now < self.until
    }
}

/// The place where the snapshot is published. It has cache lines of its own, so that what waiters write
/// does not slow readers down.
#[repr(align(128))]
pub(crate) struct Slot {
    latest: Latest<Snapshot>,
    /// Counts the publications.
    version: AtomicU64,
    /// Kept beside the snapshot, since readers need both.
    pub(crate) clock: SessionClock,
}

impl Slot {
    pub(crate) fn new(clock: SessionClock) -> Self {
        Self { latest: Latest::new(None), version: AtomicU64::new(0), clock }
    }

    /// Lends the token to `take`, where it may be handed out now.
    #[inline]
    pub(crate) fn read<R>(&self, take: impl FnOnce(&AccessToken) -> R) -> Option<R> {
        self.read_at(self.clock.now(), take)
    }

    /// Lends the token to `take`, where it may be handed out at `now`. Rule C1: "Reading a valid token
    /// MUST take no lock, write no shared memory and allocate nothing".
    #[inline]
    pub(crate) fn read_at<R>(
        &self,
        now: Timestamp,
        take: impl FnOnce(&AccessToken) -> R,
    ) -> Option<R> {
        let snapshot = self.latest.load();
        match &*snapshot {
            Some(snapshot) if snapshot.holds_at(now) => Some(take(&snapshot.token)),
            Some(_) | None => None,
        }
    }

    /// Returns the number of the publication that a reader would see.
    #[inline]
    pub(crate) fn version(&self) -> u64 {
        // Acquire, with the release in `publish`: who sees a version sees its snapshot or a newer.
        self.version.load(Ordering::Acquire)
    }

    /// Returns the snapshot, which may be kept while the version stays what it was before this call.
    pub(crate) fn latest(&self) -> Option<Arc<Snapshot>> {
        self.latest.load_full()
    }

    /// Publishes `next`. Called under the session's lock, so that publications are ordered as the
    /// changes are. Returns the replaced snapshot, to be dropped outside the lock.
    pub(crate) fn publish(&self, next: Option<Snapshot>) -> Option<Arc<Snapshot>> {
        let replaced = self.latest.swap(next.map(Arc::new));
        // Release, after the snapshot is in place: see `version`.
        self.version.fetch_add(1, Ordering::Release);
        replaced
    }
}
