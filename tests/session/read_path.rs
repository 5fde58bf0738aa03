//! What reading a valid token costs, and when readers must not be given it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::session_support::{
    DUE, HOUR, Hand, SECOND, START, Tasks, at_once, builder, first_grant, session, text, waiting,
};
use allocation_counter::measure;
use perennial::lifecycle::{Meanwhile, State};
use perennial::session::Session;
use perennial::testing::{Response, Scripted, VirtualTime};
use perennial::time::Timestamp;

/// A session on a clock that counts its readings.
fn counted() -> (Session, Arc<AtomicUsize>) {
    let readings = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&readings);
    let clock = move || -> Timestamp {
        counter.fetch_add(1, Ordering::Relaxed);
        START
    };
    let session = Session::builder_with(Scripted::new()).clock(clock).grant(first_grant());
    (session.build().expect("sendable"), readings)
}

// Rule C1.
#[test]
fn no_way_of_reading_a_valid_token_allocates() {
    let (session, _) = counted();
    let mut reader = session.reader();
    assert_eq!(reader.token().expect("a token").expose(), "at-1");
    let counts = measure(|| {
        for _ in 0..100 {
            assert_eq!(session.with_token(|token| token.expose().len()).expect("a token"), 4);
            assert_eq!(reader.token().expect("a token").expose(), "at-1");
            assert_eq!(session.try_token().expect("a token").expose(), "at-1");
            assert_eq!(session.token_blocking().expect("a token").expose(), "at-1");
        }
    });
    assert_eq!(counts.count_total, 0);
}

// Rule C1.
#[test]
fn an_awaited_token_that_is_valid_allocates_nothing_either() {
    let (session, _) = counted();
    let counts = measure(|| {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        // Each interceptor asks with patience.
        for caller in [session.token(), session.token().retry_for(Duration::from_secs(10))] {
            assert!(std::pin::pin!(caller).as_mut().poll(&mut cx).is_ready());
        }
    });
    assert_eq!(counts.count_total, 0);
}

// Rule C1.
#[test]
fn each_read_reads_the_clock_once() {
    let (session, readings) = counted();
    let mut reader = session.reader();
    let before = readings.load(Ordering::Relaxed);
    session.with_token(|_| ()).expect("a token");
    reader.token().map(|_| ()).expect("a token");
    session.try_token().expect("a token");
    session.token_blocking().expect("a token");
    assert_eq!(readings.load(Ordering::Relaxed) - before, 4);
}

// Rules B2, B8.
#[test]
fn no_reader_sees_a_token_once_its_rejection_was_told() {
    let time = VirtualTime::at(START);
    let session = session(&Scripted::new(), &time);
    let mut reader = session.reader();
    let token = reader.token().expect("a token").clone();
    session.reject(&token);
    assert!(reader.token().is_err());
    assert!(session.with_token(|_| ()).is_err());
    assert!(session.try_token().is_err());
}

// Rules B1, B2.
#[test]
fn a_reader_stops_at_the_very_instant_at_which_the_token_lapses() {
    let time = VirtualTime::at(START);
    let session = session(&Scripted::new(), &time);
    let mut reader = session.reader();
    time.advance(Duration::from_millis(3_600_000 - 10_000 - 1));
    assert_eq!(text(session.try_token()), "at-1");
    assert_eq!(reader.token().expect("it still works").expose(), "at-1");
    time.advance(Duration::from_millis(1));
    assert!(session.try_token().is_err());
    assert!(reader.token().is_err());
}

// Rules A5, B2.
#[test]
fn a_clock_that_goes_back_gives_readers_no_token_that_was_seen_lapsed() {
    let time = VirtualTime::at(START);
    let session = session(&Scripted::new().then(Response::Hang), &time);
    let mut reader = session.reader();
    assert!(reader.token().is_ok());
    time.advance(HOUR);
    drop(waiting(&session)); // a caller has looked: the lifecycle knows
    time.set(START.saturating_add(SECOND.into()));
    assert!(reader.token().is_err());
    assert!(session.with_token(|_| ()).is_err());
}

// Rules A5, B2. Also where the only one who looked was a reader that does not wait.
#[test]
fn a_token_that_was_refused_as_lapsed_is_not_handed_out_once_the_clock_goes_back() {
    let time = VirtualTime::at(START);
    let session = session(&Scripted::new(), &time);
    time.advance(HOUR);
    assert!(session.try_token().is_err());
    time.set(START.saturating_add(SECOND.into()));
    assert!(session.try_token().is_err());
    assert!(session.with_token(|_| ()).is_err());
}

// Rules A5, B2. Or a caller whose own limit had passed.
#[test]
fn a_token_whose_lapse_only_a_caller_out_of_time_has_seen_is_not_handed_out_either() {
    let time = VirtualTime::at(START);
    let session = session(&Scripted::new().then(Response::Hang), &time);
    time.advance(DUE);
    assert_eq!(text(at_once(session.token())), "at-1");
    let mut caller = Hand::new(session.token_within(SECOND).valid_for(HOUR));
    caller.pending();
    time.advance(HOUR);
    assert!(caller.ready().expect_err("its time is over").is_timeout());
    time.set(START.saturating_add(SECOND.into()));
    assert!(session.try_token().is_err());
}

