//! A store that others write to as well: another session, an earlier life of the program, a logout.

use crate::session_support::ledger::{Fault, Ledger, settled, stored};
use crate::session_support::{
    DUE, HOUR, Hand, SECOND, START, Tasks, at_once, first_grant, standard, text, waiting,
};
use perennial::lifecycle::{Policy, Remedy, Reuse, State};
use perennial::refresh::RefreshError;
use perennial::session::Session;
use perennial::store::{Intent, MemoryStore, StoredGrant};
use perennial::testing::{Response, Scripted, VirtualTime};
use perennial::token::{Grant, Secret};

pub(crate) const LOGGED_OUT: State = State::Expired(Remedy::LogIn);

/// Two sessions on one store, as two objects of one program, or two programs.
pub(crate) fn two(script: &Scripted) -> (Session, Session, VirtualTime) {
    let (time, store) = (VirtualTime::at(START), MemoryStore::new());
    let build = || {
        let builder = Session::builder_with(script.clone()).store(store.clone());
        standard(builder, &time).build().expect("sendable")
    };
    let (one, other) = (build(), build());
    assert_eq!(text(at_once(one.token())), "at-1");
    assert_eq!(text(at_once(other.token())), "at-1");
    (one, other, time)
}

// Rules B14, F2. A server that does not rotate leaves the refresh token out.
#[test]
fn the_refresh_token_that_a_refresh_has_found_is_kept_where_the_response_brings_none() {
    let response = Response::Grant(Grant::of_access_token("at-9", HOUR));
    let script = Scripted::new().then(response);
    let (session, time, ledger) = settled(&script);
    time.advance(HOUR);
    ledger.overwrite(Some(StoredGrant::new(Grant::of_refresh_token("rt-7"), START)));
    assert_eq!(text(at_once(session.token())), "at-9");
    time.advance(DUE);
    assert_eq!(text(at_once(session.token())), "at-9");
    assert_eq!(script.presented(), [Some("rt-7".to_owned()), Some("rt-7".to_owned())]);
}

// Rule F2. N objects spend one refresh token (axios-auth-refresh#210); a refresh token that was
// read before the lock is spent (Duende support#1286).
#[test]
fn sessions_on_one_store_adopt_each_others_grants() {
    let script = Scripted::new();
    let (one, other, time) = two(&script);
    for hour in 2..10_usize {
        time.advance(HOUR);
        let (first, second) = if hour % 2 == 0 { (&one, &other) } else { (&other, &one) };
        assert_eq!(text(at_once(first.token())), format!("at-{hour}"));
        assert_eq!(text(at_once(second.token())), format!("at-{hour}"));
    }
    let presented: Vec<_> = script.presented().into_iter().flatten().collect();
    assert_eq!(presented, (1..9).map(|n| format!("rt-{n}")).collect::<Vec<_>>());
}

// Rules F2, B10. A process that slept while its peer rotated is logged out: matrix-rust-sdk#6794.
#[test]
fn a_session_that_slept_renews_with_its_peers_refresh_token() {
    let script = Scripted::new();
    let (one, other, time) = two(&script);
    time.advance(HOUR);
    assert_eq!(text(at_once(one.token())), "at-2");
    time.advance(9 * HOUR);
    // The peer's access token has expired as well.
    assert_eq!(text(at_once(other.token())), "at-3");
    assert_eq!(script.presented()[1].as_deref(), Some("rt-2"));
    let kept = other.grant().expect("it is logged in");
    assert_eq!(kept.refresh_token().map(Secret::expose), Some("rt-3"));
}

// Rules B6, F2. What was declined may be what a peer has just spent.
#[test]
fn declined_is_not_final_where_the_store_shows_a_newer_grant() {
    let declined = RefreshError::declined("invalid_grant");
    let script = Scripted::new().then(Response::Fail(declined));
    let (session, time, ledger) = settled(&script);
    time.advance(HOUR);
    let now = START.saturating_add(HOUR.into());
    ledger.overwritten_meanwhile(Some(StoredGrant::new(Scripted::grant(6), now)));
    assert_eq!(text(at_once(session.token())), "at-7");
    assert_eq!(script.requests(), 1);
    time.advance(HOUR);
    assert_eq!(text(at_once(session.token())), "at-3");
    assert_eq!(script.presented()[1].as_deref(), Some("rt-7"));
}

// Rule B6.
#[test]
fn declined_is_final_where_the_store_shows_nothing_newer() {
    let script = Scripted::new().then(Response::Fail(RefreshError::declined("invalid_grant")));
    let (session, time, ledger) = settled(&script);
    time.advance(HOUR);
    assert!(at_once(session.token()).expect_err("declined").is_login_required());
    time.advance(HOUR);
    assert!(at_once(session.token()).expect_err("declined").is_login_required());
    assert_eq!(script.requests(), 1);
    assert_eq!(ledger.content().grant, Some(stored(first_grant())));
}

