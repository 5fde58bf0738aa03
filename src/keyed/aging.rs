//! Aging: which of the packed sessions are evicted.

use core::time::Duration;
use std::hash::RandomState;

use super::program::Program;
use super::record::Idle;
use crate::time::Timestamp;

/// How long a key whose store was not read is kept after its last look-up.
pub(super) const UNREAD_FOR: Duration = Duration::from_secs(60);

/// The time and the rules that a sweep applies.
pub(super) struct Aging<'a, K> {
    pub(super) now: Timestamp,
    pub(super) seconds: u32,
    pub(super) hasher: &'a RandomState,
    pub(super) program: &'a Program<K>,
}

impl<K> Aging<'_, K> {
    /// Returns whether a packed session is to be evicted.
    pub(super) fn is_over(&self, idle: &Idle) -> bool {
        if !idle.holds_grant() {
            return self.is_empty(idle);
        }
        let safe = idle.is_stored() || self.program.on_evict.is_some();
        safe && self.program.evict_after.is_some_and(|after| self.is_unused_for(after, idle))
    }

    /// Returns whether evicting a packed session loses nothing, and brings back nothing that has ended.
    pub(super) fn is_empty(&self, idle: &Idle) -> bool {
        let lifecycle = idle.lifecycle();
        match lifecycle.ending() {
            _ if idle.holds_grant() => false,
            // With a store, the store must hold no grant either; otherwise the logout is still to be
            // stored.
            Some(_) => self.program.stores.is_none() || idle.is_stored(),
            // The store was not read, or could not be. Keeping the key limits how often that is tried.
            None => {
                lifecycle.backoff_until().is_none_or(|until| until <= self.now)
                    && self.is_unused_for(UNREAD_FOR, idle)
            }
        }
    }

    fn is_unused_for(&self, duration: Duration, idle: &Idle) -> bool {
        u64::from(self.seconds.saturating_sub(idle.since())) >= duration.as_secs()
    }
}
