//! Another look at the store, before a caller is told to log in, and by a task that keeps the token fresh.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::session_support::ledger::{Fault, Ledger, settled, settled_with, stored};
use crate::session_support::{
    DUE, HOUR, Hand, SECOND, START, Tasks, at_once, first_grant, text, waiting,
};
use crate::store_shared::{LOGGED_OUT, two};
use perennial::clock::Timer;
use perennial::lifecycle::{Policy, State};
use perennial::refresh::RefreshError;
use perennial::session::Session;
use perennial::store::{Store, StoreError, StoredGrant, Swap, Version, Versioned};
use perennial::testing::{Response, Scripted, VirtualTime};

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

/// A store of which some readings arrive a second late, by their number.
struct Slow {
    ledger: Ledger,
    time: VirtualTime,
    readings: AtomicUsize,
    is_late: fn(usize) -> bool,
}

impl Slow {
    fn new(ledger: &Ledger, time: &VirtualTime, is_late: fn(usize) -> bool) -> Self {
        let (ledger, time) = (ledger.clone(), time.clone());
        Self { ledger, time, readings: AtomicUsize::new(0), is_late }
    }
}

impl Store for Slow {
    fn load(&self) -> impl Future<Output = Result<Versioned, StoreError>> + Send + 'static {
        self.ledger.note("load");
        let content = self.ledger.content();
        let is_late = (self.is_late)(self.readings.fetch_add(1, Ordering::SeqCst));
        let second = is_late.then(|| self.time.sleep(SECOND));
        async move {
            if let Some(second) = second {
                second.await;
            }
            Ok(content)
        }
    }

    fn swap(
        &self,
        expected: Version,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        self.ledger.swap(expected, next)
    }
}

