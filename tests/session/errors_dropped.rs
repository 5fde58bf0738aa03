//! Errors of the program's own, whose destructors ask the session: none is dropped under its lock.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::session_support::{
    HOUR, SECOND, START, at_once, first_grant, standard, text, waiting, watched,
};
use perennial::lifecycle::{Policy, Reuse};
use perennial::session::Session;
use perennial::store::{MemoryStore, Store, StoreError, StoredGrant, Swap, Version, Versioned};
use perennial::testing::VirtualTime;
use perennial::testing::{Response, Scripted};

/// A source that asks the session for its state when it is dropped, and counts that.
#[derive(Clone, Default)]
struct Asking {
    session: Arc<Mutex<Option<Session>>>,
    dropped: Arc<AtomicUsize>,
}

impl Drop for Asking {
    fn drop(&mut self) {
        let session = self.session.lock().expect("no panic").clone();
        if let Some(session) = session {
            let _ = session.state();
            self.dropped.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl fmt::Debug for Asking {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an error of the program's own")
    }
}

impl fmt::Display for Asking {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}

impl std::error::Error for Asking {}

/// Fails to write while it is told to.
#[derive(Clone)]
struct Failing {
    store: MemoryStore,
    fails: Arc<AtomicBool>,
    asking: Asking,
}

impl Store for Failing {
    fn load(&self) -> impl Future<Output = Result<Versioned, StoreError>> + Send + 'static {
        Store::load(&self.store)
    }

    fn swap(
        &self,
        expected: Version,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        let this = self.clone();
        async move {
            if this.fails.load(Ordering::SeqCst) {
                return Err(StoreError::unreachable("full").with_source(this.asking.clone()));
            }
            this.store.swap(expected, next).await
        }
    }
}

// Rules C6, F2. A superseded answer that only repeats what is held, and could not be stored.
#[test]
fn the_error_of_a_store_that_a_repeated_answer_could_not_be_written_to_is_dropped_without_the_lock()
{
    let dropped = watched(|| {
        let (time, asking) = (VirtualTime::at(START), Asking::default());
        let fails = Arc::new(AtomicBool::new(false));
        let store = Failing {
            store: MemoryStore::new(),
            fails: Arc::clone(&fails),
            asking: asking.clone(),
        };
        let script = Scripted::new().then(Response::Hang);
        let policy = Policy::builder().reuse(Reuse::idempotent(Duration::from_secs(300)));
        let builder = standard(Session::builder_with(script.clone()), &time).store(store);
        let builder = builder.policy(policy.build().expect("valid")).timer(time.clone());
        let session = builder.build().expect("sendable");
        assert_eq!(text(at_once(session.token())), "at-1");
        *asking.session.lock().expect("no panic") = Some(session.clone());
        time.advance(HOUR);
        let mut first = waiting(&session);
        time.advance(140 * SECOND);
        let _ = first.poll();
        drop(first);
        time.advance(60 * SECOND);
        assert_eq!(text(at_once(session.token())), "at-3");
        fails.store(true, Ordering::SeqCst);
        let before = asking.dropped.load(Ordering::SeqCst);
        script.release(Response::Grant(session.grant().expect("held")));
        let _ = at_once(session.token());
        let _ = at_once(session.close());
        let dropped = asking.dropped.load(Ordering::SeqCst) - before;
        let held = asking.session.lock().expect("no panic").take();
        drop(held);
        assert_ne!(session.grant(), Some(first_grant()));
        dropped
    });
    assert!(dropped > 0, "the error never came");
}
