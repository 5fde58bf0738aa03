//! The clock and timer traits, and the standard clock: the only file that reads the machine's
//! clocks.
//!
//! ```
//! use perennial::clock::{Clock, StandardClock};
//!
//! let clock = StandardClock::new();
//! assert!(clock.now() <= clock.now());
//! ```
//!
//! Any `Fn() -> Timestamp` is also a clock.

use core::future::Future;
use core::time::Duration;
use std::boxed::Box;
use std::sync::LazyLock;
use std::time::{Instant, SystemTime};

#[cfg(target_os = "linux")]
use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::primitives::{AtomicI64, Ordering};
use crate::refresh::BoxFuture;
use crate::time::{Span, Timestamp};

/// A source of time for a session.
pub trait Clock: Send + Sync + 'static {
    /// Returns the present instant, on a timeline that should not run backwards.
    fn now(&self) -> Timestamp;

    /// Returns the time of the wall clock, with which instants from other hosts and from stores are
    /// compared. Default: the same as [`now`](Clock::now).
    fn wall(&self) -> Timestamp {
        self.now()
    }
}

impl<F: Fn() -> Timestamp + Send + Sync + 'static> Clock for F {
    fn now(&self) -> Timestamp {
        self()
    }
}

/// Wakes a session at a refresh's deadline and after a backoff. See rule
/// [B13](crate::spec#b-the-client-machine).
///
/// Any `Fn(Duration) -> impl Future<Output = ()>` is a timer.
pub trait Timer: Send + Sync + 'static {
    /// Returns a future that completes after `duration`.
    fn sleep(&self, duration: Duration) -> BoxFuture<()>;
}

impl<F, Fut> Timer for F
where
    F: Fn(Duration) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        Box::pin(self(duration))
    }
}

/// The two clocks of a machine, which [`StandardClock`] combines.
pub trait Source: Send + Sync + 'static {
    /// Returns the time since some fixed instant. It may stand still while the machine sleeps.
    fn monotonic(&self) -> Duration;
    /// Returns the time of the wall clock, which may be set to anything at any time.
    fn wall(&self) -> Timestamp;
}

/// The machine's own clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemSource {
    origin: Instant,
}

impl Source for SystemSource {
    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }

    fn wall(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is where the clock is read")]
        SystemTime::now().into()
    }
}

/// The time since some instant, for the thread timer. It may stand still while the machine sleeps,
/// like the timers of runtimes.
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "this is where the clock is read")]
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The machine's own clocks as the kernel last updated them, every 1 to 10 ms (usually 4). Reading
/// them takes a fraction of the time, and the resolution is enough for tokens, whose margins are
/// seconds.
#[cfg(target_os = "linux")]
#[derive(Clone, Copy, Debug, Default)]
pub struct CoarseSource;

#[cfg(target_os = "linux")]
impl Source for CoarseSource {
    #[inline]
    fn monotonic(&self) -> Duration {
        let (seconds, nanos) = coarse(ClockId::MonotonicCoarse);
        // Since the machine was started, so never negative.
        Duration::new(seconds.unsigned_abs(), nanos)
    }

    #[inline]
    fn wall(&self) -> Timestamp {
        let (seconds, nanos) = coarse(ClockId::RealtimeCoarse);
        Timestamp::from_millis(
            seconds.saturating_mul(1000).saturating_add(i64::from(nanos) / 1_000_000),
        )
    }
}

#[cfg(target_os = "linux")]
#[inline]
fn coarse(clock: ClockId) -> (i64, u32) {
    #[expect(clippy::disallowed_methods, reason = "this is where the clock is read")]
    let Timespec { tv_sec, tv_nsec } = clock_gettime(clock);
    (tv_sec, u32::try_from(tv_nsec).unwrap_or_default())
}

/// How far the wall clock may run ahead before the standard clock follows it: 1 s.
pub const DEFAULT_TOLERANCE: Span = Span::from_secs(1);

/// The standard clock: monotonic, and aware of sleep. See rule [A2](crate::spec#a-time).
///
/// It follows the monotonic clock. If the wall clock moves ahead by more than the tolerance, the
/// machine slept or its clock was set forward: time jumps forward to match, and tokens expire. If
/// the wall clock is set back, only the reference for later comparisons changes.
///
/// Its state is two atomic offsets that only grow, so no interleaving of readers can make it run
/// backwards. They are written only when a step is seen.
#[derive(Debug)]
pub struct StandardClock<S: Source = SystemSource> {
    source: S,
    tolerance: Span,
    /// The offset from the monotonic clock's milliseconds to now. Grows when time jumps forward.
    ahead: AtomicI64,
    /// The offset that makes the wall clock's milliseconds comparable with now. Grows when the wall
    /// clock is set back.
    set_back: AtomicI64,
}

