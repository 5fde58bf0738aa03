//! Sessions that take turns with other holders of their store: by its lease, or by notes of intent.

use std::collections::BTreeSet;
use std::error::Error as _;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::session_support::ledger::{Ledger, settled_with, stored};
use crate::session_support::{
    HOUR, Hand, SECOND, START, Tasks, at_once, first_grant, text, waiting,
};
use perennial::clock::Clock as _;
use perennial::lifecycle::{Policy, Reuse};
use perennial::refresh::{BoxFuture, RefreshError};
use perennial::session::{Rejection, Session};
use perennial::store::{
    Acquired, Intent, Lease, MemoryStore, Store, StoreError, StoredGrant, Swap, Version, Versioned,
};
use perennial::testing::{Response, Scripted, VirtualTime};
use perennial::time::Timestamp;
use perennial::token::Grant;

/// An in-memory store with a lease, of which the test says who has it.
#[derive(Clone, Default)]
struct Leased {
    store: MemoryStore,
    book: Arc<Mutex<Book>>,
}

#[derive(Default)]
struct Book {
    /// Another holder has the lease, for this long.
    taken: Option<Duration>,
    down: bool,
    lost: bool,
    /// It ends with its holder, as one of the operating system does.
    is_lock: bool,
    log: Vec<&'static str>,
}

impl Leased {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("no panic")
    }

    fn take_log(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.book().log)
    }

    /// Another holder writes.
    fn overwrite(&self, next: StoredGrant) {
        let version = self.store.content().version;
        let swapped = at_once(self.store.swap(version, Some(next))).expect("it can be written");
        assert!(matches!(swapped, Swap::Done(_)));
    }
}

impl Store for Leased {
    fn load(&self) -> impl Future<Output = Result<Versioned, StoreError>> + Send + 'static {
        self.store.load()
    }

    fn swap(
        &self,
        expected: Version,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        let noted = next.as_ref().is_some_and(|next| next.intent.is_some());
        self.book().log.push(if noted { "note" } else { "store" });
        self.store.swap(expected, next)
    }

    fn lease(&self) -> Option<Arc<dyn Lease>> {
        Some(Arc::new(self.clone()))
    }
}

impl Lease for Leased {
    fn acquire(&self, term: Duration) -> BoxFuture<Result<Acquired, StoreError>> {
        let mut book = self.book();
        // A lock is held to the end of the refresh, any other for twice the refresh deadline.
        assert_eq!(term, if book.is_lock { 30 * SECOND } else { 60 * SECOND });
        let acquired = match (book.down, book.taken) {
            (true, _) => Err(StoreError::unreachable("the lock server is down")),
            (false, Some(remaining)) => Ok(Acquired::Busy { remaining: Some(remaining) }),
            (false, None) => {
                book.log.push("acquire");
                Ok(Acquired::Held(self.store.content()))
            }
        };
        Box::pin(async { acquired })
    }

    fn renew(&self, _: Version, _: Duration) -> BoxFuture<Result<bool, StoreError>> {
        let mut book = self.book();
        book.log.push("renew");
        let held = !book.lost;
        Box::pin(async move { Ok(held) })
    }

    fn release(&self, _: Version) -> BoxFuture<Result<(), StoreError>> {
        self.book().log.push("release");
        Box::pin(async { Ok(()) })
    }

    fn abandon(&self, _: Version) {
        self.book().log.push("abandon");
    }

    fn is_lock(&self) -> bool {
        self.book().is_lock
    }
}

/// A session on a store with a lease, an hour old: its token has just lapsed.
fn lapsed(script: &Scripted, reuse: Reuse) -> (Session, VirtualTime, Leased) {
    let (time, store) = (VirtualTime::at(START), Leased::default());
    store.overwrite(stored(first_grant()));
    let policy = Policy::builder().reuse(reuse).build().expect("valid");
    let builder = Session::builder_with(script.clone()).store(store.clone()).policy(policy);
    let builder = builder.clock(time.clone()).timer(time.clone());
    let session = builder.without_jitter().random(|| 1 << 31).build().expect("sendable");
    assert_eq!(text(at_once(session.token())), "at-1");
    time.advance(HOUR);
    store.take_log();
    (session, time, store)
}

