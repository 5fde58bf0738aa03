//! The rules of the RFCs to the letter: what is ignored, what is refused, and in which order.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use http::StatusCode;
use perennial::adapters::axum::{AuthorizationServer, RegisteredClient};
use perennial::issue::{GrantError, Login};
use perennial::rotation::{Policy, Reuse};
use perennial::token::Secret;
use serde_json::json;

use super::http::{post, refresh_form, send, with_basic};
use super::support::{DAY, HOUR, MILLI, Rig, SECOND, block_on, just_before, refresh_token};

/// What most clients send as it is, though a header has it form-encoded.
const RAW: &str = "pa+ss%wo rd & long";

fn router(rig: &Rig) -> Router {
    AuthorizationServer::builder(rig.issuer.clone(), "https://auth.example.com")
        .client(RegisteredClient::public("web"))
        .client(
            RegisteredClient::confidential("robot", RAW)
                .and_secret("the secret before that")
                .client_credentials(["read", "write"]),
        )
        .client(RegisteredClient::confidential("a b", RAW).client_credentials(["read"]))
        .client(RegisteredClient::confidential("shop", RAW).grant_types(["refresh_token"]))
        .build()
        .expect("each setting is allowed")
        .router()
}

// Rule D6. Case X44. RFC 8707, section 2; RFC 6749, section 3.2.
#[tokio::test]
async fn a_resource_may_be_repeated_and_what_nobody_knows_is_ignored_however_often_it_is_there() {
    let rig = Rig::new(Policy::default());
    let router = router(&rig);
    for more in [
        "resource=https://a&resource=https://b",
        "audience=a&audience=b",
        "x=1&x=2&x=3",
        "=&=&&",
        "state=&state=1",
        "token_type_hint=a&token_type_hint=b",
    ] {
        let form = format!("{}&{more}", refresh_form(&refresh_token(&rig.log_in())));
        assert_eq!(send(&router, post("/token", &form)).await.status, 200, "{more}");
    }
    let token = refresh_token(&rig.log_in());
    for more in ["scope=read&scope=write", "client_id=web", "refresh_token=x", "grant_type=x"] {
        let form = format!("{}&{more}", refresh_form(&token));
        let answer = send(&router, post("/token", &form)).await;
        assert_eq!(answer.error(), (400, "invalid_request".to_owned()), "{more}");
    }
}

// Rule D6. Case X45. RFC 6749, section 2.3.1.
#[tokio::test]
async fn a_secret_in_the_header_may_be_as_it_is_or_form_encoded() {
    let rig = Rig::new(Policy::default());
    let router = router(&rig);
    let ask = "grant_type=client_credentials";
    let encoded = "pa%2Bss%25wo+rd+%26+long";
    for (id, secret) in [
        ("robot", RAW),
        ("robot", encoded),
        ("robot", "pa%2bss%25wo%20rd%20%26%20long"),
        ("robot", "the secret before that"),
        ("robot", "the+secret+before+that"),
        ("a+b", encoded),
        ("a%20b", encoded),
        ("a b", RAW),
    ] {
        let answer = send(&router, with_basic(post("/token", ask), id, secret)).await;
        assert_eq!(answer.status, 200, "{id} {secret}");
    }
    // Id and secret by the same reading, and a secret by one of the two.
    for (id, secret) in
        [("robot", "pa ss%wo rd & long"), ("robot", "pa%2Bss%25wo+rd+&"), ("a+b", "x")]
    {
        let answer = send(&router, with_basic(post("/token", ask), id, secret)).await;
        assert_eq!(answer.error(), (401, "invalid_client".to_owned()), "{id} {secret}");
    }
    // A public client may send an empty secret.
    let form = refresh_form(&refresh_token(&rig.log_in()));
    assert_eq!(send(&router, with_basic(post("/token", &form), "web", "")).await.status, 200);
}

// Rule D6.
#[tokio::test]
async fn both_readings_of_a_wrong_secret_are_charged_once() {
    let rig = Rig::new(Policy::default());
    let router = router(&rig);
    let mut refused = 0;
    for _ in 0..13 {
        let ask = post("/token", "grant_type=client_credentials");
        let mut guess = with_basic(ask, "robot", "wrong+%41");
        let peer: SocketAddr = "192.0.2.1:5000".parse().expect("an address");
        guess.extensions_mut().insert(ConnectInfo(peer));
        let answer = send(&router, guess).await;
        refused += usize::from(answer.status == 401);
    }
    assert_eq!(refused, 12);
}

