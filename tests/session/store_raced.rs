//! A store that somebody else writes to at the worst moment, and sessions that need no grant.

use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::session_support::ledger::{Fault, Ledger, settled, settled_with, stored};
use crate::session_support::{
    HOUR, Hand, SECOND, START, at_once, first_grant, text, until, waiting, watched,
};
use perennial::lifecycle::{Policy, Remedy, Reuse, State};
use perennial::refresh::RefreshError;
use perennial::session::Session;
use perennial::store::{Intent, Store, StoreError, StoredGrant, Swap, Version, Versioned};
use perennial::testing::{Answer, Scripted, VirtualTime};
use perennial::time::Timestamp;
use perennial::token::Grant;

/// A grant that somebody else was given two hours on: `at-7`.
fn rivals() -> StoredGrant {
    StoredGrant::new(Scripted::grant(6), two_hours())
}

fn two_hours() -> Timestamp {
    START.saturating_add((2 * HOUR).into())
}

/// A session on a store, two hours on: its token has lapsed.
fn lapsed_on(script: &Scripted) -> (Session, VirtualTime, Ledger) {
    let (session, time, ledger) = settled(script);
    time.advance(2 * HOUR);
    (session, time, ledger)
}

/// The same, once `script` has been asked and hangs.
fn asked(script: &Scripted) -> (Session, VirtualTime, Ledger) {
    let (session, time, ledger) = lapsed_on(script);
    drop(waiting(&session));
    assert_eq!(script.requests(), 1);
    (session, time, ledger)
}

const LOGGED_OUT: State = State::Expired(Remedy::LogIn);

// Rules F1, F2.
#[test]
fn a_grant_stored_while_the_intent_is_noted_is_adopted_and_nothing_is_sent() {
    let script = Scripted::new();
    let (session, _, ledger) = lapsed_on(&script);
    ledger.raced(Some(rivals()));
    assert_eq!(text(at_once(session.token())), "at-7");
    assert_eq!(script.requests(), 0);
    assert_eq!(ledger.take_log(), ["load", "intent rt-1"]);
    // The version was learnt with it: the next intent is noted at once.
    session.reject(&session.try_token().expect("at-7"));
    assert_eq!(text(at_once(session.token())), "at-2");
    assert_eq!(ledger.take_log(), ["load", "intent rt-7", "ask rt-7", "store rt-2"]);
}

// Rules B6, F2. The declared window still counts from the first sending.
#[test]
fn a_peers_note_on_a_grant_in_doubt_does_not_clear_the_doubt() {
    let script = Scripted::new().then(Answer::Hang).then(Answer::Hang);
    let policy = Policy::builder().reuse(Reuse::overlap_successors(90 * SECOND));
    let (session, time, ledger) = settled_with(&script, policy.build().expect("valid"));
    time.advance(2 * HOUR);
    drop(waiting(&session));
    time.advance(30 * SECOND);
    assert!(at_once(session.token()).expect_err("no answer came").is_unavailable());
    time.advance(SECOND);
    ledger.raced(Some(stored(first_grant())));
    assert!(at_once(session.token()).expect_err("a peer is at it").is_unavailable());
    assert_eq!(script.requests(), 1);
    time.advance(35 * SECOND);
    let mut second = waiting(&session);
    time.advance(23 * SECOND);
    second.pending();
    time.advance(SECOND);
    assert!(second.ready().expect_err("the window closes").is_unavailable());
    assert_eq!(script.requests(), 2);
}

// Rules B11, F2.
#[test]
fn a_logout_by_a_peer_while_the_intent_is_noted_ends_this_session_too() {
    let script = Scripted::new();
    let (session, _, ledger) = lapsed_on(&script);
    ledger.raced(None);
    assert!(at_once(session.token()).expect_err("logged out").is_login_required());
    assert_eq!((session.state(), script.requests()), (LOGGED_OUT, 0));
}

// Rules F1, F2.
#[test]
fn a_session_whose_first_grant_is_outrun_by_a_peers_takes_the_peers() {
    let time = VirtualTime::at(two_hours());
    let script = Scripted::new();
    for (rival, expected) in [(Some(rivals()), Some("at-7")), (None, None)] {
        let ledger = Ledger::new();
        ledger.raced(rival);
        let session = ledger.builder(&script, &time).grant(first_grant()).build();
        let session = session.expect("sendable");
        let token = at_once(session.token());
        match expected {
            Some(expected) => assert_eq!(text(token), expected),
            None => assert!(token.expect_err("logged out").is_login_required()),
        }
        assert_eq!(ledger.take_log(), ["load", "store rt-1"]);
        assert_eq!(script.requests(), 0);
    }
}

