//! Refreshers that cannot be built, and a server that is not there.

use std::error::Error as StdError;

use perennial::adapters::oauth2::{RefreshGrant, TransportError};
use perennial::adapters::ureq;
use perennial::lifecycle::Failure;
use perennial::session::Session;
use perennial::testing::VirtualTime;
use perennial::time::Timestamp;
use perennial::token::Grant;
use perennial::wire::{Client, ClientError};
use tokio::net::{TcpSocket, TcpStream};

use crate::wire::scene::{START, Scene, builder, refresher, told};
use crate::wire::{SECRETS, Server, assert_mannered, soon};

fn error_of(url: &str) -> ClientError {
    let error = Client::builder(url, "app").client_secret("hush-client").build();
    let error = error.expect_err("no client");
    // These speak to whoever writes the program; a name such as HTTP may stand first.
    let (text, debug) = (error.to_string(), format!("{error:?}"));
    for secret in SECRETS {
        assert!(!text.contains(secret) && !debug.contains(secret), "{text} {debug}");
    }
    assert!(!text.ends_with('.'), "{text}");
    error
}

// Rule G1.
#[tokio::test]
async fn an_endpoint_that_is_no_url_is_refused_when_built() {
    for url in ["", "token", "//auth.example.com/token", "https://", "https://hush-url:x:y/"] {
        let error = error_of(url);
        assert!(matches!(error, ClientError::Malformed("token", _)), "{url}: {error:?}");
        assert!(error.to_string().contains("https://host/token"), "names the fix: {error}");
    }
    let error = Client::builder("https://a.example/t", "app").revocation_endpoint("?").build();
    assert!(matches!(error, Err(ClientError::Malformed("revocation", _))), "{error:?}");
}

// Rule G1.
#[tokio::test]
async fn an_endpoint_of_another_scheme_is_refused_when_built() {
    for scheme in ["ftp", "file", "mailto", "data", "ws", "httpss"] {
        let error = error_of(&format!("{scheme}://auth.example.com/token?hush-url"));
        assert!(matches!(&error, ClientError::Scheme("token", it) if it == scheme));
        assert!(error.to_string().contains("must be an https URL"), "{error}");
    }
}

// Rule G1.
#[tokio::test]
async fn secrets_go_in_the_clear_to_this_machine_alone() {
    for host in ["auth.example.com", "10.0.0.1", "0.0.0.0", "[::]", "localhost.example.com"] {
        let url = format!("http://{host}/token");
        let error = error_of(&url);
        assert!(matches!(error, ClientError::PlainHttp("token")), "{host}: {error:?}");
        assert!(error.to_string().contains("use https, or `allow_plain_http`"), "{error}");
        let allowed = Client::builder(&url, "app").allow_plain_http().build();
        assert!(allowed.is_ok(), "{host}: {allowed:?}");
    }
    for host in ["localhost", "LOCALHOST:80", "127.0.0.1", "127.8.8.8:1", "[::1]:8080"] {
        let here = Client::builder(format!("http://{host}/token"), "app").build();
        assert!(here.is_ok(), "{host}: {here:?}");
    }
    let revocation = Client::builder("https://a.example/token", "app")
        .revocation_endpoint("http://a.example/revoke")
        .build();
    assert!(matches!(revocation, Err(ClientError::PlainHttp("revocation"))));
}