// Rule F4. A second is more than the pause between two looks.
#[test]
fn who_must_log_in_is_told_so_once_a_slow_store_has_answered() {
    let (time, ledger) = (VirtualTime::at(START), Ledger::new());
    let builder = Session::builder_with(Scripted::new()).store(Slow::new(&ledger, &time, |_| true));
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

// Rule F4. "At the latest" is when the pause is over, and not after that.
#[test]
fn a_store_is_read_again_as_soon_as_the_pause_is_over() {
    let policy = Policy::builder().refresh_deadline(32 * SECOND).build().expect("valid");
    let script = Scripted::new().then(Response::Fail(RefreshError::declined("invalid_grant")));
    let (session, time, ledger) = settled_with(&script, policy);
    time.advance(HOUR);
    assert!(at_once(session.token()).is_err());
    let now = START.saturating_add(HOUR.into());
    ledger.overwrite(Some(StoredGrant::new(Scripted::grant(6), now)));
    time.advance(SECOND);
    assert_eq!(text(at_once(session.token())), "at-7");
}

// Rule F4: "waited for, for at most an eighth of one".
#[test]
fn a_look_is_given_up_at_its_deadline_and_the_next_caller_has_one_of_its_own() {
    let policy =
        Policy::builder().refresh_deadline(Duration::from_millis(8)).build().expect("valid");
    let script = Scripted::new().then(Response::Fail(RefreshError::declined("invalid_grant")));
    let (session, time, ledger) = settled_with(&script, policy);
    time.advance(HOUR);
    assert!(at_once(session.token()).is_err());
    time.advance(SECOND);
    ledger.set(Fault::Hangs);
    let mut caller = waiting(&session);
    time.advance(Duration::from_millis(1));
    assert!(caller.ready().expect_err("declined").is_login_required());
    drop(waiting(&session));
}

// Rule F4. A reader cannot look without a task, and keeps no caller from looking.
#[test]
fn a_reader_without_tasks_leaves_the_look_to_the_next_caller() {
    let script = Scripted::new().then(Response::Fail(RefreshError::declined("invalid_grant")));
    let (session, time, ledger) = settled(&script);
    time.advance(HOUR);
    assert!(at_once(session.token()).is_err());
    let now = START.saturating_add(HOUR.into());
    ledger.overwrite(Some(StoredGrant::new(Scripted::grant(6), now)));
    time.advance(10 * SECOND);
    assert!(session.try_token().expect_err("declined").is_login_required());
    time.advance(4 * SECOND);
    assert_eq!(text(at_once(session.token())), "at-7");
}

// Rules B11, F4: "not after a logout that could not be stored". A peer has renewed what was logged out.
#[test]
fn what_the_store_holds_after_a_logout_that_could_not_be_stored_is_not_adopted() {
    let (session, time, ledger) = settled(&Scripted::new());
    ledger.set(Fault::ReadOnly);
    assert!(at_once(session.logout()).is_err());
    ledger.overwrite(Some(StoredGrant::new(Scripted::grant(6), START)));
    ledger.set(Fault::None);
    for _ in 0..3 {
        time.advance(SECOND);
        assert!(at_once(session.token()).expect_err("logged out").is_login_required());
    }
    at_once(session.install(Scripted::grant(8))).expect("logged in");
    assert_eq!(text(at_once(session.token())), "at-9");
}

// Rule F4.
#[test]
fn a_reader_of_a_token_that_is_renewed_does_not_look() {
    let (time, tasks) = (VirtualTime::at(START), Tasks::default());
    let ledger = Ledger::holding(stored(first_grant()));
    let builder = ledger.builder(&Scripted::new(), &time).spawner(tasks.spawner());
    let session = builder.build().expect("nothing to check");
    assert_eq!(text(at_once(session.token())), "at-1");
    ledger.take_log();
    time.advance(HOUR);
    assert!(session.try_token().is_err());
    tasks.run();
    assert_eq!(ledger.take_log(), ["load", "intent rt-1", "ask rt-1", "store rt-2"]);
}

// Rules C8, F4.
#[test]
fn a_caller_without_time_to_look_is_told_to_log_in() {
    let script = Scripted::new().then(Response::Fail(RefreshError::declined("invalid_grant")));
    let (session, time, _) = settled(&script);
    time.advance(HOUR);
    assert!(at_once(session.token()).is_err());
    time.advance(SECOND);
    let error = at_once(session.token().within(Duration::ZERO)).expect_err("declined");
    assert!(error.is_login_required(), "{error}");
}

// Rules C2, F4.
#[test]
fn a_caller_that_waits_for_a_look_sleeps_until_the_store_answers_and_then_reads_on() {
    let script = Scripted::new().then(Response::Fail(RefreshError::declined("invalid_grant")));
    let (session, time, ledger) = settled(&script);
    time.advance(HOUR);
    assert!(at_once(session.token()).is_err());
    time.advance(SECOND);
    ledger.set(Fault::Hangs);
    let mut caller = waiting(&session);
    assert_eq!(caller.woken(), 0, "it does not sleep");
    let now = START.saturating_add(HOUR.into());
    ledger.overwrite(Some(StoredGrant::new(Scripted::grant(6), now)));
    ledger.set(Fault::None);
    assert_eq!(text(caller.ready()), "at-7");
}

// Rules B11, F4. What was read before the session's own login and logout is not newer than they are.
#[test]
fn a_look_that_arrives_after_a_login_and_a_logout_changes_nothing() {
    let (time, ledger) = (VirtualTime::at(START), Ledger::new());
    let store = Slow::new(&ledger, &time, |reading| reading == 1);
    let builder = Session::builder_with(Scripted::new()).store(store);
    let session = builder.clock(time.clone()).timer(time.clone()).build().expect("valid");
    assert!(at_once(session.token()).expect_err("nobody has logged in").is_login_required());
    time.advance(SECOND);
    ledger.overwrite(Some(StoredGrant::new(Scripted::grant(6), START)));
    let mut caller = waiting(&session);
    ledger.overwrite(None);
    at_once(session.install(Scripted::grant(8))).expect("logged in");
    at_once(session.logout()).expect("logged out");
    time.advance(SECOND);
    assert!(caller.ready().expect_err("logged out").is_login_required());
}
