//! How waits end: by the clock, by the last handle, by a change, by an off-loaded answer.

use std::error::Error as _;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use loom::thread;
use perennial::refresh::{RefreshError, Request};
use perennial::session::Session;
use perennial::store::MemoryStore;

use crate::exhaust::{
    Bound::{Preemptions, Unbounded},
    exhaust,
};
use crate::world::{Gate, Hand, block_on, built, gated, gated_builder, grant, poll_once, prompt};

/// Beyond the refresh's deadline.
const TOO_LATE: i64 = 31;

// Rules B13, C3.
#[test]
fn an_answer_that_races_with_the_deadline_ends_every_wait() {
    exhaust(Unbounded, || {
        let (hand, answer, bell) = (Hand::new(), Gate::new(), Gate::new());
        let (builder, sent) = gated_builder(&answer);
        let ring = bell.clone();
        let session = built(builder.timer(move |_| ring.clone()), &hand);
        hand.advance(3600);
        let mut idle = pin!(session.token());
        assert!(poll_once(idle.as_mut()).is_pending());
        let other = session.clone();
        let caller = thread::spawn(move || other.token_blocking());
        let answering = thread::spawn(move || answer.open());
        hand.advance(TOO_LATE);
        bell.open();
        match caller.join().expect("no panic") {
            Ok(token) => assert_eq!(token.expose(), "at-2"),
            Err(error) => assert!(!error.is_login_required(), "{error}"),
        }
        answering.join().expect("no panic");
        // Whatever was judged, the answer is not lost, and no second one was asked for.
        assert_eq!(session.token_blocking().expect("a token").expose(), "at-2");
        assert_eq!(sent.count(), 1);
    });
}

// Rule C3.
#[test]
fn given_a_timer_nobody_waits_for_callers_that_are_not_polled_any_more() {
    exhaust(Unbounded, || {
        let (hand, answer, bell) = (Hand::new(), Gate::new(), Gate::new());
        let (builder, _) = gated_builder(&answer);
        let ring = bell.clone();
        let session = built(builder.timer(move |_| ring.clone()), &hand);
        hand.advance(3600);
        let mut idle = [pin!(session.token()), pin!(session.token()), pin!(session.token())];
        for caller in &mut idle {
            assert!(poll_once(caller.as_mut()).is_pending());
        }
        let other = session.clone();
        let last = thread::spawn(move || other.token_blocking());
        answer.open(); // a driver and a deputy are woken, and nobody polls them
        hand.advance(TOO_LATE);
        bell.open();
        assert_eq!(last.join().expect("no panic").expect("an answer wins").expose(), "at-2");
    });
}

// Rule C9.
#[test]
fn a_keeper_ends_with_the_last_handle() {
    exhaust(Unbounded, || {
        let hand = Hand::new();
        let (session, _) = prompt(&hand);
        let never = Gate::new();
        let keeper = session.keep_fresh(move |_| never.clone());
        let keeping = thread::spawn(move || block_on(keeper));
        let other = session.clone();
        let using = thread::spawn(move || other.try_token().map(drop));
        drop(session);
        using.join().expect("no panic").expect("a token");
        keeping.join().expect("no panic");
    });
}

// Rule C3.
#[test]
fn a_change_is_seen_by_whoever_began_to_watch_before_it() {
    exhaust(Unbounded, || {
        let hand = Hand::new();
        let (session, _) = prompt(&hand);
        let token = session.try_token().expect("a token");
        let changed = session.changed();
        let other = session.clone();
        let rejecting = thread::spawn(move || other.reject(&token));
        block_on(changed);
        assert!(session.try_token().is_err());
        rejecting.join().expect("no panic");
    });
}

