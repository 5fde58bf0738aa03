//! Callers on plain threads, and refreshers that block.

use std::future::{pending, ready};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use crate::session_support::{
    DUE, HOUR, Hand, SECOND, START, WAITING, at_once, first_grant, lapsed, standard, text, until,
    waiting, watched,
};
use perennial::lifecycle::{Policy, Reuse};
use perennial::refresh::{Job, RefreshError, Request};
use perennial::session::{Builder, Session};
use perennial::testing::{Response, Scripted, VirtualTime};
use perennial::time::Timestamp;

fn lapsed_from(builder: Builder) -> (Session, VirtualTime) {
    let time = VirtualTime::at(START);
    let builder = standard(builder, &time).timer(time.clone());
    let session = builder.build().expect("sendable");
    time.advance(HOUR);
    (session, time)
}

// Rules C2, B3.
#[test]
fn any_number_of_threads_make_one_request() {
    let script = Scripted::new().then(Response::Hang);
    let (session, _) = lapsed(&script);
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let session = session.clone();
            thread::spawn(move || text(session.token_blocking()))
        })
        .collect();
    watched({
        let script = script.clone();
        move || until(|| script.requests() == 1)
    });
    script.release(Response::Grant(Scripted::grant(1)));
    let tokens: Vec<String> =
        watched(|| threads.into_iter().map(|thread| thread.join().expect("no panic")).collect());
    assert_eq!(tokens, ["at-2"; 8]);
    assert_eq!((script.requests(), script.dropped()), (1, 0));
}

// Rules B13, C2.
#[test]
fn a_blocking_refresher_keeps_no_blocking_caller_beyond_its_deadline_and_still_counts() {
    let (go, going) = mpsc::channel::<()>();
    let (going, sent) = (Mutex::new(going), Arc::new(AtomicBool::new(false)));
    let sending = Arc::clone(&sent);
    let refresh = Session::builder_blocking(move |_: Request| {
        sending.store(true, Ordering::SeqCst);
        going.lock().expect("no panic").recv().expect("it is let go");
        Ok(Scripted::grant(1))
    });
    let (session, time) = lapsed_from(refresh);
    let caller = thread::spawn({
        let session = session.clone();
        move || session.token_blocking()
    });
    // Before that it could still be called off, and would be told as never sent.
    watched(move || until(|| sent.load(Ordering::SeqCst)));
    time.advance(Duration::from_secs(30));
    let error =
        watched(move || caller.join().expect("no panic")).expect_err("its deadline has passed");
    assert!(error.is_unavailable(), "{error:?}");
    go.send(()).expect("it waits");
    watched(move || until(|| session.token_blocking().is_ok()));
}

/// A blocking refresher, and the jobs that it hands to the off-load hook.
fn offloading() -> (Session, VirtualTime, Arc<Mutex<Vec<Job>>>) {
    let jobs: Arc<Mutex<Vec<Job>>> = Arc::default();
    let queue = Arc::clone(&jobs);
    let refresh = Session::builder_blocking(|_: Request| Ok(Scripted::grant(1)));
    let (session, time) = lapsed_from(refresh.spawn_blocking(move |job| {
        queue.lock().expect("no panic").push(job);
        Ok(())
    }));
    (session, time, jobs)
}

fn run(jobs: &Mutex<Vec<Job>>) -> usize {
    let jobs = std::mem::take(&mut *jobs.lock().expect("no panic"));
    let count = jobs.len();
    for job in jobs {
        job();
    }
    count
}

// Rule C2.
#[test]
fn a_blocking_refresher_never_runs_within_an_async_poll() {
    let (session, _, jobs) = offloading();
    let mut caller = waiting(&session);
    let mut other = waiting(&session);
    assert_eq!(run(&jobs), 1);
    assert!(caller.woken() > 0);
    assert_eq!(text(caller.ready()), "at-2");
    assert_eq!(text(other.ready()), "at-2");
}

