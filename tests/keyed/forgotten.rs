//! A key with no grant is forgotten: memory goes by who is logged in, and not by who is asked for.

use std::sync::{Arc, Mutex, OnceLock};

use perennial::keyed::Sessions;
use perennial::refresh::{RefreshError, Request};
use perennial::store::{MemoryStore, Store as _, StoredGrant, Version};
use perennial::testing::VirtualTime;

use crate::session_support::ledger::{Fault, Ledger};
use crate::session_support::{HOUR, Hand, SECOND, START, at_once, text};
use crate::{Server, grant};

fn world() -> (Server, VirtualTime) {
    (Server::default(), VirtualTime::at(START))
}

/// What was not used since the last sweep is packed by the first, and forgotten by the second.
fn swept_twice(sessions: &Sessions<u64>) -> usize {
    sessions.sweep();
    sessions.sweep();
    sessions.len()
}

// Rule F5. Case X36.
#[test]
fn fifty_thousand_keys_that_no_store_knows_are_forgotten() {
    const KEYS: u64 = 50_000;
    let (server, time) = world();
    let sessions = server.sessions(&time).stores(|_| MemoryStore::new()).build();
    for key in 0..KEYS {
        let error = sessions.token_blocking(&key).expect_err("nobody logged in");
        assert!(error.is_login_required());
    }
    assert_eq!(swept_twice(&sessions), 0);
    // Whoever logs in afterwards is kept, whatever was asked before.
    sessions.install_blocking(&7, grant(7, 1)).expect("sendable");
    assert_eq!(swept_twice(&sessions), 1);
    assert_eq!(text(sessions.token_blocking(&7)), "at-7-1");
}

// Rule F5. Case X36. What another process has stored since is found by the next look-up.
#[test]
fn a_forgotten_key_is_looked_for_in_its_store_again() {
    let (server, time) = world();
    let store = MemoryStore::new();
    let kept = store.clone();
    let sessions = server.sessions(&time).stores(move |_| kept.clone()).build();
    assert!(sessions.token_blocking(&3).is_err());
    assert_eq!(swept_twice(&sessions), 0);
    let written = store.swap(Version::EMPTY, Some(StoredGrant::new(grant(3, 1), START)));
    at_once(written).expect("memory");
    assert_eq!(text(sessions.token_blocking(&3)), "at-3-1");
}

// Rules C3, C4. Case X36.
#[test]
fn a_key_that_somebody_waits_on_holds_or_logs_in_is_not_forgotten() {
    let (server, time) = world();
    let ledger = Ledger::new();
    let kept = ledger.clone();
    let sessions = server.sessions(&time).stores(move |_| kept.clone()).build();
    ledger.set(Fault::Hangs);
    let mut waiting = Hand::new(sessions.token(&1));
    waiting.pending();
    let mut logging_in = Hand::new(sessions.install(&2, grant(2, 1)));
    logging_in.pending();
    let handle = sessions.session(&3).expect("a handle");
    assert_eq!(swept_twice(&sessions), 3);
    ledger.set(Fault::None);
    logging_in.ready().expect("stored");
    drop((waiting, handle));
    assert!(sessions.state(&2).is_some());
}

// Rules B11, F5. Case X36.
#[test]
fn a_key_that_was_logged_out_while_somebody_held_it_is_forgotten_afterwards() {
    let (server, time) = world();
    for stored in [false, true] {
        let sessions = server.sessions(&time);
        let sessions = if stored { sessions.stores(|_| MemoryStore::new()) } else { sessions };
        let sessions = sessions.build();
        sessions.install_blocking(&1, grant(1, 1)).expect("sendable");
        let handle = sessions.session(&1).expect("a handle");
        at_once(sessions.logout(&1)).expect("nothing fails");
        assert_eq!(swept_twice(&sessions), 1, "somebody holds it");
        drop(handle);
        assert_eq!(swept_twice(&sessions), 0);
        // And by a handle of its own.
        sessions.install_blocking(&2, grant(2, 1)).expect("sendable");
        at_once(sessions.session(&2).expect("a handle").logout()).expect("nothing fails");
        assert_eq!(swept_twice(&sessions), 0);
        assert!(sessions.token_blocking(&2).expect_err("logged out").is_login_required());
    }
}

// Rule B11. Case X36. Else the next look-up would find the grant again.
#[test]
fn a_key_whose_logout_could_not_be_stored_is_kept_until_it_is() {
    let (server, time) = world();
    let ledger = Ledger::new();
    let kept = ledger.clone();
    let stores = move |_: &u64| kept.clone();
    let sessions = server.sessions(&time).stores(stores).evict_unused_after(HOUR).build();
    sessions.install_blocking(&1, grant(1, 1)).expect("stored");
    ledger.set(Fault::ReadOnly);
    assert!(at_once(sessions.logout(&1)).is_err());
    time.advance(2 * HOUR);
    assert_eq!(swept_twice(&sessions), 1);
    assert!(sessions.token_blocking(&1).expect_err("logged out").is_login_required());
    ledger.set(Fault::None);
    at_once(sessions.logout(&1)).expect("stored");
    assert_eq!(sessions.len(), 0);
    assert_eq!(ledger.refresh_token(), None);
}