// Rule F2.
#[test]
fn a_token_that_anybody_has_is_in_the_store() {
    exhaust(Unbounded, || {
        let hand = Hand::new();
        let store = MemoryStore::new();
        let (builder, _) = gated_builder(&Gate::opened());
        let session = built(builder.store(store.clone()), &hand);
        session.token_blocking().expect("the first reads the store");
        hand.advance(3600);
        let mut reader = session.reader();
        let refresh = thread::spawn(move || session.token_blocking().expect("a token"));
        for _ in 0..2 {
            if reader.token().is_ok() {
                let stored = store.content().grant.expect("a grant").grant;
                assert_eq!(stored.access_token(), grant(1).access_token());
            }
        }
        refresh.join().expect("no panic");
    });
}

// Rule C2.
#[test]
fn what_a_blocking_refresher_brought_off_the_executor_is_not_lost() {
    exhaust(Preemptions(3), || {
        let hand = Hand::new();
        let refresher = |_: Request| Ok::<_, RefreshError>(grant(1));
        let session = Session::builder_blocking(refresher).spawn_blocking(|job| {
            thread::spawn(job);
            Ok(())
        });
        let session = built(session, &hand);
        hand.advance(3600);
        let other = session.clone();
        let task = thread::spawn(move || block_on(other.token()).expect("a token"));
        assert_eq!(block_on(session.token()).expect("a token").expose(), "at-2");
        assert_eq!(task.join().expect("no panic").expose(), "at-2");
    });
}

// Rules C4, C9.
#[test]
fn closing_waits_for_a_flight_whose_driver_went_away() {
    exhaust(Unbounded, || {
        let (hand, gate) = (Hand::new(), Gate::new());
        let (session, sent) = gated(&hand, &gate);
        hand.advance(3600);
        let other = Arc::new(session.clone());
        let dropped = thread::spawn(move || {
            let mut caller = pin!(other.token());
            let _ = poll_once(caller.as_mut());
        });
        dropped.join().expect("no panic");
        let opener = thread::spawn(move || gate.open());
        block_on(session.close()).expect("it landed");
        assert_eq!(session.try_token().expect("a token").expose(), "at-2");
        opener.join().expect("no panic");
        assert_eq!(sent.count(), 1);
    });
}

// Rule C9.
#[test]
fn the_last_of_two_handles_stops_what_is_not_yet_sent() {
    exhaust(Unbounded, || {
        let (hand, tasks) = (Hand::new(), Arc::new(Mutex::new(Vec::new())));
        let (builder, sent) = gated_builder(&Gate::opened());
        let kept = Arc::clone(&tasks);
        let spawner = move |task| kept.lock().expect("no panic").push(task);
        let session = built(builder.spawner(spawner), &hand);
        hand.advance(3600);
        assert!(session.try_token().is_err());
        let other = session.clone();
        let leaving = thread::spawn(move || drop(other));
        drop(session);
        leaving.join().expect("no panic");
        for task in tasks.lock().expect("no panic").drain(..) {
            block_on(task);
        }
        assert_eq!(sent.count(), 0);
    });
}

// Rules B6, B13.
#[test]
fn a_refresh_is_either_sent_or_called_off_and_who_waits_is_told_which() {
    exhaust(Unbounded, || {
        let hand = Hand::new();
        let (session, sent) = prompt(&hand);
        hand.advance(3600);
        let other = session.clone();
        let driver = thread::spawn(move || drop(other.token_blocking()));
        // Its deadline passes while the driver may be about to send it. That is no step of loom's, and
        // looking at the session is: the driver may have begun by then.
        let _ = session.state();
        hand.advance(30);
        let told = match poll_once(pin!(session.token())) {
            Poll::Ready(Err(error)) => Some(error),
            Poll::Ready(Ok(_)) | Poll::Pending => None,
        };
        driver.join().expect("no panic");
        if let Some(error) = told {
            let unsent = error.source().is_some_and(|why| why.to_string().contains("was not sent"));
            assert_eq!(sent.count(), usize::from(!unsent), "{error:?}");
        }
    });
}
