//! No user code runs under the session's lock: each port, hook, waker and destructor calls back
//! into the session, and nothing may hang (rule C6).

use std::cell::Cell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Wake, Waker};

use crate::session_support::{HOUR, Hand, SECOND, START, first_grant, watched};
use perennial::clock::{Clock, Timer};
use perennial::lifecycle::{Policy, Reuse};
use perennial::refresh::{BoxFuture, PollIn, Refresh, RefreshError, Request, Runtime};
use perennial::session::Session;
use perennial::store::{MemoryStore, Store, StoreError, StoredGrant, Swap, Version, Versioned};
use perennial::testing::VirtualTime;
use perennial::time::Timestamp;
use perennial::token::Grant;

/// Calls back into the session from wherever it is touched.
#[derive(Clone, Default)]
struct Probe(Arc<Callback>);

#[derive(Default)]
struct Callback {
    session: Mutex<Option<Session>>,
    touched: Mutex<Vec<&'static str>>,
}

thread_local! {
    /// The callback reads the clock, which is a probe, too.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

impl Probe {
    fn touch(&self, place: &'static str) {
        if INSIDE.replace(true) {
            return;
        }
        let session = self.0.session.lock().expect("no panic").clone();
        if let Some(session) = session {
            let _ = session.state();
            let _ = session.grant();
            drop(session.changed());
            self.0.touched.lock().expect("no panic").push(place);
        }
        INSIDE.set(false);
    }

    /// Lets go of the session, which owns all that calls back into it.
    fn let_go(&self) {
        let session = self.0.session.lock().expect("no panic").take();
        drop(session);
    }

    #[track_caller]
    fn assert_touched(&self, places: &[&str]) {
        let touched = self.0.touched.lock().expect("no panic");
        for place in places {
            assert!(touched.contains(place), "{place} was not reached");
        }
    }
}

/// Touches when it is dropped.
struct Dropped(Probe, &'static str);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.touch(self.1);
    }
}

/// A waker that touches when it is called, and when its last copy goes.
impl Dropped {
    fn waker(probe: &Probe) -> Waker {
        Waker::from(Arc::new(Self(probe.clone(), "waker drop")))
    }
}

impl Wake for Dropped {
    fn wake(self: Arc<Self>) {
        self.0.touch("waker wake");
    }
}

impl fmt::Debug for Dropped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an error of the program's own")
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}

impl std::error::Error for Dropped {}

/// Touches at each poll of `future`, and when it is dropped.
fn probed<F: Future + Send>(
    probe: &Probe,
    polled: &'static str,
    dropped: &'static str,
    future: F,
) -> impl Future<Output = F::Output> + Send + use<F> {
    let (mut future, guard) = (Box::pin(future), Dropped(probe.clone(), dropped));
    poll_fn(move |cx| {
        guard.0.touch(polled);
        future.as_mut().poll(cx)
    })
}

#[derive(Clone)]
struct Probed {
    probe: Probe,
    time: VirtualTime,
    store: MemoryStore,
    /// What becomes of the next refresh.
    answer: Arc<AtomicUsize>,
}

const FAIL: usize = 0;
const HANG: usize = 1;
const GRANT: usize = 2;

impl Clock for Probed {
    fn now(&self) -> Timestamp {
        self.probe.touch("clock now");
        self.time.now()
    }

    fn wall(&self) -> Timestamp {
        self.probe.touch("clock wall");
        self.time.now()
    }
}

impl Timer for Probed {
    fn sleep(&self, duration: core::time::Duration) -> BoxFuture<()> {
        self.probe.touch("timer call");
        let sleep = self.time.sleep(duration);
        Box::pin(probed(&self.probe, "timer poll", "timer drop", sleep))
    }
}

impl Runtime for Probed {
    fn enter(&self, poll: &mut dyn FnMut()) {
        self.probe.touch("runtime enter");
        poll();
    }
}

impl Refresh for Probed {
    fn refresh(
        &self,
        _: Request,
    ) -> impl Future<Output = Result<Grant, RefreshError>> + Send + 'static {
        self.probe.touch("refresh call");
        let probe = self.probe.clone();
        let answer = self.answer.load(Ordering::SeqCst);
        let mut yields = 2;
        let answer = poll_fn(move |cx| {
            if yields > 0 {
                yields -= 1;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match answer {
                FAIL => {
                    let why = Dropped(probe.clone(), "error drop");
                    Poll::Ready(Err(RefreshError::unavailable("no").with_source(why)))
                }
                HANG => Poll::Pending,
                _ => Poll::Ready(Ok(Grant::new("at-2", "rt-2", HOUR))),
            }
        });
        probed(&self.probe, "refresh poll", "refresh drop", answer)
    }

    fn revoke(&self, grant: Grant) -> impl Future<Output = ()> + Send + 'static {
        self.probe.touch("revoke call");
        drop(grant);
        probed(&self.probe, "revoke poll", "revoke drop", async {})
    }

    fn poll_in(&self) -> PollIn {
        PollIn::Runtime(Arc::new(self.clone()))
    }
}

