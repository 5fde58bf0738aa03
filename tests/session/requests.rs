//! What callers may ask besides a token: longer life, no waiting, word of changes, rejections.

use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Duration;

use crate::session_support::{
    DUE, HOUR, Hand, SECOND, START, Tasks, WAITING, at_once, builder, lapsed, session, standard,
    text, waiting,
};
use perennial::lifecycle::{Meanwhile, Policy, Remedy, Reuse, State};
use perennial::refresh::{RefreshError, Request};
use perennial::session::{Rejection, Session};
use perennial::testing::{Response, Scripted, VirtualTime};
use perennial::token::Grant;

fn fresh(script: &Scripted) -> (Session, VirtualTime) {
    let time = VirtualTime::at(START);
    (session(script, &time), time)
}

// Rule B8. One 401, two refreshes, by an immediate retry with the old one: Alamofire#3950.
#[test]
fn the_rejection_of_a_stale_token_changes_nothing() {
    let script = Scripted::new();
    let (session, _) = fresh(&script);
    let old = at_once(session.token()).expect("fresh");
    session.reject(&old);
    let new = at_once(session.token()).expect("refreshed");
    assert_eq!(new.expose(), "at-2");
    session.reject(&old);
    session.reject(&old);
    assert_eq!(session.state(), State::Valid);
    assert_eq!(text(at_once(session.token())), "at-2");
    assert_eq!(script.requests(), 1);
}

// Rule B4.
#[test]
fn a_token_of_another_session_is_stale() {
    let script = Scripted::new();
    let (session, time) = fresh(&script);
    let other = crate::session_support::session(&script, &time);
    let foreign = at_once(other.token()).expect("fresh");
    let own = at_once(session.token()).expect("fresh");
    assert_eq!(foreign.generation().number(), own.generation().number());
    session.reject(&foreign);
    assert_eq!(session.state(), State::Valid);
    session.reject(&own);
    assert_eq!(session.state(), State::Expired(Remedy::Refresh));
}

// Rule B8. A 401 that comes while a refresh is running leaks to the caller, or starts another.
#[test]
fn a_rejection_joins_the_refresh_that_is_out() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time) = fresh(&script);
    time.advance(DUE);
    let old = at_once(session.token()).expect("due, and still good");
    assert_eq!(session.state(), State::Refreshing(Meanwhile::UseOld));
    session.reject(&old);
    assert_eq!(session.state(), WAITING);
    let mut caller = waiting(&session);
    script.release(Response::Grant(Scripted::grant(1)));
    assert_eq!(text(caller.ready()), "at-2");
    session.reject(&old);
    assert_eq!(text(at_once(session.token())), "at-2");
    assert_eq!(script.requests(), 1);
}

/// Rejects whatever token there is, for as long as that brings another one.
fn rejected_while_it_helps(session: &Session) {
    for _ in 0..1000 {
        if session.reject(&at_once(session.token()).expect("a token")) == Rejection::Kept {
            return;
        }
    }
    panic!("each of a thousand rejections made a refresh");
}

// Rule B9. Case X20.
#[test]
fn a_server_that_rejects_every_fresh_token_makes_no_loop_and_takes_the_token_from_nobody() {
    let script = Scripted::new();
    let (session, time) = fresh(&script);
    rejected_while_it_helps(&session);
    assert_eq!(script.requests(), 5);
    assert_eq!(text(at_once(session.token())), "at-6");
    time.advance(6 * SECOND);
    rejected_while_it_helps(&session);
    assert_eq!(script.requests(), 6);
}

// Rule B9. Case X20.
#[test]
fn ten_thousand_rounds_of_accept_and_reject_in_no_time_make_three_refreshes() {
    let script = Scripted::new();
    let (session, time) = fresh(&script);
    for round in 0..10_000 {
        let token = at_once(session.token()).expect("there is always one");
        session.accept(&token);
        session.accept(&token);
        let expected = if round < 3 { Rejection::Withdrawn } else { Rejection::Kept };
        assert_eq!(session.reject(&token), expected);
    }
    assert_eq!(script.requests(), 3);
    // A replay that succeeds gives one back.
    time.advance(SECOND);
    let token = at_once(session.token()).expect("kept");
    session.recovered(&token);
    assert_eq!(session.reject(&token), Rejection::Withdrawn);
}

