//! The standard clock, on two clocks that the test moves.

use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use perennial::clock::{Clock, Source, StandardClock};
use perennial::time::{Span, Timestamp};
use proptest::prelude::*;

const START: i64 = 1_700_000_000_000;
const HOUR: i64 = 3_600_000;

/// Two clocks that show what they are set to, in milliseconds.
#[derive(Clone, Default)]
struct Machine(Arc<Faces>);

#[derive(Default)]
struct Faces {
    monotonic: AtomicU64,
    wall: AtomicI64,
}

impl Machine {
    fn new() -> (Self, StandardClock<Self>) {
        let machine = Self::default();
        machine.set_wall(START);
        let clock = StandardClock::with_source(machine.clone(), Span::from_secs(1));
        (machine, clock)
    }

    /// Time goes by for both.
    fn pass(&self, millis: i64) {
        self.0.monotonic.fetch_add(millis.unsigned_abs(), Ordering::SeqCst);
        self.0.wall.fetch_add(millis, Ordering::SeqCst);
    }

    /// Only the wall clock moves: sleep, or somebody has set it.
    fn step_wall(&self, millis: i64) {
        self.0.wall.fetch_add(millis, Ordering::SeqCst);
    }

    fn set_wall(&self, millis: i64) {
        self.0.wall.store(millis, Ordering::SeqCst);
    }
}

impl Source for Machine {
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.monotonic.load(Ordering::SeqCst))
    }

    fn wall(&self) -> Timestamp {
        Timestamp::from_millis(self.0.wall.load(Ordering::SeqCst))
    }
}

/// What the clock shows since the start.
#[track_caller]
fn shows<S: Source>(clock: &StandardClock<S>, since_start: i64) {
    assert_eq!(clock.now().as_millis() - START, since_start);
}

// Rule A2.
#[test]
fn it_begins_at_the_wall_clock_and_follows_the_monotonic_one() {
    let (machine, clock) = Machine::new();
    shows(&clock, 0);
    machine.pass(5);
    shows(&clock, 5);
    machine.pass(HOUR);
    shows(&clock, HOUR + 5);
}

// Rule A2. A monotonic clock may stop in suspend: librespot#1617, pizauth#47.
#[test]
fn a_machine_that_slept_has_slept_for_tokens_too() {
    let (machine, clock) = Machine::new();
    machine.pass(1000);
    machine.step_wall(8 * HOUR);
    shows(&clock, 8 * HOUR + 1000);
    machine.pass(10);
    shows(&clock, 8 * HOUR + 1010);
}

// Rule A2.
#[test]
fn a_wall_clock_set_back_changes_nothing_and_freezes_nothing() {
    let (machine, clock) = Machine::new();
    machine.pass(1000);
    machine.step_wall(-3 * HOUR);
    shows(&clock, 1000);
    machine.pass(500);
    shows(&clock, 1500);
}

// Rule A2.
#[test]
fn a_sleep_after_the_wall_clock_was_set_back_is_still_seen() {
    let (machine, clock) = Machine::new();
    machine.step_wall(-3 * HOUR);
    shows(&clock, 0);
    machine.step_wall(HOUR);
    shows(&clock, HOUR);
    machine.pass(7);
    shows(&clock, HOUR + 7);
}

// Rule A2.
#[test]
fn a_wild_jump_there_and_back_counts_once_and_later_time_runs_true() {
    let (machine, clock) = Machine::new();
    machine.step_wall(24 * HOUR);
    shows(&clock, 24 * HOUR);
    machine.step_wall(-24 * HOUR);
    shows(&clock, 24 * HOUR);
    // A token of one hour that is got now lives for one hour, and not longer or shorter.
    let got = clock.now();
    for _ in 0..60 {
        machine.pass(HOUR / 60);
        let _ = clock.now();
    }
    assert_eq!(clock.now().since(got), Span::from_secs(3600));
}

