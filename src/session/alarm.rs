//! The alarm: one caller's use of the timer port.

use core::task::{Context, Poll, Waker};
use std::sync::Arc;

use crate::clock::Timer;
use crate::refresh::BoxFuture;
use crate::time::Timestamp;

/// How often a timer may fire early within one poll.
pub(crate) const EARLY_RINGS: usize = 32;

/// A sleep that is set again only when its instant changes.
pub(crate) struct Alarm {
    timer: Option<Arc<dyn Timer>>,
    sleep: Option<(Timestamp, BoxFuture<()>)>,
}

impl Alarm {
    pub(crate) fn new(timer: Option<Arc<dyn Timer>>) -> Self {
        Self { timer, sleep: None }
    }

    /// Returns whether `until` has come, by the clock. If it has not, and there is a timer, the task is
    /// woken when it does.
    pub(crate) fn has_come(
        &mut self,
        until: Timestamp,
        mut now: Timestamp,
        clock: impl Fn() -> Timestamp,
        cx: &mut Context<'_>,
    ) -> bool {
        for _ in 0..EARLY_RINGS {
            if now >= until {
                return true;
            }
            if !self.is_due(until, now, cx.waker()) {
                return false;
            }
            now = clock();
        }
        // A timer that is always early: another task gets its turn first.
        cx.waker().wake_by_ref();
        false
    }

    /// Returns whether `until` has come. If it has not, and there is a timer, `waker` is called when it
    /// does.
    pub(crate) fn is_due(&mut self, until: Timestamp, now: Timestamp, waker: &Waker) -> bool {
        let Some(timer) = &self.timer else {
            return now >= until;
        };
        let (_, sleep) = match self.sleep.take() {
            Some(set) if set.0 == until => self.sleep.insert(set),
            _ => self.sleep.insert((until, timer.sleep(until.since(now).to_duration()))),
        };
        match sleep.as_mut().poll(&mut Context::from_waker(waker)) {
            Poll::Pending => false,
            Poll::Ready(()) => {
                self.sleep = None;
                true
            }
        }
    }
}