/// A session on a store with a lease, which it has not read yet.
fn fresh(script: &Scripted) -> (Session, VirtualTime, Leased) {
    let (time, store) = (VirtualTime::at(START), Leased::default());
    store.overwrite(stored(first_grant()));
    let builder = Session::builder_with(script.clone()).store(store.clone()).clock(time.clone());
    let session = builder.timer(time.clone()).without_jitter().build().expect("sendable");
    (session, time, store)
}

/// The grant of the start, which another holder has noted that it presents.
fn noted(since: Timestamp, until: Option<Timestamp>) -> StoredGrant {
    let note = Intent { since, until, holder: Some(7) };
    StoredGrant { intent: Some(note), ..stored(first_grant()) }
}

fn after_an_hour(more: Duration) -> Timestamp {
    START.saturating_add((HOUR + more).into())
}

// Rules F2, F3.
#[test]
fn the_lease_is_held_over_note_request_and_storing_and_released_before_callers_go_on() {
    let script = Scripted::new();
    let (session, _, store) = lapsed(&script, Reuse::Strict);
    assert_eq!(text(at_once(session.token())), "at-2");
    assert_eq!(store.take_log(), ["acquire", "note", "store", "release"]);
}

// Rule F3. What lets a lock go at its term must not do so before the refresh is over, nor long after it.
#[test]
fn a_lock_is_taken_to_the_end_of_the_refresh() {
    let (session, _, store) = lapsed(&Scripted::new(), Reuse::Strict);
    store.book().is_lock = true;
    assert_eq!(text(at_once(session.token())), "at-2");
    assert_eq!(store.take_log(), ["acquire", "note", "store", "release"]);
}

// Rule F4.
#[test]
fn a_refresh_that_fails_releases_the_lease_too() {
    let script = Scripted::new().then(Response::Fail(RefreshError::unavailable("503")));
    let (session, _, store) = lapsed(&script, Reuse::Strict);
    assert!(at_once(session.token()).expect_err("503").is_unavailable());
    assert_eq!(store.take_log(), ["acquire", "note", "store", "release"]);
}

// Rules F3, F4. Case X30.
#[test]
fn what_another_holder_stores_is_adopted_by_who_waited_for_it_and_nothing_is_sent() {
    let script = Scripted::new();
    let (session, time, store) = lapsed(&script, Reuse::Strict);
    store.book().taken = Some(50 * SECOND);
    let mut caller = waiting(&session);
    time.advance(SECOND);
    caller.pending();
    // It has stored its grant, and not released the lease yet.
    store.overwrite(StoredGrant::new(Scripted::grant(6), after_an_hour(SECOND)));
    time.advance(SECOND);
    assert_eq!(text(caller.ready()), "at-7");
    assert_eq!(script.requests(), 0);
    assert_eq!(store.take_log(), [""; 0]);
}

// Rules B13, F4. Case X30.
#[test]
fn a_wait_for_another_holder_ends_in_an_error_that_says_so_and_for_how_long_it_may_go_on() {
    let script = Scripted::new();
    let (session, time, store) = lapsed(&script, Reuse::Strict);
    store.book().taken = Some(50 * SECOND);
    let mut caller = waiting(&session);
    let error = loop {
        time.advance(Duration::from_millis(100));
        if let std::task::Poll::Ready(told) = caller.poll() {
            break told.expect_err("another holder has the lease");
        }
        assert!(time.now() < after_an_hour(31 * SECOND), "it waits beyond its deadline");
    };
    assert!(error.is_busy() && error.is_unavailable() && !error.is_login_required());
    assert_eq!(error.to_string(), "another process is refreshing this grant");
    let source = error.source().expect("for how long").to_string();
    assert!(source.starts_with("it may take another "), "{source}");
    assert_eq!(script.requests(), 0);
    // It has gone.
    store.book().taken = None;
    time.advance(2 * SECOND);
    assert_eq!(text(at_once(session.token())), "at-2");
}

