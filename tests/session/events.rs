//! What a session reports of itself (section H of the rules).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use perennial::events::{Event, EventKind, GrantOrigin, StoreOutcome};
use perennial::refresh::RefreshError;
use perennial::session::{Builder, Session};
use perennial::store::MemoryStore;
use perennial::testing::{Response, Scripted, VirtualTime};
use perennial::token::Grant;

use crate::session_support::unwritable::Unwritable;
use crate::session_support::{HALF_A_SECOND, HOUR, Hand, SECOND, START, builder, first_grant};

/// All events of a session.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<Event>>>);

impl Events {
    fn built(&self, builder: Builder) -> Session {
        self.on(builder).build().expect("the grant can be sent")
    }

    /// What follows the first event, which says that the session was built.
    fn of(&self, builder: Builder) -> Session {
        let session = self.built(builder);
        assert_eq!(self.names(), ["session.started"]);
        session
    }

    fn on(&self, builder: Builder) -> Builder {
        let events = self.clone();
        builder.on_event(move |event| events.0.lock().expect("no panic").push(event.clone()))
    }

    /// All of them, and from now on only new ones.
    fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.0.lock().expect("no panic"))
    }

    fn names(&self) -> Vec<&'static str> {
        self.take().iter().map(|event| event.kind.name()).collect()
    }
}

fn attribute(event: &Event, wanted: &str) -> Option<String> {
    let mut found = None;
    event.attributes(&mut |name, value| {
        if name == wanted {
            found = Some(value.to_string());
        }
    });
    found
}

// Rule H1: "A failure MUST be reported with its kind, with the status of the response where there was one,
// and with when the next refresh may start; a success after failures, with how many there were and since
// when."
#[test]
fn an_outage_of_a_minute_is_told_with_its_cause_its_status_the_next_try_and_its_end() {
    let unavailable =
        || RefreshError::unavailable("the token endpoint answered 503").with_status(503);
    let script = Scripted::new().then(Response::Fail(unavailable()));
    let script = script.then(Response::Fail(unavailable()));
    let (time, events) = (VirtualTime::at(START), Events::default());
    let session = events.of(builder(&script, &time).name("billing API"));
    time.advance(HOUR);
    assert!(session.token_blocking().is_err());
    let told = events.take();
    let names: Vec<_> = told.iter().map(|event| event.kind.name()).collect();
    assert_eq!(names, ["refresh.started", "refresh.failed", "token.waited"]);
    let failed = &told[1];
    let expected = [
        ("perennial.session.name", "billing API"),
        ("perennial.session.state", "expired"),
        ("perennial.session.retry_in", "0.5 s"),
        ("perennial.refresh", "1"),
        ("perennial.refresh.cause", "lapsed"),
        ("perennial.refresh.failures", "1"),
        ("error.type", "unavailable"),
        ("http.response.status_code", "503"),
    ];
    for (name, value) in expected {
        assert_eq!(attribute(failed, name).as_deref(), Some(value), "{name}");
    }
    let message = attribute(failed, "error.message").expect("there is one");
    assert!(message.ends_with("the token endpoint answered 503"), "{message}");
    time.advance(HALF_A_SECOND);
    assert!(session.token_blocking().is_err());
    assert_eq!(attribute(&events.take()[1], "perennial.refresh.failures").as_deref(), Some("2"));
    time.advance(Duration::from_millis(59_500));
    session.token_blocking().expect("the server is back");
    let told = events.take();
    let recovered = &told[1];
    assert_eq!(recovered.kind.name(), "refresh.succeeded");
    let EventKind::RefreshSucceeded { token, origin, failures, outage, .. } = &recovered.kind
    else {
        panic!("{recovered}")
    };
    assert_eq!((*failures, *outage), (2, Some(Duration::from_secs(60))));
    assert_eq!((*origin, token.expires_in), (GrantOrigin::Response, Some(HOUR)));
    assert_eq!(token.due_in, Some(Duration::from_secs(3300)));
    assert_eq!(recovered.session.map(|session| session.retry_in), Some(None));
}