// Rules F1, F2.
#[test]
fn a_refresher_that_needs_no_grant_stores_what_it_gets() {
    let unavailable = Answer::Fail(RefreshError::unavailable("no connection"));
    let script = Scripted::new().then(unavailable);
    let (time, ledger) = (VirtualTime::at(START), Ledger::new());
    let session = ledger.builder(&script, &time).without_grant().build().expect("sendable");
    assert!(at_once(session.token()).expect_err("no connection").is_unavailable());
    assert_eq!(ledger.take_log(), ["load", "ask nothing"], "there is no intent to take back");
    time.advance(SECOND);
    assert_eq!(text(at_once(session.token())), "at-3");
    assert_eq!(ledger.take_log(), ["load", "ask nothing", "store rt-3"]);
    assert!(session.is_saved());
    assert_eq!(script.presented(), [None, None]);
}

// Rules B14, F2.
#[test]
fn a_grant_that_is_stored_just_after_a_logout_has_emptied_the_store_is_revoked() {
    let script = Scripted::new().then(Answer::Hang);
    let (session, _, ledger) = lapsed_on(&script);
    let mut caller = waiting(&session);
    ledger.set(Fault::WritesHang);
    script.release(Answer::Grant(Scripted::grant(1)));
    caller.pending(); // the grant is here, and waits to be stored
    let mut logout = Hand::new(session.logout());
    logout.pending();
    ledger.set(Fault::None);
    assert!(logout.ready().is_ok());
    assert!(caller.ready().expect_err("logged out").is_login_required());
    assert!(at_once(session.close()).is_ok());
    assert_eq!((ledger.refresh_token(), script.revoked()), (None, vec!["rt-2".to_owned()]));
}

// Rules B6, F2.
#[test]
fn a_failure_is_told_as_it_is_though_the_store_has_changed_meanwhile() {
    let script = Scripted::new().then(Answer::Hang);
    let (session, time, ledger) = asked(&script);
    ledger.overwrite(Some(rivals()));
    script.release(Answer::Fail(RefreshError::unavailable("no connection")));
    assert!(at_once(session.token()).expect_err("no connection").is_unavailable());
    assert_eq!(session.grant(), Some(first_grant()), "it is not adopted by the way");
    time.advance(SECOND);
    assert_eq!(text(at_once(session.token())), "at-7");
}

// Rules B6, F5.
#[test]
fn declined_is_final_where_the_store_cannot_say_otherwise() {
    let script = Scripted::new().then(Answer::Hang);
    let (session, _, ledger) = asked(&script);
    ledger.set(Fault::ReadOnly);
    script.release(Answer::Fail(RefreshError::declined("invalid_grant")));
    assert!(at_once(session.token()).expect_err("declined").is_login_required());
    assert_eq!(session.state(), LOGGED_OUT);
}

// Rules B6, B13.
#[test]
fn an_intent_that_is_noted_too_late_is_not_followed_by_a_request() {
    let script = Scripted::new();
    let (session, time, ledger) = lapsed_on(&script);
    ledger.set(Fault::WritesHang);
    let mut caller = waiting(&session);
    ledger.set(Fault::None);
    time.advance(30 * SECOND);
    assert!(caller.ready().expect_err("too late").is_unavailable());
    assert_eq!(script.requests(), 0);
    assert_eq!(ledger.take_log(), ["load", "intent rt-1", "store rt-1"]);
    assert_eq!(ledger.content().grant.expect("it is there").intent, None);
    time.advance(SECOND);
    assert_eq!(text(at_once(session.token())), "at-2");
}

// Rules F1, F2, B14.
#[test]
fn a_peers_note_on_the_old_grant_does_not_keep_the_new_one_from_being_stored() {
    let script = Scripted::new().then(Answer::Hang);
    let (session, _, ledger) = asked(&script);
    ledger.overwrite(Some(stored(first_grant())));
    script.release(Answer::Grant(Scripted::grant(1)));
    assert_eq!(text(at_once(session.token())), "at-2");
    assert_eq!(ledger.refresh_token().as_deref(), Some("rt-2"));
    assert!(session.is_saved());
}

