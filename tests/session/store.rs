//! One session and its store: what it starts from, in which order it writes, and how it fails.

use std::error::Error as _;
use std::future::poll_fn;

use crate::session_support::ledger::{Fault, Ledger, settled, stored};
use crate::session_support::{
    DUE, HALF_A_SECOND, HOUR, Hand, SECOND, START, at_once, builder, first_grant, text, waiting,
};
use perennial::lifecycle::{Policy, Remedy, Reuse, State};
use perennial::refresh::RefreshError;
use perennial::session::{Error, Session};
use perennial::store::{MemoryStore, Store, StoreError, StoredGrant, Swap, Version, Versioned};
use perennial::testing::{Response, Scripted, VirtualTime};
use perennial::token::Grant;

/// What the store said to it.
#[track_caller]
fn store_error(error: &Error) -> &StoreError {
    assert!(error.is_store(), "{error}");
    let source = error.source().expect("the store said why");
    source.downcast_ref::<StoreError>().expect("a store's error")
}

// Rule F2. The rotated refresh token lives only in memory, lost on restart: golang/oauth2#84.
#[test]
fn a_session_starts_from_what_its_store_holds() {
    let (time, ledger) = (VirtualTime::at(START), Ledger::holding(stored(Scripted::grant(6))));
    let session = ledger.builder(&Scripted::new(), &time).grant(first_grant()).build();
    let session = session.expect("sendable");
    let token = at_once(session.token()).expect("stored");
    assert_eq!(token.expose(), "at-7");
    assert_eq!(token.expires_at(), Some(START.saturating_add(HOUR.into())));
    assert_eq!(ledger.take_log(), ["load"]);
}

// Rules F2, F5. What cannot be read may hold a newer grant: it is not written over.
#[test]
fn a_store_that_cannot_be_read_is_not_written_and_nothing_is_sent() {
    let script = Scripted::new();
    let (session, time, ledger) = settled(&script);
    time.advance(HOUR);
    ledger.set(Fault::WriteOnly);
    let before = ledger.content();
    let error = at_once(session.token()).expect_err("it cannot be read");
    assert!(!store_error(&error).is_emptied(), "{error}");
    assert_eq!((ledger.content(), script.requests()), (before, 0));
    ledger.set(Fault::None);
    time.advance(SECOND);
    assert_eq!(text(at_once(session.token())), "at-2");
}

// Rule F5. An empty store means a logout only where somebody has written that.
#[test]
fn a_session_whose_store_has_lost_its_content_renews_and_stores_the_grant_that_it_holds() {
    let script = Scripted::new();
    let (session, time, ledger) = settled(&script);
    time.advance(HOUR);
    ledger.set(Fault::Emptied);
    assert_eq!(text(at_once(session.token())), "at-2");
    assert_eq!(ledger.take_log(), ["load", "intent rt-1", "ask rt-1", "store rt-2"]);
}

// Rule F5.
#[test]
fn who_needs_no_grant_asks_where_the_store_has_lost_its_content_and_not_where_it_cannot_be_read() {
    for fault in [Fault::Emptied, Fault::Unreachable] {
        let unavailable = RefreshError::unavailable("503");
        let script = Scripted::new().then(Response::Fail(unavailable));
        let (time, ledger) = (VirtualTime::at(START), Ledger::new());
        let builder = ledger.builder(&script, &time).without_grant();
        let session = builder.build().expect("nothing to check");
        let error = at_once(session.token()).expect_err("unavailable");
        assert!(!error.is_store(), "{error}");
        time.advance(10 * SECOND);
        ledger.set(fault);
        let token = at_once(session.token());
        assert_eq!(script.requests(), if fault == Fault::Emptied { 2 } else { 1 });
        assert_eq!(token.is_ok(), fault == Fault::Emptied);
        assert!(token.err().is_none_or(|error| error.is_store()));
    }
}