// Rule H1.
#[test]
fn each_started_refresh_ends_once_also_where_a_login_or_a_logout_comes_first() {
    let script = Scripted::new().then(Response::Hang).then(Response::Hang);
    let (time, events) = (VirtualTime::at(START), Events::default());
    let session = events.of(builder(&script, &time));
    time.advance(HOUR);
    let mut waiting = Hand::new(session.token());
    assert!(waiting.poll().is_pending());
    session.install_blocking(Grant::new("at-9", "rt-9", HOUR)).expect("there is no store");
    assert_eq!(events.names(), ["refresh.started", "grant.installed", "refresh.superseded"]);
    script.release(Response::Grant(Scripted::grant(2)));
    drop(waiting);
    session.close_blocking().expect("nothing is to be stored");
    assert_eq!(events.names(), ["grant.orphaned"]);
    time.advance(HOUR);
    let mut waiting = Hand::new(session.token());
    assert!(waiting.poll().is_pending());
    session.logout_blocking().expect("there is no store");
    assert_eq!(events.names(), ["refresh.started", "grant.removed", "refresh.superseded"]);
    drop(waiting);
    drop(session);
    assert_eq!(events.names(), ["session.ended"]);
}

// Rule H1.
#[test]
fn a_refresh_without_an_answer_is_told_as_failed_and_its_late_response_as_a_grant() {
    let script = Scripted::new().then(Response::Hang);
    let (time, events) = (VirtualTime::at(START), Events::default());
    let session = events.of(builder(&script, &time).timer(time.clone()));
    time.advance(HOUR);
    let mut waiting = Hand::new(session.token());
    assert!(waiting.poll().is_pending());
    time.advance(Duration::from_secs(30));
    assert!(waiting.poll().is_ready());
    let told = events.take();
    let names: Vec<_> = told.iter().map(|event| event.kind.name()).collect();
    assert_eq!(names, ["refresh.started", "refresh.failed", "token.waited"]);
    assert_eq!(attribute(&told[1], "error.type").as_deref(), Some("unknown"));
    assert_eq!(attribute(&told[2], "perennial.wait.duration").as_deref(), Some("30 s"));
    assert_eq!(attribute(&told[2], "error.type").as_deref(), Some("unknown"));
    script.release(Response::Grant(Scripted::grant(2)));
    session.close_blocking().expect("nothing is to be stored");
    let told = events.take();
    assert_eq!(told[0].kind.name(), "grant.installed");
    assert_eq!(attribute(&told[0], "perennial.refresh.failures").as_deref(), Some("1"));
}

#[test]
fn a_rejection_and_the_replay_that_follows_are_told() {
    let (time, events) = (VirtualTime::at(START), Events::default());
    let session = events.of(builder(&Scripted::new(), &time));
    let token = session.token_blocking().expect("it is fresh");
    let _ = session.reject(&token);
    let _ = session.reject(&token);
    let next = session.token_blocking().expect("the server grants");
    session.recovered(&next);
    let told = events.take();
    let names: Vec<_> = told.iter().map(|event| event.kind.name()).collect();
    let expected = [
        "token.rejected",
        "refresh.started",
        "refresh.succeeded",
        "token.waited",
        "token.recovered",
    ];
    assert_eq!(names, expected);
    assert_eq!(attribute(&told[0], "perennial.rejection").as_deref(), Some("withdrawn"));
    assert_eq!(attribute(&told[1], "perennial.refresh.cause").as_deref(), Some("rejected"));
    let sequence: Vec<_> = told.iter().filter_map(|it| it.session.map(|it| it.sequence)).collect();
    assert_eq!(sequence, [2, 3, 4, 5, 6]);
}

