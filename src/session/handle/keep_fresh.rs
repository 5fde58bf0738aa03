//! The keeper, which renews a token without any caller.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::prelude::rust_2024::*;
use std::sync::{Arc, Weak};

use crate::clock::Timer;
use crate::lifecycle::Requested;
use crate::session::alarm::Alarm;
use crate::session::handle::drive::{change_and_start, watch};
use crate::session::handle::options::Pace;
use crate::session::handle::session::Session;
use crate::session::shared::Shared;
use crate::session::shared::aside::Eagerness;
use crate::session::shared::side_job::Due;
use crate::session::singleflight::waiters::WaiterKey;
use crate::time::Timestamp;

impl Session {
    /// Returns a future that renews the token when it is due, without any caller. Spawn it; it ends
    /// once the last handle of the session is dropped.
    ///
    /// Each refresh deadline it also stores a grant that could not be stored before, and, where the
    /// session has none to renew, looks for the login of another process
    /// ([F2, F4](crate::spec#f-storage)).
    pub fn keep_fresh(&self, timer: impl Timer) -> KeepFresh {
        KeepFresh::new(&self.shared, Arc::new(timer))
    }
}

/// A future that renews the token when it is due, as long as a handle of its session is left.
///
/// Created by [`Session::keep_fresh`]. Spawn it, or await it beside the
/// program's main future. It starts at most one refresh per poll, and no two within a millisecond,
/// however short the backoff or the tokens' lifetimes are.
///
/// # Cancellation
/// Dropping it stops the automatic renewal, and nothing else.
#[must_use = "nothing is renewed until this is spawned or awaited"]
pub struct KeepFresh {
    shared: Weak<Shared>,
    waiter: Option<WaiterKey>,
    alarm: Alarm,
    pace: Pace,
}

impl KeepFresh {
    pub(crate) fn new(shared: &Arc<Shared>, timer: Arc<dyn Timer>) -> Self {
        let alarm = Alarm::new(Some(timer));
        Self { shared: Arc::downgrade(shared), waiter: None, alarm, pace: Pace::default() }
    }

    /// Starts what is due, unless something `has_started` in this poll. Returns whether it has started
    /// something, and when to look again.
    fn tend(
        &mut self,
        shared: &Arc<Shared>,
        has_started: bool,
        waker: &Waker,
    ) -> (bool, Option<Timestamp>) {
        drop(shared.lock_after_draining(self.waiter));
        let (now, clone) = (shared.now(), waker.clone());
        let rest = if has_started { Some(Pace::after(now)) } else { self.pace.rest(now) };
        let (started, until) = change_and_start(shared, now, |inner, deferred| {
            deferred.replaced = inner.flights.waiters.register(&mut self.waiter, clone);
            let policy = shared.policy();
            let mut next = inner.lifecycle;
            let requested = next.handle_requested(policy, now);
            let due = if let Requested::LogIn(_) = requested {
                shared.look(inner, Eagerness::Keeper, now, deferred)
            } else if requested.start().is_none() {
                shared.save(inner, now, deferred)
            } else {
                // The refresh stores it first.
                Due::Never
            };
            let due = match due {
                Due::Never => None,
                Due::InFlight(at) | Due::Launched(at) | Due::Later(at) => Some(at),
            };
            let start = requested.start();
            let rest = rest.filter(|_| start.is_some());
            let start = start.filter(|_| rest.is_none());
            if start.is_some() {
                inner.lifecycle = next;
            } else {
                inner.lifecycle.observe(policy, now);
            }
            let timeout = inner.lifecycle.poll_timeout(policy, now).map(|timeout| timeout.at);
            (start, rest.into_iter().chain(timeout).chain(due).min())
        });
        if started {
            self.pace.start(now);
        }
        (started, until)
    }
}

impl Future for KeepFresh {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut has_started = false;
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
            let now = shared.now();
            let air = watch(&shared, &mut self.waiter, cx.waker(), now);
            if air.flight.is_some_and(|deadline| now >= deadline) {
                shared.expire(self.waiter);
                continue;
            }
            if until.is_some_and(|until| self.alarm.is_due(until, now, cx.waker())) {
                // A timer may be early, always: another task gets its turn first.
                cx.waker().wake_by_ref();
            }
            return Poll::Pending;
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
