//! The store that all processes share.

use std::sync::Arc;
use std::time::Duration;

use perennial::refresh::BoxFuture;
use perennial::session::Builder;
use perennial::store::{Acquired, Lease, Store, StoreError, StoredGrant, Swap, Version, Versioned};

use crate::Result;
use crate::holder::Step;

/// Adds the store named `store` to `builder`; `say` is told each step of a refresh.
pub(crate) async fn open(builder: Builder, store: &str, say: fn(Step)) -> Result<Builder> {
    Ok(builder.store(Told { store: crate::grant_store::open(store, KEY).await?, say }))
}

/// Under which a server keeps the grant.
const KEY: &str = "fleet";

/// A store that tells of the steps of a refresh.
struct Told<S> {
    store: S,
    say: fn(Step),
}

impl<S: Store> Store for Told<S> {
    fn load(
        &self,
    ) -> impl Future<Output = std::result::Result<Versioned, StoreError>> + Send + 'static {
        self.store.load()
    }

    fn swap(
        &self,
        expected: Version,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = std::result::Result<Swap, StoreError>> + Send + 'static {
        let is_intent = next.as_ref().is_some_and(|next| next.intent.is_some());
        let (swap, say) = (self.store.swap(expected, next), self.say);
        async move {
            let swapped = swap.await?;
            if let Swap::Done(_) = swapped {
                say(if is_intent { Step::Noted } else { Step::Stored });
            }
            Ok(swapped)
        }
    }

    fn lease(&self) -> Option<Arc<dyn Lease>> {
        Some(Arc::new(ToldLease { lease: self.store.lease()?, say: self.say }))
    }
}

struct ToldLease {
    lease: Arc<dyn Lease>,
    say: fn(Step),
}

impl Lease for ToldLease {
    fn acquire(&self, term: Duration) -> BoxFuture<std::result::Result<Acquired, StoreError>> {
        let (acquire, say) = (self.lease.acquire(term), self.say);
        Box::pin(async move {
            let acquired = acquire.await?;
            if let Acquired::Held(_) = acquired {
                say(Step::Acquired);
            }
            Ok(acquired)
        })
    }

    fn renew(
        &self,
        fence: Version,
        term: Duration,
    ) -> BoxFuture<std::result::Result<bool, StoreError>> {
        self.lease.renew(fence, term)
    }

    fn release(&self, fence: Version) -> BoxFuture<std::result::Result<(), StoreError>> {
        let (release, say) = (self.lease.release(fence), self.say);
        Box::pin(async move {
            release.await?;
            say(Step::Released);
            Ok(())
        })
    }

    fn abandon(&self, fence: Version) {
        self.lease.abandon(fence);
        (self.say)(Step::Released);
    }

    fn is_lock(&self) -> bool {
        self.lease.is_lock()
    }

    fn changed(&self) -> BoxFuture<()> {
        self.lease.changed()
    }
}
