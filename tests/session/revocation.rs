//! A revocation that never ends has a refresh's time, and is let go of then.

use std::future::{Future, pending};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::session_support::{
    HOUR, SECOND, START, Tasks, at_once, first_grant, standard, text, waiting,
};
use perennial::clock::Clock;
use perennial::refresh::{Refresh, RefreshError, Request};
use perennial::session::{Builder, Session};
use perennial::testing::{Response, Scripted, VirtualTime};
use perennial::time::Timestamp;
use perennial::token::Grant;

/// A refresher whose revocations never end; it counts those that are still held.
#[derive(Clone)]
struct Stuck {
    script: Scripted,
    held: Arc<AtomicUsize>,
}

struct Held(Arc<AtomicUsize>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Refresh for Stuck {
    fn refresh(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<Grant, RefreshError>> + Send + 'static {
        self.script.refresh(request)
    }

    fn revoke(&self, _: Grant) -> impl Future<Output = ()> + Send + 'static {
        self.held.fetch_add(1, Ordering::SeqCst);
        let held = Held(Arc::clone(&self.held));
        async move {
            pending::<()>().await;
            drop(held);
        }
    }
}

impl Stuck {
    fn new() -> Self {
        Self { script: Scripted::new(), held: Arc::default() }
    }

    fn builder(&self, time: &VirtualTime) -> Builder {
        standard(Session::builder_with(self.clone()), time)
    }

    fn held(&self) -> usize {
        self.held.load(Ordering::SeqCst)
    }

    /// A refresh is out while the session is logged out; what it brings is revoked.
    fn orphan(&self, session: &Session, time: &VirtualTime) {
        let _ = self.script.clone().then(Response::Hang);
        time.advance(HOUR);
        let caller = waiting(session);
        at_once(session.logout()).expect("no store");
        self.script.release(Response::Grant(Scripted::grant(7)));
        let mut caller = caller;
        assert!(caller.ready().is_err());
        at_once(session.install(first_grant())).expect("no store");
    }
}

/// Virtual time that counts how often it is read.
#[derive(Clone)]
struct Counting(VirtualTime, Arc<AtomicUsize>);

impl Clock for Counting {
    fn now(&self) -> Timestamp {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.now()
    }
}

// Rules B14, C1. Case X40. What is read with no lock reads the clock once.
#[test]
fn reads_are_free_of_locks_again_once_a_revocation_has_had_its_time() {
    let (stuck, time) = (Stuck::new(), VirtualTime::at(START));
    let clock = Counting(time.clone(), Arc::default());
    let session = stuck.builder(&time).clock(clock.clone()).build().expect("sendable");
    let readings = || {
        let before = clock.1.load(Ordering::SeqCst);
        assert_eq!(text(session.try_token()), "at-1");
        clock.1.load(Ordering::SeqCst) - before
    };
    assert_eq!(readings(), 1);
    stuck.orphan(&session, &time);
    assert_eq!(stuck.held(), 1);
    assert!(readings() > 1, "whoever comes polls it");
    time.advance(30 * SECOND);
    let _ = readings();
    assert_eq!(readings(), 1);
    assert_eq!(text(at_once(session.token())), "at-1");
}

// Rules B14, C9. Case X40.
#[test]
fn closing_ends_with_a_revocation_at_its_deadline_and_does_not_fail_for_it() {
    let (stuck, time) = (Stuck::new(), VirtualTime::at(START));
    for timer in [false, true] {
        let builder = stuck.builder(&time);
        let builder = if timer { builder.timer(time.clone()) } else { builder };
        let session = builder.build().expect("sendable");
        stuck.orphan(&session, &time);
        let mut close = crate::session_support::Hand::new(session.close());
        close.pending();
        time.advance(29 * SECOND);
        close.pending();
        time.advance(SECOND);
        assert_eq!(close.woken() > 0, timer);
        close.ready().expect("nothing is left to wait for");
        assert_eq!(stuck.held(), 0);
        at_once(session.close()).expect("nor the next time");
    }
}

// Rules B14, A5. Case X40. Many logins later, none is left but the last; the clock may go back.
#[test]
fn revocations_that_never_end_do_not_add_up() {
    let (stuck, time) = (Stuck::new(), VirtualTime::at(START));
    let session = stuck.builder(&time).build().expect("sendable");
    for round in 0..20 {
        stuck.orphan(&session, &time);
        assert!(stuck.held() <= 2, "round {round}: {}", stuck.held());
    }
    time.set(START);
    time.advance(30 * SECOND);
    let mut close = crate::session_support::Hand::new(session.close());
    if close.poll().is_pending() {
        time.advance(30 * SECOND);
        close.ready().expect("one refresh's time after the clock went back");
    }
    assert_eq!(stuck.held(), 0);
}

// Rules B14, C9. Case X40. A task of the session's spawner ends as well.
#[test]
fn a_spawned_task_ends_with_a_revocation_at_its_deadline() {
    let (stuck, time, tasks) = (Stuck::new(), VirtualTime::at(START), Tasks::default());
    let builder = stuck.builder(&time).timer(time.clone()).spawner(tasks.spawner());
    let session = builder.build().expect("sendable");
    let _ = stuck.script.clone().then(Response::Hang);
    time.advance(HOUR);
    let caller = waiting(&session);
    tasks.run();
    at_once(session.logout()).expect("no store");
    stuck.script.release(Response::Grant(Scripted::grant(7)));
    tasks.run();
    tasks.run();
    drop(caller);
    assert_eq!((stuck.held(), tasks.len()), (1, 1));
    time.advance(30 * SECOND);
    assert!(tasks.woken() > 0);
    tasks.run();
    tasks.run();
    assert_eq!((stuck.held(), tasks.len()), (0, 0));
}
