//! Logins and logouts while refreshes are out: nothing comes back, and nothing is lost.

use std::sync::{Arc, Mutex};

use crate::session_support::{
    HOUR, Hand, SECOND, START, at_once, builder, lapsed, text, waiting, watched,
};
use perennial::lifecycle::{Remedy, State};
use perennial::refresh::RefreshError;
use perennial::session::{Builder, Session};
use perennial::testing::{Response, Scripted, VirtualTime};
use perennial::token::{Grant, Secret};

const LOGGED_OUT: State = State::Expired(Remedy::LogIn);

fn login() -> Grant {
    Grant::new("at-login", "rt-login", HOUR)
}

/// The refresh tokens of grants that a hook was told of.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn note(&self, grant: &Grant) {
        let token = grant.refresh_token().map(Secret::expose).unwrap_or_default();
        self.0.lock().expect("no panic").push(token.to_owned());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("no panic"))
    }
}

fn with_hooks(builder: Builder) -> (Session, Told, Told) {
    let (rotated, orphaned) = (Told::default(), Told::default());
    let (on_rotate, on_orphan) = (rotated.clone(), orphaned.clone());
    let builder = builder
        .on_rotate(move |grant| on_rotate.note(grant))
        .on_orphan(move |grant| on_orphan.note(&grant));
    (builder.build().expect("sendable"), rotated, orphaned)
}

// Rules B11, C3. Logout during a refresh: tokens reappear, MSAL.NET#1070.
#[test]
fn a_logout_ends_all_waits_and_nothing_comes_back() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time) = lapsed(&script);
    let mut callers = [waiting(&session), waiting(&session)];
    at_once(session.logout()).expect("no store");
    for caller in &mut callers {
        assert!(caller.woken() > 0);
        assert!(caller.ready().expect_err("logged out").is_login_required());
    }
    script.release(Response::Grant(Scripted::grant(1)));
    for _ in 0..3 {
        assert!(at_once(session.token()).expect_err("logged out").is_login_required());
        time.advance(HOUR);
    }
    assert_eq!(session.state(), LOGGED_OUT);
    assert!(session.grant().is_none());
    assert_eq!(script.requests(), 1);
}

// Rule B11. A token that works is not handed out after the logout either.
#[test]
fn a_logout_withdraws_a_token_that_works() {
    let time = VirtualTime::at(START);
    let session = crate::session_support::session(&Scripted::new(), &time);
    assert_eq!(text(session.try_token()), "at-1");
    let mut logout = Hand::new(session.logout());
    assert_eq!(text(session.try_token()), "at-1");
    logout.ready().expect("no store");
    assert!(session.try_token().expect_err("logged out").is_login_required());
    assert!(at_once(session.token()).expect_err("logged out").is_login_required());
}

// Rules B11, B14.
#[test]
fn a_grant_that_lands_after_a_logout_is_offered_to_the_hook() {
    let script = Scripted::new().then(Response::Hang);
    let time = VirtualTime::at(START);
    let (session, rotated, orphaned) = with_hooks(builder(&script, &time));
    time.advance(HOUR);
    drop(waiting(&session));
    at_once(session.logout()).expect("no store");
    script.release(Response::Grant(Scripted::grant(1)));
    at_once(session.close()).expect("it has landed");
    assert_eq!(orphaned.take(), ["rt-2"]);
    // A program that keeps grants by the other hook would have it back after the logout.
    assert_eq!(rotated.take(), [""; 0]);
    assert!(script.revoked().is_empty());
}

// Rule B14.
#[test]
fn a_grant_that_lands_after_a_logout_is_revoked_where_there_is_no_hook() {
    let script = Scripted::new().then(Response::Hang);
    let (session, _) = lapsed(&script);
    drop(waiting(&session));
    at_once(session.logout()).expect("no store");
    script.release(Response::Grant(Scripted::grant(1)));
    let closing = session.clone();
    watched(move || closing.close_blocking()).expect("it has landed, and is revoked");
    assert_eq!(script.revoked(), ["rt-2"]);
    assert_eq!(session.state(), LOGGED_OUT);
}

// Rules B4, B14. A late success overwrites a login.
#[test]
fn a_grant_that_lands_after_a_login_does_not_replace_it() {
    let script = Scripted::new().then(Response::Hang);
    let time = VirtualTime::at(START);
    let (session, rotated, orphaned) = with_hooks(builder(&script, &time));
    time.advance(HOUR);
    let mut caller = waiting(&session);
    at_once(session.install(login())).expect("no store");
    assert!(caller.woken() > 0);
    assert_eq!(text(caller.ready()), "at-login");
    script.release(Response::Grant(Scripted::grant(1)));
    at_once(session.close()).expect("it has landed");
    assert_eq!(text(at_once(session.token())), "at-login");
    let held = session.grant().expect("logged in");
    assert_eq!(held.refresh_token().map(Secret::expose), Some("rt-login"));
    assert_eq!((orphaned.take(), rotated.take()), (vec!["rt-2".to_owned()], Vec::new()));
}

// Rules B4, B6.
#[test]
fn a_refusal_of_the_old_grant_says_nothing_of_the_new_login() {
    for answer in [RefreshError::declined("invalid_grant"), RefreshError::unknown("reset")] {
        let script = Scripted::new().then(Response::Hang);
        let (session, time) = lapsed(&script);
        drop(waiting(&session));
        at_once(session.install(login())).expect("no store");
        script.release(Response::Fail(answer));
        at_once(session.close()).expect("it has landed");
        assert_eq!(text(at_once(session.token())), "at-login");
        time.advance(HOUR);
        assert_eq!(text(at_once(session.token())), "at-3");
    }
}

