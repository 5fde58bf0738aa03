//! tower alone: readiness, clones, errors.

use std::future::{Future, Ready, ready};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures::executor::block_on;
use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use perennial::adapters::tower::{BearerLayer, BearerService, BoxError, Cloned};
use perennial::adapters::{reqwest as on_reqwest, ureq as on_ureq};
use perennial::interceptor::{Interceptor, Refused};
use perennial::session::Session;
use perennial::testing::Scripted;
use tower::{Layer, Service};

type Body = Full<Bytes>;

/// A service that is ready as often as it is told, and likes any token but `at-1`. Whoever calls it
/// must have found it ready.
#[derive(Default)]
struct Gate {
    shared: Arc<Mutex<Shared>>,
    found_ready: bool,
}

#[derive(Default)]
struct Shared {
    permits: usize,
    waiting: Vec<Waker>,
    bearers: Vec<String>,
    broken: bool,
}

impl Clone for Gate {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), found_ready: false }
    }
}

impl Gate {
    fn permit(&self) {
        let waiting = {
            let mut shared = self.shared.lock().expect("a gate");
            shared.permits += 1;
            std::mem::take(&mut shared.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    fn bearers(&self) -> Vec<String> {
        self.shared.lock().expect("a gate").bearers.clone()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the gate is broken")]
struct Broken;

impl Service<Request<Body>> for Gate {
    type Response = Response<Body>;
    type Error = Broken;
    type Future = Ready<Result<Response<Body>, Broken>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let mut shared = self.shared.lock().expect("a gate");
        if shared.broken {
            return Poll::Ready(Err(Broken));
        }
        if !self.found_ready && shared.permits == 0 {
            shared.waiting.push(cx.waker().clone());
            return Poll::Pending;
        }
        if !self.found_ready {
            shared.permits -= 1;
            self.found_ready = true;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        assert!(std::mem::take(&mut self.found_ready), "called without having been ready");
        let bearer = request.headers()[AUTHORIZATION].to_str().expect("a header");
        let bearer = bearer.strip_prefix("Bearer ").expect("a bearer token").to_owned();
        let liked = bearer != "at-1";
        self.shared.lock().expect("a gate").bearers.push(bearer);
        let status = if liked { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
        ready(Ok(Response::builder().status(status).body(Body::default()).expect("a response")))
    }
}

fn interceptor(refresher: &Scripted) -> Interceptor {
    let session = Session::builder_with(refresher.clone()).grant(Scripted::grant(0));
    let session = session.build().expect("a session");
    Interceptor::builder(session).origin("https://api.example.com").build().expect("an interceptor")
}

fn bearer(gate: &Gate, refresher: &Scripted) -> BearerService<Gate, Cloned> {
    BearerLayer::new(interceptor(refresher)).replaying(Cloned).layer(gate.clone())
}

fn request(uri: &str) -> Request<Body> {
    Request::builder().uri(uri).body(Body::from("all")).expect("a request")
}

const API: &str = "https://api.example.com/things";

async fn is_ready(service: &mut BearerService<Gate, Cloned>) -> Result<(), BoxError> {
    std::future::poll_fn(|cx| service.poll_ready(cx)).await
}

fn is_pending<F: Future + ?Sized>(future: Pin<&mut F>) -> bool {
    future.poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

// Rule E2.
#[test]
fn readiness_is_the_inner_services_and_the_replay_waits_for_it_as_well() {
    block_on(async {
        let (gate, refresher) = (Gate::default(), Scripted::new());
        let mut service = bearer(&gate, &refresher);
        assert!(is_pending(pin!(is_ready(&mut service))));
        gate.permit();
        is_ready(&mut service).await.expect("ready");
        let mut call: Pin<Box<dyn Future<Output = _>>> = service.call(request(API));
        // The first is answered; and now the service is busy. A token is asked for once it is not,
        // so that it does not age meanwhile.
        assert!(is_pending(call.as_mut()));
        assert_eq!((gate.bearers(), refresher.requests()), (vec!["at-1".to_owned()], 0));
        gate.permit();
        assert_eq!(call.await.expect("a response").status(), 200);
        assert_eq!(gate.bearers(), ["at-1", "at-2"]);
    });
}

// Rule E2.
#[test]
fn a_call_takes_the_clone_that_was_found_ready_and_leaves_one_that_was_not() {
    block_on(async {
        let (gate, refresher) = (Gate::default(), Scripted::new());
        let mut service = bearer(&gate, &refresher);
        gate.permit();
        is_ready(&mut service).await.expect("ready");
        let call = service.call(request(API));
        // The one left behind asks for a permit of its own.
        assert!(is_pending(pin!(is_ready(&mut service))));
        gate.permit();
        gate.permit();
        assert_eq!(call.await.expect("a response").status(), 200);
        is_ready(&mut service).await.expect("ready");
    });
}

// Rules E2, B3.
#[test]
fn clones_share_the_session() {
    block_on(async {
        let (gate, refresher) = (Gate::default(), Scripted::new());
        let service = bearer(&gate, &refresher);
        for mut clone in [service.clone(), service.clone(), service] {
            gate.permit();
            gate.permit();
            is_ready(&mut clone).await.expect("ready");
            assert_eq!(clone.call(request(API)).await.expect("a response").status(), 200);
        }
        assert_eq!(gate.bearers(), ["at-1", "at-2", "at-2", "at-2"]);
        assert_eq!(refresher.requests(), 1);
    });
}

// Rules E2, E5.
#[test]
fn errors_are_the_inner_services_or_a_refusal() {
    block_on(async {
        let (gate, refresher) = (Gate::default(), Scripted::new());
        let mut service = bearer(&gate, &refresher);
        gate.permit();
        is_ready(&mut service).await.expect("ready");
        let plain = Interceptor::builder(interceptor(&refresher).session().clone()).any_origin();
        let plain = BearerLayer::new(plain.build().expect("an interceptor")).replaying(Cloned);
        let error = plain.layer(gate.clone()).call(request("http://api.example.com/things")).await;
        let error = error.expect_err("a refusal");
        assert!(matches!(error.downcast_ref(), Some(Refused::PlainHttp(_))), "{error:?}");
        // It breaks between a request and its replay.
        let call = service.call(request(API));
        gate.shared.lock().expect("a gate").broken = true;
        let error = call.await.expect_err("broken");
        assert!(error.downcast_ref::<Broken>().is_some(), "{error:?}");
        let error = is_ready(&mut service).await.expect_err("broken");
        assert!(error.downcast_ref::<Broken>().is_some(), "{error:?}");
    });
}

// Rule G1.
#[test]
fn no_adapter_shows_a_token_in_its_debug_text() {
    let gate = Gate::default();
    let interceptor = interceptor(&Scripted::new());
    let layer = BearerLayer::new(interceptor.clone()).replaying(Cloned);
    let shown = format!(
        "{:?} {:?} {:?} {:#?} {:#?}",
        on_reqwest::BearerMiddleware::with_client(interceptor.clone(), reqwest::Client::builder()),
        layer,
        layer.layer(gate),
        on_ureq::BlockingBearerMiddleware::new(interceptor.clone()),
        interceptor,
    );
    assert!(!shown.contains("at-1") && !shown.contains("rt-1"), "{shown}");
    assert!(shown.contains("Bearer"), "{shown}");
}
