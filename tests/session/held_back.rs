//! Confirm by use: a late answer whose repetition is out. Both were asked for with one refresh token,
//! which stops working once a token of either answer is used; so the late one waits.

use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use crate::session_support::ledger::{Fault, Ledger, settled_with};
use crate::session_support::{
    HALF_A_SECOND, HOUR, Hand, SECOND, START, WAITING, at_once, builder, standard, text, waiting,
};
use perennial::lifecycle::{Policy, Remedy, Reuse, State};
use perennial::refresh::RefreshError;
use perennial::session::Session;
use perennial::testing::{Response, Scripted, VirtualTime};
use perennial::token::{Grant, Secret};

fn confirm_by_use() -> Policy {
    Policy::builder().reuse(Reuse::ConfirmByUse).build().expect("a policy that can be kept")
}

/// What answers to one refresh token bring: another access token each, and the same successor.
fn answer(number: u32) -> Response {
    Response::Grant(Grant::new(format!("at-{number}"), "rt-2", HOUR))
}

/// Asks with a first refresh, which hangs beyond its deadline, and then with its repetition.
fn repeat(session: &Session, time: &VirtualTime, script: &Scripted) {
    time.advance(HOUR);
    drop(waiting(session));
    time.advance(30 * SECOND);
    assert!(at_once(session.token()).expect_err("no answer came").is_unavailable());
    time.advance(HALF_A_SECOND);
    drop(waiting(session));
    assert_eq!(script.presented(), [Some("rt-1".to_owned()), Some("rt-1".to_owned())]);
}

/// A session without a store, the late answer to whose first refresh has come while the repetition is
/// out.
fn held_back(script: &Scripted) -> (Session, VirtualTime, Arc<Mutex<Vec<String>>>) {
    let (time, orphans) = (VirtualTime::at(START), Arc::new(Mutex::new(Vec::new())));
    let told = Arc::clone(&orphans);
    let builder = builder(script, &time).policy(confirm_by_use()).on_orphan(move |grant| {
        let orphan = grant.refresh_token().map(Secret::expose).unwrap_or_default().to_owned();
        told.lock().expect("no panic").push(orphan);
    });
    let session = builder.build().expect("sendable");
    repeat(&session, &time, script);
    script.release(answer(2));
    (session, time, orphans)
}

fn two_hang() -> Scripted {
    Scripted::new().then(Response::Hang).then(Response::Hang)
}

fn refresh_token(session: &Session) -> Option<String> {
    session.grant()?.refresh_token().map(|token| token.expose().to_owned())
}

// Rule B14.
#[test]
fn a_late_answer_is_not_handed_out_while_its_repetition_is_out() {
    let (session, _time, _) = held_back(&two_hang());
    let mut caller = waiting(&session);
    assert_eq!((session.state(), refresh_token(&session).as_deref()), (WAITING, Some("rt-1")));
    caller.pending();
}

// Rule B14. The newer one is handed out, and the older one was of the same refresh token.
#[test]
fn a_repetition_that_lands_replaces_the_late_answer_that_was_held_back() {
    let script = two_hang();
    let (session, time, orphans) = held_back(&script);
    let mut caller = waiting(&session);
    script.release(answer(3));
    assert_eq!(text(caller.ready()), "at-3");
    time.advance(SECOND);
    assert_eq!(text(at_once(session.token())), "at-3");
    assert_eq!(refresh_token(&session).as_deref(), Some("rt-2"));
    assert!(orphans.lock().expect("no panic").is_empty());
}

// Rule B14.
#[test]
fn a_late_answer_that_was_held_back_is_handed_out_at_the_deadline_of_its_repetition() {
    let script = two_hang();
    let (session, time, _) = held_back(&script);
    let mut caller = waiting(&session);
    time.advance(30 * SECOND);
    assert_eq!(text(caller.ready()), "at-2");
    assert_eq!(refresh_token(&session).as_deref(), Some("rt-2"));
    // The repetition's own answer may still come, and is the same grant.
    script.release(answer(3));
    time.advance(SECOND);
    assert!(at_once(session.token()).is_ok());
    assert_eq!((script.requests(), refresh_token(&session).as_deref()), (2, Some("rt-2")));
}

// Rules A5, B14. Found by fuzzing.
#[test]
fn a_late_answer_that_is_held_back_after_the_clock_went_back_ages_while_it_is_held() {
    let script = two_hang().then(Response::Hang);
    let time = VirtualTime::at(START);
    let session = builder(&script, &time).policy(confirm_by_use()).build().expect("sendable");
    repeat(&session, &time, &script);
    time.set(START);
    script.release(answer(2));
    drop(waiting(&session));
    time.advance(30 * SECOND);
    assert_eq!(text(at_once(session.token())), "at-2");
    time.advance(59 * 60 * SECOND + 30 * SECOND);
    let _ = waiting(&session);
}

