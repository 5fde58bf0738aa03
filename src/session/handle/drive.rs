//! Driving a refresh without a caller: the spawned driver, and the wait of `close`.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::prelude::rust_2024::*;
use std::sync::Arc;

use crate::lifecycle::Start;
use crate::primitives::{contained, discard};
use crate::session::alarm::Alarm;
use crate::session::error::{Error, Kind};
use crate::session::handle::turn::{self, Caller, Wait, WaitStep};
use crate::session::shared::Shared;
use crate::session::shared::deferred::Deferred;
use crate::session::shared::inner::Inner;
use crate::session::singleflight::waiters::WaiterKey;
use crate::time::Timestamp;

/// Hands the flight to the program's spawner, if there is one.
pub(crate) fn spawn(shared: &Arc<Shared>) {
    if let Some(spawner) = &shared.ports.settings.spawner {
        let drive = Drive::new(Arc::clone(shared), DriveUntil::Landing);
        let task = Box::pin(async { drop(drive.await) });
        // A spawner that panics leaves the flight to its callers.
        let _ = contained(|| spawner(task));
    }
}

/// Changes the state, launches the refresh that `change` orders, or stores what could not be stored before,
/// and hands that to the program's spawner. Returns whether one was launched.
pub(crate) fn change_and_start<T>(
    shared: &Arc<Shared>,
    now: Timestamp,
    change: impl FnOnce(&mut Inner, &mut Deferred) -> (Option<Start<Timestamp>>, T),
) -> (bool, T) {
    let (started, launched, result) = shared.change(now, |inner, deferred| {
        let (start, result) = change(inner, deferred);
        if let Some(start) = start {
            inner.launch(&shared.ports, start, now, deferred);
        } else {
            let _ = shared.save(inner, now, deferred);
        }
        (start.is_some(), deferred.launched, result)
    });
    if started || launched {
        spawn(shared);
    }
    (started, result)
}

/// Drives what is in flight until nothing is, and keeps the session alive meanwhile. Rule C9: "What was
/// sent and is spawned runs on until it has landed and is persisted".
pub(crate) struct Drive {
    shared: Arc<Shared>,
    extent: DriveUntil,
    waiter: Option<WaiterKey>,
    alarm: Alarm,
}

/// How long to drive what is in flight.
#[derive(Copy, Clone)]
pub(crate) enum DriveUntil {
    /// Until it has landed.
    Landing,
    /// Until it has landed, or its deadline has expired.
    Deadline,
}

impl Drive {
    pub(crate) fn new(shared: Arc<Shared>, extent: DriveUntil) -> Self {
        let alarm = Alarm::new(shared.ports.settings.timer.clone());
        Self { shared, extent, waiter: None, alarm }
    }

    /// Drives on this thread.
    pub(crate) fn wait(mut self) -> Result<(), Error> {
        let now = self.shared.now();
        turn::wait(&mut self, now)
    }
}

impl Wait for Drive {
    type Output = Result<(), Error>;

    fn turn(&mut self, waker: &Waker, _: Caller, now: Timestamp) -> WaitStep<Self::Output> {
        let air = watch(&self.shared, &mut self.waiter, waker, now);
        if air.clear {
            return WaitStep::Ready(Ok(()));
        }
        if self.shared.drive(self.waiter) {
            return WaitStep::Again;
        }
        if air.reentrant {
            // Rule C6: what it would wait for waits for it.
            return WaitStep::Ready(Err(Error::new(Kind::Reentrant)));
        }
        let now = self.shared.now();
        if air.flight.is_some_and(|deadline| now >= deadline) {
            self.shared.expire(self.waiter);
            return WaitStep::Again;
        }
        match (self.extent, air.all) {
            (DriveUntil::Landing, _) => {
                air.flight.map_or(WaitStep::Pending(None), WaitStep::Parked)
            }
            (DriveUntil::Deadline, Some(all)) if now >= all => {
                // Nothing is left to judge, but what is in flight is polled once more.
                self.shared.expire(self.waiter);
                let mut inner = self.shared.lock();
                let newest = inner.lifecycle.newest_flight();
                match inner.flights.deadline(self.shared.longest(now)) {
                    // What has landed has launched a revocation (rule B14).
                    Some(all) if now < all => WaitStep::Again,
                    // The result of a superseded refresh is of no use to the session.
                    Some(_) | None if inner.epoch_fence.includes(newest) => WaitStep::Ready(Ok(())),
                    Some(_) | None if !inner.flights.has_in_flight(newest) => {
                        WaitStep::Ready(Ok(()))
                    }
                    Some(_) | None => WaitStep::Ready(Err(Error::new(Kind::Unknown))),
                }
            }
            (DriveUntil::Deadline, all) => WaitStep::Pending(air.flight.or(all)),
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
        let now = self.shared.now();
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

/// What is in flight.
pub(crate) struct InFlightStatus {
    clear: bool,
    /// Whether this thread is polling it.
    reentrant: bool,
    /// The deadline of the refresh in flight.
    pub(crate) flight: Option<Timestamp>,
    /// When all of it should have landed.
    all: Option<Timestamp>,
}

/// Registers to be woken for what is in flight. `now` is the present time.
pub(crate) fn watch(
    shared: &Shared,
    waiter: &mut Option<WaiterKey>,
    waker: &Waker,
    now: Timestamp,
) -> InFlightStatus {
    let (clone, longest) = (waker.clone(), shared.longest(now));
    let (replaced, air) = {
        let mut inner = shared.lock();
        let replaced = inner.flights.waiters.register(waiter, clone);
        let air = InFlightStatus {
            clear: inner.flights.is_empty(),
            reentrant: inner.flights.is_reentrant(),
            flight: inner.lifecycle.refresh_deadline(),
            all: inner.flights.deadline(longest),
        };
        (replaced, air)
    };
    discard(replaced);
    air
}
