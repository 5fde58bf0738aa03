//! Refreshers that panic, hang, come late or ask their own session, and what is dropped when.

use std::cell::{Cell, RefCell};
use std::error::Error as _;
use std::future::{pending, poll_fn};
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::Poll;
use std::thread;

use perennial::refresh::{LocalBoxFuture, LocalRefresh, Request};
use perennial::session::LocalSession;
use perennial::testing::{Response, Scripted};

use super::support::{Bound, lapsed, lapsed_of, waiting};
use crate::session_support::{Hand, SECOND, WAITING, at_once, text};

// Rules B6, C5.
#[test]
fn a_panicking_refresher_harms_only_its_own_flight() {
    let script = Scripted::new().then(Response::Panic);
    let (session, time) = lapsed(&script);
    let error = at_once(session.token()).expect_err("it panicked");
    assert!(error.is_unavailable() && !error.is_login_required());
    assert_eq!(error.to_string(), "the refresh was sent, but its outcome is unknown");
    time.advance(SECOND);
    assert_eq!(text(at_once(session.token())), "at-3");
}

// Rule C5.
#[test]
fn a_refresher_that_panics_before_it_makes_a_future_harms_only_its_own_flight() {
    let calls = Rc::new(Cell::new(0));
    let (session, time) = lapsed_of(LocalSession::builder(move |_: Request| {
        calls.set(calls.get() + 1);
        assert!(calls.get() > 1, "the first call panics");
        async { Ok(Scripted::grant(1)) }
    }));
    assert!(at_once(session.token()).expect_err("it panicked").is_unavailable());
    time.advance(SECOND);
    assert_eq!(text(at_once(session.token())), "at-2");
}

struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        panic!("a destructor panics");
    }
}

// Rules B14, C5.
#[test]
fn a_refresh_whose_destructor_panics_loses_no_answer_that_has_come() {
    let calls = Rc::new(Cell::new(0));
    let counted = Rc::clone(&calls);
    let (session, _) = lapsed_of(LocalSession::builder(move |_: Request| {
        counted.set(counted.get() + 1);
        let bomb = PanicsOnDrop;
        poll_fn(move |_| {
            let _armed = &bomb;
            Poll::Ready(Ok(Scripted::grant(1)))
        })
    }));
    assert_eq!(text(at_once(session.token())), "at-2");
    assert_eq!(calls.get(), 1);
}

// Rule C6.
#[test]
fn a_refresher_that_asks_its_own_session_gets_an_error_at_once() {
    let own: Rc<RefCell<Option<LocalSession>>> = Rc::default();
    let told = Rc::new(RefCell::new(Vec::new()));
    let (asks, tells) = (Rc::clone(&own), Rc::clone(&told));
    let (session, _) = lapsed_of(LocalSession::builder(move |_: Request| {
        let session = asks.borrow().clone().expect("given below");
        // Both in making the future and in its polls, and whatever it is asked.
        tells.borrow_mut().push(at_once(session.token()));
        let tells = Rc::clone(&tells);
        async move {
            let answer = session.token().await;
            tells.borrow_mut().push(answer);
            tells.borrow_mut().push(session.try_token());
            assert_eq!(session.state(), WAITING);
            Hand::new(session.changed()).pending();
            assert!(at_once(session.close()).is_err_and(|error| error.is_reentrant()));
            Ok(Scripted::grant(1))
        }
    }));
    *own.borrow_mut() = Some(session.clone());
    assert_eq!(text(at_once(session.token())), "at-2");
    let told: Vec<_> = told.take().into_iter().map(|result| result.expect_err("its own")).collect();
    assert_eq!(told.len(), 3);
    assert!(told[0].is_reentrant() && told[1].is_reentrant() && told[2].is_not_ready(), "{told:?}");
    own.take();
}

// Rules B14, C6. The second refresh, within its own poll, has the first one polled.
#[test]
fn a_refresher_that_drives_another_refresh_of_its_session_does_no_harm() {
    let own: Rc<RefCell<Option<LocalSession>>> = Rc::default();
    let script = Scripted::new().then(Response::Hang);
    let (asks, refresher) = (Rc::clone(&own), Bound::new(&script));
    let (session, time) = lapsed_of(LocalSession::builder(move |request: Request| {
        let second = refresher.script.requests() == 1;
        let answer: LocalBoxFuture<_> = Box::pin(refresher.refresh(request));
        let (session, script) = (asks.borrow().clone(), refresher.script.clone());
        async move {
            if let Some(session) = session.filter(|_| second) {
                script.release(Response::Grant(Scripted::grant(7)));
                assert!(at_once(session.close()).is_err_and(|error| error.is_reentrant()));
                assert_eq!(text(session.try_token()), "at-8");
            }
            answer.await
        }
    }));
    *own.borrow_mut() = Some(session.clone());
    let mut caller = waiting(&session);
    time.advance(30 * SECOND);
    assert!(caller.ready().expect_err("it hangs").is_unavailable());
    time.advance(SECOND);
    assert_eq!(text(at_once(session.token())), "at-3");
    assert_eq!((script.requests(), script.dropped()), (2, 0));
    own.take();
}

