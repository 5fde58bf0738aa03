//! Async callers, polled by hand: who waits, for what, and how each wait ends.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use crate::session_support::{
    DUE, HALF_A_SECOND, HOUR, Hand, SECOND, START, Tasks, at_once, builder, lapsed,
    lapsed_with_timer, session, standard, text, waiting,
};
use perennial::lifecycle::{Policy, Remedy, State};
use perennial::refresh::{RefreshError, Request};
use perennial::session::Session;
use perennial::testing::{Response, Scripted, VirtualTime};
use perennial::token::Grant;

fn unavailable() -> Response {
    Response::Fail(RefreshError::unavailable("no connection"))
}

// Rule C7.
#[test]
fn nobody_waits_while_the_old_token_works() {
    let script = Scripted::new().then(Response::Hang);
    let time = VirtualTime::at(START);
    let session = session(&script, &time);
    time.advance(DUE);
    for _ in 0..3 {
        assert_eq!(text(at_once(session.token())), "at-1");
    }
    assert_eq!(script.requests(), 1);
    script.release(Response::Grant(Scripted::grant(1)));
    // The caller that finds the answer leaves with what worked when it came.
    assert_eq!(text(at_once(session.token())), "at-1");
    assert_eq!(text(at_once(session.token())), "at-2");
    assert_eq!((script.requests(), script.dropped()), (1, 0));
}

// Rule C7.
#[test]
fn nobody_waits_for_a_spawned_refresh_while_the_old_token_works() {
    let (script, tasks) = (Scripted::new().then(Response::Hang), Tasks::default());
    let time = VirtualTime::at(START);
    let session = builder(&script, &time).spawner(tasks.spawner()).build().expect("sendable");
    time.advance(DUE);
    assert_eq!(text(at_once(session.token())), "at-1");
    assert_eq!(tasks.len(), 1);
    tasks.run();
    script.release(Response::Grant(Scripted::grant(1)));
    tasks.run();
    assert_eq!(text(at_once(session.token())), "at-2");
    assert_eq!((tasks.len(), script.requests()), (0, 1));
}

// Rules B5, B7. A failed early refresh overwrote a valid token (google-cloud-rust#5809) or logged
// the user out, and the failure was not remembered (supabase-js#2145, aws-sdk-java-v2#5690).
#[test]
fn a_failed_early_refresh_takes_nothing_and_is_not_repeated_before_its_backoff() {
    let script = Scripted::new().then(unavailable());
    let time = VirtualTime::at(START);
    let session = session(&script, &time);
    time.advance(DUE);
    for _ in 0..100 {
        assert_eq!(text(at_once(session.token())), "at-1");
    }
    assert_eq!(script.requests(), 1);
    time.advance(HALF_A_SECOND);
    assert_eq!(text(at_once(session.token())), "at-1");
    assert_eq!(text(at_once(session.token())), "at-3");
    assert_eq!(script.requests(), 2);
}

// Rules B5, B6. The user keeps what works though the server has declined.
#[test]
fn a_declined_refresh_lets_the_old_token_serve_out_its_life() {
    let script = Scripted::new().then(Response::Fail(RefreshError::declined("invalid_grant")));
    let time = VirtualTime::at(START);
    let session = session(&script, &time);
    time.advance(DUE);
    for _ in 0..3 {
        assert_eq!(text(at_once(session.token())), "at-1");
    }
    time.advance(HOUR);
    let error = at_once(session.token()).expect_err("it is over");
    assert!(error.is_login_required());
    assert_eq!(error.to_string(), "the authorization server declined the grant: log in again");
    assert_eq!(error.when_to_retry(), None);
    // A dead refresh token is tried for ever: spring-security#7583.
    assert_eq!(script.requests(), 1);
}

// Rule B6.
#[test]
fn one_who_waited_for_a_declined_refresh_is_not_told_to_retry() {
    let script = Scripted::new().then(Response::Fail(RefreshError::declined("invalid_grant")));
    let (session, _) = lapsed(&script);
    let error = at_once(session.token()).expect_err("declined");
    assert!(error.is_login_required() && !error.is_unavailable());
    assert_eq!(error.when_to_retry(), None);
    assert_eq!(session.state(), State::Expired(Remedy::LogIn));
}

// Rule C8. A background refresh inherits a caller's deadline: golang/oauth2#388.
#[test]
fn a_callers_own_limit_ends_its_wait_and_not_the_refresh() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time) = lapsed_with_timer(&script);
    let mut brief = Hand::new(session.token().within(SECOND));
    brief.pending();
    let mut other = waiting(&session);
    time.advance(SECOND);
    assert_eq!((brief.woken(), other.woken()), (1, 0));
    let error = brief.ready().expect_err("its time is up");
    assert!(error.is_timeout() && !error.is_unavailable());
    drop(brief);
    script.release(Response::Grant(Scripted::grant(1)));
    assert_eq!(text(other.ready()), "at-2");
    assert_eq!((script.requests(), script.dropped()), (1, 0));
}

