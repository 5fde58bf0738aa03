//! A store that others write to as well: another session, an earlier life of the program, a logout.

use std::future::Future;
use std::time::Duration;

use crate::session_support::ledger::{Fault, Ledger, settled, settled_with, stored};
use crate::session_support::{
    DUE, HOUR, Hand, SECOND, START, Tasks, at_once, first_grant, standard, text, waiting,
};
use perennial::clock::Timer;
use perennial::lifecycle::{Policy, Remedy, Reuse, State};
use perennial::refresh::RefreshError;
use perennial::session::Session;
use perennial::store::{
    Intent, MemoryStore, Store, StoreError, StoredGrant, Swap, Version, Versioned,
};
use perennial::testing::{Response, Scripted, VirtualTime};
use perennial::token::Secret;

const LOGGED_OUT: State = State::Expired(Remedy::LogIn);

/// Two sessions on one store, as two objects of one program, or two programs.
fn two(script: &Scripted) -> (Session, Session, VirtualTime) {
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

// Rule F4. A program whose grant was declined runs on, and its user logs in with another one.
#[test]
fn a_session_whose_grant_was_declined_adopts_a_login_by_a_peer() {
    let script = Scripted::new().then(Response::Fail(RefreshError::declined("invalid_grant")));
    let (session, time, ledger) = settled(&script);
    time.advance(HOUR);
    assert!(at_once(session.token()).expect_err("declined").is_login_required());
    let now = START.saturating_add(HOUR.into());
    ledger.overwrite(Some(StoredGrant::new(Scripted::grant(6), now)));
    // The store was read a moment ago.
    assert!(at_once(session.token()).expect_err("declined").is_login_required());
    time.advance(SECOND);
    assert_eq!(text(at_once(session.token())), "at-7");
    assert_eq!(script.requests(), 1);
}

// Rule F4.
#[test]
fn a_session_that_was_logged_out_adopts_a_login_by_a_peer() {
    let script = Scripted::new();
    let (one, other, time) = two(&script);
    at_once(one.logout()).expect("logged out");
    time.advance(HOUR);
    assert!(at_once(other.token()).expect_err("logged out").is_login_required());
    at_once(other.install(Scripted::grant(6))).expect("logged in");
    time.advance(SECOND);
    assert_eq!(text(at_once(one.token())), "at-7");
    assert_eq!(script.requests(), 0);
}

// Rule F4. What the server still has to answer belongs to nobody.
#[test]
fn a_session_that_was_logged_out_during_a_refresh_adopts_a_login_by_a_peer_before_the_answer() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time, ledger) = settled(&script);
    time.advance(HOUR);
    drop(waiting(&session));
    at_once(session.logout()).expect("logged out");
    let now = START.saturating_add(HOUR.into());
    ledger.overwrite(Some(StoredGrant::new(Scripted::grant(6), now)));
    time.advance(SECOND);
    assert_eq!(text(at_once(session.token())), "at-7");
    script.release(Response::Grant(Scripted::grant(1)));
    assert_eq!(text(at_once(session.token())), "at-7");
    at_once(session.close()).expect("all is stored");
    assert_eq!((script.requests(), script.revoked()), (1, vec!["rt-2".to_owned()]));
    assert_eq!(ledger.refresh_token().as_deref(), Some("rt-7"));
}

// Rules B11, F4. The login of this process is found by a look before it returns.
#[test]
fn a_login_that_a_caller_has_found_in_the_store_is_in_effect_once_it_returns() {
    let script = Scripted::new().then(Response::Fail(RefreshError::declined("invalid_grant")));
    let (session, time, ledger) = settled(&script);
    time.advance(HOUR);
    assert!(at_once(session.token()).is_err());
    ledger.set(Fault::AnswersLate);
    let mut install = Hand::new(session.install(Scripted::grant(6)));
    install.pending();
    ledger.set_for_others(Fault::None);
    time.advance(SECOND);
    let token = at_once(session.token()).expect("it is stored");
    assert_eq!(token.expose(), "at-7");
    let _ = session.reject(&token);
    assert_eq!(text(at_once(session.token())), "at-3");
    ledger.set(Fault::None);
    install.ready().expect("it is stored");
    assert_eq!(text(at_once(session.token())), "at-3");
    assert_eq!(script.presented().pop().flatten().as_deref(), Some("rt-7"));
}