// Rule F2.
#[test]
fn a_stored_grant_whose_access_token_has_expired_is_renewed_at_once() {
    let script = Scripted::new();
    let time = VirtualTime::at(START.saturating_add((5 * HOUR).into()));
    let ledger = Ledger::holding(stored(first_grant()));
    let session = ledger.builder(&script, &time).build().expect("nothing to check");
    assert_eq!(text(at_once(session.token())), "at-2");
    assert_eq!(ledger.take_log(), ["load", "load", "intent rt-1", "ask rt-1", "store rt-2"]);
}

// Rules F2, A3. The grant counts from when the session was built, not from its first caller.
#[test]
fn an_empty_store_is_given_the_sessions_own_grant() {
    let (time, ledger) = (VirtualTime::at(START), Ledger::new());
    let session = ledger.builder(&Scripted::new(), &time).grant(first_grant()).build();
    let session = session.expect("sendable");
    time.advance(HOUR / 2);
    let token = at_once(session.token()).expect("fresh");
    assert_eq!(token.expires_at(), Some(START.saturating_add(HOUR.into())));
    assert_eq!(ledger.content().grant, Some(stored(first_grant())));
    assert_eq!(ledger.take_log(), ["load", "store rt-1"]);
}

// Rule B11.
#[test]
fn an_empty_store_and_no_grant_mean_log_in() {
    let (time, ledger) = (VirtualTime::at(START), Ledger::new());
    let session = ledger.builder(&Scripted::new(), &time).build().expect("nothing to check");
    assert!(at_once(session.token()).expect_err("no grant").is_login_required());
    at_once(session.install(first_grant())).expect("stored");
    assert_eq!(text(at_once(session.token())), "at-1");
    assert_eq!(ledger.refresh_token().as_deref(), Some("rt-1"));
}

// Rule F2.
#[test]
fn the_order_is_intent_exchange_persist_publish() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time, ledger) = settled(&script);
    time.advance(HOUR);
    let mut caller = waiting(&session);
    let noted = ledger.content().grant.expect("held").intent.map(|intent| intent.since);
    assert_eq!(noted, Some(START.saturating_add(HOUR.into())));
    ledger.set(Fault::WritesHang);
    script.release(Response::Grant(Scripted::grant(1)));
    caller.pending();
    assert!(session.try_token().is_err(), "published before it was persisted");
    ledger.set(Fault::None);
    assert!(caller.woken() > 0);
    assert_eq!(text(caller.ready()), "at-2");
    assert_eq!(ledger.take_log(), ["load", "intent rt-1", "ask rt-1", "store rt-2"]);
    assert_eq!(ledger.content().grant.expect("held").intent, None);
    assert!(session.is_saved());
}

// Rules F5, B5.
#[test]
fn while_the_store_cannot_be_reached_valid_tokens_are_served_and_nothing_is_sent() {
    let script = Scripted::new();
    let (session, time, ledger) = settled(&script);
    ledger.set(Fault::Unreachable);
    time.advance(DUE);
    assert_eq!(text(at_once(session.token())), "at-1");
    time.advance(HOUR);
    let error = at_once(session.token()).expect_err("nothing can be noted");
    assert!(error.is_unavailable() && !error.is_login_required());
    assert_eq!(store_error(&error).to_string(), "the disk is full");
    assert_eq!((script.requests(), error.to_string().as_str()), (0, STORE_FAILED));
    ledger.set(Fault::None);
    time.advance(2 * SECOND);
    assert_eq!(text(at_once(session.token())), "at-2");
}

const STORE_FAILED: &str = "the store could not be read or written";

// Rules F5, F2.
#[test]
fn a_store_that_cannot_note_the_intent_stops_the_refresh() {
    let script = Scripted::new();
    let (session, time, ledger) = settled(&script);
    ledger.set(Fault::ReadOnly);
    time.advance(HOUR);
    assert!(at_once(session.token()).expect_err("read-only").is_store());
    assert_eq!((script.requests(), session.is_saved()), (0, true));
}

/// A session that has received `rt-2` and could not store it.
fn unsaved(script: &Scripted) -> (Session, VirtualTime, Ledger) {
    let (session, time, ledger) = settled(script);
    time.advance(HOUR);
    let mut caller = waiting(&session);
    ledger.set(Fault::Unreachable);
    script.release(Response::Grant(Scripted::grant(1)));
    assert_eq!(text(caller.ready()), "at-2");
    assert!(!session.is_saved());
    assert_eq!(ledger.refresh_token().as_deref(), Some("rt-1"));
    drop(caller);
    (session, time, ledger)
}

