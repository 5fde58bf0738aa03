//! A grant in memory.

use core::future::Future;
use std::sync::{Arc, PoisonError};

use super::{Store, StoreError, StoredGrant, Swap, Version, Versioned};
use crate::primitives::Mutex;

/// An in-memory store: for tests, and for several sessions of one process that share a grant.
/// Clones share the grant.
#[derive(Clone, Debug)]
pub struct MemoryStore(Arc<Mutex<Versioned>>);

impl MemoryStore {
    /// Creates an empty store.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Versioned::EMPTY)))
    }

    /// Returns what it holds.
    pub fn content(&self) -> Versioned {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Store for MemoryStore {
    fn load(&self) -> impl Future<Output = Result<Versioned, StoreError>> + Send + 'static {
        let content = self.content();
        async { Ok(content) }
    }

    fn swap(
        &self,
        expected: Version,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        let this = self.clone();
        async move {
            let mut content = this.0.lock().unwrap_or_else(PoisonError::into_inner);
            if content.version != expected {
                return Ok(Swap::Conflict(content.clone()));
            }
            *content = Versioned { version: expected.next(), grant: next };
            Ok(Swap::Done(content.version))
        }
    }
}
