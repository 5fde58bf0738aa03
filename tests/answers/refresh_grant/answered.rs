//! What is read from the answer, and when it counts.

use std::time::Duration;

use perennial::lifecycle::Failure;
use perennial::session::Session;
use perennial::time::{Span, Timestamp};
use perennial::token::{Grant, Secret};
use perennial::wire::{Client, read_response};

use crate::wire::scene::{HOUR, START, Scene, builder, client_of, refresher, token_of, told};
use crate::wire::{GOOD, Server, answer, soon};

/// When the token expires that `body` brings, in seconds from the request.
async fn expires_after(headers: &[(&str, &str)], body: &str) -> i64 {
    let mut scene = Scene::without_token().await;
    let token = scene.refresh(async |exchange| exchange.answer("200 OK", headers, body).await);
    let expires = token.await.expect("a token").expires_at().expect("an expiry");
    (expires.as_millis() - START.as_millis()) / 1000
}

// Rule A3.
#[tokio::test]
async fn a_relative_lifetime_beats_an_absolute_one() {
    let headers = [("date", "Wed, 21 Oct 2015 07:28:00 GMT")];
    let body = r#"{"access_token":"access-2","expires_in":600,"expires_at":1445412490}"#;
    assert_eq!(expires_after(&headers, body).await, 600);
}