// Rules F2, F5, B14.
#[test]
fn a_store_that_never_stops_changing_costs_no_grant() {
    let script = Scripted::new().then(Answer::Hang);
    let (session, _, ledger) = asked(&script);
    for _ in 0..8 {
        ledger.raced(Some(stored(first_grant())));
    }
    script.release(Answer::Grant(Scripted::grant(1)));
    assert_eq!(text(at_once(session.token())), "at-2");
    assert!(!session.is_saved());
    assert_eq!(ledger.refresh_token().as_deref(), Some("rt-1"));
    assert!(at_once(session.close()).is_ok());
    assert_eq!(ledger.refresh_token().as_deref(), Some("rt-2"));
    assert!(session.is_saved());
}

/// A session whose new grant `at-2` could not be stored; the store works again.
fn unsaved(script: &Scripted) -> (Session, VirtualTime, Ledger) {
    let (session, time, ledger) = asked(script);
    ledger.set(Fault::ReadOnly);
    script.release(Answer::Grant(Scripted::grant(1)));
    assert_eq!(text(at_once(session.token())), "at-2");
    assert!(!session.is_saved());
    ledger.set(Fault::None);
    ledger.take_log();
    (session, time, ledger)
}

// Rules F1, F2, B14.
#[test]
fn an_unsaved_grant_gives_way_to_what_a_peer_has_stored() {
    let script = Scripted::new().then(Answer::Hang);
    let (session, time, ledger) = unsaved(&script);
    time.advance(HOUR);
    ledger.overwrite(Some(StoredGrant::new(
        Scripted::grant(6),
        START.saturating_add((3 * HOUR).into()),
    )));
    assert_eq!(text(at_once(session.token())), "at-7");
    assert!(session.is_saved());
    assert_eq!((ledger.take_log(), script.requests()), (vec!["store rt-2".to_owned()], 1));
}

// Rules B14, B11.
#[test]
fn a_grant_that_was_held_and_not_stored_when_a_peer_logged_out_is_revoked() {
    let script = Scripted::new().then(Answer::Hang);
    let (session, time, ledger) = unsaved(&script);
    time.advance(HOUR);
    ledger.overwrite(None);
    assert!(at_once(session.token()).expect_err("logged out").is_login_required());
    assert!(at_once(session.close()).is_ok());
    assert_eq!(script.revoked(), ["rt-2"]);
    assert_eq!(ledger.refresh_token(), None);
}

// Rules B14, B11.
#[test]
fn an_answer_that_keeps_the_refresh_token_is_revoked_where_a_peer_has_logged_out() {
    let script = Scripted::new().then(Answer::Hang);
    let (session, _, ledger) = asked(&script);
    ledger.overwrite(None);
    script.release(Answer::Grant(Grant::of_access_token("at-2", HOUR)));
    assert!(at_once(session.token()).expect_err("logged out").is_login_required());
    assert!(at_once(session.close()).is_ok());
    assert_eq!(script.revoked(), ["rt-1"]);
}

// Rules F1, F2.
#[test]
fn closing_leaves_alone_what_a_peer_has_stored() {
    let script = Scripted::new().then(Answer::Hang);
    let (session, _, ledger) = unsaved(&script);
    ledger.overwrite(Some(rivals()));
    assert!(at_once(session.close()).is_ok());
    assert!(session.is_saved());
    assert_eq!(ledger.refresh_token().as_deref(), Some("rt-7"));
    session.reject(&session.try_token().expect("at-2"));
    assert_eq!(text(at_once(session.token())), "at-7", "adopted when next looked at");
}

// Rules F2, B4.
#[test]
fn a_login_while_the_store_is_caught_up_with_is_not_taken_for_saved() {
    let script = Scripted::new().then(Answer::Hang);
    let (session, time, ledger) = unsaved(&script);
    ledger.set(Fault::WritesHang);
    let mut close = Hand::new(session.close());
    close.pending();
    // Another grant comes, and cannot be stored either.
    time.advance(HOUR);
    ledger.set(Fault::None);
    assert!(at_once(session.install(Scripted::grant(4))).is_ok());
    let version = ledger.content().version;
    assert!(close.ready().is_ok());
    assert_eq!(ledger.content().version, version, "the older grant is not written over the login");
    session.reject(&session.try_token().expect("at-5"));
    ledger.take_log();
    assert_eq!(text(at_once(session.token())), "at-3");
    assert_eq!(ledger.take_log(), ["load", "intent rt-5", "ask rt-5", "store rt-3"]);
}