// Rule F2. A failed save replays a spent refresh token, or throws the new one away: aws-config.
#[test]
fn a_grant_that_could_not_be_stored_is_used_and_stored_by_the_next_refresh() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time, ledger) = unsaved(&script);
    time.advance(DUE);
    assert_eq!(text(at_once(session.token())), "at-2");
    assert!(!session.is_saved());
    ledger.set(Fault::None);
    ledger.take_log();
    time.advance(HOUR);
    assert_eq!(text(at_once(session.token())), "at-3");
    assert_eq!(ledger.take_log(), ["store rt-2", "load", "intent rt-2", "ask rt-2", "store rt-3"]);
    assert!(session.is_saved());
}

// Rules F2, C9.
#[test]
fn closing_stores_what_could_not_be_stored_before() {
    let script = Scripted::new().then(Response::Hang);
    let (session, _, ledger) = unsaved(&script);
    assert!(at_once(session.close()).expect_err("still down").is_store());
    assert!(!session.is_saved());
    assert!(session.close_blocking().expect_err("still down").is_store());
    ledger.set(Fault::None);
    session.close_blocking().expect("stored");
    assert!(session.is_saved());
    assert_eq!(ledger.refresh_token().as_deref(), Some("rt-2"));
}

// Rules F1, F2. A write that failed may have been done.
#[test]
fn a_write_whose_answer_was_lost_is_recognised() {
    for answer in [Scripted::grant(1), Grant::of_access_token("at-2", HOUR)] {
        let seed = match answer.refresh_token() {
            Some(_) => first_grant(),
            None => Grant::of_access_token("at-1", HOUR),
        };
        let script = Scripted::new().then(Response::Hang);
        let (time, ledger) = (VirtualTime::at(START), Ledger::holding(stored(seed)));
        let session = ledger.builder(&script, &time).build().expect("nothing to check");
        assert_eq!(text(at_once(session.token())), "at-1");
        time.advance(HOUR);
        let mut caller = waiting(&session);
        ledger.set(Fault::AnswersLost);
        script.release(Response::Grant(answer));
        assert_eq!(text(caller.ready()), "at-2");
        assert!(!session.is_saved());
        ledger.set(Fault::None);
        time.advance(HOUR);
        assert_eq!(text(at_once(session.token())), "at-3");
        assert!(session.is_saved());
    }
}

/// A session whose server keeps the old grant until the new one is used, while the store is down.
fn confirming(script: &Scripted) -> (Session, VirtualTime, Ledger) {
    let policy = Policy::builder().reuse(Reuse::ConfirmByUse).build().expect("valid");
    let (time, ledger) = (VirtualTime::at(START), Ledger::holding(stored(first_grant())));
    let session = ledger.builder(script, &time).policy(policy).build().expect("nothing to check");
    assert_eq!(text(at_once(session.token())), "at-1");
    time.advance(DUE);
    assert_eq!(text(at_once(session.token())), "at-1");
    ledger.set(Fault::Unreachable);
    script.release(Response::Grant(Scripted::grant(1)));
    assert_eq!(text(at_once(session.token())), "at-1");
    assert!(!session.is_saved());
    (session, time, ledger)
}

// Rule F2.
#[test]
fn under_confirm_by_use_the_old_token_serves_until_the_new_grant_is_safe() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time, ledger) = confirming(&script);
    assert_eq!(text(at_once(session.token())), "at-1");
    ledger.set(Fault::None);
    time.advance(SECOND);
    assert_eq!(text(at_once(session.token())), "at-1");
    assert_eq!(text(at_once(session.token())), "at-2");
    assert!(session.is_saved());
    assert_eq!((script.requests(), ledger.refresh_token().as_deref()), (1, Some("rt-2")));
}

