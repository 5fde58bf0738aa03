//! One turn to refresh a grant that other processes share: the lease machine, with the store, the
//! clock and the timer that it needs. What a turn finds in the store is judged by its caller.

use core::future::poll_fn;
use core::pin::pin;
use core::task::{Context, Poll};
use std::prelude::rust_2024::*;
use std::sync::Arc;

use crate::lease::{
    Acquired, Busy, Changed, Finished, Found, GiveUpReason, NewerFound, NoteFound, Outpaced,
    Policy, Prepared, Renewed, Started, Term, TimePassed, Turn,
};
use crate::primitives::{contained, discard};
use crate::refresh::BoxFuture;
use crate::session::alarm::Alarm;
use crate::session::exchange::timed_store::TimedStore;
use crate::store::{Lease, StoreError, Version};
use crate::time::{Span, Timestamp};

/// What a turn does next, before its request.
pub(super) enum Step {
    /// Ask the store for the lease; where it has none, read it.
    Acquire,
    /// Wait until then for another holder.
    Wait(Timestamp),
    /// Write the own note over one that has expired.
    TakeOver,
    /// The lease is held: write the note of intent.
    Prepare,
    /// Send nothing.
    GiveUp(GiveUpReason<Timestamp>),
}

/// This holder's part of taking turns. Dropping it while it holds the lease abandons the lease.
pub(super) struct LeaseTurn<'a> {
    store: TimedStore<'a>,
    lease: Option<Arc<dyn Lease>>,
    policy: Policy,
    turn: Turn<Timestamp>,
    alarm: Alarm,
}

impl<'a> LeaseTurn<'a> {
    /// Begins a turn that has to end by the deadline of `store`.
    pub(super) fn start(store: TimedStore<'a>) -> (Self, Step) {
        let settings = &store.ports.settings;
        let (longest, lease) = (settings.policy.refresh_deadline(), store.store.lease());
        let policy = Policy::new(longest);
        // A note states when the request ends: nobody renews it.
        let policy =
            if lease.is_some() { policy } else { policy.lease_term(longest + longest / 4) };
        let alarm = Alarm::new(settings.waiting_timer());
        let mut turn = Turn::new();
        let step = match turn.handle_started(&policy, store.deadline, settings.clock.now()) {
            Started::Acquire { .. } => Step::Acquire,
            Started::Nothing => Step::GiveUp(GiveUpReason::Overdue),
        };
        (Self { store, lease, policy, turn, alarm }, step)
    }

    /// Returns the lease of the store, if it has one.
    pub(super) fn lease(&self) -> Option<&Arc<dyn Lease>> {
        self.lease.as_ref()
    }

    /// Returns for how long a lease is asked for: a lock to the end of the refresh.
    pub(super) fn term(&self) -> Span {
        match &self.lease {
            Some(lease) if lease.is_lock() => self.store.deadline.since(self.now()),
            Some(_) | None => self.policy.term(),
        }
    }

    /// Returns how long a lease or a note lasts at most.
    pub(super) fn longest(&self) -> Span {
        self.policy.term()
    }

    fn now(&self) -> Timestamp {
        self.store.ports.settings.clock.now()
    }

    /// Records that the store granted the lease, or that the own note is written, at version `fence`.
    pub(super) fn acquired(&mut self, fence: Version, found: Found<Timestamp>) -> Step {
        let now = self.now();
        let term = match &self.lease {
            Some(lease) if lease.is_lock() => Term::WhileHeld,
            Some(_) | None => Term::For(self.policy.term()),
        };
        match self.turn.handle_acquired(&self.policy, fence.number(), term, found, now) {
            Acquired::Prepare { .. } | Acquired::Adopt => Step::Prepare,
            Acquired::GiveUp(reason) => Step::GiveUp(reason),
            Acquired::Release { .. } | Acquired::Nothing => Step::GiveUp(GiveUpReason::Lost),
        }
    }

    /// Records that another holder has the lease.
    pub(super) fn busy(&mut self, remaining: Option<Span>) -> Step {
        let now = self.now();
        match self.turn.handle_busy(&self.policy, remaining, now) {
            Busy::Wait { until } => Step::Wait(until),
            Busy::Acquire { .. } | Busy::Nothing => Step::Acquire,
            Busy::GiveUp(reason) => Step::GiveUp(reason),
        }
    }