// Rule B4.
#[test]
fn a_reader_sees_the_new_token_as_soon_as_it_has_landed() {
    let time = VirtualTime::at(START);
    let session = session(&Scripted::new(), &time);
    let mut reader = session.reader();
    assert_eq!(reader.token().expect("a token").expose(), "at-1");
    time.advance(HOUR);
    assert_eq!(text(at_once(session.token())), "at-2");
    assert_eq!(reader.token().expect("a token").expose(), "at-2");
    assert_eq!(session.with_token(|token| token.expose().to_owned()).expect("a token"), "at-2");
}

// Rule C7.
#[test]
fn readers_go_on_with_the_old_token_while_a_task_refreshes_it() {
    let (time, tasks) = (VirtualTime::at(START), Tasks::default());
    let script = Scripted::new().then(Response::Hang);
    let session = builder(&script, &time).spawner(tasks.spawner()).build().expect("sendable");
    time.advance(DUE);
    assert_eq!(text(session.try_token()), "at-1");
    tasks.run();
    assert_eq!(session.state(), State::Refreshing(Meanwhile::UseOld));
    let counts = measure(|| assert_eq!(text_len(&session), 4));
    assert_eq!((counts.count_total, script.requests()), (0, 1));
}

fn text_len(session: &Session) -> usize {
    session.with_token(|token| token.expose().len()).expect("a token")
}

// Rules C4, C7.
#[test]
fn where_callers_drive_the_refresh_each_that_asks_polls_it() {
    let time = VirtualTime::at(START);
    let script = Scripted::new().then(Response::Hang);
    let session = session(&script, &time);
    time.advance(DUE);
    assert_eq!(text(at_once(session.token())), "at-1");
    script.release(Response::Grant(Scripted::grant(1)));
    // The one that finds the answer still leaves with the old token, or has the new one.
    at_once(session.token()).expect("a token");
    assert_eq!(text(session.try_token()), "at-2");
}

// Rule C1.
#[test]
fn readers_of_a_token_in_backoff_take_the_short_way_again() {
    let time = VirtualTime::at(START);
    let script = Scripted::new().then(Response::Fail(
        perennial::refresh::RefreshError::unavailable("503").retry_after(SECOND),
    ));
    let session = session(&script, &time);
    time.advance(DUE);
    assert_eq!(text(at_once(session.token())), "at-1");
    assert_eq!(script.requests(), 1);
    assert_eq!(measure(|| assert_eq!(text_len(&session), 4)).count_total, 0);
    time.advance(60 * SECOND);
    assert!(session.token_blocking().is_ok());
    assert_eq!(text(session.try_token()), "at-3");
}

// Rule C1.
#[test]
fn a_read_is_as_short_while_a_task_refreshes_as_before() {
    let (now, readings) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicUsize::new(0)));
    let (hand, counter) = (Arc::clone(&now), Arc::clone(&readings));
    let clock = move || {
        counter.fetch_add(1, Ordering::Relaxed);
        Timestamp::from_millis(START.as_millis() + 1000 * hand.load(Ordering::Relaxed))
    };
    let tasks = Tasks::default();
    let session = Session::builder_with(Scripted::new().then(Response::Hang)).clock(clock);
    let session = session.spawner(tasks.spawner()).without_jitter().grant(first_grant()).build();
    let session = session.expect("sendable");
    now.store(3400, Ordering::Relaxed);
    assert_eq!(text(session.try_token()), "at-1");
    tasks.run();
    assert_eq!(session.state(), State::Refreshing(Meanwhile::UseOld));
    let before = readings.load(Ordering::Relaxed);
    assert_eq!(text(session.try_token()), "at-1");
    assert_eq!(readings.load(Ordering::Relaxed) - before, 1);
}

// Rule A5.
#[test]
fn readers_whose_clock_went_back_ask_again_and_a_far_backoff_is_pulled_in() {
    let time = VirtualTime::at(START);
    let away = perennial::refresh::RefreshError::unavailable("503");
    let script = Scripted::new().then(Response::Fail(away));
    let session = session(&script, &time);
    time.advance(DUE);
    assert_eq!(text(at_once(session.token())), "at-1");
    assert_eq!(script.requests(), 1);
    time.set(START.saturating_add(SECOND.into()));
    assert_eq!(text(at_once(session.token())), "at-1");
    time.advance(60 * SECOND);
    assert!(at_once(session.token()).is_ok());
    assert_eq!(script.requests(), 2, "the next try was an hour away");
}

// Rule C9.
#[test]
fn nothing_is_left_of_a_local_session() {
    let live = || {
        let refresh = |_| async { Ok::<_, perennial::refresh::RefreshError>(first_grant()) };
        let builder = perennial::session::LocalSession::builder(refresh).grant(first_grant());
        let session = builder.clock(VirtualTime::at(START)).build().expect("sendable");
        assert_eq!(text(session.try_token()), "at-1");
    };
    live(); // what is made once
    let counts = measure(|| (0..10).for_each(|_| live()));
    assert!(counts.count_total > 0);
    assert_eq!(counts.count_current, 0);
}
