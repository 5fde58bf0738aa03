//! Which of the packed sessions are to go.

use core::time::Duration;
use std::hash::RandomState;

use super::program::Program;
use super::record::Idle;
use crate::time::Timestamp;

/// How long after its last look-up a key is kept whose store was not read.
const UNREAD_FOR: Duration = Duration::from_secs(60);

/// What a sweep goes by.
pub(super) struct Aging<'a, K> {
    pub(super) now: Timestamp,
    pub(super) seconds: u32,
    pub(super) hasher: &'a RandomState,
    pub(super) program: &'a Program<K>,
}

impl<K> Aging<'_, K> {
    /// Whether a packed session is to go.
    pub(super) fn is_over(&self, idle: &Idle) -> bool {
        if !idle.holds_grant() {
            return self.is_empty(idle);
        }
        let safe = idle.is_stored() || self.program.on_evict.is_some();
        safe && self.program.evict_after.is_some_and(|after| self.is_unused_for(after, idle))
    }

    /// Whether nothing is lost with a packed session, and nothing that has ended comes back.
    pub(super) fn is_empty(&self, idle: &Idle) -> bool {
        let lifecycle = idle.lifecycle();
        match lifecycle.ending() {
            _ if idle.holds_grant() => false,
            // With a store: it holds no grant either, or else the logout is still to be stored.
            Some(_) => self.program.stores.is_none() || idle.is_stored(),
            // Its store was not read, or could not be: that is not tried more often for it.
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