impl Store for Probed {
    fn load(&self) -> impl Future<Output = Result<Versioned, StoreError>> + Send + 'static {
        self.probe.touch("load call");
        probed(&self.probe, "load poll", "load drop", Store::load(&self.store))
    }

    fn swap(
        &self,
        expected: Version,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        self.probe.touch("swap call");
        probed(&self.probe, "swap poll", "swap drop", self.store.swap(expected, next))
    }
}

fn probes(hooks: bool) -> (Session, Probed) {
    let time = VirtualTime::at(START);
    let probe = Probe::default();
    let ports = Probed {
        probe: probe.clone(),
        time: time.clone(),
        store: MemoryStore::new(),
        answer: Arc::default(),
    };
    let (spawns, draws) = (probe.clone(), probe.clone());
    let mut builder = Session::builder_with(ports.clone())
        .clock(ports.clone())
        .policy(Policy::builder().reuse(Reuse::Unrotated).build().expect("valid"))
        .timer(ports.clone())
        .store(ports.clone())
        .grant(first_grant())
        .spawner(move |task| {
            spawns.touch("spawn");
            drop(task);
        })
        .random(move || {
            draws.touch("draw");
            0
        });
    if hooks {
        let (rotate, orphan) = (probe.clone(), probe.clone());
        builder = builder
            .on_rotate(move |_| rotate.touch("on_rotate"))
            .on_orphan(move |_| orphan.touch("on_orphan"));
    }
    let session = builder.build().expect("sendable");
    *probe.0.session.lock().expect("no panic") = Some(session.clone());
    (session, ports)
}

/// Polls until it ends, or hangs in virtual time.
fn drive<F: Future>(hand: &mut Hand<F>, time: &VirtualTime) -> Option<F::Output> {
    for _ in 0..200 {
        if let Poll::Ready(output) = hand.poll() {
            return Some(output);
        }
        time.advance(SECOND);
    }
    None
}

/// Goes through failures, hung refreshes, rotations, logouts and logins.
fn a_life_of(session: &Session, ports: &Probed) {
    let time = &ports.time;
    let mut keeper = Hand::new(session.keep_fresh(ports.clone()));
    for answer in [GRANT, FAIL, GRANT, HANG, GRANT] {
        ports.answer.store(answer, Ordering::SeqCst);
        time.advance(2 * HOUR);
        let mut watch = Hand::new(session.changed());
        let mut stays = Hand::new(session.token().retry_for(60 * SECOND));
        for hand in [&mut stays, &mut Hand::new(session.token())] {
            let _ = hand.poll_with(&Dropped::waker(&ports.probe));
        }
        let _ = watch.poll_with(&Dropped::waker(&ports.probe));
        let _ = keeper.poll();
        let _ = drive(&mut stays, time);
        let _ = session.try_token().map(|token| {
            session.accept(&token);
            session.reject(&token);
        });
        let _ = drive(&mut Hand::new(session.token_within(5 * SECOND)), time);
    }
    // What is out lands after the logout.
    time.advance(2 * HOUR);
    let _ = Hand::new(session.token()).poll();
    let _ = Hand::new(session.token()).poll();
    drive(&mut Hand::new(session.logout()), time).expect("ends").expect("stored");
    let _ = drive(&mut Hand::new(session.close()), time).expect("ends");
    let login = drive(&mut Hand::new(session.install(first_grant())), time);
    login.expect("ends").expect("stored");
}

// Rule C6. A subscriber that is called within the lock re-enters and deadlocks: auth-js#762,
// matrix-rust-sdk#5916.
#[test]
fn no_port_or_hook_is_called_or_dropped_under_the_lock() {
    for hooks in [false, true] {
        let probe = watched(move || {
            let (session, ports) = probes(hooks);
            a_life_of(&session, &ports);
            drop(session);
            ports.probe.let_go();
            ports.probe
        });
        probe.assert_touched(&["waker wake", "waker drop"]);
        probe.assert_touched(&["clock now", "clock wall", "draw", "spawn", "runtime enter"]);
        probe.assert_touched(&["refresh call", "refresh poll", "refresh drop", "error drop"]);
        probe.assert_touched(&["load call", "load poll", "load drop"]);
        probe.assert_touched(&["swap call", "swap poll", "swap drop"]);
        probe.assert_touched(&["timer call", "timer poll", "timer drop"]);
        if hooks {
            probe.assert_touched(&["on_rotate", "on_orphan"]);
        } else {
            probe.assert_touched(&["revoke call", "revoke poll", "revoke drop"]);
        }
    }
}

// Rule C6. The clone of a waker is the executor's business; its wake and drop are the program's.
#[test]
fn a_waker_that_calls_back_as_it_is_replaced_finds_no_lock() {
    let touched = watched(|| {
        let (session, ports) = probes(true);
        ports.answer.store(HANG, Ordering::SeqCst);
        let _ = Hand::new(session.token()).ready().expect("what it was built with");
        ports.time.advance(HOUR);
        let mut caller = Hand::new(session.token());
        let mut watch = Hand::new(session.changed());
        for _ in 0..3 {
            assert!(caller.poll_with(&Dropped::waker(&ports.probe)).is_pending());
            assert!(watch.poll_with(&Dropped::waker(&ports.probe)).is_pending());
        }
        drop((caller, watch));
        ports.probe.let_go();
        ports.probe
    });
    touched.assert_touched(&["waker drop"]);
}