// Rule F2.
#[test]
fn under_confirm_by_use_closing_stores_the_grant_and_it_is_published_later() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time, ledger) = confirming(&script);
    ledger.set(Fault::None);
    at_once(session.close()).expect("stored");
    assert!(session.is_saved());
    time.advance(HOUR / 4);
    assert_eq!(text(at_once(session.token())), "at-2");
    assert_eq!(script.requests(), 1);
}

// Rules F5, F1. One torn read was taken for permanent: google-cloud-rust#5864.
#[test]
fn damaged_content_is_a_clear_error_and_is_not_overwritten() {
    let script = Scripted::new();
    let (session, time, ledger) = settled(&script);
    let before = ledger.content();
    ledger.set(Fault::Damaged);
    assert_eq!(text(at_once(session.token())), "at-1");
    time.advance(HOUR);
    let error = at_once(session.token()).expect_err("damaged");
    assert!(store_error(&error).is_damaged());
    assert!(error.is_store() && !error.is_unavailable(), "waiting will not heal it");
    assert_eq!(store_error(&error).to_string(), "no JSON");
    ledger.take_log();
    // Nor by a login: whoever repairs it decides.
    let error = at_once(session.install(Scripted::grant(8))).expect_err("damaged");
    assert!(store_error(&error).is_damaged());
    assert!(session.try_token().is_err());
    let error = at_once(session.logout()).expect_err("damaged");
    assert!(store_error(&error).is_damaged());
    assert_eq!(session.state(), State::Expired(Remedy::LogIn));
    assert_eq!(ledger.take_log(), ["load", "load"]);
    assert_eq!((ledger.content(), script.requests()), (before, 0));
}

// Rules B6, F5. What was never sent leaves no doubt, however often the store hangs.
#[test]
fn a_store_that_hangs_before_anything_is_sent_costs_no_login() {
    let script = Scripted::new();
    let (session, time, ledger) = settled(&script);
    ledger.set(Fault::Hangs);
    time.advance(HOUR);
    for _ in 0..4 {
        let mut caller = waiting(&session);
        time.advance(30 * SECOND);
        let error = caller.ready().expect_err("its deadline has passed");
        assert_eq!(store_error(&error).to_string(), "the store did not answer in time");
        time.advance(60 * SECOND);
    }
    ledger.set(Fault::None);
    assert_eq!(text(at_once(session.token())), "at-2");
    assert_eq!(script.requests(), 1);
}

// Rules F2, B14, C3. What was received is not kept waiting with the store.
#[test]
fn a_store_that_hangs_after_the_exchange_costs_no_grant() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time, ledger) = settled(&script);
    time.advance(HOUR);
    let mut caller = waiting(&session);
    ledger.set(Fault::Hangs);
    script.release(Response::Grant(Scripted::grant(1)));
    caller.pending();
    time.advance(30 * SECOND);
    assert_eq!(text(caller.ready()), "at-2");
    assert!(!session.is_saved());
    ledger.set(Fault::None);
    at_once(session.close()).expect("stored");
    assert_eq!((script.requests(), ledger.refresh_token().as_deref()), (1, Some("rt-2")));
}

// Rules B11, C9, F2. What was given up is kept, and stored by whoever comes next.
#[test]
fn closing_waits_for_a_store_until_the_deadline_and_loses_nothing_with_it() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time, ledger) = unsaved(&script);
    ledger.set(Fault::Hangs);
    let mut closing = Hand::new(session.close());
    closing.pending();
    time.advance(29 * SECOND);
    closing.pending();
    time.advance(SECOND);
    assert!(closing.ready().expect_err("it hangs").is_store());
    assert!(!session.is_saved());
    ledger.set(Fault::None);
    at_once(session.close()).expect("it is stored");
    assert_eq!(ledger.refresh_token().as_deref(), Some("rt-2"));
}

// Rules F2, C5.
#[test]
fn a_store_that_panics_after_the_exchange_costs_no_grant() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time, ledger) = settled(&script);
    time.advance(HOUR);
    let mut caller = waiting(&session);
    ledger.set(Fault::Panics);
    script.release(Response::Grant(Scripted::grant(1)));
    assert_eq!(text(caller.ready()), "at-2");
    assert!(!session.is_saved());
}

