//! Families in memory, for a single process and for tests.

use core::cmp::Reverse;
use core::fmt;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::prelude::rust_2024::*;
use std::sync::{Arc, PoisonError};

use super::ports::{
    FamilyId, FamilyRecord, FamilyStore, FamilySwap, PURGE_CONFIRMED_AFTER, VersionedFamily,
};
use crate::primitives::{Mutex, MutexGuard};
use crate::rotation::Row;
use crate::store::{StoreError, Version};
use crate::time::Timestamp;

/// Keeps families in memory. Clones share the same families. As others are added, records that may be
/// deleted are: without a refresh token at once, else as by [`purge`](FamilyStore::purge).
#[derive(Clone, Default)]
pub struct MemoryFamilies(Arc<Mutex<StoredFamilies>>);

#[derive(Default)]
struct StoredFamilies {
    families: HashMap<FamilyId, VersionedFamily>,
    of_subject: BTreeMap<String, BTreeSet<FamilyId>>,
    /// When to check whether a record may be deleted: when it may be forgotten, or later.
    looks: BTreeSet<(Timestamp, FamilyId)>,
    /// Families with a refresh token that were found over, and when they were first.
    over: HashMap<FamilyId, Timestamp>,
    /// When the last of them was found.
    newest_over: Option<Timestamp>,
}

impl MemoryFamilies {
    /// Returns an empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the number of families.
    pub fn len(&self) -> usize {
        self.lock().families.len()
    }

    /// Returns whether there are no families.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, StoredFamilies> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StoredFamilies {
    /// Deletes the records that may be deleted at `now`, and returns how many. Rule D4: "a clock that jumps ahead for
    /// less than [1 h] MUST NOT end a login for good".
    fn forget(&mut self, now: Timestamp) -> u64 {
        if self.newest_over > Some(now) {
            self.look_again(now);
        }
        let mut deleted = 0;
        while let Some(&(at, id)) = self.looks.first().filter(|(at, _)| *at <= now) {
            self.looks.remove(&(at, id));
            let Some(VersionedFamily { record, .. }) = self.families.get(&id) else { continue };
            let Some(forget_at) = record.forget_at else {
                self.over.remove(&id);
                continue;
            };
            if forget_at > now {
                // It was used in the meantime.
                self.over.remove(&id);
                self.looks.insert((forget_at, id));
                continue;
            }
            if record.has_refresh_token() {
                let first = *self.over.entry(id).or_insert(now);
                self.newest_over = self.newest_over.max(Some(first));
                let confirmed_at = first.saturating_add(PURGE_CONFIRMED_AFTER);
                if now < confirmed_at {
                    self.looks.insert((confirmed_at, id));
                    continue;
                }
            }
            self.delete(id);
            deleted += 1;
        }
        deleted
    }

    /// The clock went back: what was found over after `now` is to be found over anew.
    fn look_again(&mut self, now: Timestamp) {
        let early = self.over.iter().filter(|(_, first)| **first > now).map(|(id, _)| *id);
        for id in early.collect::<Vec<_>>() {
            self.over.remove(&id);
            let forget_at = self.families.get(&id).and_then(|found| found.record.forget_at);
            // The look that waits for the confirmation finds nothing to do.
            self.looks.extend(forget_at.map(|at| (at, id)));
        }
        self.newest_over = self.over.values().max().copied();
    }

    fn delete(&mut self, id: FamilyId) {
        self.over.remove(&id);
        let Some(found) = self.families.remove(&id) else { return };
        let subject = &found.record.subject;
        if let Some(families) = self.of_subject.get_mut(subject) {
            families.remove(&id);
            if families.is_empty() {
                self.of_subject.remove(subject);
            }
        }
    }

    /// Revokes a family, and returns whether it was not revoked before.
    fn revoke(&mut self, id: FamilyId) -> bool {
        let Some(found) = self.families.get_mut(&id) else { return false };
        let newly_revoked = !found.record.is_revoked();
        let family = Row { revoked: true, ..found.record.family };
        found.replace(family, found.record.forget_at);
        newly_revoked
    }
}

impl VersionedFamily {
    fn replace(&mut self, family: Row, forget_at: Option<Timestamp>) {
        self.version = self.version.next();
        self.record.family = family;
        self.record.forget_at = forget_at;
    }
}

impl FamilyStore for MemoryFamilies {
    async fn insert(&self, id: FamilyId, record: FamilyRecord) -> Result<(), StoreError> {
        let mut kept = self.lock();
        let _ = kept.forget(record.family.began);
        if kept.families.contains_key(&id) {
            return Err(StoreError::unreachable("a family with this name exists already"));
        }
        if let Some(at) = record.forget_at {
            kept.looks.insert((at, id));
        }
        kept.of_subject.entry(record.subject.clone()).or_default().insert(id);
        kept.families.insert(id, VersionedFamily { version: Version::EMPTY.next(), record });
        Ok(())
    }

    async fn find(&self, id: FamilyId) -> Result<Option<VersionedFamily>, StoreError> {
        Ok(self.lock().families.get(&id).cloned())
    }

    async fn swap(
        &self,
        id: FamilyId,
        expected: Version,
        family: Row,
        forget_at: Option<Timestamp>,
    ) -> Result<FamilySwap, StoreError> {
        let mut kept = self.lock();
        Ok(match kept.families.get_mut(&id) {
            Some(found) if found.version == expected => {
                found.replace(family, forget_at);
                FamilySwap::Done
            }
            found => FamilySwap::Conflict(found.cloned()),
        })
    }

    async fn revoke(&self, id: FamilyId) -> Result<(), StoreError> {
        self.lock().revoke(id);
        Ok(())
    }

    async fn revoke_subject(&self, subject: &str) -> Result<u64, StoreError> {
        let mut kept = self.lock();
        let families = kept.of_subject.get(subject).cloned().unwrap_or_default();
        let revoked = families.into_iter().filter(|id| kept.revoke(*id)).count();
        Ok(revoked as u64)
    }

    async fn families_of(
        &self,
        subject: &str,
        most: usize,
    ) -> Result<Vec<(FamilyId, FamilyRecord)>, StoreError> {
        let kept = self.lock();
        let ids = kept.of_subject.get(subject).into_iter().flatten();
        let found = ids.filter_map(|id| Some((*id, &kept.families.get(id)?.record)));
        let found = found.filter(|(_, it)| it.has_refresh_token() && !it.is_revoked());
        let found = found.map(|(id, record)| (id, record.clone()));
        let mut found: Vec<_> = found.collect();
        found.sort_by_key(|(_, record)| Reverse(record.family.used));
        found.truncate(most);
        Ok(found)
    }

    async fn purge(&self, now: Timestamp) -> Result<u64, StoreError> {
        Ok(self.lock().forget(now))
    }
}

impl fmt::Debug for MemoryFamilies {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("MemoryFamilies").field("len", &self.len()).finish()
    }
}