// Rules F1, B11.
#[test]
fn a_login_goes_before_anything_else_that_is_written_and_gives_up_at_last() {
    let (session, _, ledger) = settled(&Scripted::new());
    ledger.raced(Some(rivals()));
    assert!(at_once(session.install(Scripted::grant(4))).is_ok());
    assert_eq!(ledger.refresh_token().as_deref(), Some("rt-5"));
    assert_eq!(text(session.try_token()), "at-5");
    for _ in 0..7 {
        ledger.raced(Some(rivals()));
    }
    assert!(at_once(session.install(Scripted::grant(5))).is_ok(), "the eighth try is enough");
    for _ in 0..8 {
        ledger.raced(Some(rivals()));
    }
    let error = at_once(session.install(Scripted::grant(8))).expect_err("it keeps changing");
    assert!(error.is_store() && error.is_unavailable());
    assert_eq!(text(session.try_token()), "at-6", "it is not installed then");
}

// Rules F1, B4.
#[test]
fn a_peers_grant_of_another_kind_is_adopted() {
    let script = Scripted::new();
    let (session, time, ledger) = lapsed_on(&script);
    ledger.overwrite(Some(StoredGrant::new(Grant::of_access_token("at-9", HOUR), two_hours())));
    assert_eq!(text(at_once(session.token())), "at-9");
    // Of an access token alone: the same one is the same grant, another one another.
    time.advance(HOUR);
    let later = START.saturating_add((3 * HOUR).into());
    ledger.overwrite(Some(StoredGrant::new(Grant::of_access_token("at-10", HOUR), later)));
    assert_eq!(text(at_once(session.token())), "at-10");
    ledger.overwrite(Some(StoredGrant::new(Grant::of_refresh_token("rt-11"), later)));
    time.advance(HOUR);
    assert_eq!(text(at_once(session.token())), "at-2");
    assert_eq!(script.presented(), [Some("rt-11".to_owned())]);
}

// Rules B11, B4.
#[test]
fn what_a_peer_stored_is_not_adopted_by_a_flight_that_a_logout_overtook() {
    let script = Scripted::new();
    let (session, _, ledger) = lapsed_on(&script);
    ledger.set(Fault::Hangs);
    let mut caller = waiting(&session);
    let mut logout = Hand::new(session.logout());
    logout.pending();
    ledger.set(Fault::None);
    ledger.overwrite(Some(rivals()));
    assert!(caller.ready().expect_err("logged out").is_login_required());
    assert!(session.try_token().expect_err("logged out").is_login_required());
    assert!(logout.ready().is_ok());
    assert!(at_once(session.close()).is_ok());
    assert_eq!((session.state(), ledger.refresh_token()), (LOGGED_OUT, None));
    assert_eq!(script.requests(), 0);
    assert!(script.revoked().is_empty(), "it is the peer's");
}

/// The answers to the first and to the second request, each given when the test likes.
#[derive(Clone, Default)]
struct Apart(Arc<Mutex<Answers>>);

#[derive(Default)]
struct Answers {
    asked: usize,
    given: [Option<Grant>; 2],
    waiting: Vec<Waker>,
}

impl Apart {
    fn refresh(&self) -> impl Future<Output = Result<Grant, RefreshError>> + Send + use<> {
        let (this, number) = (self.clone(), self.0.lock().expect("no panic").asked);
        self.0.lock().expect("no panic").asked += 1;
        poll_fn(move |cx| {
            let mut this = this.0.lock().expect("no panic");
            this.waiting.push(cx.waker().clone());
            this.given[number].take().map_or(Poll::Pending, |grant| Poll::Ready(Ok(grant)))
        })
    }

