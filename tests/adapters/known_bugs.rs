//! What went wrong in other libraries, each named after what must hold here, and looked at from
//! where a caller stands. Others of them stand beside what they belong to.

use std::time::Duration;

use perennial::session::Session;
use perennial::testing::{Response, Scripted, VirtualTime};

use crate::client::Adapter;
use crate::wire::scene::{HOUR, START, in_virtual_time};
use crate::wire::{Server, answer, soon};
use crate::world::{
    World, logged_in, minting, next_with, on_every_adapter, refusal, response, token_response,
};

// Rules C5, C3.
async fn a_refresh_that_panics_fails_its_own_requests_and_the_next_one_runs(on: Adapter) {
    // ktor#3599: a refresh callback throws, and the next refresh waits for ever.
    let refresher = Scripted::new().then(Response::Panic);
    let time = VirtualTime::at(START);
    let session = in_virtual_time(Session::builder_with(refresher.clone()), &time);
    let session = session.grant(logged_in()).build().expect("a session");
    let api = Server::answering(|_| answer("200 OK", &[], "")).await;
    let world = World::with(on, minting().await, api, time, session);
    world.time.advance(HOUR);
    let requests: Vec<_> = (0..5).map(|_| world.get()).collect();
    for request in requests {
        let error = refusal(request).await;
        assert!(error.is_unavailable() && !error.is_login_required(), "{error:?}");
    }
    world.time.advance(HOUR);
    assert_eq!(response(world.get()).await.0, 200);
    assert_eq!((world.bearers(), refresher.requests()), (vec!["at-3".to_owned()], 2));
}

// Rules B7, B3.
async fn requests_that_wait_for_a_refresh_that_fails_make_one_try_of_it(on: Adapter) {
    // aws-smithy's lazy cache, azure_core: N waiters after a failure make N serial tries.
    let mut world = World::new(on).await;
    world.time.advance(HOUR);
    let requests: Vec<_> = (0..50).map(|_| world.get()).collect();
    world.auth.next().await.answer("503 Service Unavailable", &[], "").await;
    for request in requests {
        assert!(refusal(request).await.is_unavailable());
    }
    assert_eq!((world.auth.requests(), world.api.requests()), (1, 0));
}

// Rules B1, B5.
async fn an_issuer_that_hands_out_its_cached_token_is_not_asked_on_every_request(on: Adapter) {
    // arrow-rs#6625: a window of 300 s against an issuer that hands out the same token.
    let auth = Server::answering(|_| {
        answer("200 OK", &[], r#"{"access_token":"access-1","expires_in":250}"#)
    });
    let api = Server::answering(|_| answer("200 OK", &[], "")).await;
    let world = World::of(on, auth.await, api);
    world.time.advance(Duration::from_secs(3350));
    let changed = world.session.changed();
    assert_eq!(response(world.get()).await.0, 200);
    soon(changed).await;
    for _ in 0..100 {
        assert_eq!(response(world.get()).await.0, 200);
    }
    assert_eq!(world.auth.requests(), 1);
}

// Rule B1.
async fn tokens_of_a_minute_are_not_refreshed_on_every_request(on: Adapter) {
    // google-cloud-rust#6678: a busy loop on short tokens.
    let auth = Server::answering(|_| {
        answer("200 OK", &[], r#"{"access_token":"access-2","expires_in":60}"#)
    });
    let api = Server::answering(|_| answer("200 OK", &[], "")).await;
    let world = World::of(on, auth.await, api);
    world.time.advance(HOUR);
    for _ in 0..29 {
        assert_eq!(response(world.get()).await.0, 200);
        world.time.advance(Duration::from_secs(1));
    }
    assert_eq!(world.auth.requests(), 1);
}

// Rules B11, B4.
async fn a_logout_during_a_refresh_is_final_for_requests_that_wait_and_for_later_ones(on: Adapter) {
    // MSAL.NET#1070: logged out during a refresh, the tokens reappear.
    let mut world = World::new(on).await;
    world.time.advance(HOUR);
    let request = world.get();
    let refresh = world.auth.next().await;
    soon(world.session.logout()).await.expect("a logout");
    refresh.json(&token_response(2)).await;
    assert!(refusal(request).await.is_login_required());
    for _ in 0..5 {
        assert!(refusal(world.get()).await.is_login_required());
        world.time.advance(Duration::from_secs(60));
    }
    assert_eq!((world.auth.requests(), world.api.requests()), (1, 0));
}

// Rules B5, C7, E1.
async fn a_refresh_that_never_answers_keeps_no_request_from_a_token_that_works(on: Adapter) {
    // golang/oauth2#388, azure-sdk-for-net#45351: a refresh that hangs, and all that wait for it.
    let mut world = World::new(on).await;
    world.time.advance(Duration::from_secs(3301));
    let first = world.get();
    let hanging = world.auth.next().await;
    next_with(&mut world.api, "access-1").await.answer("200 OK", &[], "").await;
    assert_eq!(response(first).await.0, 200);
    for _ in 0..20 {
        let request = world.get();
        next_with(&mut world.api, "access-1").await.answer("200 OK", &[], "").await;
        assert_eq!(response(request).await.0, 200);
    }
    assert_eq!(world.auth.requests(), 1);
    drop(hanging);
}

on_every_adapter!(
    a_refresh_that_panics_fails_its_own_requests_and_the_next_one_runs,
    requests_that_wait_for_a_refresh_that_fails_make_one_try_of_it,
    an_issuer_that_hands_out_its_cached_token_is_not_asked_on_every_request,
    tokens_of_a_minute_are_not_refreshed_on_every_request,
    a_logout_during_a_refresh_is_final_for_requests_that_wait_and_for_later_ones,
    a_refresh_that_never_answers_keeps_no_request_from_a_token_that_works,
);
