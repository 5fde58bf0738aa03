//! Watching a session for changes.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::Arc;

use super::core::Shared;

/// Ends when the session has changed. Made by [`Session::changed`](super::Session::changed).
#[must_use = "a watch does nothing until it is awaited"]
pub struct Changed {
    shared: Arc<Shared>,
    seen: u64,
}

impl Changed {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        let seen = shared.lock().changes;
        Self { shared: Arc::clone(shared), seen }
    }
}

impl Future for Changed {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut inner = self.shared.lock();
        if inner.changes != self.seen {
            drop(inner);
            return Poll::Ready(());
        }
        // A watch that is polled again by the same task is told once.
        if inner.watchers.iter().all(|watcher| !watcher.will_wake(&waker)) {
            inner.watchers.push(waker);
        }
        drop(inner);
        Poll::Pending
    }
}

impl fmt::Debug for Changed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Changed").finish_non_exhaustive()
    }
}