// Rule A2.
#[test]
fn drift_within_the_tolerance_is_let_be_and_beyond_it_is_followed() {
    let (machine, clock) = Machine::new();
    machine.step_wall(1000);
    shows(&clock, 0);
    machine.step_wall(1);
    shows(&clock, 1001);
    machine.step_wall(-1000);
    shows(&clock, 1001);
    machine.step_wall(1000);
    shows(&clock, 1001);
}

// Rule A2.
#[test]
fn the_wall_clock_is_shown_as_it_is() {
    let (machine, clock) = Machine::new();
    machine.step_wall(-HOUR);
    let _ = clock.now();
    assert_eq!(clock.wall(), Timestamp::from_millis(START - HOUR));
}

// Rules A1, A2.
#[test]
fn the_ends_of_time_neither_panic_nor_turn_it_back() {
    let ends = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX];
    for first in ends {
        for second in ends {
            for monotonic in [0, 1, u64::MAX] {
                let machine = Machine::default();
                machine.set_wall(first);
                let clock = StandardClock::with_source(machine.clone(), Span::ZERO);
                let before = clock.now();
                machine.set_wall(second);
                machine.0.monotonic.store(monotonic, Ordering::SeqCst);
                let between = clock.now();
                machine.set_wall(first);
                assert!(before <= between && between <= clock.now());
            }
        }
    }
}

/// A clock source that lets something happen just before, or just after, a clock is read.
struct Interrupted {
    machine: Machine,
    interruption: Mutex<Option<(When, Happening)>>,
}

type Happening = Box<dyn FnOnce() + Send>;

#[derive(Copy, Clone, PartialEq, Eq)]
enum When {
    AfterMonotonic,
    AfterWall,
}

impl Interrupted {
    fn happens(&self, now: When) {
        let mut interruption = self.interruption.lock().expect("no panic");
        if let Some((_, happen)) = interruption.take_if(|(when, _)| *when == now) {
            drop(interruption);
            happen();
        }
    }
}

#[derive(Clone)]
struct Held(Arc<Interrupted>);

impl Source for Held {
    fn monotonic(&self) -> Duration {
        let shown = self.0.machine.monotonic();
        self.0.happens(When::AfterMonotonic);
        shown
    }

    fn wall(&self) -> Timestamp {
        let shown = self.0.machine.wall();
        self.0.happens(When::AfterWall);
        shown
    }
}

/// A clock whose next reading is interrupted by `happen`, which may read it as another thread may.
fn interrupted(
    when: When,
    happen: impl FnOnce(&Machine, &StandardClock<Held>) + Send + 'static,
) -> (Machine, Arc<StandardClock<Held>>) {
    let machine = Machine::default();
    machine.set_wall(START);
    let source = Interrupted { machine: machine.clone(), interruption: Mutex::new(None) };
    let source = Held(Arc::new(source));
    let clock = Arc::new(StandardClock::with_source(source.clone(), Span::from_secs(1)));
    let (inside, other) = (machine.clone(), Arc::clone(&clock));
    let happen = Box::new(move || happen(&inside, &other));
    *source.0.interruption.lock().expect("no panic") = Some((when, happen));
    (machine, clock)
}

// Rule A2. A reader that was held up between the two clocks has not seen a step.
#[test]
fn a_reader_held_up_between_the_clocks_moves_no_time() {
    let (machine, clock) = interrupted(When::AfterMonotonic, |machine, _| machine.pass(10_000));
    let _ = clock.now();
    shows(&clock, 10_000);
    machine.pass(1);
    shows(&clock, 10_001);
}

// Rule A2. One step is counted once, however many readers see it.
#[test]
fn a_step_forward_that_another_reader_takes_first_is_not_taken_twice() {
    let (machine, clock) = interrupted(When::AfterWall, |machine, clock| {
        machine.step_wall(HOUR);
        shows(clock, HOUR);
    });
    let _ = clock.now();
    shows(&clock, HOUR);
    machine.pass(1);
    shows(&clock, HOUR + 1);
}