/// A session that finds the note of a refresh, sent as the first grant was an hour old, of which
/// no answer was stored.
fn restarted(reuse: Reuse, script: &Scripted) -> (Session, VirtualTime) {
    let sent = START.saturating_add(DUE.into());
    let ledger = Ledger::holding(StoredGrant {
        intent: Some(Intent { since: sent, until: None, holder: None }),
        ..stored(first_grant())
    });
    let time = VirtualTime::at(sent.saturating_add(SECOND.into()));
    let policy = Policy::builder().reuse(reuse).build().expect("valid");
    let builder = ledger.builder(script, &time).policy(policy).timer(time.clone());
    (builder.build().expect("nothing to check"), time)
}

// Rules B6, F2.
#[test]
fn after_a_restart_a_noted_refresh_is_not_repeated_while_the_old_token_works() {
    let unknown = || Response::Fail(RefreshError::unknown("reset"));
    let script = Scripted::new().then(unknown());
    let (session, time) = restarted(Reuse::Strict, &script);
    assert_eq!(text(at_once(session.token())), "at-1");
    assert_eq!(text(at_once(session.token())), "at-1");
    assert_eq!(script.requests(), 0);
    // Then again, until the server itself declines.
    time.advance(HOUR);
    assert!(at_once(session.token()).expect_err("reset").is_unavailable());
    time.advance(HOUR);
    assert!(at_once(session.token()).is_ok());
    assert_eq!(script.requests(), 2);
}

// Rules B6, F2.
#[test]
fn after_a_restart_a_noted_refresh_is_repeated_where_the_server_answers_again() {
    for reuse in [
        Reuse::Unrotated,
        Reuse::ConfirmByUse,
        Reuse::overlap_successors(60 * SECOND),
        Reuse::idempotent(60 * SECOND),
    ] {
        let script = Scripted::new();
        let (session, time) = restarted(reuse, &script);
        assert_eq!(text(at_once(session.token())), "at-1");
        // The one that noted it may be at it for as long as a refresh may take.
        time.advance(28 * SECOND);
        assert_eq!(text(at_once(session.token())), "at-1", "{reuse:?}");
        assert_eq!(script.requests(), 0);
        time.advance(SECOND);
        let _ = at_once(session.token());
        assert_eq!(text(at_once(session.token())), "at-2", "{reuse:?}");
        assert_eq!(script.requests(), 1);
    }
}

// Rules B11, B14, F2.
#[test]
fn a_logout_empties_the_store_and_what_lands_later_leaves_it_empty() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time, ledger) = settled(&script);
    time.advance(HOUR);
    drop(waiting(&session));
    at_once(session.logout()).expect("stored");
    assert_eq!(ledger.content().grant, None);
    ledger.take_log();
    script.release(Response::Grant(Scripted::grant(1)));
    at_once(session.close()).expect("it has landed");
    // Nothing is written, and the grant is not lost sight of.
    assert_eq!(ledger.take_log(), ["revoke rt-2"]);
    assert_eq!((ledger.content().grant, session.state()), (None, LOGGED_OUT));
}

// Rules B11, F2. Refresh beats revoke: keycloak#51312.
#[test]
fn a_grant_that_lands_while_the_logout_waits_for_the_store_does_not_outlive_it() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time, ledger) = settled(&script);
    time.advance(HOUR);
    drop(waiting(&session));
    ledger.set(Fault::Hangs);
    let mut logout = Hand::new(session.logout());
    logout.pending();
    script.release(Response::Grant(Scripted::grant(1)));
    assert!(at_once(session.token()).expect_err("logged out").is_login_required());
    ledger.set(Fault::None);
    logout.ready().expect("stored");
    at_once(session.close()).expect("it has landed");
    assert_eq!((ledger.content().grant, session.state()), (None, LOGGED_OUT));
    assert_eq!(script.revoked(), ["rt-2"]);
}

// Rules B11, F2. A grant that belongs to nobody is not stored by a later catching up.
#[test]
fn an_orphan_that_could_not_be_stored_is_not_kept_for_later() {
    for reuse in [Reuse::Strict, Reuse::ConfirmByUse] {
        let script = Scripted::new().then(Response::Hang);
        let (time, ledger) = (VirtualTime::at(START), Ledger::holding(stored(first_grant())));
        let policy = Policy::builder().reuse(reuse).build().expect("valid");
        let session = ledger.builder(&script, &time).policy(policy).build().expect("valid");
        assert_eq!(text(at_once(session.token())), "at-1");
        time.advance(HOUR);
        let _caller = waiting(&session);
        ledger.set(Fault::WritesHang);
        script.release(Response::Grant(Scripted::grant(1)));
        // The refresh waits to store what it has received, when the logout comes.
        let _ = Hand::new(session.token()).poll();
        let mut logout = Hand::new(session.logout());
        logout.pending();
        ledger.set(Fault::Unreachable);
        assert!(logout.ready().expect_err("unreachable").is_store());
        let _ = at_once(session.close());
        assert!(session.is_saved());
        ledger.set(Fault::None);
        at_once(session.close()).expect("nothing is left to do");
        assert_ne!(ledger.refresh_token().as_deref(), Some("rt-2"));
        assert_eq!(script.revoked(), ["rt-2"]);
    }
}

