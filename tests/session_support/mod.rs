//! What the tests of the session share: virtual time, futures polled by hand, a watchdog.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod ledger;
pub(crate) mod unwritable;

use std::future::{Future, IntoFuture};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use perennial::lifecycle::{Meanwhile, State};
use perennial::session::{Acquire, Builder, Error, Session};
use perennial::testing::{Scripted, VirtualTime};
use perennial::time::Timestamp;
use perennial::token::{AccessToken, Grant};

/// When virtual time begins.
pub(crate) const START: Timestamp = Timestamp::from_secs(1_700_000_000);

/// Of the grant that sessions start with, and of the scripted ones.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Into the hour: the token is due, and still works.
pub(crate) const DUE: Duration = Duration::from_secs(3400);

/// Waiting through backoff takes this long at most after a first failure: draws are halved.
pub(crate) const HALF_A_SECOND: Duration = Duration::from_millis(500);

/// How long a test may hang before it counts as hung. Nothing waits for it otherwise.
const WATCHDOG: Duration = Duration::from_secs(60);

pub(crate) fn first_grant() -> Grant {
    Grant::new("at-1", "rt-1", HOUR)
}

/// A session on virtual time, with no timer, whose token `at-1` is fresh.
pub(crate) fn builder(script: &Scripted, time: &VirtualTime) -> Builder {
    standard(Session::builder_with(script.clone()), time)
}

/// The settings of all tests: virtual time, no jitter, backoff drawn at one half.
pub(crate) fn standard(builder: Builder, time: &VirtualTime) -> Builder {
    builder.clock(time.clone()).without_jitter().random(|| 1 << 31).grant(first_grant())
}

pub(crate) fn session(script: &Scripted, time: &VirtualTime) -> Session {
    builder(script, time).build().expect("the grant can be sent")
}

/// A session whose token has just lapsed: the next caller has to wait for a refresh.
pub(crate) fn lapsed(script: &Scripted) -> (Session, VirtualTime) {
    let time = VirtualTime::at(START);
    let session = session(script, &time);
    time.advance(HOUR);
    (session, time)
}

/// The same, with a timer.
pub(crate) fn lapsed_with_timer(script: &Scripted) -> (Session, VirtualTime) {
    let time = VirtualTime::at(START);
    let session = builder(script, &time).timer(time.clone()).build().expect("sendable");
    time.advance(HOUR);
    (session, time)
}

pub(crate) const WAITING: State = State::Refreshing(Meanwhile::Wait);

/// A future that is polled by hand, with a waker that counts.
pub(crate) struct Hand<F: Future> {
    future: Pin<Box<F>>,
    pub(crate) wakes: Arc<Wakes>,
}

#[derive(Default)]
pub(crate) struct Wakes(AtomicUsize);

impl Wakes {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl<F: Future> Hand<F> {
    pub(crate) fn new(future: impl IntoFuture<IntoFuture = F>) -> Self {
        Self { future: Box::pin(future.into_future()), wakes: Arc::default() }
    }

    pub(crate) fn poll(&mut self) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(&self.wakes));
        self.poll_with(&waker)
    }

    pub(crate) fn poll_with(&mut self, waker: &Waker) -> Poll<F::Output> {
        self.future.as_mut().poll(&mut Context::from_waker(waker))
    }

    #[track_caller]
    pub(crate) fn pending(&mut self) {
        assert!(self.poll().is_pending(), "it ended where it should wait");
    }

    #[track_caller]
    pub(crate) fn ready(&mut self) -> F::Output {
        match self.poll() {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("it waits where it should end"),
        }
    }

    pub(crate) fn woken(&self) -> usize {
        self.wakes.count()
    }
}

/// A caller that has been polled once and waits.
#[track_caller]
pub(crate) fn waiting(session: &Session) -> Hand<Acquire<'_>> {
    let mut caller = Hand::new(session.token());
    caller.pending();
    caller
}

/// Polls once what must not wait.
#[track_caller]
pub(crate) fn at_once<F: Future>(future: impl IntoFuture<IntoFuture = F>) -> F::Output {
    Hand::new(future).ready()
}

/// The text of the token that was got.
#[track_caller]
pub(crate) fn text(result: Result<AccessToken, Error>) -> String {
    result.expect("a token").expose().to_owned()
}

/// Polls every time it is woken, as an executor does; a hang is for the watchdog to find.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    futures::executor::block_on(future)
}

/// Runs `test` on a thread of its own, and fails where it hangs.
#[track_caller]
pub(crate) fn watched<T: Send + 'static>(test: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || {
        let result = catch_unwind(AssertUnwindSafe(test));
        let _ = sender.send(());
        result
    });
    match receiver.recv_timeout(WATCHDOG) {
        Ok(()) | Err(RecvTimeoutError::Disconnected) => {}
        Err(RecvTimeoutError::Timeout) => panic!("it hangs"),
    }
    match thread.join().and_then(|result| result) {
        Ok(result) => result,
        Err(panic) => resume_unwind(panic),
    }
}

/// Waits, without a limit but the watchdog's, until another thread has brought `condition` about.
pub(crate) fn until(condition: impl Fn() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}

/// Tasks that a session has spawned, to be polled by the test when it likes.
#[derive(Clone, Default)]
pub(crate) struct Tasks(Arc<Mutex<Vec<Task>>>);

type Task = Hand<Pin<Box<dyn Future<Output = ()> + Send>>>;

impl Tasks {
    pub(crate) fn spawner(&self) -> impl Fn(Pin<Box<dyn Future<Output = ()> + Send>>) + use<> {
        // As with a runtime, the tasks go with what runs them: a session owns its spawner, and each
        // task its session.
        let tasks = Arc::downgrade(&self.0);
        move |task| {
            if let Some(tasks) = tasks.upgrade() {
                tasks.lock().expect("no panic").push(Hand::new(task));
            }
        }
    }

    /// Polls all once; those that end are forgotten.
    pub(crate) fn run(&self) {
        let mut tasks = std::mem::take(&mut *self.0.lock().expect("no panic"));
        tasks.retain_mut(|task| task.poll().is_pending());
        self.0.lock().expect("no panic").append(&mut tasks);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().expect("no panic").len()
    }

    pub(crate) fn woken(&self) -> usize {
        self.0.lock().expect("no panic").iter().map(Hand::woken).sum()
    }

    pub(crate) fn abort_all(&self) {
        let tasks = std::mem::take(&mut *self.0.lock().expect("no panic"));
        drop(tasks);
    }
}