// Rule B6. Case X36. The grant was declined, and somebody else has removed it from the store.
#[test]
fn a_key_whose_declined_grant_the_store_holds_no_more_is_forgotten() {
    let time = VirtualTime::at(START);
    for removed in [false, true] {
        let ledger = Ledger::holding(StoredGrant::new(grant(1, 1), START));
        let (kept, rival) = (ledger.clone(), ledger.clone());
        let sessions = Sessions::builder(move |_: &u64, _: Request| {
            if removed {
                rival.overwrite(None);
            }
            async { Err(RefreshError::declined("invalid_grant")) }
        });
        let sessions = sessions.clock(time.clone()).stores(move |_| kept.clone()).build();
        assert!(sessions.token_blocking(&1).is_ok());
        time.advance(HOUR);
        assert!(sessions.token_blocking(&1).expect_err("declined").is_login_required());
        // What the store still holds would be presented again.
        assert_eq!(swept_twice(&sessions), usize::from(!removed));
        time.set(START);
    }
}

// Rules B7, F5. Case X36. A store that is down is not asked more often for being forgotten.
#[test]
fn a_key_whose_store_could_not_be_read_is_kept_for_its_backoff_and_a_minute() {
    let (server, time) = world();
    let ledger = Ledger::new();
    let kept = ledger.clone();
    let sessions = server.sessions(&time).stores(move |_| kept.clone()).build();
    ledger.set(Fault::Unreachable);
    for key in 0..100 {
        assert!(sessions.token_blocking(&key).expect_err("it is down").is_store());
        // Taken up, and never asked for a token.
        assert!(sessions.session(&(1000 + key)).is_some());
    }
    assert_eq!(swept_twice(&sessions), 200);
    time.advance(59 * SECOND);
    assert_eq!(swept_twice(&sessions), 200);
    time.advance(SECOND);
    assert_eq!(swept_twice(&sessions), 0);
}

// Rules B12, F5. Case X36.
#[test]
fn a_keeper_keeps_no_key_that_its_store_does_not_know_or_that_could_not_be_read() {
    for down in [false, true] {
        let (server, time) = world();
        let ledger = Ledger::new();
        let kept = ledger.clone();
        let sessions = server.sessions(&time).stores(move |_| kept.clone()).build();
        let mut keeper = Hand::new(sessions.keep_fresh(time.clone()));
        keeper.pending();
        if down {
            ledger.set(Fault::Unreachable);
        }
        for key in 0..100 {
            assert!(sessions.token_blocking(&key).is_err());
            assert!(sessions.session(&(1000 + key)).is_some());
        }
        for _ in 0..150 {
            time.advance(SECOND);
            keeper.pending();
            sessions.sweep();
        }
        assert_eq!(swept_twice(&sessions), 0, "down: {down}");
    }
}

// Rules B4, C6. Packed by the sweep that has also evicted another, whose hook is called before the
// packed session has gone. Its keeper, that had never been polled, presented the stored refresh token
// a second time.
#[test]
fn a_keeper_that_comes_while_its_session_is_packed_begins_nothing() {
    let (server, time) = world();
    let keeper = Arc::new(Mutex::new(None::<Hand<perennial::session::KeepFresh>>));
    let all = Arc::new(OnceLock::<Sessions<u64>>::new());
    // Weak: the hook is kept by what it looks at.
    let (late, within) = (Arc::clone(&keeper), Arc::downgrade(&all));
    let stores: Vec<_> = (0..2_000).map(|_| MemoryStore::new()).collect();
    let sessions = server
        .sessions(&time)
        .stores(move |key| stores[usize::try_from(*key).expect("few")].clone());
    let sessions = sessions.evict_unused_after(HOUR).on_evict(move |_, _| {
        let none_in_use =
            |all: Arc<OnceLock<Sessions<u64>>>| all.get().is_some_and(|s| s.in_use() == 0);
        if within.upgrade().is_some_and(none_in_use) {
            if let Some(keeper) = &mut *late.lock().expect("no panic") {
                let _ = keeper.poll();
            }
        }
    });
    let sessions = all.get_or_init(|| sessions.build());
    // So many that its shard has others, and is not the last.
    for key in 0..2_000 {
        sessions.install_blocking(&key, grant(key, 1)).expect("sendable");
    }
    sessions.sweep();
    sessions.sweep();
    time.advance(HOUR);
    let session = sessions.session(&1).expect("it exists");
    *keeper.lock().expect("no panic") = Some(Hand::new(session.keep_fresh(time.clone())));
    drop(session);
    sessions.sweep();
    assert_eq!((sessions.len(), sessions.in_use(), server.requests()), (1, 0, 0));
    assert_eq!(text(sessions.token_blocking(&1)), "at-1-2");
}
