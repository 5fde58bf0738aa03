//! Introspection as a resource server uses it: what is asked, kept and believed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::{Body, to_bytes};
use http::{Request, Response};
use perennial::adapters::resource_server::{Introspection, IntrospectionBuilder, SendError};
use perennial::issue::{AuthenticationError, Identity};
use perennial::rotation::Policy;
use perennial::testing::VirtualTime;
use perennial::token::Secret;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::endpoint::router;
use super::support::{
    API, ISSUER, Machine, Reply, Verifying, is_unchecked, is_unverified, verifying,
};
use crate::support::{HOUR, MILLI, Rig, SECOND, START, just_before, refresh_token};

const URL: &str = "https://auth.example.com/introspect";
const SECRET: &str = "s e&c=r:et, and long";

struct Api {
    machine: Machine,
    time: VirtualTime,
    verifier: Introspection,
}

impl Api {
    fn new(reply: Reply) -> Self {
        Self::with(reply, |builder| builder)
    }

    fn with(reply: Reply, more: impl FnOnce(IntrospectionBuilder) -> IntrospectionBuilder) -> Self {
        let (machine, time) = (Machine::new(reply), VirtualTime::at(START));
        let builder = Introspection::builder(URL, "api", SECRET, machine.clone());
        let builder = builder.clock(time.clone()).timer(time.clone());
        let verifier = more(builder).build().expect("an https URL");
        Self { machine, time, verifier }
    }

    fn start(&self, token: &str) -> Verifying {
        verifying(&self.verifier, &Secret::from(token))
    }

    fn now(&self, token: &str) -> Result<Identity, AuthenticationError> {
        self.start(token).poll().expect("it waits for nothing")
    }
}

fn now() -> i64 {
    START.as_millis() / 1000
}

fn active() -> Value {
    json!({ "active": true, "sub": "alice", "client_id": "web", "scope": "read", "exp": now() + 3600 })
}

fn body(value: &Value) -> Reply {
    Reply::Body(value.to_string())
}

fn with(member: &str, value: Value) -> Value {
    let mut all = active();
    all[member] = value;
    all
}

fn inactive() -> Value {
    json!({ "active": false })
}

// Rule D8.
#[test]
fn an_answer_is_kept_for_a_minute_and_no_longer_than_the_token_lives() {
    let api = Api::new(body(&active()));
    let identity = api.now("at").expect("active");
    let told = (&*identity.subject, &*identity.client, identity.scope.as_deref());
    assert_eq!(told, ("alice", "web", Some("read")));
    api.time.advance(just_before(60 * SECOND));
    api.now("at").expect("kept");
    assert_eq!(api.machine.count(), 1);
    api.time.advance(MILLI);
    api.machine.reply(body(&inactive()));
    assert!(matches!(api.now("at"), Err(AuthenticationError::Inactive)), "revoked since");
    assert_eq!(api.machine.count(), 2);

    let api = Api::new(body(&with("exp", json!(now() + 10))));
    api.now("at").expect("active");
    api.time.advance(just_before(10 * SECOND));
    api.now("at").expect("kept");
    assert_eq!(api.machine.count(), 1);
    api.time.advance(MILLI);
    let expired = api.now("at");
    assert!(matches!(expired, Err(AuthenticationError::Expired)), "{expired:?}");
    assert_eq!(api.machine.count(), 2);
}

// Rule D8.
#[test]
fn an_answer_is_kept_for_as_long_as_the_program_says_and_not_at_all_with_zero() {
    let api = Api::with(body(&active()), |builder| builder.max_age(std::time::Duration::ZERO));
    for count in 1..=3 {
        api.now("at").expect("active");
        assert_eq!(api.machine.count(), count);
    }
    let api = Api::with(body(&json!({ "active": true, "client_id": "web" })), |builder| {
        builder.max_age(HOUR)
    });
    assert_eq!(api.now("at").expect("active").subject, "web", "a client for itself");
    api.time.advance(just_before(HOUR));
    api.now("at").expect("kept");
    assert_eq!(api.machine.count(), 1);
}

// Rule D8.
#[test]
fn that_a_token_is_not_active_is_kept_for_five_seconds() {
    let api = Api::new(body(&inactive()));
    for _ in 0..10 {
        assert!(matches!(api.now("at"), Err(AuthenticationError::Inactive)));
    }
    api.time.advance(just_before(5 * SECOND));
    assert!(api.now("at").is_err());
    assert_eq!(api.machine.count(), 1);
    api.time.advance(MILLI);
    api.machine.reply(body(&active()));
    api.now("at").expect("active by now");
    api.now("at").expect("and kept as that");
    assert_eq!(api.machine.count(), 2);
}