// Rules B13, C8.
#[test]
fn an_answer_that_has_come_wins_over_a_limit_that_has_passed() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time) = lapsed(&script);
    let mut brief = Hand::new(session.token().within(SECOND));
    brief.pending();
    time.advance(2 * SECOND);
    script.release(Response::Grant(Scripted::grant(1)));
    assert_eq!(text(brief.ready()), "at-2");
}

// Rules B13, C3.
#[test]
fn with_a_timer_the_deadline_wakes_those_who_wait() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time) = lapsed_with_timer(&script);
    let mut callers = [waiting(&session), waiting(&session)];
    time.advance(Duration::from_millis(29_999));
    callers.iter_mut().for_each(Hand::pending);
    time.advance(Duration::from_millis(1));
    for caller in &mut callers {
        assert!(caller.woken() > 0);
        let error = caller.ready().expect_err("its deadline has passed");
        assert!(error.is_unavailable());
        assert_eq!(error.to_string(), "the refresh was sent, but its outcome is unknown");
    }
}

// Rule B13.
#[test]
fn without_a_timer_the_deadline_is_kept_by_the_next_poll() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time) = lapsed(&script);
    let mut caller = waiting(&session);
    time.advance(29 * SECOND);
    caller.pending();
    time.advance(SECOND);
    assert_eq!(caller.woken(), 0);
    assert!(caller.ready().expect_err("its deadline has passed").is_unavailable());
}

// Rule B13.
#[test]
fn a_refresh_is_polled_once_more_before_its_deadline_is_judged() {
    let there = Arc::new(AtomicBool::new(false));
    let answer = Arc::clone(&there);
    // An answer that nobody was woken for: the machine slept, or a runtime stood still.
    let silent = Session::builder(move |_: Request| {
        let answer = Arc::clone(&answer);
        poll_fn(move |_| {
            let there = answer.load(Ordering::SeqCst);
            if there { Poll::Ready(Ok(Scripted::grant(1))) } else { Poll::Pending }
        })
    });
    let time = VirtualTime::at(START);
    let session = standard(silent, &time).build().expect("sendable");
    time.advance(HOUR);
    let mut caller = waiting(&session);
    there.store(true, Ordering::SeqCst);
    time.advance(31 * SECOND);
    assert_eq!(text(caller.ready()), "at-2");
}

// Rules B3, B14.
#[test]
fn the_late_answer_of_a_refresh_that_was_given_up_still_counts() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time) = lapsed(&script);
    let mut caller = waiting(&session);
    time.advance(30 * SECOND);
    assert!(caller.ready().is_err());
    script.release(Response::Grant(Scripted::grant(1)));
    // Though no refresh may start before its backoff.
    assert_eq!(text(at_once(session.token())), "at-2");
    assert_eq!((script.requests(), script.dropped()), (1, 0));
}

// Rules B6, B14. Told to come back later, for want of the very answer that lies there.
#[test]
fn a_late_answer_is_found_while_a_refresh_token_in_doubt_is_held_back() {
    let script = Scripted::new().then(Response::Hang).then(Response::Hang).then(Response::Hang);
    let (session, time) = lapsed(&script);
    for _ in 0..2 {
        let mut caller = waiting(&session);
        time.advance(30 * SECOND);
        assert!(caller.ready().is_err());
        time.advance(30 * SECOND);
    }
    let mut caller = waiting(&session);
    time.advance(30 * SECOND);
    assert!(caller.ready().is_err());
    let error = at_once(session.token()).expect_err("its late answer is waited for");
    assert!(error.is_unavailable() && error.when_to_retry().is_some(), "{error:?}");
    script.release(Response::Grant(Scripted::grant(1)));
    assert_eq!(text(at_once(session.token())), "at-2");
    assert_eq!(script.presented().len(), 3);
}

// Rule B7.
#[test]
fn a_failure_ends_the_impatient_and_the_patient_stay_for_the_next_attempt() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time) = lapsed_with_timer(&script);
    let mut bare = waiting(&session);
    let mut patient =
        [10, 20].map(|seconds| Hand::new(session.token().retry_for(seconds * SECOND)));
    patient.iter_mut().for_each(Hand::pending);
    script.release(unavailable());
    assert!(bare.ready().expect_err("it has no patience").is_unavailable());
    patient.iter_mut().for_each(Hand::pending);
    assert_eq!(script.requests(), 1);
    time.advance(HALF_A_SECOND);
    assert!(patient.iter().all(|caller| caller.woken() > 0));
    for caller in &mut patient {
        assert_eq!(text(caller.ready()), "at-3");
    }
    assert_eq!(script.requests(), 2);
}

// Rules B7, B13.
#[test]
fn without_a_timer_patience_becomes_an_error_that_says_when_to_come_back() {
    let script = Scripted::new().then(unavailable());
    let (session, time) = lapsed(&script);
    let error = at_once(session.token().retry_for(10 * SECOND)).expect_err("nothing can wake it");
    let again = START.saturating_add((HOUR + HALF_A_SECOND).into());
    assert_eq!(error.when_to_retry(), Some(again));
    assert!(error.is_unavailable());
    time.set(again);
    assert_eq!(text(at_once(session.token())), "at-3");
}