    /// Records another holder's note at `version` in a store where notes are leases.
    pub(super) fn note_found(
        &mut self,
        version: Version,
        sent: Timestamp,
        until: Option<Timestamp>,
    ) -> Step {
        let (version, now) = (version.number(), self.now());
        match self.turn.handle_note_found(&self.policy, version, sent, until, now) {
            NoteFound::TakeOver { .. } => Step::TakeOver,
            NoteFound::Wait { until } => Step::Wait(until),
            NoteFound::Acquire { .. } | NoteFound::Nothing => Step::Acquire,
            NoteFound::GiveUp(reason) => Step::GiveUp(reason),
        }
    }

    /// Records that a write found somebody else's.
    pub(super) fn outpaced(&mut self) -> Step {
        let now = self.now();
        match self.turn.handle_outpaced(&self.policy, now) {
            Outpaced::Acquire { .. } | Outpaced::Nothing => Step::Acquire,
            Outpaced::Lost => Step::GiveUp(GiveUpReason::Lost),
            Outpaced::GiveUp(reason) => Step::GiveUp(reason),
        }
    }

    /// Records that the store holds a newer grant, which is adopted instead of sending a request.
    pub(super) fn newer_found(&mut self) {
        let now = self.now();
        match self.turn.handle_newer_found(now) {
            NewerFound::Adopt | NewerFound::Nothing => {}
        }
    }

    /// Waits until `until`, or until the store tells of a change; then says what is next.
    pub(super) async fn wait(&mut self, until: Timestamp) -> Step {
        let mut changed = self.lease.as_ref().and_then(|lease| contained(|| lease.changed()).ok());
        let clock = &self.store.ports.settings.clock;
        let told = poll_fn(|cx| {
            let polled = changed.as_mut().map(|it| contained(|| it.as_mut().poll(cx)));
            match polled {
                Some(Ok(Poll::Ready(()))) => return Poll::Ready(true),
                Some(Err(_)) => discard(changed.take()),
                Some(Ok(Poll::Pending)) | None => {}
            }
            if self.alarm.has_come(until, self.now(), || clock.now(), cx) {
                Poll::Ready(false)
            } else {
                Poll::Pending
            }
        })
        .await;
        discard(changed);
        let now = self.now();
        if told {
            match self.turn.handle_changed(&self.policy, now) {
                Changed::Acquire { .. } => return Step::Acquire,
                Changed::Nothing => {}
            }
        }
        match self.turn.handle_timeout(&self.policy, now) {
            TimePassed::Acquire { .. } => Step::Acquire,
            TimePassed::GiveUp(reason) => Step::GiveUp(reason),
            TimePassed::Nothing => Step::Wait(until),
            TimePassed::Renew { .. } | TimePassed::Lost | TimePassed::Release { .. } => {
                Step::GiveUp(GiveUpReason::Lost)
            }
        }
    }

    /// Checks the lease and the version immediately before the request, and renews the lease where too
    /// little of it is left. Rule F3: "Immediately before sending, the lease and the version MUST be
    /// checked".
    pub(super) async fn prepared(
        &mut self,
        version: Version,
    ) -> Result<(), GiveUpReason<Timestamp>> {
        let now = self.now();
        let (fence, term) = match self.turn.handle_prepared(&self.policy, version.number(), now) {
            Prepared::Send => return Ok(()),
            Prepared::GiveUp(reason) => return Err(reason),
            Prepared::Nothing => return Err(GiveUpReason::Lost),
            Prepared::Renew { fence, term } => (fence, term),
        };
        let Some(lease) = self.lease.clone() else {
            return Err(GiveUpReason::TermTooShort);
        };
        let renewed = self.store.renew(&*lease, Version::new(fence), term).await;
        match self.renewed(&renewed) {
            Ok(Renewed::Send) => Ok(()),
            Ok(Renewed::GiveUp(reason)) => Err(reason),
            Ok(Renewed::Release { .. } | Renewed::Nothing) | Err(()) => Err(GiveUpReason::Lost),
        }
    }

