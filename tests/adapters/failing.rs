//! Refreshes that fail, and resource servers that like no token.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use perennial::token::Grant;

use crate::client::Adapter;
use crate::wire::scene::{HOUR, START};
use crate::wire::{Server, answer, soon};
use crate::world::{
    UNAUTHORIZED, World, next_with, on_every_adapter, refusal, response, token_response,
};

// Rules E2, B6.
async fn a_grant_that_is_declined_after_a_401_is_login_required_and_ends_all_requests(on: Adapter) {
    // Alamofire#3290: after a refresh got 400, the request was sent again, and two more refreshes
    // ran with empty tokens. spring-security#7583: a dead refresh token was tried for ever.
    let mut world = World::new(on).await;
    let request = world.get();
    next_with(&mut world.api, "access-1").await.answer(UNAUTHORIZED, &[], "").await;
    let refresh = world.auth.next().await;
    refresh.answer("400 Bad Request", &[], r#"{"error":"invalid_grant"}"#).await;
    assert!(refusal(request).await.is_login_required());
    for _ in 0..50 {
        assert!(refusal(world.get()).await.is_login_required());
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
async fn an_authorization_server_that_is_down_reaches_the_caller_as_unavailable(on: Adapter) {
    let mut world = World::new(on).await;
    world.time.advance(HOUR);
    let request = world.get();
    let refresh = world.auth.next().await;
    refresh.answer("503 Service Unavailable", &[("retry-after", "7")], "").await;
    let error = refusal(request).await;
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
async fn a_failure_of_the_authorization_server_is_waited_through_with_patience(on: Adapter) {
    let world = World::new(on).await;
    let interceptor = world.interceptor().retry_for(Duration::from_secs(10));
    let mut world = world.intercepted_by(interceptor);
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

// Rules B5, E1.
async fn an_early_refresh_that_fails_is_no_callers_concern(on: Adapter) {
    // google-cloud-rust#5809, supabase-js#2145: it overwrote a valid token, or logged the user out.
    let mut world = World::new(on).await;
    world.time.advance(Duration::from_secs(3301));
    let request = world.get();
    let changed = world.session.changed();
    world.auth.next().await.answer("500 Internal Server Error", &[], "").await;
    soon(changed).await;
    next_with(&mut world.api, "access-1").await.answer("200 OK", &[], "").await;
    assert_eq!(response(request).await.0, 200);
    for _ in 0..10 {
        let request = world.get();
        next_with(&mut world.api, "access-1").await.answer("200 OK", &[], "").await;
        assert_eq!(response(request).await.0, 200);
    }
    assert_eq!(world.auth.requests(), 1, "the next try waits for its turn");
}

// Rule E6.
async fn a_refresh_that_itself_gets_a_401_is_not_refreshed_and_is_asked_once(on: Adapter) {
    // ktor#2864: the refresh call's own 401 triggers a refresh, endlessly.
    let declined = r#"{"error":"invalid_grant"}"#;
    let auth = Server::answering(|_| answer(UNAUTHORIZED, &[], declined)).await;
    let api = Server::answering(|_| answer(UNAUTHORIZED, &[], "")).await;
    let world = World::of(on, auth, api);
    assert!(refusal(world.get()).await.is_login_required());
    assert_eq!((world.api.requests(), world.auth.requests()), (1, 1));
    let log = world.auth.log();
    assert!(log[0].headers("authorization").is_empty(), "the refresh passed through: {log:?}");
}

// Rules B9, E2.
async fn tokens_that_were_accepted_once_can_be_revoked_time_and_again(on: Adapter) {
    // Each token is good for one request, and revoked.
    let used = Mutex::new(BTreeSet::new());
    let world = World::with_api(on, move |request| {
        let first = used.lock().expect("a server").insert(request.bearer().to_owned());
        answer(if first { "200 OK" } else { UNAUTHORIZED }, &[], "")
    })
    .await;
    for revocations in 0..20 {
        assert_eq!(response(world.get()).await.0, 200, "after {revocations} revocations");
        assert_eq!(world.auth.requests(), revocations);
        world.time.advance(Duration::from_secs(1));
    }
}

// Rules B9, E2.
async fn a_server_that_rejects_each_fresh_token_stops_at_the_budget(on: Adapter) {
    let world = World::with_api(on, |_| answer(UNAUTHORIZED, &[], "")).await;
    // Whoever asks gets the 401 as it is; nobody is refused locally.
    for _ in 0..50 {
        assert_eq!(response(world.get()).await.0, 401);
    }
    assert_eq!(world.auth.requests(), 5, "the budget, and no more");
    world.time.advance(Duration::from_secs(6));
    assert_eq!(response(world.get()).await.0, 401);
    assert_eq!(world.auth.requests(), 6, "one more, once it may");
}

// Rules B8, B9, E2. Case X21: one resource's 401 is not everybody's.
async fn a_resource_that_always_says_401_takes_the_token_from_nobody_else(on: Adapter) {
    let world = World::with_api(on, |request| {
        if request.line().contains("/broken") {
            return answer(UNAUTHORIZED, &[], "broken");
        }
        answer("200 OK", &[], "done")
    })
    .await;
    for _ in 0..200 {
        let (broken, things) = (world.send(world.call("/broken")), world.get());
        assert_eq!(response(broken).await, (401, "broken".to_owned()));
        assert_eq!(response(things).await, (200, "done".to_owned()));
        world.time.advance(Duration::from_millis(100));
    }
    // The allowance of tokens that had worked, and the budget of those that had not yet.
    assert!(world.auth.requests() <= 3 + 5 + 3, "{} refreshes", world.auth.requests());
}

// Rules B9, E2. Case X20.
async fn a_resource_that_accepts_and_rejects_by_turns_costs_the_allowance_and_no_more(on: Adapter) {
    let turn = Mutex::new(0_u32);
    let world = World::with_api(on, move |_| {
        let mut turn = turn.lock().expect("a server");
        *turn += 1;
        // The replay is rejected, too: the refresh has not helped.
        answer(if *turn % 3 == 1 { "200 OK" } else { UNAUTHORIZED }, &[], "")
    })
    .await;
    for _ in 0..300 {
        response(world.get()).await;
    }
    assert!(world.auth.requests() <= 3 + 5, "{} refreshes", world.auth.requests());
}

// Rule B9.
async fn answers_that_say_nothing_of_the_token_do_not_spare_the_budget(on: Adapter) {
    // A server that is half down, and rejects what it understands.
    let nothing: [(&'static str, &'static [(&str, &str)]); 12] = [
        // A cache's answer (RFC 9111, section 5.1), and what a cache may give in its place.
        ("200 OK", &[("age", "0")]),
        ("200 OK", &[("age", "60")]),
        ("304 Not Modified", &[]),
        ("302 Found", &[]),
        ("302 Found", &[("location", "/things#again")]),
        ("400 Bad Request", &[]),
        ("404 Not Found", &[]),
        ("407 Proxy Authentication Required", &[]),
        ("429 Too Many Requests", &[]),
        ("500 Internal Server Error", &[]),
        ("501 Not Implemented", &[]),
        ("503 Service Unavailable", &[]),
    ];
    let plain: (&'static str, &'static [(&str, &str)]) = ("200 OK", &[]);
    for (status, headers) in nothing.into_iter().chain([plain]) {
        let used = Mutex::new(BTreeSet::new());
        let world = World::with_api(on, move |request| {
            let first = used.lock().expect("a server").insert(request.bearer().to_owned());
            if first { answer(status, headers, "") } else { answer(UNAUTHORIZED, &[], "") }
        })
        .await;
        for _ in 0..50 {
            soon(world.get()).await.expect("a task").ok();
        }
        let accepts = headers.is_empty() && status == "200 OK";
        let refreshes = world.auth.requests();
        assert_eq!(refreshes != 5, accepts, "{status} {headers:?}: {refreshes}");
    }
}

on_every_adapter!(
    a_grant_that_is_declined_after_a_401_is_login_required_and_ends_all_requests,
    an_authorization_server_that_is_down_reaches_the_caller_as_unavailable,
    a_failure_of_the_authorization_server_is_waited_through_with_patience,
    an_early_refresh_that_fails_is_no_callers_concern,
    a_refresh_that_itself_gets_a_401_is_not_refreshed_and_is_asked_once,
    tokens_that_were_accepted_once_can_be_revoked_time_and_again,
    a_server_that_rejects_each_fresh_token_stops_at_the_budget,
    a_resource_that_always_says_401_takes_the_token_from_nobody_else,
    a_resource_that_accepts_and_rejects_by_turns_costs_the_allowance_and_no_more,
    answers_that_say_nothing_of_the_token_do_not_spare_the_budget,
);
