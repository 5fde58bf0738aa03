//! Servers whose predecessor stays valid for a while and is answered with an access token alone: the
//! successor came once, with the answer that was late.

use crate::session_support::ledger::{Fault, settled_with};
use crate::session_support::{HOUR, SECOND, START, at_once, builder, text, waiting};
use perennial::lifecycle::{Policy, Reuse};
use perennial::session::Session;
use perennial::testing::{Response, Scripted, VirtualTime};
use perennial::time::Timestamp;
use perennial::token::{Grant, Secret};

const EXPIRY: Timestamp = Timestamp::from_secs(2_000_000_000);

/// The answer to the first request, which rotated the refresh token.
fn rotated() -> Response {
    Response::Grant(Grant::new("at-2", "rt-2", HOUR).with_refresh_token_expiry(EXPIRY))
}

/// The answer to a repetition.
fn access_token_alone() -> Response {
    Response::Grant(Grant::of_access_token("at-3", HOUR))
}

/// A session whose first refresh has no answer yet, and which is about to repeat it.
fn repeated(repetition: Response) -> (Session, VirtualTime, Scripted) {
    let script = Scripted::new().then(Response::Hang).then(repetition);
    let time = VirtualTime::at(START);
    let policy = Policy::builder().reuse(Reuse::overlap_access_only(120 * SECOND)).build();
    let builder = builder(&script, &time).policy(policy.expect("there is room for a retry"));
    let session = builder.build().expect("sendable");
    time.advance(HOUR);
    drop(waiting(&session));
    time.advance(30 * SECOND);
    assert!(at_once(session.token()).expect_err("no answer came").is_unavailable());
    time.advance(15 * SECOND);
    (session, time, script)
}

/// Has what is in the air polled, if it is woken; the token is the one from before.
fn poll(session: &Session) {
    assert!(at_once(session.token()).is_ok());
}

/// What the next refresh presents.
fn presented_next(session: &Session, time: &VirtualTime, script: &Scripted) -> Option<String> {
    time.advance(HOUR);
    poll(session);
    script.presented().pop().flatten()
}

/// The repetition's access token, with the refresh token that the first answer brought.
#[track_caller]
fn holds_the_successor(session: &Session, time: &VirtualTime, script: &Scripted) {
    assert_eq!(text(at_once(session.token())), "at-3");
    let grant = session.grant().expect("logged in");
    assert_eq!(grant.refresh_token().map(Secret::expose), Some("rt-2"));
    assert_eq!(grant.refresh_token_expires_at(), Some(EXPIRY));
    assert_eq!(presented_next(session, time, script).as_deref(), Some("rt-2"));
}

// Rule B14.
#[test]
fn a_late_answers_refresh_token_is_kept_where_the_repetition_brought_none() {
    let (session, time, script) = repeated(access_token_alone());
    assert_eq!(text(at_once(session.token())), "at-3");
    script.release(rotated());
    poll(&session);
    holds_the_successor(&session, &time, &script);
}

// Rule B14.
#[test]
fn a_repetition_that_brings_no_refresh_token_does_not_replace_one_that_came_late() {
    let (session, time, script) = repeated(Response::Hang);
    let mut caller = waiting(&session);
    script.release(rotated());
    assert_eq!(text(caller.ready()), "at-2");
    assert_eq!(script.presented(), [Some("rt-1".to_owned()), Some("rt-1".to_owned())]);
    script.release(access_token_alone());
    poll(&session);
    holds_the_successor(&session, &time, &script);
}

// Rule B4.
#[test]
fn a_late_answers_refresh_token_does_not_replace_one_that_the_repetition_brought() {
    let (session, time, script) = repeated(Response::Grant(Grant::new("at-3", "rt-3", HOUR)));
    assert_eq!(text(at_once(session.token())), "at-3");
    script.release(rotated());
    poll(&session);
    assert_eq!(text(at_once(session.token())), "at-3");
    assert_eq!(presented_next(&session, &time, &script).as_deref(), Some("rt-3"));
}

