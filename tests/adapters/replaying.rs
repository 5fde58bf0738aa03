//! After a 401.

use http::Method;

use crate::client::{Adapter, Call};
use crate::wire::{Received, answer, soon};
use crate::world::{
    UNAUTHORIZED, World, answered, next_with, on_every_adapter, response, token_response,
};

// Rules E2, B8.
async fn a_401_is_absorbed_by_one_refresh_and_one_replay_of_the_same_request(on: Adapter) {
    let calls: [fn(Call) -> Call; 4] = [
        |call| call,
        |call| call.method(Method::DELETE),
        |call| call.method(Method::PUT).whole("all of it"),
        |call| call.method(Method::POST).whole(""),
    ];
    for call in calls {
        let world = World::liking_new_tokens(on).await;
        let call = call(world.call("/things/1?a=b").header("x-mine", "1"));
        assert_eq!(response(world.send(call)).await, (200, "done".to_owned()));
        assert_eq!(world.bearers(), ["access-1", "access-2"]);
        // Alamofire#3950: one 401 must not cost two refreshes.
        assert_eq!(world.auth.requests(), 1);
        assert_eq!(world.auth.log()[0].field("refresh_token").as_deref(), Some("refresh-1"));
        let log = world.api.log();
        assert_eq!(sorted(&log[0], "access-1"), sorted(&log[1], "access-2"));
        assert_eq!(log[0].body, log[1].body);
        assert!(log[0].headers("transfer-encoding").is_empty(), "{}", log[0].head);
    }
}

/// The lines of a head, without the token.
fn sorted(received: &Received, token: &str) -> Vec<String> {
    let mut lines: Vec<_> = received.head.lines().map(|it| it.replace(token, "")).collect();
    lines.sort();
    lines
}

// Rule E2.
async fn a_second_401_goes_to_the_caller_as_it_is_and_there_is_no_third_request(on: Adapter) {
    let world = World::with_api(on, |request| {
        let challenge = format!("Bearer realm=\"{}\"", request.bearer());
        answer(UNAUTHORIZED, &[("www-authenticate", &challenge)], "the second answer's body")
    })
    .await;
    let second = answered(world.get()).await;
    assert_eq!(second.status, 401);
    assert_eq!(second.headers["www-authenticate"], "Bearer realm=\"access-2\"");
    assert_eq!(second.token.as_ref().expect("a token").expose(), "access-2");
    assert_eq!(soon(second.text()).await.expect("a body"), "the second answer's body");
    assert_eq!((world.api.requests(), world.auth.requests()), (2, 1));
    // A replay's 401 withdraws nothing: the next request carries that token.
    answered(world.get()).await;
    assert_eq!(world.bearers(), ["access-1", "access-2", "access-2", "access-3"]);
}

// Rules E2, B4, B8.
async fn a_stale_401_is_replayed_without_another_refresh(on: Adapter) {
    let mut world = World::new(on).await;
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
async fn a_401_that_comes_while_a_refresh_is_out_joins_it_and_does_not_leak(on: Adapter) {
    let mut world = World::new(on).await;
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

// Rule E2.
async fn a_connection_that_breaks_is_the_callers_and_is_not_replayed(on: Adapter) {
    let mut world = World::new(on).await;
    let request = world.send(world.call("/things").method(Method::POST).whole("all"));
    next_with(&mut world.api, "access-1").await.reset();
    let failed = crate::world::failed(request).await;
    assert!(failed.refused().is_none(), "{failed:?}");
    assert_eq!((world.api.requests(), world.auth.requests()), (1, 0));
    assert_eq!(world.holds().await, "access-1");
}

// Rule E7.
async fn an_answer_in_progress_arrives_whole_across_a_refresh(on: Adapter) {
    let mut world = World::new(on).await;
    let request = world.get();
    let mut long = next_with(&mut world.api, "access-1").await;
    long.write(b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nfirst").await.expect("a client");
    let mut answered = answered(request).await;
    assert_eq!(soon(answered.chunk()).await.expect("a chunk").as_deref(), Some(&b"first"[..]));
    // Meanwhile its token is rejected, replaced, and the new one used.
    let other = world.get();
    next_with(&mut world.api, "access-1").await.answer(UNAUTHORIZED, &[], "").await;
    world.auth.next().await.json(&token_response(2)).await;
    next_with(&mut world.api, "access-2").await.answer("200 OK", &[], "").await;
    assert_eq!(response(other).await.0, 200);
    long.write(b"second").await.expect("a client that still reads");
    assert_eq!(answered.token.as_ref().expect("a token").expose(), "access-1");
    assert_eq!(soon(answered.text()).await.expect("the rest"), "second");
    assert_eq!((world.api.requests(), world.auth.requests()), (3, 1));
}

on_every_adapter!(
    a_401_is_absorbed_by_one_refresh_and_one_replay_of_the_same_request,
    a_second_401_goes_to_the_caller_as_it_is_and_there_is_no_third_request,
    a_stale_401_is_replayed_without_another_refresh,
    a_401_that_comes_while_a_refresh_is_out_joins_it_and_does_not_leak,
    a_connection_that_breaks_is_the_callers_and_is_not_replayed,
    an_answer_in_progress_arrives_whole_across_a_refresh,
);
