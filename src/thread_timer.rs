//! A timer with one thread that sleeps for all: see [`ThreadTimer`].

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::collections::BTreeMap;
use std::prelude::rust_2024::*;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::{process, thread};

use crate::clock::{Stopwatch, Timer};
use crate::primitives::contained;
use crate::refresh::BoxFuture;

/// A timer with its own thread, which starts with the first sleep and ends once the last handle and
/// the last sleep are dropped. Clones share it. Adding or dropping a sleep takes time logarithmic
/// in their number.
///
/// If the thread cannot be started, a sleep completes when it is next polled after its time, as if
/// there were no timer.
///
/// # Forks
/// After a fork the child has no timer thread: one starts with the next sleep that is polled there,
/// and serves earlier sleeps as well. Locks that other threads hold during the fork, this timer's
/// among them, stay locked in the child: create timers and sessions after it.
#[derive(Clone)]
pub struct ThreadTimer(Arc<Bench>);

/// The shared state. The thread holds a weak reference, and wakes up when the last strong one is
/// dropped.
struct Bench {
    sleepers: Arc<Sleepers>,
}

struct Sleepers {
    state: Mutex<State>,
    changed: Condvar,
    watch: Stopwatch,
}

#[derive(Default)]
struct State {
    /// The wakers of all sleeps, by when they are due and a number.
    asleep: BTreeMap<(Duration, u64), Waker>,
    next: u64,
    /// The process in which the thread runs, if it does: a fork does not copy threads.
    running_in: Option<u32>,
    /// Set once the last handle and the last sleep are dropped.
    closed: bool,
}

impl ThreadTimer {
    /// Creates a timer. Its thread starts with the first sleep.
    pub fn new() -> Self {
        let sleepers =
            Sleepers { state: Mutex::default(), changed: Condvar::new(), watch: Stopwatch::new() };
        Self(Arc::new(Bench { sleepers: Arc::new(sleepers) }))
    }
}

impl Default for ThreadTimer {
    fn default() -> Self {
        Self::new()
    }
}

impl Timer for ThreadTimer {
    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        let bench = Arc::clone(&self.0);
        let until = bench.sleepers.watch.elapsed().saturating_add(duration);
        Box::pin(Sleep { bench, until, number: None })
    }
}

struct Sleep {
    bench: Arc<Bench>,
    until: Duration,
    number: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let sleepers = Arc::clone(&self.bench.sleepers);
        if sleepers.watch.elapsed() >= self.until {
            return Poll::Ready(());
        }
        let waker = cx.waker().clone();
        let until = self.until;
        let replaced = {
            let mut state = sleepers.lock();
            let number = *self.number.get_or_insert_with(|| {
                state.next += 1;
                state.next
            });
            let here = process::id();
            if state.running_in != Some(here) {
                let rows = Arc::downgrade(&sleepers);
                let thread = thread::Builder::new().name("perennial timer".into());
                let begun = thread.spawn(move || run(&rows));
                state.running_in = begun.is_ok().then_some(here);
            }
            let replaced = state.asleep.insert((until, number), waker);
            if state.asleep.first_key_value().is_some_and(|(first, _)| *first == (until, number)) {
                sleepers.changed.notify_one();
            }
            replaced
        };
        drop(replaced);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let forgotten = self.bench.sleepers.lock().asleep.remove(&(self.until, number));
            drop(forgotten);
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.sleepers.lock().closed = true;
        self.sleepers.changed.notify_one();
    }
}

impl Sleepers {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes the sleeps that are due, and waits until the next is.
fn run(sleepers: &Weak<Sleepers>) {
    while let Some(sleepers) = sleepers.upgrade() {
        let mut state = sleepers.lock();
        if state.closed {
            return;
        }
        let now = sleepers.watch.elapsed();
        let mut due = Vec::new();
        while let Some(first) = state.asleep.first_entry().filter(|first| first.key().0 <= now) {
            due.push(first.remove());
        }
        if due.is_empty() {
            let next =
                state.asleep.first_key_value().map(|((until, _), _)| until.saturating_sub(now));
            match next {
                Some(next) => drop(sleepers.changed.wait_timeout(state, next)),
                None => drop(sleepers.changed.wait(state)),
            }
            continue;
        }
        drop(state);
        for waker in due {
            // This runs the program's code, whose panic must not end the timer.
            let _ = contained(|| waker.wake());
        }
    }
}

impl fmt::Debug for ThreadTimer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ThreadTimer").finish_non_exhaustive()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    // Rules B13, C3. As a fork leaves it: a thread was begun, but in another process. Else this hangs.
    #[test]
    fn a_timer_whose_thread_runs_in_another_process_begins_one_of_its_own() {
        let timer = ThreadTimer::new();
        timer.0.sleepers.lock().running_in = Some(process::id().wrapping_add(1));
        let (done, told) = std::sync::mpsc::channel();
        let woken = Waker::from(Arc::new(Told(Mutex::new(done))));
        let mut sleep = timer.sleep(Duration::from_millis(1));
        while sleep.as_mut().poll(&mut Context::from_waker(&woken)).is_pending() {
            told.recv().expect("it is woken");
        }
    }

    struct Told(Mutex<std::sync::mpsc::Sender<()>>);

    impl std::task::Wake for Told {
        fn wake(self: Arc<Self>) {
            let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).send(());
        }
    }
}