// Rules B3, B11. A store that is slow to be read for the first time.
#[test]
fn what_the_store_held_does_not_come_back_after_a_logout() {
    let script = Scripted::new();
    let (time, ledger) = (VirtualTime::at(START), Ledger::holding(stored(first_grant())));
    let tasks = Tasks::default();
    let session = ledger.builder(&script, &time).spawner(tasks.spawner()).build().expect("valid");
    ledger.set(Fault::Hangs);
    let mut caller = waiting(&session);
    let mut logout = Hand::new(session.logout());
    logout.pending();
    assert!(caller.ready().expect_err("logged out").is_login_required());
    ledger.set(Fault::None);
    // The reading ends before the logout has come to the store.
    tasks.run();
    assert_eq!((tasks.len(), session.state()), (0, LOGGED_OUT));
    logout.ready().expect("stored");
    assert!(at_once(session.token()).expect_err("logged out").is_login_required());
    assert_eq!(ledger.content().grant, None);
}

// Rules B3, B4, B11.
#[test]
fn what_the_store_held_does_not_replace_a_login_that_came_first() {
    let (time, ledger) = (VirtualTime::at(START), Ledger::holding(stored(first_grant())));
    let tasks = Tasks::default();
    let builder = ledger.builder(&Scripted::new(), &time).spawner(tasks.spawner());
    let session = builder.build().expect("valid");
    ledger.set(Fault::Hangs);
    assert!(session.try_token().is_err());
    tasks.run();
    // What the reading will bring was read before the login, as from a slow disk.
    let mut login = Hand::new(session.install(Scripted::grant(6)));
    login.pending();
    ledger.set(Fault::None);
    login.ready().expect("stored");
    ledger.overwrite(None);
    tasks.run();
    assert_eq!((text(session.try_token()), tasks.len()), ("at-7".to_owned(), 0));
}

// Rules B11, F2.
#[test]
fn the_grant_that_a_session_was_built_with_is_not_stored_after_a_logout() {
    let (time, ledger) = (VirtualTime::at(START), Ledger::new());
    let tasks = Tasks::default();
    let builder = ledger.builder(&Scripted::new(), &time).grant(first_grant());
    let session = builder.spawner(tasks.spawner()).build().expect("sendable");
    ledger.set(Fault::Hangs);
    assert!(session.try_token().is_err());
    tasks.run();
    let mut logout = Hand::new(session.logout());
    logout.pending();
    ledger.set(Fault::None);
    logout.ready().expect("stored");
    tasks.run();
    assert_eq!((ledger.content().grant, session.state()), (None, LOGGED_OUT));
}

// Rules B11, B14, F2. Logged out elsewhere: what this session received belongs to nobody.
#[test]
fn a_logout_by_a_peer_ends_this_session_too() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time, ledger) = settled(&script);
    time.advance(HOUR);
    let mut caller = waiting(&session);
    ledger.overwrite(None);
    script.release(Response::Grant(Scripted::grant(1)));
    assert!(caller.ready().expect_err("logged out").is_login_required());
    at_once(session.close()).expect("the orphan is revoked");
    assert_eq!((ledger.content().grant, session.state()), (None, LOGGED_OUT));
    assert_eq!(script.revoked(), ["rt-2"]);
}

// Rules B4, B14, F1. A login by a peer stays, whatever this session was granted meanwhile.
#[test]
fn a_login_by_a_peer_is_adopted_and_not_overwritten() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time, ledger) = settled(&script);
    time.advance(HOUR);
    let mut caller = waiting(&session);
    let now = START.saturating_add(HOUR.into());
    ledger.overwrite(Some(StoredGrant::new(Scripted::grant(6), now)));
    script.release(Response::Grant(Scripted::grant(1)));
    assert_eq!(text(caller.ready()), "at-7");
    assert_eq!(ledger.refresh_token().as_deref(), Some("rt-7"));
    let held = session.grant().expect("adopted");
    assert_eq!(held.refresh_token().map(Secret::expose), Some("rt-7"));
    // It may be of the same family, which a revocation would end.
    assert!(script.revoked().is_empty());
}
