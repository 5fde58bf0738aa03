//! Driving without a caller, a logout while a refresh is out, and hooks.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use perennial::session::LocalSession;
use perennial::testing::{Response, Scripted, VirtualTime};
use perennial::token::Grant;

use super::support::{Bound, LocalTasks, lapsed_of, standard, waiting};
use crate::session_support::{DUE, Hand, START, at_once, first_grant, text};

// Rules C4, C7.
#[test]
fn a_spawned_refresh_goes_on_when_all_callers_are_gone() {
    let script = Scripted::new().then(Response::Hang);
    let tasks = LocalTasks::default();
    let builder = LocalSession::builder_with(Bound::new(&script)).spawner(tasks.spawner());
    let (session, _) = lapsed_of(builder);
    drop(waiting(&session));
    tasks.run();
    script.release(Response::Grant(Scripted::grant(1)));
    assert!(tasks.woken() > 0, "nobody would know");
    tasks.run();
    assert_eq!((text(session.try_token()), tasks.len()), ("at-2".to_owned(), 0));
    assert_eq!((script.requests(), script.dropped()), (1, 0));
}

// Rule C9.
#[test]
fn a_spawned_refresh_runs_on_when_the_last_handle_is_gone() {
    let script = Scripted::new().then(Response::Hang);
    let (tasks, rotated) = (LocalTasks::default(), Rc::new(Cell::new(0)));
    let count = Rc::clone(&rotated);
    let builder = LocalSession::builder_with(Bound::new(&script))
        .spawner(tasks.spawner())
        .on_rotate(move |_| count.set(count.get() + 1));
    let (session, _) = lapsed_of(builder);
    drop(waiting(&session));
    tasks.run();
    drop(session);
    script.release(Response::Grant(Scripted::grant(1)));
    tasks.run();
    assert_eq!((script.requests(), script.dropped(), rotated.get(), tasks.len()), (1, 0, 1, 0));
    assert_eq!(Rc::strong_count(&rotated), 1, "nothing is left of the session");
}

// Rules B12, C9.
#[test]
fn a_keeper_renews_the_token_with_no_caller_and_ends_with_the_last_handle() {
    let script = Scripted::new();
    let time = VirtualTime::at(START);
    let builder = standard(LocalSession::builder_with(Bound::new(&script)), &time);
    let session = builder.build().expect("sendable");
    let mut keeper = Hand::new(session.keep_fresh(time.clone()));
    keeper.pending();
    assert_eq!(script.requests(), 0);
    for renewed in 1..=5 {
        time.set(time.next_alarm().expect("it sleeps"));
        assert!(keeper.woken() > 0);
        keeper.pending();
        assert_eq!(script.requests(), renewed);
    }
    assert_eq!(text(session.try_token()), "at-6");
    let woken = keeper.woken();
    drop(session);
    time.advance(DUE);
    assert!(keeper.woken() > woken, "an alarm rang for nobody");
    keeper.ready();
    assert_eq!(script.requests(), 5);
}

// Rules B11, B14.
#[test]
fn a_refresh_that_a_logout_overtakes_is_revoked_by_the_local_refresher() {
    let script = Scripted::new().then(Response::Hang);
    let refresher = Bound::new(&script);
    let polls = Rc::clone(&refresher.polls);
    let (session, _) = lapsed_of(LocalSession::builder_with(refresher));
    let mut caller = waiting(&session);
    at_once(session.logout()).expect("no store");
    assert!(caller.ready().expect_err("logged out").is_login_required());
    script.release(Response::Grant(Scripted::grant(1)));
    at_once(session.close()).expect("all has landed");
    assert_eq!(script.revoked(), ["rt-2"]);
    assert_eq!(polls.get(), 3, "two of the refresh, one of the revocation");
    assert!(at_once(session.token()).expect_err("logged out").is_login_required());
    at_once(session.install(first_grant())).expect("no store");
    assert_eq!(text(session.try_token()), "at-1");
}

// Rules B14, F2.
#[test]
fn hooks_are_called_on_the_sessions_thread_and_need_not_be_sent() {
    let script = Scripted::new().then(Response::Hang).then(Response::Hang);
    let told: Rc<RefCell<Vec<String>>> = Rc::default();
    let (rotations, orphans) = (Rc::clone(&told), Rc::clone(&told));
    let named = |what: &str, grant: &Grant| {
        format!("{what} {}", grant.refresh_token().expect("scripted").expose())
    };
    let builder = LocalSession::builder_with(Bound::new(&script))
        .on_rotate(move |grant| rotations.borrow_mut().push(named("rotated", grant)))
        .on_orphan(move |grant| orphans.borrow_mut().push(named("orphan", &grant)));
    let (session, _) = lapsed_of(builder);
    let mut caller = waiting(&session);
    script.release(Response::Grant(Scripted::grant(1)));
    session.reject(&caller.ready().expect("a token"));
    let _overtaken = waiting(&session);
    at_once(session.logout()).expect("no store");
    script.release(Response::Grant(Scripted::grant(2)));
    at_once(session.close()).expect("all has landed");
    assert_eq!(told.take(), ["rotated rt-2", "orphan rt-3"]);
    assert_eq!(script.revoked(), [""; 0]);
}

#[test]
fn a_hook_for_events_need_not_be_sent_and_is_called_from_the_first_event_to_the_last() {
    let told: Rc<RefCell<Vec<&'static str>>> = Rc::default();
    let names = Rc::clone(&told);
    let builder = LocalSession::builder_with(Bound::new(&Scripted::new()))
        .on_event(move |event| names.borrow_mut().push(event.kind.name()));
    let (session, _) = lapsed_of(builder);
    at_once(session.token()).expect("the server grants");
    drop(session);
    let expected = [
        "session.started",
        "refresh.started",
        "refresh.succeeded",
        "token.waited",
        "session.ended",
    ];
    assert_eq!(told.take(), expected);
}