impl StandardClock {
    /// Creates a clock that reads the machine's own clocks.
    pub fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is where the clock is read")]
        let origin = Instant::now();
        Self::with_source(SystemSource { origin }, DEFAULT_TOLERANCE)
    }
}

#[cfg(target_os = "linux")]
impl StandardClock<CoarseSource> {
    /// Creates a clock that reads the machine's coarse clocks.
    pub fn coarse() -> Self {
        Self::with_source(CoarseSource, DEFAULT_TOLERANCE)
    }
}

impl Default for StandardClock {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Source> StandardClock<S> {
    /// Creates a clock that reads `source`, and follows its wall clock once that is ahead by more
    /// than `tolerance`.
    pub fn with_source(source: S, tolerance: Span) -> Self {
        let ahead = source.wall().as_millis().saturating_sub(millis(source.monotonic()));
        Self { source, tolerance, ahead: AtomicI64::new(ahead), set_back: AtomicI64::new(0) }
    }
}

impl<S: Source> StandardClock<S> {
    /// The two clocks have diverged: returns what time it is now, and corrects an offset.
    #[cold]
    fn step(&self, elapsed: i64, wall: i64, steady: i64, shown: i64) -> Timestamp {
        // A reader that was delayed between the two clocks has seen no step, only its own delay.
        let delay = millis(self.source.monotonic()).saturating_sub(elapsed);
        if delay.unsigned_abs() > self.tolerance.as_millis() {
            return Timestamp::from_millis(steady);
        }
        // Rule A2: "A wall clock set back MUST change nothing but what the next comparison starts
        // from".
        if shown < steady {
            // Release, with the acquire in `now`: a reader that adds this has seen the wall clock
            // set back.
            let _ = self.set_back.fetch_max(steady.saturating_sub(wall), Ordering::Release);
            return Timestamp::from_millis(steady);
        }
        // Rule A2: it "MUST jump forward to the wall clock when that has moved ahead of it": never
        // to less than another reader has jumped to.
        let jump = shown.saturating_sub(elapsed);
        // Release, as above. Not acquire: nothing is read after it.
        let before = self.ahead.fetch_max(jump, Ordering::Release);
        Timestamp::from_millis(elapsed.saturating_add(before.max(jump)))
    }
}

impl<S: Source> Clock for StandardClock<S> {
    /// Reads both clocks, and adds two offsets.
    // Rule A2: "Reading it MUST write to shared memory only when such a step is seen."
    #[inline]
    fn now(&self) -> Timestamp {
        // The offsets come first. Each only grows, so one that is out of date by the time that the
        // clocks are read makes a step seem too small, never too large; the next reading sees the
        // rest. Acquire, with the release below: no clock is read before the offset that was
        // measured with it.
        let ahead = self.ahead.load(Ordering::Acquire);
        let set_back = self.set_back.load(Ordering::Acquire);
        let elapsed = millis(self.source.monotonic());
        let wall = self.source.wall().as_millis();
        let steady = elapsed.saturating_add(ahead);
        let shown = wall.saturating_add(set_back);
        if shown.abs_diff(steady) <= self.tolerance.as_millis() {
            return Timestamp::from_millis(steady);
        }
        self.step(elapsed, wall, steady, shown)
    }

    fn wall(&self) -> Timestamp {
        self.source.wall()
    }
}

/// What [`SharedClock`] reads: the fastest clocks of this platform that satisfy rule A2.
#[cfg(target_os = "linux")]
type Fastest = CoarseSource;
#[cfg(not(target_os = "linux"))]
type Fastest = SystemSource;

/// The standard clock that all sessions of a process share by default: on Linux with the coarse
/// clocks, elsewhere with the standard library's.
#[derive(Copy, Clone, Debug, Default)]
pub struct SharedClock;

impl SharedClock {
    #[inline]
    fn clock() -> &'static StandardClock<Fastest> {
        #[cfg(target_os = "linux")]
        static SHARED: LazyLock<StandardClock<Fastest>> = LazyLock::new(StandardClock::coarse);
        #[cfg(not(target_os = "linux"))]
        static SHARED: LazyLock<StandardClock<Fastest>> = LazyLock::new(StandardClock::new);
        &SHARED
    }
}

impl Clock for SharedClock {
    #[inline]
    fn now(&self) -> Timestamp {
        Self::clock().now()
    }

    fn wall(&self) -> Timestamp {
        Self::clock().wall()
    }
}

#[inline]
fn millis(elapsed: Duration) -> i64 {
    let seconds = i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX);
    seconds.saturating_mul(1000).saturating_add(i64::from(elapsed.subsec_millis()))
}
