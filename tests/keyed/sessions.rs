//! Each key has a session of its own.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use perennial::clock::Clock as _;
use perennial::keyed::{KeepFresh, Sessions};
use perennial::lifecycle::{Policy, State};
use perennial::refresh::{RefreshError, Request};
use perennial::session::Rejection;
use perennial::store::{MemoryStore, Store as _, StoredGrant, Version};
use perennial::testing::VirtualTime;
use perennial::time::Span;
use perennial::token::Grant;

use crate::session_support::ledger::{Fault, Ledger};
use crate::session_support::{DUE, HOUR, Hand, SECOND, START, at_once, text};
use crate::{Server, grant};

fn world() -> (Server, VirtualTime) {
    (Server::default(), VirtualTime::at(START))
}

// Rule B3.
#[test]
fn each_key_is_refreshed_once_with_its_own_refresh_token() {
    let (server, time) = world();
    let sessions = server.sessions(&time).build();
    for key in 0..100 {
        sessions.install_blocking(&key, grant(key, 1)).expect("sendable");
    }
    time.advance(HOUR);
    for key in (0..100).chain(0..100) {
        assert_eq!(text(sessions.token_blocking(&key)), format!("at-{key}-2"));
    }
    assert_eq!(server.requests(), 100);
    assert_eq!(server.presented(42), ["rt-42-1"]);
    assert_eq!(sessions.len(), 100);
}

// Rule F5.
#[test]
fn a_key_that_is_not_known_gets_an_error_that_says_what_to_do() {
    let (server, time) = world();
    let sessions = server.sessions(&time).build();
    let error = sessions.token_blocking(&7).expect_err("nobody logged in");
    assert!(error.is_login_required());
    assert!(error.to_string().contains("log in"), "{error}");
    assert!(sessions.session(&7).is_none() && sessions.state(&7).is_none());
    assert!(sessions.is_empty());
}

// Rule G1.
#[test]
fn a_grant_that_cannot_be_sent_is_refused() {
    let (server, time) = world();
    let sessions = server.sessions(&time).build();
    assert!(sessions.install_blocking(&7, Grant::new("hush\n", "rt", HOUR)).is_err());
    assert!(sessions.is_empty());
}

// Rules C5, C6.
#[test]
fn a_refresher_that_panics_for_one_key_harms_no_other() {
    let time = VirtualTime::at(START);
    let sessions = Sessions::builder(|key: &u64, _: Request| {
        assert_ne!(*key, 13, "planned");
        let granted = grant(*key, 2);
        async move { Ok::<_, RefreshError>(granted) }
    });
    let sessions = sessions.clock(time.clone()).build();
    for key in 0..20 {
        sessions.install_blocking(&key, grant(key, 1)).expect("sendable");
    }
    time.advance(HOUR);
    for key in 0..20 {
        assert_eq!(sessions.token_blocking(&key).is_ok(), key != 13);
    }
}

// Rule B11.
#[test]
fn a_logout_ends_one_key_and_no_other() {
    let (server, time) = world();
    let sessions = server.sessions(&time).build();
    for key in [1, 2] {
        sessions.install_blocking(&key, grant(key, 1)).expect("sendable");
    }
    at_once(sessions.logout(&1)).expect("no store");
    assert!(sessions.token_blocking(&1).is_err());
    assert_eq!(text(sessions.token_blocking(&2)), "at-2-1");
    assert_eq!(sessions.len(), 1);
    sessions.install_blocking(&1, grant(1, 5)).expect("a login");
    assert_eq!(text(sessions.token_blocking(&1)), "at-1-5");
}

// Rules F1, F2.
#[test]
fn keys_with_stores_are_read_when_first_asked_for() {
    let (server, time) = world();
    let store = MemoryStore::new();
    let written = store.swap(Version::EMPTY, Some(StoredGrant::new(grant(3, 1), START)));
    at_once(written).expect("memory");
    let kept = store.clone();
    let sessions = server
        .sessions(&time)
        .stores(move |key| if *key == 3 { kept.clone() } else { MemoryStore::new() });
    let sessions = sessions.build();
    assert_eq!(text(sessions.token_blocking(&3)), "at-3-1");
    assert!(sessions.token_blocking(&4).expect_err("an empty store").is_login_required());
    time.advance(HOUR);
    assert_eq!(text(sessions.token_blocking(&3)), "at-3-2");
    let stored = store.content().grant.expect("a grant").grant;
    assert_eq!(stored.access_token(), grant(3, 2).access_token());
}

