//! The request, byte by byte.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use perennial::session::Session;
use perennial::token::Grant;
use perennial::wire::{Client, ClientAuthentication, ClientBuilder};

use crate::wire::scene::{HOUR, Scene, client_of, refresher, token_of};
use crate::wire::{GOOD, Received, Server, answer, soon};

/// The request of one refresh of `refresh_token`, by a client that `settings` made.
async fn asked(
    refresh_token: &str,
    settings: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> Received {
    let server = Server::answering(|_| answer("200 OK", &[], GOOD)).await;
    let refresher = refresher(settings(client_of(&server)));
    let session = Session::builder_with(refresher)
        .grant(Grant::of_refresh_token(refresh_token))
        .build()
        .expect("a session");
    assert_eq!(soon(session.token()).await.expect("a token").expose(), "access-2");
    let log = server.log();
    assert_eq!(log.len(), 1, "{log:?}");
    log[0].clone()
}

// Rule E6.
#[tokio::test]
async fn a_public_client_names_itself_in_the_form_and_sends_no_authorization() {
    let request = asked("refresh-1", |it| it).await;
    assert_eq!(request.line(), "POST /token?tenant=hush-url");
    assert_eq!(request.body, "grant_type=refresh_token&refresh_token=refresh-1&client_id=app");
    assert_eq!(request.headers("content-type"), ["application/x-www-form-urlencoded"]);
    assert_eq!(request.headers("accept"), ["application/json"]);
    assert!(request.headers("authorization").is_empty(), "{}", request.head);
    assert!(request.headers("cookie").is_empty(), "{}", request.head);
    assert!(request.headers("referer").is_empty(), "{}", request.head);
}

// Rule E6.
#[tokio::test]
async fn basic_authentication_encodes_both_parts_before_they_are_joined() {
    let server = Server::answering(|_| answer("200 OK", &[], GOOD)).await;
    let refresher =
        refresher(Client::builder(server.url("/token"), "a:b c/ü").client_secret("p%+:=&é ~-._*"));
    let session = Session::builder_with(refresher)
        .grant(Grant::of_refresh_token("refresh-1"))
        .build()
        .expect("a session");
    soon(session.token()).await.expect("a token");
    let log = server.log();
    let header = log[0].headers("authorization");
    let [header] = header.as_slice() else { panic!("{header:?}") };
    let basic = STANDARD.decode(header.strip_prefix("Basic ").expect("Basic")).expect("base64");
    // RFC 6749, section 2.3.1 and appendix B: what a form would carry, then a colon between.
    assert_eq!(
        String::from_utf8(basic).expect("text"),
        "a%3Ab+c%2F%C3%BC:p%25%2B%3A%3D%26%C3%A9+%7E-._*"
    );
    assert_eq!(log[0].body, "grant_type=refresh_token&refresh_token=refresh-1", "nothing twice");
}

// Rule E6.
#[tokio::test]
async fn post_authentication_puts_both_parts_into_the_form_and_nothing_into_the_head() {
    let request = asked("refresh-1", |it| {
        it.client_secret("p%+:=&é ~").client_authentication(ClientAuthentication::Post)
    })
    .await;
    assert_eq!(
        request.body,
        "grant_type=refresh_token&refresh_token=refresh-1&client_id=app\
         &client_secret=p%25%2B%3A%3D%26%C3%A9+%7E"
    );
    assert!(request.headers("authorization").is_empty(), "{}", request.head);
}

// Rule E6.
#[tokio::test]
async fn a_scope_is_asked_for_only_where_one_is_set() {
    let request = asked("refresh-1", |it| it.scope("read write:all&x")).await;
    assert!(request.body.contains("&scope=read+write%3Aall%26x"), "{}", request.body);
    assert_eq!(asked("refresh-1", |it| it).await.field("scope"), None);
}

// Rule B14.
#[tokio::test]
async fn a_refresh_token_arrives_as_it_was_whatever_it_holds() {
    for token in ["1//0e+/=&%25 x", "a=b&grant_type=password", "~!@#$%^*()_+{}|:<>?`[];',./\"\\"] {
        let request = asked(token, |it| it).await;
        assert_eq!(request.field("refresh_token").as_deref(), Some(token));
        assert_eq!(request.field("grant_type").as_deref(), Some("refresh_token"));
    }
}

// Rule E6.
#[tokio::test]
async fn each_refresh_presents_the_refresh_token_of_the_answer_before() {
    let number = std::sync::atomic::AtomicUsize::new(1);
    let server = Server::answering(move |_| {
        let next = 1 + number.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let body =
            format!(r#"{{"access_token":"a-{next}","refresh_token":"r-{next}","expires_in":60}}"#);
        answer("200 OK", &[], &body)
    })
    .await;
    let scene = Scene::on(server, Grant::of_refresh_token("r-1"));
    for number in 2..8 {
        assert_eq!(scene.token().await.expose(), format!("a-{number}"));
        scene.time.advance(HOUR);
    }
    let presented: Vec<_> =
        scene.server.log().iter().filter_map(|it| it.field("refresh_token")).collect();
    assert_eq!(presented, ["r-1", "r-2", "r-3", "r-4", "r-5", "r-6"]);
}

// Rule B6.
#[tokio::test]
async fn a_grant_without_a_refresh_token_is_declined_and_nothing_is_sent() {
    let server = Server::answering(|_| answer("200 OK", &[], GOOD)).await;
    let lifetime = std::time::Duration::from_secs(60);
    let scene = Scene::on(server, Grant::of_access_token("access-1", lifetime));
    assert_eq!(scene.token().await.expose(), "access-1");
    scene.time.advance(lifetime);
    let error = soon(scene.session.token()).await.expect_err("nothing to renew it with");
    assert!(error.is_login_required(), "{error:?}");
    soon(scene.session.close()).await.expect("nothing in the air");
    assert_eq!(scene.server.requests(), 0);
}

// Rules B6, E6.
#[tokio::test]
async fn a_refresh_goes_over_a_connection_of_its_own_and_not_over_one_that_may_be_closing() {
    let mut scene = Scene::without_token().await;
    let mut idle = Vec::new();
    for number in 2..5 {
        let caller = tokio::spawn(token_of(&scene.session));
        // A connection that was used before would not be seen here.
        let mut exchange = scene.server.next().await;
        let body = format!(r#"{{"access_token":"access-{number}","expires_in":60}}"#);
        let length = body.len();
        let kept = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
        exchange.write(kept.as_bytes()).await.expect("a client that listens");
        idle.push(exchange);
        soon(caller).await.expect("a caller").expect("a token");
        scene.time.advance(HOUR);
    }
}

/// Says to the test below that it is the child.
const ENDPOINT: &str = "PERENNIAL_TEST_ENDPOINT";

// Rules G1, E6.
#[tokio::test]
async fn a_token_for_this_machine_passes_through_no_proxy() {
    if let Ok(endpoint) = std::env::var(ENDPOINT) {
        let refresher = refresher(Client::builder(endpoint, "app"));
        let session = Session::builder_with(refresher)
            .grant(Grant::of_refresh_token("refresh-1"))
            .build()
            .expect("a session");
        assert_eq!(soon(session.token()).await.expect("a token").expose(), "access-2");
        return;
    }
    let server = Server::answering(|_| answer("200 OK", &[], GOOD)).await;
    let proxy = Server::answering(|_| answer("200 OK", &[], GOOD)).await;
    // The environment of a process is read when it starts.
    let mut child = Command::new(std::env::current_exe().expect("this test"));
    child
        .args(["--exact", "refresh_grant::asked::a_token_for_this_machine_passes_through_no_proxy"])
        .env(ENDPOINT, server.url("/token"))
        .env("HTTP_PROXY", proxy.url(""))
        .env("http_proxy", proxy.url(""))
        .env_remove("NO_PROXY")
        .env_remove("no_proxy");
    let child = tokio::task::spawn_blocking(move || child.output());
    let output = soon(child).await.expect("a thread").expect("a child");
    assert!(output.status.success(), "{output:?}");
    assert_eq!((server.requests(), proxy.requests()), (1, 0));
}