// Rules B6, B14. What the server says of a refresh token that the answer has replaced is no news.
#[test]
fn a_late_answer_that_was_held_back_outlives_the_failure_of_its_repetition() {
    let failures = [
        RefreshError::declined("invalid_grant"),
        RefreshError::unavailable("503"),
        RefreshError::misconfigured("invalid_client"),
        RefreshError::unexplained("403"),
        RefreshError::unknown("reset"),
    ];
    for failure in failures {
        let script = two_hang();
        let (session, _time, _) = held_back(&script);
        let mut caller = waiting(&session);
        script.release(Response::Fail(failure.clone()));
        assert_eq!(text(caller.ready()), "at-2", "{failure}");
        assert_eq!((session.state(), script.requests()), (State::Valid, 2));
    }
}

// Rules B11, B14.
#[test]
fn a_late_answer_that_was_held_back_is_an_orphan_after_a_logout() {
    let script = two_hang();
    let (session, _time, orphans) = held_back(&script);
    drop(waiting(&session));
    at_once(session.logout()).expect("no store");
    assert_eq!(*orphans.lock().expect("no panic"), ["rt-2"]);
    assert_eq!(session.state(), State::Expired(Remedy::LogIn));
}

// Rules B11, B14.
#[test]
fn a_late_answer_that_was_held_back_is_an_orphan_after_a_login() {
    let script = two_hang();
    let (session, _time, orphans) = held_back(&script);
    drop(waiting(&session));
    at_once(session.install(Grant::new("at-7", "rt-7", HOUR))).expect("no store");
    assert_eq!(*orphans.lock().expect("no panic"), ["rt-2"]);
    assert_eq!(text(at_once(session.token())), "at-7");
}

/// Answers that the test gives in any order.
#[derive(Clone, Default)]
struct Apart(Arc<Mutex<Vec<Asked>>>);

/// The answer to one request, once it is given, and who waits for it.
type Asked = (Option<Grant>, Option<Waker>);

impl Apart {
    fn refresh(&self) -> impl Future<Output = Result<Grant, RefreshError>> + Send + use<> {
        let mut given = self.0.lock().expect("no panic");
        given.push((None, None));
        let (number, given) = (given.len() - 1, Arc::clone(&self.0));
        poll_fn(move |cx| {
            let (answer, waker) = &mut given.lock().expect("no panic")[number];
            *waker = Some(cx.waker().clone());
            answer.take().map_or(Poll::Pending, |grant| Poll::Ready(Ok(grant)))
        })
    }

    fn answer(&self, number: usize, access_token: &str) {
        let waker = {
            let (answer, waker) = &mut self.0.lock().expect("no panic")[number];
            *answer = Some(Grant::new(access_token, "rt-2", HOUR));
            waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }
}

// Rule B14. The newest of those that were held back, whichever came last.
#[test]
fn of_two_late_answers_that_were_held_back_the_newer_one_is_handed_out() {
    for order in [[0, 1], [1, 0]] {
        let (asked, time) = (Apart::default(), VirtualTime::at(START));
        let refresher = asked.clone();
        let builder = Session::builder(move |_| refresher.refresh());
        let session = standard(builder, &time).policy(confirm_by_use()).build().expect("sendable");
        time.advance(HOUR);
        for _ in 0..2 {
            drop(waiting(&session));
            time.advance(30 * SECOND);
            assert!(at_once(session.token()).is_err());
            time.advance(SECOND);
        }
        let mut caller = waiting(&session);
        for number in order {
            asked.answer(number, ["at-2", "at-3"][number]);
            caller.pending();
        }
        time.advance(30 * SECOND);
        assert_eq!(text(caller.ready()), "at-3", "{order:?}");
    }
}

/// The same with a store that fails as `fault` says when the late answer comes.
fn stored(script: &Scripted, fault: Fault) -> (Session, VirtualTime, Ledger) {
    let (session, time, ledger) = settled_with(script, confirm_by_use());
    repeat(&session, &time, script);
    ledger.take_log();
    ledger.set(fault);
    script.release(answer(2));
    (session, time, ledger)
}

// Rules B14, F2. Should this process die now, the next one goes on with it.
#[test]
fn a_late_answer_that_is_held_back_is_persisted_at_once() {
    let script = two_hang();
    let (session, time, ledger) = stored(&script, Fault::None);
    let mut caller = waiting(&session);
    assert_eq!(ledger.refresh_token().as_deref(), Some("rt-2"));
    assert_eq!(session.state(), WAITING);
    time.advance(30 * SECOND);
    assert_eq!(text(caller.ready()), "at-2");
    assert_eq!((session.is_saved(), ledger.refresh_token().as_deref()), (true, Some("rt-2")));
}

// Rules B14, F2. "The old token serves until the new one is safe": also one that was held back.
#[test]
fn a_late_answer_that_could_not_be_persisted_is_not_handed_out_before_it_is() {
    let script = two_hang();
    let (session, time, ledger) = stored(&script, Fault::ReadOnly);
    let mut caller: Hand<_> = waiting(&session);
    time.advance(30 * SECOND);
    assert!(caller.ready().is_err(), "it is handed out, and a crash would lose it");
    assert_eq!((session.is_saved(), ledger.refresh_token().as_deref()), (false, Some("rt-1")));
    ledger.set(Fault::None);
    time.advance(SECOND);
    assert_eq!(text(at_once(session.token())), "at-2");
    assert_eq!((script.requests(), session.is_saved()), (2, true));
    assert_eq!(ledger.refresh_token().as_deref(), Some("rt-2"));
}
