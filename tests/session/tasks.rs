//! Driving without a caller: spawned refreshes, the keeper, closing, and the last handle.

use std::future::poll_fn;
use std::task::Poll;

use crate::session_support::{
    DUE, HALF_A_SECOND, HOUR, Hand, SECOND, START, Tasks, at_once, builder, lapsed,
    lapsed_with_timer, standard, text, waiting, watched,
};
use perennial::clock::Clock as _;
use perennial::lifecycle::State;
use perennial::refresh::{RefreshError, Request};
use perennial::session::Session;
use perennial::store::MemoryStore;
use perennial::testing::{Response, Scripted, VirtualTime};
use perennial::token::Secret;

fn spawning(script: &Scripted) -> (Session, VirtualTime, Tasks) {
    let (time, tasks) = (VirtualTime::at(START), Tasks::default());
    let session = builder(script, &time).timer(time.clone()).spawner(tasks.spawner()).build();
    (session.expect("sendable"), time, tasks)
}

// Rule C4.
#[test]
fn a_spawned_refresh_goes_on_when_all_callers_are_gone() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time, tasks) = spawning(&script);
    time.advance(HOUR);
    drop(waiting(&session));
    tasks.run();
    script.release(Response::Grant(Scripted::grant(1)));
    assert!(tasks.woken() > 0, "nobody would know");
    tasks.run();
    assert_eq!((text(session.try_token()), tasks.len()), ("at-2".to_owned(), 0));
    assert_eq!((script.requests(), script.dropped()), (1, 0));
}

// Rules C2, C4.
#[test]
fn callers_and_the_spawned_task_share_one_flight() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time, tasks) = spawning(&script);
    time.advance(HOUR);
    let mut callers = [waiting(&session), waiting(&session)];
    tasks.run();
    script.release(Response::Grant(Scripted::grant(1)));
    assert_eq!(text(callers[1].ready()), "at-2");
    assert!(callers[0].woken() > 0 && tasks.woken() > 0);
    tasks.run();
    assert_eq!(text(callers[0].ready()), "at-2");
    assert_eq!((script.requests(), tasks.len()), (1, 0));
}

// Rule C4. The runtime shuts down, and drops the task that drove.
#[test]
fn a_spawned_task_that_is_dropped_hands_over_to_a_caller() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time, tasks) = spawning(&script);
    time.advance(HOUR);
    assert!(session.try_token().is_err());
    tasks.run();
    let mut first = waiting(&session);
    let mut second = waiting(&session);
    script.release(Response::Grant(Scripted::grant(1)));
    assert_eq!((tasks.woken(), first.woken(), second.woken()), (1, 1, 0));
    tasks.abort_all();
    assert_eq!(second.woken(), 1);
    assert_eq!(text(second.ready()), "at-2");
    assert_eq!(text(first.ready()), "at-2");
}

// Rules B13, C3.
#[test]
fn a_spawned_task_keeps_the_deadline_with_a_timer() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time, tasks) = spawning(&script);
    time.advance(DUE);
    assert_eq!(text(at_once(session.token())), "at-1");
    tasks.run();
    let mut watch = Hand::new(session.changed());
    watch.pending();
    time.advance(30 * SECOND);
    tasks.run();
    assert_eq!(watch.woken(), 1);
    assert_eq!((session.state(), text(session.try_token())), (State::Expiring, "at-1".to_owned()));
}

// Rule C5.
#[test]
fn a_spawner_that_panics_leaves_the_refresh_to_its_callers() {
    let script = Scripted::new();
    let time = VirtualTime::at(START);
    let session = builder(&script, &time).spawner(|_| panic!("no runtime here")).build();
    let session = session.expect("sendable");
    time.advance(HOUR);
    assert_eq!(text(at_once(session.token())), "at-2");
}

