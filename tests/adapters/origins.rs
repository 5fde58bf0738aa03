//! Where a token goes, and where it does not.

use perennial::interceptor::{Interceptor, Refused};

use crate::client::{Adapter, Call, Client};
use crate::wire::{Received, Server, answer};
use crate::world::{UNAUTHORIZED, World, answered, on_every_adapter, response};

const MOVED: &str = "307 Temporary Redirect";

// Rule E5.
async fn a_foreign_origin_gets_no_token_and_its_401_rejects_nothing(on: Adapter) {
    let world = World::with_api(on, |_| answer("200 OK", &[], "")).await;
    // The same host, and another port.
    let foreign = Server::answering(|_| answer(UNAUTHORIZED, &[], "not yours")).await;
    let request = world.send(Call::get(foreign.url("/things")));
    assert_eq!(response(request).await, (401, "not yours".to_owned()));
    assert_eq!(foreign.log()[0].bearer(), "no authorization");
    assert_eq!((foreign.requests(), world.auth.requests()), (1, 0));
    assert_eq!(world.holds().await, "access-1");
}

// Rule E5.
async fn a_redirect_to_another_origin_drops_the_token_and_a_401_there_rejects_nothing(on: Adapter) {
    for status in ["200 OK", UNAUTHORIZED] {
        let elsewhere = Server::answering(move |_| answer(status, &[], "elsewhere")).await;
        let location = elsewhere.url("/things");
        let world = World::with_api(on, move |_| answer(MOVED, &[("location", &location)], ""));
        let world = world.await;
        assert_eq!(response(world.get()).await.1, "elsewhere");
        assert_eq!(elsewhere.log()[0].bearer(), "no authorization", "{status}");
        assert_eq!(world.bearers(), ["access-1"]);
        assert_eq!((elsewhere.requests(), world.auth.requests()), (1, 0), "{status}");
        assert_eq!(world.holds().await, "access-1");
    }
}

/// A resource server that has moved within its origin, and likes `token`.
fn moved(request: &Received, token: &str) -> String {
    match (request.line(), request.bearer()) {
        ("GET /things", _) => answer(MOVED, &[("location", "/moved")], ""),
        ("GET /moved", bearer) if bearer == token => answer("200 OK", &[], "moved"),
        _ => answer(UNAUTHORIZED, &[], ""),
    }
}

// Rules E1, E5.
async fn a_redirect_within_the_origin_arrives_with_the_token(on: Adapter) {
    let world = World::with_api(on, |request| moved(request, "access-1")).await;
    for _ in 0..2 {
        assert_eq!(response(world.get()).await, (200, "moved".to_owned()));
    }
    assert_eq!(world.auth.requests(), 0);
}

// Rules E2, E5.
async fn a_token_that_is_rejected_behind_a_redirect_within_the_origin_is_replaced(on: Adapter) {
    let world = World::with_api(on, |request| moved(request, "access-2")).await;
    assert_eq!(response(world.get()).await, (200, "moved".to_owned()));
    assert_eq!(world.auth.requests(), 1);
}

// Rule E5.
async fn plain_http_beyond_this_machine_is_refused_before_anything_is_sent(on: Adapter) {
    let world = World::with_api(on, |_| answer("200 OK", &[], "")).await;
    let anywhere = Interceptor::builder(world.session.clone()).any_origin();
    let world = world.intercepted_by(anywhere);
    // A name that never resolves (RFC 6761, section 6.4), and an address for documentation alone.
    for url in ["http://api.invalid/things", "http://192.0.2.1:8080/things"] {
        let failed = crate::world::failed(world.send(Call::get(url))).await;
        match failed.refused() {
            Some(Refused::PlainHttp(origin)) => {
                assert!(url.starts_with(origin.to_string().trim_end_matches(":80")));
            }
            other => panic!("{url}: {other:?} {failed:?}"),
        }
    }
    assert!(world.spy.seen().is_empty(), "it was handed on");
    assert_eq!(world.auth.requests(), 0);
}

// Rule E6.
async fn a_refresh_does_not_pass_through_the_interceptor_that_waits_for_it(on: Adapter) {
    // The token endpoint is within the interceptor's origins, and rejects whatever has a token.
    let world = World::liking_new_tokens(on).await;
    let anywhere = Interceptor::builder(world.session.clone()).any_origin();
    let world = world.intercepted_by(anywhere);
    assert_eq!(response(world.get()).await.0, 200);
    let log = world.auth.log();
    assert_eq!(log.len(), 1);
    assert!(log[0].headers("authorization").is_empty(), "{}", log[0].head);
}

// Rule E5.
async fn an_answer_is_what_the_bare_client_gets_where_no_token_goes(on: Adapter) {
    let world = World::with_api(on, |_| answer("200 OK", &[], "")).await;
    let foreign = Server::answering(|it| answer("200 OK", &[], &it.head.to_lowercase())).await;
    let call = Call::get(foreign.url("/things"));
    let with = answered(world.send(call.clone())).await;
    assert!(with.token.is_none());
    let with = with.text().await.expect("a body");
    let bare = response(Client::bare(on).send(call)).await.1;
    assert_eq!(with, bare);
}

on_every_adapter!(
    a_foreign_origin_gets_no_token_and_its_401_rejects_nothing,
    a_redirect_to_another_origin_drops_the_token_and_a_401_there_rejects_nothing,
    a_redirect_within_the_origin_arrives_with_the_token,
    a_token_that_is_rejected_behind_a_redirect_within_the_origin_is_replaced,
    plain_http_beyond_this_machine_is_refused_before_anything_is_sent,
    a_refresh_does_not_pass_through_the_interceptor_that_waits_for_it,
    an_answer_is_what_the_bare_client_gets_where_no_token_goes,
);