// Rule B9. X21: one endpoint's 401 is not everybody's. Each refresh that helps is given back, once a
// second.
#[test]
fn a_rejection_whose_replay_succeeds_is_given_back_once_a_second_and_one_that_fails_is_not() {
    let script = Scripted::new();
    let (session, time) = fresh(&script);
    for round in 1..=50 {
        let token = at_once(session.token()).expect("a token");
        session.accept(&token);
        assert_eq!(session.reject(&token), Rejection::Withdrawn, "round {round}");
        session.recovered(&at_once(session.token()).expect("another one"));
        time.advance(SECOND);
    }
    // In less than a second nothing more is given back.
    let at_once_again = (0..10).filter(|_| {
        let token = at_once(session.token()).expect("a token");
        let withdrawn = session.reject(&token) == Rejection::Withdrawn;
        session.recovered(&at_once(session.token()).expect("a token"));
        withdrawn
    });
    assert_eq!(at_once_again.count(), 4);
}

// Rule B9.
#[test]
fn a_login_fills_the_budget_again() {
    let script = Scripted::new();
    let (session, _) = fresh(&script);
    rejected_while_it_helps(&session);
    let spent = script.requests();
    at_once(session.install(Grant::new("at-x", "rt-x", HOUR))).expect("no store");
    let installed = at_once(session.token()).expect("installed");
    assert_eq!(session.reject(&installed), Rejection::Withdrawn);
    assert!(at_once(session.token()).is_ok());
    assert_eq!(script.requests(), spent + 1);
}

// Rule B9.
#[test]
fn a_token_is_kept_that_lives_as_long_as_was_asked_for() {
    let script = Scripted::new();
    let (session, time) = fresh(&script);
    assert_eq!(text(at_once(session.token_valid_for(HOUR / 2))), "at-1");
    time.advance(45 * 60 * SECOND);
    assert_eq!(text(at_once(session.token())), "at-1");
    assert_eq!(text(at_once(session.token_valid_for(HOUR / 2))), "at-2");
    assert_eq!(script.requests(), 1);
}

// Rules B9, B5.
#[test]
fn who_wants_a_longer_life_than_the_server_grants_is_told_so_once() {
    let script = Scripted::new();
    let (session, _) = fresh(&script);
    let error = at_once(session.token_valid_for(2 * HOUR)).expect_err("none lives as long");
    assert!(error.is_too_brief());
    assert_eq!(script.requests(), 1);
    assert_eq!(text(at_once(session.token())), "at-2");
}

// Rules C7, B5. Others are served while one waits for a longer life.
#[test]
fn waiting_for_a_longer_life_keeps_nobody_else_waiting() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time) = fresh(&script);
    time.advance(45 * 60 * SECOND);
    let mut demanding = Hand::new(session.token_valid_for(HOUR / 2));
    demanding.pending();
    demanding.pending();
    assert_eq!(text(at_once(session.token())), "at-1");
    script.release(Response::Fail(RefreshError::unavailable("no connection")));
    assert!(demanding.ready().expect_err("the attempt failed").is_unavailable());
    assert_eq!(text(at_once(session.token())), "at-1");
}

// Rule C7.
#[test]
fn try_token_waits_for_nothing_and_starts_nothing_that_nobody_drives() {
    let script = Scripted::new();
    let (session, time) = fresh(&script);
    assert_eq!(text(session.try_token()), "at-1");
    time.advance(DUE);
    assert_eq!(text(session.try_token()), "at-1");
    assert_eq!(session.state(), State::Expiring);
    time.advance(HOUR);
    let error = session.try_token().expect_err("lapsed");
    assert!(error.is_not_ready() && !error.is_login_required());
    assert_eq!((script.requests(), session.state()), (0, State::Expired(Remedy::Refresh)));
    assert_eq!(text(at_once(session.token())), "at-2");
    assert_eq!(text(session.try_token()), "at-2");
}

// Rule C7.
#[test]
fn try_token_starts_a_refresh_that_a_task_drives() {
    let (script, tasks) = (Scripted::new(), Tasks::default());
    let time = VirtualTime::at(START);
    let session = builder(&script, &time).spawner(tasks.spawner()).build().expect("sendable");
    time.advance(HOUR);
    assert!(session.try_token().expect_err("lapsed").is_not_ready());
    assert!(session.try_token().expect_err("it is out").is_not_ready());
    assert_eq!(tasks.len(), 1);
    tasks.run();
    assert_eq!(text(session.try_token()), "at-2");
    assert_eq!(script.requests(), 1);
}

