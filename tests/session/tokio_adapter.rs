//! The tokio adapter: a timer, a spawner and a runtime to poll within. What time must pass is
//! tokio's own paused time.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};
use std::time::Duration;

use perennial::adapters::tokio::{NoRuntime, Tokio};
use perennial::clock::Timer;
use perennial::refresh::{PollIn, Refresh, RefreshError, Request, Runtime as _};
use perennial::session::Session;
use perennial::testing::{Response, Scripted};
use perennial::time::{Span, Timestamp};
use perennial::token::Grant;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::Instant;

const HOUR: Duration = Duration::from_secs(3600);
const WATCHDOG: Duration = Duration::from_secs(60);

fn threaded() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

fn single() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// A session in tokio's time, that holds a refresh token alone.
fn session(refresher: &Scripted, tokio: &Tokio) -> Session {
    let origin = Instant::now();
    let clock = move || {
        let elapsed = Span::from(origin.elapsed());
        Timestamp::from_secs(1_700_000_000).saturating_add(elapsed)
    };
    Session::builder_with(refresher.clone())
        .grant(Grant::of_refresh_token("rt-1"))
        .clock(clock)
        .timer(tokio.clone())
        .spawner(tokio.spawner())
        .without_jitter()
        .random(|| u32::MAX)
        .build()
        .expect("a session")
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

// Rule C2.
#[test]
fn without_a_runtime_the_error_names_the_fix() {
    let error = Tokio::current().expect_err("there is none");
    assert_eq!(error, NoRuntime);
    assert_eq!(
        error.to_string(),
        "no tokio runtime here: build this inside one, or pass its handle to `Tokio::new`"
    );
    // Which works, from outside.
    let runtime = threaded();
    let tokio = Tokio::new(runtime.handle().clone());
    let (done, told) = mpsc::channel();
    tokio.spawner()(Box::pin(async move { done.send(Handle::current().id()).expect("a test") }));
    assert_eq!(told.recv_timeout(WATCHDOG).expect("spawned"), runtime.handle().id());
}

// Rule C2.
#[test]
fn the_current_runtime_is_the_one_that_it_is_asked_in() {
    let (one, other) = (single(), single());
    for runtime in [&one, &other] {
        let tokio = runtime.block_on(async { Tokio::current() }).expect("a runtime");
        let mut seen = None;
        tokio.enter(&mut || seen = Some(Handle::current().id()));
        assert_eq!(seen, Some(runtime.handle().id()));
    }
    assert!(Handle::try_current().is_err(), "what was entered is left");
}

// Rules B12, C3.
#[tokio::test(start_paused = true)]
async fn the_timer_wakes_after_its_duration_and_not_before() {
    let tokio = Tokio::current().expect("a runtime");
    let begun = Instant::now();
    for duration in [Duration::ZERO, Duration::from_millis(1), HOUR] {
        let before = Instant::now();
        tokio.sleep(duration).await;
        assert_eq!(before.elapsed(), duration);
    }
    assert_eq!(begun.elapsed(), HOUR + Duration::from_millis(1));
    // Beyond what tokio can count, it is only far away.
    let mut never = tokio.sleep(Duration::MAX);
    let waker = Waker::from(Arc::new(Count::default()));
    assert!(never.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
}

// Rules C2, C3.
#[test]
fn the_timer_can_be_polled_on_a_thread_that_knows_no_runtime() {
    let runtime = threaded();
    let tokio = Tokio::new(runtime.handle().clone());
    let (done, told) = mpsc::channel();
    thread::spawn(move || {
        futures::executor::block_on(tokio.sleep(Duration::from_millis(1)));
        done.send(()).expect("a test");
    });
    told.recv_timeout(WATCHDOG).expect("the timer wakes");
}

// Rules B13, C3.
#[tokio::test(start_paused = true)]
async fn a_hung_refresh_ends_on_time_by_the_timer_alone() {
    let tokio = Tokio::current().expect("a runtime");
    let refresher = Scripted::new().then(Response::Hang);
    let session = session(&refresher, &tokio);
    let begun = Instant::now();
    let error = session.token().await.expect_err("a deadline");
    assert_eq!(begun.elapsed(), Duration::from_secs(30));
    assert!(error.is_unavailable(), "{error:?}");
}

// Rules B7, C3.
#[tokio::test(start_paused = true)]
async fn a_backoff_is_waited_through_by_the_timer_alone() {
    let tokio = Tokio::current().expect("a runtime");
    let down = || Response::Fail(RefreshError::unavailable("down"));
    let refresher = Scripted::new().then(down()).then(down()).then(down());
    let session = session(&refresher, &tokio);
    let begun = Instant::now();
    let token = session.token().retry_for(HOUR).await.expect("a token");
    assert_eq!(token.expose(), "at-5");
    // One second, two and four, less what a draw may leave.
    let waited = begun.elapsed().as_millis();
    assert!((6_990..=7_010).contains(&waited), "{waited}");
}

// Rule C8.
#[tokio::test(start_paused = true)]
async fn a_callers_own_limit_is_kept_by_the_timer_and_ends_no_refresh() {
    let tokio = Tokio::current().expect("a runtime");
    let refresher = Scripted::new().then(Response::Hang);
    let session = session(&refresher, &tokio);
    let begun = Instant::now();
    let error = session.token_within(Duration::from_secs(3)).await.expect_err("a limit");
    assert!(error.is_timeout(), "{error:?}");
    assert_eq!(begun.elapsed(), Duration::from_secs(3));
    refresher.release(Response::Grant(Scripted::grant(1)));
    assert_eq!(session.token().await.expect("a token").expose(), "at-2");
    assert_eq!(refresher.requests(), 1);
}

// Rule C4.
#[tokio::test]
async fn the_spawner_drives_a_refresh_that_no_caller_waits_for() {
    let tokio = Tokio::current().expect("a runtime");
    let refresher = Scripted::new().then(Response::Hang);
    let session = session(&refresher, &tokio);
    let changed = session.changed();
    let mut caller = Box::pin(session.token());
    let waker = Waker::from(Arc::new(Count::default()));
    assert!(caller.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(caller);
    refresher.release(Response::Grant(Scripted::grant(1)));
    tokio::time::timeout(WATCHDOG, changed).await.expect("driven");
    assert_eq!(session.try_token().expect("a token").expose(), "at-2");
    assert_eq!((refresher.requests(), refresher.dropped()), (1, 0));
}

// Rules C3, C4.
#[test]
fn a_spawner_whose_runtime_is_gone_leaves_the_driving_to_the_callers() {
    let runtime = single();
    let spawner = Tokio::new(runtime.handle().clone()).spawner();
    runtime.shutdown_background();
    let refresher = Scripted::new();
    let session = Session::builder_with(refresher.clone())
        .grant(Grant::of_refresh_token("rt-1"))
        .spawner(spawner)
        .build()
        .expect("a session");
    let (done, told) = mpsc::channel();
    thread::spawn(move || done.send(session.token_blocking()));
    let token = told.recv_timeout(WATCHDOG).expect("hung").expect("a token");
    assert_eq!(token.expose(), "at-2");
    assert_eq!(refresher.requests(), 1);
}

// Rule C2.
#[test]
fn a_home_is_entered_for_each_poll_whoever_polls() {
    /// Needs tokio at every poll, and tells on which thread.
    struct NeedsTokio(Tokio, mpsc::Sender<ThreadId>);
    struct Polled(usize, mpsc::Sender<ThreadId>);
    impl Future for Polled {
        type Output = Result<Grant, RefreshError>;
        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
            let _here = Handle::current();
            self.1.send(thread::current().id()).expect("a test");
            self.0 += 1;
            if self.0 == 3 {
                return Poll::Ready(Ok(Scripted::grant(1)));
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    }
    impl Refresh for NeedsTokio {
        fn refresh(
            &self,
            _: Request,
        ) -> impl Future<Output = Result<Grant, RefreshError>> + Send + 'static {
            let _here = Handle::current();
            Polled(0, self.1.clone())
        }
        fn poll_in(&self) -> PollIn {
            PollIn::Runtime(Arc::new(self.0.clone()))
        }
    }
    let runtime = threaded();
    let (polled, polls) = mpsc::channel();
    let session = Session::builder_with(NeedsTokio(Tokio::new(runtime.handle().clone()), polled))
        .grant(Grant::of_refresh_token("rt-1"))
        .build()
        .expect("a session");
    let token = session.token_blocking().expect("a token");
    assert_eq!(token.expose(), "at-2");
    drop(session);
    let threads: Vec<_> = polls.iter().collect();
    assert_eq!(threads, [thread::current().id(); 3], "polled by the caller, within the runtime");
}

/// Sleeps by tokio's timer before it grants, as any refresher over the network waits by tokio.
async fn by_tokio(_: Request) -> Result<Grant, RefreshError> {
    tokio::time::sleep(Duration::from_millis(1)).await;
    Ok(Scripted::grant(1))
}

// Rule C2.
#[test]
fn a_refresher_that_waits_by_tokio_serves_plain_threads_from_its_home() {
    struct AtHome(Tokio);
    impl Refresh for AtHome {
        fn refresh(
            &self,
            request: Request,
        ) -> impl Future<Output = Result<Grant, RefreshError>> + Send + 'static {
            by_tokio(request)
        }
        fn poll_in(&self) -> PollIn {
            PollIn::Runtime(Arc::new(self.0.clone()))
        }
    }
    let runtime = threaded();
    let session = Session::builder_with(AtHome(Tokio::new(runtime.handle().clone())))
        .grant(Grant::of_refresh_token("rt-1"))
        .build()
        .expect("a session");
    let (done, told) = mpsc::channel();
    thread::spawn(move || done.send(session.token_blocking()));
    let token = told.recv_timeout(WATCHDOG).expect("hung").expect("a token");
    assert_eq!(token.expose(), "at-2");
}

// Rules C2, C5. A closure has no home to name, and what tokio throws outside its runtime is caught.
#[test]
fn a_refresher_that_waits_by_tokio_and_names_no_home_fails_on_a_plain_thread_without_a_panic() {
    let session = Session::builder(by_tokio)
        .grant(Grant::of_refresh_token("rt-1"))
        .build()
        .expect("a session");
    let outside = session.clone();
    let error = thread::spawn(move || outside.token_blocking());
    let error = error.join().expect("no panic comes out").expect_err("no runtime there");
    assert!(error.is_unavailable(), "{error:?}");
    let cause = std::error::Error::source(&error).expect("the refresher's own").to_string();
    assert_eq!(
        cause,
        "the refresher panicked, as it needs tokio and was polled outside it: name its runtime, \
         in `Refresh::poll_in` or by `Builder::poll_in`"
    );
}

// Rule C2.
#[test]
fn a_closure_that_waits_by_tokio_serves_plain_threads_from_the_home_that_it_is_given() {
    let runtime = threaded();
    let tokio = Tokio::new(runtime.handle().clone());
    let session = Session::builder(by_tokio)
        .poll_in(PollIn::Runtime(Arc::new(tokio)))
        .grant(Grant::of_refresh_token("rt-1"))
        .build()
        .expect("a session");
    let (done, told) = mpsc::channel();
    thread::spawn(move || done.send(session.token_blocking()));
    let token = told.recv_timeout(WATCHDOG).expect("hung").expect("a token");
    assert_eq!(token.expose(), "at-2");
}
