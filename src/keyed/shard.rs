//! One shard: some of the keys, under one lock.

use core::hash::BuildHasher;
use std::hash::RandomState;
use std::prelude::rust_2024::*;

use hashbrown::HashTable;

use super::aging::{Aging, UNREAD_FOR};
use super::program::Key;
use super::record::{Idle, Live, Record};
use super::wheel::Wheel;
use crate::lifecycle::Policy;
use crate::session::Session;
use crate::session::suspend::{Prepared, Suspended, outlook};
use crate::time::Timestamp;

use super::record::Slab;

/// Some of the sessions. Each key is stored once, in its record.
pub(super) struct Shard<K> {
    table: HashTable<u32>,
    records: Slab<K>,
    /// Present only while a keeper runs.
    wheel: Option<Wheel>,
    /// The record that is swept next.
    hand: u32,
    in_use: usize,
}

/// Values to drop once the lock is released, since their destructors may be the program's code.
pub(super) struct Garbage<K> {
    pub(super) evicted: Vec<(K, Suspended)>,
    sessions: Vec<Session>,
    prepared: Vec<Prepared>,
}

impl<K> Default for Garbage<K> {
    fn default() -> Self {
        Self { evicted: Vec::new(), sessions: Vec::new(), prepared: Vec::new() }
    }
}

