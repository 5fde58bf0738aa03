//! Before a request is sent.

use std::time::Duration;

use perennial::refresh::RefreshError;
use perennial::session::Session;
use perennial::testing::VirtualTime;
use perennial::token::Grant;

use crate::client::{Adapter, Client};
use crate::wire::scene::{HOUR, START};
use crate::wire::{SECRETS, Server, answer, soon};
use crate::world::{
    World, answered, failed, minting, next_with, on_every_adapter, response, token_response,
};

// Rule E1.
async fn a_request_carries_the_sessions_token_and_nothing_else_is_changed(on: Adapter) {
    let world = World::with_api(on, |_| answer("200 OK", &[], "done")).await;
    let call = world.call("/things?a=b").method(http::Method::POST);
    let call = call.header("x-mine", "1").whole("all");
    assert_eq!(response(world.send(call.clone())).await, (200, "done".to_owned()));
    assert_eq!(response(Client::bare(on).send(call)).await.0, 200);
    let log = world.api.log();
    assert_eq!(log[0].line(), "POST /things?a=b");
    assert_eq!((log[0].headers("x-mine"), log[0].body.as_str()), (vec!["1"], "all"));
    // Beside the one header, the server sees what the bare client sends.
    let (with, bare) = (&log[0].head, &log[1].head);
    let with = with.lines().map(str::to_lowercase);
    let mut with: Vec<_> = with.filter(|it| it != "authorization: bearer access-1").collect();
    let mut bare: Vec<_> = bare.lines().map(str::to_lowercase).collect();
    assert_eq!(log[0].headers("authorization"), ["Bearer access-1"]);
    with.sort();
    bare.sort();
    assert_eq!((with, &log[0].body), (bare, &log[1].body));
    assert_eq!((log.len(), world.auth.requests()), (2, 0));
}

// Rule E1.
async fn a_callers_own_authorization_is_left_alone_whatever_comes_of_it(on: Adapter) {
    for status in ["200 OK", "401 Unauthorized"] {
        let world = World::with_api(on, move |_| answer(status, &[], "as it is")).await;
        for own in ["Bearer access-1", "Basic b3duOm93bg==", ""] {
            let call = world.call("/things").header("authorization", own);
            let answered = answered(world.send(call)).await;
            assert!(answered.token.is_none(), "a token that was not sent: {:?}", answered.token);
            assert_eq!(soon(answered.text()).await.expect("a body"), "as it is");
            let log = world.api.log();
            assert_eq!(log.last().expect("a request").headers("authorization"), [own]);
        }
        assert_eq!((world.api.requests(), world.auth.requests()), (3, 0), "{status}");
        assert_eq!(world.holds().await, "access-1");
    }
}

// Rules E1, B2.
async fn a_lapsed_token_is_refreshed_before_the_request_is_sent(on: Adapter) {
    let world = World::with_api(on, |_| answer("200 OK", &[], "")).await;
    world.time.advance(HOUR);
    assert_eq!(response(world.get()).await.0, 200);
    assert_eq!(world.bearers(), ["access-2"]);
    assert_eq!(world.auth.requests(), 1);
}

// Rules E1, C7.
async fn a_token_that_is_due_is_sent_at_once_and_refreshed_meanwhile(on: Adapter) {
    let mut world = World::new(on).await;
    world.time.advance(Duration::from_secs(3301));
    let request = world.get();
    let refresh = world.auth.next().await;
    // Answered while the refresh is out: the request did not wait for it.
    next_with(&mut world.api, "access-1").await.answer("200 OK", &[], "").await;
    assert_eq!(response(request).await.0, 200);
    let changed = world.session.changed();
    refresh.json(&token_response(2)).await;
    soon(changed).await;
    let request = world.get();
    next_with(&mut world.api, "access-2").await.answer("200 OK", &[], "").await;
    assert_eq!(response(request).await.0, 200);
    assert_eq!(world.auth.requests(), 1);
}

// Rules G1, G2.
async fn the_header_is_marked_sensitive_on_the_request_and_on_its_replay(on: Adapter) {
    let world = World::liking_new_tokens(on).await;
    assert_eq!(response(world.get()).await.0, 200);
    let seen = world.spy.seen();
    assert_eq!(seen, ["Bearer access-1", "Bearer access-2"]);
    for value in seen {
        assert!(value.is_sensitive());
        assert!(!format!("{value:?}").contains("access"), "{value:?}");
    }
}

// Rules E2, B8.
async fn an_answers_extensions_hold_the_token_that_its_request_carried(on: Adapter) {
    let world = World::liking_new_tokens(on).await;
    let token = answered(world.get()).await.token.expect("a token");
    assert_eq!(token.expose(), "access-2");
    for secret in SECRETS {
        assert!(!format!("{token:?}").contains(secret));
    }
    // A program that finds an error in the body can say so.
    world.session.reject(&token);
    assert_eq!(answered(world.get()).await.token.expect("a token").expose(), "access-3");
}

// Rules E1, G1.
async fn a_token_that_no_header_may_carry_is_an_error_that_does_not_show_it(on: Adapter) {
    let session = Session::builder(|_| async {
        Ok::<_, RefreshError>(Grant::of_access_token("access-1\r\nx: hush-url", HOUR))
    });
    let session = session.without_grant().build().expect("a session");
    let api = Server::answering(|_| answer("200 OK", &[], "")).await;
    let world = World::with(on, minting().await, api, VirtualTime::at(START), session);
    let failed = failed(world.get()).await;
    assert!(failed.refused().is_some(), "{failed:?}");
    assert_eq!(world.api.requests(), 0);
}

on_every_adapter!(
    a_request_carries_the_sessions_token_and_nothing_else_is_changed,
    a_callers_own_authorization_is_left_alone_whatever_comes_of_it,
    a_lapsed_token_is_refreshed_before_the_request_is_sent,
    a_token_that_is_due_is_sent_at_once_and_refreshed_meanwhile,
    the_header_is_marked_sensitive_on_the_request_and_on_its_replay,
    an_answers_extensions_hold_the_token_that_its_request_carried,
    a_token_that_no_header_may_carry_is_an_error_that_does_not_show_it,
);
