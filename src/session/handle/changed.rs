//! Watching a session for changes.

use crate::primitives::discard;
use crate::session::handle::session::Session;
use crate::session::shared::Shared;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::prelude::rust_2024::*;
use std::sync::Arc;

impl Session {
    /// Returns a future that completes when the session has changed since this call: by a new token, a
    /// rejection, a failure, a login or a logout. The passing of time alone is not a change.
    pub fn changed(&self) -> Changed {
        Changed::new(&self.shared)
    }
}

/// A future that completes when the session has changed.
///
/// Created by [`Session::changed`].
#[must_use = "a watch does nothing until it is awaited"]
pub struct Changed {
    shared: Arc<Shared>,
    seen: u64,
    id: Option<u64>,
}

impl Changed {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        let seen = shared.lock().watchers.changes;
        Self { shared: Arc::clone(shared), seen, id: None }
    }
}

impl Future for Changed {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let replaced = {
            let this = &mut *self;
            let watchers = &mut this.shared.lock().watchers;
            if watchers.changes != this.seen {
                return Poll::Ready(());
            }
            let id = *this.id.get_or_insert_with(|| {
                watchers.next += 1;
                watchers.next
            });
            watchers.wakers.insert(id, waker)
        };
        discard(replaced);
        Poll::Pending
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        let Some(id) = self.id else { return };
        let waker = self.shared.lock().watchers.wakers.remove(&id);
        discard(waker);
    }
}

impl fmt::Debug for Changed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Changed").finish_non_exhaustive()
    }
}