    fn answer(&self, number: usize, grant: Grant) {
        let wakers = {
            let mut this = self.0.lock().expect("no panic");
            this.given[number] = Some(grant);
            std::mem::take(&mut this.waiting)
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}

// Rules F2, B14, B4.
#[test]
fn an_older_answer_that_changes_nothing_does_not_pass_for_saving_the_newer_one() {
    let (time, ledger) = (VirtualTime::at(START), Ledger::holding(stored(first_grant())));
    let asked = Apart::default();
    let refresher = asked.clone();
    let builder = Session::builder(move |_| refresher.refresh()).clock(time.clone());
    let builder = builder.store(ledger.clone()).without_jitter().random(|| 1 << 31);
    let session = builder.build().expect("nothing to check");
    assert_eq!(text(at_once(session.token())), "at-1");
    time.advance(2 * HOUR);
    drop(waiting(&session));
    time.advance(30 * SECOND);
    assert!(at_once(session.token()).is_err());
    // For so long its late answer is waited for.
    time.advance(30 * SECOND);
    let mut caller = waiting(&session);
    ledger.set(Fault::ReadOnly);
    asked.answer(1, Scripted::grant(2));
    assert_eq!(text(caller.ready()), "at-3");
    assert!(!session.is_saved());
    ledger.set(Fault::None);
    asked.answer(0, Scripted::grant(1));
    assert_eq!(text(session.try_token()), "at-3");
    assert!(ledger.take_log().contains(&"store rt-2".to_owned()), "it was heard");
    assert!(!session.is_saved());
}

/// A store whose calls panic before they make a future.
struct Abrupt;

impl Store for Abrupt {
    fn load(&self) -> impl Future<Output = Result<Versioned, StoreError>> + Send + 'static {
        panic_at_once();
        async { Ok(Versioned::EMPTY) }
    }

    fn swap(
        &self,
        _: Version,
        _: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        panic_at_once();
        async { Ok(Swap::Done(Version::EMPTY)) }
    }
}

fn panic_at_once() {
    assert!(START == Timestamp::MIN, "the store panics at once");
}

// Rules C5, F5.
#[test]
fn a_store_that_panics_before_it_makes_a_future_is_a_store_that_fails() {
    let builder = Session::builder_with(Scripted::new()).clock(VirtualTime::at(START));
    let session = builder.store(Abrupt).grant(first_grant()).build().expect("sendable");
    let error = at_once(session.token()).expect_err("it panics");
    assert!(error.is_store() && error.is_unavailable());
    assert_eq!(std::error::Error::source(&error).expect("why").to_string(), "the store panicked");
}

// Rules C2, B11.
#[test]
fn a_thread_that_logs_in_or_out_waits_for_a_store_that_takes_its_time() {
    let (session, _, ledger) = settled(&Scripted::new());
    ledger.set(Fault::Hangs);
    let (other, store) = (session.clone(), ledger.clone());
    let thread = std::thread::spawn(move || {
        watched(move || {
            other.install_blocking(Scripted::grant(4))?;
            other.logout_blocking()
        })
    });
    until(|| !store.take_log().is_empty());
    ledger.set(Fault::None);
    thread.join().expect("no panic").expect("it is stored");
    assert_eq!((session.state(), ledger.refresh_token()), (LOGGED_OUT, None));
}

// Rules B6, F2. An intent in the store means that the refresh token was sent.
#[test]
fn a_longer_life_is_not_asked_for_while_the_refresh_token_is_in_doubt() {
    let noted =
        StoredGrant { intent: Some(Intent { since: START, until: None }), ..stored(first_grant()) };
    let (time, ledger) = (VirtualTime::at(START), Ledger::holding(noted));
    let script = Scripted::new();
    let session = ledger.builder(&script, &time).build().expect("nothing to check");
    assert_eq!(text(at_once(session.token())), "at-1");
    let error = at_once(session.token_valid_for(2 * HOUR)).expect_err("not now");
    assert!(!error.is_login_required() && error.is_unavailable() && !error.is_too_brief());
    assert!(error.to_string().ends_with("is not sent again yet"), "{error}");
    // One refresh deadline before the old token becomes unusable.
    let last_chance = START.saturating_add(Duration::from_secs(3560).into());
    assert_eq!((error.when_to_retry(), script.requests()), (Some(last_chance), 0));
    time.advance(Duration::from_secs(3560) - Duration::from_millis(1));
    at_once(session.token_valid_for(2 * HOUR)).expect_err("not now, either");
    assert_eq!(script.requests(), 0);
    time.advance(Duration::from_millis(1));
    assert_eq!(text(at_once(session.token())), "at-1");
    assert_eq!(text(at_once(session.token())), "at-2");
}
