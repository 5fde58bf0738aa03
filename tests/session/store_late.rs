//! A late answer that is being stored, and those who come meanwhile.

use crate::session_support::ledger::{Fault, Ledger, settled, stored};
use crate::session_support::{HALF_A_SECOND, HOUR, Hand, SECOND, START, at_once, text, waiting};
use perennial::clock::Clock;
use perennial::refresh::RefreshError;
use perennial::session::Session;
use perennial::store::StoredGrant;
use perennial::testing::{Response, Scripted, VirtualTime};
use perennial::token::Grant;

/// A session whose refresh was given up, and answered then; its store does not take that in, and
/// works for others.
fn stuck(script: &Scripted) -> (Session, VirtualTime, Ledger) {
    let (session, time, ledger) = settled(script);
    time.advance(HOUR);
    let mut caller = waiting(&session);
    time.advance(30 * SECOND);
    assert!(caller.ready().expect_err("no answer came").is_unavailable());
    drop(caller);
    ledger.set(Fault::WritesHang);
    script.release(Response::Grant(Scripted::grant(1)));
    assert!(at_once(session.token()).is_err(), "it is heard, and not stored yet");
    ledger.set_for_others(Fault::None);
    (session, time, ledger)
}

// Rules B6, B14, F2. The server may revoke everything at its second sight.
#[test]
fn a_refresh_token_is_not_sent_again_while_the_late_answer_to_it_is_being_stored() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time, ledger) = stuck(&script);
    ledger.take_log();
    time.advance(HALF_A_SECOND);
    assert!(at_once(session.token()).expect_err("not yet").is_unavailable());
    assert_eq!(script.presented(), [Some("rt-1".to_owned())]);
    assert!(ledger.take_log().is_empty(), "nor is it noted that it will be");
    ledger.set(Fault::None);
    assert_eq!(text(at_once(session.token())), "at-2");
    assert_eq!((script.requests(), ledger.refresh_token().as_deref()), (1, Some("rt-2")));
}

// Rules B13, C3, F2. A store has a refresh's time, and then is taken for failed.
#[test]
fn a_late_answer_that_a_store_never_takes_holds_nothing_up_for_longer_than_a_refresh_may() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time, _ledger) = stuck(&script);
    time.advance(30 * SECOND);
    assert_eq!(text(at_once(session.token())), "at-2");
    assert_eq!((session.is_saved(), script.requests()), (false, 1));
}

// Rules B13, F2. Only a late answer has time of its own.
#[test]
fn an_answer_in_time_whose_store_hangs_is_handed_out_at_the_deadline_of_its_refresh() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time, ledger) = settled(&script);
    time.advance(HOUR);
    let mut caller = waiting(&session);
    time.advance(20 * SECOND);
    ledger.set(Fault::WritesHang);
    script.release(Response::Grant(Scripted::grant(1)));
    caller.pending();
    time.advance(10 * SECOND);
    assert_eq!(text(caller.ready()), "at-2");
    assert_eq!((session.is_saved(), script.requests()), (false, 1));
}

// Rules B4, F1. A peer has stored another grant meanwhile, which this session has seen and not taken.
#[test]
fn a_grant_that_could_not_be_stored_is_not_stored_over_a_newer_one() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time, ledger) = stuck(&script);
    ledger.overwrite(Some(stored(Grant::of_refresh_token("rt-7"))));
    time.advance(HALF_A_SECOND);
    assert!(at_once(session.token()).expect_err("not yet").is_unavailable());
    time.advance(30 * SECOND);
    assert_eq!(text(at_once(session.token())), "at-2");
    at_once(session.close()).expect("there is nothing left to store");
    assert_eq!(ledger.refresh_token().as_deref(), Some("rt-7"));
}

// Rules A5, C3.
#[test]
fn a_late_answer_that_a_store_never_takes_holds_nothing_up_for_longer_when_the_clock_goes_back() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time, _ledger) = stuck(&script);
    time.set(START);
    assert!(at_once(session.token()).is_err());
    time.advance(30 * SECOND);
    assert_eq!(text(at_once(session.token())), "at-2");
}

