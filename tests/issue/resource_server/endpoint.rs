//! The introspection endpoint of the authorization server.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use perennial::adapters::axum::{AuthorizationServer, RegisteredClient};
use perennial::adapters::jwt::Jwt;
use perennial::issue::TokenUse;
use perennial::rotation::{Policy, Reuse};
use perennial::token::Secret;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::support::{API, ISSUER, key};
use crate::support::{HOUR, Rig, START, WINDOW, block_on, policies, refresh_token};

pub(crate) fn router(rig: &Rig) -> Router {
    AuthorizationServer::builder(rig.issuer.clone(), ISSUER)
        .client(RegisteredClient::public("web"))
        .client(RegisteredClient::confidential("api", "s e&c=r:et, and long").introspection())
        .client(RegisteredClient::confidential("shop", "the secret of shops"))
        .client(RegisteredClient::public("page").introspection())
        .build()
        .expect("each setting is allowed")
        .router()
}

fn ask(form: &str) -> Request {
    let kind = "application/x-www-form-urlencoded";
    let request = Request::post("/introspect").header("content-type", kind);
    request.body(Body::from(form.to_owned())).expect("a request")
}

fn as_api(form: &str) -> Request {
    let mut request = ask(form);
    let pair = STANDARD.encode("api:s+e%26c%3Dr%3Aet%2C+and+long");
    request.headers_mut().insert("authorization", format!("Basic {pair}").parse().expect("text"));
    request
}

fn send(router: &Router, request: Request) -> (u16, HeaderMap, String) {
    let response = block_on(router.clone().oneshot(request)).expect("there is always an answer");
    let (head, body) = response.into_parts();
    let body = block_on(to_bytes(body, usize::MAX)).expect("a body");
    (head.status.as_u16(), head.headers, String::from_utf8(body.to_vec()).expect("a text"))
}

fn said(router: &Router, token: &Secret) -> Value {
    let (status, headers, body) = send(router, as_api(&format!("token={}", token.expose())));
    assert_eq!((status, headers["cache-control"].as_bytes()), (200, &b"no-store"[..]));
    serde_json::from_str(&body).expect("JSON")
}

// Rule D8. RFC 7662, section 2.2.
#[test]
fn of_a_token_that_works_it_says_whose_it_is_for_what_and_until_when() {
    let rig = Rig::new(Policy::default());
    let router = router(&rig);
    let login = rig.log_in();
    let seconds = START.as_millis() / 1000;
    let mut access = said(&router, &login.access_token);
    assert_eq!(access["jti"].as_str().map(str::len), Some(32));
    access.as_object_mut().expect("an object").remove("jti");
    let sid = login.family.to_string();
    let expected = json!({
        "active": true, "token_use": "access_token", "token_type": "Bearer", "scope": "read write",
        "client_id": "web", "sub": "alice", "iss": ISSUER, "iat": seconds, "exp": seconds + 3600,
        "sid": sid,
    });
    assert_eq!(access, expected);
    let refresh = said(&router, &refresh_token(&login));
    let expected = json!({
        "active": true, "token_use": "refresh_token", "scope": "read write",
        "client_id": "web", "sub": "alice", "iss": ISSUER, "exp": seconds + 90 * 24 * 3600,
        "sid": sid,
    });
    assert_eq!(refresh, expected);
}

// Rule D8.
#[test]
fn of_a_jwt_it_says_the_audience_as_well() {
    let tokens = Jwt::new(ISSUER, API, key(1));
    let rig = Rig::with(Policy::default(), |builder| builder.access_tokens(tokens));
    let login = rig.log_in();
    let found = block_on(rig.issuer.introspect(&login.access_token)).expect("in memory");
    let found = found.expect("active");
    assert_eq!((found.token_use, found.audience.as_deref()), (TokenUse::AccessToken, Some(API)));
    assert_eq!(said(&router(&rig), &login.access_token)["aud"], API);
}

// Rule D8.
#[test]
fn of_a_token_that_does_not_work_it_says_only_that_it_is_not_active() {
    let rig = Rig::new(Policy::default());
    let router = router(&rig);
    let inactive = |token: &Secret, why: &str| {
        assert_eq!(said(&router, token), json!({ "active": false }), "{why}");
    };
    for odd in ["x", "prt1_", "pat1_AAAA", "a.b.c", "%00", "%F0%9F%A6%80"] {
        inactive(&Secret::from(odd), odd);
    }
    let stranger = Rig::new(Policy::default()).log_in();
    inactive(&stranger.access_token, "of a family that is not stored");
    inactive(&refresh_token(&stranger), "of a family that is not stored");
    let first = rig.log_in();
    let second = rig.present(&refresh_token(&first)).expect("it rotates");
    rig.time.advance(WINDOW + Duration::from_secs(60));
    inactive(&refresh_token(&first), "spent");
    assert_eq!(said(&router, &refresh_token(&second))["active"], true, "and nothing was revoked");
    rig.time.advance(HOUR);
    inactive(&second.access_token, "expired");
    let third = rig.log_in();
    block_on(rig.issuer.revoke_subject("alice")).expect("in memory");
    inactive(&third.access_token, "revoked");
    inactive(&refresh_token(&third), "revoked");
    let fourth = rig.log_in();
    rig.time.advance(91 * 24 * HOUR);
    inactive(&refresh_token(&fourth), "its family has ended");
}

