//! A client with its adapter, a resource server and an authorization server.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use perennial::adapters::ureq::refresh_grant;
use perennial::interceptor::{Interceptor, InterceptorBuilder, Refused};
use perennial::session::{self, Builder, Session};
use perennial::testing::VirtualTime;
use perennial::token::Grant;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::client::{Adapter, Answered, Call, Client, Failed, Spy};
use crate::wire::scene::{HOUR, START, client_of, in_virtual_time, refresher};
use crate::wire::{Exchange, Received, SECRETS, Server, answer, assert_mannered, soon};

pub(crate) const UNAUTHORIZED: &str = "401 Unauthorized";

/// Makes a test on each adapter of each of these scenarios.
macro_rules! on_every_adapter {
    ($($scenario:ident),+ $(,)?) => {
        mod on_reqwest {
            $(#[test] fn $scenario() { $crate::world::run(super::$scenario($crate::client::Adapter::Reqwest)); })+
        }
        mod on_tower {
            $(#[test] fn $scenario() { $crate::world::run(super::$scenario($crate::client::Adapter::Tower)); })+
        }
        mod on_ureq {
            $(#[test] fn $scenario() { $crate::world::run(super::$scenario($crate::client::Adapter::Ureq)); })+
        }
    };
}
pub(crate) use on_every_adapter;

/// A runtime that is not waited for: a request of `ureq`'s that hangs, once a test has failed, does
/// not keep it from saying so.
struct Impatient(Option<Runtime>);

impl Drop for Impatient {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Runs a scenario. Each blocking request has a thread, of which there may be a thousand.
pub(crate) fn run(scenario: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(1200)
        .thread_stack_size(512 * 1024)
        .enable_all()
        .build();
    let runtime = Impatient(Some(runtime.expect("a runtime")));
    runtime.0.as_ref().expect("a runtime").block_on(scenario);
}

/// A client, whose session holds `access-1` for an hour, and the two servers that it speaks to.
pub(crate) struct World {
    pub(crate) on: Adapter,
    pub(crate) auth: Server,
    pub(crate) api: Server,
    pub(crate) time: VirtualTime,
    pub(crate) session: Session,
    pub(crate) client: Client,
    pub(crate) spy: Spy,
}

impl World {
    /// Both servers wait to be told.
    pub(crate) async fn new(on: Adapter) -> Self {
        Self::of(on, Server::start().await, Server::start().await)
    }

    /// A resource server that answers by itself.
    pub(crate) async fn with_api(
        on: Adapter,
        api: impl Fn(&Received) -> String + Send + Sync + 'static,
    ) -> Self {
        Self::of(on, minting().await, Server::answering(api).await)
    }

    /// A resource server that likes any token but `access-1`.
    pub(crate) async fn liking_new_tokens(on: Adapter) -> Self {
        Self::with_api(on, |request| match request.bearer() {
            "access-1" => answer(UNAUTHORIZED, &[], "no"),
            _ => answer("200 OK", &[], "done"),
        })
        .await
    }

    pub(crate) fn of(on: Adapter, auth: Server, api: Server) -> Self {
        let time = VirtualTime::at(START);
        let session = in_virtual_time(own_grant(on, &auth), &time).grant(logged_in());
        Self::with(on, auth, api, time, session.build().expect("a session"))
    }

    /// Both servers wait to be told, and nothing but callers drives the refresh: neither a spawner
    /// nor a timer.
    pub(crate) async fn driven_by_callers(on: Adapter) -> Self {
        let (auth, api) = (Server::start().await, Server::start().await);
        let time = VirtualTime::at(START);
        let session = own_grant(on, &auth).clock(time.clone()).grant(logged_in());
        Self::with(on, auth, api, time, session.build().expect("a session"))
    }

    pub(crate) fn with(
        on: Adapter,
        auth: Server,
        api: Server,
        time: VirtualTime,
        session: Session,
    ) -> Self {
        let spy = Spy::default();
        let interceptor = to(&api, &session).retry_for(Duration::ZERO);
        let client = client(on, interceptor, &spy);
        Self { on, auth, api, time, session, client, spy }
    }

    /// The same with another interceptor.
    pub(crate) fn intercepted_by(mut self, interceptor: InterceptorBuilder) -> Self {
        self.client = client(self.on, interceptor, &self.spy);
        self
    }

    /// An interceptor for the resource server.
    pub(crate) fn interceptor(&self) -> InterceptorBuilder {
        to(&self.api, &self.session).retry_for(Duration::ZERO)
    }

    pub(crate) fn send(&self, call: Call) -> JoinHandle<Result<Answered, Failed>> {
        self.client.send(call)
    }

    pub(crate) fn call(&self, path: &str) -> Call {
        Call::get(self.api.url(path))
    }

    /// A GET that is on its way.
    pub(crate) fn get(&self) -> JoinHandle<Result<Answered, Failed>> {
        self.send(self.call("/things"))
    }

    /// The bearer tokens that the resource server saw.
    pub(crate) fn bearers(&self) -> Vec<String> {
        self.api.log().iter().map(|it| it.bearer().to_owned()).collect()
    }

    /// The access token that the session holds.
    pub(crate) async fn holds(&self) -> String {
        soon(self.session.token()).await.expect("a token").expose().to_owned()
    }
}

fn to(api: &Server, session: &Session) -> InterceptorBuilder {
    Interceptor::builder(session.clone()).origin(api.url("/"))
}

pub(crate) fn client(on: Adapter, interceptor: InterceptorBuilder, spy: &Spy) -> Client {
    Client::new(on, interceptor.build().expect("an interceptor"), spy.clone())
}

pub(crate) fn logged_in() -> Grant {
    Grant::new("access-1", "refresh-1", HOUR)
}

/// A session that refreshes by the same HTTP client as its requests go by; with tower, by reqwest.
pub(crate) fn own_grant(on: Adapter, auth: &Server) -> Builder {
    match on {
        Adapter::Reqwest | Adapter::Tower => Session::builder_with(refresher(client_of(auth))),
        Adapter::Ureq => {
            let client = client_of(auth).build().expect("a client");
            Session::builder_blocking(refresh_grant(client))
        }
    }
}

/// An authorization server that mints `access-2`, `access-3` and so on, for an hour each.
pub(crate) async fn minting() -> Server {
    let minted = Arc::new(AtomicUsize::new(1));
    Server::answering(move |_| {
        let next = 1 + minted.fetch_add(1, Ordering::SeqCst);
        answer("200 OK", &[], &token_response(next))
    })
    .await
}

pub(crate) fn token_response(number: usize) -> String {
    format!(
        r#"{{"access_token":"access-{number}","refresh_token":"refresh-{number}","expires_in":3600}}"#
    )
}

/// The answer that a request came to.
pub(crate) async fn answered(request: JoinHandle<Result<Answered, Failed>>) -> Answered {
    soon(request).await.expect("a task").expect("an answer")
}

/// The same, read to its end.
pub(crate) async fn response(request: JoinHandle<Result<Answered, Failed>>) -> (u16, String) {
    let answered = answered(request).await;
    (answered.status, soon(answered.text()).await.expect("a body, whole"))
}

/// The error that a request came to, which shows no secret.
pub(crate) async fn failed(request: JoinHandle<Result<Answered, Failed>>) -> Failed {
    let Err(failed) = soon(request).await.expect("a task") else { panic!("an answer") };
    let shown = failed.shown();
    for secret in SECRETS {
        assert!(!shown.contains(secret), "`{secret}` is shown: {shown}");
    }
    failed
}

/// The session's error that a request came to.
pub(crate) async fn refusal(request: JoinHandle<Result<Answered, Failed>>) -> session::Error {
    let failed = failed(request).await;
    let refused = failed.refused().unwrap_or_else(|| panic!("another failure: {failed:?}"));
    assert_mannered(refused);
    let Refused::NoToken { error, .. } = refused else { panic!("another refusal: {refused:?}") };
    error.clone()
}

/// The next request at the resource server, which must carry `bearer`.
pub(crate) async fn next_with(api: &mut Server, bearer: &str) -> Exchange {
    let exchange = api.next().await;
    assert_eq!(exchange.received.bearer(), bearer);
    exchange
}
