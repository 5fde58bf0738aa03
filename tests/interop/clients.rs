//! Clients that are not ours against our own server: `openid-client`, `oauth4webapi`, Authlib,
//! `requests_oauth2client` and Go's `x/oauth2`. It is strict unless a test says otherwise, so each
//! that was renewed with anything but its newest refresh token would be logged out.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use perennial::adapters::axum::{AuthorizationServer, RegisteredClient};
use perennial::issue::{Issuer, Keys, MemoryFamilies};
use perennial::rotation::{Policy, Reuse};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::ours::server::{Config, SERVICE};
use crate::ours::{serve, strict};
use crate::start::{program, told_by};

/// A secret that is another text once it is form-decoded, and that a form must encode. Some clients put
/// it into a header as it is, some encode it first (RFC 6749, section 2.3.1).
const SECRET: &str = "pa+ss%wo rd & long";

/// One that no header may hold as it is.
const WIDE_SECRET: &str = "hush: 100 % \u{fc}ber+all&=";

/// What the client of that name has to tell of a server, to which it shows `secret`.
fn told(name: &str, secret: &str, config: Config) -> Option<Value> {
    let config = Config { service_secret: Some(secret.into()), ..config };
    serve(config, |url| told_by(program(name).args([url, SERVICE, secret])))
}

/// What is told of each way in which clients say who they are.
fn ways(told: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let ways = told.as_object().expect("an object");
    assert_eq!(ways.len(), 3, "{told}");
    ways.iter().map(|(way, told)| (&**way, told))
}

/// That in each way in which clients say who they are the grants went as they should: renewed five
/// times, logged out by reuse, and with a token of its own if it has a secret.
fn assert_granted(told: &Value) {
    for (way, told) in ways(told) {
        let own = if way == "none" { json!("unauthorized_client") } else { json!([200, true]) };
        for (part, expected) in [
            ("renewed", json!(5)),
            ("failed", json!(0)),
            ("reuse", json!(["invalid_grant", "invalid_grant"])),
            ("own", own),
        ] {
            assert_eq!(told[part], expected, "{way}, {part}: {told}");
        }
    }
}

/// The same, and logged out by a revocation, before and after which it asked what works, which only
/// a client with a secret is told.
fn assert_well(told: &Value) {
    assert_granted(told);
    for (way, told) in ways(told) {
        let introspection = if way == "none" {
            json!([
                ["unauthorized_client", "unauthorized_client"],
                ["unauthorized_client", "unauthorized_client"]
            ])
        } else {
            json!([["alice", "alice"], [false, false]])
        };
        assert_eq!(told["revocation"], json!([200, "invalid_grant"]), "{way}: {told}");
        assert_eq!(told["introspection"], introspection, "{way}: {told}");
    }
}

// Rules D2, D3, D6, D8.
#[test]
fn openid_client_finds_our_endpoints_renews_and_is_refused_what_was_spent_or_revoked() {
    for secret in [SECRET, WIDE_SECRET] {
        let Some(told) = told("openid_client", secret, strict(600)) else { return };
        assert_well(&told);
        for (_, told) in ways(&told) {
            assert_eq!(told["ended"], json!([401, 401]), "{told}");
        }
    }
}

// Rules D2, D3, D6, D8.
#[test]
fn oauth4webapi_takes_each_of_our_responses_and_is_refused_what_was_spent_or_revoked() {
    for secret in [SECRET, WIDE_SECRET] {
        let Some(told) = told("oauth4webapi_client", secret, strict(600)) else { return };
        assert_well(&told);
        for (_, told) in ways(&told) {
            assert_eq!(told["ended"], json!([401, 401]), "{told}");
        }
    }
}

// Rules D2, D6, D8.
#[test]
fn authlibs_session_renews_by_itself_at_each_expiry_and_is_refused_what_was_spent_or_revoked() {
    let Some(told) = told("authlib_client", SECRET, strict(1)) else { return };
    assert_well(&told);
}

// Rules D2, D6, D8.
#[test]
fn requests_oauth2client_renews_by_itself_and_is_refused_what_was_spent_or_revoked() {
    let Some(told) = told("requests_oauth2_client", SECRET, strict(600)) else { return };
    assert_well(&told);
    for (way, told) in ways(&told) {
        assert_eq!(told["lost"], "invalid_grant", "{way}: {told}");
    }
}

// Rule D2. Case X50: a client that keeps no refresh token but the one of its last response.
#[test]
fn requests_oauth2client_keeps_its_login_though_a_response_is_lost_if_each_has_a_refresh_token() {
    let window = Duration::from_secs(600);
    for (reuse, lost) in [
        (Reuse::overlap_successors(window), json!([200, 200, 200, 200, 200])),
        (Reuse::overlap_access_only(window), json!("no refresh token")),
    ] {
        let config = Config { policy: Policy::new(reuse), ..strict(600) };
        let Some(told) = told("requests_oauth2_client", SECRET, config) else { return };
        for (way, told) in ways(&told) {
            assert_eq!(told["lost"], lost, "{reuse:?}, {way}: {told}");
        }
    }
}

// Rules D2, D3, D6.
#[test]
fn gos_http_client_renews_by_itself_and_is_refused_what_was_spent() {
    let Some(told) = told("go_client", SECRET, strict(600)) else { return };
    assert_granted(&told);
}

/// The metadata of a server at an address of the public internet.
fn metadata() -> Value {
    let keys = Keys::new([7; 32]).expect("it is long enough");
    let issuer = Issuer::builder(keys, MemoryFamilies::new()).build();
    let router = AuthorizationServer::builder(issuer, "https://auth.example.com")
        .client(RegisteredClient::public("web"))
        .jwks(json!({ "keys": [] }))
        .build()
        .expect("each setting is allowed")
        .router();
    let path = "/.well-known/oauth-authorization-server";
    let request = Request::get(path).body(Body::empty()).expect("a request");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let answer = router.oneshot(request).await.expect("there is always an answer");
        let body = to_bytes(answer.into_body(), 1 << 16).await.expect("a short body");
        serde_json::from_slice(&body).expect("JSON")
    })
}

// Case X48. RFC 8414, section 2.
#[test]
fn authlibs_validator_finds_nothing_wrong_with_our_metadata() {
    let good = metadata();
    let mut bad = good.clone();
    bad["response_types_supported"] = json!([]);
    let mut program = program("authlib_metadata");
    let Some(told) = told_by(program.args([good.to_string(), bad.to_string()])) else { return };
    assert_eq!(told[0], Value::Null, "{good}");
    let wrong = told[1].as_str().expect("it finds what is wrong");
    assert!(wrong.contains("response_types_supported"), "{wrong}");
}