// Rules B14, C9. It hung in the store when the session was logged out.
#[test]
fn closing_revokes_an_orphan_that_a_store_never_took() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time, ledger) = settled(&script);
    time.advance(HOUR);
    let mut caller = waiting(&session);
    ledger.set(Fault::WritesHang);
    script.release(Response::Grant(Scripted::grant(1)));
    caller.pending();
    drop(caller);
    Hand::new(session.logout()).pending();
    time.advance(30 * SECOND);
    at_once(session.close()).expect("all has landed");
    assert_eq!(script.revoked(), ["rt-2"]);
}

// Rules B14, F2. Two flights had set out with the grant before; the second one stores it.
#[test]
fn a_grant_that_could_not_be_stored_is_not_forgotten_as_the_one_before_it_is_stored() {
    let script = Scripted::new().then(Response::Hang).then(Response::Hang);
    let (session, time, ledger) = settled(&script);
    time.advance(HOUR);
    let mut caller = waiting(&session);
    ledger.set(Fault::Unreachable);
    script.release(Response::Grant(Scripted::grant(1)));
    assert_eq!(text(caller.ready()), "at-2");
    ledger.set(Fault::None);
    time.advance(HOUR);
    let mut second = waiting(&session);
    time.advance(30 * SECOND);
    assert!(second.ready().is_err());
    time.advance(30 * SECOND);
    ledger.set(Fault::WritesHang);
    let mut third = waiting(&session);
    ledger.set_for_others(Fault::Unreachable);
    script.release(Response::Grant(Scripted::grant(2)));
    assert_eq!((text(third.ready()), session.is_saved()), ("at-3".to_owned(), false));
    ledger.set(Fault::None);
    assert_eq!(text(at_once(session.token())), "at-3");
    assert_eq!((script.requests(), session.is_saved()), (2, false));
    at_once(session.close()).expect("stored");
    assert_eq!(ledger.refresh_token().as_deref(), Some("rt-3"));
}

// Rules B2, F2. An orphan is in no store: what is renewed after it was not stored over that.
#[test]
fn a_grant_that_could_not_be_stored_is_not_lost_where_an_orphan_came_before_it() {
    let script = Scripted::new().then(Response::Hang).then(Response::Hang);
    let (session, time, ledger) = settled(&script);
    time.advance(HOUR);
    let mut superseded = waiting(&session);
    at_once(session.install(Scripted::grant(6))).expect("stored");
    script.release(Response::Grant(Scripted::grant(1)));
    assert_eq!(text(superseded.ready()), "at-7");
    time.advance(HOUR);
    let mut caller = waiting(&session);
    // A peer is about to present the same grant: the store's version moves on.
    let noted = ledger.content().grant;
    ledger.overwrite(noted);
    ledger.set(Fault::Unreachable);
    script.release(Response::Grant(Scripted::grant(7)));
    assert_eq!((text(caller.ready()), session.is_saved()), ("at-8".to_owned(), false));
    ledger.set(Fault::None);
    at_once(session.close()).expect("stored");
    assert_eq!((ledger.refresh_token().as_deref(), session.is_saved()), (Some("rt-8"), true));
}

/// A session whose first refresh was given up, and answered while the second hung; that was given up
/// as well, and what it holds since has lapsed. The second's answer is still to come.
fn outrun(script: &Scripted) -> (Session, VirtualTime, Ledger) {
    let (session, time, ledger) = settled(script);
    time.advance(HOUR);
    let mut first = waiting(&session);
    time.advance(30 * SECOND);
    assert!(first.ready().expect_err("no answer came").is_unavailable());
    drop(first);
    time.advance(30 * SECOND);
    let mut second = waiting(&session);
    script.release(Response::Grant(Scripted::grant(1)));
    assert_eq!(text(second.ready()), "at-2");
    drop(second);
    time.advance(HOUR);
    assert!(at_once(session.token()).expect_err("given up as well").is_unavailable());
    time.advance(SECOND);
    (session, time, ledger)
}

