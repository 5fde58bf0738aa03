//! What a session says of itself: its errors by their names, its parts by theirs; and what it draws.

use std::error::Error as _;
use std::fmt::Debug;
use std::time::Duration;

use crate::session_support::ledger::{Fault, Ledger, settled, stored};
use crate::session_support::{
    HOUR, Hand, SECOND, START, at_once, builder, first_grant, lapsed, session, standard, text,
    waiting,
};
use perennial::lifecycle::{Remedy, State};
use perennial::refresh::{LocalBoxFuture, PollIn, Refresh as _, RefreshError, Request};
use perennial::session::{BuildError, Builder, Error, LocalSession, Part, Session};
use perennial::testing::{Response, Scripted, VirtualTime};
use perennial::token::Grant;

/// The names that `error` answers to.
fn names(error: &Error) -> Vec<&'static str> {
    let answers = [
        ("login required", error.is_login_required()),
        ("unavailable", error.is_unavailable()),
        ("misconfigured", error.is_misconfigured()),
        ("over budget", error.is_over_budget()),
        ("timeout", error.is_timeout()),
        ("store", error.is_store()),
        ("not ready", error.is_not_ready()),
        ("too brief", error.is_too_brief()),
        ("reentrant", error.is_reentrant()),
    ];
    answers.into_iter().filter_map(|(name, answer)| answer.then_some(name)).collect()
}

fn failing(failure: RefreshError) -> Error {
    let (session, _) = lapsed(&Scripted::new().then(Response::Fail(failure)));
    at_once(session.token()).expect_err("it fails")
}

// Rules B6, B9, B10, C8.
#[test]
fn each_error_answers_to_its_own_names_and_to_no_other() {
    let script = Scripted::new();
    let time = VirtualTime::at(START);
    let without = Session::builder_with(script.clone()).clock(time.clone()).build();
    let no_grant = at_once(without.expect("nothing to check").token()).expect_err("no grant");
    assert_eq!(names(&no_grant), ["login required"]);
    assert_eq!(names(&failing(RefreshError::declined("no"))), ["login required"]);
    assert_eq!(names(&failing(RefreshError::unavailable("no"))), ["unavailable"]);
    assert_eq!(names(&failing(RefreshError::unknown("no"))), ["unavailable"]);

    let (lapsing, _) = lapsed(&script);
    assert_eq!(names(&lapsing.try_token().expect_err("lapsed")), ["not ready"]);

    let dead = Grant::new("at-2", "rt-2", Duration::ZERO);
    let (stillborn, _) = lapsed(&Scripted::new().then(Response::Grant(dead)));
    assert_eq!(names(&at_once(stillborn.token()).expect_err("dead")), ["unavailable"]);

    let (hanging, time) = lapsed(&Scripted::new().then(Response::Hang));
    let mut limited = Hand::new(hanging.token_within(SECOND));
    limited.pending();
    time.advance(SECOND);
    assert_eq!(names(&limited.ready().expect_err("its limit")), ["timeout"]);

    let fresh = session(&Scripted::new(), &VirtualTime::at(START));
    let brief = at_once(fresh.token_valid_for(2 * HOUR)).expect_err("none lives as long");
    assert_eq!(names(&brief), ["too brief"]);

    let rejected = session(&Scripted::new(), &VirtualTime::at(START));
    let spent = (0..9).find_map(|_| {
        at_once(rejected.token_valid_for(2 * HOUR)).err().filter(Error::is_over_budget)
    });
    assert_eq!(names(&spent.expect("the budget ends")), ["over budget"]);

    for (fault, expected) in
        [(Fault::Unreachable, vec!["unavailable", "store"]), (Fault::Damaged, vec!["store"])]
    {
        let (stored, time, ledger) = settled(&Scripted::new());
        ledger.set(fault);
        time.advance(HOUR);
        assert_eq!(names(&at_once(stored.token()).expect_err("the store fails")), expected);
    }
    let unsendable = at_once(fresh.install(Grant::new("", "rt", HOUR))).expect_err("empty");
    assert!(names(&unsendable).is_empty());
}

// Rule B6.
#[test]
fn a_misconfigured_client_and_refusals_without_a_reason_have_names_of_their_own() {
    let wrong = || Response::Fail(RefreshError::misconfigured("invalid_client: check the secret"));
    let (session, _) = lapsed(&Scripted::new().then(wrong()));
    let error = at_once(session.token()).expect_err("a wrong secret");
    assert_eq!(names(&error), ["misconfigured"]);
    assert!(!error.may_need_login());
    assert_eq!(session.state(), State::Expired(Remedy::Reconfigure));
    assert_eq!(
        error.to_string(),
        "the authorization server does not accept this client: correct its configuration"
    );

    let refused = || Response::Fail(RefreshError::unexplained("400 without an error"));
    let script = (0..4).fold(Scripted::new(), |script, _| script.then(refused()));
    let (session, time) = lapsed(&script);
    for _ in 0..3 {
        let error = at_once(session.token()).expect_err("refused");
        assert_eq!(names(&error), ["unavailable"]);
        time.advance(101 * SECOND);
    }
    let error = at_once(session.token()).expect_err("refused for five minutes");
    assert_eq!(names(&error), ["unavailable"]);
    assert!(error.may_need_login() && !error.is_login_required());
    assert_eq!(session.state(), State::Expired(Remedy::TryLogIn));
    time.advance(60 * SECOND);
    assert!(at_once(session.token()).is_ok());
}

