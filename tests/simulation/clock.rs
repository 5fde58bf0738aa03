//! Machines: a monotonic clock, a wall clock that is set and that runs on in sleep, and timers.
//! Processes read the crate's own `StandardClock` over them, or the wall clock as it is.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use perennial::clock::{Clock, DEFAULT_TOLERANCE, Source, StandardClock, Timer};
use perennial::refresh::BoxFuture;
use perennial::time::Timestamp;

use super::world::Shared;

/// What the two clocks of one machine show.
pub(crate) struct Face {
    mono: AtomicI64,
    wall: AtomicI64,
}

/// The clocks of one machine, as its processes read them.
#[derive(Clone)]
pub(crate) struct Hands(Arc<Face>);

impl Hands {
    pub(crate) fn new(wall: i64) -> Self {
        Self(Arc::new(Face { mono: AtomicI64::new(0), wall: AtomicI64::new(wall) }))
    }

    pub(crate) fn mono(&self) -> i64 {
        self.0.mono.load(Ordering::Relaxed)
    }

    /// Lets `millis` go by, awake or asleep.
    pub(crate) fn pass(&self, millis: i64, asleep: bool) {
        self.0.wall.fetch_add(millis, Ordering::Relaxed);
        if !asleep {
            self.0.mono.fetch_add(millis, Ordering::Relaxed);
        }
    }

    /// Sets the wall clock, by so much.
    pub(crate) fn set(&self, millis: i64) {
        self.0.wall.fetch_add(millis, Ordering::Relaxed);
    }
}

impl Source for Hands {
    fn monotonic(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.mono()).unwrap_or(0))
    }

    fn wall(&self) -> Timestamp {
        Timestamp::from_millis(self.0.wall.load(Ordering::Relaxed))
    }
}

/// The clock of one process.
#[derive(Clone)]
pub(crate) enum Watch {
    /// The crate's own (rule A2).
    Standard(Arc<StandardClock<Hands>>),
    /// The wall clock as it is, which may run back (rule A5).
    Raw(Hands),
}

impl Watch {
    pub(crate) fn new(hands: &Hands, raw: bool) -> Self {
        if raw {
            Self::Raw(hands.clone())
        } else {
            let clock = StandardClock::with_source(hands.clone(), DEFAULT_TOLERANCE);
            Self::Standard(Arc::new(clock))
        }
    }

    pub(crate) fn is_raw(&self) -> bool {
        matches!(self, Self::Raw(_))
    }

    pub(crate) fn millis(&self) -> i64 {
        self.now().as_millis()
    }
}

impl Clock for Watch {
    fn now(&self) -> Timestamp {
        match self {
            Self::Standard(clock) => clock.now(),
            Self::Raw(hands) => Source::wall(hands),
        }
    }

    fn wall(&self) -> Timestamp {
        match self {
            Self::Standard(clock) => Clock::wall(&**clock),
            Self::Raw(hands) => Source::wall(hands),
        }
    }
}

/// The timer of one process, which counts by its machine's monotonic clock.
pub(crate) struct Bells {
    pub(crate) shared: Shared,
    pub(crate) machine: usize,
}

impl Timer for Bells {
    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        let hands = self.shared.lock().machines[self.machine].hands.clone();
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let until = hands.mono().saturating_add(millis);
        let shared = self.shared.clone();
        Box::pin(Sleep { shared, machine: self.machine, hands, until, number: None })
    }
}

struct Sleep {
    shared: Shared,
    machine: usize,
    hands: Hands,
    until: i64,
    number: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.hands.mono() >= self.until {
            return Poll::Ready(());
        }
        let this = &mut *self;
        let mut world = this.shared.lock();
        let number = *this.number.get_or_insert_with(|| world.number());
        let waker = cx.waker().clone();
        let _ = world.machines[this.machine].bells.insert((this.until, number), waker);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let bell: Option<Waker> =
            self.shared.lock().machines[self.machine].bells.remove(&(self.until, number));
        drop(bell);
    }
}
