//! The endpoints, as requests and answers.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt;
use http::{HeaderMap, StatusCode};
use perennial::adapters::axum::{AuthorizationServer, RegisteredClient, RequireBearer};
use perennial::adapters::jwt::{Jwt, SigningKey};
use perennial::issue::{Identity, Issuer};
use perennial::rotation::Policy;
use perennial::token::Secret;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tower::ServiceExt;

use super::support::{HOUR, Rig, START, Watched, refresh_token};

const FORM: &str = "application/x-www-form-urlencoded";

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("a text"))
    }

    /// The status and the error code.
    pub(crate) fn error(&self) -> (u16, String) {
        let error = self.json()["error"].as_str().expect("an error").to_owned();
        (self.status.as_u16(), error)
    }
}

async fn read(response: Response) -> Answer {
    let (head, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.expect("a body");
    let body = String::from_utf8(bytes.to_vec()).expect("a text");
    Answer { status: head.status, headers: head.headers, body }
}

pub(crate) async fn send(router: &Router, request: Request) -> Answer {
    read(router.clone().oneshot(request).await.expect("there is always an answer")).await
}

pub(crate) fn post(path: &str, form: &str) -> Request {
    let request = Request::post(path).header("content-type", FORM);
    request.body(Body::from(form.to_owned())).expect("a request")
}

pub(crate) fn with_basic(mut request: Request, id: &str, secret: &str) -> Request {
    let value = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
    request.headers_mut().insert("authorization", value.parse().expect("a header"));
    request
}

fn server(issuer: Issuer<Watched>) -> AuthorizationServer<Watched> {
    AuthorizationServer::builder(issuer, "https://auth.example.com/")
        .client(RegisteredClient::public("web"))
        .client(
            RegisteredClient::confidential("robot", "s e&c=r:et, and long")
                .client_credentials(["run", "stop"]),
        )
        .client(RegisteredClient::confidential("shop", "the secret of the shop"))
        .build()
        .expect("each setting is allowed")
}

fn router() -> (Rig, Router) {
    let rig = Rig::new(Policy::default());
    let router = server(rig.issuer.clone()).router();
    (rig, router)
}

pub(crate) fn refresh_form(token: &Secret) -> String {
    format!("grant_type=refresh_token&client_id=web&refresh_token={}", token.expose())
}

// Rule D6. RFC 6749, section 5.1.
#[tokio::test]
async fn a_refresh_is_answered_with_the_next_tokens_which_nobody_on_the_way_may_keep() {
    let (rig, router) = router();
    let login = rig.log_in();
    let answer = send(&router, post("/token", &refresh_form(&refresh_token(&login)))).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("pragma"), Some("no-cache"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let body = answer.json();
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(3600)));
    assert_eq!(body["scope"], "read write");
    let next = Secret::from(body["refresh_token"].as_str().expect("a refresh token"));
    assert!(rig.works(&Secret::from(body["access_token"].as_str().expect("an access token"))));
    rig.present(&next).expect("it is the successor");
}