// Rule B6. Giving up saves nothing: only the server itself can say that the grant is dead.
#[test]
fn a_doubt_that_is_not_resolved_ends_in_a_login_only_once_the_server_declines() {
    let unknown = || Response::Fail(RefreshError::unknown("no answer"));
    let script = (0..20).fold(Scripted::new(), |script, _| script.then(unknown()));
    let script = script.then(Response::Fail(RefreshError::declined("invalid_grant")));
    let (session, time) = lapsed(&script);
    for tries in 1..=20 {
        let error = at_once(session.token()).expect_err("no answer is understood");
        assert_eq!((names(&error), script.requests()), (vec!["unavailable"], tries));
        assert!(!error.may_need_login());
        time.advance(60 * SECOND);
    }
    let error = at_once(session.token()).expect_err("it is declined");
    assert_eq!((names(&error), script.requests()), (vec!["login required"], 21));
    time.advance(HOUR);
    assert_eq!(names(&at_once(session.token()).expect_err("for good")), ["login required"]);
    assert_eq!(script.requests(), 21);
}

// Rule B7.
#[test]
fn an_error_says_what_it_is_why_it_is_so_and_when_to_come_back() {
    let error = failing(RefreshError::unavailable("no connection"));
    let shown = format!("{error:?}");
    for part in ["Unavailable", "retry_at: Some", "source: Some", "no connection"] {
        assert!(shown.contains(part), "{shown}");
    }
    assert!(!error.to_string().is_empty());
    assert_eq!(error.source().expect("a source").to_string(), "no connection");
    assert!(error.when_to_retry().is_some());
    let final_one = failing(RefreshError::declined("no"));
    assert_eq!(final_one.when_to_retry(), None);
}

/// How `thing` begins where it is shown.
#[track_caller]
fn shows(thing: &impl Debug, beginning: &str) {
    let shown = format!("{thing:?}");
    assert!(shown.starts_with(beginning), "{shown}");
}

// Rule G1.
#[test]
fn what_is_shown_of_a_part_begins_with_its_name() {
    let (script, time) = (Scripted::new(), VirtualTime::at(START));
    let whole = session(&script, &time);
    shows(&whole, "Session { state: Valid");
    shows(&whole.token(), "Acquire");
    shows(&whole.reader(), "Reader { session: Session");
    shows(&whole.changed(), "Changed");
    shows(&whole.keep_fresh(time.clone()), "KeepFresh");
    shows(&builder(&script, &time), "Builder { policy: Policy");
    let refresh = |_| async { Ok::<_, RefreshError>(first_grant()) };
    shows(&LocalSession::builder(refresh), "LocalBuilder(Builder { policy");
    let local = standard_local(&time);
    shows(&local, "LocalSession { state: Valid");
    shows(&local.token(), "LocalAcquire");
    assert_eq!(whole.reader().session().state(), State::Valid);
}

fn standard_local(time: &VirtualTime) -> LocalSession {
    let refresh = |_| async { Ok::<_, RefreshError>(first_grant()) };
    let builder = LocalSession::builder(refresh).clock(time.clone()).grant(first_grant());
    builder.build().expect("the grant can be sent")
}

// Rule G1.
#[test]
fn a_grant_that_cannot_be_sent_is_refused_by_the_name_of_its_part() {
    for (grant, part, name) in [
        (Grant::new("", "rt", HOUR), Part::AccessToken, "access token"),
        (Grant::new("at", "", HOUR), Part::RefreshToken, "refresh token"),
        (Grant::new("a\n", "rt", HOUR), Part::AccessToken, "access token"),
        (Grant::new("at", "r\n", HOUR), Part::RefreshToken, "refresh token"),
    ] {
        let script = Scripted::new();
        let builder = standard(Session::builder_with(script), &VirtualTime::at(START)).grant(grant);
        let error = builder.build().expect_err("it cannot be sent");
        assert!(error.to_string().contains(name), "{error}");
        let (BuildError::Empty(named) | BuildError::Unsendable(named)) = error else {
            panic!("another error: {error}");
        };
        assert_eq!(named, part);
    }
}