// Rule D4. Case X46. RFC 6749, section 3.3.
#[tokio::test]
async fn stray_blanks_in_a_scope_are_ignored() {
    let rig = Rig::new(Policy::default());
    let router = router(&rig);
    for (scope, granted) in [
        ("read+write+", "read write"),
        ("read++write", "read write"),
        ("+read", "read"),
        ("++", "read write"),
        ("write+read", "write read"),
    ] {
        let form = refresh_form(&refresh_token(&rig.log_in()));
        let answer = send(&router, post("/token", &format!("{form}&scope={scope}"))).await;
        assert_eq!(answer.json()["scope"], granted, "{scope:?}");
        let ask = format!("grant_type=client_credentials&scope={scope}");
        let answer = send(&router, with_basic(post("/token", &ask), "robot", RAW)).await;
        assert_eq!(answer.json()["scope"], granted, "{scope:?}");
    }
    let login = Login::new("web", "alice").scope("  read   write ");
    let login = block_on(rig.issuer.login(login)).expect("a login");
    assert_eq!(login.scope.as_deref(), Some("read write"));
    for foreign in ["read\u{a0}write", "read%09write", "READ", "rea"] {
        let form = refresh_form(&refresh_token(&login));
        let answer = send(&router, post("/token", &format!("{form}&scope={foreign}"))).await;
        assert_eq!(answer.error(), (400, "invalid_scope".to_owned()), "{foreign:?}");
    }
}

// Rule D6.
#[tokio::test]
async fn a_header_that_is_there_twice_is_refused_whichever_is_right() {
    let rig = Rig::new(Policy::default());
    let router = router(&rig);
    let form = refresh_form(&refresh_token(&rig.log_in()));
    let twice = |name: &'static str, value: &str| {
        let mut request = with_basic(post("/token", &form), "web", "");
        request.headers_mut().append(name, value.parse().expect("a header"));
        request
    };
    for request in [
        twice("authorization", "Basic d2ViOg=="),
        twice("authorization", "Bearer x"),
        twice("content-type", "application/x-www-form-urlencoded"),
        twice("content-type", "application/json"),
    ] {
        let answer = send(&router, request).await;
        assert_eq!(answer.error(), (400, "invalid_request".to_owned()));
    }
    assert_eq!(
        send(&router, post("/token", &form)).await.status,
        StatusCode::OK,
        "nothing rotated"
    );
}

// Rules D3, D4.
#[test]
fn a_token_that_does_not_work_is_told_from_no_other_by_a_scope_and_reuse_revokes_all_the_same() {
    let rig = Rig::new(Policy::new(Reuse::Strict));
    let login = rig.log_in();
    let first = refresh_token(&login);
    let second = rig.present(&first).expect("it works");
    let ask = |client: &str, token: &Secret, scope: &str| {
        block_on(rig.issuer.refresh(client, token, Some(scope))).expect_err("it is refused")
    };
    // A token that works: nothing is rotated for a scope that was not granted.
    let refused = ask("web", &refresh_token(&second), "admin");
    assert!(matches!(refused, GrantError::InvalidScope));
    assert_eq!(rig.store.newest(login.family), 2);
    // Another client learns nothing of the scope, and revokes nothing.
    for scope in ["read", "admin"] {
        let refused = ask("shop", &first, scope);
        assert!(matches!(refused, GrantError::InvalidGrant(_)), "{refused:?}");
    }
    assert!(rig.works(&second.access_token));
    let refused = ask("web", &first, "admin");
    assert!(matches!(refused, GrantError::InvalidGrant(_)), "{refused:?}");
    assert!(!rig.works(&second.access_token), "it is revoked for the reuse");
    let refused = ask("web", &refresh_token(&second), "admin");
    assert!(matches!(refused, GrantError::InvalidGrant(_)), "{refused:?}");
}

// Rules D4, D5.
#[test]
fn an_access_token_revokes_its_family_only_while_it_works_or_can_be_renewed() {
    let rig = Rig::with(Policy::default(), |builder| builder.renewal_window(SECOND));
    let (early, late) = (rig.log_in(), rig.log_in());
    rig.time.advance(just_before(HOUR + SECOND));
    block_on(rig.issuer.revoke("web", &early.access_token)).expect("it is well");
    assert!(rig.present(&refresh_token(&early)).is_err());
    rig.time.advance(MILLI);
    block_on(rig.issuer.revoke("web", &late.access_token)).expect("it is well");
    rig.present(&refresh_token(&late)).expect("it was not revoked");
}