/// Advances to the next alarm, and polls `keeper` as an executor would.
fn run_until<F: Future<Output = ()>>(
    keeper: &mut Hand<F>,
    time: &VirtualTime,
    end: core::time::Duration,
) {
    let end = START.saturating_add(end.into());
    while let Some(alarm) = time.next_alarm().filter(|alarm| *alarm <= end) {
        let before = keeper.woken();
        time.set(alarm);
        assert!(keeper.woken() > before, "an alarm rang for nobody");
        keeper.pending();
    }
    time.set(end);
}

// Rules B12, C9. A timer that was set before the machine slept: auth0-spa-js#343.
#[test]
fn a_keeper_renews_the_token_with_no_caller() {
    let script = Scripted::new();
    let time = VirtualTime::at(START);
    let session = builder(&script, &time).build().expect("sendable");
    let mut keeper = Hand::new(session.keep_fresh(time.clone()));
    keeper.pending();
    assert_eq!(script.requests(), 0);
    run_until(&mut keeper, &time, 5 * HOUR);
    // Each lives for an hour and is renewed five minutes before.
    assert_eq!(script.requests(), 5);
    assert_eq!(text(session.try_token()), "at-6");
}

// Rules B7, C9. Exhausted retries kill the task: google-cloud-rust#4541.
#[test]
fn a_keeper_survives_failures_and_backs_off() {
    let failures = 40;
    let script = (0..failures).fold(Scripted::new(), |script, _| {
        script.then(Response::Fail(RefreshError::unavailable("no connection")))
    });
    let time = VirtualTime::at(START);
    let session = builder(&script, &time).build().expect("sendable");
    let mut keeper = Hand::new(session.keep_fresh(time.clone()));
    keeper.pending();
    run_until(&mut keeper, &time, 2 * HOUR);
    assert_eq!(script.requests(), failures + 1);
    assert!(session.try_token().is_ok());
}

// Rule B6.
#[test]
fn a_keeper_waits_for_a_login_once_the_server_has_declined() {
    let script = Scripted::new().then(Response::Fail(RefreshError::declined("invalid_grant")));
    let time = VirtualTime::at(START);
    let session = builder(&script, &time).build().expect("sendable");
    let mut keeper = Hand::new(session.keep_fresh(time.clone()));
    keeper.pending();
    run_until(&mut keeper, &time, 3 * HOUR);
    assert_eq!(script.requests(), 1);
    assert_eq!(time.next_alarm(), None);
    at_once(session.install(crate::session_support::first_grant())).expect("no store");
    assert!(keeper.woken() > 0);
    keeper.pending();
    run_until(&mut keeper, &time, 3 * HOUR + DUE);
    assert_eq!(script.requests(), 2);
}

// Rules B13, C4. A hung refresh is judged, and another one is sent.
#[test]
fn a_keeper_gives_up_what_hangs() {
    let script = Scripted::new().then(Response::Hang);
    let time = VirtualTime::at(START);
    let session = builder(&script, &time).build().expect("sendable");
    let mut keeper = Hand::new(session.keep_fresh(time.clone()));
    keeper.pending();
    run_until(&mut keeper, &time, HOUR + SECOND);
    assert_eq!((text(session.try_token()), script.requests()), ("at-3".to_owned(), 2));
}

// Rule C9.
#[test]
fn a_keeper_ends_with_the_last_handle() {
    let (script, time) = (Scripted::new(), VirtualTime::at(START));
    let session = builder(&script, &time).build().expect("sendable");
    let other = session.clone();
    let mut keeper = Hand::new(session.keep_fresh(time.clone()));
    keeper.pending();
    drop(session);
    assert_eq!(keeper.woken(), 0);
    keeper.pending();
    drop(other);
    assert_eq!(keeper.woken(), 1);
    keeper.ready();
}

