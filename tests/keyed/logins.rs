//! Logins, logouts and closes of keys, at once and on stores that hang.

use std::cell::RefCell;
use std::future::{Future, pending};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use perennial::keyed::Sessions;
use perennial::lifecycle::{Remedy, State};
use perennial::refresh::{RefreshError, Request};
use perennial::store::{Store, StoreError, StoredGrant, Swap, Version, Versioned};
use perennial::testing::{Response, Scripted, VirtualTime};
use perennial::token::Grant;

use crate::session_support::{HOUR, Hand, START, at_once, text};
use crate::{Server, grant};

thread_local! {
    /// Called as a key is hashed: a logout hashes its key before it begins, and after it has ended.
    static HOOK: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Hooked(u64);

impl Hash for Hooked {
    fn hash<H: Hasher>(&self, state: &mut H) {
        if let Some(hook) = HOOK.with_borrow_mut(Option::take) {
            hook();
        }
        self.0.hash(state);
    }
}

fn sessions(time: &VirtualTime) -> Sessions<Hooked> {
    let refuse = |_: &Hooked, _: Request| async { Err::<Grant, _>(RefreshError::unknown("none")) };
    Sessions::builder(refuse).clock(time.clone()).without_jitter().build()
}

/// Installs as soon as the key is logged out, the next time that its key is hashed.
fn once_logged_out(sessions: &Sessions<Hooked>) {
    let handle = sessions.clone();
    HOOK.set(Some(Box::new(move || {
        let out =
            handle.state(&Hooked(7)).is_none_or(|state| state == State::Expired(Remedy::LogIn));
        if out {
            handle.install_blocking(&Hooked(7), grant(7, 5)).expect("sendable");
        } else {
            once_logged_out(&handle);
        }
    })));
}

// Rule B11. Case X37.
#[test]
fn a_login_that_comes_as_a_logout_ends_is_not_forgotten_with_it() {
    let sessions = sessions(&VirtualTime::at(START));
    sessions.install_blocking(&Hooked(7), grant(7, 1)).expect("sendable");
    once_logged_out(&sessions);
    at_once(sessions.logout(&Hooked(7))).expect("no store");
    assert!(HOOK.with_borrow(Option::is_none), "the login came");
    assert_eq!(text(sessions.token_blocking(&Hooked(7))), "at-7-5");
}

/// Logs out as soon as somebody looks for a key that is there.
fn logged_out_in_between(sessions: &Sessions<Hooked>, looks: u32) {
    let handle = sessions.clone();
    HOOK.set(Some(Box::new(move || {
        if looks > 0 {
            logged_out_in_between(&handle, looks - 1);
        } else {
            at_once(handle.logout(&Hooked(7))).expect("no store");
        }
    })));
}

// Rule B11. Case X37, the other way round.
#[test]
fn a_login_that_finds_its_key_forgotten_in_between_begins_it_anew() {
    // Its key is hashed four times, the second one under a lock.
    for looks in [0, 2, 3] {
        let sessions = sessions(&VirtualTime::at(START));
        sessions.install_blocking(&Hooked(7), grant(7, 1)).expect("sendable");
        logged_out_in_between(&sessions, looks);
        sessions.install_blocking(&Hooked(7), grant(7, 2)).expect("it began last, or first");
        drop(HOOK.take());
        // Whichever began last stands.
        match sessions.token_blocking(&Hooked(7)) {
            Ok(token) => assert_eq!(token.expose(), "at-7-2", "{looks}"),
            Err(error) => assert!(error.is_login_required(), "{looks}: {error}"),
        }
    }
}

// Rule B11. Case X37: nor while a handle of the session is about, nor packed.
#[test]
fn a_key_that_is_logged_out_is_forgotten_and_one_that_is_logged_in_again_is_not() {
    let (server, time) = (Server::default(), VirtualTime::at(START));
    let sessions = server.sessions(&time).build();
    sessions.install_blocking(&7, grant(7, 1)).expect("sendable");
    let handle = sessions.session(&7).expect("it is there");
    at_once(sessions.logout(&7)).expect("no store");
    assert_eq!(sessions.len(), 1, "somebody has a handle");
    at_once(handle.install(grant(7, 3))).expect("sendable");
    drop(handle);
    assert_eq!(text(sessions.token_blocking(&7)), "at-7-3");
    at_once(sessions.logout(&7)).expect("no store");
    assert_eq!(sessions.len(), 0);
}

/// A store that never answers.
#[derive(Clone)]
struct Hung;

impl Store for Hung {
    fn load(&self) -> impl Future<Output = Result<Versioned, StoreError>> + Send + 'static {
        pending()
    }

    fn swap(
        &self,
        _: Version,
        _: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        pending()
    }
}

// Rules B11, C9. Case X33, of very many at once.
#[test]
fn closing_many_sessions_that_hang_takes_no_longer_than_closing_one() {
    let (server, time) = (Server::default(), VirtualTime::at(START));
    let sessions = server.sessions(&time).stores(|_: &u64| Hung).build();
    let mut callers: Vec<_> = (0..100_u64)
        .map(|key| {
            let session = sessions.session(&key).expect("a store");
            let mut caller = Hand::new(async move { session.token().await.map(drop) });
            caller.pending();
            caller
        })
        .collect();
    let mut close = Hand::new(sessions.close());
    close.pending();
    time.advance(Duration::from_secs(30));
    close.ready().expect("nothing was sent, so nothing is lost");
    for caller in &mut callers {
        assert!(caller.ready().is_err());
    }
}

/// Logs key 7 out while its refresh is in flight, whose response comes then.
fn logged_out_in_flight(sessions: &Sessions<u64>, script: &Scripted, time: &VirtualTime) {
    sessions.install_blocking(&7, grant(7, 1)).expect("sendable");
    time.advance(HOUR);
    let session = sessions.session(&7).expect("it is there");
    let mut waiting = Hand::new(session.token());
    waiting.pending();
    at_once(sessions.logout(&7)).expect("no store");
    script.release(Response::Grant(Grant::new("at-late", "rt-late", HOUR)));
    drop(waiting);
    session.close_blocking().expect("nothing is to be stored");
}

// Rule B14: it "MUST be offered to `on_orphan`, or else revoked", also where it is a key's.
#[test]
fn a_grant_that_lands_after_a_keys_logout_is_revoked_by_the_refresher_of_all_keys() {
    let (time, script) = (VirtualTime::at(START), Scripted::new().then(Response::Hang));
    let sessions = Sessions::builder_with(script.clone()).clock(time.clone()).build();
    logged_out_in_flight(&sessions, &script, &time);
    assert_eq!(script.revoked(), ["rt-late"]);
}

// Rule B14.
#[test]
fn a_grant_that_lands_after_a_keys_logout_is_given_to_the_hook_with_its_key() {
    let (time, script) = (VirtualTime::at(START), Scripted::new().then(Response::Hang));
    let orphans = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&orphans);
    let sessions = Sessions::builder_with(script.clone())
        .clock(time.clone())
        .on_orphan(move |key: &u64, grant| {
            let token = grant.refresh_token().map(|token| token.expose().to_owned());
            kept.lock().expect("no panic").push((*key, token));
        })
        .build();
    logged_out_in_flight(&sessions, &script, &time);
    assert_eq!(*orphans.lock().expect("no panic"), [(7, Some("rt-late".to_owned()))]);
    assert_eq!(script.revoked(), [""; 0]);
}