// Rules C7, C2.
#[test]
fn a_blocking_caller_with_a_usable_token_is_not_made_to_run_the_refresh() {
    let time = VirtualTime::at(START);
    let jobs: Arc<Mutex<Vec<Job>>> = Arc::default();
    let queue = Arc::clone(&jobs);
    let refresh = Session::builder_blocking(|_: Request| Ok(Scripted::grant(1)));
    let refresh = refresh.spawn_blocking(move |job| {
        queue.lock().expect("no panic").push(job);
        Ok(())
    });
    let session = standard(refresh, &time).build().expect("sendable");
    time.advance(DUE);
    assert_eq!(text(session.token_blocking()), "at-1");
    assert_eq!(text(session.token_blocking()), "at-1");
    assert_eq!(run(&jobs), 1);
    assert_eq!(text(session.token_blocking()), "at-1");
    assert_eq!(text(session.token_blocking()), "at-2");
}

// Rules C8, C2. A limit of one's own must not be overrun by the refresher.
#[test]
fn a_blocking_caller_with_a_limit_does_not_run_the_refresh_itself() {
    let jobs = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&jobs);
    let refresh = Session::builder_blocking(|_: Request| Ok(Scripted::grant(1)));
    let (session, _) = lapsed_from(refresh.spawn_blocking(move |job| {
        count.fetch_add(1, Ordering::SeqCst);
        thread::spawn(job);
        Ok(())
    }));
    let token = watched(move || session.token().within(SECOND).wait());
    assert_eq!((text(token), jobs.load(Ordering::SeqCst)), ("at-2".to_owned(), 1));
}

// Rules C2, C5.
#[test]
fn an_offload_hook_that_fails_or_forgets_its_job_fails_that_attempt_alone() {
    for (drops, told) in [(false, "no thread could be started"), (true, "the refresher panicked")] {
        let tries = AtomicUsize::new(0);
        let refresh = Session::builder_blocking(|_: Request| Ok(Scripted::grant(1)));
        let (session, time) = lapsed_from(refresh.spawn_blocking(move |job| {
            if tries.fetch_add(1, Ordering::SeqCst) > 0 {
                thread::spawn(job);
                return Ok(());
            }
            drop(job);
            if drops { Ok(()) } else { Err(io::Error::other("no more threads")) }
        }));
        let error = at_once(session.token()).expect_err("nothing ran");
        assert!(error.is_unavailable());
        let why = std::error::Error::source(&error).expect("says why").to_string();
        assert!(why.contains(told), "{why}");
        time.advance(SECOND);
        assert_eq!(text(session.token_blocking()), "at-2");
    }
}

// Rule C5.
#[test]
fn a_blocking_refresher_that_panics_gives_its_caller_an_error() {
    let calls = AtomicUsize::new(0);
    let (session, time) = lapsed_from(Session::builder_blocking(move |_: Request| {
        assert!(calls.fetch_add(1, Ordering::SeqCst) > 0, "the first call panics");
        Ok(Scripted::grant(1))
    }));
    assert!(session.token_blocking().expect_err("it panicked").is_unavailable());
    time.advance(SECOND);
    assert_eq!(text(session.token_blocking()), "at-2");
}

// Rule C2. The default hook: a short-lived thread.
#[test]
fn without_a_hook_a_thread_is_had_for_async_callers() {
    let here = thread::current().id();
    let (session, _) = lapsed_from(Session::builder_blocking(move |_: Request| {
        assert_ne!(thread::current().id(), here);
        Ok(Scripted::grant(1))
    }));
    let token = watched(move || crate::session_support::block_on(session.token()));
    assert_eq!(text(token), "at-2");
}

/// A clock that moves on by itself, a little at each reading.
fn running() -> impl Fn() -> Timestamp + Send + Sync + 'static {
    let now = AtomicI64::new(START.as_millis());
    move || Timestamp::from_millis(now.fetch_add(1, Ordering::SeqCst))
}

fn hanging_with_deadline() -> Builder {
    let policy = Policy::builder().refresh_deadline(Duration::from_millis(20));
    Session::builder(|_: Request| pending())
        .policy(policy.build().expect("valid"))
        .without_grant()
        .clock(running())
}

// Rules B13, C3.
#[test]
fn a_blocking_caller_keeps_the_deadline_with_no_timer() {
    let session = hanging_with_deadline().build().expect("nothing to check");
    let error = watched(move || session.token_blocking()).expect_err("it hangs");
    assert!(error.is_unavailable());
}