// Rule F2: it "MUST be kept, reported, and retried".
#[test]
fn a_grant_that_could_not_be_stored_is_told_once_and_again_when_it_is() {
    let store = Unwritable::default();
    let (time, events) = (VirtualTime::at(START), Events::default());
    let session = events.of(builder(&Scripted::new(), &time).store(store.clone()));
    session.token_blocking().expect("it is fresh");
    time.advance(HOUR);
    *store.1.lock().expect("no panic") = 1;
    events.take();
    session.token_blocking().expect("it is handed out all the same");
    let told = events.take();
    let names: Vec<_> = told.iter().map(|event| event.kind.name()).collect();
    let store_called = "store.called";
    let expected = [
        "refresh.started",
        store_called,
        store_called,
        store_called,
        "refresh.succeeded",
        "grant.unsaved",
        "token.waited",
    ];
    assert_eq!(names, expected);
    assert_eq!(attribute(&told[3], "error.message").as_deref(), Some("the disk is full"));
    assert_eq!(attribute(&told[5], "error.message").as_deref(), Some("the disk is full"));
    session.close_blocking().expect("the store works again");
    let told = events.take();
    let EventKind::StoreCalled { outcome: StoreOutcome::Done, .. } = told[0].kind else {
        panic!("{}", told[0])
    };
    assert_eq!(told.last().map(|it| it.kind.name()), Some("grant.saved"));
}

#[test]
fn what_another_process_has_stored_is_told_as_such() {
    let (store, time) = (MemoryStore::new(), VirtualTime::at(START));
    let other = builder(&Scripted::new(), &time).store(store.clone()).build().expect("sendable");
    other.token_blocking().expect("it is fresh");
    let events = Events::default();
    let session = events.of(builder(&Scripted::new(), &time).store(store));
    session.token_blocking().expect("it is in the store");
    let from_store = |event: &Event| {
        matches!(event.kind, EventKind::RefreshSucceeded { origin: GrantOrigin::Store, .. })
    };
    assert!(events.take().iter().any(from_store));
    time.advance(HOUR);
    other.token_blocking().expect("the server grants");
    session.token_blocking().expect("it is in the store");
    assert!(events.take().iter().any(from_store));
}

// Rule H2: "A hook that panics MUST change nothing."
#[test]
fn a_hook_that_panics_changes_nothing_and_the_next_hook_is_called() {
    let (time, events) = (VirtualTime::at(START), Events::default());
    let panics = builder(&Scripted::new(), &time).on_event(|_| panic!("planned"));
    let session = events.of(panics);
    time.advance(HOUR);
    session.token_blocking().expect("the server grants");
    assert_eq!(events.names(), ["refresh.started", "refresh.succeeded", "token.waited"]);
}

// Rule H2: "outside of any lock, after the change that it reports is in place".
#[test]
fn a_hook_can_ask_its_session_and_finds_what_it_is_told() {
    let time = VirtualTime::at(START);
    let found = Arc::new(Mutex::new(Vec::new()));
    let asked: Arc<Mutex<Option<Session>>> = Arc::default();
    let (hook_found, hook_asked) = (Arc::clone(&found), Arc::clone(&asked));
    let session = builder(&Scripted::new(), &time)
        .on_event(move |event| {
            if let (EventKind::RefreshSucceeded { token, .. }, Some(session)) =
                (&event.kind, &*hook_asked.lock().expect("no panic"))
            {
                let present = session.try_token().map(|present| present.generation());
                hook_found.lock().expect("no panic").push(present.ok() == Some(token.generation));
            }
        })
        .build()
        .expect("sendable");
    *asked.lock().expect("no panic") = Some(session.clone());
    time.advance(HOUR);
    session.token_blocking().expect("the server grants");
    assert_eq!(*found.lock().expect("no panic"), [true]);
    *asked.lock().expect("no panic") = None;
}