// Rules F2, B14. An answer that comes late has time of its own to be stored.
#[test]
fn a_late_answer_is_stored_before_it_is_handed_out() {
    let script = Scripted::new().then(Response::Hang);
    let (session, time, ledger) = settled(&script);
    time.advance(HOUR);
    let mut caller = waiting(&session);
    time.advance(30 * SECOND);
    assert!(caller.ready().is_err());
    time.advance(SECOND / 10);
    ledger.set(Fault::WritesHang);
    script.release(Response::Grant(Scripted::grant(1)));
    assert!(at_once(session.token()).is_err(), "published before it was persisted");
    ledger.set(Fault::None);
    assert_eq!(text(at_once(session.token())), "at-2");
    assert!(session.is_saved());
}

// Rules F2, B6. A refusal says that the refresh token was not spent.
#[test]
fn an_unavailable_server_leaves_no_intent_behind_and_an_unknown_outcome_does() {
    for (error, noted) in [
        (RefreshError::unavailable("no connection"), false),
        (RefreshError::unknown("reset"), true),
    ] {
        let script = Scripted::new().then(Response::Fail(error));
        let (session, time, ledger) = settled(&script);
        time.advance(HOUR);
        assert!(at_once(session.token()).is_err());
        assert_eq!(ledger.content().grant.expect("held").intent.is_some(), noted);
        // The next sending keeps the instant of the first.
        time.advance(HALF_A_SECOND);
        assert_eq!(text(at_once(session.token())), "at-3");
    }
}

// Rules B6, F2. The window in which a server answers again runs from the first sending.
#[test]
fn a_noted_intent_keeps_the_instant_of_the_first_sending() {
    let unknown = || Response::Fail(RefreshError::unknown("reset"));
    let script = Scripted::new().then(unknown()).then(unknown());
    let (session, time, ledger) = settled(&script);
    time.advance(HOUR);
    for _ in 0..2 {
        assert!(at_once(session.token()).is_err());
        time.advance(60 * SECOND);
    }
    let noted = ledger.content().grant.expect("held").intent.map(|intent| intent.since);
    assert_eq!((noted, script.requests()), (Some(START.saturating_add(HOUR.into())), 2));
}

// Rule F1.
#[test]
fn the_memory_store_swaps_only_what_was_expected() {
    use perennial::store::{Store, Swap, Version, Versioned};
    let store = MemoryStore::new();
    assert_eq!(at_once(store.load()).expect("answered"), Versioned::EMPTY);
    let one = stored(first_grant());
    let done = at_once(store.swap(Version::EMPTY, Some(one.clone()))).expect("written");
    assert_eq!(done, Swap::Done(Version::new(1)));
    let present = Versioned { version: Version::new(1), grant: Some(one) };
    let refused = at_once(store.swap(Version::EMPTY, None)).expect("answered");
    assert_eq!(refused, Swap::Conflict(present.clone()));
    assert_eq!(store.clone().content(), present);
}

// Rules B14, F5.
#[test]
fn a_stored_access_token_that_no_header_may_carry_is_refreshed_and_harms_nobody() {
    let (script, time) = (Scripted::new(), VirtualTime::at(START));
    let (store, bad) = (MemoryStore::new(), Grant::new("at\n1", "rt-1", HOUR));
    let written = store.swap(Version::EMPTY, Some(StoredGrant::new(bad, START)));
    at_once(written).expect("memory");
    let session = builder(&script, &time).store(store).build().expect("sendable");
    assert_eq!(text(at_once(session.token())), "at-2");
    assert_eq!(script.presented(), [Some("rt-1".to_owned())]);
}

/// A store whose futures panic when they are dropped.
#[derive(Clone)]
struct Fragile(MemoryStore);

struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        panic!("a destructor panics");
    }
}

fn fragile<F: Future>(future: F) -> impl Future<Output = F::Output> + use<F> {
    let (mut future, bomb) = (Box::pin(future), PanicsOnDrop);
    poll_fn(move |cx| {
        let _armed = &bomb;
        future.as_mut().poll(cx)
    })
}