// Rule D6.
#[allow(clippy::too_many_lines, reason = "it is a table")]
#[tokio::test]
async fn each_bad_request_is_answered_as_the_rfc_says_and_nothing_is_written() {
    let (rig, router) = router();
    let login = rig.log_in();
    let token = refresh_token(&login);
    let token = token.expose();
    let writes = rig.store.writes();
    let (long, wordy) = ("x".repeat(20_000), ["read"; 500].join("+"));
    let cases = [
        (String::new(), 400, "invalid_request"),
        ("client_id=web".into(), 400, "invalid_request"),
        (format!("grant_type=&client_id=web&refresh_token={token}"), 400, "invalid_request"),
        (format!("grant_type=refresh_token&refresh_token={token}"), 400, "invalid_request"),
        ("grant_type=refresh_token&client_id=web".into(), 400, "invalid_request"),
        ("grant_type=refresh_token&client_id=web&refresh_token=".into(), 400, "invalid_request"),
        (
            format!("grant_type=refresh_token&client_id=web&client_id=web&refresh_token={token}"),
            400,
            "invalid_request",
        ),
        (
            format!("grant_type=refresh_token&client_id=web&refresh_token={token}&refresh_token=x"),
            400,
            "invalid_request",
        ),
        (
            format!("grant_type=refresh_token&client_id=web&refresh_token={long}"),
            413,
            "invalid_request",
        ),
        ("grant_type=password&client_id=web".into(), 400, "unsupported_grant_type"),
        (
            "grant_type=refresh_token&client_id=web&refresh_token=%FF%00".into(),
            400,
            "invalid_grant",
        ),
        (
            format!("grant_type=refresh_token&client_id=web&refresh_token={token}x"),
            400,
            "invalid_grant",
        ),
        (
            format!("grant_type=refresh_token&client_id=web&refresh_token={token}&scope=admin"),
            400,
            "invalid_scope",
        ),
        (
            format!("grant_type=refresh_token&client_id=web&refresh_token={token}&scope={wordy}"),
            400,
            "invalid_scope",
        ),
        (
            format!("grant_type=refresh_token&client_id=nobody&refresh_token={token}"),
            400,
            "invalid_client",
        ),
        (
            format!("grant_type=refresh_token&client_id=shop&refresh_token={token}"),
            400,
            "invalid_client",
        ),
        (
            format!(
                "grant_type=refresh_token&client_id=shop&client_secret=x&refresh_token={token}"
            ),
            400,
            "invalid_client",
        ),
        (
            format!("grant_type=refresh_token&client_id=web&client_secret=x&refresh_token={token}"),
            400,
            "invalid_client",
        ),
        (
            format!(
                "grant_type=refresh_token&client_id=shop&client_secret=the+secret+of+the+shop&refresh_token={token}"
            ),
            400,
            "invalid_grant",
        ),
        ("grant_type=client_credentials&client_id=web".into(), 400, "unauthorized_client"),
        (
            "grant_type=client_credentials&client_id=shop&client_secret=the+secret+of+the+shop"
                .into(),
            400,
            "unauthorized_client",
        ),
    ];
    for (form, status, error) in cases {
        let answer = send(&router, post("/token", &form)).await;
        assert_eq!(answer.error(), (status, error.to_owned()), "{form}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{form}");
        assert_eq!(answer.header("www-authenticate"), None, "{form}");
        assert!(!answer.body.contains(token), "{form}");
    }
    for kind in [None, Some("application/json"), Some("text/plain"), Some("multipart/form-data")] {
        let request = Request::post("/token");
        let request = kind
            .map_or_else(|| Request::post("/token"), |kind| request.header("content-type", kind));
        let body = Body::from(refresh_form(&refresh_token(&login)));
        let answer = send(&router, request.body(body).expect("a request")).await;
        assert_eq!(answer.error(), (400, "invalid_request".to_owned()), "{kind:?}");
    }
    assert_eq!(
        send(&router, Request::get("/token").body(Body::empty()).expect("a request")).await.status,
        405
    );
    assert_eq!(rig.store.writes(), writes);
    rig.present(&refresh_token(&login)).expect("it was harmed by none of it");
}

// Rule D6. RFC 6749, sections 2.3.1 and 5.2.
#[tokio::test]
async fn a_client_that_uses_the_header_is_challenged_there_and_its_secret_may_hold_anything() {
    let (rig, router) = router();
    let ask = "grant_type=client_credentials";
    let encoded = "s+e%26c%3Dr%3Aet%2C+and+long";
    for (id, secret) in [("robot", "x"), ("nobody", encoded), ("web", "x"), ("robot", "")] {
        let answer = send(&router, with_basic(post("/token", ask), id, secret)).await;
        assert_eq!(answer.error(), (401, "invalid_client".to_owned()), "{id}");
        let challenge = answer.header("www-authenticate").expect("a challenge");
        assert!(challenge.starts_with("Basic realm="), "{challenge}");
    }
    for odd in ["Basic", "Basic !", "Bearer x", "Basic cm9ib3Q="] {
        let mut request = post("/token", ask);
        request.headers_mut().insert("authorization", odd.parse().expect("a header"));
        assert_eq!(send(&router, request).await.status, 401, "{odd}");
    }
    for doubled in ["&client_secret=x", "&client_id=another"] {
        let request = with_basic(post("/token", &format!("{ask}{doubled}")), "robot", encoded);
        assert_eq!(send(&router, request).await.error(), (400, "invalid_request".to_owned()));
    }
    let answer = send(&router, with_basic(post("/token", ask), "robot", encoded)).await;
    let body = answer.json();
    assert_eq!((answer.status.as_u16(), &body["scope"]), (200, &json!("run stop")), "{body}");
    assert!(body.get("refresh_token").is_none());
    let post = post("/token", &format!("{ask}&client_id=robot&client_secret={encoded}&scope=stop"));
    assert_eq!(send(&router, post).await.json()["scope"], "stop");
    let beyond = with_basic(self::post("/token", &format!("{ask}&scope=admin")), "robot", encoded);
    assert_eq!(send(&router, beyond).await.error(), (400, "invalid_scope".to_owned()));
    assert_eq!(rig.store.len(), 2);
}