// Rule A3.
#[tokio::test]
async fn an_absolute_expiry_is_counted_by_the_clock_of_the_answer() {
    // 2015-10-21T07:28:00Z is 1445412480: years before this session's clock, and years after.
    let body = |expires: &str| format!(r#"{{"access_token":"access-2","expires_at":{expires}}}"#);
    let date = [("date", "Wed, 21 Oct 2015 07:28:00 GMT")];
    assert_eq!(expires_after(&date, &body("1445413080")).await, 600);
    assert_eq!(expires_after(&date, &body("\"1445413080\"")).await, 600);
    let date = [("date", "Fri, 21 Oct 2050 07:28:00 GMT")];
    assert_eq!(expires_after(&date, &body("2549950680")).await, 600);
    // Without a date the local wall clock stands in.
    assert_eq!(expires_after(&[], &body("1700000600")).await, 600);
    assert_eq!(expires_after(&[("date", "today")], &body("1700000600")).await, 600);
}

// Rule A4.
#[tokio::test]
async fn an_expiry_beyond_the_year_9999_is_taken_for_what_it_is() {
    let after = expires_after(&[], r#"{"access_token":"access-2","expires_at":253402300800}"#);
    assert_eq!(after.await, 253_402_300_800 - 1_700_000_000);
    let forever = expires_after(&[], r#"{"access_token":"access-2","expires_at":1e300}"#).await;
    assert_eq!(forever, (i64::MAX - START.as_millis()) / 1000);
}

// Rule B1.
#[tokio::test]
async fn the_servers_hint_says_when_to_refresh() {
    let mut scene = Scene::without_token().await;
    let body = r#"{"access_token":"access-1","expires_in":7200,"refresh_in":"4000"}"#;
    let token = scene.refresh(async |exchange| exchange.json(body).await).await;
    assert_eq!(token.expect("a token").expose(), "access-1");
    scene.time.advance(Duration::from_secs(3999));
    scene.token().await;
    soon(scene.session.close()).await.expect("nothing in the air");
    assert_eq!(scene.server.requests(), 1, "a second too early");
    scene.time.advance(Duration::from_secs(1));
    let changed = scene.session.changed();
    assert_eq!(scene.token().await.expose(), "access-1", "nobody waits");
    scene.server.next().await.json(GOOD).await;
    soon(changed).await;
    assert_eq!(scene.token().await.expose(), "access-2");
}

// Rule B14.
#[tokio::test]
async fn the_further_fields_of_an_answer_are_kept_until_another_answer_says_otherwise() {
    let mut scene = Scene::without_token().await;
    let field = |scene: &Scene, name: &str| {
        let grant = scene.session.grant().expect("a grant");
        grant.field(name).map(Secret::expose).map(str::to_owned)
    };
    for (body, scope, id_token) in [
        (r#"{"access_token":"a","expires_in":60,"scope":"read","id_token":"one"}"#, "read", "one"),
        (r#"{"access_token":"b","expires_in":60,"id_token":"two"}"#, "read", "two"),
        (r#"{"access_token":"c","expires_in":60,"scope":null,"id_token":7}"#, "read", "two"),
        (r#"{"access_token":"d","expires_in":60,"scope":"write"}"#, "write", "two"),
    ] {
        scene.refresh(async |exchange| exchange.json(body).await).await.expect("a token");
        assert_eq!(field(&scene, "scope").as_deref(), Some(scope), "{body}");
        assert_eq!(field(&scene, "id_token").as_deref(), Some(id_token), "{body}");
        scene.time.advance(HOUR);
    }
}

/// When the refresh token of an answer with `body` is over, by an answer of 2015-10-21T07:28:00Z.
fn refresh_token_is_over_after(body: &str) -> Option<i64> {
    let headers = [("date", &b"Wed, 21 Oct 2015 07:28:00 GMT"[..])];
    let grant = read_response(200, headers, body.as_bytes()).expect("a grant");
    grant.refresh_token_expires_at().map(|over| over.as_millis() / 1000 - 1_445_412_480)
}

// Rule B14.
#[test]
fn a_refresh_tokens_lifetime_is_told_under_whichever_name_it_came() {
    let over = |field: &str| {
        let tokens = r#""access_token":"a","refresh_token":"r","expires_in":60"#;
        refresh_token_is_over_after(&format!("{{{tokens},{field}}}"))
    };
    // Keycloak, whose zero means that an offline token has no end; GitHub; Azure AD B2C.
    assert_eq!(over(r#""refresh_expires_in":1800"#), Some(1800));
    assert_eq!(over(r#""refresh_expires_in":0"#), None);
    assert_eq!(over(r#""refresh_token_expires_in":"15811200""#), Some(15_811_200));
    assert_eq!(over(r#""refresh_token_expires_in":1209600"#), Some(1_209_600));
    assert_eq!(over(r#""scope":"read""#), None);
    assert_eq!(over(r#""refresh_expires_in":"soon""#), None);
    assert_eq!(over(r#""refresh_expires_in":-1"#), None);
    assert_eq!(over(r#""refresh_expires_in":1e300"#), Some(i64::MAX / 1000 - 1_445_412_480));
}

// Rule B14.
#[tokio::test]
async fn a_refresh_tokens_expiry_goes_with_the_refresh_token_that_it_was_told_of() {
    let mut scene = Scene::without_token().await;
    for (refresh_token, told, over) in [
        (r#""refresh_token":"r-2""#, r#""refresh_expires_in":60"#, Some(60)),
        (r#""refresh_token":null"#, r#""scope":"it stays""#, Some(60)),
        (r#""refresh_token":"r-2""#, r#""scope":"the same""#, Some(60)),
        (r#""refresh_token":"r-2""#, r#""refresh_expires_in":90"#, Some(90)),
        (r#""refresh_token":"r-3""#, r#""scope":"another""#, None),
    ] {
        let body = format!(r#"{{"access_token":"a","expires_in":60,{refresh_token},{told}}}"#);
        let headers = [("date", "Wed, 21 Oct 2015 07:28:00 GMT")];
        let token =
            scene.refresh(async |exchange| exchange.answer("200 OK", &headers, &body).await);
        token.await.expect("a token");
        let grant = scene.session.grant().expect("a grant");
        let expiry = grant.refresh_token_expires_at();
        assert_eq!(expiry.map(|it| it.as_millis() / 1000 - 1_445_412_480), over, "{body}");
        scene.time.advance(HOUR);
    }
}

// Rule B1.
#[tokio::test]
async fn a_lifetime_counts_from_when_the_request_was_sent() {
    let mut scene = Scene::without_token().await;
    let caller = tokio::spawn(token_of(&scene.session));
    let exchange = scene.server.next().await;
    scene.time.advance(Duration::from_millis(2500));
    exchange
        .json(r#"{"access_token":"access-1","refresh_token":"refresh-2","expires_in":8}"#)
        .await;
    let token = soon(caller).await.expect("a caller").expect("a token");
    assert_eq!(token.expires_at(), Some(START.saturating_add(Span::from_secs(8))));
    // An eighth of eight seconds before that it is no longer handed out.
    scene.time.set(START.saturating_add(Span::from_millis(6999)));
    let changed = scene.session.changed();
    assert_eq!(scene.token().await.expose(), "access-1", "due, and it still works");
    scene.time.set(START.saturating_add(Span::from_millis(7000)));
    let caller = tokio::spawn(token_of(&scene.session));
    scene.server.next().await.json(GOOD).await;
    soon(changed).await;
    assert_eq!(soon(caller).await.expect("a caller").expect("a token").expose(), "access-2");
}

// Rules B10, B14.
#[tokio::test]
async fn a_token_that_died_on_its_way_is_not_handed_out_and_its_refresh_token_is_kept() {
    let mut scene = Scene::without_token().await;
    let caller = tokio::spawn(token_of(&scene.session));
    let exchange = scene.server.next().await;
    scene.time.advance(Duration::from_secs(8));
    exchange
        .json(r#"{"access_token":"access-1","refresh_token":"refresh-2","expires_in":8}"#)
        .await;
    let error = soon(caller).await.expect("a caller").expect_err("it died");
    assert!(error.is_unavailable(), "{error:?}");
    scene.recovers("refresh-2").await;
}

// Rules B2, B14. What `oauth2-mock-server` does: JWTs minted within one second are all alike.
#[tokio::test]
async fn a_rejected_token_that_comes_again_is_not_handed_out_and_its_refresh_token_is_kept() {
    let mut scene = Scene::logged_in().await;
    scene.session.reject(&scene.token().await);
    let same = r#"{"access_token":"access-1","refresh_token":"refresh-2","expires_in":3600}"#;
    let again = scene.refresh(async |exchange| exchange.json(same).await).await;
    let error = again.expect_err("it was rejected");
    assert!(error.is_unavailable(), "{error:?}");
    assert_eq!(scene.held(), "refresh-2");
    scene.recovers("refresh-2").await;
}

// Rules B11, B14.
#[tokio::test]
async fn a_grant_that_lands_after_a_logout_is_revoked_and_not_handed_out() {
    let mut server = Server::start().await;
    let time = perennial::testing::VirtualTime::at(START);
    let refresher = refresher(
        client_of(&server).client_secret("hush-client").revocation_endpoint(server.url("/revoke")),
    );
    let grant = Grant::of_refresh_token("refresh-1");
    let session = builder(refresher, &time).grant(grant).build().expect("a session");
    let caller = tokio::spawn(token_of(&session));
    let exchange = server.next().await;
    soon(session.logout()).await.expect("a logout");
    let error = soon(caller).await.expect("a caller").expect_err("logged out");
    assert!(error.is_login_required(), "{error:?}");
    exchange.json(GOOD).await;
    let revocation = server.next().await;
    assert_eq!(revocation.received.line(), "POST /revoke");
    assert_eq!(revocation.received.body, "token=refresh-2&token_type_hint=refresh_token");
    assert!(revocation.received.headers("authorization")[0].starts_with("Basic "));
    revocation.answer("503 Service Unavailable", &[], "").await;
    soon(session.close()).await.expect("nothing in the air");
    let error = soon(session.token()).await.expect_err("logged out");
    assert!(error.is_login_required(), "{error:?}");
    assert_eq!(server.requests(), 2, "a revocation is tried once");
}

// Rule B14.
#[tokio::test]
async fn without_a_revocation_endpoint_an_orphan_is_told_to_nobody() {
    let mut scene = Scene::without_token().await;
    let caller = tokio::spawn(token_of(&scene.session));
    let exchange = scene.server.next().await;
    soon(scene.session.logout()).await.expect("a logout");
    soon(caller).await.expect("a caller").expect_err("logged out");
    exchange.json(GOOD).await;
    soon(scene.session.close()).await.expect("nothing in the air");
    assert_eq!(scene.server.requests(), 1);
    assert!(scene.session.grant().is_none());
}

/// A server on a thread of its own, in real time, that never answers.
fn silent_server() -> Server {
    let (given, taken) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            given.send(Server::start().await).ok();
            std::future::pending::<()>().await;
        });
    });
    taken.recv().expect("a server")
}

// Rules B13, C3.
#[tokio::test]
async fn a_refresh_that_is_never_answered_is_listened_to_for_twice_its_deadline() {
    let server = silent_server();
    let refresher = refresher(client_of(&server));
    // The session's own clock stands still: only the refresher's limit can end this.
    let session = Session::builder_with(refresher)
        .clock(|| Timestamp::from_secs(1_700_000_000))
        .grant(Grant::of_refresh_token("refresh-1"))
        .build()
        .expect("a session");
    // Tokio's time, which from here on goes by only while nothing else is to be done.
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let error = tokio::time::timeout(HOUR, session.token()).await;
    let error = error.expect("hung").expect_err("no answer");
    assert_eq!(begun.elapsed().as_secs(), 60);
    let (failure, text) = told(&error);
    assert_eq!(failure, Failure::Unknown);
    assert_eq!(text, "the token request was sent, and then timed out");
}

// Rules C3, B14.
#[tokio::test]
async fn a_revocation_that_is_never_answered_does_not_keep_a_session_from_closing() {
    let silent = silent_server();
    let mut server = Server::start().await;
    let refresher = refresher(
        Client::builder(server.url("/token"), "app").revocation_endpoint(silent.url("/revoke")),
    );
    let session = Session::builder_with(refresher)
        .grant(Grant::of_refresh_token("refresh-1"))
        .build()
        .expect("a session");
    let caller = tokio::spawn(token_of(&session));
    let exchange = server.next().await;
    soon(session.logout()).await.expect("a logout");
    soon(caller).await.expect("a caller").expect_err("logged out");
    exchange.answer("200 OK", &[], GOOD).await;
    tokio::time::pause();
    let closed = tokio::time::timeout(HOUR, session.close()).await;
    closed.expect("hung").expect("nothing in the air");
}

// Rule B14.
#[tokio::test]
async fn an_answer_is_read_whatever_the_case_and_order_of_its_headers() {
    let server = Server::answering(|_| {
        let body = GOOD.replace(',', " ,\r\n\t");
        answer("200 Fine", &[("CONTENT-TYPE", "application/x-unheard-of"), ("X", "y")], &body)
    })
    .await;
    let scene = Scene::on(server, Grant::of_refresh_token("refresh-1"));
    assert_eq!(scene.token().await.expose(), "access-2");
}
