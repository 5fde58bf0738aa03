//! One flight for all callers of one thread, whoever drives it, drops it or lets it lie.

use std::rc::Rc;
use std::thread;
use std::time::Duration;

use perennial::lifecycle::State;
use perennial::refresh::{RefreshError, Request};
use perennial::session::{LocalSession, Rejection};
use perennial::testing::{Response, Scripted, VirtualTime};

use super::support::{Bound, lapsed, lapsed_of, standard, waiting};
use crate::session_support::{HOUR, Hand, SECOND, START, WAITING, at_once, block_on, text};

// Rules B3, C2.
#[test]
fn any_number_of_callers_make_one_request() {
    let script = Scripted::new().then(Response::Hang);
    let (session, _) = lapsed(&script);
    let mut callers: Vec<_> = (0..50).map(|_| waiting(&session)).collect();
    assert_eq!(session.state(), WAITING);
    script.release(Response::Grant(Scripted::grant(1)));
    for caller in &mut callers {
        assert_eq!(text(caller.ready()), "at-2");
    }
    assert_eq!(script.presented(), [Some("rt-1".to_owned())]);
}

// Rules C3, C4.
#[test]
fn dropping_any_callers_at_any_moment_neither_cancels_nor_repeats_the_refresh() {
    // Each of three callers is dropped at one of four moments: unpolled, waiting, after the
    // answer has come, or not at all.
    for plan in 0..4_usize.pow(3) {
        let moments = [plan % 4, plan / 4 % 4, plan / 16 % 4];
        let script = Scripted::new().then(Response::Hang);
        let (session, _) = lapsed(&script);
        let mut callers: Vec<_> =
            moments.into_iter().map(|moment| Some((moment, Hand::new(session.token())))).collect();
        let drop_at = |moment: usize, callers: &mut Vec<Option<(usize, Hand<_>)>>| {
            for caller in callers.iter_mut() {
                let _dropped = caller.take_if(|(at, _)| *at == moment);
            }
        };
        drop_at(0, &mut callers);
        callers.iter_mut().flatten().for_each(|(_, caller)| caller.pending());
        drop_at(1, &mut callers);
        script.release(Response::Grant(Scripted::grant(1)));
        drop_at(2, &mut callers);
        for (_, mut caller) in callers.into_iter().flatten() {
            assert!(caller.woken() > 0 || session.state() == State::Valid, "{moments:?}");
            assert_eq!(text(caller.ready()), "at-2", "{moments:?}");
        }
        assert_eq!(text(at_once(session.token())), "at-2", "{moments:?}");
        assert_eq!((script.requests(), script.dropped()), (1, 0), "{moments:?}");
    }
}

// Rules C3, C4.
#[test]
fn a_driver_dropped_while_the_server_answers_leaves_the_answer_to_the_next() {
    let script = Scripted::new().then(Response::Hang);
    let (session, _) = lapsed(&script);
    let driver = waiting(&session);
    let (deputy, mut third) = (waiting(&session), waiting(&session));
    script.release(Response::Grant(Scripted::grant(1)));
    drop((deputy, driver));
    assert!(third.woken() > 0, "nobody was left who knew");
    assert_eq!(text(third.ready()), "at-2");
    assert_eq!((script.requests(), script.dropped()), (1, 0));
}

// Rules C3, C4.
#[test]
fn a_driver_that_is_no_longer_polled_blocks_nobody() {
    let script = Scripted::new().then(Response::Hang);
    let (session, _) = lapsed(&script);
    let driver = waiting(&session);
    let mut deputy = waiting(&session);
    script.release(Response::Grant(Scripted::grant(1)));
    assert_eq!((driver.woken(), deputy.woken()), (1, 1));
    assert_eq!(text(deputy.ready()), "at-2");
}

