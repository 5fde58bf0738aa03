//! A store that counts what is written.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use perennial::issue::{
    FamilyId, FamilyRecord, FamilyStore, FamilySwap, MemoryFamilies, VersionedFamily,
};
use perennial::rotation::Row;
use perennial::store::{StoreError, Version};
use perennial::time::Timestamp;

/// Families in memory, and how often they were written.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    families: MemoryFamilies,
    writes: Arc<AtomicU64>,
}

impl Counted {
    /// How often it was written, or tried to.
    pub(crate) fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    fn write(&self) {
        self.writes.fetch_add(1, Ordering::Relaxed);
    }
}

impl FamilyStore for Counted {
    async fn insert(&self, id: FamilyId, record: FamilyRecord) -> Result<(), StoreError> {
        self.write();
        self.families.insert(id, record).await
    }

    async fn find(&self, id: FamilyId) -> Result<Option<VersionedFamily>, StoreError> {
        self.families.find(id).await
    }

    async fn swap(
        &self,
        id: FamilyId,
        expected: Version,
        family: Row,
        forget_at: Option<Timestamp>,
    ) -> Result<FamilySwap, StoreError> {
        self.write();
        self.families.swap(id, expected, family, forget_at).await
    }

    async fn revoke(&self, id: FamilyId) -> Result<(), StoreError> {
        self.write();
        self.families.revoke(id).await
    }

    async fn revoke_subject(&self, subject: &str) -> Result<u64, StoreError> {
        self.write();
        self.families.revoke_subject(subject).await
    }

    async fn families_of(
        &self,
        subject: &str,
        most: usize,
    ) -> Result<Vec<(FamilyId, FamilyRecord)>, StoreError> {
        self.families.families_of(subject, most).await
    }

    async fn purge(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.write();
        self.families.purge(now).await
    }
}
