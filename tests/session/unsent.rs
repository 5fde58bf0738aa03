//! Refreshes that were never sent: they are unavailable and not unknown, and the error says why.

use std::error::Error as _;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use crate::session_support::ledger::{Fault, settled};
use crate::session_support::{
    DUE, HALF_A_SECOND, HOUR, Hand, SECOND, START, Tasks, at_once, builder, text, until, waiting,
    watched,
};
use perennial::session::Error;
use perennial::store::{Store, StoreError, StoredGrant, Swap, Version, Versioned};
use perennial::testing::{Scripted, VirtualTime};

/// What the error says of its cause.
fn cause(error: &Error) -> String {
    error.source().expect("it has a cause").to_string()
}

// Rules B6, B13. The task that was to drive it is not polled. It is not for the last chance that the
// next one waits, though the server is strict.
#[test]
fn a_refresh_that_nobody_polled_before_its_deadline_was_not_sent_and_leaves_no_doubt() {
    for age in [DUE, HOUR] {
        let (script, tasks, time) = (Scripted::new(), Tasks::default(), VirtualTime::at(START));
        let builder = builder(&script, &time).spawner(tasks.spawner());
        let session = builder.build().expect("sendable");
        time.advance(age);
        assert_eq!(session.try_token().is_ok(), age == DUE, "a refresh is under way");
        time.advance(30 * SECOND);
        match at_once(session.token()) {
            Ok(token) => assert_eq!((token.expose(), age), ("at-1", DUE)),
            Err(error) => {
                assert!(error.is_unavailable(), "{error}");
                assert!(cause(&error).contains("was not sent"), "{error:?}");
            }
        }
        assert_eq!(script.requests(), 0);
        time.advance(HALF_A_SECOND);
        let _ = session.try_token();
        tasks.run();
        assert_eq!(text(at_once(session.token())), "at-2", "nothing is in doubt");
    }
}

/// A store whose reading blocks the thread that polls it.
struct Blocking {
    entered: Arc<AtomicBool>,
    opens: Mutex<mpsc::Receiver<()>>,
}

impl Store for Blocking {
    fn load(&self) -> impl Future<Output = Result<Versioned, StoreError>> + Send + 'static {
        self.entered.store(true, Ordering::SeqCst);
        let _ = self.opens.lock().expect("no panic").recv();
        async { Err(StoreError::unreachable("it took too long")) }
    }

    fn swap(
        &self,
        _: Version,
        _: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        std::future::ready(Err(StoreError::unreachable("it took too long")))
    }
}

// Rules B6, B13. Its deadline passes while another thread polls it, which may go on to send it.
#[test]
fn a_refresh_whose_deadline_passes_before_it_is_sent_is_called_off_and_never_sent() {
    let (script, time) = (Scripted::new(), VirtualTime::at(START));
    let (open, opens) = mpsc::channel();
    let entered = Arc::new(AtomicBool::new(false));
    let store = Blocking { entered: Arc::clone(&entered), opens: Mutex::new(opens) };
    let session = builder(&script, &time).store(store).build().expect("sendable");
    let other = session.clone();
    let thread = thread::spawn(move || other.token_blocking().is_ok());
    until(|| entered.load(Ordering::SeqCst));
    let mut caller = waiting(&session);
    time.advance(30 * SECOND);
    let error = caller.ready().expect_err("its deadline has passed");
    assert!(error.is_unavailable(), "{error}");
    assert!(cause(&error).contains("the refresh was not sent"), "{error:?}");
    open.send(()).expect("it waits");
    assert!(!watched(move || thread.join().expect("no panic")));
    assert_eq!(script.requests(), 0);
}

// Rules B6, F5. It had not been sent when the store failed: nothing is in doubt, though the server is
// strict.
#[test]
fn a_refresh_that_the_store_kept_from_being_sent_says_so_and_leaves_no_doubt() {
    for (fault, told) in
        [(Fault::Hangs, "the store did not answer"), (Fault::Panics, "the store panicked")]
    {
        let script = Scripted::new();
        let (session, time, ledger) = settled(&script);
        ledger.set(fault);
        time.advance(DUE);
        assert_eq!(text(at_once(session.token())), "at-1");
        time.advance(30 * SECOND);
        assert_eq!(text(at_once(session.token())), "at-1");
        time.advance(200 * SECOND);
        let mut caller = Hand::new(session.token());
        let error = match caller.poll() {
            std::task::Poll::Ready(result) => result,
            std::task::Poll::Pending => {
                time.advance(30 * SECOND);
                caller.ready()
            }
        };
        let error = error.expect_err("the store keeps it");
        assert!(error.is_unavailable(), "{error}");
        assert!(cause(&error).contains(told), "{fault:?}: {error:?}");
        assert_eq!(script.requests(), 0, "{fault:?}");
        ledger.set(Fault::None);
        time.set(error.when_to_retry().expect("it says when"));
        assert_eq!(text(at_once(session.token())), "at-2", "{fault:?}");
    }
}

// Rule B6. The old token works, and the next try comes after backoff, not at the last chance.
#[test]
fn a_refresh_that_was_not_sent_is_repeated_while_the_old_token_works() {
    let script = Scripted::new();
    let (session, time, ledger) = settled(&script);
    ledger.set(Fault::Hangs);
    time.advance(Duration::from_secs(3310));
    assert_eq!(text(at_once(session.token())), "at-1");
    ledger.set_for_others(Fault::None);
    time.advance(30 * SECOND);
    assert_eq!(text(at_once(session.token())), "at-1");
    time.advance(SECOND);
    assert_eq!(text(at_once(session.token())), "at-1");
    assert_eq!(text(at_once(session.token())), "at-2");
    assert_eq!(script.requests(), 1);
}

// Rule B6. The server may answer within the rest, but a peer that presents the refresh token after it does
// not know that.
#[test]
fn a_request_is_sent_with_a_quarter_of_its_time_left_and_not_with_less() {
    for (late, sent) in [(22_500, 1), (22_501, 0)] {
        let (script, tasks, time) = (Scripted::new(), Tasks::default(), VirtualTime::at(START));
        let builder = builder(&script, &time).spawner(tasks.spawner());
        let session = builder.build().expect("sendable");
        time.advance(HOUR);
        assert!(session.try_token().is_err(), "a refresh is under way");
        time.advance(Duration::from_millis(late));
        tasks.run();
        assert_eq!(script.requests(), sent, "after {late} ms of 30 s");
        time.advance(SECOND);
        let _ = session.try_token();
        tasks.run();
        assert_eq!(text(session.try_token()), "at-2");
        assert_eq!(script.requests(), 1);
    }
}

// Rules B6, F2. A note that nothing follows is a doubt for whoever comes after a crash.
#[test]
fn a_refresh_whose_turn_comes_too_late_is_not_noted() {
    let script = Scripted::new();
    let (session, time, ledger) = settled(&script);
    time.advance(HOUR);
    ledger.set(Fault::Hangs);
    let mut caller = waiting(&session);
    time.advance(Duration::from_millis(22_501));
    ledger.take_log();
    ledger.set(Fault::None);
    let error = caller.ready().expect_err("too late");
    assert!(cause(&error).contains("was not sent"), "{error:?}");
    assert_eq!((ledger.take_log(), script.requests()), (Vec::new(), 0));
    time.advance(SECOND);
    assert_eq!(text(at_once(session.token())), "at-2");
}
