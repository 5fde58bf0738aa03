//! What readers may see, who take no lock.

use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use std::sync::Arc;

use crate::exhaust::{
    Bound::{Preemptions, Unbounded},
    exhaust,
};
use crate::world::{Hand, prompt};

// Rules B2, B4.
#[test]
fn a_reader_never_sees_an_older_token_after_a_newer_one() {
    exhaust(Unbounded, || {
        let hand = Hand::new();
        let (session, _) = prompt(&hand);
        hand.advance(3400);
        let mut reader = session.reader();
        let refresh = thread::spawn(move || session.token_blocking().expect("a token"));
        let mut newest = 0;
        for _ in 0..3 {
            if let Ok(token) = reader.token() {
                let number = token.generation().number();
                assert!(number >= newest, "{number} after {newest}");
                newest = number;
                assert_eq!(token.expose(), format!("at-{number}"));
            }
        }
        refresh.join().expect("no panic");
    });
}

// Rules B2, B8.
#[test]
fn nobody_is_given_a_token_whose_rejection_was_told() {
    exhaust(Unbounded, || {
        let hand = Hand::new();
        let (session, _) = prompt(&hand);
        let mut reader = session.reader();
        let told = Arc::new(AtomicBool::new(false));
        let (other, teller) = (session.clone(), Arc::clone(&told));
        let token = reader.token().expect("a token").clone();
        let rejecting = thread::spawn(move || {
            other.reject(&token);
            teller.store(true, Ordering::Release);
        });
        for _ in 0..2 {
            let is_told = told.load(Ordering::Acquire);
            let (kept, lent) = (reader.token().is_ok(), session.with_token(|_| ()).is_ok());
            assert!(!is_told || !(kept || lent));
        }
        rejecting.join().expect("no panic");
        assert!(reader.token().is_err());
    });
}

// Rule C3.
#[test]
fn what_a_caller_was_given_every_reader_sees() {
    exhaust(Preemptions(5), || {
        let hand = Hand::new();
        let (session, _) = prompt(&hand);
        let mut reader = session.reader();
        hand.advance(3600);
        let told = Arc::new(AtomicBool::new(false));
        let teller = Arc::clone(&told);
        let refresh = thread::spawn(move || {
            session.token_blocking().expect("a token");
            teller.store(true, Ordering::Release);
        });
        for _ in 0..2 {
            let is_told = told.load(Ordering::Acquire);
            match reader.token() {
                Ok(token) => assert_eq!(token.expose(), "at-2"),
                Err(_) => assert!(!is_told),
            }
        }
        refresh.join().expect("no panic");
    });
}
