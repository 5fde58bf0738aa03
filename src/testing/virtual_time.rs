//! A clock and a timer that advance only when the test says so.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::boxed::Box;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

use crate::clock::{Clock, Timer};
use crate::refresh::BoxFuture;
use crate::time::{Span, Timestamp};

/// Virtual time: both a [`Clock`] and a [`Timer`]. Clones share the same time.
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
    /// The sleeps, by number.
    sleepers: BTreeMap<u64, (Timestamp, Waker)>,
    next: u64,
}

impl VirtualTime {
    /// Creates a clock that stands at `now`.
    pub fn at(now: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(Face { now, sleepers: BTreeMap::new(), next: 0 })))
    }

    /// Advances the time by `duration`, and wakes the sleeps that are due.
    pub fn advance(&self, duration: Duration) {
        let now = self.now().saturating_add(Span::from(duration));
        self.set(now);
    }

    /// Sets the time to `now`, forward or back, and wakes the sleeps that are due.
    pub fn set(&self, now: Timestamp) {
        let due: Vec<Waker> = {
            let mut face = self.lock();
            face.now = now;
            let (due, later): (BTreeMap<_, _>, _) = core::mem::take(&mut face.sleepers)
                .into_iter()
                .partition(|(_, (at, _))| *at <= now);
            face.sleepers = later;
            due.into_values().map(|(_, waker)| waker).collect()
        };
        due.into_iter().for_each(Waker::wake);
    }

    /// Returns when the next sleep is due.
    pub fn next_alarm(&self) -> Option<Timestamp> {
        let face = self.lock();
        face.sleepers.values().map(|(at, _)| *at).min()
    }

    fn lock(&self) -> MutexGuard<'_, Face> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for VirtualTime {
    fn now(&self) -> Timestamp {
        self.lock().now
    }
}

impl Timer for VirtualTime {
    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        let until = self.now().saturating_add(Span::from(duration));
        Box::pin(Sleep { time: self.clone(), until, number: None })
    }
}

struct Sleep {
    time: VirtualTime,
    until: Timestamp,
    number: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let this = &mut *self;
        let replaced = {
            let mut face = this.time.lock();
            if face.now >= this.until {
                return Poll::Ready(());
            }
            let number = *this.number.get_or_insert_with(|| {
                face.next += 1;
                face.next
            });
            face.sleepers.insert(number, (this.until, waker))
        };
        drop(replaced);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let sleeper = self.number.and_then(|number| self.time.lock().sleepers.remove(&number));
        drop(sleeper);
    }
}