#[test]
fn only_a_caller_that_had_to_wait_is_told_to_have_waited() {
    let script = Scripted::new().then(Response::Hang);
    let (time, events) = (VirtualTime::at(START), Events::default());
    let session = events.of(builder(&script, &time));
    session.token_blocking().expect("it is fresh");
    assert_eq!(events.names(), [""; 0]);
    time.advance(HOUR);
    let mut waiting = Hand::new(session.token());
    assert!(waiting.poll().is_pending());
    time.advance(SECOND);
    script.release(Response::Grant(Scripted::grant(2)));
    assert!(waiting.poll().is_ready());
    let told = events.take();
    let last = told.last().expect("there is one");
    assert_eq!(last.kind.name(), "token.waited");
    assert_eq!(attribute(last, "perennial.wait.duration").as_deref(), Some("1 s"));
    assert_eq!(attribute(last, "error.type"), None);
}

#[test]
fn an_event_is_one_line_however_its_texts_are() {
    let error = RefreshError::unavailable("first\nrefresh.succeeded: forged");
    let script = Scripted::new().then(Response::Fail(error));
    let (time, events) = (VirtualTime::at(START), Events::default());
    let session = events.of(builder(&script, &time).name("a\nb").grant(first_grant()));
    time.advance(HOUR);
    assert!(session.token_blocking().is_err());
    for event in events.take() {
        assert_eq!(event.to_string().lines().count(), 1, "{event}");
    }
}

#[test]
fn a_session_that_was_built_is_told_with_the_token_that_it_starts_with() {
    let (time, events) = (VirtualTime::at(START), Events::default());
    let _session = events.built(builder(&Scripted::new(), &time).name("billing API"));
    let told = events.take();
    assert_eq!(told.len(), 1);
    assert_eq!(attribute(&told[0], "perennial.session.state").as_deref(), Some("valid"));
    assert_eq!(attribute(&told[0], "perennial.token.expires_in").as_deref(), Some("3600 s"));
    assert_eq!(told[0].session.map(|session| session.sequence), Some(1));
}

// Rule F2: it "MUST be kept, reported, and retried". It is the login's grant that is to be renewed in the store.
#[test]
fn a_response_that_joins_a_login_and_cannot_be_stored_is_told_too() {
    let (store, script) = (Unwritable::default(), Scripted::new().then(Response::Hang));
    let (time, events) = (VirtualTime::at(START), Events::default());
    let session = events.of(builder(&script, &time).store(store.clone()));
    session.token_blocking().expect("it is fresh");
    time.advance(HOUR);
    let mut waiting = Hand::new(session.token());
    waiting.pending();
    let login = Grant::new("at-9", script.presented()[0].clone().expect("one"), HOUR);
    session.install_blocking(login).expect("the store works");
    *store.1.lock().expect("no panic") = u32::MAX;
    script.release(Response::Grant(Scripted::grant(2)));
    drop(waiting);
    assert!(session.close_blocking().is_err());
    assert!(events.names().contains(&"grant.unsaved"));
    session.logout_blocking().expect("a removal is written");
    let told = events.take();
    let ended = told.iter().find(|event| event.kind.name() == "grant.saved").expect("it ended");
    assert_eq!(attribute(ended, "perennial.grant.stored").as_deref(), Some("false"));
}

// The first alert of the guide counts these.
#[test]
fn a_caller_that_gets_no_token_is_told_also_where_it_did_not_wait() {
    let script = Scripted::new().then(Response::Fail(RefreshError::declined("it was revoked")));
    let (time, events) = (VirtualTime::at(START), Events::default());
    let session = events.of(builder(&script, &time));
    time.advance(HOUR);
    assert!(session.token_blocking().is_err());
    events.take();
    assert!(session.token_blocking().is_err());
    let told = events.take();
    assert_eq!(told.len(), 1);
    assert_eq!(attribute(&told[0], "error.type").as_deref(), Some("declined"));
}

/// Panics as it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("planned");
    }
}

// Rule H2.
#[test]
fn what_a_hook_panics_with_changes_nothing_as_it_is_dropped() {
    let time = VirtualTime::at(START);
    let panics = builder(&Scripted::new(), &time).on_event(|_| std::panic::panic_any(Bomb));
    let session = panics.build().expect("the grant can be sent");
    time.advance(HOUR);
    session.token_blocking().expect("the server grants");
}
