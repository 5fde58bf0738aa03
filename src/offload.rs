//! Running blocking work outside the executor: on a thread, with a future that waits for it.

#[cfg(any(feature = "file", feature = "keyring"))]
pub(crate) mod lane;

use core::cell::Cell;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::boxed::Box;
use std::io;
use std::sync::{Arc, PoisonError};
use std::thread;

use crate::primitives::Mutex;

/// A blocking operation, passed to [`spawn_blocking`](crate::session::Builder::spawn_blocking).
pub type Job = Box<dyn FnOnce() + Send>;

/// Runs jobs where they may block.
pub(crate) type Hook = dyn Fn(Job) -> io::Result<()> + Send + Sync;

/// The default hook: a short-lived thread for each job. Refreshes and writes are minutes apart.
pub(crate) fn on_a_thread(job: Job) -> io::Result<()> {
    thread::Builder::new().name("perennial".into()).spawn(job).map(drop)
}

/// Passes `work` to `hook`; the future resolves to its result, or to `None` if it panicked or was
/// dropped unrun. Dropping the future does not stop the work.
pub(crate) fn offload<T: Send + 'static>(
    hook: &Hook,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<Pending<T>> {
    let slot = Arc::new(Mutex::new(Slot { result: None, closed: false, waker: None }));
    let sender = Sender(Arc::clone(&slot));
    hook(Box::new(move || sender.send(work())))?;
    Ok(Pending(slot))
}

thread_local! {
    /// For how long this thread, which waits for a refresh, may block.
    static MAY_BLOCK: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Calls `drive` on this thread, which waits, and may block for `limit` meanwhile.
pub(crate) fn blocking<T>(limit: Duration, drive: impl FnOnce() -> T) -> T {
    struct Until(Duration);
    impl Drop for Until {
        fn drop(&mut self) {
            MAY_BLOCK.set(self.0);
        }
    }
    let _until = Until(MAY_BLOCK.replace(limit));
    drive()
}

/// Whether this thread may block for `limit`.
pub(crate) fn may_block(limit: Duration) -> bool {
    let allowed = MAY_BLOCK.get();
    allowed > Duration::ZERO && limit <= allowed
}

struct Slot<T> {
    result: Option<T>,
    closed: bool,
    waker: Option<Waker>,
}

struct Sender<T>(Arc<Mutex<Slot<T>>>);

impl<T> Sender<T> {
    fn send(self, result: T) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).result = Some(result);
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let waker = {
            let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            slot.closed = true;
            slot.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The future result of [`offload`].
pub(crate) struct Pending<T>(Arc<Mutex<Slot<T>>>);

impl<T> Future for Pending<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let waker = cx.waker().clone();
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.closed {
            return Poll::Ready(slot.result.take());
        }
        let replaced = slot.waker.replace(waker);
        drop(slot);
        drop(replaced);
        Poll::Pending
    }
}