impl Store for Fragile {
    fn load(&self) -> impl Future<Output = Result<Versioned, StoreError>> + Send + 'static {
        fragile(self.0.load())
    }

    fn swap(
        &self,
        expected: Version,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        fragile(self.0.swap(expected, next))
    }
}

// Rules B14, F2.
#[test]
fn a_store_whose_futures_panic_when_they_are_dropped_costs_no_grant() {
    let (script, time) = (Scripted::new(), VirtualTime::at(START));
    let store = MemoryStore::new();
    let builder = builder(&script, &time).store(Fragile(store.clone()));
    let session = builder.build().expect("sendable");
    assert_eq!(text(at_once(session.token())), "at-1");
    time.advance(HOUR);
    assert_eq!(text(at_once(session.token())), "at-2");
    assert_eq!((script.requests(), session.is_saved()), (1, true));
    assert_eq!(store.content().grant.map(|stored| stored.grant), session.grant());
}

// Rules B5, F5. It is there, though the store did not say so: no reason to ask the server.
#[test]
fn a_grant_of_ones_own_whose_storing_failed_is_found_by_the_next_caller() {
    let script = Scripted::new();
    let (time, ledger) = (VirtualTime::at(START), Ledger::new());
    let session = ledger.builder(&script, &time).grant(first_grant()).build().expect("sendable");
    ledger.set(Fault::AnswersLost);
    assert!(at_once(session.token()).expect_err("who knows").is_store());
    ledger.set(Fault::None);
    time.advance(HALF_A_SECOND);
    assert_eq!(text(at_once(session.token())), "at-1");
    assert_eq!(script.requests(), 0);
}

// Rule F2. The next refresh may be an hour away, and the program may not live that long.
#[test]
fn a_keeper_stores_what_could_not_be_stored_long_before_the_next_refresh() {
    let script = Scripted::new();
    let (session, time, ledger) = settled(&script);
    let mut keeper = Hand::new(session.keep_fresh(time.clone()));
    keeper.pending();
    ledger.read_only_once_asked();
    time.advance(HOUR);
    keeper.pending();
    assert_eq!(text(at_once(session.token())), "at-2");
    for _ in 0..3 {
        assert_eq!(ledger.refresh_token().as_deref(), Some("rt-1"), "it cannot be written");
        time.advance(30 * SECOND);
        keeper.pending();
    }
    ledger.set(Fault::None);
    let before = keeper.woken();
    time.advance(30 * SECOND);
    assert!(keeper.woken() > before, "it was not woken");
    keeper.pending();
    assert_eq!(ledger.refresh_token().as_deref(), Some("rt-2"));
    assert_eq!(script.requests(), 1);
    ledger.take_log();
    time.advance(300 * SECOND);
    keeper.pending();
    assert!(ledger.take_log().is_empty(), "it is stored, and nothing is asked of the store");
}

// Rules C7, F2. As above, with nobody but callers, who have the token at once.
#[test]
fn callers_store_what_could_not_be_stored_long_before_the_next_refresh() {
    let asks: [fn(&Session) -> String; 3] = [
        |session| text(at_once(session.token())),
        |session| text(session.try_token()),
        |session| text(session.reader().token().cloned()),
    ];
    for ask in asks {
        let script = Scripted::new();
        let (session, time, ledger) = settled(&script);
        ledger.read_only_once_asked();
        time.advance(HOUR);
        assert_eq!(text(at_once(session.token())), "at-2");
        assert_eq!(ledger.refresh_token().as_deref(), Some("rt-1"), "it cannot be written");
        ledger.set(Fault::Hangs);
        time.advance(30 * SECOND);
        assert_eq!(ask(&session), "at-2");
        ledger.set(Fault::None);
        ledger.take_log();
        time.advance(30 * SECOND);
        for _ in 0..3 {
            assert_eq!(ask(&session), "at-2");
        }
        assert_eq!(ledger.refresh_token().as_deref(), Some("rt-2"));
        assert_eq!(script.requests(), 1);
        ledger.take_log();
        time.advance(300 * SECOND);
        assert_eq!(ask(&session), "at-2");
        assert!(ledger.take_log().is_empty(), "it is stored, and nothing is asked of the store");
    }
}
