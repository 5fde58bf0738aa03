//! A clock and a timer that move only when told to.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::boxed::Box;
use std::sync::{Arc, Mutex, PoisonError};
use std::vec::Vec;

use crate::clock::{Clock, Timer};
use crate::refresh::BoxFuture;
use crate::time::{Span, Timestamp};

/// Virtual time: both a [`Clock`] and a [`Timer`]. Clones show the same time.
///
/// ```
/// use core::time::Duration;
/// use perennial::clock::Clock;
/// use perennial::testing::VirtualTime;
/// use perennial::time::Timestamp;
///
/// let time = VirtualTime::at(Timestamp::from_secs(1000));
/// time.advance(Duration::from_secs(5));
/// assert_eq!(time.now(), Timestamp::from_secs(1005));
/// ```
#[derive(Clone, Debug)]
pub struct VirtualTime(Arc<Mutex<Face>>);

#[derive(Debug)]
struct Face {
    now: Timestamp,
    sleepers: Vec<(Timestamp, Waker)>,
}

impl VirtualTime {
    /// Time that stands at `now`.
    pub fn at(now: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(Face { now, sleepers: Vec::new() })))
    }

    /// Lets `duration` go by, and wakes who slept until then.
    pub fn advance(&self, duration: Duration) {
        let now = self.now().saturating_add(Span::from(duration));
        self.set(now);
    }

    /// Jumps to `now`, forward or back, and wakes who slept until then.
    pub fn set(&self, now: Timestamp) {
        let due: Vec<Waker> = {
            let mut face = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            face.now = now;
            let (due, later) =
                core::mem::take(&mut face.sleepers).into_iter().partition(|(at, _)| *at <= now);
            face.sleepers = later;
            let due: Vec<(Timestamp, Waker)> = due;
            due.into_iter().map(|(_, waker)| waker).collect()
        };
        due.into_iter().for_each(Waker::wake);
    }

    /// When the next sleeper wakes up.
    pub fn next_alarm(&self) -> Option<Timestamp> {
        let face = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        face.sleepers.iter().map(|(at, _)| *at).min()
    }
}

impl Clock for VirtualTime {
    fn now(&self) -> Timestamp {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).now
    }
}

impl Timer for VirtualTime {
    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        let until = self.now().saturating_add(Span::from(duration));
        Box::pin(Sleep { time: self.clone(), until })
    }
}

struct Sleep {
    time: VirtualTime,
    until: Timestamp,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut face = self.time.0.lock().unwrap_or_else(PoisonError::into_inner);
        if face.now >= self.until {
            return Poll::Ready(());
        }
        let until = self.until;
        if !face.sleepers.iter().any(|(at, known)| *at == until && known.will_wake(&waker)) {
            face.sleepers.push((until, waker));
        }
        Poll::Pending
    }
}
