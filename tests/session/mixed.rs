//! Tasks and threads at once, on real executors: one flight, and no wake-up is ever lost.

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::task::{Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use crate::session_support::{
    HOUR, Hand, SECOND, START, at_once, block_on, lapsed, standard, text, until, waiting, watched,
};
use perennial::lifecycle::{Policy, Reuse};
use perennial::refresh::{BoxFuture, RefreshError, Request};
use perennial::session::Session;
use perennial::testing::{Response, Scripted, VirtualTime};
use perennial::token::Grant;

// Rules B3, C2.
#[test]
fn tasks_and_threads_share_one_flight_whoever_drives_it() {
    for blocking_first in [false, true] {
        let script = Scripted::new().then(Response::Hang);
        let (session, _) = lapsed(&script);
        let threads = |count: usize| -> Vec<_> {
            (0..count)
                .map(|index| {
                    let session = session.clone();
                    let blocks = (index % 2 == 0) == blocking_first;
                    thread::spawn(move || {
                        text(if blocks {
                            session.token_blocking()
                        } else {
                            block_on(session.token())
                        })
                    })
                })
                .collect()
        };
        let first = threads(1);
        let sent = script.clone();
        watched(move || until(|| sent.requests() == 1));
        let rest = threads(6);
        let mut by_hand = waiting(&session);
        script.release(Response::Grant(Scripted::grant(1)));
        let all = first.into_iter().chain(rest);
        let tokens: Vec<String> =
            watched(move || all.map(|thread| thread.join().expect("no panic")).collect());
        assert_eq!(tokens, ["at-2"; 7]);
        assert_eq!(text(by_hand.ready()), "at-2");
        assert_eq!((script.requests(), script.dropped()), (1, 0));
    }
}

// Rules C3, C4.
#[test]
fn a_task_that_drove_and_is_dropped_leaves_the_flight_to_a_parked_thread() {
    let script = Scripted::new().then(Response::Hang);
    let (session, _) = lapsed(&script);
    let driver = waiting(&session);
    let parked = session.clone();
    let (ready, is_ready) = mpsc::channel();
    let parked = thread::spawn(move || {
        ready.send(()).expect("somebody listens");
        text(parked.token_blocking())
    });
    is_ready.recv().expect("it began");
    script.release(Response::Grant(Scripted::grant(1)));
    drop(driver);
    assert_eq!(watched(move || parked.join().expect("no panic")), "at-2");
    assert_eq!((script.requests(), script.dropped()), (1, 0));
}

/// How many refreshes the stress goes through.
const ROUNDS: usize = 4000;

/// How far one refresh has come, and whom to wake when it has come further.
type Step = (Arc<AtomicUsize>, Waker);

/// A session whose refreshes are brought on by another thread.
fn stressed() -> (Session, Arc<AtomicUsize>, mpsc::Receiver<Step>) {
    let (asked, requests) = mpsc::channel::<Step>();
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let time = VirtualTime::at(START);
    let builder = Session::builder(move |_: Request| -> BoxFuture<Result<Grant, RefreshError>> {
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        // It is woken three times, from another thread, and by then has moved on.
        let (steps, asked) = (Arc::new(AtomicUsize::new(0)), asked.clone());
        let mut seen = None;
        Box::pin(poll_fn(move |cx| {
            let step = steps.load(Ordering::SeqCst);
            if step == 3 {
                return Poll::Ready(Ok(Scripted::grant(number)));
            }
            if seen != Some(step) {
                seen = Some(step);
                let _ = asked.send((Arc::clone(&steps), cx.waker().clone()));
            }
            Poll::Pending
        }))
    });
    let session = standard(builder, &time).policy(generous()).build().expect("sendable");
    (session, sent, requests)
}

/// Rejections are paid for however many there are.
fn generous() -> Policy {
    Policy::builder().rejections(u32::MAX, HOUR, Duration::ZERO).build().expect("valid")
}

// Rules C2, C3, C4. Several new leaders after one ends: async_singleflight#12; waiters woken
// before the value is there: google-auth-library-java#692.
#[test]
fn no_wake_up_is_lost_in_thousands_of_refreshes_among_tasks_and_threads() {
    let (session, sent, requests) = stressed();
    let reactor = thread::spawn(move || {
        for (steps, waker) in requests {
            steps.fetch_add(1, Ordering::SeqCst);
            waker.wake();
        }
    });
    let first = session.try_token().expect("fresh");
    session.accept(&first);
    session.reject(&first);
    drop(first);
    let gate = Arc::new(Barrier::new(4));
    let callers: Vec<_> = (0..4)
        .map(|who| {
            let (session, gate) = (session.clone(), Arc::clone(&gate));
            thread::spawn(move || {
                for round in 0..ROUNDS {
                    gate.wait();
                    let token = match who {
                        0 => session.token_blocking(),
                        1 => {
                            // One caller comes, polls and goes, at times, before it waits.
                            let mut fleeting = Hand::new(session.token());
                            let _ = fleeting.poll();
                            drop(fleeting);
                            block_on(session.token())
                        }
                        _ => block_on(session.token()),
                    };
                    let token = token.expect("each refresh brings a token");
                    assert_eq!(token.expose(), format!("at-{}", round + 2));
                    gate.wait();
                    session.accept(&token);
                    session.reject(&token);
                    gate.wait();
                }
            })
        })
        .collect();
    watched(move || callers.into_iter().for_each(|caller| caller.join().expect("no panic")));
    assert_eq!(sent.load(Ordering::SeqCst), ROUNDS);
    drop(session);
    watched(move || reactor.join().expect("no panic"));
}

// Rules C3, C4. The same on an executor, with a task that drives and callers that give up.
#[test]
fn no_wake_up_is_lost_among_spawned_tasks() {
    let pool = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
    let pool = Arc::new(pool.expect("threads"));
    let script = Scripted::new();
    let time = VirtualTime::at(START);
    let spawning = pool.handle().clone();
    let session = crate::session_support::builder(&script, &time)
        .spawner(move |task| drop(spawning.spawn(task)))
        .policy(generous())
        .build()
        .expect("sendable");
    let ended = watched(move || {
        let mut ended = 0;
        for _ in 0..300 {
            let (done, all) = mpsc::channel();
            for _ in 0..4 {
                let (session, done) = (session.clone(), done.clone());
                pool.spawn(async move {
                    let token = session.token().await.expect("granted");
                    session.accept(&token);
                    let _ = done.send(token);
                });
            }
            drop(done);
            let tokens: Vec<_> = all.into_iter().collect();
            ended += tokens.len();
            session.reject(tokens.first().expect("one at least"));
        }
        ended
    });
    assert_eq!(ended, 1200);
    assert!(script.requests() >= 299);
}

/// A waker that looks at the session the moment it is called.
struct Looking {
    session: Session,
    seen: Mutex<Vec<bool>>,
}

impl Wake for Looking {
    fn wake(self: Arc<Self>) {
        let there = self.session.try_token().is_ok();
        self.seen.lock().expect("no panic").push(there);
    }
}

// Rule C3. Waiters woken before the value is there: google-auth-library-java#692.
#[test]
fn whoever_is_told_finds_the_new_state() {
    let script = Scripted::new().then(Response::Hang);
    let (session, _) = lapsed(&script);
    let mut driver = waiting(&session);
    // The answer's own call goes to a deputy; all others are called when it has landed.
    let _deputy = waiting(&session);
    let looking = Arc::new(Looking { session: session.clone(), seen: Mutex::default() });
    let mut last = Hand::new(session.token());
    assert!(last.poll_with(&Waker::from(Arc::clone(&looking))).is_pending());
    script.release(Response::Grant(Scripted::grant(1)));
    assert_eq!(text(driver.ready()), "at-2");
    assert_eq!(*looking.seen.lock().expect("no panic"), [true]);
}

// Rules B7, C2. One failure is told to tasks and threads alike.
#[test]
fn a_failure_ends_the_waits_of_tasks_and_threads() {
    let script = Scripted::new().then(Response::Hang);
    let (session, _) = lapsed(&script);
    let mut task = waiting(&session);
    let parked = session.clone();
    let parked = thread::spawn(move || parked.token_blocking().map(drop));
    // A thread that comes after the failure is told the same, within its backoff.
    script.release(Response::Fail(RefreshError::unavailable("no connection")));
    let first = task.ready().expect_err("the attempt failed");
    let second = watched(move || parked.join().expect("no panic")).expect_err("likewise");
    assert_eq!(first.when_to_retry(), second.when_to_retry());
    assert_eq!(script.requests(), 1);
}

// Rules C2, B13. On tokio, with its virtual time as the session's timer.
#[tokio::test(start_paused = true)]
async fn on_tokio_a_deadline_and_a_backoff_are_kept_on_time() {
    let script = Scripted::new().then(Response::Hang);
    let began = tokio::time::Instant::now();
    let clock = move || START.saturating_add(began.elapsed().into());
    let policy = Policy::builder().reuse(Reuse::Unrotated).build().expect("valid");
    let session = Session::builder_with(script.clone())
        .clock(clock)
        .timer(tokio::time::sleep)
        .spawner(|task| drop(tokio::spawn(task)))
        .policy(policy)
        .random(|| 1 << 31)
        .grant(Grant::of_refresh_token("rt-1"))
        .build()
        .expect("sendable");
    let error = session.token().await.expect_err("it hangs");
    assert!(error.is_unavailable());
    assert_eq!(began.elapsed().as_secs(), 30);
    assert_eq!(text(session.token().retry_for(HOUR).await), "at-3");
    assert_eq!(script.requests(), 2);
}

// Rule B14.
#[test]
fn the_late_answer_of_a_refresh_that_was_given_up_comes_before_another_try() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time) = lapsed(&script);
    let mut caller = waiting(&session);
    time.advance(31 * SECOND);
    assert!(!caller.ready().expect_err("it met its deadline").is_login_required());
    script.release(Response::Grant(Scripted::grant(1)));
    time.advance(60 * SECOND);
    assert_eq!(text(at_once(session.token())), "at-2");
    assert_eq!(script.requests(), 1);
}
