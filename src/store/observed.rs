//! A store whose operations are reported as events.

use core::fmt;
use core::future::poll_fn;
use core::time::Duration;
use std::boxed::Box;
use std::sync::Arc;

use super::{Acquired, AnyStore, Lease, Store, StoreError, StoredGrant, Swap, Version, Versioned};
use crate::clock::{Clock, SharedClock};
use crate::events::{Event, EventKind, Sink, StoreOperation, StoreOutcome};
use crate::primitives::{contained, discard};
use crate::refresh::BoxFuture;

/// A store that reports each of its operations, and those of its lease. Created by [`Store::on_event`].
pub struct Observed<S> {
    store: S,
    observer: Observer,
}

/// Whom operations are reported to.
#[derive(Clone)]
struct Observer {
    sink: Arc<Sink>,
    name: Option<Arc<str>>,
    clock: Arc<dyn Clock>,
}

impl<S> Observed<S> {
    pub(super) fn new(store: S, hook: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        let mut sink = Sink::default();
        sink.add(hook);
        let clock = Arc::new(SharedClock);
        Self { store, observer: Observer { sink: Arc::new(sink), name: None, clock } }
    }
}

/// Returns a session's store, whose operations are reported to the session's hooks.
pub(crate) fn observed(
    store: Box<dyn AnyStore>,
    sink: &Arc<Sink>,
    name: Option<Arc<str>>,
    clock: Arc<dyn Clock>,
) -> Box<dyn AnyStore> {
    let observer = Observer { sink: Arc::clone(sink), name, clock };
    Box::new(Observed { store: Boxed(store), observer })
}

impl Observer {
    /// Returns the answer of `call`, once it has been reported. A hook must change nothing (rule H2), so a
    /// clock that panics is not asked again, and a future that panics as it is dropped costs no answer.
    async fn watch<T>(
        self,
        operation: StoreOperation,
        call: impl Future<Output = Result<T, StoreError>>,
        outcome: impl FnOnce(&T) -> StoreOutcome,
    ) -> Result<T, StoreError> {
        let called = contained(|| self.clock.now());
        let mut call = Box::pin(call);
        let answer = poll_fn(|cx| call.as_mut().poll(cx)).await;
        discard([call]);
        let (Ok(called), Ok(now)) = (called, contained(|| self.clock.now())) else { return answer };
        let outcome = match &answer {
            Ok(answer) => outcome(answer),
            Err(error) => StoreOutcome::Failed(error.into()),
        };
        let took = now.since(called).to_duration();
        let kind = EventKind::StoreCalled { operation, outcome, took };
        self.sink.report(&Event { at: now, name: self.name, session: None, kind });
        answer
    }
}

fn swapped(swap: &Swap) -> StoreOutcome {
    match swap {
        Swap::Done(_) => StoreOutcome::Done,
        Swap::Conflict(_) => StoreOutcome::Conflict,
    }
}

impl<S: Store> Store for Observed<S> {
    fn load(&self) -> impl Future<Output = Result<Versioned, StoreError>> + Send + 'static {
        let call = self.store.load();
        self.observer.clone().watch(StoreOperation::Load, call, |_| StoreOutcome::Done)
    }

    fn swap(
        &self,
        expected: Version,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        let call = self.store.swap(expected, next);
        self.observer.clone().watch(StoreOperation::Swap, call, swapped)
    }

    fn replace_damaged(
        &self,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        let call = self.store.replace_damaged(next);
        self.observer.clone().watch(StoreOperation::ReplaceDamaged, call, swapped)
    }

    fn lease(&self) -> Option<Arc<dyn Lease>> {
        let observer = self.observer.clone();
        self.store
            .lease()
            .map(|lease| Arc::new(ObservedLease { lease, observer }) as Arc<dyn Lease>)
    }
}

struct ObservedLease {
    lease: Arc<dyn Lease>,
    observer: Observer,
}

impl Lease for ObservedLease {
    fn acquire(&self, term: Duration) -> BoxFuture<Result<Acquired, StoreError>> {
        let call = self.lease.acquire(term);
        let watched = self.observer.clone().watch(StoreOperation::Acquire, call, |it| match it {
            Acquired::Held(_) => StoreOutcome::Done,
            Acquired::Busy { .. } => StoreOutcome::Busy,
        });
        Box::pin(watched)
    }

    fn renew(&self, fence: Version, term: Duration) -> BoxFuture<Result<bool, StoreError>> {
        let call = self.lease.renew(fence, term);
        let kept = |kept: &bool| if *kept { StoreOutcome::Done } else { StoreOutcome::Lost };
        Box::pin(self.observer.clone().watch(StoreOperation::Renew, call, kept))
    }

    fn release(&self, fence: Version) -> BoxFuture<Result<(), StoreError>> {
        let call = self.lease.release(fence);
        Box::pin(
            self.observer.clone().watch(StoreOperation::Release, call, |()| StoreOutcome::Done),
        )
    }

    fn abandon(&self, fence: Version) {
        self.lease.abandon(fence);
    }

    fn is_lock(&self) -> bool {
        self.lease.is_lock()
    }

    fn changed(&self) -> BoxFuture<()> {
        self.lease.changed()
    }
}

/// A type-erased store as a store.
struct Boxed(Box<dyn AnyStore>);

impl Store for Boxed {
    fn load(&self) -> impl Future<Output = Result<Versioned, StoreError>> + Send + 'static {
        self.0.load()
    }

    fn swap(
        &self,
        expected: Version,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        self.0.swap(expected, next)
    }

    fn replace_damaged(
        &self,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        self.0.replace_damaged(next)
    }

    fn lease(&self) -> Option<Arc<dyn Lease>> {
        self.0.lease()
    }
}

impl<S: fmt::Debug> fmt::Debug for Observed<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Observed").field(&self.store).finish()
    }
}