// Rule D8.
#[test]
fn requests_with_one_token_at_the_same_time_ask_once_and_others_for_themselves() {
    let api = Api::new(Reply::Hang);
    let mut all: Vec<_> = (0..20).map(|_| api.start("at-1")).collect();
    let mut other = api.start("at-2");
    assert!(all.iter_mut().chain([&mut other]).all(|one| one.poll().is_none()));
    assert_eq!(api.machine.count(), 2);
    api.machine.answer(body(&active()));
    assert!(all.iter_mut().all(|one| one.poll().expect("answered").is_ok()));
    assert!(other.poll().is_none());
    api.machine.answer(body(&inactive()));
    assert!(other.poll().expect("answered").is_err());
    assert_eq!(api.machine.count(), 2);
}

#[test]
fn where_the_request_that_asks_is_dropped_one_that_waits_asks_again() {
    let api = Api::new(Reply::Hang);
    let (mut first, mut second) = (api.start("at"), api.start("at"));
    assert!(first.poll().is_none() && second.poll().is_none());
    drop(first);
    api.machine.reply(body(&active()));
    second.poll().expect("answered").expect("active");
    assert_eq!(api.machine.count(), 2);
    // Where nobody waits, nothing is left of it.
    api.machine.reply(Reply::Hang);
    let mut only = api.start("other");
    assert!(only.poll().is_none());
    drop(only);
    api.machine.reply(body(&active()));
    api.now("other").expect("asked anew");
}