// Rule D6. RFC 7009, section 2.2.
#[tokio::test]
async fn a_revocation_ends_both_tokens_and_says_the_same_of_what_is_none() {
    let (rig, router) = router();
    let login = rig.log_in();
    for token in ["nothing", "prt1_", login.access_token.expose(), login.access_token.expose()] {
        let answer = send(&router, post("/revoke", &format!("client_id=web&token={token}"))).await;
        assert_eq!((answer.status.as_u16(), &*answer.body), (200, "{}"), "{token}");
    }
    assert!(!rig.works(&login.access_token));
    let answer = send(&router, post("/token", &refresh_form(&refresh_token(&login)))).await;
    assert_eq!(answer.error(), (400, "invalid_grant".to_owned()));
    let answer = send(&router, post("/revoke", "client_id=web")).await;
    assert_eq!(answer.error(), (400, "invalid_request".to_owned()));
    let answer = send(&router, post("/revoke", "client_id=nobody&token=x")).await;
    assert_eq!(answer.error(), (400, "invalid_client".to_owned()));
}

// Rule D6.
#[tokio::test]
async fn while_the_store_is_down_each_endpoint_says_when_to_try_again() {
    let (rig, router) = router();
    let login = rig.log_in();
    let things = things(&rig);
    rig.store.set_down(true);
    let token = refresh_token(&login);
    let revoke = format!("client_id=web&token={}", token.expose());
    for request in [
        post("/token", &refresh_form(&token)),
        post("/revoke", &revoke),
        bearer(&login.access_token),
    ] {
        let path = request.uri().clone();
        let router = if path == "/things" { &things } else { &router };
        let answer = send(router, request).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("retry-after")),
            (503, Some("1")),
            "{path}"
        );
    }
    rig.store.set_down(false);
    assert_eq!(send(&router, post("/token", &refresh_form(&token))).await.status, 200);
}

#[tokio::test]
async fn the_metadata_and_the_keys_are_where_the_rfcs_look_for_them() {
    let key = SigningKey::ed25519([3; 32]);
    let tokens = Jwt::new("https://auth.example.com", "api", key);
    let keys = tokens.jwks();
    let rig = Rig::with(Policy::default(), |builder| builder.access_tokens(tokens));
    let server = AuthorizationServer::builder(rig.issuer.clone(), "https://auth.example.com/");
    let router = server.client(RegisteredClient::public("web")).jwks(keys.clone()).build();
    let router = router.expect("each setting is allowed").router();
    let fetch = |path: &str| Request::get(path).body(Body::empty()).expect("a request");
    let metadata = send(&router, fetch("/.well-known/oauth-authorization-server")).await.json();
    assert_eq!(metadata["issuer"], "https://auth.example.com");
    assert_eq!(metadata["token_endpoint"], "https://auth.example.com/token");
    assert_eq!(metadata["jwks_uri"], "https://auth.example.com/jwks.json");
    assert_eq!(metadata["response_types_supported"], json!(["none"]));
    assert_eq!(send(&router, fetch("/jwks.json")).await.json(), keys);
    assert_eq!(send(&router, post("/dev-login", "client_id=web&subject=alice")).await.status, 404);
}

#[tokio::test]
async fn the_login_for_development_is_there_only_where_it_was_asked_for() {
    let rig = Rig::new(Policy::default());
    let server = AuthorizationServer::builder(rig.issuer.clone(), "https://auth.example.com");
    let server = server.client(RegisteredClient::public("web")).with_dev_login().build();
    let router = server.expect("the feature `testing` is on").router();
    let answer = send(&router, post("/dev-login", "client_id=web&subject=alice&scope=read")).await;
    let body = answer.json();
    assert_eq!(body["scope"], "read");
    rig.present(&Secret::from(body["refresh_token"].as_str().expect("a token"))).expect("works");
    let answer = send(&router, post("/dev-login", "client_id=web")).await;
    assert_eq!(answer.error(), (400, "invalid_request".to_owned()));
}

// Rule D6. What was begun is finished, though its client has hung up.
#[tokio::test]
async fn a_request_whose_client_has_gone_is_finished_before_the_server_is() {
    let rig = Rig::new(Policy::default());
    let server = server(rig.issuer.clone());
    let login = rig.log_in();
    let request = post("/token", &refresh_form(&refresh_token(&login)));
    let mut answer = Box::pin(server.router().oneshot(request));
    assert!((&mut answer).now_or_never().is_none());
    drop(answer);
    assert_eq!(rig.store.newest(login.family), 1);
    server.finish().await;
    assert_eq!(rig.store.newest(login.family), 2);
}

#[tokio::test]
async fn a_panic_is_a_server_error_and_does_not_keep_the_server_from_its_end() {
    let broken = Arc::new(AtomicBool::new(false));
    let shown = Arc::clone(&broken);
    let clock = move || {
        assert!(!shown.load(Ordering::Relaxed), "a bug of the clock's");
        START
    };
    let rig = Rig::with(Policy::default(), |builder| builder.clock(clock));
    let server = server(rig.issuer.clone());
    let form = refresh_form(&refresh_token(&rig.log_in()));
    broken.store(true, Ordering::Relaxed);
    let answer = send(&server.router(), post("/token", &form)).await;
    assert_eq!(answer.error(), (500, "server_error".to_owned()));
    assert!(server.finish().now_or_never().is_some(), "nothing runs any more");
}

