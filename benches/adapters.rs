//! What each adapter adds to a request with a valid token, over the bare client: the same stack
//! with and without it, down to a last layer that answers at once instead of the network.
//! Interleaved rounds; the medians, and the median of the differences within each round.
//!
//! `cargo bench --bench adapters`, or `-- --quick`.

use std::future::{Future, Ready, ready};
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Extensions, Request, Response};
use http_body_util::Full;
use perennial::adapters::tower::BearerLayer;
use perennial::adapters::{reqwest as on_reqwest, ureq as on_ureq};
use perennial::interceptor::Interceptor;
use perennial::refresh::RefreshError;
use perennial::session::Session;
use perennial::token::Grant;
use reqwest::ResponseBuilderExt;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use tower::{Layer, Service, service_fn};
use ureq::middleware::MiddlewareNext;
use ureq::{Agent, SendBody};

const URL: &str = "https://api.example.com/things?a=b";

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick" || argument == "--test");
    // Rounds are short, so that most of them are not interrupted on a machine with other work.
    let (rounds, requests) = if quick { (501, 100) } else { (5001, 100) };
    report("tower", rounds, requests, &mut bare_tower(), &mut with_tower());
    let (mut bare, mut with) = (reqwest_get(false), reqwest_get(true));
    report("reqwest", rounds, requests, &mut bare, &mut with);
    let (mut bare, mut with) = (ureq_get(false), ureq_get(true));
    report("ureq", rounds, requests, &mut bare, &mut with);
}

fn interceptor() -> Interceptor {
    let refresher = |_| async { Err::<Grant, _>(RefreshError::declined("none")) };
    let grant = Grant::new("at-1", "rt-1", Duration::from_secs(24 * 3600));
    let session = Session::builder(refresher).grant(grant).build().expect("a session");
    Interceptor::builder(session).origin(URL).build().expect("an interceptor")
}

/// What ends at once: nothing in these stacks waits.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("something waits"),
    }
}

fn report(
    adapter: &str,
    rounds: usize,
    requests: u32,
    bare: &mut dyn FnMut() -> u16,
    with: &mut dyn FnMut() -> u16,
) {
    let mut taken = Vec::new();
    for round in 0..=rounds {
        // Each goes first as often as the other.
        let (bare, with) = if round % 2 == 0 {
            let bare = time(requests, bare);
            (bare, time(requests, with))
        } else {
            let with = time(requests, with);
            (time(requests, bare), with)
        };
        // The first round warms up.
        if round > 0 {
            taken.push((bare, with));
        }
    }
    println!(
        "{{\"adapter\":\"{adapter}\",\"bare_ns\":{:.0},\"with_ns\":{:.0},\"added_ns\":{:.0}}}",
        median(taken.iter().map(|(bare, _)| *bare)),
        median(taken.iter().map(|(_, with)| *with)),
        median(taken.iter().map(|(bare, with)| with - bare)),
    );
}

/// Nanoseconds a request.
fn time(requests: u32, request: &mut dyn FnMut() -> u16) -> f64 {
    #[expect(clippy::disallowed_methods, reason = "it measures")]
    let start = Instant::now();
    for _ in 0..requests {
        assert_eq!(black_box(request()), 200);
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(requests)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

type Body = Full<Bytes>;

fn at_once(_: Request<Body>) -> Ready<Result<Response<Body>, std::io::Error>> {
    ready(Ok(Response::new(Body::default())))
}

fn request() -> Request<Body> {
    Request::get(URL).body(Body::default()).expect("a request")
}

fn bare_tower() -> impl FnMut() -> u16 {
    let mut service = service_fn(at_once);
    move || now(service.call(request())).expect("a response").status().as_u16()
}

fn with_tower() -> impl FnMut() -> u16 {
    let mut service = BearerLayer::new(interceptor()).layer(service_fn(at_once));
    move || now(service.call(request())).expect("a response").status().as_u16()
}

/// Answers instead of the network.
struct AtOnce(reqwest::Url);

#[async_trait::async_trait]
impl Middleware for AtOnce {
    async fn handle(
        &self,
        _: reqwest::Request,
        _: &mut Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        let response = Response::builder().url(self.0.clone()).body("").expect("a response");
        Ok(response.into())
    }
}

fn reqwest_get(with: bool) -> impl FnMut() -> u16 {
    let client = if with {
        on_reqwest::BearerMiddleware::client(interceptor(), reqwest::Client::builder())
            .expect("a client")
    } else {
        ClientBuilder::new(reqwest::Client::new())
    };
    let url: reqwest::Url = URL.parse().expect("a URL");
    let client: ClientWithMiddleware = client.with(AtOnce(url.clone())).build();
    move || now(client.get(url.clone()).send()).expect("a response").status().as_u16()
}

fn ureq_get(with: bool) -> impl FnMut() -> u16 {
    let at_once = |_: Request<SendBody<'_>>, _: MiddlewareNext<'_>| {
        Ok(Response::new(ureq::Body::builder().data("")))
    };
    let config = Agent::config_builder();
    let config = if with {
        config.middleware(on_ureq::BlockingBearerMiddleware::new(interceptor()))
    } else {
        config
    };
    let agent: Agent = config.middleware(at_once).build().into();
    move || agent.get(URL).call().expect("a response").status().as_u16()
}
