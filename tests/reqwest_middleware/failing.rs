//! Refreshes that fail, and resource servers that like no token.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use perennial::refresh::RefreshError;
use perennial::session::Session;
use perennial::token::Grant;

use crate::wire::scene::{HOUR, START};
use crate::wire::{Server, answer, soon};
use crate::world::{
    UNAUTHORIZED, World, anywhere, bearer, client, failure, next_with, response, token_response,
};

// Rules E2, B6.
#[tokio::test]
async fn a_grant_that_is_declined_after_a_401_reaches_the_caller_as_login_required() {
    let mut world = World::new().await;
    let request = world.get();
    next_with(&mut world.api, "access-1").await.answer(UNAUTHORIZED, &[], "").await;
    let refresh = world.auth.next().await;
    refresh.answer("400 Bad Request", &[], r#"{"error":"invalid_grant"}"#).await;
    assert!(failure(request).await.is_login_required());
    for _ in 0..50 {
        assert!(failure(world.get()).await.is_login_required());
        world.time.advance(Duration::from_secs(60));
    }
    assert_eq!((world.api.requests(), world.auth.requests()), (1, 1), "nothing more is sent");
    let grant = Grant::new("access-9", "refresh-9", HOUR);
    soon(world.session.install(grant)).await.expect("a login");
    let request = world.get();
    next_with(&mut world.api, "access-9").await.answer("200 OK", &[], "").await;
    assert_eq!(response(request).await.0, 200);
}

// Rules E2, B6.
#[tokio::test]
async fn an_authorization_server_that_is_down_reaches_the_caller_as_unavailable() {
    let mut world = World::new().await;
    world.time.advance(HOUR);
    let request = world.get();
    let refresh = world.auth.next().await;
    refresh.answer("503 Service Unavailable", &[("retry-after", "7")], "").await;
    let error = failure(request).await;
    assert!(error.is_unavailable() && !error.is_login_required(), "{error:?}");
    let retry = error.when_to_retry().expect("an instant");
    assert_eq!(retry.since(START).to_duration(), HOUR + Duration::from_secs(7));
    assert_eq!(world.api.requests(), 0, "no request without a token");
    world.time.set(retry);
    let request = world.get();
    world.auth.next().await.json(&token_response(2)).await;
    next_with(&mut world.api, "access-2").await.answer("200 OK", &[], "").await;
    assert_eq!(response(request).await.0, 200);
}

// Rules E1, B7.
#[tokio::test]
async fn a_failure_of_the_authorization_server_is_waited_through_with_patience() {
    let mut world = World::new().await;
    let middleware = bearer(anywhere(&world.session).patience(Duration::from_secs(10)));
    world.client = client(middleware);
    world.time.advance(HOUR);
    let request = world.get();
    let changed = world.session.changed();
    world.auth.next().await.answer("503 Service Unavailable", &[], "").await;
    soon(changed).await;
    world.time.advance(Duration::from_secs(1));
    world.auth.next().await.json(&token_response(2)).await;
    next_with(&mut world.api, "access-2").await.answer("200 OK", &[], "").await;
    assert_eq!(response(request).await.0, 200);
    assert_eq!(world.auth.requests(), 2);
}

// Rule E6.
#[tokio::test]
async fn a_refresh_that_itself_gets_a_401_is_not_refreshed_and_is_asked_once() {
    // ktor#2864: the refresh call's own 401 triggers a refresh, endlessly.
    let auth = Server::answering(|_| answer(UNAUTHORIZED, &[], "")).await;
    let api = Server::answering(|_| answer(UNAUTHORIZED, &[], "")).await;
    let world = World::of(auth, api);
    assert!(failure(world.get()).await.is_login_required());
    assert_eq!((world.api.requests(), world.auth.requests()), (1, 1));
    let log = world.auth.log();
    assert!(log[0].headers("authorization").is_empty(), "the refresh passed through: {log:?}");
}

// Rules B9, E2.
#[tokio::test]
async fn tokens_that_were_accepted_once_can_be_revoked_time_and_again() {
    // Each token is good for one request, and revoked.
    let used = Mutex::new(BTreeSet::new());
    let world = World::with_api(move |request| {
        let first = used.lock().expect("a server").insert(request.bearer().to_owned());
        answer(if first { "200 OK" } else { UNAUTHORIZED }, &[], "")
    })
    .await;
    for revocations in 0..20 {
        assert_eq!(response(world.get()).await.0, 200, "after {revocations} revocations");
        assert_eq!(world.auth.requests(), revocations);
        world.time.advance(Duration::from_millis(100));
    }
}

// Rules B9, E2.
#[tokio::test]
async fn a_server_that_rejects_each_fresh_token_stops_at_the_budget() {
    let world = World::with_api(|_| answer(UNAUTHORIZED, &[], "")).await;
    let mut refused = 0;
    for _ in 0..50 {
        match soon(world.get()).await.expect("a task") {
            Ok(response) => assert_eq!(response.status(), 401),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 40, "{refused}");
    assert_eq!(world.auth.requests(), 5, "the budget, and no more");
    let error = failure(world.get()).await;
    assert!(error.is_over_budget() && !error.is_login_required(), "{error:?}");
    let retry = error.when_to_retry().expect("an instant");
    assert!(retry > START, "{retry:?}");
    world.time.set(retry);
    soon(world.get()).await.expect("a task").ok();
    assert_eq!(world.auth.requests(), 6, "one more, once it may");
}

// Rule B9.
#[tokio::test]
async fn answers_that_say_nothing_of_the_token_do_not_spare_the_budget() {
    // A server that is half down, and rejects what it understands.
    for status in [
        "500 Internal Server Error",
        "429 Too Many Requests",
        "302 Found",
        "503 Service Unavailable",
        "400 Bad Request",
        "407 Proxy Authentication Required",
    ] {
        let used = Mutex::new(BTreeSet::new());
        let world = World::with_api(move |request| {
            let first = used.lock().expect("a server").insert(request.bearer().to_owned());
            answer(if first { status } else { UNAUTHORIZED }, &[], "")
        })
        .await;
        for _ in 0..50 {
            soon(world.get()).await.expect("a task").ok();
        }
        assert_eq!(world.auth.requests(), 5, "{status}");
    }
}

// Rules E1, G1.
#[tokio::test]
async fn a_token_that_no_header_may_carry_is_an_error_that_does_not_show_it() {
    let api = Server::answering(|_| answer("200 OK", &[], "")).await;
    let session = Session::builder(|_| async {
        Ok::<_, RefreshError>(Grant::of_access_token("access-1\r\nx: hush-url", HOUR))
    })
    .without_grant()
    .build()
    .expect("a session");
    let client = client(bearer(anywhere(&session)));
    let error = soon(client.get(api.url("/things")).send()).await.expect_err("no such header");
    let text = format!("{error} {error:?} {error:#?}");
    assert!(!text.contains("access-1") && !text.contains("hush-url"), "{text}");
    assert_eq!(api.requests(), 0);
}
