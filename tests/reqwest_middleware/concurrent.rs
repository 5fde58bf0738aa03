//! Many requests at once.

use perennial::session::Session;
use perennial::token::Grant;

use crate::wire::scene::{HOUR, client_of, refresher};
use crate::wire::{Server, answer};
use crate::world::{
    UNAUTHORIZED, World, anywhere, bearer, client, next_with, response, send, token_response,
};

const REQUESTS: usize = 200;

/// Sends many requests, all of which get a 401 for the same token, some of them late.
async fn all_get_a_401(mut world: World, late: usize) {
    let requests: Vec<_> = (0..REQUESTS).map(|_| world.get()).collect();
    let mut waiting = Vec::new();
    for _ in 0..REQUESTS {
        waiting.push(next_with(&mut world.api, "access-1").await);
    }
    let too_late = waiting.split_off(REQUESTS - late);
    for exchange in waiting {
        exchange.answer(UNAUTHORIZED, &[], "").await;
    }
    let refresh = world.auth.next().await;
    assert_eq!(refresh.received.field("refresh_token").as_deref(), Some("refresh-1"));
    refresh.json(&token_response(2)).await;
    for _ in 0..REQUESTS - late {
        next_with(&mut world.api, "access-2").await.answer("200 OK", &[], "").await;
    }
    for exchange in too_late {
        exchange.answer(UNAUTHORIZED, &[], "").await;
    }
    for _ in 0..late {
        next_with(&mut world.api, "access-2").await.answer("200 OK", &[], "").await;
    }
    for request in requests {
        assert_eq!(response(request).await.0, 200);
    }
    assert_eq!(world.auth.requests(), 1, "one refresh for all");
    assert_eq!(world.api.requests(), 2 * REQUESTS, "one replay each");
}

// Rules E2, B3, B8.
#[tokio::test]
async fn many_401s_for_one_token_cost_one_refresh_and_one_replay_each() {
    all_get_a_401(World::new().await, 0).await;
}

// Rules E2, B3, B8.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_401s_before_and_after_the_refresh_cost_one_refresh_on_many_threads() {
    all_get_a_401(World::new().await, REQUESTS / 2).await;
}

// Rules E2, B3, C2.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_401s_cost_one_refresh_where_the_requests_themselves_drive_it() {
    let mut world = World::new().await;
    let refresher = refresher(client_of(&world.auth));
    // Neither a spawner nor a timer: whoever needs the refresh polls it.
    world.session = Session::builder_with(refresher)
        .grant(Grant::new("access-1", "refresh-1", HOUR))
        .build()
        .expect("a session");
    world.client = client(bearer(anywhere(&world.session)));
    all_get_a_401(world, 0).await;
}

// Rules E2, B3.
#[tokio::test]
async fn several_clients_of_one_session_spend_one_refresh_token() {
    // axios-auth-refresh#210: single-flight per client, not per credential.
    let mut world = World::new().await;
    let clients: Vec<_> = (0..5).map(|_| client(bearer(anywhere(&world.session)))).collect();
    let requests: Vec<_> =
        clients.iter().map(|it| send(it.get(world.api.url("/things")))).collect();
    for _ in 0..clients.len() {
        next_with(&mut world.api, "access-1").await.answer(UNAUTHORIZED, &[], "").await;
    }
    world.auth.next().await.json(&token_response(2)).await;
    for _ in 0..clients.len() {
        next_with(&mut world.api, "access-2").await.answer("200 OK", &[], "").await;
    }
    for request in requests {
        assert_eq!(response(request).await.0, 200);
    }
    assert_eq!(world.auth.requests(), 1);
}

// Rules B4, B8.
#[tokio::test]
async fn the_401_of_another_sessions_token_takes_nothing_from_this_one() {
    let api = Server::answering(|_| answer(UNAUTHORIZED, &[], "")).await;
    let one = World::of(crate::world::minting().await, api);
    let other = World::with_api(|_| answer("200 OK", &[], "")).await;
    let token = one.session.token().await.expect("a token");
    assert_eq!(token.expose(), "access-1");
    other.session.reject(&token);
    assert_eq!(response(other.get()).await.0, 200);
    assert_eq!(other.api.log()[0].bearer(), "access-1");
    assert_eq!(other.auth.requests(), 0);
}
