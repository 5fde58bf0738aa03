//! The store as a flight uses it: within the flight's deadline, with a panic as an ordinary failure.

use core::future::poll_fn;
use core::task::Poll;
use std::prelude::rust_2024::*;

use crate::primitives::{contained, discard};
use crate::refresh::BoxFuture;
use crate::session::panics::FirstPanic;
use crate::session::ports::Ports;
use crate::store::{
    Acquired, AnyStore, Intent, Lease, StoreError, StoredGrant, Swap, Version, Versioned,
};
use crate::time::{Span, Time, Timestamp};

/// A store whose operations fail where they have not completed by `deadline`.
///
/// The poll that comes before the flight is judged notices that (rule B13). So a store that hangs
/// before anything was sent leaves no doubt about the refresh token, and one that hangs after the
/// response costs no grant (rules B6, F2).
#[derive(Copy, Clone)]
pub(crate) struct TimedStore<'a> {
    pub(crate) store: &'a dyn AnyStore,
    pub(crate) ports: &'a Ports,
    pub(crate) deadline: Timestamp,
    /// A clock that panics while the store is waited for does not expire the deadline.
    pub(crate) panic: &'a FirstPanic,
}

impl TimedStore<'_> {
    /// Returns the same store with the time of a whole refresh from `now` on.
    pub(crate) fn until_later(self, now: Timestamp) -> Self {
        let deadline = now.saturating_add(self.ports.settings.longest());
        Self { deadline, ..self }
    }

    /// Returns the note of another holder that presents `stored`, or did.
    pub(crate) fn foreign_note(self, stored: &StoredGrant) -> Option<Intent> {
        stored.intent.filter(|intent| intent.holder != Some(self.ports.holder))
    }

    /// Returns until when, on the session's timeline, another holder may be presenting `stored`, where it
    /// has noted that it does.
    pub(crate) fn presented_by_another_until(self, stored: &StoredGrant) -> Option<Timestamp> {
        let intent = self.foreign_note(stored)?;
        let settings = &self.ports.settings;
        let longest = settings.longest();
        let until = intent.until.unwrap_or(intent.since.saturating_add(longest));
        let (now, wall) = self.panic.call(|| (settings.clock.now(), settings.clock.wall()))?;
        // One that ends later than any can was written by a clock that is far ahead.
        let live = wall < until && until.since(wall) <= Timestamp::doubled(longest, 1);
        live.then(|| now.saturating_add(until.since(wall)))
    }

    pub(crate) async fn load(self) -> Result<Versioned, StoreError> {
        let mut content = self.answer(|| self.store.load()).await?;
        content.grant = content.grant.map(StoredGrant::sendable);
        Ok(content)
    }

    pub(crate) async fn swap(
        self,
        expected: Version,
        next: Option<StoredGrant>,
    ) -> Result<Swap, StoreError> {
        self.answer(|| self.store.swap(expected, next)).await.map(sendable)
    }

    pub(crate) async fn replace_damaged(
        self,
        next: Option<StoredGrant>,
    ) -> Result<Swap, StoreError> {
        self.answer(|| self.store.replace_damaged(next)).await.map(sendable)
    }

    pub(crate) async fn acquire(
        self,
        lease: &dyn Lease,
        term: Span,
    ) -> Result<Acquired, StoreError> {
        let mut acquired = self.answer(|| lease.acquire(term.to_duration())).await?;
        if let Acquired::Held(content) = &mut acquired {
            content.grant = content.grant.take().map(StoredGrant::sendable);
        }
        Ok(acquired)
    }

    pub(crate) async fn renew(
        self,
        lease: &dyn Lease,
        fence: Version,
        term: Span,
    ) -> Result<bool, StoreError> {
        self.answer(|| lease.renew(fence, term.to_duration())).await
    }

    /// Releases the lease; if that fails, it ends with its term.
    pub(crate) async fn release(self, lease: &dyn Lease, fence: Version) {
        let _ = self.answer(|| lease.release(fence)).await;
    }

    async fn answer<T>(
        self,
        call: impl FnOnce() -> BoxFuture<Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let panicked = || StoreError::unreachable("the store panicked");
        let mut answer = contained(call).map_err(|_| panicked())?;
        let mut deadline = self.deadline;
        let result = poll_fn(|cx| match contained(|| answer.as_mut().poll(cx)) {
            Ok(Poll::Pending) if self.is_over(&mut deadline) => {
                Poll::Ready(Err(StoreError::unreachable("the store did not answer in time")))
            }
            Ok(polled) => polled,
            Err(_) => Poll::Ready(Err(panicked())),
        })
        .await;
        // The result is not lost to a destructor that panics.
        discard([answer]);
        result
    }

    /// Returns whether `deadline` has expired. If the clock went back, it is pulled in (rule A5).
    fn is_over(self, deadline: &mut Timestamp) -> bool {
        let Some(now) = self.panic.call(|| self.ports.settings.clock.now()) else { return false };
        *deadline = self.until_later(now).deadline.min(*deadline);
        now >= *deadline
    }
}

/// Drops an access token that could not be sent from the conflicting content.
fn sendable(mut swap: Swap) -> Swap {
    if let Swap::Conflict(content) = &mut swap {
        content.grant = content.grant.take().map(StoredGrant::sendable);
    }
    swap
}