// Rule F4: "that was not read for [1/32 of a refresh deadline]".
#[test]
fn a_store_without_a_grant_is_read_no_more_than_about_once_a_second_however_many_ask() {
    let script = Scripted::new().then(Response::Fail(RefreshError::declined("invalid_grant")));
    let (session, time, ledger) = settled(&script);
    time.advance(HOUR);
    assert!(at_once(session.token()).is_err());
    ledger.take_log();
    for _ in 0..100 {
        time.advance(SECOND);
        for _ in 0..10 {
            assert!(at_once(session.token()).expect_err("declined").is_login_required());
        }
    }
    assert_eq!(ledger.take_log(), ["load"].repeat(100));
}

// Rule F4: "for at most an eighth of one".
#[test]
fn who_must_log_in_is_told_so_although_the_store_hangs() {
    let script = Scripted::new().then(Response::Fail(RefreshError::declined("invalid_grant")));
    let (session, time, ledger) = settled(&script);
    time.advance(HOUR);
    assert!(at_once(session.token()).is_err());
    time.advance(SECOND);
    ledger.set(Fault::Hangs);
    let mut caller = waiting(&session);
    time.advance(3 * SECOND);
    caller.pending();
    time.advance(SECOND);
    assert!(caller.ready().expect_err("declined").is_login_required());
}

// Rule F4. Nobody asks for a token, readers only look.
#[test]
fn a_keeper_finds_the_login_of_a_peer_without_any_caller() {
    let script = Scripted::new().then(Response::Fail(RefreshError::declined("invalid_grant")));
    let (session, time, ledger) = settled(&script);
    let mut keeper = Hand::new(session.keep_fresh(time.clone()));
    keeper.pending();
    time.advance(HOUR);
    keeper.pending();
    assert_eq!(session.state(), LOGGED_OUT);
    let now = START.saturating_add(HOUR.into());
    ledger.overwrite(Some(StoredGrant::new(Scripted::grant(6), now)));
    let before = keeper.woken();
    time.advance(30 * SECOND);
    assert!(keeper.woken() > before, "it was not woken");
    keeper.pending();
    assert_eq!(session.state(), State::Valid);
}

// Rule F4. Nobody waits for a token, and nobody keeps it fresh.
#[test]
fn a_reader_finds_the_login_of_a_peer_where_tasks_can_be_spawned() {
    let (time, ledger, tasks) = (VirtualTime::at(START), Ledger::new(), Tasks::default());
    let builder = ledger.builder(&Scripted::new(), &time).spawner(tasks.spawner());
    let mut reader = builder.build().expect("nothing to check").reader();
    for _ in 0..2 {
        assert!(reader.token().is_err(), "nobody has logged in");
        tasks.run();
    }
    ledger.overwrite(Some(StoredGrant::new(Scripted::grant(6), START)));
    time.advance(SECOND);
    assert!(reader.token().expect_err("it does not wait").is_login_required());
    tasks.run();
    assert_eq!(reader.token().expect("it was found").expose(), "at-7");
    assert_eq!(tasks.len(), 0);
}

// Rule F4. The logout has written to the store only after the keeper was told of it.
#[test]
fn a_keeper_finds_the_login_of_a_peer_after_a_logout_that_took_a_while() {
    let (session, time, ledger) = settled(&Scripted::new());
    let mut keeper = Hand::new(session.keep_fresh(time.clone()));
    keeper.pending();
    ledger.set(Fault::Hangs);
    let mut logout = Hand::new(session.logout());
    logout.pending();
    keeper.pending();
    ledger.set(Fault::None);
    let before = keeper.woken();
    logout.ready().expect("logged out");
    assert!(keeper.woken() > before, "it was not woken");
    keeper.pending();
    ledger.overwrite(Some(StoredGrant::new(Scripted::grant(6), START)));
    time.advance(30 * SECOND);
    keeper.pending();
    assert_eq!(session.state(), State::Valid);
}

// Rule F4. The old token is of no use to a caller who needs one that lives longer.
#[test]
fn a_caller_of_a_longer_lived_token_adopts_a_login_by_a_peer_while_the_old_token_works() {
    let script = Scripted::new().then(Response::Fail(RefreshError::declined("invalid_grant")));
    let (session, time, ledger) = settled(&script);
    time.advance(DUE);
    assert_eq!(text(at_once(session.token())), "at-1");
    let now = START.saturating_add(DUE.into());
    ledger.overwrite(Some(StoredGrant::new(Scripted::grant(6), now)));
    time.advance(SECOND);
    assert_eq!(text(at_once(session.token_valid_for(HOUR / 2))), "at-7");
    assert_eq!(script.requests(), 1);
}