// Rules F4, F5.
#[test]
fn a_store_whose_lease_cannot_be_asked_is_not_taken_for_a_busy_holder() {
    let script = Scripted::new();
    let (session, time, store) = lapsed(&script, Reuse::Strict);
    store.book().down = true;
    let error = at_once(session.token()).expect_err("it is down");
    assert!(error.is_store() && !error.is_busy(), "{error}");
    assert_eq!((script.requests(), store.take_log()), (0, Vec::new()));
    store.book().down = false;
    time.advance(SECOND);
    assert_eq!(text(at_once(session.token())), "at-2");
}

// Rule F3.
#[test]
fn a_lease_is_renewed_while_a_late_response_is_waited_for_and_released_at_the_deadline() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time, store) = lapsed(&script, Reuse::Strict);
    let mut caller = waiting(&session);
    assert_eq!(store.take_log(), ["acquire", "note"]);
    for _ in 0..30 {
        time.advance(SECOND);
        let _ = caller.poll();
    }
    let log = store.take_log();
    assert_eq!(log.iter().filter(|what| **what == "release").count(), 1, "{log:?}");
    assert!(!log.contains(&"store") && !log.contains(&"abandon"), "{log:?}");
}

// Rules C9, F4.
#[test]
fn a_session_that_is_dropped_gives_its_lease_up() {
    let script = Scripted::new().then(Response::Hang);
    let (session, _, store) = lapsed(&script, Reuse::Strict);
    drop(waiting(&session));
    drop(session);
    assert_eq!(store.take_log(), ["acquire", "note", "abandon"]);
}

// Rules B6, F3. Case X35.
#[test]
fn a_note_under_a_free_lease_is_doubt_and_not_waited_for() {
    for (reuse, token) in [(Reuse::Unrotated, "at-2"), (Reuse::idempotent(90 * SECOND), "at-2")] {
        let script = Scripted::new();
        let (session, _, store) = lapsed(&script, reuse);
        let since = after_an_hour(Duration::ZERO);
        let until = Some(since.saturating_add((30 * SECOND).into()));
        store.overwrite(noted(since, until));
        assert_eq!(text(at_once(session.token())), token, "{reuse:?}");
        assert_eq!(script.requests(), 1);
    }
}

// Rules B6, F3.
#[test]
fn where_a_refresh_token_must_not_come_twice_a_dead_holders_note_leaves_the_old_token_in_use() {
    let script = Scripted::new();
    let (session, time, store) = fresh(&script);
    assert_eq!(text(at_once(session.token())), "at-1");
    // Due, and still usable.
    time.advance(3400 * SECOND);
    let since = START.saturating_add((3399 * SECOND).into());
    store.overwrite(noted(since, None));
    for _ in 0..5 {
        assert_eq!(text(at_once(session.token())), "at-1");
        time.advance(10 * SECOND);
    }
    assert_eq!(script.requests(), 0);
    // Its last chance: the server decides.
    time.advance(200 * SECOND);
    assert_eq!(text(at_once(session.token())), "at-2");
    assert_eq!(script.requests(), 1);
}

// Rules B5, F3. Found by fuzzing: a peer has stored a response that was understood only in part.
#[test]
fn a_dead_holders_note_on_a_grant_without_an_access_token_takes_no_working_token_away() {
    let script = Scripted::new();
    let (session, time, store) = fresh(&script);
    assert_eq!(text(at_once(session.token())), "at-1");
    time.advance(3400 * SECOND);
    let since = START.saturating_add((3399 * SECOND).into());
    let note = Intent { since, until: None, holder: Some(7) };
    let half = stored(Grant::of_refresh_token("rt-5"));
    store.overwrite(StoredGrant { intent: Some(note), ..half });
    for _ in 0..5 {
        assert_eq!(text(at_once(session.token())), "at-1");
        assert_eq!(text(session.try_token()), "at-1");
        time.advance(10 * SECOND);
    }
    assert_eq!(script.requests(), 0);
    time.advance(200 * SECOND);
    assert_eq!(text(at_once(session.token())), "at-2");
    assert_eq!(script.presented(), [Some("rt-5".to_owned())]);
}

