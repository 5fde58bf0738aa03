//! Answers that were sent, and say nothing that can be relied upon: unknown (rule B6).

use std::time::Duration;

use perennial::lifecycle::{Failure, State};
use perennial::testing::VirtualTime;
use perennial::token::Grant;
use perennial::wire::Client;
use tokio::net::TcpListener;

use crate::wire::scene::{
    HOUR, START, Scene, builder, mends_after, refresher, token_of, told, where_there_is_no_token,
};
use crate::wire::{Exchange, GOOD, Server, assert_mannered, soon};

fn ok(content_type: &str, body: &str) -> String {
    crate::wire::answer("200 OK", &[("content-type", content_type)], body)
}

/// An answer that comes in part, after which the connection is closed.
async fn cut(mut exchange: Exchange, answer: &str, at: usize) {
    let _ = exchange.write(&answer.as_bytes()[..at]).await;
}

// Rules B5, B6, G1.
#[tokio::test]
async fn a_login_page_for_an_answer_is_unknown_and_costs_nothing() {
    let error = mends_after(
        async |exchange| {
            let page = "<html>Sign in, hush-url</html>";
            exchange.answer("200 OK", &[("content-type", "text/html; charset=utf-8")], page).await;
        },
        "refresh-1",
    );
    let (failure, text) = told(&error.await);
    assert_eq!(failure, Failure::Unknown);
    assert_eq!(text, "the response is not a token response: 30 bytes of text/html");
}

// Rules B5, B6.
#[tokio::test]
async fn what_is_json_and_no_token_response_is_unknown_and_costs_nothing() {
    let bodies = ["", "null", "3600", "\"access-2\"", "{}", "[]", r#"["access-2","refresh-2"]"#];
    for body in bodies {
        let error = mends_after(async |exchange| exchange.json(body).await, "refresh-1").await;
        assert_eq!(told(&error).0, Failure::Unknown, "{body}: {error:?}");
    }
}

// Rules B5, B6.
#[tokio::test]
async fn an_answer_without_a_body_is_unknown_and_costs_nothing() {
    for status in ["200 OK", "204 No Content"] {
        let bad = async |exchange: Exchange| exchange.answer(status, &[], "").await;
        let (failure, text) = told(&mends_after(bad, "refresh-1").await);
        assert_eq!(failure, Failure::Unknown);
        assert_eq!(text, "the response is not a token response: 0 bytes of no content type");
    }
}

// Rules B6, B14.
#[tokio::test]
async fn a_refresh_token_that_came_whole_is_kept_however_the_answer_goes_on() {
    let first = r#"{"refresh_token":"refresh-2","access_token":"acc"#;
    let endless = format!("{first}{}", "x".repeat(2 << 20));
    for body in [first, r#"{"refresh_token":"refresh-2""#, r#"{"refresh_token":"refresh-2",]"#] {
        let bad = async |exchange: Exchange| exchange.json(body).await;
        let error = mends_after(bad, "refresh-2").await;
        assert_eq!(error.to_string(), "the token response contained no usable access token");
    }
    // Closed in the middle, and larger than is read.
    let whole = ok("application/json", GOOD);
    let at = whole.find(",\"expires_in").expect("the lifetime");
    mends_after(async |exchange| cut(exchange, &whole, at).await, "refresh-2").await;
    mends_after(async |exchange| exchange.json(&endless).await, "refresh-2").await;
}

// Rules B5, B6.
#[tokio::test]
async fn an_answer_cut_short_before_its_refresh_token_is_unknown_and_costs_nothing() {
    let whole = ok("application/json", GOOD);
    let body = whole.find('{').expect("a body");
    let token = whole.find("refresh-2").expect("the token") + 4;
    for at in [0, 5, body, body + 20, token] {
        let error =
            mends_after(async |exchange| cut(exchange, &whole, at).await, "refresh-1").await;
        assert_eq!(told(&error).0, Failure::Unknown, "cut at {at}: {error:?}");
    }
    let (failure, text) = told(
        &mends_after(async |exchange| exchange.json(&GOOD[..token - body]).await, "refresh-1")
            .await,
    );
    assert_eq!(failure, Failure::Unknown);
    assert!(text.starts_with("the response is not a token response"), "{text}");
}

// Rules B5, B6.
#[tokio::test]
async fn a_connection_reset_after_the_request_was_read_is_unknown_and_costs_nothing() {
    let error = mends_after(async |exchange| exchange.reset(), "refresh-1").await;
    let (failure, text) = told(&error);
    assert_eq!(failure, Failure::Unknown);
    assert_eq!(text, "the token request was sent, and then broke off");
}

// Rules B5, B6.
#[tokio::test]
async fn a_connection_reset_before_the_request_was_read_is_unknown_all_the_same() {
    // The client cannot tell it apart from one that was read.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let time = VirtualTime::at(START);
    let refresher = refresher(Client::builder(format!("http://{address}/token"), "app"));
    let session = builder(refresher, &time)
        .grant(Grant::of_refresh_token("refresh-1"))
        .build()
        .expect("a session");
    let caller = tokio::spawn(token_of(&session));
    let (socket, _) = soon(listener.accept()).await.expect("a connection");
    soon(socket.peek(&mut [0])).await.expect("a request");
    socket.set_zero_linger().expect("a socket that can be reset");
    drop(socket);
    let error = soon(caller).await.expect("a caller").expect_err("a reset");
    assert_mannered(&error);
    assert!(error.is_unavailable() && !error.is_login_required(), "{error:?}");
    assert_eq!(told(&error).0, Failure::Unknown);
    let mut scene = Scene { server: Server::on(listener, None), time, session };
    scene.recovers("refresh-1").await;
    assert_eq!(scene.server.requests(), 1);
}

// Rule B6.
#[tokio::test]
async fn after_an_unknown_outcome_nothing_is_sent_while_the_old_token_works() {
    let mut scene = crate::wire::scene::while_the_old_token_works(
        async |exchange| exchange.reset(),
        "refresh-1",
    )
    .await;
    for _ in 0..20 {
        scene.time.advance(Duration::from_secs(10));
        assert_eq!(scene.token().await.expose(), "access-1");
        assert_eq!(scene.session.state(), State::Expiring, "no refresh is out");
    }
    scene.recovers("refresh-1").await;
    assert_eq!(scene.server.requests(), 2);
}

// Rule B6. Case X51.
#[tokio::test]
async fn ten_unknown_outcomes_in_a_row_are_no_logout() {
    let (mut scene, _) = where_there_is_no_token(async |it| it.reset(), "refresh-1").await;
    for number in 0..10 {
        scene.time.advance(HOUR);
        let cut =
            async |it: Exchange| if number % 2 == 0 { it.reset() } else { it.json("{").await };
        let error = scene.refresh(cut).await.expect_err("unknown again");
        assert!(error.is_unavailable() && !error.is_login_required(), "{error:?}");
        assert_mannered(&error);
    }
    scene.time.advance(HOUR);
    let token = scene.refresh(async |it| it.json(GOOD).await).await.expect("it recovers");
    assert_eq!(token.expose(), "access-2");
    soon(scene.session.close()).await.expect("nothing in the air");
}

// Rules B6, E6.
#[tokio::test]
async fn an_answer_without_end_is_dropped_at_the_limit() {
    let written = std::cell::Cell::new(0_usize);
    let flood = async |mut exchange: Exchange| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
        let head = format!("{head}content-length: 1073741824\r\n\r\n{{\"access_token\":\"");
        exchange.write(head.as_bytes()).await.expect("a client that listens");
        let chunk = vec![b'x'; 1 << 16];
        let mut sent = 0;
        // Ends when the client hangs up; nothing else ends it before a gigabyte.
        while exchange.write(&chunk).await.is_ok() {
            sent += chunk.len();
            assert!(sent < 1 << 29, "the client reads on and on");
        }
        written.set(sent);
    };
    let (failure, text) = told(&mends_after(flood, "refresh-1").await);
    assert_eq!(failure, Failure::Unknown);
    assert_eq!(text, "the response is larger than 1048576 bytes");
    // What was written and not read lies in the sockets' buffers.
    assert!(written.get() < 32 << 20, "{} bytes", written.get());
}

