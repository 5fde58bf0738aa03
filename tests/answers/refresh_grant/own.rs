//! Grants that need no login: the client's own (RFC 6749, section 4.4), and a program's.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use perennial::adapters::oauth2::ClientCredentials;
use perennial::adapters::ureq;
use perennial::lifecycle::Failure;
use perennial::refresh::{RefreshError, Request};
use perennial::session::{Builder, Session};
use perennial::testing::VirtualTime;
use perennial::time::Span;
use perennial::token::{AccessToken, Grant};
use perennial::wire::{Client, ClientAuthentication, ClientBuilder};

use crate::wire::scene::{START, told};
use crate::wire::{Server, answer, assert_mannered, soon};

const MINUTE: Duration = Duration::from_secs(60);

/// A server that gives tokens for a minute, numbered, and even a refresh token, which RFC 6749 says
/// it should not.
async fn server() -> Server {
    let number = AtomicUsize::new(0);
    Server::answering(move |_| {
        let number = 1 + number.fetch_add(1, Ordering::SeqCst);
        let body = format!(
            r#"{{"access_token":"own-{number}","refresh_token":"refresh-1","expires_in":60}}"#
        );
        answer("200 OK", &[], &body)
    })
    .await
}

fn client_of(server: &Server) -> ClientBuilder {
    Client::builder(server.url("/token"), "app")
        .client_secret("hush-client")
        .scope("read")
        .audience("https://api.example.com")
        .resource("https://one.example.com")
        .resource("https://two.example.com")
}

/// The same over both adapters.
fn builders(client: &Client) -> [(&'static str, Builder); 2] {
    let over_reqwest = ClientCredentials::new(client.clone()).expect("a runtime");
    [
        ("reqwest", Session::builder_with(over_reqwest)),
        ("ureq", Session::builder_blocking(ureq::client_credentials(client.clone()))),
    ]
}

async fn token(session: &Session) -> AccessToken {
    soon(session.token()).await.expect("a token")
}

// Rules E6, B6.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_client_asks_for_grants_of_its_own_and_never_presents_a_refresh_token() {
    let mut asked = Vec::new();
    for number in 0..2 {
        let server = server().await;
        let client = client_of(&server).build().expect("a client");
        let (name, builder) = builders(&client).into_iter().nth(number).expect("one of two");
        let time = VirtualTime::at(START);
        let session = builder
            .without_grant()
            .clock(time.clone())
            .without_jitter()
            .build()
            .expect("a session");
        let first = token(&session).await;
        assert_eq!(first.expose(), "own-1", "{name}");
        assert_eq!(first.expires_at(), Some(START.saturating_add(Span::from_secs(60))), "{name}");
        time.advance(MINUTE);
        assert_eq!(token(&session).await.expose(), "own-2", "{name}: it lapsed");
        session.reject(&token(&session).await);
        assert_eq!(token(&session).await.expose(), "own-3", "{name}: it was rejected");
        let log = server.log();
        assert_eq!(log.len(), 3, "{name}: {log:?}");
        for request in log {
            let header = request.headers("authorization");
            let basic = header[0].strip_prefix("Basic ").expect("basic");
            assert_eq!(STANDARD.decode(basic).expect("base64"), b"app:hush-client", "{name}");
            asked.push((request.line().to_owned(), request.body.clone()));
        }
    }
    asked.dedup();
    let body = "grant_type=client_credentials&scope=read&audience=https%3A%2F%2Fapi.example.com\
                &resource=https%3A%2F%2Fone.example.com&resource=https%3A%2F%2Ftwo.example.com";
    assert_eq!(asked, [("POST /token".to_owned(), body.to_owned())], "all alike, over both");
}

// Rule E6.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_client_that_authenticates_in_the_body_asks_in_the_body() {
    for number in 0..2 {
        let server = server().await;
        let client = Client::builder(server.url("/token"), "app")
            .client_secret("p%+ ")
            .client_authentication(ClientAuthentication::Post)
            .build()
            .expect("a client");
        let (name, builder) = builders(&client).into_iter().nth(number).expect("one of two");
        let session = builder.without_grant().build().expect("a session");
        assert_eq!(token(&session).await.expose(), "own-1", "{name}");
        let request = &server.log()[0];
        let expected = "grant_type=client_credentials&client_id=app&client_secret=p%25%2B+";
        assert_eq!(request.body, expected, "{name}");
        assert!(request.headers("authorization").is_empty(), "{name}");
    }
}

// Rules B6, G1. Case X2.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_client_that_is_refused_is_told_so_and_what_to_correct_and_recovers() {
    for number in 0..2 {
        let corrected = std::sync::Arc::new(AtomicBool::new(false));
        let is_correct = std::sync::Arc::clone(&corrected);
        let server = Server::answering(move |_| {
            if is_correct.load(Ordering::SeqCst) {
                return answer("200 OK", &[], r#"{"access_token":"own-1","expires_in":60}"#);
            }
            let challenge = [("www-authenticate", "Basic realm=\"hush-url\"")];
            answer("401 Unauthorized", &challenge, r#"{"error":"invalid_client"}"#)
        })
        .await;
        let client = client_of(&server).build().expect("a client");
        let (name, builder) = builders(&client).into_iter().nth(number).expect("one of two");
        let time = VirtualTime::at(START);
        let session = builder.without_grant().clock(time.clone()).build().expect("a session");
        let error = soon(session.token()).await.expect_err("refused");
        assert_mannered(&error);
        assert!(!error.is_login_required(), "{name}: {error:?}");
        let text = "the token endpoint at 127.0.0.1 answered 401 Unauthorized: invalid_client; \
                    check the client id, the client secret, and how the client authenticates";
        let misconfigured = Failure::Misconfigured { retry_after: None };
        assert_eq!(told(&error), (misconfigured, text.to_owned()), "{name}");
        for hour in 1..=48 {
            time.advance(MINUTE * 60);
            corrected.store(hour == 48, Ordering::SeqCst);
            let token = soon(session.token()).await;
            assert_eq!(token.is_ok(), hour == 48, "{name}: {token:?}");
        }
    }
}

// Rules B6, C7.
#[tokio::test]
async fn a_program_that_has_tokens_by_other_means_is_asked_for_them() {
    let asked = std::sync::Arc::new(AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&asked);
    let time = VirtualTime::at(START);
    // A metadata service, a helper program, a colleague on the phone.
    let ask = move |request: Request| {
        let number = 1 + count.fetch_add(1, Ordering::SeqCst);
        async move {
            assert!(request.refresh_token().is_none(), "there never was one");
            match number {
                3 => Err(RefreshError::declined("the colleague hung up")),
                _ => Ok(Grant::of_access_token(format!("told-{number}"), MINUTE)),
            }
        }
    };
    let session = Session::builder(ask).without_grant().clock(time.clone()).build();
    let session = session.expect("a session");
    assert_eq!(token(&session).await.expose(), "told-1");
    time.advance(MINUTE);
    assert_eq!(token(&session).await.expose(), "told-2");
    time.advance(MINUTE);
    assert!(soon(session.token()).await.expect_err("declined").is_login_required());
    assert!(soon(session.token()).await.expect_err("declined").is_login_required());
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}