// Rules B2, B8, F3. Found by fuzzing.
#[test]
fn a_dead_holders_note_brings_no_rejected_token_back() {
    let script = Scripted::new();
    let (session, time, store) = fresh(&script);
    let rejected = at_once(session.token()).expect("it is fresh");
    time.advance(1000 * SECOND);
    let since = START.saturating_add((999 * SECOND).into());
    store.overwrite(noted(since, None));
    assert_eq!(session.reject(&rejected), Rejection::Withdrawn);
    // It is in doubt which refresh token is good, until the server decides.
    for _ in 0..600 {
        if let Ok(token) = at_once(session.token()) {
            assert_ne!(token.generation(), rejected.generation());
            assert_eq!(text(Ok(token)), "at-2");
            return;
        }
        time.advance(10 * SECOND);
    }
    panic!("no other token ever comes");
}

// Rules B14, F2, F3.
#[test]
fn a_response_that_comes_after_another_holder_took_over_is_kept_and_stored_once_that_is_over() {
    let script = Scripted::new();
    let policy = Policy::builder().reuse(Reuse::idempotent(90 * SECOND)).build().expect("valid");
    let (session, time, ledger) = settled_with(&script, policy);
    time.advance(HOUR);
    let since = after_an_hour(Duration::ZERO);
    let until = Some(since.saturating_add((30 * SECOND).into()));
    ledger.overwritten_meanwhile(Some(noted(since, until)));
    assert_eq!(text(at_once(session.token())), "at-2", "it is used meanwhile");
    assert_eq!(ledger.refresh_token().as_deref(), Some("rt-1"), "the other holder's turn");
    time.advance(HOUR);
    assert_eq!(text(at_once(session.token())), "at-3");
    assert_eq!(ledger.refresh_token().as_deref(), Some("rt-3"));
}

// Rules B14, F2, F3.
#[test]
fn a_close_waits_for_another_holders_request_before_it_stores_what_came_meanwhile() {
    for stores in [true, false] {
        let script = Scripted::new();
        let (time, ledger) = (VirtualTime::at(START), Ledger::holding(stored(first_grant())));
        let session = ledger.builder(&script, &time).timer(time.clone()).build().expect("sendable");
        assert_eq!(text(at_once(session.token())), "at-1");
        time.advance(HOUR);
        let since = after_an_hour(Duration::ZERO);
        let until = Some(since.saturating_add((20 * SECOND).into()));
        ledger.overwritten_meanwhile(Some(noted(since, until)));
        assert_eq!(text(at_once(session.token())), "at-2");
        let mut closing = Hand::new(session.close());
        closing.pending();
        if stores {
            ledger.overwrite(Some(StoredGrant::new(Scripted::grant(6), since)));
        }
        time.advance(if stores { SECOND } else { 20 * SECOND });
        closing.ready().expect("the other holder's time is over");
        assert!(session.is_saved());
        let kept = if stores { "rt-7" } else { "rt-2" };
        assert_eq!(ledger.refresh_token().as_deref(), Some(kept));
    }
}

// Rules F3, F4. Case X35.
#[test]
fn a_peers_note_of_intent_is_waited_for_until_its_deadline_and_what_it_stores_is_adopted() {
    for stores in [true, false] {
        let script = Scripted::new();
        let (time, ledger) = (VirtualTime::at(START), Ledger::holding(stored(first_grant())));
        let session = ledger.builder(&script, &time).timer(time.clone()).build().expect("sendable");
        assert_eq!(text(at_once(session.token())), "at-1");
        time.advance(HOUR);
        let since = after_an_hour(Duration::ZERO);
        let until = Some(since.saturating_add((20 * SECOND).into()));
        ledger.overwrite(Some(noted(since, until)));
        let mut caller = waiting(&session);
        time.advance(10 * SECOND);
        caller.pending();
        assert_eq!(script.requests(), 0);
        if stores {
            ledger.overwrite(Some(StoredGrant::new(Scripted::grant(6), since)));
            time.advance(SECOND);
            assert_eq!(text(caller.ready()), "at-7");
            assert_eq!(script.requests(), 0);
        } else {
            time.advance(10 * SECOND);
            assert_eq!(text(caller.ready()), "at-2");
            assert_eq!(script.requests(), 1);
        }
    }
}