// Rule A2.
#[test]
fn a_step_back_that_another_reader_takes_first_expires_nothing() {
    let (machine, clock) = interrupted(When::AfterWall, |machine, clock| {
        machine.step_wall(-HOUR);
        shows(clock, 0);
    });
    shows(&clock, 0);
    machine.pass(1);
    shows(&clock, 1);
}

proptest! {
    // Rule A2.
    #[test]
    fn it_never_runs_backwards_whatever_the_two_clocks_do(
        tolerance in prop_oneof![Just(0), 0..5000_u64, any::<u64>()],
        first in any::<i64>(),
        steps in prop::collection::vec(
            (
                prop_oneof![Just(0), 0..10_000_u64, any::<u64>()],
                prop_oneof![any::<i64>(), -20_000..20_000_i64],
                any::<bool>(),
            ),
            0..40,
        ),
    ) {
        let machine = Machine::default();
        machine.set_wall(first);
        let clock = StandardClock::with_source(machine.clone(), Span::from_millis(tolerance));
        let mut last = clock.now();
        let mut monotonic = 0_u64;
        for (elapsed, wall, relative) in steps {
            monotonic = monotonic.saturating_add(elapsed);
            machine.0.monotonic.store(monotonic, Ordering::SeqCst);
            let before = machine.wall().as_millis();
            machine.set_wall(if relative { before.saturating_add(wall) } else { wall });
            let now = clock.now();
            prop_assert!(now >= last, "{now:?} after {last:?}");
            last = now;
        }
    }
}

// Rule A2.
#[test]
fn no_reader_sees_time_run_backwards_nor_finds_it_behind_what_another_has_seen() {
    let (machine, clock) = Machine::new();
    let clock = Arc::new(clock);
    let newest = Arc::new(AtomicI64::new(i64::MIN));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (clock, newest) = (Arc::clone(&clock), Arc::clone(&newest));
            thread::spawn(move || {
                let last = Cell::new(i64::MIN);
                for _ in 0..20_000 {
                    // What any reader has published before this reading began is not undone.
                    let seen = newest.load(Ordering::SeqCst);
                    let now = clock.now().as_millis();
                    assert!(now >= seen && now >= last.get());
                    last.set(now);
                    newest.fetch_max(now, Ordering::SeqCst);
                }
            })
        })
        .collect();
    for round in 0..2000_i64 {
        machine.pass(round % 7);
        machine.step_wall(if round % 2 == 0 { 5000 * (round % 13) } else { -4000 * (round % 11) });
    }
    for reader in readers {
        reader.join().expect("time runs forward");
    }
}

// Rule A2.
#[cfg(target_os = "linux")]
#[test]
fn the_coarse_clocks_show_what_the_machine_shows_within_their_resolution() {
    use perennial::clock::{CoarseSource, SystemSource};
    let fine = StandardClock::<SystemSource>::new();
    for _ in 0..1000 {
        let before = fine.wall();
        let coarse = CoarseSource.wall();
        let after = fine.wall();
        // 10 ms is the coarsest that kernels are built with; half a second is for a held-up thread.
        assert!(coarse <= after, "{coarse:?} is ahead of {after:?}");
        assert!(before.since(coarse) < Span::from_millis(500), "{coarse:?} lags {before:?}");
    }
}

// Rule A2.
#[test]
fn the_clock_that_sessions_share_never_runs_backwards_whoever_reads_it() {
    use perennial::clock::SharedClock;
    let newest = Arc::new(AtomicI64::new(0));
    let readers = (0..4).map(|_| {
        let newest = Arc::clone(&newest);
        thread::spawn(move || {
            for _ in 0..20_000 {
                let before = newest.load(Ordering::SeqCst);
                let now = SharedClock.now().as_millis();
                assert!(now >= before, "{now} after {before}");
                newest.fetch_max(now, Ordering::SeqCst);
            }
        })
    });
    for reader in readers.collect::<Vec<_>>() {
        reader.join().expect("no panic");
    }
}
