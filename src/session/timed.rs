//! A wait with a deadline that its future keeps when it is polled: this has it polled then.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::prelude::rust_2024::*;

use super::alarm::Alarm;
use super::core::Shared;
use crate::primitives::Parker;
use crate::time::Timestamp;

/// Waits for what a [`TimedStore`](super::timed_store::TimedStore) says: on a timer's word, or on a
/// plain thread, it is over at `until`. Async without a timer it is over at the first poll after that.
pub(super) struct Timed<'a, F> {
    future: Pin<Box<F>>,
    shared: &'a Shared,
    until: Timestamp,
    alarm: Alarm,
}

impl<'a, F: Future> Timed<'a, F> {
    pub(super) fn new(shared: &'a Shared, until: Timestamp, future: F) -> Self {
        let alarm = Alarm::new(shared.ports.settings.timer.clone());
        Self { future: Box::pin(future), shared, until, alarm }
    }

    /// Waits on this thread.
    pub(super) fn wait(mut self) -> F::Output {
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
    fn turn(&mut self, waker: &Waker) -> Result<F::Output, core::time::Duration> {
        let mut cx = Context::from_waker(waker);
        loop {
            if let Poll::Ready(output) = self.future.as_mut().poll(&mut cx) {
                return Ok(output);
            }
            let now = self.shared.slot.dial.now();
            // Where the clock went back, no more than a refresh may take (rule A5).
            let until = self.until.min(self.shared.longest(now));
            if !self.alarm.is_due(until, now, waker) {
                return Err(until.since(now).to_duration());
            }
        }
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
