//! After a 401.

use crate::wire::{Received, answer, soon};
use crate::world::{UNAUTHORIZED, World, next_with, response, send, token_response};

// Rules E2, B8.
#[tokio::test]
async fn a_401_is_absorbed_by_one_refresh_and_one_replay_of_the_same_request() {
    let world = World::with_api(|request| match request.bearer() {
        "access-1" => answer(UNAUTHORIZED, &[], "no"),
        _ => answer("201 Created", &[], "done"),
    })
    .await;
    let request = world.client.put(world.api.url("/things/1")).header("x-mine", "1").body("all");
    assert_eq!(response(send(request)).await, (201, "done".to_owned()));
    let log = world.api.log();
    let bearers: Vec<_> = log.iter().map(Received::bearer).collect();
    assert_eq!(bearers, ["access-1", "access-2"]);
    for request in &log {
        assert_eq!((request.line(), request.body.as_str()), ("PUT /things/1", "all"));
        assert_eq!(request.headers("x-mine"), ["1"]);
    }
    // Alamofire#3950: one 401 must not cost two refreshes.
    assert_eq!(world.auth.requests(), 1);
    assert_eq!(world.auth.log()[0].field("refresh_token").as_deref(), Some("refresh-1"));
}

// Rule E2.
#[tokio::test]
async fn a_second_401_goes_to_the_caller_as_it_is_and_there_is_no_third_request() {
    let world = World::with_api(|request| {
        let challenge = format!("Bearer realm=\"{}\"", request.bearer());
        answer(UNAUTHORIZED, &[("www-authenticate", &challenge)], "the second answer's body")
    })
    .await;
    let response = soon(world.get()).await.expect("a task").expect("a response");
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers()["www-authenticate"], "Bearer realm=\"access-2\"");
    assert_eq!(soon(response.text()).await.expect("a body"), "the second answer's body");
    assert_eq!((world.api.requests(), world.auth.requests()), (2, 1));
    // The token of the second was rejected as well: the next request does not carry it.
    soon(world.get()).await.expect("a task").expect("a response");
    let log = world.api.log();
    let bearers: Vec<_> = log.iter().map(Received::bearer).collect();
    assert_eq!(bearers, ["access-1", "access-2", "access-3", "access-4"]);
}

// Rule E2.
#[tokio::test]
async fn only_a_401_is_replayed_and_costs_the_token_its_place() {
    for status in [
        "400 Bad Request",
        "403 Forbidden",
        "407 Proxy Authentication Required",
        "419 Expired",
        "500 Internal Server Error",
        "503 Service Unavailable",
    ] {
        let world = World::with_api(move |_| answer(status, &[], "as it is")).await;
        for _ in 0..2 {
            assert_eq!(response(world.get()).await.1, "as it is");
        }
        assert!(world.api.log().iter().all(|it| it.bearer() == "access-1"), "{status}");
        assert_eq!((world.api.requests(), world.auth.requests()), (2, 0), "{status}");
    }
}

// Rule E3.
#[tokio::test]
async fn the_401_of_a_one_shot_body_comes_back_whole_and_the_next_request_has_a_new_token() {
    let world = World::with_api(|request| match request.bearer() {
        "access-1" => answer(UNAUTHORIZED, &[("x-why", "expired")], "the 401's own body"),
        _ => answer("200 OK", &[], "done"),
    })
    .await;
    let chunks = ["a", "b"].map(Ok::<_, std::io::Error>);
    let body = reqwest::Body::wrap_stream(futures::stream::iter(chunks));
    let request = world.client.post(world.api.url("/upload")).body(body);
    let first = soon(send(request)).await.expect("a task").expect("a response");
    assert_eq!(first.status(), 401);
    assert_eq!(first.headers()["x-why"], "expired");
    assert_eq!(soon(first.text()).await.expect("a body"), "the 401's own body");
    assert_eq!((world.api.requests(), world.auth.requests()), (1, 0), "nothing is replayed");
    assert_eq!(response(world.get()).await, (200, "done".to_owned()));
    assert_eq!(world.api.log()[1].bearer(), "access-2");
    assert_eq!((world.api.requests(), world.auth.requests()), (2, 1));
}

// Rules E2, B4, B8.
#[tokio::test]
async fn a_stale_401_is_replayed_without_another_refresh() {
    let mut world = World::new().await;
    let slow = world.get();
    let held = next_with(&mut world.api, "access-1").await;
    let quick = world.get();
    next_with(&mut world.api, "access-1").await.answer(UNAUTHORIZED, &[], "").await;
    world.auth.next().await.json(&token_response(2)).await;
    next_with(&mut world.api, "access-2").await.answer("200 OK", &[], "quick").await;
    assert_eq!(response(quick).await, (200, "quick".to_owned()));
    // The token that this one carried has been replaced since.
    held.answer(UNAUTHORIZED, &[], "").await;
    next_with(&mut world.api, "access-2").await.answer("200 OK", &[], "slow").await;
    assert_eq!(response(slow).await, (200, "slow".to_owned()));
    assert_eq!(world.auth.requests(), 1);
}

// Rules E2, B8.
#[tokio::test]
async fn a_401_that_comes_while_a_refresh_is_out_joins_it_and_does_not_leak() {
    let mut world = World::new().await;
    world.time.advance(std::time::Duration::from_secs(3301));
    let request = world.get();
    let refresh = world.auth.next().await;
    let rejected = world.session.changed();
    next_with(&mut world.api, "access-1").await.answer(UNAUTHORIZED, &[], "leaked").await;
    soon(rejected).await;
    // Another one, that finds the token rejected and the refresh still out.
    let other = world.get();
    refresh.json(&token_response(2)).await;
    for _ in 0..2 {
        next_with(&mut world.api, "access-2").await.answer("200 OK", &[], "").await;
    }
    assert_eq!(response(request).await.0, 200);
    assert_eq!(response(other).await.0, 200);
    assert_eq!((world.auth.requests(), world.api.requests()), (1, 3));
}

// Rules E2, C4.
#[tokio::test]
async fn a_request_that_is_cancelled_in_its_refresh_costs_nobody_the_new_token() {
    // ktor#5193: the cancelled request's refresh had rotated the token, and dropped it.
    let mut world = World::new().await;
    let request = world.get();
    next_with(&mut world.api, "access-1").await.answer(UNAUTHORIZED, &[], "").await;
    let refresh = world.auth.next().await;
    request.abort();
    assert!(soon(request).await.expect_err("cancelled").is_cancelled());
    refresh.json(&token_response(2)).await;
    let next = world.get();
    next_with(&mut world.api, "access-2").await.answer("200 OK", &[], "").await;
    assert_eq!(response(next).await.0, 200);
    assert_eq!(world.auth.requests(), 1);
    let grant = world.session.grant().expect("a grant");
    assert_eq!(grant.refresh_token().expect("a refresh token").expose(), "refresh-2");
}

// Rule E2.
#[tokio::test]
async fn a_connection_that_breaks_is_the_callers_and_is_not_replayed() {
    let mut world = World::new().await;
    let request = world.get();
    next_with(&mut world.api, "access-1").await.reset();
    let error = soon(request).await.expect("a task").expect_err("a broken connection");
    assert!(matches!(error, reqwest_middleware::Error::Reqwest(_)), "{error:?}");
    assert_eq!((world.api.requests(), world.auth.requests()), (1, 0));
    assert_eq!(soon(world.session.token()).await.expect("a token").expose(), "access-1");
}
