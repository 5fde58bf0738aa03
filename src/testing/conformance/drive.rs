//! How the operations of a store are run: each within a time limit, and several at once.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::format;
use std::prelude::rust_2024::*;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::flaw::{StoreFlaw, StoreProperty};
use super::samples::shows_nothing;
use crate::clock::{Stopwatch, Timer};
use crate::primitives::{Parker, contained};
use crate::refresh::BoxFuture;
use crate::store::{Store, StoreError, StoredGrant, Swap, Version, Versioned};
use crate::thread_timer::ThreadTimer;

/// Runs operations within a time limit.
#[derive(Clone)]
pub(super) struct Drive {
    timer: ThreadTimer,
    limit: Duration,
}

impl Drive {
    pub(super) fn new(limit: Duration) -> Self {
        Self { timer: ThreadTimer::new(), limit }
    }

    /// Runs one operation, whatever its result.
    pub(super) async fn try_run<T>(
        &self,
        what: &str,
        operation: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<Result<T, StoreError>, StoreFlaw> {
        let mut operation = pin!(operation);
        let mut over = self.timer.sleep(self.limit);
        let result = poll_fn(|cx| match operation.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending => over.as_mut().poll(cx).map(|()| None),
        });
        let result = result.await.ok_or_else(|| {
            let found = format!("a {what} has not completed within {:?}", self.limit);
            StoreFlaw::new(StoreProperty::Completes, found)
        })?;
        if let Err(error) = &result {
            shows_nothing(error)?;
        }
        Ok(result)
    }

    /// Runs one operation that must succeed, as nothing is wrong.
    pub(super) async fn run<T>(
        &self,
        what: &str,
        operation: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreFlaw> {
        self.try_run(what, operation).await?.map_err(|error| {
            StoreFlaw::new(StoreProperty::Completes, format!("a {what} fails: {error}"))
        })
    }

    pub(super) async fn load(&self, store: &impl Store) -> Result<Versioned, StoreFlaw> {
        self.run("load", store.load()).await
    }

    pub(super) async fn swap(
        &self,
        store: &impl Store,
        expected: Version,
        next: Option<StoredGrant>,
    ) -> Result<Swap, StoreFlaw> {
        self.run("swap", store.swap(expected, next)).await
    }

    /// Writes over whatever there is; nobody else writes meanwhile.
    pub(super) async fn put(
        &self,
        store: &impl Store,
        next: Option<StoredGrant>,
    ) -> Result<Version, StoreFlaw> {
        let before = self.load(store).await?.version;
        match self.swap(store, before, next).await? {
            Swap::Done(version) => Ok(version),
            Swap::Conflict(_) => Err(StoreFlaw::new(
                StoreProperty::Completes,
                "a swap that expects the version that a load returned is a conflict, and nobody else writes",
            )),
        }
    }
}

/// Runs a future on a thread of its own.
pub(super) fn on_a_thread(future: BoxFuture<()>) {
    let run = move || {
        let (mut future, parker) = (future, Parker::new());
        let waker = parker.waker();
        while future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            parker.park();
        }
    };
    // A thread that cannot be started drops the future, which is noticed.
    drop(thread::Builder::new().name("perennial conformance".into()).spawn(run));
}

/// Runs all of `futures` at once by `spawner`; returns `None` for each that panicked.
pub(super) async fn at_once<T: Send + 'static>(
    spawner: &(dyn Fn(BoxFuture<()>) + Send + Sync),
    futures: Vec<BoxFuture<T>>,
) -> Vec<Option<T>> {
    let count = futures.len();
    let results = (0..count).map(|_| None).collect();
    let meeting = Arc::new(Meeting::default());
    let outcome = Arc::new(Mutex::new(results));
    for (place, future) in futures.into_iter().enumerate() {
        let (meeting, outcome) = (Arc::clone(&meeting), Arc::clone(&outcome));
        let left = Left(Arc::clone(&meeting));
        spawner(Box::pin(async move {
            let _left = left;
            meeting.begin(count).await;
            let result = future.await;
            let mut outcome: MutexGuard<'_, Vec<Option<T>>> = locked(&outcome);
            outcome[place] = Some(result);
        }));
    }
    meeting.end(count).await;
    core::mem::take(&mut *locked(&outcome))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where tasks wait for each other: to begin together, and for the last to end.
#[derive(Default)]
struct Meeting(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    arrived: usize,
    left: usize,
    wakers: Vec<Waker>,
}

impl Meeting {
    /// Waits until all `count` tasks have begun, or ended without that.
    async fn begin(&self, count: usize) {
        self.note(|counts| counts.arrived += 1);
        self.until(|counts| counts.arrived + counts.left >= count).await;
    }

    async fn end(&self, count: usize) {
        self.until(|counts| counts.left == count).await;
    }

    fn note(&self, change: impl FnOnce(&mut Counts)) {
        let wakers = {
            let mut counts = locked(&self.0);
            change(&mut counts);
            core::mem::take(&mut counts.wakers)
        };
        for waker in wakers {
            let _ = contained(|| waker.wake());
        }
    }

    async fn until(&self, reached: impl Fn(&Counts) -> bool) {
        poll_fn(|cx| {
            let mut counts = locked(&self.0);
            if reached(&counts) {
                return Poll::Ready(());
            }
            counts.wakers.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// Notes that its task has ended, also by a panic.
struct Left(Arc<Meeting>);

impl Drop for Left {
    fn drop(&mut self) {
        self.0.note(|counts| counts.left += 1);
    }
}

/// Lets the other tasks of an executor go on.
pub(super) async fn let_others() {
    let mut yielded = false;
    poll_fn(|cx| {
        if core::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Returns how long the polls of `operation`, and making it, take in all.
pub(super) async fn time_of_polls<F: Future>(operation: impl FnOnce() -> F) -> Duration {
    let watch = Stopwatch::new();
    let mut operation = pin!(operation());
    let mut spent = watch.elapsed();
    poll_fn(|cx| {
        let watch = Stopwatch::new();
        let result = operation.as_mut().poll(cx).map(drop);
        spent += watch.elapsed();
        result
    })
    .await;
    spent
}