// Rules B3, B6. What the store holds is what was declined, and no news.
#[test]
fn an_older_refresh_that_is_declined_late_does_not_revive_a_grant_that_was_declined() {
    let script = Scripted::new().then(Response::Hang).then(Response::Hang);
    let script = script.then(Response::Fail(RefreshError::declined("revoked")));
    let (session, time, _ledger) = outrun(&script);
    assert!(at_once(session.token()).expect_err("declined").is_login_required());
    script.release(Response::Fail(RefreshError::declined("revoked")));
    for _ in 0..3 {
        assert!(at_once(session.token()).expect_err("declined").is_login_required());
        time.advance(30 * SECOND);
    }
    assert_eq!(script.requests(), 3);
}

// Rules B3, B6. The server has answered twice with the very same refresh token.
#[test]
fn an_answer_that_is_repeated_late_does_not_revive_a_grant_that_was_declined() {
    let script = Scripted::new().then(Response::Hang).then(Response::Hang);
    let script = script.then(Response::Fail(RefreshError::declined("revoked")));
    let (session, time, _ledger) = outrun(&script);
    assert!(at_once(session.token()).expect_err("declined").is_login_required());
    script.release(Response::Grant(Grant::new("at-3", "rt-2", SECOND)));
    for _ in 0..3 {
        assert!(at_once(session.token()).expect_err("declined").is_login_required());
        time.advance(30 * SECOND);
    }
    assert_eq!(script.requests(), 3);
}

// Rules B6, F2. The store's note that the grant is being presented is not written over.
#[test]
fn an_answer_that_is_repeated_while_its_grant_is_presented_does_not_hide_that_it_is_declined() {
    let script = Scripted::new().then(Response::Hang).then(Response::Hang).then(Response::Hang);
    let (session, time, ledger) = outrun(&script);
    let mut third = waiting(&session);
    script.release(Response::Grant(Grant::new("at-3", "rt-2", SECOND)));
    third.pending();
    assert!(ledger.content().grant.is_some_and(|stored| stored.intent.is_some()));
    script.release(Response::Fail(RefreshError::declined("revoked")));
    assert!(third.ready().expect_err("declined").is_login_required());
    time.advance(HOUR);
    assert!(at_once(session.token()).expect_err("declined").is_login_required());
    assert_eq!(script.requests(), 3);
}

// Rules B3, B6, B14. A peer has logged in meanwhile; what two earlier answers brought is of no use.
#[test]
fn an_answer_that_a_peers_login_has_outpaced_brings_that_once_and_revives_nothing() {
    let script = Scripted::new().then(Response::Hang).then(Response::Hang).then(Response::Hang);
    let (session, time, ledger) = settled(&script);
    time.advance(HOUR);
    let mut first = waiting(&session);
    time.advance(30 * SECOND);
    assert!(first.ready().expect_err("no answer came").is_unavailable());
    drop(first);
    time.advance(30 * SECOND);
    let mut second = waiting(&session);
    let login = Grant::new("at-7", "rt-7", HOUR);
    ledger.overwrite(Some(StoredGrant::new(login, time.now())));
    script.release(Response::Grant(Scripted::grant(1)));
    assert_eq!(text(second.ready()), "at-7");
    drop(second);
    time.advance(HOUR);
    assert!(at_once(session.token()).expect_err("given up as well").is_unavailable());
    time.advance(SECOND);
    let mut third = waiting(&session);
    script.release(Response::Grant(Scripted::grant(2)));
    third.pending();
    script.release(Response::Fail(RefreshError::declined("revoked")));
    assert!(third.ready().expect_err("declined").is_login_required());
    time.advance(HOUR);
    assert!(at_once(session.token()).expect_err("declined").is_login_required());
    assert_eq!(script.requests(), 3);
    assert_eq!(ledger.refresh_token().as_deref(), Some("rt-7"));
}