// Rules B13, C3. A timer whose runtime nobody drives.
#[test]
fn a_blocking_caller_keeps_the_deadline_with_a_timer_that_stands_still() {
    let session = hanging_with_deadline().timer(|_| pending()).build().expect("nothing to check");
    let other = session.clone();
    let error = watched(move || session.token_blocking()).expect_err("it hangs");
    assert!(error.is_unavailable());
    watched(move || other.close_blocking()).expect_err("it hangs");
}

// Rule C8.
#[test]
fn a_blocking_callers_limit_ends_its_wait() {
    let session = hanging_with_deadline().build().expect("nothing to check");
    let limit = Duration::from_millis(5);
    let error = watched(move || session.token_within(limit).wait()).expect_err("it hangs");
    assert!(error.is_timeout());
}

// Rules B13, C8.
#[test]
fn a_thread_that_waits_looks_at_the_clock_a_few_times_only() {
    for timed in [false, true] {
        let readings = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&readings);
        let clock = move || {
            counter.fetch_add(1, Ordering::SeqCst);
            perennial::clock::Clock::now(&perennial::clock::SharedClock)
        };
        let builder = hanging_with_deadline().clock(clock);
        let builder = if timed { builder.timer(|_| pending()) } else { builder };
        let session = builder.build().expect("nothing to check");
        let other = session.clone();
        let limit = Duration::from_millis(10);
        let error = watched(move || other.token_within(limit).wait()).expect_err("it hangs");
        assert!(error.is_timeout());
        let error = watched(move || session.token_blocking()).expect_err("it hangs");
        assert!(error.is_unavailable());
        let readings = readings.load(Ordering::SeqCst);
        assert!(readings < 200, "{readings} readings: it does not sleep");
    }
}

// Rules B7, B13.
#[test]
fn a_blocking_caller_waits_through_backoff_with_no_timer() {
    let script = Scripted::new().then(Response::Fail(RefreshError::unavailable("no connection")));
    let policy = Policy::builder().backoff(Duration::from_millis(5), Duration::from_millis(5));
    let session = Session::builder_with(script.clone())
        .policy(policy.build().expect("valid"))
        .without_grant()
        .random(|| u32::MAX)
        .clock(running())
        .build()
        .expect("nothing to check");
    let token = watched(move || session.token().retry_for(10 * SECOND).wait());
    assert_eq!((text(token), script.requests()), ("at-3".to_owned(), 2));
}

// Rules B7, B13.
#[test]
fn a_virtual_timer_wakes_blocking_callers() {
    let script = Scripted::new().then(Response::Fail(RefreshError::unavailable("no connection")));
    // Far longer than the watchdog waits: nothing but virtual time can end this wait.
    let policy = Policy::builder().backoff(HOUR, HOUR).build().expect("valid");
    let time = VirtualTime::at(START);
    let builder =
        crate::session_support::builder(&script, &time).timer(time.clone()).policy(policy);
    let session = builder.build().expect("sendable");
    time.advance(HOUR);
    let patient = thread::spawn(move || text(session.token().retry_for(2 * HOUR).wait()));
    let clock = time.clone();
    watched(move || until(|| clock.next_alarm().is_some()));
    time.advance(HOUR);
    assert_eq!(watched(move || patient.join().expect("no panic")), "at-3");
    assert_eq!(script.requests(), 2);
}

// Rule C6.
#[test]
fn a_refresher_that_asks_its_own_session_gets_an_error_at_once() {
    let own: Arc<Mutex<Option<Session>>> = Arc::default();
    let asked = Arc::clone(&own);
    let (session, _) = lapsed_from(Session::builder(move |_: Request| {
        let session = asked.lock().expect("no panic").clone().expect("set");
        async move {
            assert!(session.token().await.expect_err("it asks itself").is_reentrant());
            assert!(session.token_blocking().expect_err("it asks itself").is_reentrant());
            let nested = crate::session_support::block_on(session.token_within(SECOND));
            assert!(nested.expect_err("it asks itself").is_reentrant());
            assert!(session.try_token().expect_err("lapsed").is_not_ready());
            assert_eq!(session.state(), WAITING);
            Ok(Scripted::grant(1))
        }
    }));
    *own.lock().expect("no panic") = Some(session.clone());
    let asking = session.clone();
    assert_eq!(text(watched(move || asking.token_blocking())), "at-2");
    *own.lock().expect("no panic") = None;
}

