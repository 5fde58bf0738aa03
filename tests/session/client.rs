//! Sessions of one client, which its server does not accept for a while: they share one backoff.

use std::error::Error as _;

use crate::session_support::{
    DUE, HALF_A_SECOND, HOUR, Hand, SECOND, START, at_once, builder, text, waiting,
};
use perennial::clock::Clock;
use perennial::lifecycle::Policy;
use perennial::refresh::{ClientBackoff, Refresh, RefreshError, Request};
use perennial::session::Session;
use perennial::testing::{Response, Scripted, VirtualTime};
use perennial::time::Span;
use perennial::token::Grant;

fn refused() -> Response {
    Response::Fail(RefreshError::misconfigured("invalid_client"))
}

/// Sessions of one client on one clock, whose tokens have lapsed.
fn lapsed<const N: usize>(scripts: [&Scripted; N]) -> ([Session; N], VirtualTime) {
    let (time, shared) = (VirtualTime::at(START), ClientBackoff::default());
    let session = |script: &Scripted| {
        let builder = builder(script, &time).client_backoff(shared.clone());
        builder.build().expect("sendable")
    };
    let sessions = scripts.map(session);
    time.advance(HOUR);
    (sessions, time)
}

// Rule B6.
#[test]
fn a_session_whose_client_was_refused_for_another_one_does_not_ask() {
    let (first, second) = (Scripted::new().then(refused()), Scripted::new());
    let ([one, other], time) = lapsed([&first, &second]);
    assert!(at_once(one.token()).expect_err("refused").is_misconfigured());
    let error = at_once(other.token()).expect_err("it does not ask");
    assert!(error.is_misconfigured() && !error.may_need_login());
    let source = error.source().expect("it says why").to_string();
    assert!(source.contains("not sent") && source.contains("for another"), "{source}");
    let least = time.now().saturating_add(Span::from_secs(30));
    assert!(error.when_to_retry().expect("it says when") >= least);
    assert_eq!((first.requests(), second.requests()), (1, 0));
}

// Rule B6. A refresher that brings its client's is what counts, over what the builder was given.
#[test]
fn a_refresher_may_bring_what_its_sessions_share() {
    struct Client(Scripted, ClientBackoff);

    impl Refresh for Client {
        fn refresh(
            &self,
            request: Request,
        ) -> impl Future<Output = Result<Grant, RefreshError>> + Send + 'static {
            Refresh::refresh(&self.0, request)
        }

        fn client_backoff(&self) -> Option<ClientBackoff> {
            Some(self.1.clone())
        }
    }

    let (script, shared) = (Scripted::new().then(refused()), ClientBackoff::default());
    let time = VirtualTime::at(START);
    let sessions = [(); 2].map(|()| {
        let builder = Session::builder_with(Client(script.clone(), shared.clone()));
        let builder = crate::session_support::standard(builder, &time);
        builder.client_backoff(ClientBackoff::default()).build().expect("sendable")
    });
    time.advance(HOUR);
    for session in &sessions {
        assert!(at_once(session.token()).expect_err("refused").is_misconfigured());
    }
    assert_eq!(script.requests(), 1);
}

// Rule B6.
#[test]
fn the_first_success_lifts_it_for_all_who_have_not_been_refused() {
    let (first, second) = (Scripted::new().then(refused()), Scripted::new().then(Response::Hang));
    let third = Scripted::new();
    let ([one, other, last], _time) = lapsed([&first, &second, &third]);
    let mut waits = waiting(&other);
    assert!(at_once(one.token()).expect_err("refused").is_misconfigured());
    second.release(Response::Grant(Scripted::grant(1)));
    assert_eq!(text(waits.ready()), "at-2");
    assert_eq!(text(at_once(last.token())), "at-2");
}

// Rule B6. All had been held off until the same instant.
#[test]
fn once_it_is_over_one_session_asks_and_the_others_wait_for_what_it_is_told() {
    let (first, second) = (Scripted::new().then(refused()), Scripted::new());
    let third = Scripted::new().then(Response::Hang);
    let ([one, other, last], time) = lapsed([&first, &second, &third]);
    assert!(at_once(one.token()).expect_err("refused").is_misconfigured());
    time.advance(30 * SECOND);
    let mut asks = waiting(&last);
    assert!(at_once(other.token()).expect_err("another one asks").is_misconfigured());
    assert_eq!((second.requests(), third.requests()), (0, 1));
    third.release(Response::Grant(Scripted::grant(1)));
    assert_eq!(text(asks.ready()), "at-2");
    time.advance(30 * SECOND);
    assert_eq!(text(at_once(other.token())), "at-2");
}

