//! The names of events and of their attributes.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use expect_test::expect_file;
use perennial::adapters::axum::AuthorizationServer;
use perennial::events::Event;
use perennial::interceptor::{Interceptor, RequestTarget, ResponseHead};
use perennial::issue::{Issuer, Keys, Login, MemoryFamilies};
use perennial::refresh::RefreshError;
use perennial::session::Builder;
use perennial::testing::{Response, Scripted, VirtualTime};
use perennial::token::{Grant, Secret};
use perennial::verdict::{self, Attempt, ResponseOrigin};

use tower::ServiceExt as _;

use crate::session_support::unwritable::Unwritable;
use crate::session_support::{HOUR, Hand, START, builder};

/// The attributes of each event, by its name, and who sees it as well.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<Attributes>>, Arc<Mutex<Option<Box<Hook>>>>);

type Attributes = BTreeMap<&'static str, BTreeSet<&'static str>>;
type Hook = dyn Fn(&Event) + Send;

impl Seen {
    pub(crate) fn see(&self, event: &Event) {
        let mut seen = self.0.lock().expect("no panic");
        let attributes = seen.entry(event.kind.name()).or_default();
        event.attributes(&mut |name, _| {
            attributes.insert(name);
        });
        if let Some(also) = &*self.1.lock().expect("no panic") {
            also(event);
        }
    }

    pub(crate) fn also(&self, hook: impl Fn(&Event) + Send + 'static) {
        *self.1.lock().expect("no panic") = Some(Box::new(hook));
    }

    fn on(&self, builder: Builder) -> Builder {
        let seen = self.clone();
        builder.name("a").on_event(move |event| seen.see(event))
    }
}

/// Sessions, an interceptor and an issuer that cause all kinds of events.
pub(crate) fn all_kinds(seen: &Seen) {
    let declined = RefreshError::declined("it was revoked").with_status(400);
    let script = Scripted::new().then(Response::Grant(Scripted::grant(2))).then(Response::Hang);
    let time = VirtualTime::at(START);
    let store = Unwritable::default();
    let session = seen.on(builder(&script, &time).store(store.clone())).build().expect("sendable");
    let token = session.token_blocking().expect("it is fresh");
    *store.1.lock().expect("no panic") = u32::MAX;
    let interceptor = Interceptor::builder(session.clone()).any_origin().build().expect("valid");
    let plain: http::Uri = "http://example.com/".parse().expect("valid");
    let headers = http::HeaderMap::new();
    assert!(interceptor.attaches(RequestTarget::from_uri(&plain), &headers).is_err());
    let head = ResponseHead { status: http::StatusCode::UNAUTHORIZED, headers: &headers };
    let first = (ResponseOrigin::SameOrigin, verdict::Body::Replayable, Attempt::First);
    let _ = interceptor.handle_response(&token, head, first.0, first.1, first.2);
    let next = session.token_blocking().expect("the server grants");
    session.recovered(&next);
    *store.1.lock().expect("no panic") = 0;
    session.close_blocking().expect("the store works");
    time.advance(HOUR);
    let mut waiting = Hand::new(session.token());
    waiting.pending();
    session.install_blocking(Grant::new("at-8", "rt-8", HOUR)).expect("the store works");
    script.release(Response::Grant(Scripted::grant(9)));
    session.close_blocking().expect("nothing is to be stored");
    drop(waiting);
    session.logout_blocking().expect("the store works");
    drop((interceptor, session));

    let unavailable = RefreshError::unavailable("no answer");
    let script = Scripted::new()
        .then(Response::Fail(unavailable))
        .then(Response::Grant(Scripted::grant(2)))
        .then(Response::Fail(declined));
    let time = VirtualTime::at(START);
    let session = seen.on(builder(&script, &time)).build().expect("sendable");
    time.advance(HOUR);
    assert!(session.token_blocking().is_err());
    time.advance(HOUR);
    session.token_blocking().expect("the server grants");
    time.advance(HOUR);
    assert!(session.token_blocking().is_err());
    issuer(seen);
}

fn issuer(seen: &Seen) {
    let keys = Keys::new([7; 32]).expect("long enough");
    let seen = seen.clone();
    let issuer = Issuer::builder(keys, MemoryFamilies::new());
    let issuer = issuer.on_event(move |event| seen.see(event)).build();
    let mut login = Hand::new(async {
        let first = issuer.login(Login::new("web", "alice")).await.expect("it is in memory");
        let token = first.refresh_token.expect("there is one");
        issuer.refresh("web", &token, None).await.expect("it works");
        assert!(issuer.refresh("web", &Secret::from("made up"), None).await.is_err());
    });
    assert!(login.poll().is_ready());
    denied(issuer.clone());
}

/// An unknown client at the token endpoint.
fn denied(issuer: Issuer<MemoryFamilies>) {
    let server = AuthorizationServer::builder(issuer, "https://auth.example.com").build();
    let router = server.expect("each setting is allowed").router();
    let mut request = Request::post("/token")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from("client_id=nobody"))
        .expect("a request");
    let peer: SocketAddr = "192.0.2.1:5000".parse().expect("an address");
    request.extensions_mut().insert(ConnectInfo(peer));
    let mut response =
        Hand::new(async { router.oneshot(request).await.expect("a response").status() });
    assert_eq!(response.poll().map(|status| status.as_u16()), Poll::Ready(400));
}

// Rule H3: "The names of events and attributes MUST be kept from version to version." One that is missing
// here breaks dashboards; a new one is added.
#[test]
fn the_names_of_events_and_attributes_are_kept() {
    let seen = Seen::default();
    all_kinds(&seen);
    let mut text = String::new();
    for (event, attributes) in &*seen.0.lock().expect("no panic") {
        writeln!(text, "{event}").expect("a string");
        for attribute in attributes {
            writeln!(text, "  {attribute}").expect("a string");
        }
    }
    expect_file!["../snapshots/events.txt"].assert_eq(&text);
}

#[test]
fn each_attribute_is_explained_on_the_page() {
    let page = include_str!("../../src/events/mod.rs");
    let seen = Seen::default();
    all_kinds(&seen);
    for attribute in seen.0.lock().expect("no panic").values().flatten() {
        let last = attribute.rsplit_once('.').map_or(*attribute, |(_, last)| last);
        let whole = page.contains(&format!("`{attribute}`"));
        assert!(whole || page.contains(&format!("`.{last}`")), "{attribute} is not explained");
    }
}