/// A store that takes a second to read.
struct Slow(Ledger, VirtualTime);

impl Store for Slow {
    fn load(&self) -> impl Future<Output = Result<Versioned, StoreError>> + Send + 'static {
        let (second, load) = (self.1.sleep(SECOND), self.0.load());
        async move {
            second.await;
            load.await
        }
    }

    fn swap(
        &self,
        expected: Version,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        self.0.swap(expected, next)
    }
}

// Rule F4. A second is more than the pause between two looks.
#[test]
fn who_must_log_in_is_told_so_once_a_slow_store_has_answered() {
    let (time, ledger) = (VirtualTime::at(START), Ledger::new());
    let builder = Session::builder_with(Scripted::new()).store(Slow(ledger.clone(), time.clone()));
    let builder = builder.clock(time.clone()).timer(time.clone());
    let session = builder.build().expect("nothing to check");
    for looks in 1..5 {
        let mut caller = waiting(&session);
        time.advance(SECOND);
        assert!(caller.ready().expect_err("nobody has logged in").is_login_required());
        assert_eq!(ledger.take_log(), ["load"], "{looks}");
        time.advance(SECOND);
    }
}

// Rule F4. The pause between two looks is rounded down to nothing.
#[test]
fn who_must_log_in_is_told_so_although_a_refresh_may_only_take_milliseconds() {
    for deadline in [1, 7, 8, 31] {
        let deadline = Duration::from_millis(deadline);
        let policy = Policy::builder().refresh_deadline(deadline).build().expect("valid");
        let script = Scripted::new().then(Response::Fail(RefreshError::declined("invalid_grant")));
        let (session, time, _) = settled_with(&script, policy);
        time.advance(HOUR);
        for _ in 0..3 {
            let error = at_once(session.token()).expect_err("declined");
            assert!(error.is_login_required(), "{deadline:?}");
            time.advance(SECOND);
        }
    }
}

// Rule F4: "its answer is waited for, for at most an eighth of one". What hung before is not that answer.
#[test]
fn who_must_log_in_waits_for_the_store_although_it_hung_before() {
    let script = Scripted::new().then(Response::Fail(RefreshError::declined("invalid_grant")));
    let (session, time, ledger) = settled(&script);
    time.advance(HOUR);
    assert!(at_once(session.token()).is_err());
    ledger.set(Fault::Hangs);
    for _ in 0..3 {
        time.advance(10 * SECOND);
        let mut caller = waiting(&session);
        time.advance(3 * SECOND);
        caller.pending();
        time.advance(SECOND);
        assert!(caller.ready().expect_err("declined").is_login_required());
        // A connection that is lost for good.
        ledger.set_for_others(Fault::Hangs);
    }
    time.advance(10 * SECOND);
    let mut caller = waiting(&session);
    let now = START.saturating_add(HOUR.into());
    ledger.overwrite(Some(StoredGrant::new(Scripted::grant(6), now)));
    ledger.set(Fault::None);
    assert_eq!(text(caller.ready()), "at-7");
}

// Rules C9, F4. Nobody but the timer wakes what drives a look at a store that hangs.
#[test]
fn looks_at_a_store_that_hangs_leave_no_tasks_behind() {
    let script = Scripted::new().then(Response::Fail(RefreshError::declined("invalid_grant")));
    let (time, tasks) = (VirtualTime::at(START), Tasks::default());
    let ledger = Ledger::holding(stored(first_grant()));
    let builder = ledger.builder(&script, &time).timer(time.clone()).spawner(tasks.spawner());
    let session = builder.build().expect("nothing to check");
    assert_eq!(text(at_once(session.token())), "at-1");
    time.advance(HOUR);
    assert!(at_once(session.token()).is_err());
    tasks.run();
    ledger.set(Fault::Hangs);
    for _ in 0..5 {
        time.advance(10 * SECOND);
        drop(waiting(&session));
        tasks.run();
        assert_eq!(tasks.len(), 1);
        let before = tasks.woken();
        time.advance(4 * SECOND);
        assert!(tasks.woken() > before, "it was not woken");
        tasks.run();
        assert_eq!(tasks.len(), 0);
    }
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