// Rules B3, B14. A server that answers twice may give the very grant that is held.
#[test]
fn the_grant_that_is_held_is_never_revoked_as_an_orphan() {
    let script = Scripted::new().then(Response::Hang);
    let (session, _) = lapsed(&script);
    drop(waiting(&session));
    at_once(session.install(Scripted::grant(1))).expect("no store");
    script.release(Response::Grant(Scripted::grant(1)));
    at_once(session.close()).expect("it has landed");
    assert!(script.revoked().is_empty());
    assert_eq!(text(at_once(session.token())), "at-2");
}

// Rules B4, B8. Also when the same token was installed again.
#[test]
fn a_token_from_before_a_login_is_stale() {
    let time = VirtualTime::at(START);
    let session = crate::session_support::session(&Scripted::new(), &time);
    let before = at_once(session.token()).expect("fresh");
    at_once(session.install(crate::session_support::first_grant())).expect("no store");
    session.reject(&before);
    assert_eq!(session.state(), State::Valid);
    let after = at_once(session.token()).expect("installed");
    assert_eq!(after.expose(), before.expose());
    assert!(after.generation().number() > before.generation().number());
}

// Rules B6, B11.
#[test]
fn a_login_after_a_declined_refresh_works_and_is_refreshed() {
    let script = Scripted::new().then(Response::Fail(RefreshError::declined("invalid_grant")));
    let (session, time) = lapsed(&script);
    assert!(at_once(session.token()).is_err());
    at_once(session.install(login())).expect("no store");
    assert_eq!(text(at_once(session.token())), "at-login");
    time.advance(HOUR);
    assert_eq!(text(at_once(session.token())), "at-3");
    assert_eq!(script.presented()[1].as_deref(), Some("rt-login"));
}

// Rules B11, C9. What waits behind something slow is not sent after the logout.
#[test]
fn a_refresh_that_was_not_yet_sent_is_not_sent_after_a_logout() {
    let script = Scripted::new();
    let (time, tasks) = (VirtualTime::at(START), crate::session_support::Tasks::default());
    let session = builder(&script, &time).spawner(tasks.spawner()).build().expect("sendable");
    time.advance(HOUR);
    assert!(session.try_token().is_err());
    at_once(session.logout()).expect("no store");
    tasks.run();
    assert_eq!((script.requests(), tasks.len()), (0, 0));
    assert_eq!(session.state(), LOGGED_OUT);
}

// Rules F2, B14.
#[test]
fn each_new_grant_is_told_before_its_token_is_handed_out() {
    let script = Scripted::new();
    let time = VirtualTime::at(START);
    let (session, rotated, orphaned) = with_hooks(builder(&script, &time));
    let handed_out: Arc<Mutex<Vec<Vec<String>>>> = Arc::default();
    for _ in 0..3 {
        time.advance(2 * HOUR);
        assert!(at_once(session.token()).is_ok());
        handed_out.lock().expect("no panic").push(rotated.take());
    }
    let expected: Vec<Vec<String>> = (2..5).map(|n| vec![format!("rt-{n}")]).collect();
    assert_eq!(*handed_out.lock().expect("no panic"), expected);
    assert_eq!(orphaned.take(), [""; 0]);
}

// Rules F2, B14. The hook sees the whole grant, with what the answer left unsaid.
#[test]
fn the_hook_is_told_of_a_grant_as_it_is_held() {
    let script = Scripted::new().then(Response::Grant(Grant::of_access_token("at-2", HOUR)));
    let time = VirtualTime::at(START);
    let (session, rotated, _) = with_hooks(builder(&script, &time));
    time.advance(HOUR);
    assert!(at_once(session.token()).is_ok());
    assert_eq!(rotated.take(), ["rt-1"]);
}

// Rules B3, B14. Of two answers the newer one stays, in whichever order they come.
#[test]
fn an_older_answer_never_replaces_a_newer_one() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time) = lapsed(&script);
    let mut caller = waiting(&session);
    time.advance(30 * SECOND);
    assert!(caller.ready().is_err());
    time.advance(30 * SECOND);
    assert_eq!(text(at_once(session.token())), "at-3");
    script.release(Response::Grant(Scripted::grant(1)));
    at_once(session.close()).expect("both have landed");
    assert_eq!(text(at_once(session.token())), "at-3");
    let held = session.grant().expect("held");
    assert_eq!(held.refresh_token().map(Secret::expose), Some("rt-3"));
    assert!(script.revoked().is_empty());
}

// Rules B3, B14. Superseded, and still listened to: its refresh token is the one that counts now.
#[test]
fn a_late_answer_counts_though_a_newer_refresh_is_out() {
    let script = Scripted::new().then(Response::Hang).then(Response::Hang);
    let (session, time) = lapsed(&script);
    let mut first = waiting(&session);
    time.advance(30 * SECOND);
    assert!(first.ready().is_err());
    time.advance(30 * SECOND);
    let mut second = waiting(&session);
    assert_eq!(script.requests(), 2);
    // The oldest that hangs gets its answer.
    script.release(Response::Grant(Scripted::grant(1)));
    assert!(second.woken() > 0);
    assert_eq!(text(second.ready()), "at-2");
    assert_eq!(script.dropped(), 0);
    // That the newer one presented what is spent by now is no reason to log out.
    script.release(Response::Fail(RefreshError::declined("invalid_grant")));
    at_once(session.close()).expect("both have landed");
    time.advance(HOUR);
    assert_eq!(text(at_once(session.token())), "at-4");
    assert_eq!(script.presented()[2].as_deref(), Some("rt-2"));
}
