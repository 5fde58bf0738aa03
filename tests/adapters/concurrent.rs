//! Many requests at once.

use crate::client::Adapter;
use crate::wire::{Server, answer};
use crate::world::{
    UNAUTHORIZED, World, client, minting, next_with, on_every_adapter, response, token_response,
};

/// Sends many requests, all of which get a 401 for the same token, some of them late.
async fn all_get_a_401(mut world: World, count: usize, late: usize) {
    let requests: Vec<_> = (0..count).map(|_| world.get()).collect();
    let mut waiting = Vec::new();
    for _ in 0..count {
        waiting.push(next_with(&mut world.api, "access-1").await);
    }
    let too_late = waiting.split_off(count - late);
    for exchange in waiting {
        exchange.answer(UNAUTHORIZED, &[], "").await;
    }
    let refresh = world.auth.next().await;
    assert_eq!(refresh.received.field("refresh_token").as_deref(), Some("refresh-1"));
    refresh.json(&token_response(2)).await;
    for _ in 0..count - late {
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
    assert_eq!(world.api.requests(), 2 * count, "one replay each");
}

// Rules E2, B3, B8.
async fn a_thousand_401s_for_one_token_cost_one_refresh_and_one_replay_each(on: Adapter) {
    all_get_a_401(World::new(on).await, 1000, 0).await;
}

// Rules E2, B3, B8.
async fn many_401s_before_and_after_the_refresh_cost_one_refresh(on: Adapter) {
    all_get_a_401(World::new(on).await, 200, 100).await;
}

// Rules E2, B3, C2.
async fn many_401s_cost_one_refresh_where_the_requests_themselves_drive_it(on: Adapter) {
    all_get_a_401(World::driven_by_callers(on).await, 200, 0).await;
}

// Rules E2, B3.
async fn several_clients_of_one_session_spend_one_refresh_token(on: Adapter) {
    // axios-auth-refresh#210: single-flight per client, not per credential.
    let mut world = World::new(on).await;
    let clients: Vec<_> = (0..5).map(|_| client(on, world.interceptor(), &world.spy)).collect();
    let requests: Vec<_> = clients.iter().map(|it| it.send(world.call("/things"))).collect();
    let mut waiting = Vec::new();
    for _ in 0..clients.len() {
        waiting.push(next_with(&mut world.api, "access-1").await);
    }
    for exchange in waiting {
        exchange.answer(UNAUTHORIZED, &[], "").await;
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
async fn the_401_of_another_sessions_token_takes_nothing_from_this_one(on: Adapter) {
    let api = Server::answering(|_| answer(UNAUTHORIZED, &[], "")).await;
    let one = World::of(on, minting().await, api);
    let other = World::with_api(on, |_| answer("200 OK", &[], "")).await;
    let token = one.session.token().await.expect("a token");
    assert_eq!(token.expose(), "access-1");
    other.session.reject(&token);
    assert_eq!(response(other.get()).await.0, 200);
    assert_eq!(other.bearers(), ["access-1"]);
    assert_eq!(other.auth.requests(), 0);
}

on_every_adapter!(
    a_thousand_401s_for_one_token_cost_one_refresh_and_one_replay_each,
    many_401s_before_and_after_the_refresh_cost_one_refresh,
    many_401s_cost_one_refresh_where_the_requests_themselves_drive_it,
    several_clients_of_one_session_spend_one_refresh_token,
    the_401_of_another_sessions_token_takes_nothing_from_this_one,
);
