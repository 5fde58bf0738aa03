//! The timers of smol and of plain threads, in a session. How long anything takes is not asserted,
//! only that it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::session_support::{Hand, watched};
use perennial::adapters::smol::Smol;
use perennial::adapters::thread::ThreadTimer;
use perennial::clock::Timer;
use perennial::lifecycle::Policy;
use perennial::refresh::{RefreshError, Request};
use perennial::session::{Builder, Session};
use perennial::token::Grant;

/// Tokens that live for a moment, on the real clock.
const MOMENT: Duration = Duration::from_millis(400);

fn brief(asked: &Arc<AtomicUsize>) -> Builder {
    let asked = Arc::clone(asked);
    Session::builder(move |_: Request| {
        let n = asked.fetch_add(1, Ordering::SeqCst) + 2;
        async move { Ok::<_, RefreshError>(Grant::new(format!("at-{n}"), "rt", MOMENT)) }
    })
    .grant(Grant::new("at-1", "rt", MOMENT))
}

/// A session that is kept fresh with no traffic at all, until its third refresh.
fn renews(timer: impl Timer + Clone) {
    let asked = Arc::new(AtomicUsize::new(0));
    let session = brief(&asked).build().expect("sendable");
    let mut keeper = Box::pin(session.keep_fresh(timer));
    smol::block_on(std::future::poll_fn(|cx| {
        assert!(keeper.as_mut().poll(cx).is_pending());
        if asked.load(Ordering::SeqCst) >= 3 { Poll::Ready(()) } else { Poll::Pending }
    }));
}

// Rules B12, B13.
#[test]
fn smol_wakes_a_keeper_when_the_token_is_due() {
    watched(|| renews(Smol));
}

// Rules B12, B13.
#[test]
fn a_threads_timer_wakes_a_keeper_when_the_token_is_due() {
    watched(|| renews(ThreadTimer::new()));
}

/// A server that is away for the first request, and a caller with patience.
fn waits_through_backoff(timer: impl Timer) {
    let asked = AtomicUsize::new(0);
    let session = Session::builder(move |_: Request| {
        let first = asked.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if first {
                return Err(RefreshError::unavailable("503"));
            }
            Ok(Grant::new("at-2", "rt-2", Duration::from_secs(3600)))
        }
    });
    let session = session.grant(Grant::of_refresh_token("rt-1")).policy(Policy::default());
    let session = session.timer(timer).random(|| 1 << 28).build().expect("sendable");
    let token = smol::block_on(session.token().retry_for(Duration::from_secs(60)));
    assert_eq!(token.expect("it came back").expose(), "at-2");
}

// Rules B7, B13.
#[test]
fn smol_wakes_a_patient_caller_after_the_backoff() {
    watched(|| waits_through_backoff(Smol));
}

// Rules B7, B13.
#[test]
fn a_threads_timer_wakes_a_patient_caller_after_the_backoff() {
    watched(|| waits_through_backoff(ThreadTimer::new()));
}

// Rule C4.
#[test]
fn smol_drives_a_refresh_whose_callers_are_gone() {
    watched(|| {
        let asked = Arc::new(AtomicUsize::new(0));
        let session = brief(&asked).spawner(Smol::spawner()).timer(Smol).build();
        let session = session.expect("sendable");
        smol::block_on(async {
            smol::Timer::after(MOMENT).await;
            let changed = session.changed();
            drop(session.try_token());
            changed.await;
        });
        assert!(asked.load(Ordering::SeqCst) >= 1);
    });
}

// Rule B12.
#[test]
fn sleeps_of_a_threads_timer_end_in_their_order_and_a_dropped_one_never() {
    watched(|| {
        let timer = ThreadTimer::new();
        let mut sleeps: Vec<_> =
            [60, 20, 40].map(|millis| Hand::new(timer.sleep(Duration::from_millis(millis)))).into();
        let mut dropped = Hand::new(timer.sleep(Duration::from_millis(10)));
        sleeps.iter_mut().for_each(Hand::pending);
        dropped.pending();
        let wakes = Arc::clone(&dropped.wakes);
        drop(dropped);
        while sleeps[0].woken() == 0 {
            std::thread::yield_now();
        }
        assert_eq!(sleeps.iter().map(Hand::woken).collect::<Vec<_>>(), [1, 1, 1]);
        assert_eq!(wakes.count(), 0);
        sleeps.iter_mut().for_each(Hand::ready);
    });
}

// Rule C3.
#[test]
fn a_waker_that_panics_does_not_end_a_threads_timer() {
    struct Bad;
    impl std::task::Wake for Bad {
        fn wake(self: Arc<Self>) {
            panic!("planned");
        }
    }
    watched(|| {
        let timer = ThreadTimer::new();
        let mut bad = timer.sleep(Duration::from_millis(10));
        let waker = Waker::from(Arc::new(Bad));
        assert!(bad.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        smol::block_on(timer.sleep(Duration::from_millis(40)));
    });
}

// Rule C9.
#[test]
fn a_sleep_outlives_the_last_handle_of_its_timer() {
    watched(|| {
        let timer = ThreadTimer::new();
        let sleep = timer.sleep(Duration::from_millis(30));
        drop(timer);
        smol::block_on(sleep);
    });
}