// Rule B11.
#[test]
fn with_no_grant_everybody_is_told_to_log_in() {
    let script = Scripted::new();
    let session = Session::builder_with(script.clone()).build().expect("nothing to check");
    for error in [session.try_token(), at_once(session.token()), session.token_blocking()] {
        let error = error.expect_err("no grant");
        assert!(error.is_login_required());
        assert_eq!(error.to_string(), "there is no grant: log in, and install it");
    }
    assert_eq!(script.requests(), 0);
}

// Rule B1.
#[test]
fn a_grant_of_a_refresh_token_alone_is_renewed_by_the_first_caller() {
    let time = VirtualTime::at(START);
    let script = Scripted::new();
    let session = builder(&script, &time).grant(Grant::of_refresh_token("rt-9"));
    let session = session.build().expect("sendable");
    assert_eq!(text(at_once(session.token())), "at-2");
    assert_eq!(script.presented(), [Some("rt-9".to_owned())]);
}

// Rule C2.
#[test]
fn a_refresher_that_needs_no_grant_is_asked_without_one() {
    let time = VirtualTime::at(START);
    let session = Session::builder(|request: Request| async move {
        assert!(request.grant().is_none() && request.refresh_token().is_none());
        Ok(Grant::of_access_token("at-cc", Duration::from_secs(60)))
    });
    let session = session.clock(time.clone()).without_grant().build().expect("nothing to check");
    assert_eq!(text(at_once(session.token())), "at-cc");
}

// Rule B14. An answer with no refresh token, or an empty one, means: keep the one there is.
#[test]
fn what_an_answer_leaves_unsaid_stays_as_it_was() {
    let answers = [
        Grant::of_access_token("at-2", HOUR),
        Grant::new("at-3", "", HOUR),
        Grant::new("at-4", "rt-1", HOUR).with_field("scope", "b"),
    ];
    let script =
        answers.into_iter().fold(Scripted::new(), |s, grant| s.then(Response::Grant(grant)));
    let time = VirtualTime::at(START);
    let seed =
        crate::session_support::first_grant().with_field("scope", "a").with_field("id_token", "i");
    let session = builder(&script, &time).grant(seed).build().expect("sendable");
    for number in 2..5 {
        time.advance(2 * HOUR);
        assert_eq!(text(at_once(session.token())), format!("at-{number}"));
    }
    assert!(script.presented().iter().all(|token| token.as_deref() == Some("rt-1")));
    let grant = session.grant().expect("held");
    let field = |name| grant.field(name).map(|secret| secret.expose().to_owned());
    assert_eq!((field("scope").as_deref(), field("id_token").as_deref()), (Some("b"), Some("i")));
}

// Rule C3.
#[test]
fn a_watch_ends_with_every_change_and_not_by_time_alone() {
    let script = Scripted::new()
        .then(Response::Grant(Scripted::grant(1)))
        .then(Response::Fail(RefreshError::unavailable("no connection")));
    let (session, time) = fresh(&script);
    let watch = || {
        let mut watch = Hand::new(session.changed());
        watch.pending();
        watch
    };
    let mut unmoved = watch();
    time.advance(HOUR);
    let _ = session.try_token();
    unmoved.pending();
    assert_eq!(unmoved.woken(), 0);
    let token = at_once(session.token()).expect("refreshed");
    assert_eq!(unmoved.woken(), 1);
    unmoved.ready();
    let mut rejected = watch();
    session.reject(&token);
    assert_eq!(rejected.woken(), 1);
    rejected.ready();
    let mut failed = watch();
    assert!(at_once(session.token()).is_err());
    assert_eq!(failed.woken(), 1);
    failed.ready();
}

// Rule C3.
#[test]
fn a_watch_is_woken_by_a_login_and_by_a_logout() {
    let (session, _) = fresh(&Scripted::new());
    let mut watch = Hand::new(session.changed());
    watch.pending();
    at_once(session.logout()).expect("no store");
    assert_eq!(watch.woken(), 1);
    watch.ready();
    let mut watch = Hand::new(session.changed());
    watch.pending();
    at_once(session.install(crate::session_support::first_grant())).expect("no store");
    assert_eq!(watch.woken(), 1);
    watch.ready();
}

// Rule C3.
#[test]
fn everybody_who_watches_is_woken() {
    let (session, _) = fresh(&Scripted::new());
    let mut watches: Vec<_> = (0..3).map(|_| Hand::new(session.changed())).collect();
    watches.iter_mut().for_each(Hand::pending);
    at_once(session.logout()).expect("no store");
    for watch in &mut watches {
        assert_eq!(watch.woken(), 1);
        watch.ready();
    }
}

struct Counted;

impl Wake for Counted {
    fn wake(self: Arc<Self>) {}
}

