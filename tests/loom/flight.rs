//! One flight, whoever drives it and whoever goes away.

use std::pin::pin;

use loom::thread;
use perennial::refresh::{RefreshError, Request};
use perennial::token::Grant;

use crate::exhaust::{
    Bound::{Preemptions, Unbounded},
    exhaust,
};
use crate::world::{
    Gate, Hand, Sent, Yielding, block_on, built, gated, gated_builder, poll_once, prompt, with,
};

// Rule B3.
#[test]
fn at_most_one_caller_starts_the_refresh() {
    exhaust(Unbounded, || {
        let hand = Hand::new();
        let (session, sent) = prompt(&hand);
        hand.advance(3600);
        let other = session.clone();
        let caller = thread::spawn(move || other.token_blocking().expect("a token"));
        assert_eq!(session.token_blocking().expect("a token").expose(), "at-2");
        assert_eq!(caller.join().expect("no panic").expose(), "at-2");
        assert_eq!(sent.count(), 1);
    });
}

// Rule C3.
#[test]
fn a_caller_that_registers_while_the_flight_lands_is_woken() {
    exhaust(Preemptions(3), || {
        let (hand, gate) = (Hand::new(), Gate::new());
        let (session, sent) = gated(&hand, &gate);
        hand.advance(3600);
        let other = session.clone();
        let caller = thread::spawn(move || other.token_blocking().expect("a token"));
        let opener = thread::spawn(move || gate.open());
        assert_eq!(session.token_blocking().expect("a token").expose(), "at-2");
        assert_eq!(caller.join().expect("no panic").expose(), "at-2");
        opener.join().expect("no panic");
        assert_eq!(sent.count(), 1);
    });
}

// Rule C2.
#[test]
fn a_thread_and_a_task_share_one_flight() {
    exhaust(Preemptions(3), || {
        let (hand, gate) = (Hand::new(), Gate::new());
        let (session, sent) = gated(&hand, &gate);
        hand.advance(3600);
        let other = session.clone();
        let task = thread::spawn(move || block_on(other.token()).expect("a token"));
        let opener = thread::spawn(move || gate.open());
        assert_eq!(session.token_blocking().expect("a token").expose(), "at-2");
        assert_eq!(task.join().expect("no panic").expose(), "at-2");
        opener.join().expect("no panic");
        assert_eq!(sent.count(), 1);
    });
}

// Rule C4.
#[test]
fn a_driver_that_is_dropped_hands_its_flight_over() {
    exhaust(Preemptions(3), || {
        let (hand, gate) = (Hand::new(), Gate::new());
        let (session, sent) = gated(&hand, &gate);
        hand.advance(3600);
        let other = session.clone();
        let dropped = thread::spawn(move || {
            // Polled once or twice, and dropped wherever that has brought it.
            let mut caller = pin!(other.token());
            if poll_once(caller.as_mut()).is_pending() {
                let _ = poll_once(caller.as_mut());
            }
        });
        let opener = thread::spawn(move || gate.open());
        assert_eq!(session.token_blocking().expect("a token").expose(), "at-2");
        dropped.join().expect("no panic");
        opener.join().expect("no panic");
        assert_eq!(sent.count(), 1);
    });
}

// Rules C4, F2.
#[test]
fn a_driver_dropped_at_any_await_of_a_stored_flight_hands_it_over() {
    // The store is read, the intent noted, the server asked, the grant stored: a poll for each.
    for polls in 1..=5 {
        exhaust(Preemptions(3), move || {
            let hand = Hand::new();
            let (builder, sent) = gated_builder(&Gate::opened());
            let session = built(builder.store(Yielding::default()), &hand);
            session.token_blocking().expect("the first reads the store");
            hand.advance(3600);
            let other = session.clone();
            let dropped = thread::spawn(move || {
                let mut caller = pin!(other.token());
                for _ in 0..polls {
                    if poll_once(caller.as_mut()).is_ready() {
                        break;
                    }
                }
            });
            assert_eq!(session.token_blocking().expect("a token").expose(), "at-2");
            dropped.join().expect("no panic");
            assert_eq!(sent.count(), 1);
        });
    }
}