// Rules B13, B14. The old future still runs when the next one starts, and its grant counts.
#[test]
fn a_late_grant_is_not_lost() {
    let script = Scripted::new().then(Response::Hang).then(Response::Hang);
    let (session, time) = lapsed(&script);
    let mut caller = waiting(&session);
    time.advance(30 * SECOND);
    assert!(caller.ready().expect_err("it hangs").is_unavailable());
    time.advance(SECOND);
    let mut next = waiting(&session);
    assert_eq!((script.requests(), script.dropped()), (2, 0));
    // The oldest that hangs gets it.
    script.release(Response::Grant(Scripted::grant(1)));
    assert_eq!(text(next.ready()), "at-2");
    drop((caller, next));
    assert_eq!(session.grant().expect("kept").refresh_token().expect("kept").expose(), "rt-2");
}

// Rules B3, B14. Flights that were given up are listened to, but not without bound.
#[test]
fn hung_refreshes_do_not_pile_up() {
    let (requests, alive) = (Rc::new(Cell::new(0)), Rc::new(()));
    let (count, held) = (Rc::clone(&requests), Rc::clone(&alive));
    let (session, time) = lapsed_of(LocalSession::builder(move |_: Request| {
        count.set(count.get() + 1);
        let held = Rc::clone(&held);
        async move {
            pending::<()>().await;
            drop(held);
            Ok(Scripted::grant(1))
        }
    }));
    for _ in 0..20 {
        let mut caller = waiting(&session);
        time.advance(30 * SECOND);
        assert!(caller.ready().expect_err("it hangs").is_unavailable());
        time.advance(60 * SECOND);
    }
    assert_eq!(requests.get(), 20);
    assert!(Rc::strong_count(&alive) <= 8, "{} are kept", Rc::strong_count(&alive));
    drop(session);
    assert_eq!(Rc::strong_count(&alive), 1);
}

// Rule C9.
#[test]
fn dropping_the_last_handle_drops_the_refresh_at_once() {
    let script = Scripted::new().then(Response::Hang);
    let (session, _) = lapsed(&script);
    let other = session.clone();
    drop(waiting(&session));
    drop(session);
    assert_eq!(script.dropped(), 0);
    drop(other);
    assert_eq!((script.requests(), script.dropped()), (1, 1));
}

/// Tells on which thread it is dropped. It is `!Send` as the refreshes here are.
struct Teller(mpsc::Sender<thread::ThreadId>, PhantomData<Rc<()>>);

impl Drop for Teller {
    fn drop(&mut self) {
        let _ = self.0.send(thread::current().id());
    }
}

// Rules C2, C9.
#[test]
fn what_outlives_the_session_on_another_thread_takes_no_local_thing_along() {
    let (sender, dropped) = mpsc::channel();
    let (session, _) = lapsed_of(LocalSession::builder(move |_: Request| {
        let teller = Teller(sender.clone(), PhantomData);
        async move {
            pending::<()>().await;
            drop(teller);
            Ok(Scripted::grant(1))
        }
    }));
    drop(waiting(&session));
    // It holds what is in the air.
    let watch = session.changed();
    drop(session);
    assert_eq!(dropped.try_recv(), Ok(thread::current().id()), "with the last handle");
    thread::spawn(move || drop(watch)).join().expect("no panic");
    assert!(dropped.try_recv().is_err());
}

thread_local! {
    static TAKEN_ALONG: RefCell<Option<LocalSession>> = const { RefCell::new(None) };
}

// Rules C2, C9. Its destructor runs when the thread's own things may be gone already.
#[test]
fn a_session_that_ends_with_its_thread_does_no_harm() {
    for first in [true, false] {
        let script = Scripted::new().then(Response::Hang);
        let asked = script.clone();
        let thread = thread::spawn(move || {
            // Whichever is touched first is destroyed in its own order.
            if first {
                TAKEN_ALONG.set(None);
            }
            let (session, _) = lapsed(&asked);
            drop(waiting(&session));
            TAKEN_ALONG.set(Some(session));
        });
        thread.join().expect("no panic");
        assert_eq!((script.requests(), script.dropped()), (1, 1));
    }
}

/// Asks its session once more when the thread ends, and tells what came of it.
struct LastWords(LocalSession, mpsc::Sender<String>);

impl Drop for LastWords {
    fn drop(&mut self) {
        let mut caller = Hand::new(self.0.token());
        let said = match caller.poll() {
            Poll::Ready(Ok(_)) => "a token".to_owned(),
            Poll::Ready(Err(error)) => {
                error.source().map_or(error.to_string(), ToString::to_string)
            }
            Poll::Pending => "nothing".to_owned(),
        };
        let _ = self.1.send(said);
    }
}

thread_local! {
    static LAST_WORDS: RefCell<Option<LastWords>> = const { RefCell::new(None) };
}

// Rules C2, B6. What was touched first is destroyed last: the session's things are gone by then.
#[test]
fn a_session_that_is_asked_while_its_thread_ends_says_so_and_does_no_harm() {
    for (begun, expected) in [
        (false, "the refresher is bound to another thread"),
        (true, "the refresh was polled away from its thread"),
    ] {
        let (sender, said) = mpsc::channel();
        let script = Scripted::new().then(Response::Hang);
        let asked = script.clone();
        let thread = thread::spawn(move || {
            LAST_WORDS.set(None);
            let (session, _) = lapsed(&asked);
            if begun {
                drop(waiting(&session));
            }
            LAST_WORDS.set(Some(LastWords(session, sender)));
            // It wants to be polled once more.
            asked.release(Response::Hang);
        });
        thread.join().expect("no panic");
        assert_eq!(said.recv().as_deref(), Ok(expected));
        assert_eq!(script.requests(), usize::from(begun));
    }
}