// Rule D8.
#[test]
fn an_introspection_changes_nothing_under_any_policy() {
    for policy in policies() {
        let rig = Rig::new(policy);
        let router = router(&rig);
        let first = rig.log_in();
        let second = rig.present(&refresh_token(&first)).expect("it rotates");
        let before = rig.store.writes();
        for token in [&first.access_token, &second.access_token] {
            assert_eq!(said(&router, token)["active"], true);
        }
        for token in [&refresh_token(&first), &refresh_token(&second)] {
            said(&router, token);
        }
        assert_eq!(rig.store.writes(), before, "{policy:?}");
    }
    // An access token that a client uses would have confirmed the rotation.
    let rig = Rig::new(Policy::new(Reuse::ConfirmByUse));
    let first = rig.log_in();
    let second = rig.present(&refresh_token(&first)).expect("it rotates");
    said(&router(&rig), &second.access_token);
    rig.present(&refresh_token(&first)).expect("the client has not used the second");
    assert!(rig.works(&second.access_token), "now it has");
}

// Rule D8. RFC 7662, section 2.1.
#[test]
fn only_a_confidential_client_that_may_ask_is_answered() {
    let rig = Rig::new(Policy::default());
    let router = router(&rig);
    let login = rig.log_in();
    let token = login.access_token.expose();
    let cases = [
        (format!("token={token}"), 400, "invalid_request"),
        (format!("token={token}&client_id=web"), 403, "unauthorized_client"),
        (format!("token={token}&client_id=page"), 403, "unauthorized_client"),
        (
            format!("token={token}&client_id=shop&client_secret=the+secret+of+shops"),
            403,
            "unauthorized_client",
        ),
        (format!("token={token}&client_id=api"), 400, "invalid_client"),
        (format!("token={token}&client_id=api&client_secret=x"), 400, "invalid_client"),
        (format!("token={token}&client_id=nobody&client_secret=x"), 400, "invalid_client"),
        ("client_id=api&client_secret=s+e%26c%3Dr%3Aet%2C+and+long".into(), 400, "invalid_request"),
    ];
    for (form, status, error) in cases {
        let (told, headers, body) = send(&router, ask(&form));
        let body: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!((told, body["error"].as_str()), (status, Some(error)), "{form}");
        assert_eq!(headers["cache-control"], "no-store");
        assert!(body.get("active").is_none() && body.get("sub").is_none(), "{body}");
    }
    let form = format!("token={token}&client_id=api&client_secret=s+e%26c%3Dr%3Aet%2C+and+long");
    assert_eq!(send(&router, ask(&form)).0, 200, "in the form as well");
    let hinted = format!("token={token}&token_type_hint=refresh_token");
    assert!(send(&router, as_api(&hinted)).2.contains("\"active\":true"), "a hint is only a hint");
}

// Rules D6, D8.
#[test]
fn while_the_store_is_down_it_says_when_to_try_again_and_not_that_a_token_is_inactive() {
    let rig = Rig::new(Policy::default());
    let router = router(&rig);
    let login = rig.log_in();
    rig.store.set_down(true);
    for token in [&login.access_token, &refresh_token(&login)] {
        let (status, headers, body) = send(&router, as_api(&format!("token={}", token.expose())));
        assert_eq!((status, headers["retry-after"].as_bytes()), (503, &b"1"[..]));
        assert!(!body.contains("active"), "{body}");
    }
}

// RFC 8414, section 2.
#[test]
fn the_metadata_names_the_endpoint_and_how_to_authenticate_there() {
    let rig = Rig::new(Policy::default());
    let request = Request::get("/.well-known/oauth-authorization-server").body(Body::empty());
    let (_, _, body) = send(&router(&rig), request.expect("a request"));
    let metadata: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(metadata["introspection_endpoint"], format!("{ISSUER}/introspect"));
    let methods = json!(["client_secret_basic", "client_secret_post"]);
    assert_eq!(metadata["introspection_endpoint_auth_methods_supported"], methods);
}