// Rule C4.
#[test]
fn a_driver_that_is_alive_and_not_polled_blocks_nobody() {
    exhaust(Unbounded, || {
        let (hand, gate) = (Hand::new(), Gate::new());
        let (session, sent) = gated(&hand, &gate);
        hand.advance(3600);
        let mut idle = pin!(session.token());
        assert!(poll_once(idle.as_mut()).is_pending());
        let other = session.clone();
        let caller = thread::spawn(move || other.token_blocking().expect("a token"));
        gate.open();
        assert_eq!(caller.join().expect("no panic").expose(), "at-2");
        assert_eq!(sent.count(), 1);
    });
}

// Rule C4.
#[test]
fn callers_that_go_away_hand_over_what_they_were_woken_for() {
    exhaust(Unbounded, || {
        let (hand, gate) = (Hand::new(), Gate::new());
        let (session, sent) = gated(&hand, &gate);
        hand.advance(3600);
        let (mut driver, mut deputy) = (Box::pin(session.token()), Box::pin(session.token()));
        assert!(poll_once(driver.as_mut()).is_pending());
        assert!(poll_once(deputy.as_mut()).is_pending());
        let other = session.clone();
        let third = thread::spawn(move || other.token_blocking().expect("a token"));
        gate.open(); // the two are woken, and go away instead
        drop(driver);
        drop(deputy);
        assert_eq!(third.join().expect("no panic").expose(), "at-2");
        assert_eq!(sent.count(), 1);
    });
}

// Rule C4.
#[test]
fn a_flight_that_all_have_left_waits_for_the_next_who_comes() {
    exhaust(Unbounded, || {
        let (hand, gate) = (Hand::new(), Gate::new());
        let (session, sent) = gated(&hand, &gate);
        hand.advance(3600);
        let other = session.clone();
        let dropped = thread::spawn(move || {
            let mut caller = pin!(other.token());
            let _ = poll_once(caller.as_mut());
        });
        let opener = thread::spawn(move || gate.open());
        dropped.join().expect("no panic");
        assert_eq!(session.token_blocking().expect("a token").expose(), "at-2");
        opener.join().expect("no panic");
        assert_eq!(sent.count(), 1);
    });
}

// Rules C3, C5.
#[test]
fn a_refresher_that_panics_leaves_nobody_waiting() {
    // Of many thousand executions: only what was not planned is worth reading.
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload().downcast_ref::<&str>() != Some(&"planned") {
            usual(panic);
        }
    }));
    exhaust(Unbounded, || {
        let hand = Hand::new();
        let session = with(&hand, |request: Request| async move {
            assert!(request.grant().is_none(), "planned");
            Err::<Grant, _>(RefreshError::unavailable("never"))
        });
        hand.advance(3600);
        let other = session.clone();
        let caller = thread::spawn(move || other.token_blocking().is_err());
        assert!(session.token_blocking().is_err());
        assert!(caller.join().expect("contained"));
    });
}

// Rule B7.
#[test]
fn a_failure_is_told_to_all_who_waited_for_it_and_to_nobody_twice() {
    exhaust(Unbounded, || {
        let (hand, sent) = (Hand::new(), Sent::default());
        let counter = sent.clone();
        let session = with(&hand, move |_: Request| {
            counter.one();
            async { Err::<Grant, _>(RefreshError::unavailable("503")) }
        });
        hand.advance(3600);
        let other = session.clone();
        let caller = thread::spawn(move || other.token_blocking().is_err());
        assert!(session.token_blocking().is_err());
        assert!(caller.join().expect("no panic"));
        // Backoff is drawn at zero: one that comes after the failure may try anew.
        assert!((1..=2).contains(&sent.count()));
    });
}
