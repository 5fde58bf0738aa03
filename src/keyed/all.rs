//! What the handles of keyed sessions share: the sessions, in shards.

use core::hash::BuildHasher;
use std::hash::RandomState;
use std::prelude::rust_2024::*;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::aging::Aging;
use super::nudge::Nudge;
use super::program::{Key, Program};
use super::record::Record;
use super::shard::{Garbage, Shard};
use crate::primitives::contained;
use crate::session::suspend::{Suspended, no_such_session};
use crate::session::{Error, Session};
use crate::time::Timestamp;

/// The number of shards, a power of two.
pub(super) const SHARDS: usize = 64;

/// How many records each write to a shard sweeps as well, to pack or to evict them.
pub(super) const SWEPT: u32 = 4;

/// What the handles share.
pub(super) struct All<K> {
    pub(super) shards: Box<[RwLock<Shard<K>>]>,
    pub(super) hasher: RandomState,
    pub(super) program: Arc<Program<K>>,
    /// When the sessions were built.
    pub(super) began: Timestamp,
    pub(super) nudge: Nudge,
}

impl<K: Key> All<K> {
    /// Returns the session of `key`: resumed where it was packed, read from its store where it is new.
    pub(super) fn find(&self, key: &K) -> Result<Session, Error> {
        let hash = self.hash(key);
        let is_new = match self.read(key).get(hash, key) {
            Some(Record::Live(_, live)) => return Ok(live.get()),
            Some(Record::Idle(..) | Record::Vacant) => false,
            None if self.program.stores.is_some() => true,
            None => return Err(no_such_session()),
        };
        // The program's code, called before any lock is taken (rule C6).
        let prepared = self.program.prepare(key);
        let first = self
            .program
            .stores
            .as_ref()
            .map(|_| Suspended::first(&self.program.settings, true, None));
        let now = self.program.settings.now();
        let mut garbage = Garbage::default();
        let session = {
            let mut shard = self.write(key);
            let session = shard.resume(hash, &self.hasher, key, prepared, first, &mut garbage);
            if is_new {
                // Its store is to be read: a keeper does so at its next tick, unless a caller is first.
                shard.schedule(hash, key, self.program.settings.policy(), now);
            }
            shard.sweep(SWEPT, &self.aging(now), &mut garbage);
            session
        };
        self.discard(garbage);
        if is_new {
            self.nudge.call();
        }
        session.ok_or_else(no_such_session)
    }

    pub(super) fn hash(&self, key: &K) -> u64 {
        self.hasher.hash_one(key)
    }

    pub(super) fn shard(&self, key: &K) -> &RwLock<Shard<K>> {
        // The highest bits, since the lowest choose the place within the shard.
        let number = usize::try_from(self.hash(key) >> 40).unwrap_or(0) % SHARDS;
        &self.shards[number]
    }

    pub(super) fn read(&self, key: &K) -> RwLockReadGuard<'_, Shard<K>> {
        lock_for_reading(self.shard(key))
    }

    pub(super) fn write(&self, key: &K) -> RwLockWriteGuard<'_, Shard<K>> {
        lock_for_writing(self.shard(key))
    }

    /// Returns the seconds since the sessions were built.
    pub(super) fn seconds(&self, now: Timestamp) -> u32 {
        u32::try_from(now.since(self.began).as_millis() / 1000).unwrap_or(u32::MAX)
    }

    pub(super) fn aging(&self, now: Timestamp) -> Aging<'_, K> {
        Aging { now, seconds: self.seconds(now), hasher: &self.hasher, program: &self.program }
    }

    /// Drops the garbage outside of any lock, and passes evicted grants to the program.
    pub(super) fn discard(&self, garbage: Garbage<K>) {
        if let Some(on_evict) = &self.program.on_evict {
            for (key, rest) in garbage.evicted {
                if let Some(grant) = rest.grant {
                    // One that panics does not keep the others from being called.
                    let _ = contained(|| on_evict(key, grant));
                }
            }
        }
    }

    /// Schedules the next renewal of `key`, if a keeper runs.
    pub(super) fn schedule(&self, key: &K) {
        let program = &self.program;
        let now = program.settings.now();
        self.write(key).schedule(self.hash(key), key, program.settings.policy(), now);
        self.nudge.call();
    }

    pub(super) fn keep_time(&self, now: Timestamp) {
        for shard in &self.shards {
            lock_for_writing(shard).keep_time(self.program.settings.policy(), now);
        }
    }

    /// Returns when to look again. It asks each shard.
    pub(super) fn next_stir(&self) -> Option<Timestamp> {
        self.shards.iter().filter_map(|shard| lock_for_reading(shard).next_stir()).min()
    }

    /// Returns whether the keeper is to renew `key` now. Resumes no packed session.
    pub(super) fn state_is_due(&self, key: &K, now: Timestamp) -> bool {
        let hash = self.hash(key);
        self.read(key).is_due(hash, key, self.program.settings.policy(), now)
    }

    pub(super) fn schedule_quietly(&self, key: &K, now: Timestamp) {
        self.write(key).schedule(self.hash(key), key, self.program.settings.policy(), now);
    }
}

pub(super) fn lock_for_reading<K>(shard: &RwLock<Shard<K>>) -> RwLockReadGuard<'_, Shard<K>> {
    shard.read().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn lock_for_writing<K>(shard: &RwLock<Shard<K>>) -> RwLockWriteGuard<'_, Shard<K>> {
    shard.write().unwrap_or_else(PoisonError::into_inner)
}

impl<K> Drop for All<K> {
    /// Wakes the keeper, since the last handle is gone: it ends.
    fn drop(&mut self) {
        self.nudge.call();
    }
}
