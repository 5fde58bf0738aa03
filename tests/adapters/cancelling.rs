//! Callers that go away. A blocking request cannot be cancelled.

use crate::client::Adapter;
use crate::wire::soon;
use crate::world::{UNAUTHORIZED, World, next_with, response, token_response};

// Rules E2, C4.
async fn a_request_that_is_cancelled_in_its_refresh_costs_nobody_the_new_token(on: Adapter) {
    // ktor#5193, teamclaude-rs#325: the cancelled request's refresh had rotated the token, and
    // dropped it.
    let mut world = World::new(on).await;
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

// Rules E2, C4, C7.
async fn a_request_that_is_cancelled_where_callers_drive_leaves_its_refresh_to_the_next(
    on: Adapter,
) {
    // Azure's net SDK #45351, milvus' talon#162: whoever leads is cancelled, and the others hang.
    let mut world = World::driven_by_callers(on).await;
    let request = world.get();
    next_with(&mut world.api, "access-1").await.answer(UNAUTHORIZED, &[], "").await;
    let refresh = world.auth.next().await;
    let waiting = world.get();
    request.abort();
    assert!(soon(request).await.expect_err("cancelled").is_cancelled());
    refresh.json(&token_response(2)).await;
    next_with(&mut world.api, "access-2").await.answer("200 OK", &[], "").await;
    assert_eq!(response(waiting).await.0, 200);
    assert_eq!((world.auth.requests(), world.api.requests()), (1, 2));
}

macro_rules! on_async_adapters {
    ($($scenario:ident),+ $(,)?) => {
        mod on_reqwest {
            $(#[test] fn $scenario() { crate::world::run(super::$scenario(super::Adapter::Reqwest)); })+
        }
        mod on_tower {
            $(#[test] fn $scenario() { crate::world::run(super::$scenario(super::Adapter::Tower)); })+
        }
    };
}

on_async_adapters!(
    a_request_that_is_cancelled_in_its_refresh_costs_nobody_the_new_token,
    a_request_that_is_cancelled_where_callers_drive_leaves_its_refresh_to_the_next,
);
