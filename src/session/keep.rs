//! Driving without a caller: the spawned driver, `close`, and the keeper that renews by itself.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::prelude::rust_2024::*;
use std::sync::{Arc, Weak};

use super::alarm::Alarm;
use super::core::Shared;
use super::error::{Error, Kind};
use super::flight::discard;
use super::limits::Pace;
use super::turn::{self, Caller, Step, Turns};
use super::waiters::Ticket;
use crate::clock::Timer;
use crate::primitives::contained;
use crate::time::Timestamp;

/// Hands the flight to the program's spawner, where it has given one.
pub(super) fn spawn(shared: &Arc<Shared>) {
    if let Some(spawner) = &shared.ports.settings.spawner {
        let drive = Drive::new(Arc::clone(shared), Extent::Landing);
        let task = Box::pin(async { drop(drive.await) });
        // A spawner that panics leaves the flight to its callers.
        let _ = contained(|| spawner(task));
    }
}

/// Drives what is in the air until nothing is. Keeps the session alive meanwhile. Rule C9: "What
/// was sent and is spawned runs on until it has landed and is persisted".
pub(super) struct Drive {
    shared: Arc<Shared>,
    extent: Extent,
    waiter: Option<Ticket>,
    alarm: Alarm,
}

/// How long to drive what is in the air.
#[derive(Copy, Clone)]
pub(super) enum Extent {
    /// Until it has landed.
    Landing,
    /// Until it has landed, or should have.
    Deadline,
}

impl Drive {
    pub(super) fn new(shared: Arc<Shared>, extent: Extent) -> Self {
        let alarm = Alarm::new(shared.ports.settings.timer.clone());
        Self { shared, extent, waiter: None, alarm }
    }

    /// Drives on this thread.
    pub(super) fn wait(mut self) -> Result<(), Error> {
        let now = self.shared.slot.dial.now();
        turn::wait(&mut self, now)
    }
}

impl Turns for Drive {
    type Output = Result<(), Error>;

    fn turn(&mut self, waker: &Waker, _: Caller, now: Timestamp) -> Step<Self::Output> {
        let air = watch(&self.shared, &mut self.waiter, waker, now);
        if air.clear {
            return Step::Ready(Ok(()));
        }
        if self.shared.drive(self.waiter) {
            return Step::Again;
        }
        if air.reentrant {
            // Rule C6: what it would wait for waits for it.
            return Step::Ready(Err(Error::new(Kind::Reentrant)));
        }
        let now = self.shared.slot.dial.now();
        if air.flight.is_some_and(|deadline| now >= deadline) {
            self.shared.judge(self.waiter);
            return Step::Again;
        }
        match (self.extent, air.all) {
            (Extent::Landing, _) => air.flight.map_or(Step::Pending(None), Step::Parked),
            (Extent::Deadline, Some(all)) if now >= all => {
                // Nothing is left to judge, but what is in the air is polled once more.
                self.shared.judge(self.waiter);
                let mut inner = self.shared.lock();
                let newest = inner.lifecycle.newest_flight();
                match inner.deck.deadline(self.shared.longest(now)) {
                    _ if inner.deck.is_clear() => Step::Ready(Ok(())),
                    // What has landed has sent up a revocation (rule B14).
                    Some(all) if now < all => Step::Again,
                    // Whatever a superseded one would still bring, the session does without.
                    Some(_) | None if inner.ended.includes(newest) => Step::Ready(Ok(())),
                    Some(_) | None if !inner.deck.has_aloft(newest) => Step::Ready(Ok(())),
                    Some(_) | None => Step::Ready(Err(Error::new(Kind::Unknown))),
                }
            }
            (Extent::Deadline, all) => Step::Pending(air.flight.or(all)),
        }
    }

    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn alarm(&mut self) -> &mut Alarm {
        &mut self.alarm
    }
}

impl Future for Drive {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let now = self.shared.slot.dial.now();
        turn::poll(&mut *self, cx, now)
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter {
            self.shared.leave(waiter);
        }
    }
}

/// What is in the air.
struct Air {
    clear: bool,
    /// This thread is polling it.
    reentrant: bool,
    /// The deadline of the refresh that is out.
    flight: Option<Timestamp>,
    /// When all of it should have landed.
    all: Option<Timestamp>,
}