    /// Records the result of a renewal. Fails where the lease was not renewed.
    fn renewed(&mut self, renewed: &Result<bool, StoreError>) -> Result<Renewed<Timestamp>, ()> {
        let Some(now) = self.store.panic.call(|| self.store.ports.settings.clock.now()) else {
            return Err(());
        };
        match renewed {
            Ok(true) => {
                let (term, version) = (Term::For(self.policy.term()), self.turn.version());
                Ok(self.turn.handle_renewed(&self.policy, term, version, now))
            }
            Ok(false) => {
                let _ = self.turn.handle_outpaced(&self.policy, now);
                Err(())
            }
            Err(_) => {
                let _ = self.turn.handle_failed(now);
                Err(())
            }
        }
    }

    /// Runs `request` to its end, and keeps the lease meanwhile. Rule F3: "While the request is out the
    /// lease MUST be renewed."
    pub(super) async fn keeping<T>(&mut self, request: impl Future<Output = T>) -> T {
        let mut request = pin!(request);
        let mut errand: Option<Errand> = None;
        poll_fn(|cx| {
            if let Poll::Ready(output) = request.as_mut().poll(cx) {
                return Poll::Ready(output);
            }
            self.keep(&mut errand, cx);
            Poll::Pending
        })
        .await
    }

    /// Renews the lease where that is due, or releases it at the deadline of the refresh.
    fn keep(&mut self, errand: &mut Option<Errand>, cx: &mut Context<'_>) {
        let Some(lease) = self.lease.clone() else { return };
        let clock = &self.store.ports.settings.clock;
        loop {
            match errand {
                Some(Errand::Renewal(renewal)) => match contained(|| renewal.as_mut().poll(cx)) {
                    Ok(Poll::Pending) => return,
                    Ok(Poll::Ready(renewed)) => {
                        let _ = self.renewed(&renewed);
                        discard(errand.take());
                    }
                    Err(_) => {
                        let _ = self.renewed(&Err(StoreError::unreachable("the lease panicked")));
                        discard(errand.take());
                    }
                },
                Some(Errand::Release(release)) => {
                    if let Ok(Poll::Pending) = contained(|| release.as_mut().poll(cx)) {
                        return;
                    }
                    discard(errand.take());
                }
                None => {}
            }
            let Some(now) = self.store.panic.call(|| clock.now()) else { return };
            *errand = match self.turn.handle_timeout(&self.policy, now) {
                TimePassed::Renew { fence, term } => {
                    let (fence, term) = (Version::new(fence), term.to_duration());
                    contained(|| lease.renew(fence, term)).ok().map(Errand::Renewal)
                }
                TimePassed::Release { fence } => {
                    contained(|| lease.release(Version::new(fence))).ok().map(Errand::Release)
                }
                TimePassed::Acquire { .. }
                | TimePassed::Lost
                | TimePassed::GiveUp(_)
                | TimePassed::Nothing => None,
            };
            if errand.is_some() {
                continue;
            }
            match self.turn.poll_timeout(&self.policy, now) {
                Some(timeout) if self.alarm.has_come(timeout.at, now, || clock.now(), cx) => {}
                Some(_) | None => return,
            }
        }
    }

    /// Ends the turn, and releases the lease if it is held.
    pub(super) async fn finish(&mut self) {
        let Some(now) = self.store.panic.call(|| self.store.ports.settings.clock.now()) else {
            return;
        };
        if let (Finished::Release { fence }, Some(lease)) =
            (self.turn.handle_finished(now), self.lease.clone())
        {
            self.store.until_later(now).release(&*lease, Version::new(fence)).await;
        }
    }
}

/// What is asked of the lease while the request is out.
enum Errand {
    Renewal(BoxFuture<Result<bool, StoreError>>),
    Release(BoxFuture<Result<(), StoreError>>),
}

impl Drop for LeaseTurn<'_> {
    fn drop(&mut self) {
        if let (Some(fence), Some(lease)) = (self.turn.fence(), &self.lease) {
            let _ = contained(|| lease.abandon(Version::new(fence)));
        }
    }
}
