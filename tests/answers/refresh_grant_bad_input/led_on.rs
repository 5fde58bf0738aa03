//! A token endpoint that redirects, whoever made the HTTP client.

use perennial::adapters::oauth2::{ClientCredentials, RefreshGrant};
use perennial::adapters::ureq as over_ureq;
use perennial::lifecycle::Failure;
use perennial::session::{Builder, Session};
use perennial::token::{Grant, Secret};
use perennial::wire::Client;
use ureq::middleware::MiddlewareNext;
use ureq::{Agent, SendBody};

use crate::wire::scene::told;
use crate::wire::{Server, assert_mannered, soon};

/// Sessions whose HTTP clients were made to follow redirects.
fn that_follow(client: &Client) -> [(&'static str, Builder); 4] {
    let http = || reqwest::Client::builder().redirect(reqwest::redirect::Policy::limited(10));
    let refresher = RefreshGrant::new(client.clone()).expect("a refresher");
    let refresher = refresher.http_client(http).expect("a client");
    let own = ClientCredentials::new(client.clone()).expect("a refresher");
    let own = own.http_client(http).expect("a client");
    let agent: Agent = Agent::config_builder().max_redirects(10).build().into();
    let through = over_ureq::refresh_grant_through(client.clone(), agent);
    [
        ("reqwest", Session::builder_with(refresher).grant(presented())),
        ("reqwest, for itself", Session::builder_with(own).without_grant()),
        (
            "ureq",
            Session::builder_blocking(over_ureq::refresh_grant(client.clone())).grant(presented()),
        ),
        ("ureq, an agent's", Session::builder_blocking(through).grant(presented())),
    ]
}

fn presented() -> Grant {
    Grant::of_refresh_token("refresh-1")
}

async fn good() -> Server {
    Server::answering(|_| crate::wire::answer("200 OK", &[], crate::wire::GOOD)).await
}

// Rules E6, G1. Case X19.
#[tokio::test]
async fn a_redirect_is_followed_by_no_client_whoever_made_it_and_the_error_says_where_it_leads() {
    let elsewhere = good().await;
    for status in ["307 Temporary Redirect", "308 Permanent Redirect", "302 Found"] {
        let location = elsewhere.url("/token?hush-url");
        let server = Server::answering(move |_| {
            crate::wire::answer(status, &[("location", &location)], crate::wire::GOOD)
        });
        let server = server.await;
        let client = Client::builder(server.url("/token"), "app").client_secret("hush-client");
        let client = client.build().expect("a client");
        for (name, builder) in that_follow(&client) {
            let session = builder.build().expect("a session");
            let error = soon(session.token()).await.expect_err("no redirect is followed");
            assert_mannered(&error);
            let (failure, text) = told(&error);
            assert!(matches!(failure, Failure::Unavailable { .. }), "{name}: {failure:?}");
            let moved = format!("its URL has moved to {}", elsewhere.url(""));
            assert!(text.contains(&moved), "{name}: {text}");
            if let Some(token) = session.grant().and_then(|it| it.refresh_token().cloned()) {
                assert_eq!(Secret::expose(&token), "refresh-1", "{name}");
            }
        }
        assert_eq!(elsewhere.requests(), 0);
    }
}

// Rules E6, B6. Case X19.
#[tokio::test]
async fn the_answer_to_a_request_that_a_middleware_made_of_it_is_not_taken() {
    let elsewhere = good().await;
    let url: http::Uri = elsewhere.url("/token").parse().expect("a URL");
    let lead_on = move |mut request: http::Request<SendBody<'_>>, next: MiddlewareNext<'_>| {
        *request.uri_mut() = url.clone();
        next.handle(request)
    };
    let agent: Agent = Agent::config_builder().middleware(lead_on).build().into();
    let server = good().await;
    let client = Client::builder(server.url("/token"), "app").build().expect("a client");
    let session = Session::builder_blocking(over_ureq::refresh_grant_through(client, agent));
    let session = session.grant(presented()).build().expect("a session");
    let error = soon(session.token()).await.expect_err("nobody's word");
    assert_mannered(&error);
    let (failure, text) = told(&error);
    assert_eq!(failure, Failure::Unknown, "the token was sent: {text}");
    assert!(text.contains("redirected to another URL"), "{text}");
}