/// Registers for what is in the air. It is `now`.
fn watch(shared: &Shared, waiter: &mut Option<Ticket>, waker: &Waker, now: Timestamp) -> Air {
    let (clone, longest) = (waker.clone(), shared.longest(now));
    let (replaced, air) = {
        let mut inner = shared.lock();
        let replaced = inner.deck.waiters.register(waiter, clone);
        let air = Air {
            clear: inner.deck.is_clear(),
            reentrant: inner.deck.is_reentrant(),
            flight: inner.lifecycle.refresh_deadline(),
            all: inner.deck.deadline(longest),
        };
        (replaced, air)
    };
    discard(replaced);
    air
}

/// Renews the token by itself: a future that never ends while a handle of its session is left.
///
/// Made by [`Session::keep_fresh`](super::Session::keep_fresh). Spawn it, or await it beside the
/// program's main future. It starts at most one refresh each time that it is polled, and no two within
/// a millisecond, however short the backoff or the tokens' lives are.
///
/// # Cancellation
/// Dropping it stops the renewal by itself, and nothing else.
#[must_use = "nothing is renewed until this is spawned or awaited"]
pub struct KeepFresh {
    shared: Weak<Shared>,
    waiter: Option<Ticket>,
    alarm: Alarm,
    pace: Pace,
}

/// How often a timer may ring early within one poll, before others on the executor have a turn.
const EARLY_RINGS: usize = 8;

impl KeepFresh {
    pub(super) fn new(shared: &Arc<Shared>, timer: Arc<dyn Timer>) -> Self {
        let alarm = Alarm::new(Some(timer));
        Self { shared: Arc::downgrade(shared), waiter: None, alarm, pace: Pace::default() }
    }

    /// Starts what is due, unless something `has_started` in this poll. Gives whether it has started
    /// something, and when to look again.
    fn tend(
        &mut self,
        shared: &Arc<Shared>,
        has_started: bool,
        waker: &Waker,
    ) -> (bool, Option<Timestamp>) {
        drop(shared.lock_having_heard(self.waiter));
        let (now, clone) = (shared.slot.dial.now(), waker.clone());
        let rest = if has_started { Some(Pace::after(now)) } else { self.pace.rest(now) };
        let (started, until) = shared.change(now, |inner, afterwards| {
            afterwards.replaced = inner.deck.waiters.register(&mut self.waiter, clone);
            let policy = &shared.ports.settings.policy;
            let mut next = inner.lifecycle;
            let start = next.handle_requested(policy, now).start();
            let rest = rest.filter(|_| start.is_some());
            let start = start.filter(|_| rest.is_none());
            match start {
                Some(start) => {
                    inner.lifecycle = next;
                    inner.launch(&shared.ports, start, afterwards);
                }
                None => inner.lifecycle.observe(policy, now),
            }
            let timeout = inner.lifecycle.poll_timeout(policy, now).map(|timeout| timeout.at);
            (start.is_some(), rest.into_iter().chain(timeout).min())
        });
        if started {
            self.pace.start(now);
            spawn(shared);
        }
        (started, until)
    }
}

impl Future for KeepFresh {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let (mut has_started, mut rings) = (false, 0);
        loop {
            let Some(shared) = self.shared.upgrade() else {
                return Poll::Ready(());
            };
            if !shared.ports.is_wanted() {
                return Poll::Ready(());
            }
            let (started, until) = self.tend(&shared, has_started, cx.waker());
            has_started |= started;
            if shared.drive(self.waiter) {
                continue;
            }
            let now = shared.slot.dial.now();
            let air = watch(&shared, &mut self.waiter, cx.waker(), now);
            if air.flight.is_some_and(|deadline| now >= deadline) {
                shared.judge(self.waiter);
                continue;
            }
            match until {
                Some(until) if self.alarm.is_due(until, now, cx.waker()) => rings += 1,
                Some(_) | None => return Poll::Pending,
            }
            if has_started || rings > EARLY_RINGS {
                cx.waker().wake_by_ref();
                return Poll::Pending;
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
