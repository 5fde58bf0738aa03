//! Secrets are planted wherever the crate holds one, and whatever can be shown is searched for them.

mod session_support;

use std::error::Error as StdError;
use std::fmt::{Debug, Display, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::{Arc, Mutex};

use perennial::adapters::sealed::{Keys, Sealed, SealingKey};
use perennial::clock::SharedClock;
use perennial::refresh::{PollIn, RefreshError, Request};
use perennial::session::Session;
use perennial::store::{
    MemoryStore, Store as _, StoreError, StoredGrant, Swap, Version, Versioned,
};
use perennial::testing::{Response, Scripted, VirtualTime};
use perennial::token::{Grant, Secret};
use session_support::ledger::{Fault, Ledger};
use session_support::{HOUR, Hand, SECOND, START, at_once, builder, waiting};

/// In every planted secret, and nowhere else.
const PLANTED: &str = "s3cr3t";

fn planted(what: &str) -> Grant {
    Grant::new(format!("{PLANTED}-at-{what}"), format!("{PLANTED}-rt-{what}"), HOUR)
        .with_field("id_token", format!("{PLANTED}-id-{what}"))
        .with_field("scope", format!("{PLANTED}-scope"))
}

/// All that was shown, to be searched.
#[derive(Default)]
struct Shown(String);

impl Shown {
    fn debug(&mut self, thing: &impl Debug) -> &mut Self {
        writeln!(self.0, "{thing:?}\n{thing:#?}").expect("a string takes all");
        self
    }

    /// An error, and all that lie underneath.
    fn error(&mut self, error: &(dyn StdError + 'static)) -> &mut Self {
        let mut next = Some(error);
        while let Some(error) = next {
            writeln!(self.0, "{error} {error:#} {error:?} {error:#?}").expect("takes all");
            next = error.source();
        }
        self
    }

    fn display(&mut self, thing: &impl Display) -> &mut Self {
        writeln!(self.0, "{thing}\n{thing:#}").expect("a string takes all");
        self
    }

    #[track_caller]
    fn holds_no_secret(&self) {
        assert!(!self.0.is_empty());
        assert!(!self.0.contains(PLANTED), "a secret is shown:\n{}", self.0);
    }
}

// Rule G1. Derived Debug on credentials: object_store.
#[test]
fn what_holds_a_secret_does_not_show_it() {
    let (grant, time) = (planted("x"), VirtualTime::at(START));
    let stored = StoredGrant::new(grant.clone(), START);
    let versioned = Versioned { version: Version::new(3), grant: Some(stored.clone()) };
    let mut shown = Shown::default();
    shown.debug(&grant).debug(&stored).debug(&versioned).debug(&Swap::Conflict(versioned.clone()));
    shown.debug(&Secret::new(PLANTED)).debug(&grant.fields().collect::<Vec<_>>());
    shown.debug(&Response::Grant(grant.clone())).debug(&time).debug(&SharedClock);

    let script = Scripted::new().then(Response::Grant(planted("y"))).then(Response::Hang);
    let store = MemoryStore::new();
    let unbuilt = builder(&script, &time).grant(grant).store(store.clone());
    shown.debug(&unbuilt).debug(&Session::builder_with(script.clone()));
    let session = unbuilt.build().expect("sendable");
    let token = at_once(session.token()).expect("fresh");
    assert!(token.expose().contains(PLANTED));
    shown.debug(&session).debug(&token).debug(&token.secret()).debug(&token.generation());
    shown.debug(&session.grant()).debug(&store).debug(&store.content());
    shown.debug(&session.keep_fresh(time.clone())).debug(&session.changed());
    session.reject(&token);
    shown.debug(&at_once(session.token()));
    time.advance(HOUR);
    drop(waiting(&session));
    at_once(session.logout()).expect("stored");
    script.release(Response::Grant(planted("z")));
    at_once(session.close()).expect("revoked");
    assert!(script.revoked()[0].contains(PLANTED) && script.presented().len() == 2);
    shown.debug(&script).debug(&session.token()).debug(&session);
    shown.holds_no_secret();
}

// Rule G1. What a refresher is asked, and where it lives.
#[test]
fn a_request_does_not_show_what_it_presents() {
    let shown: Arc<Mutex<Shown>> = Arc::default();
    let seen = Arc::clone(&shown);
    let session = Session::builder(move |request: Request| {
        let token = request.refresh_token().expect("one to present");
        assert!(token.expose().contains(PLANTED));
        seen.lock().expect("no panic").debug(&request).debug(&token).debug(&PollIn::Anywhere);
        async { Err(RefreshError::declined("invalid_grant")) }
    });
    let grant = Grant::of_refresh_token(format!("{PLANTED}-rt"));
    let session = session.grant(grant).build().expect("sendable");
    let error = at_once(session.token()).expect_err("declined");
    let mut shown = shown.lock().expect("no panic");
    shown.error(&error).holds_no_secret();
}

// Rule G1. A key that seals, and errors of records that it does not open.
#[test]
fn what_seals_a_grant_shows_neither_the_grant_nor_the_key() {
    let key = SealingKey::new(*b"s3cr3t s3cr3t s3cr3t s3cr3t s3cr");
    let (text, inner) = (key.to_base64(), MemoryStore::new());
    let keys = Keys::new(key.clone()).and_older(SealingKey::new([1; 32]));
    let store = Sealed::new(inner.clone(), &keys, "tenant-42");
    let mut shown = Shown::default();
    shown.debug(&key).debug(&keys).debug(&store).debug(&text);
    let stored = StoredGrant::new(planted("x"), START);
    shown.debug(&at_once(store.swap(Version::EMPTY, Some(stored))));
    shown.debug(&at_once(store.load())).debug(&inner.content());
    for name in ["tenant-42", "tenant-41"] {
        let other = Keys::new(SealingKey::new([2; 32]));
        for keys in [&keys, &other] {
            let store = Sealed::new(inner.clone(), keys, name);
            if let Err(error) = at_once(store.load()) {
                shown.error(&error);
            }
        }
    }
    shown.error(&SealingKey::from_base64(PLANTED).expect_err("too short"));
    let folder = tempfile::tempdir().expect("a directory");
    let path = folder.path().join("key");
    SealingKey::from_file_or_create(&path).expect("created");
    std::fs::write(&path, format!("{PLANTED} {PLANTED}")).expect("written");
    shown.error(&SealingKey::from_file(&path).expect_err("no key"));
    shown.holds_no_secret();
    assert!(!shown.0.contains(text.expose()) && shown.0.contains(key.id()), "{}", shown.0);
}

// Rule G1. Errors of every kind, however deep.
#[test]
fn no_error_shows_a_secret() {
    let mut shown = Shown::default();
    let failures = [
        RefreshError::declined("invalid_grant"),
        RefreshError::unavailable("no connection").retry_after(SECOND),
        RefreshError::unknown("reset").with_source(std::io::Error::other("connection reset")),
    ];
    for failure in failures {
        shown.error(&failure);
        for answer in [Response::Fail(failure), Response::Panic] {
            let script = Scripted::new().then(answer);
            let time = VirtualTime::at(START);
            let session = builder(&script, &time).grant(planted("x")).build().expect("sendable");
            time.advance(HOUR);
            shown.error(&at_once(session.token()).expect_err("it fails"));
            shown.error(&at_once(session.token()).expect_err("it backs off"));
            shown.error(&session.try_token().expect_err("lapsed"));
        }
    }
    for fault in [Fault::Unreachable, Fault::Damaged, Fault::Panics, Fault::Hangs] {
        let script = Scripted::new();
        let time = VirtualTime::at(START);
        let ledger = Ledger::holding(StoredGrant::new(planted("s"), START));
        let session = ledger.builder(&script, &time).grant(planted("x")).build();
        let session = session.expect("sendable");
        ledger.set(fault);
        let mut caller = Hand::new(session.token());
        let _ = caller.poll();
        time.advance(HOUR);
        if let std::task::Poll::Ready(result) = caller.poll() {
            shown.error(&result.expect_err("the store fails"));
        }
        if fault == Fault::Unreachable || fault == Fault::Damaged {
            shown.error(&at_once(session.install(planted("y"))).expect_err("the store fails"));
            shown.error(&at_once(session.logout()).expect_err("the store fails"));
        }
    }
    let source = std::io::Error::other("no space");
    shown.error(&StoreError::unreachable("the disk is full").with_source(source));
    shown.error(&StoreError::damaged("no JSON"));
    for grant in [
        Grant::new(format!("{PLANTED}\n"), "rt", HOUR),
        Grant::new("at", format!("{PLANTED}\u{e9}"), HOUR),
        Grant::new("", PLANTED, HOUR),
    ] {
        let error = Session::builder_with(Scripted::new()).grant(grant).build();
        let error = error.expect_err("it cannot be sent");
        shown.display(&error).error(&error);
    }
    shown.holds_no_secret();
}

// Rule G1. Whatever panics says nothing that it was given. One test of this file sets the hook.
#[test]
fn no_panic_shows_a_secret() {
    let said: Arc<Mutex<Shown>> = Arc::default();
    let (heard, before) = (Arc::clone(&said), take_hook());
    set_hook(Box::new(move |info| {
        heard.lock().expect("no panic").display(info);
    }));
    let caught = catch_unwind(AssertUnwindSafe(|| {
        for fault in [Fault::None, Fault::Panics] {
            let script = Scripted::new().then(Response::Panic);
            let time = VirtualTime::at(START);
            let ledger = Ledger::holding(StoredGrant::new(planted("s"), START));
            let session = ledger.builder(&script, &time).build().expect("sendable");
            ledger.set(fault);
            assert!(at_once(session.token()).is_ok() || fault == Fault::Panics);
            time.advance(HOUR);
            assert!(at_once(session.token()).is_err());
        }
    }));
    set_hook(before);
    caught.expect("the panics stay inside");
    said.lock().expect("no panic").holds_no_secret();
}

// Rule G2.
#[test]
fn secrets_are_equal_where_their_texts_are() {
    let same = [("", ""), ("a", "a"), ("token", "token")];
    let other = [("", "a"), ("a", ""), ("a", "b"), ("token", "tokem"), ("token", "tokens")];
    assert!(same.iter().all(|(one, two)| Secret::from(*one) == Secret::new(*two)));
    assert!(other.iter().all(|(one, two)| Secret::from(*one) != Secret::new(*two)));
    assert_eq!(Secret::from("text".to_owned()).expose(), "text");
}

// Rule G2. Grants differ where any part of them does.
#[test]
fn grants_are_equal_only_where_all_their_parts_are() {
    let grant = planted("x").with_refresh_in(SECOND);
    assert_eq!(grant, grant.clone());
    for other in [
        planted("x"),
        planted("y").with_refresh_in(SECOND),
        planted("x").with_refresh_in(HOUR),
        grant.clone().with_field("more", "x"),
        grant.clone().with_refresh_token("rt"),
    ] {
        assert_ne!(grant, other);
    }
}

// Rule G2.
#[test]
fn the_ready_header_is_sensitive_and_made_once() {
    let session = Session::builder(|_: Request| async { Err(RefreshError::declined("none")) })
        .grant(Grant::new("hush-at", "hush-rt", HOUR))
        .build()
        .expect("sendable");
    let token = session.try_token().expect("a token");
    let header = token.header_value();
    assert_eq!(header.as_bytes(), b"Bearer hush-at");
    assert!(header.is_sensitive());
    assert!(!format!("{header:?} {token:?}").contains("hush"));
    let again = session.try_token().expect("a token").header_value().clone();
    assert_eq!(again.as_bytes().as_ptr(), header.as_bytes().as_ptr());
}
