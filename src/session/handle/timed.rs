//! A wait with a deadline that its future keeps when it is polled: this has it polled then.

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

/// Waits for what a [`TimedStore`](super::timed_store::TimedStore) says: on a timer's word, or on a
/// plain thread, it is over at `until`. Async without a timer it is over at the first poll after that.
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

    /// Waits on this thread.
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

    /// Polls, and once more where the deadline has come. Gives for how long it has to wait.
    fn turn(&mut self, waker: &Waker) -> Result<F::Output, Duration> {
        let mut cx = Context::from_waker(waker);
        let mut readable = true;
        for _ in 0..EARLY_RINGS {
            if let Poll::Ready(output) = self.future.as_mut().poll(&mut cx) {
                // A clock or a timer that panicked while this waited has cost nothing.
                self.panic.resume_unwinding();
                return Ok(output);
            }
            let (shared, until, alarm) = (self.shared, self.until, &mut self.alarm);
            let left = self.panic.call(|| {
                let now = shared.now();
                // Where the clock went back, no more than a refresh may take (rule A5).
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
            // There is no time to go by: the store is waited for.
            return Err(self.shared.policy().refresh_deadline());
        }
        // The timer rings early again and again: others on the executor have a turn.
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