// Rule B6. It was given up, and is told of only then: others were refused since.
#[test]
fn a_refusal_that_is_heard_late_does_not_let_others_ask_sooner() {
    // Its own backoff, for want of an answer, is not over yet, or is.
    for wait in [HALF_A_SECOND / 2, HALF_A_SECOND] {
        let first = Scripted::new().then(Response::Hang);
        let (second, third) = (Scripted::new().then(refused()), Scripted::new());
        let ([one, other, last], time) = lapsed([&first, &second, &third]);
        drop(waiting(&one));
        time.advance(30 * SECOND);
        assert!(at_once(one.token()).is_err());
        time.advance(wait);
        assert!(at_once(other.token()).expect_err("refused").is_misconfigured());
        first.release(refused());
        assert!(at_once(one.token()).is_err());
        time.advance(29 * SECOND);
        assert!(at_once(last.token()).expect_err("not yet").is_misconfigured());
        assert_eq!(third.requests(), 0, "{wait:?}");
    }
}

// Rule A5. No instant is waited for from further away than the longest backoff.
#[test]
fn a_clock_that_is_set_back_holds_no_session_off_for_longer_than_the_longest_backoff() {
    let (first, second) = (Scripted::new().then(refused()), Scripted::new());
    let ([one, other], time) = lapsed([&first, &second]);
    time.advance(1000 * HOUR);
    assert!(at_once(one.token()).expect_err("refused").is_misconfigured());
    time.set(START.saturating_add(HOUR.into()));
    let error = at_once(other.token()).expect_err("not yet");
    let longest = time.now().saturating_add(Policy::default().misconfigured_cap().into());
    assert!(error.when_to_retry().expect("it says when") <= longest);
    time.set(longest);
    assert_eq!(text(at_once(other.token())), "at-2");
}

// Rules B5, B6.
#[test]
fn a_session_that_does_not_ask_serves_the_token_that_works() {
    let (script, time) = (Scripted::new().then(refused()), VirtualTime::at(START));
    let shared = ClientBackoff::default();
    let sessions = [(); 2].map(|()| {
        builder(&script, &time).client_backoff(shared.clone()).build().expect("sendable")
    });
    time.advance(DUE);
    for session in &sessions {
        for _ in 0..3 {
            assert_eq!(text(at_once(session.token())), "at-1");
        }
    }
    assert_eq!(script.requests(), 1);
    let mut unused = Hand::new(sessions[0].token());
    assert_eq!(text(unused.ready()), "at-1");
}

// Rule B6. It asks for what it may not have, for ever; the others are asked every ten seconds, in an
// order that changes, and their tokens live for an hour.
#[test]
fn a_session_that_is_refused_for_ever_keeps_no_other_from_asking_for_more_than_half_a_minute() {
    for bad in [1, 10] {
        let (time, shared) = (VirtualTime::at(START), ClientBackoff::default());
        let session = |refused: bool| {
            let refresher = move |_: Request| {
                let refusal = RefreshError::misconfigured("invalid_scope");
                let answer = if refused { Err(refusal) } else { Ok(Scripted::grant(1)) };
                async move { answer }
            };
            let builder = crate::session_support::standard(Session::builder(refresher), &time);
            builder.client_backoff(shared.clone()).build().expect("sendable")
        };
        let sessions: Vec<_> = (0..40).map(|number| session(number < bad)).collect();
        time.advance(HOUR / 2);
        let mut failed = vec![0; sessions.len()];
        for tick in 0..2 * 360 {
            for place in 0..sessions.len() {
                let number = (place * 7 + tick * 11) % sessions.len();
                failed[number] += usize::from(at_once(sessions[number].token()).is_err());
            }
            time.advance(10 * SECOND);
        }
        let (refused, good) = failed.split_at(bad);
        assert!(refused.iter().all(|calls| *calls > 300), "{refused:?}");
        // The first calls come before its instant is over, the last one just then.
        assert!(good.iter().all(|calls| *calls <= 3 * bad + 3), "{good:?}");
    }
}

// Rule B6. Its refresh token is dead, so the client was accepted.
#[test]
fn the_refusal_of_a_refresh_token_lifts_it() {
    let (first, third) = (Scripted::new().then(refused()), Scripted::new());
    let second = Scripted::new().then(Response::Fail(RefreshError::declined("invalid_grant")));
    let ([one, other, last], time) = lapsed([&first, &second, &third]);
    assert!(at_once(one.token()).expect_err("refused").is_misconfigured());
    time.advance(30 * SECOND);
    assert!(at_once(other.token()).expect_err("declined").is_login_required());
    assert_eq!(text(at_once(last.token())), "at-2");
}

// Rule B6. What it is held off for is another's refusal, however often.
#[test]
fn a_session_that_was_held_off_asks_within_half_a_minute_of_the_first_success() {
    let first = (0..8).fold(Scripted::new(), |script, _| script.then(refused()));
    let second = Scripted::new();
    let ([one, other], time) = lapsed([&first, &second]);
    // The first of them is always there first, and the server does not accept the client for a while.
    let mut recovered = None;
    for second in 0..7200 {
        let good = at_once(one.token()).is_ok();
        recovered = recovered.or(good.then_some(second));
        let works = at_once(other.token()).is_ok();
        let late = recovered.is_some_and(|since| second > since + 30);
        assert!(works || !late, "{second} s, and good since {recovered:?}");
        time.advance(SECOND);
    }
    assert!(recovered.is_some(), "it does not recover");
}
