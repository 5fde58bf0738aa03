//! The lease of the inner store, whose content is opened.

use core::time::Duration;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use super::envelope::Seal;
use crate::refresh::BoxFuture;
use crate::store::{Acquired, Lease, StoreError, Version};

/// Returns the inner store's lease, as this store's.
pub(super) fn sealed(inner: Arc<dyn Lease>, seal: &Arc<Seal>) -> Arc<dyn Lease> {
    Arc::new(SealedLease { inner, seal: Arc::clone(seal) })
}

struct SealedLease {
    inner: Arc<dyn Lease>,
    seal: Arc<Seal>,
}

impl Lease for SealedLease {
    fn acquire(&self, term: Duration) -> BoxFuture<Result<Acquired, StoreError>> {
        let (inner, seal) = (Arc::clone(&self.inner), Arc::clone(&self.seal));
        Box::pin(async move {
            match inner.acquire(term).await? {
                Acquired::Busy { remaining } => Ok(Acquired::Busy { remaining }),
                Acquired::Held(found) => {
                    let fence = found.version;
                    match seal.open_content(found) {
                        Ok(found) => Ok(Acquired::Held(found)),
                        Err(error) => {
                            // Nobody may hold it by a call that failed.
                            let _ = inner.release(fence).await;
                            Err(error)
                        }
                    }
                }
            }
        })
    }

    fn renew(&self, fence: Version, term: Duration) -> BoxFuture<Result<bool, StoreError>> {
        self.inner.renew(fence, term)
    }

    fn release(&self, fence: Version) -> BoxFuture<Result<(), StoreError>> {
        self.inner.release(fence)
    }

    fn changed(&self) -> BoxFuture<()> {
        self.inner.changed()
    }
}
