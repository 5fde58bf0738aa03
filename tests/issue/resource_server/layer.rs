//! The layer for resource servers, with each verifier.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::routing::get;
use perennial::adapters::axum::RequireBearer;
use perennial::adapters::resource_server::Introspection;
use perennial::issue::{Identity, TokenVerifier};
use perennial::testing::VirtualTime;
use perennial::token::Secret;
use tower::ServiceExt as _;

use super::support::{Machine, Reply, Server, set, token, token_for};
use crate::support::{SECOND, START, block_on};

fn things(verifier: impl TokenVerifier) -> Router {
    let who = async |request: Request| {
        let identity = request.extensions().get::<Identity>().expect("the layer adds it");
        format!("{} {}", identity.subject, identity.client)
    };
    Router::new().route("/things", get(who)).layer(RequireBearer::new(verifier).scope("read"))
}

/// The status, the challenge or the delay, and the body.
fn ask(things: &Router, token: &Secret) -> (u16, String, String) {
    let request =
        Request::get("/things").header("authorization", format!("Bearer {}", token.expose()));
    let request = request.body(Body::empty()).expect("a request");
    let response = block_on(things.clone().oneshot(request)).expect("there is always an answer");
    let (head, body) = response.into_parts();
    let told = ["www-authenticate", "retry-after"].map(|name| {
        head.headers.get(name).map_or("", |value| value.to_str().expect("text")).to_owned()
    });
    let body = block_on(to_bytes(body, usize::MAX)).expect("a body");
    (head.status.as_u16(), told.concat(), String::from_utf8(body.to_vec()).expect("text"))
}

// Rule D8.
#[test]
fn a_jwt_is_let_through_by_the_keys_of_its_issuer_and_others_are_told_what_is_wrong() {
    let server = Server::new(Reply::Body(set([1])));
    let things = things(server.verifier.clone());
    assert_eq!(ask(&things, &token(1)), (200, String::new(), "alice web".into()));
    let (status, challenge, _) = ask(&things, &token_for("https://other.example.com", 1, START));
    assert_eq!(status, 401);
    assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    server.advance(5 * 24 * 3600 * SECOND);
    let (status, challenge, _) = ask(&things, &token(1));
    assert_eq!(status, 401);
    assert!(challenge.contains("the access token has expired"), "{challenge}");
}

// Rule D8.
#[test]
fn where_the_keys_were_never_fetched_the_answer_is_503_and_says_when_to_try_again() {
    let server = Server::new(Reply::Whole(503, vec![("retry-after", "20")], String::new()));
    let things = things(server.verifier.clone());
    let (status, retry_after, body) = ask(&things, &token(1));
    assert_eq!((status, &*body), (503, ""));
    let seconds: u64 = retry_after.parse().expect("a number, and no challenge");
    assert!((20..=21).contains(&seconds), "{seconds}");
    server.machine.reply(Reply::Body(set([1])));
    server.advance(21 * SECOND);
    assert_eq!(ask(&things, &token(1)).0, 200);
}

// Rule D8.
#[test]
fn an_opaque_token_is_let_through_by_introspection_and_503_where_that_fails() {
    let active = r#"{"active":true,"sub":"alice","client_id":"web","scope":"read write"}"#;
    let (machine, time) = (Machine::new(Reply::Body(active.into())), VirtualTime::at(START));
    let url = "https://auth.example.com/introspect";
    let builder = Introspection::builder(url, "api", "secret", machine.clone());
    let verifier = builder.clock(time.clone()).timer(time).build().expect("https");
    let things = things(verifier);
    assert_eq!(ask(&things, &Secret::from("one")), (200, String::new(), "alice web".into()));
    machine.reply(Reply::Body(active.replace("read", "look")));
    assert_eq!(ask(&things, &Secret::from("two")).0, 403);
    machine.reply(Reply::Body(r#"{"active":false}"#.into()));
    let (status, challenge, _) = ask(&things, &Secret::from("three"));
    assert_eq!(status, 401);
    assert!(challenge.contains("the access token is not active"), "{challenge}");
    machine.reply(Reply::Unreachable);
    assert_eq!(ask(&things, &Secret::from("four")), (503, "1".into(), String::new()));
    machine.reply(Reply::Whole(429, vec![("retry-after", "9")], String::new()));
    assert_eq!(ask(&things, &Secret::from("four")), (503, "9".into(), String::new()));
}