// Rules A5, F3, F4.
#[test]
fn the_note_of_a_clock_that_is_far_ahead_is_a_lease_for_one_term_however_many_refreshes_find_it() {
    let script = Scripted::new();
    let tasks = Tasks::default();
    let (time, ledger) = (VirtualTime::at(START), Ledger::holding(stored(first_grant())));
    let builder = ledger.builder(&script, &time).timer(time.clone()).spawner(tasks.spawner());
    let session = builder.build().expect("sendable");
    while at_once(session.token_within(Duration::ZERO)).is_err() {
        tasks.run();
    }
    time.advance(HOUR);
    let far = after_an_hour(100 * HOUR);
    let note = Intent { since: far, until: Some(far), holder: Some(7) };
    ledger.overwrite(Some(StoredGrant { intent: Some(note), ..stored(first_grant()) }));
    let mut waited = 0;
    while script.requests() == 0 {
        assert!(waited < 120, "it waits for ever");
        let _ = at_once(session.token_within(Duration::ZERO));
        tasks.run();
        time.advance(SECOND);
        tasks.run();
        waited += 1;
    }
    assert!(waited >= 37, "a term is 37.5 s, and it waited {waited}");
}

// Rule F4. A wait that woke itself would keep a processor busy until the lease is over.
#[test]
fn whoever_waits_for_another_holder_is_woken_by_nothing_but_the_timer() {
    let (time, ledger) = (VirtualTime::at(START), Ledger::holding(stored(first_grant())));
    let session = ledger.builder(&Scripted::new(), &time).timer(time.clone()).build();
    let session = session.expect("nothing to check");
    assert_eq!(text(at_once(session.token())), "at-1");
    time.advance(HOUR);
    ledger.overwrite(Some(noted(after_an_hour(Duration::ZERO), Some(after_an_hour(5 * SECOND)))));
    let mut caller = Hand::new(session.token());
    caller.pending();
    assert_eq!(caller.wakes.count(), 0);
    time.advance(5 * SECOND);
    assert!(caller.wakes.count() > 0);
}

// Rule F3.
#[test]
fn a_declined_grant_that_another_holder_presents_as_well_is_not_final() {
    let script = Scripted::new().then(Response::Fail(RefreshError::declined("spent")));
    let (time, ledger) = (VirtualTime::at(START), Ledger::holding(stored(first_grant())));
    let session = ledger.builder(&script, &time).build().expect("nothing to check");
    assert_eq!(text(at_once(session.token())), "at-1");
    time.advance(HOUR);
    ledger.overwritten_meanwhile(Some(noted(after_an_hour(Duration::ZERO), None)));
    let error = at_once(session.token()).expect_err("declined");
    assert_eq!((error.name(), error.is_login_required()), ("unavailable", false), "{error:?}");
    assert!(!error.is_superseded());
}

// Rule F2. A holder is told apart by its number, and every JSON parser reads that exactly.
#[test]
fn each_session_notes_what_it_presents_by_a_number_of_its_own_below_two_to_the_53rd() {
    let mut holders = BTreeSet::new();
    for _ in 0..32 {
        let script = Scripted::new().then(Response::Hang);
        let (time, ledger) = (VirtualTime::at(START), Ledger::holding(stored(first_grant())));
        let session = ledger.builder(&script, &time).build().expect("nothing to check");
        assert_eq!(text(at_once(session.token())), "at-1");
        time.advance(HOUR);
        let mut caller = Hand::new(session.token());
        caller.pending();
        let note = ledger.content().grant.and_then(|stored| stored.intent).expect("it was noted");
        let holder = note.holder.expect("it says whose it is");
        assert!(holder < 1 << 53, "{holder}");
        holders.insert(holder);
    }
    assert!(holders.len() > 30, "{holders:?}");
}