// Rule D4. RFC 9700, section 4.14.2.
#[test]
fn a_login_that_is_used_every_day_ends_after_a_year_unless_the_policy_says_otherwise() {
    let days = |policy| {
        let rig = Rig::new(policy);
        let mut token = refresh_token(&rig.log_in());
        for day in 1..400 {
            rig.time.advance(DAY);
            let Ok(next) = rig.present(&token) else { return day };
            token = refresh_token(&next);
        }
        400
    };
    assert_eq!(days(Policy::default()), 365);
    assert_eq!(days(Policy::default().absolute_lifetime(30 * DAY)), 30);
    assert_eq!(days(Policy::default().without_absolute_lifetime()), 400);
}

// Rule D11. RFC 9068, section 5.
#[tokio::test]
async fn no_user_has_the_id_of_a_client() {
    let rig = Rig::new(Policy::default());
    let _router = router(&rig);
    for (client, subject) in [("web", "robot"), ("web", "web"), ("unregistered", "unregistered")] {
        let refused = rig.issuer.login(Login::new(client, subject)).await;
        assert!(matches!(refused, Err(GrantError::SubjectIsClient)), "{subject}");
    }
    rig.issuer.login(Login::new("web", "Robot")).await.expect("another name");
}

#[tokio::test]
async fn a_client_uses_the_grant_types_that_it_is_allowed() {
    let rig = Rig::new(Policy::default());
    let router = router(&rig);
    let ask = |form: &str| with_basic(post("/token", form), "shop", RAW);
    let answer = send(&router, ask("grant_type=client_credentials")).await;
    assert_eq!(answer.error(), (400, "unauthorized_client".to_owned()));
    let answer = send(&router, ask("grant_type=refresh_token&refresh_token=x")).await;
    assert_eq!(answer.error(), (400, "invalid_grant".to_owned()));
    let answer = send(&router, ask("grant_type=authorization_code&code=x")).await;
    assert_eq!(answer.error(), (400, "unauthorized_client".to_owned()));
    let answer =
        send(&router, with_basic(post("/token", "grant_type=password"), "robot", RAW)).await;
    assert_eq!(answer.error(), (400, "unsupported_grant_type".to_owned()));
}

// Rule D6. Case X48. RFC 8414, section 2.
#[tokio::test]
async fn the_metadata_says_what_is_served_and_takes_the_program_s_fields_and_grants() {
    let rig = Rig::new(Policy::default());
    let issuer = rig.issuer.clone();
    let exchanged = move |request: perennial::adapters::axum::GrantRequest| {
        let issuer = issuer.clone();
        async move {
            let code = request.parameter("code")?.map(String::from);
            let Some("good") = code.as_deref() else {
                return Err(perennial::adapters::axum::GrantRefusal::InvalidGrant);
            };
            Ok(issuer.login(Login::new(request.client(), "alice").scope("read")).await?)
        }
    };
    let router = AuthorizationServer::builder(rig.issuer.clone(), "https://auth.example.com/")
        .client(RegisteredClient::public("web"))
        .grant("authorization_code", exchanged)
        .metadata("authorization_endpoint", "https://auth.example.com/authorize")
        .metadata("response_types_supported", json!(["code"]))
        .metadata("code_challenge_methods_supported", json!(["S256"]))
        .build()
        .expect("each setting is allowed")
        .router();
    let path = "/.well-known/oauth-authorization-server";
    let request = Request::get(path).body(axum::body::Body::empty()).expect("a request");
    let metadata = send(&router, request).await.json();
    let grants = json!(["refresh_token", "client_credentials", "authorization_code"]);
    assert_eq!(metadata["grant_types_supported"], grants);
    assert_eq!(metadata["response_types_supported"], json!(["code"]));
    assert_eq!(metadata["authorization_endpoint"], "https://auth.example.com/authorize");
    let ask = |code: &str| {
        let form = format!("grant_type=authorization_code&client_id=web&unknown=1&{code}");
        post("/token", &form)
    };
    let answer = send(&router, ask("code=good")).await;
    let token = Secret::from(answer.json()["refresh_token"].as_str().expect("a refresh token"));
    rig.present(&token).expect("it works");
    for bad in ["code=bad", ""] {
        let answer = send(&router, ask(bad)).await;
        assert_eq!(answer.error(), (400, "invalid_grant".to_owned()));
    }
    let answer = send(&router, ask("code=good&code=good")).await;
    assert_eq!(answer.error(), (400, "invalid_request".to_owned()));
    for _ in 0..40 {
        send(&router, ask("code=guess")).await;
    }
    assert_eq!(send(&router, ask("code=guess")).await.status, 429, "a guess is garbage");
}
