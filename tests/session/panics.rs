//! Clocks and hooks of the program that panic: no grant is lost, and the panic goes on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::session_support::ledger::{Fault, Ledger, stored};
use crate::session_support::{
    DUE, HOUR, Hand, SECOND, START, at_once, builder, first_grant, standard, text,
};
use perennial::clock::Clock;
use perennial::lifecycle::{Remedy, State};
use perennial::session::{Builder, Session};
use perennial::testing::{Response, Scripted, VirtualTime};
use perennial::time::Timestamp;
use perennial::token::{Grant, Secret};

/// A clock that panics at one reading.
#[derive(Clone)]
struct Fragile {
    time: VirtualTime,
    /// How many more readings are good; never panics below zero.
    good: Arc<AtomicI64>,
}

const NEVER: i64 = -1;

impl Fragile {
    fn new(time: &VirtualTime) -> Self {
        Self { time: time.clone(), good: Arc::new(AtomicI64::new(NEVER)) }
    }

    fn after(&self, readings: i64) {
        self.good.store(readings, Ordering::SeqCst);
    }

    fn has_panicked(&self) -> bool {
        self.good.load(Ordering::SeqCst) == NEVER
    }
}

impl Clock for Fragile {
    fn now(&self) -> Timestamp {
        let good = self.good.load(Ordering::SeqCst);
        if good != NEVER {
            self.good.store(good - 1, Ordering::SeqCst);
        }
        assert_ne!(good, 0, "the clock panics");
        self.time.now()
    }
}

fn refresh_token(session: &Session) -> Option<String> {
    let grant = session.grant()?;
    grant.refresh_token().map(Secret::expose).map(str::to_owned)
}

/// A caller that panics where the clock does, or the hook; whether it did.
fn panics<T>(what: impl FnOnce() -> T) -> bool {
    catch_unwind(AssertUnwindSafe(what)).is_err()
}

/// Lets each reading of the clock panic in turn, from the answer's coming on, until there is none left
/// that does; holds the session to it that the answer is kept and the panic went on.
fn at_each_reading(build: impl Fn(&Scripted, &VirtualTime) -> Builder) {
    let mut reading = 0;
    loop {
        let script = Scripted::new().then(Response::Hang);
        let time = VirtualTime::at(START);
        let clock = Fragile::new(&time);
        let session = build(&script, &time).clock(clock.clone()).build().expect("sendable");
        at_once(session.token()).expect("fresh");
        time.advance(HOUR);
        let mut caller = Hand::new(session.token());
        caller.pending();
        script.release(Response::Grant(Scripted::grant(1)));
        clock.after(reading);
        let panicked = panics(|| caller.poll());
        assert_eq!(panicked, clock.has_panicked(), "reading {reading}: the panic goes on");
        if !panicked {
            assert!(reading > 1, "it is read as an answer lands");
            return;
        }
        drop(caller);
        // The next that comes has the answer, whatever the clock did to the one before.
        assert_eq!(text(at_once(session.token())), "at-2", "reading {reading}");
        assert_eq!(refresh_token(&session).as_deref(), Some("rt-2"), "reading {reading}");
        assert_eq!(script.requests(), 1, "reading {reading}: nothing was presented again");
        reading += 1;
    }
}

// Rules B14, C5, B13. Case X34.
#[test]
fn a_clock_that_panics_as_an_answer_lands_costs_no_grant_and_the_panic_goes_on() {
    at_each_reading(builder);
}

// Rules B14, F2, C5. Case X34, with a store.
#[test]
fn a_clock_that_panics_as_an_answer_is_stored_costs_no_grant_and_the_panic_goes_on() {
    at_each_reading(|script, time| Ledger::holding(stored(first_grant())).builder(script, time));
}

// Rules B14, C5. Case X34: what a flight adopts has the times at which it set out.
#[test]
fn a_clock_that_panics_as_a_peers_grant_is_adopted_does_not_lose_it() {
    for reading in 0..6 {
        let (script, time) = (Scripted::new(), VirtualTime::at(START));
        let ledger = Ledger::holding(stored(first_grant()));
        let clock = Fragile::new(&time);
        let session = ledger.builder(&script, &time).clock(clock.clone()).build();
        let session = session.expect("sendable");
        at_once(session.token()).expect("fresh");
        time.advance(HOUR);
        let theirs = perennial::store::StoredGrant::new(Scripted::grant(6), time.now());
        ledger.overwrite(Some(theirs));
        clock.after(reading);
        let _ = panics(|| at_once(session.token()).map(drop));
        clock.after(NEVER);
        time.advance(SECOND);
        assert_eq!(text(at_once(session.token())), "at-7", "reading {reading}");
        assert_eq!(script.requests(), 0, "reading {reading}");
    }
}

// Rules B14, B11. Case X34.
#[test]
fn a_clock_that_panics_once_a_login_is_stored_does_not_lose_the_login() {
    let mut reading = 0;
    loop {
        let (script, time) = (Scripted::new(), VirtualTime::at(START));
        let ledger = Ledger::new();
        let clock = Fragile::new(&time);
        let session = ledger.builder(&script, &time).clock(clock.clone()).build();
        let session = session.expect("sendable");
        clock.after(reading);
        let panicked = panics(|| at_once(session.install(first_grant())));
        assert_eq!(panicked, clock.has_panicked(), "reading {reading}");
        if ledger.refresh_token().is_some() {
            clock.after(NEVER);
            assert_eq!(text(at_once(session.token())), "at-1", "reading {reading}");
        }
        if !panicked {
            return;
        }
        reading += 1;
    }
}