// Rules B12, C7.
#[test]
fn ten_thousand_keys_are_kept_fresh_on_one_timer_and_few_at_once() {
    let time = VirtualTime::at(START);
    let out = Arc::new(Mutex::new((0_usize, 0_usize, 0_usize)));
    let counts = Arc::clone(&out);
    let sessions = Sessions::builder(move |key: &u64, _: Request| {
        let (granted, counts) = (grant(*key, 2), Arc::clone(&counts));
        async move {
            {
                let mut counts = counts.lock().expect("no panic");
                counts.0 += 1;
                counts.1 += 1;
                counts.2 = counts.2.max(counts.1);
            }
            let mut yielded = false;
            std::future::poll_fn(|cx| {
                cx.waker().wake_by_ref();
                if std::mem::replace(&mut yielded, true) {
                    std::task::Poll::Ready(())
                } else {
                    std::task::Poll::Pending
                }
            })
            .await;
            counts.lock().expect("no panic").1 -= 1;
            Ok::<_, RefreshError>(granted)
        }
    });
    let sessions = sessions.clock(time.clone()).without_jitter().at_once(50).build();
    for key in 0..10_000 {
        sessions.install_blocking(&key, grant(key, 1)).expect("sendable");
    }
    assert_eq!(sessions.in_use(), 0);
    let mut keeper = Hand::new(sessions.keep_fresh(time.clone()));
    keeper.pending();
    assert_eq!(out.lock().expect("no panic").0, 0);
    time.advance(DUE);
    for _ in 0..2_000 {
        keeper.pending();
    }
    let (all, now, most) = *out.lock().expect("no panic");
    assert_eq!((all, now), (10_000, 0));
    assert!(most <= 50, "{most} were out at once");
    assert_eq!(text(sessions.token_blocking(&9_999)), "at-9999-2");
    assert_eq!(sessions.state(&1), Some(State::Valid));
    drop(sessions);
    keeper.ready();
}

/// Sessions of one key, whose keeper has got a grant that the store did not take.
fn unsaved() -> (Sessions<u64>, Hand<KeepFresh<u64>>, VirtualTime, Ledger) {
    let (time, ledger) = (VirtualTime::at(START), Ledger::new());
    let (kept, asked) = (ledger.clone(), ledger.clone());
    let sessions = Sessions::builder(move |key: &u64, _: Request| {
        asked.set(Fault::ReadOnly);
        let granted = grant(*key, 2);
        async move { Ok::<_, RefreshError>(granted) }
    });
    let sessions = sessions.stores(move |_| kept.clone()).clock(time.clone()).without_jitter();
    let sessions = sessions.at_once(1).build();
    sessions.install_blocking(&1, grant(1, 1)).expect("stored");
    let mut keeper = Hand::new(sessions.keep_fresh(time.clone()));
    keeper.pending();
    time.advance(DUE);
    (0..10).for_each(|_| keeper.pending());
    assert_eq!(text(sessions.token_blocking(&1)), "at-1-2");
    assert_eq!(ledger.refresh_token().as_deref(), Some("rt-1-1"));
    ledger.take_log();
    (sessions, keeper, time, ledger)
}

// Rule F2. A process that ends before the next refresh would have lost the login.
#[test]
fn a_keeper_stores_what_could_not_be_stored_once_the_store_works_again() {
    let (sessions, mut keeper, time, ledger) = unsaved();
    time.advance(10 * SECOND);
    (0..10).for_each(|_| keeper.pending());
    assert_eq!(ledger.take_log(), Vec::<String>::new(), "within a refresh deadline");
    ledger.set(Fault::None);
    time.advance(30 * SECOND);
    (0..10).for_each(|_| keeper.pending());
    assert_eq!(ledger.refresh_token().as_deref(), Some("rt-1-2"));
    sessions.sweep();
    sessions.sweep();
    assert_eq!((sessions.len(), sessions.in_use()), (1, 0), "it is not packed");
}

// Rule F2. The sessions have no timer, which would end the attempt that hangs.
#[test]
fn a_keeper_goes_on_where_the_store_hangs_for_ever_at_what_could_not_be_stored() {
    let (_sessions, mut keeper, time, ledger) = unsaved();
    ledger.set(Fault::Hangs);
    time.advance(40 * SECOND);
    (0..10).for_each(|_| keeper.pending());
    assert_eq!(ledger.take_log(), ["store rt-1-2"]);
    ledger.set_for_others(Fault::None);
    for _ in 0..3 {
        time.advance(40 * SECOND);
        (0..10).for_each(|_| keeper.pending());
    }
    assert_eq!(ledger.refresh_token().as_deref(), Some("rt-1-2"));
}