// Rule C3.
#[test]
fn a_watch_that_was_dropped_is_forgotten() {
    let (session, _) = fresh(&Scripted::new());
    let counted = Arc::new(Counted);
    for _ in 0..10 {
        let mut watch = Hand::new(session.changed());
        assert!(watch.poll_with(&Waker::from(Arc::clone(&counted))).is_pending());
        // Polled again, it registers once.
        assert!(watch.poll_with(&Waker::from(Arc::clone(&counted))).is_pending());
        assert_eq!(Arc::strong_count(&counted), 2);
    }
    assert_eq!(Arc::strong_count(&counted), 1);
}

// Rule C4.
#[test]
fn a_keeper_that_was_dropped_is_forgotten() {
    let (session, time) = fresh(&Scripted::new());
    let counted = Arc::new(Counted);
    for _ in 0..10 {
        let mut keeper = Hand::new(session.keep_fresh(time.clone()));
        assert!(keeper.poll_with(&Waker::from(Arc::clone(&counted))).is_pending());
    }
    assert_eq!(Arc::strong_count(&counted), 1);
}

// Rule C4.
#[test]
fn a_caller_that_was_dropped_is_forgotten() {
    let script = Scripted::new().then(Response::Hang);
    let (session, _) = lapsed(&script);
    let counted = Arc::new(Counted);
    for _ in 0..10 {
        let mut caller = Hand::new(session.token());
        assert!(caller.poll_with(&Waker::from(Arc::clone(&counted))).is_pending());
    }
    assert_eq!(Arc::strong_count(&counted), 1);
}

// Rules B14, G1. Two refreshes ran with empty tokens: Alamofire#3290.
#[test]
fn a_login_with_a_token_that_could_not_be_sent_is_refused_and_changes_nothing() {
    let (session, _) = fresh(&Scripted::new());
    for grant in
        [Grant::new("", "rt", HOUR), Grant::new("at", "", HOUR), Grant::new("a\n", "r", HOUR)]
    {
        let error = at_once(session.install(grant)).expect_err("it could not be sent");
        assert_eq!(error.to_string(), "the grant cannot be installed");
        assert!(std::error::Error::source(&error).is_some());
        assert!(!error.is_login_required() && !error.is_unavailable());
    }
    assert_eq!(text(session.try_token()), "at-1");
}

// Rules B10, B14. Such an answer is understood in half: its refresh token is kept.
#[test]
fn an_access_token_that_could_not_be_sent_is_never_handed_out() {
    for bad in ["", "at\r\nX: y", "at-\u{e9}"] {
        let script = Scripted::new().then(Response::Grant(Grant::new(bad, "rt-2", HOUR)));
        let (session, time) = lapsed(&script);
        assert!(at_once(session.token()).expect_err("of no use").is_unavailable());
        time.advance(SECOND);
        assert_eq!(text(at_once(session.token())), "at-3");
        assert_eq!(script.presented()[1].as_deref(), Some("rt-2"));
    }
}

// Rule G1. A grant that could not be sent is refused when the session is built.
#[test]
fn an_unsendable_grant_is_refused_and_not_shown() {
    let time = VirtualTime::at(START);
    let build = |grant| {
        let error = standard(Session::builder_with(Scripted::new()), &time).grant(grant).build();
        error.expect_err("it cannot be sent").to_string()
    };
    assert_eq!(
        build(Grant::new("at\n", "rt", HOUR)),
        "the grant's access token holds a character that no HTTP header may carry"
    );
    assert_eq!(
        build(Grant::new("at", "", HOUR)),
        "the grant's refresh token is empty: leave it out instead"
    );
}

// Rules B5, B13, C7.
#[test]
fn an_early_refresh_that_hangs_is_given_up_at_its_deadline_though_nobody_waits_for_it() {
    let script = Scripted::new().then(Response::Hang);
    let time = VirtualTime::at(START);
    let policy = Policy::builder().reuse(Reuse::Unrotated).build().expect("it can be kept");
    let session = builder(&script, &time).policy(policy).build().expect("the grant can be sent");
    time.advance(DUE);
    assert_eq!(text(at_once(session.token())), "at-1");
    time.advance(31 * SECOND);
    assert_eq!(text(at_once(session.token())), "at-1");
    // The hung one was judged by that caller; after backoff the next one tries again.
    time.advance(SECOND);
    assert_eq!(text(at_once(session.token())), "at-1");
    assert_eq!(script.requests(), 2);
    assert_eq!(text(at_once(session.token())), "at-3");
}
