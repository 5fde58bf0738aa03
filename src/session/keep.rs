//! Driving without a caller: the spawned driver, `close`, and the keeper that renews by itself.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::prelude::rust_2024::*;
use std::sync::{Arc, Weak};

use super::alarm::Alarm;
use super::core::{Afterwards, Shared};
use super::flight::WaiterId;
use crate::clock::Timer;
use crate::time::Timestamp;

/// Hands the flight to the program's spawner, where it has given one.
pub(super) fn spawn(shared: &Arc<Shared>) {
    if let Some(spawner) = &shared.ports.spawner {
        spawner(Box::pin(Drive::new(Arc::clone(shared))));
    }
}

/// Drives what is in the air until nothing is. Keeps the session alive meanwhile (rule C9).
pub(super) struct Drive {
    shared: Arc<Shared>,
    waiter: Option<WaiterId>,
    alarm: Alarm,
}

impl Drive {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let alarm = Alarm::new(shared.ports.timer.clone());
        Self { shared, waiter: None, alarm }
    }
}

impl Future for Drive {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            let (clear, deadline) = watch(&this.shared, &mut this.waiter, cx.waker());
            if clear {
                return Poll::Ready(());
            }
            if this.shared.drive(this.waiter, false) {
                continue;
            }
            let now = this.shared.ports.clock.now();
            if deadline.is_some_and(|deadline| now >= deadline) {
                this.shared.judge();
                continue;
            }
            match deadline {
                Some(deadline) if this.alarm.is_due(deadline, now, cx.waker()) => {}
                Some(_) | None => return Poll::Pending,
            }
        }
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter {
            self.shared.leave(waiter);
        }
    }
}

/// Registers for what is in the air; tells whether that is nothing, and the flight's deadline.
fn watch(
    shared: &Shared,
    waiter: &mut Option<WaiterId>,
    waker: &Waker,
) -> (bool, Option<Timestamp>) {
    let clone = waker.clone();
    let mut afterwards = Afterwards::default();
    let found = {
        let mut inner = shared.lock();
        afterwards.drop_waker(inner.deck.wait(waiter, clone));
        (inner.deck.is_clear(), inner.lifecycle.refresh_deadline())
    };
    shared.finish(afterwards);
    found
}

/// Renews the token by itself: a future that never ends while a handle of its session is left.
///
/// Made by [`Session::keep_fresh`](super::Session::keep_fresh). Spawn it, or await it beside the
/// program's main future.
///
/// # Cancellation
/// Dropping it stops the renewal by itself, and nothing else.
#[must_use = "nothing is renewed until this is spawned or awaited"]
pub struct KeepFresh {
    shared: Weak<Shared>,
    waiter: Option<WaiterId>,
    alarm: Alarm,
}

impl KeepFresh {
    pub(super) fn new(shared: &Arc<Shared>, timer: Arc<dyn Timer>) -> Self {
        Self { shared: Arc::downgrade(shared), waiter: None, alarm: Alarm::new(Some(timer)) }
    }

    /// Starts what is due. Gives when to look again.
    fn tend(&mut self, shared: &Arc<Shared>, waker: &Waker) -> Option<Timestamp> {
        let (now, clone) = (shared.ports.clock.now(), waker.clone());
        let mut afterwards = Afterwards::default();
        let (started, until) = {
            let mut inner = shared.lock();
            afterwards.drop_waker(inner.deck.wait(&mut self.waiter, clone));
            let policy = &shared.ports.policy;
            let start = inner.lifecycle.handle_requested(policy, now).start();
            if let Some(start) = start {
                inner.launch(&shared.ports, start, &mut afterwards);
            }
            let timeout = inner.lifecycle.poll_timeout(policy, now);
            (start.is_some(), timeout.map(|timeout| timeout.at))
        };
        shared.finish(afterwards);
        if started {
            spawn(shared);
        }
        until
    }
}

impl Future for KeepFresh {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(shared) = self.shared.upgrade() else {
                return Poll::Ready(());
            };
            let until = self.tend(&shared, cx.waker());
            if shared.drive(self.waiter, false) {
                continue;
            }
            let (_, deadline) = watch(&shared, &mut self.waiter, cx.waker());
            let now = shared.ports.clock.now();
            if deadline.is_some_and(|deadline| now >= deadline) {
                shared.judge();
                continue;
            }
            match until {
                Some(until) if self.alarm.is_due(until, now, cx.waker()) => {}
                Some(_) | None => return Poll::Pending,
            }
        }
    }
}

impl Drop for KeepFresh {
    fn drop(&mut self) {
        if let (Some(shared), Some(waiter)) = (self.shared.upgrade(), self.waiter) {
            shared.leave(waiter);
        }
    }
}

impl fmt::Debug for KeepFresh {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KeepFresh").finish_non_exhaustive()
    }
}