// Rules C2, C3. The answer is sent by another thread; the refresher itself never moves.
#[test]
fn a_wake_up_from_another_thread_arrives() {
    let (session, _) = lapsed_of(LocalSession::builder(|_: Request| {
        let home = thread::current().id();
        let (sender, receiver) = futures::channel::oneshot::channel();
        thread::spawn(move || sender.send(Scripted::grant(1)));
        let held = Rc::new(());
        async move {
            let grant = receiver.await.expect("sent");
            drop(held);
            assert_eq!(thread::current().id(), home);
            Ok(grant)
        }
    }));
    assert_eq!(text(block_on(session.token())), "at-2");
}

// Rules B7, C2.
#[test]
fn a_failure_is_told_to_all_who_wait() {
    let script = Scripted::new().then(Response::Hang);
    let (session, _) = lapsed(&script);
    let mut callers = [waiting(&session), waiting(&session), waiting(&session)];
    script.release(Response::Fail(RefreshError::unavailable("no connection")));
    for caller in &mut callers {
        assert!(caller.ready().expect_err("it failed").is_unavailable());
    }
    assert_eq!(script.requests(), 1);
}

// Rules B4, C2.
#[test]
fn two_sessions_of_one_thread_ask_each_its_own_refresher() {
    let scripts = [Scripted::new().then(Response::Hang), Scripted::new().then(Response::Hang)];
    let sessions = [lapsed(&scripts[0]).0, lapsed(&scripts[1]).0];
    let mut callers = [waiting(&sessions[0]), waiting(&sessions[1])];
    scripts[1].release(Response::Grant(Scripted::grant(6)));
    callers[0].pending();
    assert_eq!(text(callers[1].ready()), "at-7");
    scripts[0].release(Response::Grant(Scripted::grant(1)));
    assert_eq!(text(callers[0].ready()), "at-2");
    assert_eq!((scripts[0].requests(), scripts[1].requests()), (1, 1));
}

// Rules B13, C8.
#[test]
fn the_wishes_of_a_local_caller_are_kept() {
    let script = Scripted::new()
        .then(Response::Hang)
        .then(Response::Fail(RefreshError::unavailable("no connection")))
        .then(Response::Grant(Scripted::grant(3)));
    let time = VirtualTime::at(START);
    let builder = standard(LocalSession::builder_with(Bound::new(&script)), &time);
    let session = builder.timer(time.clone()).build().expect("sendable");
    // Usable for longer than it lives.
    let long = Duration::from_secs(3595);
    let mut choosy = Hand::new(session.token_valid_for(long));
    choosy.pending();
    let mut hasty = Hand::new(session.token().valid_for(long).within(SECOND));
    hasty.pending();
    time.advance(SECOND);
    assert!(hasty.ready().expect_err("a limit").is_timeout());
    script.release(Response::Grant(Scripted::grant(1)));
    assert!(choosy.ready().expect_err("an hour, no longer").is_too_brief());
    time.advance(HOUR);
    let mut patient = Hand::new(session.token_within(HOUR));
    patient.pending();
    let mut other = Hand::new(session.token().retry_for(HOUR));
    other.pending();
    time.advance(SECOND);
    assert!(patient.woken() > 0 && other.woken() > 0);
    assert_eq!(text(patient.ready()), "at-4");
    assert_eq!(text(other.ready()), "at-4");
    assert!(session.is_saved());
    assert_eq!(session.with_token(|token| token.expose().len()).ok(), Some(4));
}

// Rules B8, B9.
#[test]
fn what_is_accepted_and_rejected_is_told_to_the_inner_session() {
    let script = Scripted::new();
    let (session, _) = lapsed(&script);
    for requests in 1..=4 {
        let token = at_once(session.token()).expect("a token");
        assert_eq!(script.requests(), requests);
        session.accept(&token);
        let paid = if requests < 4 { Rejection::Withdrawn } else { Rejection::Kept };
        assert_eq!(session.reject(&token), paid);
    }
    session.recovered(&at_once(session.token()).expect("kept"));
    let token = at_once(session.token()).expect("kept");
    assert_eq!(session.reject(&token), Rejection::Withdrawn);
}
