//! What goes wrong between a session and its authorization server, and that it recovers.

use std::error::Error as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::session_support::{
    DUE, HALF_A_SECOND, HOUR, Hand, SECOND, START, Tasks, at_once, builder, lapsed, standard, text,
    waiting,
};
use perennial::clock::Clock;
use perennial::lifecycle::{Policy, Remedy, Reuse, State};
use perennial::provider;
use perennial::refresh::{RefreshError, Request};
use perennial::session::{Error, Session};
use perennial::testing::{Response, Scripted, VirtualTime};
use perennial::time::{Span, Timestamp};

const EVERY_REUSE: [Reuse; 6] = [
    Reuse::Strict,
    Reuse::OverlapAccessOnly(Span::from_secs(60)),
    Reuse::OverlapSuccessors(Span::from_secs(60)),
    Reuse::Idempotent(Span::from_secs(60)),
    Reuse::ConfirmByUse,
    Reuse::Unrotated,
];

fn policy(reuse: Reuse) -> Policy {
    Policy::builder().reuse(reuse).build().expect("a policy that can be kept")
}

/// What the error says of its cause.
fn cause(error: &Error) -> String {
    error.source().expect("it has a cause").to_string()
}

fn failing(error: &RefreshError) -> Response {
    Response::Fail(error.clone())
}

// Rule B6. Case X51. The connection is reset before the request arrives; the server has seen nothing.
#[test]
fn any_number_of_resets_in_a_row_is_no_logout_under_any_policy() {
    let reset = RefreshError::unknown("connection reset");
    for (reuse, resets) in EVERY_REUSE.into_iter().flat_map(|it| [2, 3, 10].map(|n| (it, n))) {
        let script = (0..resets).fold(Scripted::new(), |script, _| script.then(failing(&reset)));
        let time = VirtualTime::at(START);
        let session = builder(&script, &time).policy(policy(reuse)).build().expect("sendable");
        time.advance(HOUR);
        for _ in 0..resets {
            let error = at_once(session.token()).expect_err("reset");
            assert!(error.is_unavailable() && !error.may_need_login(), "{reuse:?}: {error}");
            let retry_at = error.when_to_retry().expect("it says when");
            assert!(retry_at <= time.now().saturating_add(Span::from_secs(60)), "{reuse:?}");
            time.set(retry_at.max(time.now()));
        }
        assert_eq!(script.requests(), resets, "{reuse:?}");
        assert!(at_once(session.token()).is_ok(), "{reuse:?}, {resets} resets");
        assert_eq!(session.state(), State::Valid);
    }
}

// Rules B6, B7, B13. Case X51. The same for one who waits through them.
#[test]
fn who_is_patient_waits_through_any_number_of_resets() {
    let reset = RefreshError::unknown("connection reset");
    for reuse in EVERY_REUSE {
        let script = (0..10).fold(Scripted::new(), |script, _| script.then(failing(&reset)));
        let time = VirtualTime::at(START);
        let builder = builder(&script, &time).policy(policy(reuse)).timer(time.clone());
        let session = builder.build().expect("sendable");
        time.advance(HOUR);
        let mut patient = Hand::new(session.token().retry_for(HOUR));
        let token = (0..100).find_map(|_| match patient.poll() {
            std::task::Poll::Ready(result) => Some(result),
            std::task::Poll::Pending => {
                time.set(time.next_alarm().expect("something is waited for"));
                None
            }
        });
        assert!(token.expect("it ends").is_ok(), "{reuse:?}");
        assert_eq!(script.requests(), 11, "{reuse:?}");
    }
}

/// How a refresh is driven.
#[derive(Copy, Clone, Debug)]
struct Mode {
    spawner: bool,
    timer: bool,
    blocking: bool,
}

fn modes() -> impl Iterator<Item = Mode> {
    (0..8).map(|bits| Mode {
        spawner: bits & 1 == 1,
        timer: bits & 2 == 2,
        blocking: bits & 4 == 4,
    })
}

// Rules B6, B14. Case X52. The server takes 2.5 s, the deadline is 2 s, the old token lapses meanwhile.
#[test]
fn a_late_answer_is_waited_for_and_used_instead_of_asking_again() {
    for mode in modes() {
        let (script, time) = (Scripted::new().then(Response::Hang), VirtualTime::at(START));
        let tasks = Tasks::default();
        let brief = Policy::builder().refresh_deadline(2 * SECOND).build().expect("valid");
        let builder = builder(&script, &time).policy(brief);
        let builder = if mode.timer { builder.timer(time.clone()) } else { builder };
        let builder = if mode.spawner { builder.spawner(tasks.spawner()) } else { builder };
        let session = builder.build().expect("sendable");
        let ask =
            || if mode.blocking { session.token_blocking() } else { at_once(session.token()) };
        time.advance(Duration::from_secs(3589));
        assert_eq!(text(ask()), "at-1", "it is due, and works");
        tasks.run();
        time.advance(2 * SECOND);
        tasks.run();
        let mut patient = Hand::new(session.token().retry_for(10 * SECOND));
        let waits = mode.timer.then(|| patient.pending()).is_some();
        for _ in 0..2 {
            let error = ask().expect_err("the answer is late");
            let told = (error.may_need_login(), error.when_to_retry().is_some());
            assert_eq!(told, (false, true), "{mode:?}: {error}");
            time.advance(HALF_A_SECOND / 2);
            tasks.run();
        }
        ask().expect_err("its backoff is over, and the answer is late");
        script.release(Response::Grant(Scripted::grant(1)));
        tasks.run();
        assert_eq!(text(ask()), "at-2", "{mode:?}");
        assert!(!waits || text(patient.ready()) == "at-2", "{mode:?}");
        assert_eq!(script.presented(), [Some("rt-1".to_owned())], "{mode:?}");
    }
}

