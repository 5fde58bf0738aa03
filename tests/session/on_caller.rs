//! On which thread a blocking refresher runs.

use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use crate::session_support::{DUE, HOUR, START, at_once, block_on, standard, text, until, watched};
use perennial::refresh::{RefreshError, Request};
use perennial::session::Session;
use perennial::testing::{Scripted, VirtualTime};

type Threads = Arc<Mutex<Vec<ThreadId>>>;

/// A session whose refresher ends by itself within five seconds, and where it has run.
fn session() -> (Session, VirtualTime, Threads) {
    let (time, ran) = (VirtualTime::at(START), Threads::default());
    let noted = Arc::clone(&ran);
    let refresh = Session::builder_blocking(move |_: Request| {
        noted.lock().expect("no panic").push(thread::current().id());
        Ok::<_, RefreshError>(Scripted::grant(1))
    });
    let builder = standard(refresh, &time).ends_within(Duration::from_secs(5));
    (builder.build().expect("sendable"), time, ran)
}

fn ran_here(ran: &Threads) -> Vec<bool> {
    let here = thread::current().id();
    ran.lock().expect("no panic").iter().map(|thread| *thread == here).collect()
}

// Rules C2, C8. Case X54.
#[test]
fn a_thread_that_waits_long_enough_runs_a_refresher_that_ends_by_itself() {
    for limit in [None, Some(5), Some(60)] {
        let (session, time, ran) = session();
        time.advance(HOUR);
        let token = session.token();
        let token = match limit {
            Some(limit) => token.within(Duration::from_secs(limit)).wait(),
            None => token.wait(),
        };
        assert_eq!(text(token), "at-2");
        assert_eq!(ran_here(&ran), [true], "{limit:?}");
    }
}

// Rules C2, C8. Case X54.
#[test]
fn a_thread_that_waits_for_less_time_than_the_refresher_may_take_does_not_run_it() {
    let (session, time, ran) = session();
    time.advance(HOUR);
    let token = session.token().within(Duration::from_secs(4)).wait();
    assert_eq!(text(token), "at-2");
    assert_eq!(text(at_once(session.token())), "at-2");
    assert_eq!(ran_here(&ran), [false]);
}

// Rules C2, C7.
#[test]
fn neither_a_task_nor_a_thread_with_a_usable_token_runs_it() {
    let (session, time, ran) = session();
    time.advance(DUE);
    assert_eq!(text(session.token_blocking()), "at-1");
    watched({
        let ran = Arc::clone(&ran);
        move || until(|| !ran.lock().expect("no panic").is_empty())
    });
    assert_eq!(ran_here(&ran), [false], "with a usable token");

    let (session, time, ran) = self::session();
    time.advance(HOUR);
    assert_eq!(text(block_on(session.token())), "at-2");
    assert_eq!(ran_here(&ran), [false], "a task");
}

// Rules C2, C5, C6.
#[test]
fn a_refresher_that_panics_or_asks_its_own_session_harms_only_its_refresh_on_the_callers_thread() {
    let time = VirtualTime::at(START);
    let own: Arc<Mutex<Option<Session>>> = Arc::default();
    let (asked, first) = (Arc::clone(&own), Mutex::new(true));
    let refresh = Session::builder_blocking(move |_: Request| {
        let session = asked.lock().expect("no panic").clone().expect("set");
        assert!(session.token_blocking().expect_err("it asks itself").is_reentrant());
        let panics = std::mem::take(&mut *first.lock().expect("no panic"));
        assert!(!panics, "planned");
        Ok::<_, RefreshError>(Scripted::grant(1))
    });
    let builder = standard(refresh, &time).ends_within(Duration::from_secs(5));
    let session = builder.build().expect("sendable");
    *own.lock().expect("no panic") = Some(session.clone());
    time.advance(HOUR);
    assert!(session.token_blocking().expect_err("it panicked").is_unavailable());
    time.advance(Duration::from_secs(60));
    assert_eq!(text(session.token_blocking()), "at-2");
    *own.lock().expect("no panic") = None;
}