fn things(rig: &Rig) -> Router {
    let who = async |request: Request| {
        let identity = request.extensions().get::<Identity>().expect("the layer tells").clone();
        format!("{} {}", identity.subject, identity.client)
    };
    let require = RequireBearer::new(rig.issuer.clone()).realm("the \"things\"").scope("read");
    Router::new().route("/things", get(who)).layer(require)
}

fn bearer(token: &Secret) -> Request {
    let request =
        Request::get("/things").header("authorization", format!("Bearer {}", token.expose()));
    request.body(Body::empty()).expect("a request")
}

// Rule D3. RFC 6750, section 3.
#[tokio::test]
async fn a_resource_server_lets_through_who_shows_a_good_token_and_tells_others_what_is_wrong() {
    let rig = Rig::new(Policy::default());
    let things = things(&rig);
    let login = rig.log_in();
    let answer = send(&things, bearer(&login.access_token)).await;
    assert_eq!((answer.status.as_u16(), &*answer.body), (200, "alice web"));
    let challenge = |answer: &Answer| {
        (answer.status.as_u16(), answer.header("www-authenticate").expect("a challenge").to_owned())
    };
    let bare = |header: &[&str]| {
        let request = header
            .iter()
            .fold(Request::get("/things"), |it, value| it.header("authorization", *value));
        request.body(Body::empty()).expect("a request")
    };
    let realm = "Bearer realm=\"the things\"";
    for none in [&[][..], &["Basic eDp5"], &["Digest x"]] {
        assert_eq!(
            challenge(&send(&things, bare(none)).await),
            (401, realm.to_owned()),
            "{none:?}"
        );
    }
    for odd in [&["Bearer"][..], &["Bearer "], &["Bearer a b"], &["Bearer a", "Bearer b"]] {
        let (status, told) = challenge(&send(&things, bare(odd)).await);
        assert_eq!(status, 400, "{odd:?}");
        assert!(told.starts_with(&format!("{realm}, error=\"invalid_request\"")), "{told}");
    }
    let invalid =
        |told: &str| format!("{realm}, error=\"invalid_token\", error_description=\"{told}\"");
    let unverified = invalid("the access token is malformed, or not of this issuer");
    for wrong in ["x", refresh_token(&login).expose()] {
        let answer = send(&things, bearer(&Secret::from(wrong))).await;
        assert_eq!(challenge(&answer), (401, unverified.clone()));
    }
    let narrow = rig.issuer.client_credentials("robot", Some("write")).await.expect("issued");
    let answer = send(&things, bearer(&narrow.access_token)).await;
    let insufficient = format!("{realm}, error=\"insufficient_scope\", scope=\"read\"");
    assert_eq!(challenge(&answer), (403, insufficient));
    // Reuse outside of the overlap: the thief's replay ends the family's access tokens at once.
    let next = rig.present(&refresh_token(&login)).expect("it rotates");
    rig.time.advance(Duration::from_secs(60));
    assert_eq!(send(&things, bearer(&next.access_token)).await.status, 200);
    assert!(rig.present(&refresh_token(&login)).is_err());
    let revoked = invalid("the access token was revoked");
    assert_eq!(challenge(&send(&things, bearer(&next.access_token)).await), (401, revoked));
    rig.time.advance(HOUR);
    let expired = invalid("the access token has expired");
    assert_eq!(challenge(&send(&things, bearer(&login.access_token)).await), (401, expired));
}

// Rule G1.
#[test]
fn a_client_that_is_printed_says_which_it_is_and_not_its_secret() {
    let shown = format!(
        "{:?} {:?}",
        RegisteredClient::public("web"),
        RegisteredClient::confidential("shop", "hush, and say nothing")
    );
    assert!(shown.contains("web") && shown.contains("shop"), "{shown}");
    assert!(shown.contains("public: true") && shown.contains("public: false"), "{shown}");
    assert!(!shown.contains("hush"), "{shown}");
}

// Rule D6.
#[tokio::test]
async fn a_form_of_sixteen_kibibytes_is_read_and_one_that_is_a_byte_longer_is_too_large() {
    let (_rig, router) = router();
    let form = "grant_type=refresh_token&client_id=web&refresh_token=x&pad=";
    let padded = |length: usize| form.to_owned() + &"y".repeat(length - form.len());
    for (length, error) in
        [(16 * 1024, (400, "invalid_grant")), (16 * 1024 + 1, (413, "invalid_request"))]
    {
        let answer = send(&router, post("/token", &padded(length))).await;
        assert_eq!(answer.error(), (error.0, error.1.to_owned()), "{length}");
    }
}