// Rules C6, C7.
#[test]
fn a_refresher_may_use_the_old_token_while_it_works() {
    let own: Arc<Mutex<Option<Session>>> = Arc::default();
    let asked = Arc::clone(&own);
    let time = VirtualTime::at(START);
    let builder = Session::builder(move |_: Request| {
        let session = asked.lock().expect("no panic").take().expect("set");
        assert_eq!(text(session.token_blocking()), "at-1");
        ready(Ok(Scripted::grant(1)))
    });
    let builder = standard(builder, &time).timer(time.clone());
    let session = builder.build().expect("sendable");
    time.advance(DUE);
    *own.lock().expect("no panic") = Some(session.clone());
    let asking = session.clone();
    assert_eq!(text(watched(move || asking.token_blocking())), "at-1");
    assert_eq!(text(session.try_token()), "at-2");
}

// Rule C6. Also where its own refresh has been given up, and another one could be started.
#[test]
fn a_refresher_whose_time_is_over_gets_the_same_error() {
    let (own, late) = (Arc::new(Mutex::new(None::<Session>)), Arc::new(AtomicBool::new(false)));
    let (asked, over) = (Arc::clone(&own), Arc::clone(&late));
    let policy = Policy::builder().reuse(Reuse::Unrotated).build().expect("valid");
    let builder = Session::builder(move |_: Request| {
        let (asked, over) = (Arc::clone(&asked), Arc::clone(&over));
        std::future::poll_fn(move |cx| {
            if !over.load(Ordering::SeqCst) {
                return std::task::Poll::Pending;
            }
            let session = asked.lock().expect("no panic").take().expect("set");
            let mut nested = Hand::new(session.token());
            let polled = nested.poll_with(cx.waker());
            assert!(matches!(polled, std::task::Poll::Ready(Err(error)) if error.is_reentrant()));
            std::task::Poll::Ready(Ok(Scripted::grant(1)))
        })
    });
    let (session, time) = lapsed_from(builder.policy(policy));
    let mut caller = waiting(&session);
    time.advance(30 * SECOND);
    assert!(caller.ready().is_err());
    time.advance(SECOND);
    late.store(true, Ordering::SeqCst);
    *own.lock().expect("no panic") = Some(session.clone());
    let closing = session.clone();
    let _ = watched(move || closing.close_blocking());
    assert_eq!(text(session.try_token()), "at-2");
}

// Rules B4, B11.
#[test]
fn logins_and_logouts_work_on_plain_threads() {
    let (session, _) = lapsed(&Scripted::new());
    session.logout_blocking().expect("no store");
    assert!(session.token_blocking().expect_err("logged out").is_login_required());
    session.install_blocking(first_grant()).expect("no store");
    assert_eq!(text(session.token_blocking()), "at-1");
    session.close_blocking().expect("nothing is in the air");
}

// Rules C4, C2.
#[test]
fn a_blocking_refresher_that_hangs_blocks_nobody_else() {
    let (answer, hang) = mpsc::channel::<()>();
    let (hang, calls) = (Mutex::new(hang), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&calls);
    let policy = Policy::builder().reuse(Reuse::Unrotated).build().expect("valid");
    let builder = Session::builder_blocking(move |_: Request| {
        let call = count.fetch_add(1, Ordering::SeqCst) + 1;
        if call == 1 {
            let _ = hang.lock().expect("no panic").recv();
        }
        Ok(Scripted::grant(call))
    });
    let (session, time) = lapsed_from(builder.policy(policy));
    let stuck = session.clone();
    let stuck = thread::spawn(move || stuck.token_blocking().is_err());
    watched(move || until(|| calls.load(Ordering::SeqCst) == 1));
    time.advance(30 * SECOND);
    assert!(session.token_blocking().expect_err("its deadline has passed").is_unavailable());
    assert!(watched(move || stuck.join().expect("no panic")), "it left at its deadline");
    time.advance(SECOND);
    let other = session.clone();
    assert_eq!(text(watched(move || other.token_blocking())), "at-3");
    answer.send(()).expect("it still hangs");
}
