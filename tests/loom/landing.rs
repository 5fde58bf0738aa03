//! What races with the landing of a flight.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use loom::thread;

use crate::exhaust::{Bound::Unbounded, exhaust};
use crate::world::{Gate, Hand, block_on, built, gated_builder, grant, poll_once, prompt};

// Rule B8.
#[test]
fn a_rejection_that_races_with_the_landing_withdraws_the_old_token_only() {
    exhaust(Unbounded, || {
        let hand = Hand::new();
        let (session, sent) = prompt(&hand);
        let old = session.try_token().expect("a token");
        hand.advance(3400);
        let other = session.clone();
        let rejecting = thread::spawn(move || other.reject(&old));
        let _ = session.token_blocking();
        rejecting.join().expect("no panic");
        assert_eq!(session.token_blocking().expect("a token").expose(), "at-2");
        assert_eq!(sent.count(), 1);
    });
}

// Rules B11, B14.
#[test]
fn a_logout_that_races_with_the_landing_leaves_nothing_behind() {
    exhaust(Unbounded, || {
        let (hand, gate) = (Hand::new(), Gate::new());
        let orphans = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&orphans);
        let (builder, sent) = gated_builder(&gate);
        let session = built(
            builder.on_orphan(move |_| {
                counter.fetch_add(1, Ordering::Relaxed);
            }),
            &hand,
        );
        hand.advance(3600);
        assert!(poll_once(pin!(session.token())).is_pending());
        gate.open();
        let other = session.clone();
        let caller =
            thread::spawn(move || other.token_blocking().map(|token| token.expose().to_owned()));
        block_on(session.logout()).expect("no store");
        // It has landed before the logout, or not at all.
        if let Ok(text) = caller.join().expect("no panic") {
            assert_eq!(text, "at-2");
        }
        assert!(session.try_token().is_err());
        assert!(session.grant().is_none());
        assert!(session.token_blocking().expect_err("logged out").is_login_required());
        assert_eq!(sent.count(), 1);
        assert!(orphans.load(Ordering::Relaxed) <= 1);
    });
}

// Rules B11, B14.
#[test]
fn a_grant_that_lands_after_a_logout_is_handed_back() {
    exhaust(Unbounded, || {
        let (hand, gate) = (Hand::new(), Gate::new());
        let orphans = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&orphans);
        let (builder, _) = gated_builder(&gate);
        let session = built(
            builder.on_orphan(move |_| {
                counter.fetch_add(1, Ordering::Relaxed);
            }),
            &hand,
        );
        hand.advance(3600);
        assert!(poll_once(pin!(session.token())).is_pending());
        let opener = thread::spawn(move || gate.open());
        block_on(session.logout()).expect("no store");
        block_on(session.close()).expect("it landed");
        opener.join().expect("no panic");
        assert!(session.grant().is_none());
        assert_eq!(orphans.load(Ordering::Relaxed), 1);
    });
}

// Rules B4, B11.
#[test]
fn a_login_that_races_with_the_landing_is_not_overwritten() {
    exhaust(Unbounded, || {
        let (hand, gate) = (Hand::new(), Gate::new());
        let (builder, sent) = gated_builder(&gate);
        let session = built(builder.on_orphan(drop), &hand);
        hand.advance(3600);
        assert!(poll_once(pin!(session.token())).is_pending());
        gate.open();
        let other = session.clone();
        let caller = thread::spawn(move || other.token_blocking().expect("a token"));
        block_on(session.install(grant(9))).expect("sendable");
        assert!(["at-2", "at-10"].contains(&caller.join().expect("no panic").expose()));
        assert_eq!(session.try_token().expect("a token").expose(), "at-10");
        assert_eq!(sent.count(), 1);
    });
}