// Rule B1.
#[test]
fn a_tokens_jitter_takes_an_eighth_of_its_lifetime_at_most_and_nothing_where_there_is_none() {
    let due_after = |builder: Builder| {
        let time = VirtualTime::at(START);
        let session = builder.clock(time.clone()).build().expect("sendable");
        (0..3600).find(|_| {
            let due = session.state() == State::Expiring;
            if !due {
                time.advance(SECOND);
            }
            due
        })
    };
    let drawing =
        |drawn| Session::builder_with(Scripted::new()).grant(first_grant()).random(move || drawn);
    // Five minutes before the hour is over; less 450 seconds.
    assert_eq!(due_after(drawing(0)), Some(3300));
    assert_eq!(due_after(drawing(1 << 31)), Some(3300 - 225));
    assert_eq!(due_after(drawing(u32::MAX)), Some(3300 - 449));
    assert_eq!(due_after(drawing(u32::MAX).without_jitter()), Some(3300));
}

// Rule B1.
#[test]
fn the_tokens_of_many_sessions_do_not_come_due_together() {
    let time = VirtualTime::at(START);
    let begin = || {
        let builder = Session::builder_with(Scripted::new()).grant(first_grant());
        builder.clock(time.clone()).build().expect("sendable")
    };
    let sessions: Vec<_> = (0..64).map(|_| begin()).collect();
    time.advance((3300 - 225) * SECOND);
    let due = sessions.iter().filter(|session| session.state() == State::Expiring).count();
    // 32 on average; six standard deviations either way.
    assert!((8..=56).contains(&due), "{due} of 64");
}

fn asking(script: &Scripted) -> impl Fn(Request) -> Asked + use<> {
    let script = script.clone();
    move |request| Box::pin(script.refresh(request))
}

type Asked = LocalBoxFuture<Result<Grant, RefreshError>>;

// Rules C9, F2.
#[test]
fn a_local_session_is_stored_and_closed_as_any_other() {
    let (script, time) = (Scripted::new(), VirtualTime::at(START));
    let ledger = Ledger::holding(stored(first_grant()));
    let builder = LocalSession::builder(asking(&script));
    let builder = builder.clock(time.clone()).without_jitter().random(|| 0).store(ledger.clone());
    let local = builder.build().expect("nothing to check");
    assert_eq!(text(at_once(local.token())), "at-1");
    time.advance(HOUR);
    ledger.set(Fault::WritesHang);
    let mut caller = Hand::new(local.token());
    caller.pending();
    let mut close = Hand::new(local.close());
    close.pending();
    ledger.set(Fault::None);
    assert!(close.ready().is_ok());
    assert_eq!(text(caller.ready()), "at-2");
    assert_eq!(ledger.refresh_token().as_deref(), Some("rt-2"));
    assert_eq!(local.grant().expect("a grant").refresh_token().expect("one").expose(), "rt-2");
    assert!(local.is_saved());
    ledger.set(Fault::Unreachable);
    assert!(at_once(local.install(Scripted::grant(4))).is_err());
    assert!(at_once(local.logout()).is_err());
    assert!(local.grant().is_none());
}

// Rules C9, F2.
#[test]
fn a_local_session_says_that_a_grant_could_not_be_stored() {
    let (script, time) = (Scripted::new().then(Response::Hang), VirtualTime::at(START));
    let ledger = Ledger::holding(stored(first_grant()));
    let builder = LocalSession::builder(asking(&script));
    let builder = builder.clock(time.clone()).without_jitter().random(|| 0).store(ledger.clone());
    let local = builder.build().expect("nothing to check");
    assert_eq!(text(at_once(local.token())), "at-1");
    time.advance(HOUR);
    let mut caller = Hand::new(local.token());
    caller.pending();
    ledger.set(Fault::ReadOnly);
    script.release(Response::Grant(Scripted::grant(1)));
    assert_eq!(text(caller.ready()), "at-2");
    assert!(!local.is_saved());
    assert!(at_once(local.close()).expect_err("it still cannot be stored").is_store());
}

// Rules C2, B6.
#[test]
fn a_local_session_that_needs_no_grant_asks_without_one() {
    let script = Scripted::new();
    let builder = LocalSession::builder(asking(&script)).without_grant();
    let builder = builder.poll_in(PollIn::Anywhere);
    let local = builder.clock(VirtualTime::at(START)).build().expect("nothing to check");
    assert_eq!(text(at_once(local.token())), "at-2");
    assert_eq!(script.presented(), [None]);
    let unsendable = LocalSession::builder(|_| async { Ok(first_grant()) });
    let unsendable = unsendable.grant(Grant::new("", "rt", HOUR));
    assert!(unsendable.build().is_err());
}

// Rule B3.
#[test]
fn a_session_that_waits_shows_that_it_does() {
    let (session, _) = lapsed(&Scripted::new().then(Response::Hang));
    let _caller = waiting(&session);
    shows(&session, "Session { state: Refreshing(Wait)");
}