// Rule C2.
#[test]
fn a_refresher_built_outside_a_runtime_is_an_error_that_names_the_fix() {
    let client = Client::builder("https://auth.example.com/token", "app").build();
    let client = client.expect("a client");
    let error = RefreshGrant::new(client.clone()).expect_err("no runtime here");
    assert!(matches!(error, TransportError::NoRuntime), "{error:?}");
    assert_eq!(
        error.to_string(),
        "no tokio runtime here: build this inside one, or pass its handle to `on`"
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let handle = runtime.expect("a runtime").handle().clone();
    let built = RefreshGrant::on(client, handle);
    assert!(built.is_ok(), "{built:?}");
}

// Rule G1.
#[tokio::test]
async fn what_a_refresher_was_built_with_is_not_seen_in_its_debug_text() {
    let key = ("x-api-key".parse().expect("a name"), "hush-client".parse().expect("a value"));
    let headers: reqwest::header::HeaderMap = [key].into_iter().collect();
    let http = || reqwest::Client::builder().default_headers(headers.clone());
    let builder = Client::builder("https://app:hush-url@a.example/token?key=hush-url", "app")
        .revocation_endpoint("https://a.example/revoke?key=hush-url")
        .client_secret("hush-client");
    let before = format!("{builder:?} {builder:#?}");
    let error = builder.clone().build().expect_err("credentials in a URL");
    let with_credentials = format!("{error} {error:?}");
    assert!(!with_credentials.contains("hush-"), "{with_credentials}");
    assert!(with_credentials.contains("use `client_secret` instead"), "{with_credentials}");
    let refresher = Client::builder("https://a.example/token?key=hush-url", "app")
        .client_secret("hush-client")
        .build()
        .expect("a client");
    let refresher = RefreshGrant::new(refresher).expect("a refresher").http_client(http);
    let after = format!("{refresher:?} {refresher:#?}");
    assert!(!before.contains("hush-client") && !before.contains("hush-url"), "{before}");
    assert!(!after.contains("hush-client") && !after.contains("hush-url"), "{after}");
}

/// The first refresh over each adapter.
async fn told_by_both(url: &str) -> [(Failure<Timestamp>, String); 2] {
    let client = Client::builder(url, "app").client_secret("hush-client").allow_plain_http();
    let client = client.build().expect("a client");
    let over_reqwest = RefreshGrant::new(client.clone()).expect("a refresher");
    let builders = [
        Session::builder_with(over_reqwest),
        Session::builder_blocking(ureq::refresh_grant(client)),
    ];
    let mut seen = Vec::new();
    for builder in builders {
        let grant = Grant::of_refresh_token("refresh-1");
        let session = builder.grant(grant).build().expect("a session");
        let error = soon(session.token()).await.expect_err("no server");
        assert_mannered(&error);
        seen.push(told(&error));
    }
    seen.try_into().expect("two")
}

// Rule B6.
#[tokio::test]
async fn what_was_never_sent_is_unavailable_and_says_why_over_both_adapters() {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let refused = format!("http://{}/token", socket.local_addr().expect("an address"));
    // Names under `.invalid` are nobody's (RFC 6761, section 6.4).
    for (url, why) in [(refused.as_str(), "refused"), ("http://token.invalid/token", "name|host")] {
        for (failure, text) in told_by_both(url).await {
            assert_eq!(failure, Failure::Unavailable { retry_after: None }, "{url}: {text}");
            assert!(text.starts_with("the token endpoint could not be reached: "), "{text}");
            assert!(why.split('|').any(|why| text.contains(why)), "{text}");
        }
    }
}

// Rule B6.
#[tokio::test]
async fn a_server_that_takes_no_connection_is_unavailable_well_before_the_deadline() {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let address = socket.local_addr().expect("an address");
    let listener = socket.listen(1).expect("a listener");
    // Its queue is full once some wait in it; nobody takes them out.
    let waiting: Vec<_> = (0..8).map(|_| tokio::spawn(TcpStream::connect(address))).collect();
    let full = async {
        let mut done = 0;
        while done < 2 {
            tokio::task::yield_now().await;
            done = waiting.iter().filter(|it| it.is_finished()).count();
        }
    };
    soon(full).await;
    let refresher = refresher(Client::builder(format!("http://{address}/token"), "app"));
    let session = Session::builder_with(refresher)
        .clock(|| START)
        .grant(Grant::of_refresh_token("refresh-1"))
        .build()
        .expect("a session");
    // Tokio's time, which from here on goes by only while nothing else is to be done.
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let error = soon(session.token()).await.expect_err("no connection");
    assert_eq!(begun.elapsed().as_secs(), 10);
    let (failure, text) = told(&error);
    assert_eq!(failure, Failure::Unavailable { retry_after: None });
    assert_eq!(text, "the token endpoint could not be reached: connecting timed out");
    drop((listener, waiting));
}

// Rules B5, B6.
#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable_and_is_found_when_it_comes() {
    // Bound and not listening: every connection is refused, and the port stays this test's own.
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let address = socket.local_addr().expect("an address");
    let time = VirtualTime::at(START);
    let url = format!("http://{address}/token?tenant=hush-url");
    let refresher = refresher(Client::builder(url, "app").client_secret("hush-client"));
    let session = builder(refresher, &time)
        .grant(Grant::of_refresh_token("refresh-1"))
        .build()
        .expect("a session");

    let error = soon(session.token()).await.expect_err("no server");
    assert_mannered(&error);
    assert!(error.is_unavailable() && !error.is_login_required(), "{error:?}");
    let (failure, text) = told(&error);
    assert_eq!(failure, Failure::Unavailable { retry_after: None });
    assert_eq!(text, "the token endpoint could not be reached: connection refused");
    assert!(error.source().and_then(StdError::source).is_some(), "says why not: {error:?}");
    let retry = error.when_to_retry().expect("an instant to come back at");
    assert!(
        retry > START && retry <= START.saturating_add(std::time::Duration::from_secs(1).into())
    );

    let server = Server::on(socket.listen(8).expect("a listener"), None);
    time.set(retry);
    let mut scene = Scene { server, time, session };
    scene.recovers("refresh-1").await;
    assert_eq!(scene.server.requests(), 1);
}