// Rule C9.
#[test]
fn a_keeper_starts_nothing_more_while_a_task_finishes_what_was_sent() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time, tasks) = spawning(&script);
    let mut keeper = Hand::new(session.keep_fresh(time.clone()));
    keeper.pending();
    time.advance(DUE);
    keeper.pending();
    tasks.run();
    assert_eq!(script.requests(), 1);
    drop(session);
    time.advance(HOUR);
    keeper.ready();
    tasks.run();
    assert_eq!((script.requests(), tasks.len()), (1, 1));
}

// Rule C9.
#[test]
fn without_a_spawner_the_last_handle_takes_the_refresh_with_it() {
    let script = Scripted::new().then(Response::Hang);
    let (session, _) = lapsed(&script);
    let other = session.clone();
    drop(waiting(&session));
    drop(session);
    assert_eq!(script.dropped(), 0);
    drop(other);
    assert_eq!((script.requests(), script.dropped()), (1, 1));
}

// Rules C9, F2.
#[test]
fn what_was_sent_and_is_spawned_runs_on_until_it_is_persisted() {
    let (store, script) = (MemoryStore::new(), Scripted::new().then(Response::Hang));
    let (time, tasks) = (VirtualTime::at(START), Tasks::default());
    let session = builder(&script, &time).store(store.clone()).spawner(tasks.spawner()).build();
    let session = session.expect("sendable");
    assert_eq!(text(at_once(session.token())), "at-1");
    time.advance(HOUR);
    drop(waiting(&session));
    tasks.run();
    drop(session);
    script.release(Response::Grant(Scripted::grant(1)));
    tasks.run();
    let stored = store.content().grant.expect("persisted");
    assert_eq!(stored.grant.refresh_token().map(Secret::expose), Some("rt-2"));
    assert_eq!((script.dropped(), tasks.len()), (0, 0));
}

// Rule C9.
#[test]
fn the_last_handle_stops_a_spawned_refresh_that_is_not_yet_sent() {
    let script = Scripted::new();
    let (session, time, tasks) = spawning(&script);
    time.advance(HOUR);
    assert!(session.try_token().is_err());
    drop(session);
    tasks.run();
    assert_eq!((script.requests(), tasks.len()), (0, 0));
}

// Rule C9.
#[test]
fn closing_finishes_what_is_in_the_air() {
    let script = Scripted::new().then(Response::Hang);
    let (session, _) = lapsed(&script);
    drop(waiting(&session));
    let mut closing = Hand::new(session.close());
    closing.pending();
    script.release(Response::Grant(Scripted::grant(1)));
    assert!(closing.woken() > 0);
    closing.ready().expect("it has landed");
    assert_eq!(text(session.try_token()), "at-2");
    at_once(session.close()).expect("nothing is in the air");
}

// Rules C3, C9. What lands may change nothing for anybody but who closes.
#[test]
fn closing_is_told_of_a_landing_that_changes_nothing() {
    let script = Scripted::new().then(Response::Hang);
    let (session, _) = lapsed(&script);
    drop(waiting(&session));
    at_once(session.logout()).expect("no store");
    let mut first = Hand::new(session.close());
    first.pending();
    let mut second = Hand::new(session.close());
    second.pending();
    let mut third = Hand::new(session.close());
    third.pending();
    script.release(Response::Fail(RefreshError::unavailable("no connection")));
    assert_eq!(second.woken(), 0);
    first.ready().expect("it has landed");
    assert!(second.woken() > 0 && third.woken() > 0, "they wait for what is not there any more");
    second.ready().expect("it has landed");
}

// Rules B14, C9.
#[test]
fn closing_waits_for_the_revocation_of_an_orphan() {
    let script = Scripted::new().then(Response::Hang);
    let (session, _) = lapsed(&script);
    drop(waiting(&session));
    at_once(session.logout()).expect("no store");
    let mut closing = Hand::new(session.close());
    closing.pending();
    script.release(Response::Grant(Scripted::grant(1)));
    closing.ready().expect("it has landed, and is revoked");
    assert_eq!(script.revoked(), ["rt-2"]);
}

