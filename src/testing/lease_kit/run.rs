//! How operations are run: each within a time limit, and several at once, each on a thread.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::format;
use std::prelude::rust_2024::*;
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::thread;

use super::flaw::{LeaseFlaw, LeaseProperty, flaw};
use crate::clock::Timer;
use crate::primitives::{Parker, contained};
use crate::refresh::BoxFuture;
use crate::store::{Acquired, Lease, Store, StoreError, StoredGrant, Swap, Version, Versioned};
use crate::thread_timer::ThreadTimer;

/// Runs operations within a time limit, and waits for terms to end.
pub(super) struct Run<'a> {
    pub(super) timer: &'a dyn Timer,
    /// Of the time limit.
    pub(super) watch: ThreadTimer,
    pub(super) limit: Duration,
}

impl Run<'_> {
    /// Runs one operation, whatever its result.
    pub(super) async fn within<T>(
        &self,
        operation: impl Future<Output = T>,
    ) -> Result<T, LeaseFlaw> {
        let mut operation = pin!(operation);
        let mut over = self.watch.sleep(self.limit);
        let result = poll_fn(|cx| match operation.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending => over.as_mut().poll(cx).map(|()| None),
        });
        result.await.ok_or_else(|| {
            flaw(LeaseProperty::Completes, format!("nothing is answered within {:?}", self.limit))
        })
    }

    async fn well<T>(
        &self,
        what: &str,
        operation: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, LeaseFlaw> {
        let result = self.within(operation).await?;
        result.map_err(|error| flaw(LeaseProperty::Completes, format!("{what} fails: {error}")))
    }

    pub(super) async fn load(&self, store: &impl Store) -> Result<Versioned, LeaseFlaw> {
        self.well("a load", store.load()).await
    }

    pub(super) async fn swap(
        &self,
        store: &impl Store,
        expected: Version,
        next: Option<StoredGrant>,
    ) -> Result<Swap, LeaseFlaw> {
        self.well("a swap", store.swap(expected, next)).await
    }

    /// Writes over whatever there is; nobody else writes meanwhile.
    pub(super) async fn put(
        &self,
        store: &impl Store,
        next: Option<StoredGrant>,
    ) -> Result<Version, LeaseFlaw> {
        let before = self.load(store).await?.version;
        match self.swap(store, before, next).await? {
            Swap::Done(version) => Ok(version),
            Swap::Conflict(_) => Err(flaw(
                LeaseProperty::WritesDoNotWait,
                "a swap of the version that was loaded is a conflict, and nobody else writes",
            )),
        }
    }

    pub(super) async fn acquire(
        &self,
        lease: &dyn Lease,
        term: Duration,
    ) -> Result<Acquired, LeaseFlaw> {
        self.well("an acquire", lease.acquire(term)).await
    }

    /// Acquires a lease that must be free.
    pub(super) async fn hold(
        &self,
        lease: &dyn Lease,
        term: Duration,
        property: LeaseProperty,
        when: &str,
    ) -> Result<Versioned, LeaseFlaw> {
        match self.acquire(lease, term).await? {
            Acquired::Held(content) => Ok(content),
            Acquired::Busy { .. } => Err(flaw(property, format!("the lease is busy {when}"))),
        }
    }

    pub(super) async fn renew(
        &self,
        lease: &dyn Lease,
        fence: Version,
        term: Duration,
    ) -> Result<bool, LeaseFlaw> {
        self.well("a renewal", lease.renew(fence, term)).await
    }

    pub(super) async fn release(&self, lease: &dyn Lease, fence: Version) -> Result<(), LeaseFlaw> {
        self.well("a release", lease.release(fence)).await
    }

    /// Waits until a term that has begun is over.
    pub(super) async fn outwait(&self, term: Duration) {
        self.timer.sleep(term + term / 4).await;
    }
}

/// Runs all of `futures` at once, each on a thread; returns `None` for each that panicked.
pub(super) async fn at_once<T: Send + 'static>(futures: Vec<BoxFuture<T>>) -> Vec<Option<T>> {
    let count = futures.len();
    let ended = Arc::new(Mutex::new((Vec::new(), Waker::noop().clone())));
    let together = Arc::new(Barrier::new(count));
    for mut future in futures {
        let (ended, together) = (Arc::clone(&ended), Arc::clone(&together));
        thread::spawn(move || {
            together.wait();
            let parker = Parker::new();
            let waker = parker.waker();
            let result = contained(|| {
                loop {
                    match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                        Poll::Ready(value) => return value,
                        Poll::Pending => parker.park(),
                    }
                }
            });
            let mut ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
            ended.0.push(result.ok());
            ended.1.wake_by_ref();
        });
    }
    poll_fn(|cx| {
        let mut ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.0.len() == count {
            return Poll::Ready(core::mem::take(&mut ended.0));
        }
        ended.1.clone_from(cx.waker());
        Poll::Pending
    })
    .await
}