// Rule D8.
#[test]
fn where_the_server_cannot_be_asked_a_kept_answer_serves_and_everybody_else_is_told_so() {
    let failures = [
        Reply::Unreachable,
        Reply::Whole(500, vec![], String::new()),
        Reply::Whole(302, vec![("location", "https://x/")], active().to_string()),
        Reply::Whole(401, vec![], r#"{"error":"invalid_client"}"#.into()),
        Reply::Whole(503, vec![("retry-after", "7")], String::new()),
        Reply::Body(String::new()),
        Reply::Body("{}".into()),
        Reply::Body(r#"{"active":"true","client_id":"web"}"#.into()),
        Reply::Body(r#"{"active":true,"client_id":7}"#.into()),
        Reply::Body("[true]".into()),
        Reply::Body(format!("{}{}", active(), " ".repeat(2 << 20))),
    ];
    for failure in failures {
        let api = Api::new(body(&active()));
        api.now("kept").expect("active");
        let told = matches!(failure, Reply::Whole(503, ..)).then_some(7 * SECOND);
        api.machine.reply(failure);
        for _ in 0..3 {
            api.now("kept").expect("kept");
            let refused = api.now("new");
            let Err(AuthenticationError::Unchecked(why)) = refused else { panic!("{refused:?}") };
            assert_eq!(why.retry_in(), told);
            assert!(!format!("{why} {why:?}").contains("alice"), "{why:?}");
        }
        assert_eq!(api.machine.count(), 4, "failures are not kept");
        api.time.advance(60 * SECOND);
        assert!(is_unchecked(&api.now("kept")));
        api.machine.reply(body(&active()));
        api.now("new").expect("active");
    }
}

#[test]
fn an_answer_is_not_waited_for_beyond_the_time_limit() {
    let api = Api::new(Reply::Hang);
    let mut waiting = [api.start("at"), api.start("at")];
    assert!(waiting.iter_mut().all(|one| one.poll().is_none()));
    api.time.advance(just_before(10 * SECOND));
    assert!(waiting.iter_mut().all(|one| one.poll().is_none()));
    api.time.advance(MILLI);
    assert!(waiting.iter_mut().all(|one| is_unchecked(&one.poll().expect("over"))));
    assert_eq!(api.machine.count(), 1);
}

// Rule D8.
#[test]
fn an_active_token_of_another_kind_issuer_or_resource_server_is_rejected() {
    let strict = |builder: IntrospectionBuilder| builder.issuer(ISSUER).audience(API);
    let mut good = with("iss", json!(ISSUER));
    good["aud"] = json!(["x", API]);
    for accepted in [
        good.clone(),
        Value::Object(
            good.as_object()
                .into_iter()
                .flatten()
                .map(|(a, b)| (a.clone(), b.clone()))
                .chain([("token_type".into(), json!("bearer"))])
                .collect(),
        ),
    ] {
        Api::with(body(&accepted), strict).now("at").expect("for this resource server");
    }
    let wrong = [
        ("iss", json!("https://else.example.com")),
        ("iss", json!(null)),
        ("aud", json!("x")),
        ("aud", json!(null)),
        ("token_type", json!("DPoP")),
        ("token_type", json!("refresh_token")),
        ("token_use", json!("refresh_token")),
        ("token_use", json!("id_token")),
        ("client_id", json!(null)),
    ];
    for (member, value) in wrong {
        let mut answer = good.clone();
        answer[member] = value;
        let result = Api::with(body(&answer), strict).now("at");
        assert!(is_unverified(&result), "{answer}: {result:?}");
    }
    let expired = Api::new(body(&with("exp", json!(now())))).now("at");
    assert!(matches!(expired, Err(AuthenticationError::Expired)), "{expired:?}");
}

// Rule D8.
#[test]
fn many_wrong_tokens_do_not_displace_the_answer_about_a_good_one() {
    let api = Api::with(body(&active()), |builder| builder.capacity(10));
    api.now("good").expect("active");
    api.machine.reply(body(&inactive()));
    for number in 0..1000 {
        assert!(api.now(&format!("wrong-{number}")).is_err());
    }
    api.now("good").expect("kept");
    assert_eq!(api.machine.count(), 1001);
    // No more are kept than the capacity: the ones that were not used for long go first.
    assert!(api.now("wrong-999").is_err());
    assert_eq!(api.machine.count(), 1001, "kept");
    assert!(api.now("wrong-989").is_err());
    assert_eq!(api.machine.count(), 1002, "not kept any more");
}

// Rule G1.
#[test]
fn the_request_has_the_token_in_its_body_and_the_credentials_in_a_sensitive_header() {
    let api = Api::new(body(&active()));
    api.now("at 1&x=y").expect("active");
    let seen = &api.machine.seen()[0];
    assert!(seen.ends_with("token=at+1%26x%3Dy&token_type_hint=access_token"), "{seen}");
    assert!(seen.contains("POST") && seen.contains(URL), "{seen}");
    let (printed, _) = seen.rsplit_once(' ').expect("the body is last");
    assert!(printed.contains("\"authorization\": Sensitive"), "{printed}");
    assert!(!printed.contains("at+1") && !printed.contains("s e&c"), "{printed}");
    let shown = format!("{:?}", api.verifier);
    assert!(shown.contains("auth.example.com") && !shown.contains(SECRET), "{shown}");
    assert!(is_unverified(&api.now(&"x".repeat(16 * 1024 + 1))), "too long to be sent");
    assert_eq!(api.machine.count(), 1);
}

/// A resource server that asks the issuer's own endpoint.
fn on(rig: &Rig) -> (Introspection, Arc<AtomicUsize>) {
    let (router, asked) = (router(rig), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&asked);
    let http = move |request: Request<Secret>| {
        let router = router.clone();
        counted.fetch_add(1, Ordering::Relaxed);
        async move {
            let request = request.map(|body| Body::from(body.expose().to_owned()));
            let (head, body) = router.oneshot(request).await.expect("an answer").into_parts();
            let body = to_bytes(body, usize::MAX).await?.to_vec();
            Ok::<_, SendError>(Response::from_parts(head, body))
        }
    };
    let builder = Introspection::builder(URL, "api", SECRET, http);
    (builder.clock(rig.time.clone()).timer(rig.time.clone()).build().expect("https"), asked)
}

// Rules D3, D8.
#[test]
fn a_token_of_this_crates_server_works_until_it_is_revoked_and_a_refresh_token_never_does() {
    let rig = Rig::new(Policy::default());
    let (api, asked) = on(&rig);
    let login = rig.log_in();
    let now = |token: &Secret| verifying(&api, token).poll().expect("in memory");
    for _ in 0..5 {
        assert_eq!(now(&login.access_token).expect("active").subject, "alice");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert!(is_unverified(&now(&refresh_token(&login))), "it is active, and no access token");
    rig.time.advance(60 * SECOND);
    futures::executor::block_on(rig.issuer.revoke("web", &refresh_token(&login))).expect("revoked");
    assert!(matches!(now(&login.access_token), Err(AuthenticationError::Inactive)));
    rig.time.advance(60 * SECOND);
    rig.store.set_down(true);
    let refused = now(&login.access_token);
    let Err(AuthenticationError::Unchecked(why)) = refused else { panic!("{refused:?}") };
    assert_eq!(why.retry_in(), Some(SECOND));
}