// Rules B13, C3, C9. Nobody waits for ever.
#[test]
fn closing_waits_for_what_hangs_until_its_deadline() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time) = lapsed_with_timer(&script);
    drop(waiting(&session));
    let mut closing = Hand::new(session.close());
    closing.pending();
    time.advance(30 * SECOND);
    assert!(closing.woken() > 0);
    let error = closing.ready().expect_err("its outcome is unknown");
    assert_eq!(error.to_string(), "the refresh was sent, but its outcome is unknown");
    assert_eq!(script.dropped(), 0);
}

// Rules B13, C3, C9.
#[test]
fn closing_after_a_logout_waits_no_longer_either() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time) = lapsed_with_timer(&script);
    drop(waiting(&session));
    at_once(session.logout()).expect("no store");
    let on_a_thread = session.clone();
    let mut closing = Hand::new(session.close());
    closing.pending();
    time.advance(30 * SECOND);
    assert!(closing.woken() > 0);
    closing.ready().expect("what hangs is none of the session's any more");
    watched(move || on_a_thread.close_blocking()).expect("as before");
}

// Rules B13, C9: an answer wins, also one that nobody was woken for.
#[test]
fn closing_after_a_logout_hears_at_last_what_came_unannounced() {
    let time = VirtualTime::at(START);
    let clock = time.clone();
    let silent = Session::builder(move |_: Request| {
        let (clock, asked) = (clock.clone(), clock.now());
        poll_fn(move |_| {
            let unavailable = || RefreshError::unavailable("no connection");
            let came = clock.now() >= asked.saturating_add((30 * SECOND).into());
            if came { Poll::Ready(Err(unavailable())) } else { Poll::Pending }
        })
    });
    let session = standard(silent, &time).build().expect("sendable");
    time.advance(HOUR);
    drop(waiting(&session));
    at_once(session.logout()).expect("no store");
    let mut closing = Hand::new(session.close());
    closing.pending();
    time.advance(30 * SECOND);
    closing.ready().expect("nothing is in the air any more");
}

// Rules A5, C3, C9. A logged-out session has no deadline but that of what is still in the air.
#[test]
fn closing_waits_no_longer_for_what_hangs_when_the_clock_goes_back() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time) = lapsed_with_timer(&script);
    drop(waiting(&session));
    at_once(session.logout()).expect("no store");
    time.set(START);
    let mut closing = Hand::new(session.close());
    closing.pending();
    time.advance(30 * SECOND);
    closing.ready().expect("what hangs is none of the session's any more");
}

// Rules C3, C9. A session that is kept fresh launches one refresh after the other: waiting for the
// last of them, whenever that is, could go on for ever.
#[test]
fn closing_does_not_wait_longer_for_refreshes_that_came_and_went_meanwhile() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time) = lapsed_with_timer(&script);
    drop(waiting(&session));
    let mut closing = Hand::new(session.close());
    closing.pending();
    time.advance(30 * SECOND);
    at_once(session.token()).expect_err("the refresh has met its deadline");
    time.advance(30 * SECOND);
    assert_eq!(text(at_once(session.token())), "at-3");
    closing.ready().expect("the first refresh is superseded, and given up");
}

// Rules B6, B14. The late answer and the next try are woken together.
#[test]
fn a_refresh_that_was_started_and_not_yet_sent_is_called_off_by_a_late_answer() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time, tasks) = spawning(&script);
    time.advance(HOUR);
    assert!(session.try_token().is_err());
    tasks.run();
    time.advance(30 * SECOND);
    tasks.run();
    time.advance(HALF_A_SECOND);
    assert!(session.try_token().is_err());
    script.release(Response::Grant(Scripted::grant(1)));
    tasks.run();
    assert_eq!(text(session.try_token()), "at-2");
    assert_eq!(script.requests(), 1, "its refresh token was sent a second time");
}
