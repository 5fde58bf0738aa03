//! Which origin a redirect leads to, without a network: schemes, ports, names and forms of addresses. And
//! why the layer follows by itself.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::header::{AUTHORIZATION, LOCATION};
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use perennial::adapters::tower::BearerLayer;
use perennial::interceptor::{Interceptor, InterceptorBuilder};
use perennial::session::Session;
use perennial::testing::Scripted;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_http::follow_redirect::FollowRedirectLayer;

type Body = Empty<bytes::Bytes>;
type Log = Arc<Mutex<Vec<(String, bool)>>>;

fn builder() -> InterceptorBuilder {
    let session = Session::builder_with(Scripted::new()).grant(Scripted::grant(0));
    Interceptor::builder(session.build().expect("a session"))
}

fn layer(builder: InterceptorBuilder) -> BearerLayer {
    BearerLayer::new(builder.build().expect("an interceptor"))
}

/// Leads on along `hops`, one after the other, and notes where it was asked and whether with a token.
fn leading(
    hops: &[&str],
    log: &Log,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static {
    let hops: Vec<_> = hops.iter().map(|&it| it.to_owned()).collect();
    let log = Arc::clone(log);
    service_fn(move |request: Request<Body>| {
        let mut log = log.lock().expect("a log");
        let mut response = Response::new(Body::new());
        if let Some(location) = hops.get(log.len()) {
            *response.status_mut() = StatusCode::FOUND;
            response.headers_mut().insert(LOCATION, location.parse().expect("a value"));
        }
        log.push((request.uri().to_string(), request.headers().contains_key(AUTHORIZATION)));
        async move { Ok(response) }
    })
}

fn started(url: &str) -> Request<Body> {
    Request::get(url).body(Body::new()).expect("a request")
}

/// Where the hops led, and with a token or without.
async fn led(builder: InterceptorBuilder, start: &str, hops: &[&str]) -> Vec<(String, bool)> {
    let log = Log::default();
    let client = layer(builder).following_redirects().layer(leading(hops, &log));
    client.oneshot(started(start)).await.expect("an answer");
    let log = log.lock().expect("a log");
    log.clone()
}

// Rule E5. Cases X26, X27.
#[tokio::test]
async fn a_redirect_stays_within_an_origin_only_where_scheme_host_and_port_do() {
    for (location, url, expected) in [
        ("/end", "https://a.example/end", true),
        ("end", "https://a.example/path/end", true),
        ("?q", "https://a.example/path/start?q", true),
        ("#fragment", "https://a.example/path/start", true),
        ("//a.example/end", "https://a.example/end", true),
        ("https:end", "https://a.example/path/end", true),
        ("https://a.example:443/end", "https://a.example/end", true),
        ("HTTPS://A.Example/end", "https://a.example/end", true),
        ("https://user:word@a.example/end", "https://a.example/end", true),
        // A downgrade, another port, another name of perhaps the same host.
        ("http://a.example/end", "http://a.example/end", false),
        ("http://a.example:443/end", "http://a.example:443/end", false),
        ("https://a.example:8443/end", "https://a.example:8443/end", false),
        ("https://a.example./end", "https://a.example./end", false),
        ("https://b.a.example/end", "https://b.a.example/end", false),
        ("https://a.example.evil/end", "https://a.example.evil/end", false),
        // What looks like the host and is none.
        ("https://a.example@evil.example/end", "https://evil.example/end", false),
        ("https://evil.example\\@a.example/end", "https://evil.example/@a.example/end", false),
        ("\\\\evil.example/end", "https://evil.example/end", false),
        ("https:///evil.example/end", "https://evil.example/end", false),
        ("\thttps://evil.example/end", "https://evil.example/end", false),
    ] {
        let start = "https://a.example/path/start";
        for builder in [builder().origin("https://a.example"), builder().any_origin()] {
            let seen = led(builder, start, &[location]).await;
            assert_eq!(seen, [(start.to_owned(), true), (url.to_owned(), expected)], "{location}");
        }
    }
}

// Rule E5.
#[tokio::test]
async fn an_address_is_known_in_all_its_forms() {
    for (home, location, expected) in [
        ("https://[::1]:8443", "https://[0:0:0:0:0:0:0:1]:8443/end", true),
        ("https://[::1]:8443", "https://[::2]:8443/end", false),
        ("https://127.0.0.1", "https://2130706433/end", true),
        ("https://127.0.0.1", "https://127.1/end", true),
        ("https://127.0.0.1", "https://localhost/end", false),
    ] {
        let seen = led(builder().origin(home), &format!("{home}/start"), &[location]).await;
        assert_eq!(seen.last().expect("a hop").1, expected, "{home} {location} {seen:?}");
    }
}

// Rule E5.
#[tokio::test]
async fn a_redirect_of_a_request_that_names_no_host_is_the_callers() {
    let seen = led(builder().origin("https://a.example"), "/start", &["/end"]).await;
    assert_eq!(seen, [("/start".to_owned(), true)]);
}

// Rule E5. Why redirects are not left to a follower that knows nothing of the layer. Should this fail, a
// newer one may do better, and the adapter's page says something that is no longer so.
#[tokio::test]
async fn a_foreign_follower_leads_the_token_where_a_foreign_host_says() {
    let hops = ["https://evil.example/1", "https://a.example/delete"];
    let log = Log::default();
    let client = ServiceBuilder::new().layer(FollowRedirectLayer::new());
    let client = client.layer(layer(builder().origin("https://a.example")));
    client.service(leading(&hops, &log)).oneshot(started("https://a.example/start")).await.ok();
    let outside: Vec<_> = log.lock().expect("a log").iter().map(|it| it.1).collect();
    assert_eq!(outside, [true, false, true], "outside of the layer");
    let hops = ["https://evil.example/1", "https://evil.example/2"];
    let log = Log::default();
    let client = ServiceBuilder::new().layer(layer(builder().origin("https://a.example")));
    let client = client.layer(FollowRedirectLayer::new());
    client.service(leading(&hops, &log)).oneshot(started("https://a.example/start")).await.ok();
    let inside: Vec<_> = log.lock().expect("a log").iter().map(|it| it.1).collect();
    assert_eq!(inside, [true, false, true], "inside of it");
}
