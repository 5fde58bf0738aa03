//! A wait whose future keeps a deadline when it is polled: this has it polled at the deadline.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::prelude::rust_2024::*;

use crate::primitives::Parker;
use crate::session::alarm::{Alarm, EARLY_RINGS};
use crate::session::panics::FirstPanic;
use crate::session::shared::Shared;
use crate::time::Timestamp;

/// Waits for a future that uses a [`TimedStore`](crate::session::exchange::timed_store::TimedStore).
/// With a timer, or on a plain thread, it ends at `until`; when awaited without a timer, at the first
/// poll after that.
pub(crate) struct Timed<'a, F> {
    future: Pin<Box<F>>,
    shared: &'a Shared,
    until: Timestamp,
    alarm: Alarm,
    panic: FirstPanic,
}

impl<'a, F: Future> Timed<'a, F> {
    pub(crate) fn new(shared: &'a Shared, until: Timestamp, future: F) -> Self {
        let alarm = Alarm::new(shared.ports.settings.timer.clone());
        Self { future: Box::pin(future), shared, until, alarm, panic: FirstPanic::default() }
    }

    /// Blocks this thread until the wait ends.
    pub(crate) fn wait(mut self) -> F::Output {
        let parker = Parker::new();
        let waker = parker.waker();
        loop {
            match self.turn(&waker) {
                Ok(output) => return output,
                Err(left) => parker.park_timeout(left),
            }
        }
    }

    /// Polls, and once more where the deadline has expired. Returns how long to wait where it is
    /// pending.
    fn turn(&mut self, waker: &Waker) -> Result<F::Output, Duration> {
        let mut cx = Context::from_waker(waker);
        let mut readable = true;
        for _ in 0..EARLY_RINGS {
            if let Poll::Ready(output) = self.future.as_mut().poll(&mut cx) {
                // A clock or a timer that panicked during the wait has cost nothing.
                self.panic.resume_unwinding();
                return Ok(output);
            }
            let (shared, until, alarm) = (self.shared, self.until, &mut self.alarm);
            let left = self.panic.call(|| {
                let now = shared.now();
                // If the clock went back, the time left is at most what a refresh may take (rule A5).
                let until = until.min(shared.longest(now));
                let due = alarm.is_due(until, now, waker);
                (!due).then(|| until.since(now).to_duration())
            });
            readable = left.is_some();
            if let Some(Some(left)) = left {
                return Err(left);
            }
        }
        if !readable {
            // The clock cannot be read: the store is waited for.
            return Err(self.shared.policy().refresh_deadline());
        }
        // The timer fires early again and again: yields to others on the executor.
        waker.wake_by_ref();
        Err(Duration::ZERO)
    }
}

impl<F: Future> Future for Timed<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        match self.turn(cx.waker()) {
            Ok(output) => Poll::Ready(output),
            Err(_) => Poll::Pending,
        }
    }
}