// Rule B7. N waiters after a failure make N serial tries: aws-smithy's lazy cache, azure_core.
#[test]
fn any_number_of_waiters_share_one_failure_and_one_backoff() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time) = lapsed(&script);
    let mut callers: Vec<_> = (0..20).map(|_| waiting(&session)).collect();
    script.release(unavailable());
    let again = START.saturating_add((HOUR + HALF_A_SECOND).into());
    for caller in &mut callers {
        let error = caller.ready().expect_err("no connection");
        assert_eq!(error.when_to_retry(), Some(again));
    }
    // Those who come later are told the same and try nothing.
    for _ in 0..20 {
        let error = at_once(session.token()).expect_err("no connection");
        assert_eq!(error.when_to_retry(), Some(again));
        assert_eq!(std::error::Error::source(&error).expect("why").to_string(), "no connection");
    }
    assert_eq!(script.requests(), 1);
    time.set(again);
    assert_eq!(text(at_once(session.token())), "at-3");
    assert_eq!(script.requests(), 2);
}

// Rule B7. Also one who is polled so late that the next attempt could start.
#[test]
fn an_impatient_caller_whose_attempt_failed_does_not_start_another_one() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time) = lapsed(&script);
    let [mut first, mut second] = [waiting(&session), waiting(&session)];
    script.release(unavailable());
    assert!(first.ready().is_err());
    time.advance(SECOND);
    let error = second.ready().expect_err("its attempt has failed");
    assert_eq!(error.when_to_retry(), Some(START.saturating_add((HOUR + SECOND).into())));
    assert_eq!(script.requests(), 1);
    assert_eq!(text(at_once(session.token())), "at-3");
}

// Rule B6.
#[test]
fn a_servers_retry_after_is_honoured() {
    let busy = RefreshError::unavailable("429").retry_after(60 * SECOND);
    let script = Scripted::new().then(Response::Fail(busy));
    let (session, time) = lapsed(&script);
    let error = at_once(session.token()).expect_err("busy");
    assert_eq!(error.when_to_retry(), Some(START.saturating_add((HOUR + 60 * SECOND).into())));
    time.advance(59 * SECOND);
    assert!(at_once(session.token()).is_err());
    time.advance(SECOND);
    assert_eq!(text(at_once(session.token())), "at-3");
}

// Rule B10. Busy loop on tokens that have expired on arrival: google-cloud-rust#6678.
#[test]
fn a_token_born_dead_backs_off_and_its_refresh_token_is_kept() {
    let dead = Grant::new("at-2", "rt-2", Duration::ZERO);
    let script = Scripted::new().then(Response::Grant(dead));
    let (session, time) = lapsed(&script);
    let error = at_once(session.token()).expect_err("of no use");
    assert_eq!(error.to_string(), "the access token was no longer usable when it arrived");
    assert!(error.is_unavailable());
    assert!(at_once(session.token()).is_err());
    assert_eq!(script.requests(), 1);
    time.advance(HALF_A_SECOND);
    assert_eq!(text(at_once(session.token())), "at-3");
    assert_eq!(script.presented()[1].as_deref(), Some("rt-2"));
}

// Rule B1. A lifetime counts from when the request was sent, not from when the answer came.
#[test]
fn a_lifetime_is_counted_from_the_request() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time) = lapsed(&script);
    let mut caller = waiting(&session);
    time.advance(20 * SECOND);
    script.release(Response::Grant(Scripted::grant(1)));
    let token = caller.ready().expect("granted");
    assert_eq!(token.expires_at(), Some(START.saturating_add((2 * HOUR).into())));
}

// Rules B13, C2.
#[test]
fn a_refresher_is_told_its_deadline() {
    let policy = Policy::builder().refresh_deadline(7 * SECOND).build().expect("valid");
    let asked = Session::builder(|request: Request| async move {
        assert_eq!(request.time_left(), 7 * SECOND);
        assert_eq!(request.cause(), perennial::lifecycle::Cause::Lapsed);
        Ok(Scripted::grant(1))
    });
    let time = VirtualTime::at(START);
    let session = standard(asked, &time).policy(policy).build().expect("sendable");
    time.advance(HOUR);
    assert_eq!(text(at_once(session.token())), "at-2");
}

// Rules A5, B13. Launched by one who does not wait, and sent once the clock has gone back.
#[test]
fn a_refresher_is_told_no_more_time_than_a_refresh_has_when_the_clock_goes_back() {
    let asked = Session::builder(|request: Request| async move {
        assert_eq!(request.time_left(), 30 * SECOND);
        Ok(Scripted::grant(1))
    });
    let time = VirtualTime::at(START);
    let (tasks, session) = (Tasks::default(), standard(asked, &time));
    let session = session.spawner(tasks.spawner()).build().expect("sendable");
    time.advance(HOUR);
    assert!(session.try_token().is_err());
    time.set(START);
    tasks.run();
    assert_eq!(text(session.try_token()), "at-2");
}
