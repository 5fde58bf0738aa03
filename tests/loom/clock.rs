//! The standard clock, read by several while the wall clock is set.

use std::sync::Arc;
use std::time::Duration;

use loom::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use loom::thread;
use perennial::clock::{Clock, DEFAULT_TOLERANCE, Source, StandardClock};
use perennial::time::Timestamp;

use crate::exhaust::{Bound::Unbounded, exhaust};

const START: i64 = 1_700_000_000_000;
const HOUR: i64 = 3_600_000;

/// A machine whose wall clock can be set, in no order but what readers of one variable have; its
/// monotonic clock stands still, so that each step is the wall clock's.
struct Machine {
    wall: Arc<AtomicI64>,
}

impl Source for Machine {
    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    fn wall(&self) -> Timestamp {
        Timestamp::from_millis(self.wall.load(Ordering::Relaxed))
    }
}

type Shared = Arc<StandardClock<Machine>>;

fn machine() -> (Shared, Arc<AtomicI64>) {
    let wall = Arc::new(AtomicI64::new(START));
    let source = Machine { wall: Arc::clone(&wall) };
    (Arc::new(StandardClock::with_source(source, DEFAULT_TOLERANCE)), wall)
}

/// How many milliseconds `clock` shows to have gone by.
fn gone_by(clock: &Shared) -> i64 {
    clock.now().as_millis() - START
}

// Rule A2.
#[test]
fn a_wall_clock_set_back_while_others_read_moves_nobody() {
    exhaust(Unbounded, || {
        let (clock, wall) = machine();
        let other = Arc::clone(&clock);
        let setting = thread::spawn(move || {
            wall.store(START - HOUR, Ordering::Relaxed);
            assert_eq!(gone_by(&other), 0);
        });
        assert_eq!(gone_by(&clock), 0);
        assert_eq!(gone_by(&clock), 0);
        setting.join().expect("no panic");
        assert_eq!(gone_by(&clock), 0);
    });
}

// Rule A2.
#[test]
fn a_wall_clock_set_forward_while_others_read_is_followed_once() {
    exhaust(Unbounded, || {
        let (clock, wall) = machine();
        let other = Arc::clone(&clock);
        let setting = thread::spawn(move || {
            wall.store(START + HOUR, Ordering::Relaxed);
            assert_eq!(gone_by(&other), HOUR);
        });
        let first = gone_by(&clock);
        let second = gone_by(&clock);
        assert!(first == 0 || first == HOUR, "{first}");
        assert!(second == HOUR || second == first, "{second} after {first}");
        setting.join().expect("no panic");
        assert_eq!(gone_by(&clock), HOUR);
    });
}

// Rule A2.
#[test]
fn nobody_reads_less_than_what_another_has_read_and_told() {
    exhaust(Unbounded, || {
        let (clock, wall) = machine();
        let told = Arc::new(AtomicBool::new(false));
        let (other, teller) = (Arc::clone(&clock), Arc::clone(&told));
        let setting = thread::spawn(move || {
            wall.store(START + HOUR, Ordering::Relaxed);
            assert_eq!(gone_by(&other), HOUR);
            wall.store(START, Ordering::Relaxed);
            assert_eq!(gone_by(&other), HOUR);
            teller.store(true, Ordering::Release);
        });
        let is_told = told.load(Ordering::Acquire);
        let shown = gone_by(&clock);
        assert!(!is_told || shown == HOUR, "{shown} once an hour was told");
        setting.join().expect("no panic");
        assert_eq!(gone_by(&clock), HOUR);
    });
}