// Rules B2, B14. What this session has stored itself is no news to its next refresh, which another answer
// has outrun.
#[test]
fn a_token_that_was_rejected_does_not_come_back_by_way_of_the_store() {
    let script = Scripted::new().then(Response::Hang).then(Response::Hang);
    let policy = Policy::builder().reuse(Reuse::overlap_successors(90 * SECOND));
    let (session, time, ledger) = settled_with(&script, policy.build().expect("valid"));
    time.advance(2 * HOUR);
    drop(waiting(&session));
    time.advance(40 * SECOND);
    assert!(at_once(session.token()).is_err());
    time.advance(SECOND);
    let mut caller = waiting(&session);
    assert_eq!(script.requests(), 2);
    script.release(rotated());
    let token = caller.ready().expect("the late answer");
    assert_eq!(token.expose(), "at-2");
    let _ = session.reject(&token);
    let mut caller = waiting(&session);
    script.release(Response::Grant(Grant::new("at-3", "rt-3", HOUR)));
    assert!(caller.ready().expect_err("it was outrun").is_unavailable());
    assert_eq!(ledger.refresh_token().as_deref(), Some("rt-2"));
    time.advance(SECOND);
    assert_eq!(text(at_once(session.token())), "at-4");
    assert_eq!(script.presented()[2].as_deref(), Some("rt-2"));
}

// Rules B7, B14, F2. The newer of two answers could not be stored, and then the older one was, which came
// late: the store has it for good.
#[test]
fn what_a_late_answer_has_stored_is_adopted_in_place_of_one_that_could_not_be_stored() {
    let repetition = Response::Grant(Grant::new("at-3", "rt-3", HOUR));
    let script = Scripted::new().then(Response::Hang).then(repetition);
    let policy = Policy::builder().reuse(Reuse::overlap_successors(300 * SECOND));
    let (session, time, ledger) = settled_with(&script, policy.build().expect("valid"));
    time.advance(2 * HOUR);
    drop(waiting(&session));
    time.advance(30 * SECOND);
    assert!(at_once(session.token()).is_err());
    ledger.read_only_once_asked();
    time.advance(SECOND);
    assert_eq!(text(at_once(session.token())), "at-3");
    assert_eq!((session.is_saved(), script.requests()), (false, 2));
    ledger.set(Fault::None);
    script.release(Response::Grant(Grant::new("at-2", "rt-2", 2 * HOUR)));
    poll(&session);
    assert_eq!(ledger.refresh_token().as_deref(), Some("rt-2"));
    time.advance(HOUR + HOUR / 2);
    assert_eq!(text(at_once(session.token())), "at-2");
    assert!(session.is_saved());
}

// Rules B2, B14, F2. Of three answers to one refresh token the first is stored, and rejected; the second
// could not be stored; to the third the store shows the first, which is no news.
#[test]
fn what_the_session_has_stored_itself_replaces_no_newer_grant_that_could_not_be_stored() {
    let script = Scripted::new().then(Response::Hang).then(Response::Hang).then(Response::Hang);
    let policy = Policy::builder().reuse(Reuse::overlap_successors(300 * SECOND));
    let (session, time, ledger) = settled_with(&script, policy.build().expect("valid"));
    time.advance(2 * HOUR);
    for asked in 1..=3 {
        while script.requests() < asked {
            let mut caller = crate::session_support::Hand::new(session.token());
            let _ = caller.poll();
            time.advance(SECOND);
        }
    }
    let answer = |n: usize| Response::Grant(Grant::new(format!("at-{n}"), format!("rt-{n}"), HOUR));
    script.release(answer(2));
    let first = at_once(session.token()).expect("the first");
    assert_eq!(first.expose(), "at-2");
    let _ = session.reject(&first);
    ledger.set(Fault::ReadOnly);
    script.release(answer(3));
    assert_eq!(text(at_once(session.token())), "at-3");
    assert!(!session.is_saved());
    ledger.set(Fault::None);
    script.release(answer(4));
    poll(&session);
    assert_eq!(text(at_once(session.token())), "at-3");
    time.advance(HOUR);
    assert_eq!(text(at_once(session.token())), "at-5");
    assert_eq!(script.presented()[3].as_deref(), Some("rt-3"));
    assert!(session.is_saved());
    assert_eq!(ledger.refresh_token().as_deref(), Some("rt-5"));
}