// Rules B14, C5.
#[test]
fn hooks_that_panic_cost_no_grant_and_the_panic_goes_on() {
    let script = Scripted::new().then(Response::Grant(Scripted::grant(1))).then(Response::Hang);
    let time = VirtualTime::at(START);
    let session = builder(&script, &time)
        .on_rotate(|_| panic!("a hook panics"))
        .on_orphan(|_| panic!("a hook panics"))
        .build()
        .expect("sendable");
    time.advance(HOUR);
    assert!(panics(|| at_once(session.token())));
    assert_eq!(text(at_once(session.token())), "at-2");
    assert_eq!(script.requests(), 1);
    time.advance(DUE);
    assert_eq!(text(at_once(session.token())), "at-2");
    at_once(session.logout()).expect("no store");
    script.release(Response::Grant(Scripted::grant(2)));
    assert!(panics(|| at_once(session.close())), "of the hook for orphans");
    at_once(session.close()).expect("it has landed");
    assert_eq!(session.state(), State::Expired(Remedy::LogIn));
}

// Rules C3, C5.
#[test]
fn who_waits_beside_the_one_that_meets_a_hooks_panic_gets_the_token() {
    let script = Scripted::new().then(Response::Hang);
    let time = VirtualTime::at(START);
    let hooked = builder(&script, &time).on_rotate(|_| panic!("a hook panics")).build();
    let session = hooked.expect("sendable");
    time.advance(HOUR);
    let (mut first, mut second) = (Hand::new(session.token()), Hand::new(session.token()));
    first.pending();
    second.pending();
    let woken = second.woken();
    script.release(Response::Grant(Scripted::grant(1)));
    assert!(panics(|| first.poll()));
    assert!(second.woken() > woken);
    assert_eq!(text(second.ready()), "at-2");
}

// Rules B14, C5. Several orphans at once: each is offered, though the hook panics at every one.
#[test]
fn each_orphan_is_offered_though_the_hook_panics() {
    let script = Scripted::new().then(Response::Hang).then(Response::Hang);
    let (time, offered) = (VirtualTime::at(START), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&offered);
    let hooked =
        standard(Session::builder_with(script.clone()), &time).on_orphan(move |_: Grant| {
            count.fetch_add(1, Ordering::SeqCst);
            panic!("a hook panics")
        });
    let session = hooked.build().expect("sendable");
    time.advance(HOUR);
    let mut caller = Hand::new(session.token());
    caller.pending();
    time.advance(60 * SECOND);
    drop(caller);
    let mut caller = Hand::new(session.token());
    let _ = caller.poll();
    time.advance(60 * SECOND);
    drop(caller);
    let mut caller = Hand::new(session.token());
    let _ = caller.poll();
    let out = script.requests();
    at_once(session.logout()).expect("no store");
    for n in 1..=out {
        script.release(Response::Grant(Scripted::grant(n)));
    }
    drop(caller);
    while panics(|| at_once(session.close())) {}
    assert_eq!(offered.load(Ordering::SeqCst), out);
}

// Rules B14, B11. Case X34: on a store that takes its time.
#[test]
fn a_clock_that_panics_while_a_login_waits_for_its_store_does_not_lose_the_login() {
    // The first two readings come before the login has begun.
    for reading in 2..12 {
        let (script, time) = (Scripted::new(), VirtualTime::at(START));
        let ledger = Ledger::new();
        let clock = Fragile::new(&time);
        let session = ledger.builder(&script, &time).clock(clock.clone()).build();
        let session = session.expect("sendable");
        ledger.set(Fault::Hangs);
        clock.after(reading);
        let mut install = Hand::new(session.install(first_grant()));
        let mut panicked = false;
        for fault in [Fault::Hangs, Fault::WritesHang, Fault::AnswersLate, Fault::None] {
            ledger.set(fault);
            panicked |= panics(|| drop(install.poll()));
            if panicked {
                break;
            }
        }
        assert_eq!(panicked, clock.has_panicked(), "reading {reading}");
        clock.after(NEVER);
        assert_eq!(text(at_once(session.token())), "at-1", "reading {reading}");
        assert_eq!(ledger.refresh_token().as_deref(), Some("rt-1"), "reading {reading}");
    }
}

// Rules C6, C9. Closing from within would wait for itself.
#[test]
fn a_hook_that_closes_its_own_session_is_told_so_at_once() {
    let script = Scripted::new();
    let time = VirtualTime::at(START);
    let own: Arc<Mutex<Option<Session>>> = Arc::default();
    let told: Arc<Mutex<Vec<bool>>> = Arc::default();
    let (closes, tells) = (Arc::clone(&own), Arc::clone(&told));
    let hooked = builder(&script, &time).on_rotate(move |_| {
        let session = closes.lock().expect("no panic").clone().expect("set");
        let blocking = session.close_blocking().is_err_and(|error| error.is_reentrant());
        let polled = at_once(session.close()).is_err_and(|error| error.is_reentrant());
        tells.lock().expect("no panic").extend([blocking, polled]);
    });
    let session = hooked.build().expect("sendable");
    *own.lock().expect("no panic") = Some(session.clone());
    time.advance(HOUR);
    assert_eq!(text(at_once(session.token())), "at-2");
    assert_eq!(*told.lock().expect("no panic"), [true, true]);
    *own.lock().expect("no panic") = None;
}
