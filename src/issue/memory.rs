//! Families in memory, for a single process and for tests.

use core::fmt;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::string::String;
use std::sync::{Arc, PoisonError};

use super::ports::{FamilyId, FamilyRecord, FamilyStore, FamilySwap, VersionedFamily};
use crate::primitives::{Mutex, MutexGuard};
use crate::rotation::Row;
use crate::store::{StoreError, Version};
use crate::time::Timestamp;

/// Keeps families in memory. Clones share the same families. Records that may be deleted are
/// deleted as others are added.
#[derive(Clone, Default)]
pub struct MemoryFamilies(Arc<Mutex<StoredFamilies>>);

#[derive(Default)]
struct StoredFamilies {
    families: HashMap<FamilyId, VersionedFamily>,
    of_subject: BTreeMap<String, BTreeSet<FamilyId>>,
    /// When to check whether a record may be deleted.
    looks: BTreeSet<(Timestamp, FamilyId)>,
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
    /// Deletes the records that may be deleted by `now`.
    fn forget(&mut self, now: Timestamp) {
        while let Some(&(at, id)) = self.looks.first().filter(|(at, _)| *at <= now) {
            self.looks.remove(&(at, id));
            let Some(found) = self.families.get(&id) else { continue };
            match found.record.forget_at {
                // It was used in the meantime.
                Some(later) if later > now => drop(self.looks.insert((later, id))),
                None => {}
                Some(_) => {
                    let subject = &found.record.subject;
                    if let Some(families) = self.of_subject.get_mut(subject) {
                        families.remove(&id);
                        if families.is_empty() {
                            self.of_subject.remove(subject);
                        }
                    }
                    self.families.remove(&id);
                }
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
        kept.forget(record.family.began);
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
}

impl fmt::Debug for MemoryFamilies {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("MemoryFamilies").field("len", &self.len()).finish()
    }
}