// Rule B7.
#[test]
fn a_key_whose_refresh_failed_is_kept_trying_after_its_backoff() {
    let time = VirtualTime::at(START);
    let asked = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&asked);
    let sessions = Sessions::builder(move |key: &u64, _: Request| {
        *counter.lock().expect("no panic") += 1;
        let granted = (*counter.lock().expect("no panic") > 2).then(|| grant(*key, 2));
        async move { granted.ok_or_else(|| RefreshError::unavailable("503")) }
    });
    let sessions = sessions.clock(time.clone()).without_jitter().random(|| 1 << 31).build();
    sessions.install_blocking(&1, grant(1, 1)).expect("sendable");
    let mut keeper = Hand::new(sessions.keep_fresh(time.clone()));
    keeper.pending();
    time.advance(DUE);
    for _ in 0..60 {
        keeper.pending();
        time.advance(SECOND);
    }
    assert_eq!(*asked.lock().expect("no panic"), 3);
    assert_eq!(text(sessions.try_token(&1)), "at-1-2");
}

// Rule C9.
#[test]
fn a_login_wakes_the_keeper_that_had_nothing_to_wait_for() {
    let (server, time) = world();
    let sessions = server.sessions(&time).build();
    let mut keeper = Hand::new(sessions.keep_fresh(time.clone()));
    keeper.pending();
    sessions.install_blocking(&1, grant(1, 1)).expect("sendable");
    assert_eq!(keeper.woken(), 1);
    keeper.pending();
    time.advance(DUE);
    time.advance(Duration::from_secs(1));
    keeper.pending();
    keeper.pending();
    assert_eq!(server.presented(1), ["rt-1-1"]);
}

// Rule B14.
#[test]
fn each_new_grant_is_told_with_its_key() {
    let (server, time) = world();
    let told = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&told);
    let sessions = server.sessions(&time).on_rotate(move |key, grant| {
        hears.lock().expect("no panic").push((*key, grant.clone()));
    });
    let sessions = sessions.build();
    for key in [1, 2] {
        sessions.install_blocking(&key, grant(key, 1)).expect("sendable");
    }
    time.advance(HOUR);
    assert_eq!(text(sessions.token_blocking(&2)), "at-2-2");
    assert_eq!(*told.lock().expect("no panic"), [(2, grant(2, 2))]);
}

// Rule B7.
#[test]
fn a_key_that_was_packed_in_its_backoff_says_when_to_come_back() {
    let time = VirtualTime::at(START);
    let sessions =
        Sessions::builder(|_: &u64, _: Request| async { Err(RefreshError::unavailable("503")) });
    let sessions = sessions.clock(time.clone()).without_jitter().random(|| 1 << 31).build();
    sessions.install_blocking(&1, grant(1, 1)).expect("sendable");
    time.advance(HOUR);
    let first = sessions.token_blocking(&1).expect_err("503");
    sessions.sweep();
    assert_eq!(sessions.in_use(), 0);
    let second = sessions.token_blocking(&1).expect_err("in backoff");
    assert!(second.is_unavailable());
    assert!(second.when_to_retry().is_some());
    assert_eq!(second.when_to_retry(), first.when_to_retry());
}

/// Far enough from now not to be the wheel's next tick.
fn far(time: &VirtualTime) -> bool {
    time.next_alarm().is_some_and(|at| at > time.now().saturating_add(Span::from_secs(600)))
}

// Rules B12, C9.
#[test]
fn the_keeper_sleeps_while_nothing_is_due_whether_a_key_is_in_use_or_packed() {
    let (server, time) = world();
    for in_use in [false, true] {
        let sessions = server.sessions(&time).build();
        sessions.install_blocking(&1, grant(1, 1)).expect("sendable");
        if in_use {
            assert!(sessions.token_blocking(&1).is_ok());
        } else {
            sessions.sweep();
            sessions.sweep();
        }
        assert_eq!(sessions.in_use(), usize::from(in_use));
        let mut keeper = Hand::new(sessions.keep_fresh(time.clone()));
        keeper.pending();
        assert!(far(&time), "{:?}", time.next_alarm());
    }
}

// Rules B9, B12.
#[test]
fn the_keeper_goes_by_the_policy_of_its_sessions() {
    let time = VirtualTime::at(START);
    let hourly = Policy::builder().budget(1, HOUR).build().expect("valid");
    let sessions =
        Sessions::builder(|_: &u64, _: Request| async { Err(RefreshError::unavailable("503")) });
    let sessions = sessions.clock(time.clone()).random(|| 1 << 31).policy(hourly).build();
    sessions.install_blocking(&1, grant(1, 1)).expect("sendable");
    // Its rejection is what the budget pays for, and no retry.
    let token = sessions.token_blocking(&1).expect("fresh");
    assert_eq!(sessions.reject(&1, &token), Rejection::Withdrawn);
    assert!(sessions.token_blocking(&1).expect_err("503").is_unavailable());
    time.advance(SECOND);
    assert!(sessions.token_blocking(&1).expect_err("the budget is spent").is_over_budget());
    sessions.sweep();
    sessions.sweep();
    assert_eq!(sessions.in_use(), 0);
    let mut keeper = Hand::new(sessions.keep_fresh(time.clone()));
    keeper.pending();
    assert!(far(&time), "{:?}", time.next_alarm());
}