// Rule B6. It is waited for as long again as a refresh may take, and no longer.
#[test]
fn a_late_answer_is_not_waited_for_longer_than_a_refresh_may_take() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time) = lapsed(&script);
    drop(waiting(&session));
    time.advance(30 * SECOND);
    assert!(at_once(session.token()).expect_err("its deadline").is_unavailable());
    let error = at_once(session.token()).expect_err("a late answer may come");
    assert_eq!(error.when_to_retry(), Some(time.now().saturating_add(Span::from_secs(30))));
    time.advance(Duration::from_millis(29_999));
    at_once(session.token()).expect_err("a late answer may come");
    assert_eq!(script.requests(), 1);
    time.advance(Duration::from_millis(1));
    assert_eq!(text(at_once(session.token())), "at-3");
}

/// When a request was sent, and how long it may take.
type Sent = (Timestamp, Duration);

/// A session whose requests are noted, with how long each may take, and are never answered.
fn never_answered(reuse: Reuse) -> (Session, VirtualTime, Arc<Mutex<Vec<Sent>>>) {
    let (time, sent) = (VirtualTime::at(START), Arc::new(Mutex::new(Vec::new())));
    let (noted, clock) = (Arc::clone(&sent), time.clone());
    let builder = Session::builder(move |request: Request| {
        noted.lock().expect("no panic").push((clock.now(), request.time_left()));
        std::future::pending()
    });
    let session = standard(builder, &time).policy(policy(reuse)).build().expect("sendable");
    (session, time, sent)
}

// Rules B6, B13. Cases X8, X53. With the default deadline the answer never comes: who asks again, does so
// and is done within the window.
#[test]
fn a_second_sending_lies_within_the_declared_window_where_the_deadline_is_the_default() {
    let declared = [
        (provider::OKTA.reuse(), 30),
        (provider::SUPABASE.reuse(), 10),
        (Reuse::idempotent(10 * SECOND), 10),
        (Reuse::overlap_access_only(3 * SECOND), 3),
        (Reuse::overlap_successors(120 * SECOND), 120),
    ];
    for ((reuse, window), age) in declared.into_iter().flat_map(|it| [(it, DUE), (it, HOUR)]) {
        let (session, time, sent) = never_answered(reuse);
        time.advance(age);
        let first = time.now();
        for _ in 0..(window * 20) {
            let mut caller = Hand::new(session.token());
            let _ = caller.poll();
            time.advance(SECOND / 20);
        }
        let sent = sent.lock().expect("no panic").clone();
        let closes = first.saturating_add(Span::from_secs(window));
        assert!(sent.len() > 1, "{reuse:?}, {age:?}: it is not asked again");
        for (at, time_left) in sent {
            assert!(at.saturating_add(time_left.into()) <= closes, "{reuse:?}, {age:?}: {at:?}");
        }
    }
}

// Rule B6. The longest delays are drawn, and many tries fit into the window.
#[test]
fn the_backoff_within_a_declared_window_is_at_most_an_eighth_of_it() {
    let reset = RefreshError::unknown("connection reset");
    let script = (0..20).fold(Scripted::new(), |script, _| script.then(failing(&reset)));
    let time = VirtualTime::at(START);
    let builder = builder(&script, &time).policy(policy(Reuse::idempotent(10 * SECOND)));
    let session = builder.random(|| u32::MAX).build().expect("sendable");
    time.advance(HOUR);
    let closes = time.now().saturating_add(Span::from_secs(10));
    while time.now() < closes {
        let error = at_once(session.token()).expect_err("reset");
        let retry_at = error.when_to_retry().expect("it says when");
        assert!(retry_at.since(time.now()) <= Span::from_millis(10_000 / 8), "{error:?}");
        time.set(retry_at);
    }
    assert!((8..20).contains(&script.requests()), "{} tries", script.requests());
}