impl<K> Shard<K> {
    pub(super) fn new() -> Self {
        let (table, records) = (HashTable::new(), Slab::new());
        Self { table, records, wheel: None, hand: 0, in_use: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn in_use(&self) -> usize {
        self.in_use
    }

    pub(super) fn places(&self) -> u32 {
        self.records.places()
    }

    /// Returns all sessions in use.
    pub(super) fn sessions(&self) -> Vec<Session> {
        let live = |id| match self.records.get(id) {
            Some(Record::Live(_, live)) => Some(live.get()),
            Some(Record::Idle(..) | Record::Vacant) | None => None,
        };
        (0..self.records.places()).filter_map(live).collect()
    }
}

impl<K: Key> Shard<K> {
    pub(super) fn get(&self, hash: u64, key: &K) -> Option<&Record<K>> {
        self.records.get(self.id(hash, key)?)
    }

    fn id(&self, hash: u64, key: &K) -> Option<u32> {
        let found = self.table.find(hash, |id| self.key(*id) == Some(key));
        found.copied()
    }

    fn key(&self, id: u32) -> Option<&K> {
        match self.records.get(id)? {
            Record::Vacant => None,
            Record::Idle(key, _) | Record::Live(key, _) => Some(key),
        }
    }

    fn add(&mut self, hash: u64, hasher: &RandomState, record: Record<K>) {
        let id = self.records.add(record);
        let records = &self.records;
        self.table.insert_unique(hash, id, |id| match records.get(*id) {
            Some(Record::Idle(key, _) | Record::Live(key, _)) => hasher.hash_one(key),
            Some(Record::Vacant) | None => 0,
        });
    }

    /// Adds a packed session. Returns it where the key has a session already.
    pub(super) fn begin(
        &mut self,
        hash: u64,
        hasher: &RandomState,
        key: &K,
        idle: Idle,
    ) -> Option<Idle> {
        if self.id(hash, key).is_some() {
            return Some(idle);
        }
        self.add(hash, hasher, Record::Idle(key.clone(), idle));
        None
    }

    /// Returns the session of `key`: the one in use, the packed one resumed, or `first`.
    pub(super) fn resume(
        &mut self,
        hash: u64,
        hasher: &RandomState,
        key: &K,
        prepared: Prepared,
        first: Option<Suspended>,
        garbage: &mut Garbage<K>,
    ) -> Option<Session> {
        let Some(id) = self.id(hash, key) else {
            let session = Session::resume(prepared, first?);
            let live = Live::new(session.clone());
            self.add(hash, hasher, Record::Live(key.clone(), live));
            self.in_use += 1;
            return Some(session);
        };
        match self.records.replace(id, Record::Vacant) {
            Record::Idle(key, idle) => {
                let session = Session::resume(prepared, idle.unpack());
                let live = Live::new(session.clone());
                self.records.replace(id, Record::Live(key, live));
                self.in_use += 1;
                Some(session)
            }
            Record::Live(key, live) => {
                garbage.prepared.push(prepared);
                let session = live.get();
                self.records.replace(id, Record::Live(key, live));
                Some(session)
            }
            Record::Vacant => None,
        }
    }

    /// Sweeps the next few records: packs those that nobody has used since the last round, and evicts
    /// those that have been packed for long enough, where the policy says so.
    pub(super) fn sweep(&mut self, count: u32, aging: &Aging<'_, K>, garbage: &mut Garbage<K>) {
        let places = self.records.places();
        for _ in 0..count.min(places.saturating_mul(2)) {
            self.hand = if self.hand + 1 < places { self.hand + 1 } else { 0 };
            let id = self.hand;
            match self.records.get(id) {
                Some(Record::Live(_, live)) if live.is_unused() => {
                    self.pack(id, aging, garbage);
                }
                Some(Record::Idle(key, idle)) if aging.is_over(idle) => {
                    self.remove(aging.hasher.hash_one(key), id, garbage);
                }
                Some(Record::Live(..) | Record::Idle(..) | Record::Vacant) | None => {}
            }
        }
    }

    fn pack(&mut self, id: u32, aging: &Aging<'_, K>, garbage: &mut Garbage<K>) {
        let Some(Record::Live(_, live)) = self.records.get(id) else { return };
        let Some(rest) = live.session.suspend(aging.now) else { return };
        if let Record::Live(key, live) = self.records.replace(id, Record::Vacant) {
            self.records.replace(id, Record::Idle(key, Idle::pack(rest, aging.seconds)));
            garbage.sessions.push(live.session);
            self.in_use -= 1;
        }
    }

    /// Removes a session where nothing would be lost with it: nothing of it is in flight, nobody has a
    /// handle, and nobody has logged in meanwhile.
    pub(super) fn forget(
        &mut self,
        hash: u64,
        key: &K,
        aging: &Aging<'_, K>,
        garbage: &mut Garbage<K>,
    ) {
        let Some(id) = self.id(hash, key) else { return };
        self.pack(id, aging, garbage);
        match self.records.get(id) {
            Some(Record::Idle(_, idle)) if aging.is_empty(idle) => self.remove(hash, id, garbage),
            Some(Record::Idle(..) | Record::Live(..) | Record::Vacant) | None => {}
        }
    }

    fn remove(&mut self, hash: u64, id: u32, garbage: &mut Garbage<K>) {
        if let Ok(entry) = self.table.find_entry(hash, |other| *other == id) {
            entry.remove();
        }
        if let Some(wheel) = &mut self.wheel {
            wheel.unset(id);
        }
        if let Record::Idle(key, idle) = self.records.remove(id) {
            garbage.evicted.push((key, idle.unpack()));
        }
    }

    /// Starts the wheel, with all sessions of this shard.
    pub(super) fn keep_time(&mut self, policy: &Policy, now: Timestamp) {
        if self.wheel.is_none() {
            self.wheel = Some(Wheel::new(now));
            for id in 0..self.records.places() {
                self.schedule_id(id, policy, now);
            }
        }
    }

    /// Schedules when `key` is looked at next: when its session next changes without an event.
    pub(super) fn schedule(&mut self, hash: u64, key: &K, policy: &Policy, now: Timestamp) {
        if let Some(id) = self.id(hash, key) {
            self.schedule_id(id, policy, now);
        }
    }

    fn schedule_id(&mut self, id: u32, policy: &Policy, now: Timestamp) {
        if self.wheel.is_none() {
            return;
        }
        let (next, due) = match self.records.get(id) {
            Some(Record::Idle(_, idle)) => outlook(&idle.lifecycle(), policy, now),
            Some(Record::Live(_, live)) => live.session.outlook(now),
            Some(Record::Vacant) | None => return,
        };
        let at = match (due, self.is_unread(id)) {
            // What is due and could not be renewed is tried again, a tick later.
            (true, false) => Some(now),
            (true, true) => Some(now.saturating_add(UNREAD_FOR.into())),
            (false, _) => next,
        };
        let Some(wheel) = &mut self.wheel else { return };
        match at {
            Some(at) => wheel.set(id, at),
            None => wheel.unset(id),
        }
    }

    /// Returns whether the store of a key could not be read so far. Trying again is left to its callers:
    /// a keeper would keep a key that nobody asks for.
    fn is_unread(&self, id: u32) -> bool {
        match self.records.get(id) {
            Some(Record::Idle(_, idle)) => {
                !idle.holds_grant() && !idle.is_stored() && idle.lifecycle().failures() > 0
            }
            Some(Record::Live(_, live)) => live.session.is_unread(),
            Some(Record::Vacant) | None => false,
        }
    }

    /// Returns whether the keeper is to renew `key` now.
    pub(super) fn is_due(&self, hash: u64, key: &K, policy: &Policy, now: Timestamp) -> bool {
        let id = self.id(hash, key);
        if id.is_some_and(|id| self.is_unread(id)) {
            return false;
        }
        match id.and_then(|id| self.records.get(id)) {
            Some(Record::Idle(_, idle)) => outlook(&idle.lifecycle(), policy, now).1,
            Some(Record::Live(_, live)) => live.session.outlook(now).1,
            Some(Record::Vacant) | None => false,
        }
    }

    /// Returns the keys that are due at `now`.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<K> {
        let mut fired = Vec::new();
        if let Some(wheel) = &mut self.wheel {
            wheel.advance(now, |id| fired.push(id));
        }
        fired.into_iter().filter_map(|id| self.key(id).cloned()).collect()
    }

    /// Returns when to ask again for what is due.
    pub(super) fn next_stir(&self) -> Option<Timestamp> {
        self.wheel.as_ref().and_then(Wheel::next_stir)
    }
}
