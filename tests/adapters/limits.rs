//! How long a request waits for tokens, and what it is told then.

use std::time::Duration;

use perennial::interceptor::{Interceptor, Refused};
use perennial::session::Session;
use perennial::testing::{Response, Scripted, VirtualTime};
use perennial::token::Grant;

use crate::client::{Adapter, Answered, Failed};
use crate::wire::scene::{HOUR, START};
use crate::wire::{Server, answer};
use crate::world::{
    UNAUTHORIZED, World, failed, minting, next_with, on_every_adapter, response, token_response,
};

const SECOND: Duration = Duration::from_secs(1);

/// The error of a request whose time is up: it says so, and when to come back.
async fn timed_out(
    request: tokio::task::JoinHandle<Result<Answered, Failed>>,
    after: Duration,
    wait: Duration,
) {
    let failed = failed(request).await;
    let Some(Refused::NoToken { error, retry_in }) = failed.refused() else {
        panic!("another failure: {failed:?}")
    };
    assert!(error.is_timeout(), "{error:?}");
    let retry = error.when_to_retry().expect("an instant");
    assert_eq!(retry.since(START).to_duration(), HOUR + after + wait);
    assert_eq!(*retry_in, Some(wait));
    let text = failed.says().remove(0);
    let expected =
        format!("time limit passed while the refresh went on; try again in {} s", wait.as_secs());
    assert!(text.contains(&expected), "{text}");
}

/// Its token endpoint hangs; a request of default settings ends after ten seconds, and the refresh goes on.
async fn ends_after_ten_seconds(mut world: World) {
    world.time.advance(HOUR);
    let request = world.get();
    let hanging = world.auth.next().await;
    world.time.advance(10 * SECOND);
    timed_out(request, 10 * SECOND, 20 * SECOND).await;
    hanging.json(&token_response(2)).await;
    let next = world.get();
    next_with(&mut world.api, "access-2").await.answer("200 OK", &[], "").await;
    assert_eq!(response(next).await.0, 200);
    assert_eq!(world.auth.requests(), 1, "the refresh was neither ended nor repeated");
}

// Rule C8. Case X54.
async fn a_request_waits_ten_seconds_for_a_token_endpoint_that_hangs(on: Adapter) {
    let world = World::new(on).await;
    let interceptor = Interceptor::builder(world.session.clone()).origin(world.api.url("/"));
    ends_after_ten_seconds(world.intercepted_by(interceptor)).await;
}

// Rule C8. Case X54.
async fn without_a_timer_in_the_session_it_waits_no_longer(on: Adapter) {
    let world = World::driven_by_callers(on).await;
    let interceptor = Interceptor::builder(world.session.clone()).origin(world.api.url("/"));
    let interceptor = interceptor.timer(world.time.clone());
    ends_after_ten_seconds(world.intercepted_by(interceptor)).await;
}

// Rule C8. Case X54.
async fn a_thread_keeps_the_limit_where_nobody_brought_a_timer(on: Adapter) {
    let session = Session::builder_with(Scripted::new().then(Response::Hang));
    let session = session.grant(Grant::of_refresh_token("refresh-1")).build().expect("a session");
    let api = Server::answering(|_| answer("200 OK", &[], "")).await;
    let world = World::with(on, minting().await, api, VirtualTime::at(START), session);
    let interceptor = world.interceptor().wait_limit(Duration::from_millis(1));
    let world = world.intercepted_by(interceptor);
    let failed = failed(world.get()).await;
    match failed.refused() {
        Some(Refused::NoToken { error, .. }) => assert!(error.is_timeout(), "{error:?}"),
        other => panic!("{other:?} {failed:?}"),
    }
    assert_eq!(world.api.requests(), 0);
}

// Rule C8. Case X54: before the request and before its replay, taken together.
async fn the_waits_of_one_request_share_the_limit(on: Adapter) {
    let world = World::new(on).await;
    let interceptor = Interceptor::builder(world.session.clone()).origin(world.api.url("/"));
    let mut world = world.intercepted_by(interceptor);
    world.time.advance(HOUR);
    let request = world.get();
    let refresh = world.auth.next().await;
    world.time.advance(6 * SECOND);
    refresh.json(&token_response(2)).await;
    let sent = next_with(&mut world.api, "access-2").await;
    // What the resource server takes is not waiting for a token.
    world.time.advance(60 * SECOND);
    sent.answer(UNAUTHORIZED, &[], "").await;
    let hanging = world.auth.next().await;
    world.time.advance(4 * SECOND);
    timed_out(request, 70 * SECOND, 26 * SECOND).await;
    drop(hanging);
}

// Rules C8, B7. Case X54.
async fn a_patience_beyond_the_usual_limit_is_kept(on: Adapter) {
    let world = World::new(on).await;
    let interceptor = Interceptor::builder(world.session.clone()).origin(world.api.url("/"));
    let mut world = world.intercepted_by(interceptor.retry_for(60 * SECOND));
    world.time.advance(HOUR);
    let request = world.get();
    let refresh = world.auth.next().await;
    let changed = world.session.changed();
    refresh.answer("503 Service Unavailable", &[("retry-after", "40")], "").await;
    crate::wire::soon(changed).await;
    world.time.advance(40 * SECOND);
    world.auth.next().await.json(&token_response(2)).await;
    next_with(&mut world.api, "access-2").await.answer("200 OK", &[], "").await;
    assert_eq!(response(request).await.0, 200);
}

// Rules C8, B7. Case X54: patience is for failures, and does not outlast the limit.
async fn patience_does_not_outlast_the_limit(on: Adapter) {
    let world = World::new(on).await;
    let interceptor = Interceptor::builder(world.session.clone()).origin(world.api.url("/"));
    let interceptor = interceptor.retry_for(HOUR).wait_limit(5 * SECOND);
    let mut world = world.intercepted_by(interceptor);
    world.time.advance(HOUR);
    let request = world.get();
    let refresh = world.auth.next().await;
    refresh.answer("503 Service Unavailable", &[("retry-after", "6")], "").await;
    let error = crate::world::refusal(request).await;
    assert!(error.is_unavailable(), "it is told at once that waiting is of no use: {error:?}");
    let retry = error.when_to_retry().expect("an instant");
    assert_eq!(retry.since(START).to_duration(), HOUR + 6 * SECOND);
}

on_every_adapter!(
    a_request_waits_ten_seconds_for_a_token_endpoint_that_hangs,
    without_a_timer_in_the_session_it_waits_no_longer,
    a_thread_keeps_the_limit_where_nobody_brought_a_timer,
    the_waits_of_one_request_share_the_limit,
    a_patience_beyond_the_usual_limit_is_kept,
    patience_does_not_outlast_the_limit,
);