// Rule A4.
#[tokio::test]
async fn an_answer_in_single_bytes_is_an_answer() {
    let mut scene = Scene::without_token().await;
    let token = scene.refresh(async |mut exchange| {
        for byte in ok("application/json", GOOD).bytes() {
            exchange.write(&[byte]).await.expect("a client that listens");
        }
    });
    assert_eq!(token.await.expect("a token").expose(), "access-2");
}

// Rules B13, B14.
#[tokio::test]
async fn an_answer_of_a_byte_a_second_ends_at_the_deadline_and_still_counts_at_its_end() {
    let mut scene = Scene::without_token().await;
    let caller = tokio::spawn(token_of(&scene.session));
    let mut exchange = scene.server.next().await;
    let whole = ok("application/json", GOOD);
    let (before, after) = whole.as_bytes().split_at(30);
    for byte in before {
        assert!(!caller.is_finished(), "before its deadline");
        exchange.write(&[*byte]).await.expect("a client that listens");
        scene.time.advance(Duration::from_secs(1));
    }
    let error = soon(caller).await.expect("a caller").expect_err("a deadline");
    assert_eq!(error.to_string(), "the refresh was sent, but its outcome is unknown");
    assert_mannered(&error);
    // The connection is open still, and what comes late is kept.
    let changed = scene.session.changed();
    exchange.write(after).await.expect("a client that listens");
    soon(changed).await;
    assert_eq!(scene.token().await.expose(), "access-2");
    assert_eq!(scene.held(), "refresh-2");
    assert_eq!(scene.server.requests(), 1);
}