/// A session of a server that answers `error` until so long after the start, and grants then. What
/// was asked is counted.
fn refused(
    error: RefreshError,
    good_from: Duration,
    age: Duration,
) -> (Session, VirtualTime, Arc<Mutex<usize>>) {
    let (time, asked) = (VirtualTime::at(START), Arc::new(Mutex::new(0)));
    let (clock, count) = (time.clone(), Arc::clone(&asked));
    let builder = Session::builder(move |_: Request| {
        *count.lock().expect("no panic") += 1;
        let good = clock.now() >= START.saturating_add(good_from.into());
        let answer = if good { Ok(Scripted::grant(1)) } else { Err(error.clone()) };
        async move { answer }
    });
    let session = standard(builder, &time).build().expect("sendable");
    time.advance(age);
    (session, time, asked)
}

// Rule B6. Case X3. A secret is being changed for an hour.
#[test]
fn a_client_that_is_not_accepted_recovers_within_the_backoff_and_nobody_is_told_to_log_in() {
    let error = RefreshError::misconfigured("invalid_client: check the client secret");
    let (session, time, asked) = refused(error, 2 * HOUR, HOUR);
    for _ in 0..3600 {
        let error = at_once(session.token()).expect_err("the secret is wrong");
        assert!(error.is_misconfigured() && !error.may_need_login() && !error.is_unavailable());
        assert!(cause(&error).contains("check the client secret"), "{error:?}");
        assert_eq!(session.state(), State::Expired(Remedy::Reconfigure));
        time.advance(SECOND);
    }
    let tries = *asked.lock().expect("no panic");
    assert!((6..20).contains(&tries), "{tries} tries in an hour");
    let recovered = (0..=600).find(|_| {
        time.advance(SECOND);
        at_once(session.token()).is_ok()
    });
    assert!(recovered.is_some(), "it does not recover");
    assert_eq!(session.state(), State::Valid);
}

// Rule B6. A strict server may revoke the refresh token with each try.
#[test]
fn a_client_that_is_not_accepted_asks_once_while_its_token_works() {
    let error = RefreshError::misconfigured("invalid_client");
    let (session, time, asked) = refused(error, HOUR, DUE);
    for _ in 0..189 {
        assert_eq!(text(at_once(session.token())), "at-1");
        time.advance(SECOND);
    }
    assert_eq!(*asked.lock().expect("no panic"), 1);
    time.advance(11 * SECOND);
    assert_eq!(text(at_once(session.token())), "at-2");
}

// Rule B6. Case X2. There is no login that could help.
#[test]
fn client_credentials_that_are_not_accepted_at_first_are_asked_with_again() {
    for error in [RefreshError::misconfigured("invalid_client"), RefreshError::unexplained("401")] {
        let script = Scripted::new().then(failing(&error));
        let time = VirtualTime::at(START);
        let builder = Session::builder_with(script.clone()).without_grant().clock(time.clone());
        let session = builder.random(|| 1 << 31).policy(policy(Reuse::Unrotated)).build();
        let session = session.expect("it needs no grant");
        let error = at_once(session.token()).expect_err("refused");
        assert!(!error.may_need_login(), "{error}");
        time.set(error.when_to_retry().expect("it says when"));
        assert_eq!(text(at_once(session.token())), "at-3");
    }
}

// Rule B6. After three refusals without a reason, over five minutes, and not before.
#[test]
fn refusals_without_a_reason_for_minutes_say_that_a_login_may_help_and_tries_go_on() {
    let error = RefreshError::unexplained("400, text/html");
    let (session, time, asked) = refused(error, HOUR + 6 * 60 * SECOND, HOUR);
    for second in 0..360 {
        let error = at_once(session.token()).expect_err("refused");
        assert!(error.is_unavailable() && !error.is_login_required());
        assert_eq!(error.may_need_login(), second >= 300, "after {second} s");
        let remedy = if second >= 300 { Remedy::TryLogIn } else { Remedy::Refresh };
        assert_eq!(session.state(), State::Expired(remedy), "after {second} s");
        if second >= 300 {
            assert!(error.to_string().contains("a login may be needed"), "{error}");
        }
        time.advance(SECOND);
    }
    assert!(*asked.lock().expect("no panic") > 5, "tries go on");
    let recovered = (0..=60).find(|_| {
        time.advance(SECOND);
        at_once(session.token()).is_ok()
    });
    assert!(recovered.is_some() && session.state() == State::Valid);
}

// Rule B6. Two refusals are too few, however long they are apart; and the third must come at once
// after them.
#[test]
fn fewer_refusals_without_a_reason_than_three_in_a_row_ask_for_no_login() {
    let (refusal, other) = (RefreshError::unexplained("403"), RefreshError::unavailable("503"));
    let script = [&refusal, &refusal, &other, &refusal, &refusal];
    let script = script.into_iter().fold(Scripted::new(), |so_far, it| so_far.then(failing(it)));
    let (session, time) = lapsed(&script);
    for _ in 0..5 {
        let error = at_once(session.token()).expect_err("refused");
        assert!(!error.may_need_login(), "{error}");
        time.advance(HOUR);
    }
    assert_eq!(text(at_once(session.token())), "at-7");
}
