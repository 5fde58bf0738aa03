//! Before a request is sent.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Extensions;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Request, Response};
use reqwest_middleware::{ClientBuilder, Middleware, Next};

use crate::wire::scene::HOUR;
use crate::wire::{Received, Server, answer, soon};
use crate::world::{World, anywhere, bearer, next_with, response, send, token_response};

// Rule E1.
#[tokio::test]
async fn a_request_carries_the_sessions_token_and_nothing_else_is_changed() {
    let world = World::with_api(|_| answer("200 OK", &[], "done")).await;
    let request = world.client.post(world.api.url("/things?a=b")).header("x-mine", "1").body("all");
    assert_eq!(response(send(request)).await, (200, "done".to_owned()));
    let log = world.api.log();
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].line(), "POST /things?a=b");
    assert_eq!(log[0].headers("authorization"), ["Bearer access-1"]);
    assert_eq!((log[0].headers("x-mine"), log[0].body.as_str()), (vec!["1"], "all"));
    assert_eq!(world.auth.requests(), 0);
}

// Rule E1.
#[tokio::test]
async fn a_callers_own_authorization_is_left_alone_whatever_comes_of_it() {
    for status in ["200 OK", "401 Unauthorized"] {
        let world = World::with_api(move |_| answer(status, &[], "as it is")).await;
        for own in ["Bearer access-1", "Basic b3duOm93bg==", ""] {
            let url = world.api.url("/things");
            let request = world.client.get(url).header(AUTHORIZATION, own);
            let (_, body) = response(send(request)).await;
            assert_eq!(body, "as it is");
            let log = world.api.log();
            assert_eq!(log.last().expect("a request").headers("authorization"), [own]);
        }
        assert_eq!((world.api.requests(), world.auth.requests()), (3, 0), "{status}");
        assert_eq!(soon(world.session.token()).await.expect("a token").expose(), "access-1");
    }
}

// Rules E1, B2.
#[tokio::test]
async fn a_lapsed_token_is_refreshed_before_the_request_is_sent() {
    let world = World::with_api(|_| answer("200 OK", &[], "")).await;
    world.time.advance(HOUR);
    assert_eq!(response(world.get()).await.0, 200);
    let log = world.api.log();
    assert_eq!(log.iter().map(Received::bearer).collect::<Vec<_>>(), ["access-2"]);
    assert_eq!(world.auth.requests(), 1);
}

// Rules E1, C7.
#[tokio::test]
async fn a_token_that_is_due_is_sent_at_once_and_refreshed_meanwhile() {
    let mut world = World::new().await;
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

/// Looks at the requests that come down to it.
#[derive(Clone, Default)]
struct Spy(Arc<Mutex<Vec<HeaderValue>>>);

#[async_trait::async_trait]
impl Middleware for Spy {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let value = request.headers()[AUTHORIZATION].clone();
        self.0.lock().expect("a spy").push(value);
        next.run(request, extensions).await
    }
}

// Rules G1, G2.
#[tokio::test]
async fn the_header_is_marked_sensitive_on_the_request_and_on_its_replay() {
    let world = World::with_api(|request| match request.bearer() {
        "access-1" => answer("401 Unauthorized", &[], ""),
        _ => answer("200 OK", &[], ""),
    })
    .await;
    let spy = Spy::default();
    let middleware = bearer(anywhere(&world.session));
    assert!(!format!("{middleware:?}").contains("access-1"));
    let client =
        ClientBuilder::new(reqwest::Client::new()).with(middleware).with(spy.clone()).build();
    soon(client.get(world.api.url("/things")).send()).await.expect("a response");
    let seen = spy.0.lock().expect("a spy").clone();
    assert_eq!(seen.len(), 2);
    for value in seen {
        assert!(value.is_sensitive());
        assert!(!format!("{value:?}").contains("access"), "{value:?}");
    }
}

// Rules E6, G2.
#[tokio::test]
async fn a_redirect_to_another_host_does_not_take_the_token_along() {
    let elsewhere = Server::answering(|_| answer("200 OK", &[], "elsewhere")).await;
    let location = elsewhere.url("/things");
    let world =
        World::with_api(move |_| answer("307 Temporary Redirect", &[("location", &location)], ""));
    let world = world.await;
    assert_eq!(response(world.get()).await, (200, "elsewhere".to_owned()));
    assert_eq!(world.api.log()[0].bearer(), "access-1");
    assert_eq!(elsewhere.log()[0].bearer(), "no authorization");
}
