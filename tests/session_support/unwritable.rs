//! A store in memory that at times cannot be written.

use std::sync::{Arc, Mutex};

use perennial::store::{MemoryStore, Store, StoreError, StoredGrant, Swap, Version, Versioned};

/// Its next writes of a grant fail, this many; notes of intent do not count.
#[derive(Clone, Default)]
pub(crate) struct Unwritable(pub(crate) MemoryStore, pub(crate) Arc<Mutex<u32>>);

impl Store for Unwritable {
    fn load(&self) -> impl Future<Output = Result<Versioned, StoreError>> + Send + 'static {
        Store::load(&self.0)
    }

    fn swap(
        &self,
        expected: Version,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        let mut left = self.1.lock().expect("no panic");
        let fails = *left > 0 && next.as_ref().is_some_and(|next| next.intent.is_none());
        if fails {
            *left -= 1;
        }
        let swap = Store::swap(&self.0, expected, next);
        async move { if fails { Err(StoreError::unreachable("the disk is full")) } else { swap.await } }
    }
}
