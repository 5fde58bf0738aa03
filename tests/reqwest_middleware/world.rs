//! A client with the middleware, a resource server and an authorization server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use perennial::adapters::reqwest::Bearer;
use perennial::interceptor::{Interceptor, InterceptorBuilder, Refused};
use perennial::session::{self, Session};
use perennial::testing::VirtualTime;
use perennial::token::Grant;
use reqwest::Response;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Error};
use tokio::task::JoinHandle;

use crate::wire::scene::{HOUR, START, builder, client_of, refresher};
use crate::wire::{Exchange, Received, Server, answer, assert_mannered, soon};

pub(crate) const UNAUTHORIZED: &str = "401 Unauthorized";

/// A client, whose session holds `access-1` for an hour, and the two servers that it speaks to.
pub(crate) struct World {
    pub(crate) auth: Server,
    pub(crate) api: Server,
    pub(crate) time: VirtualTime,
    pub(crate) session: Session,
    pub(crate) client: ClientWithMiddleware,
}

impl World {
    /// Both servers wait to be told.
    pub(crate) async fn new() -> Self {
        Self::of(Server::start().await, Server::start().await)
    }

    /// A resource server that answers by itself.
    pub(crate) async fn with_api(
        api: impl Fn(&Received) -> String + Send + Sync + 'static,
    ) -> Self {
        Self::of(minting().await, Server::answering(api).await)
    }

    pub(crate) fn of(auth: Server, api: Server) -> Self {
        let time = VirtualTime::at(START);
        let refresher = refresher(client_of(&auth));
        let grant = Grant::new("access-1", "refresh-1", HOUR);
        let session = builder(refresher, &time).grant(grant).build().expect("a session");
        let client = client(bearer(anywhere(&session).patience(Duration::ZERO)));
        Self { auth, api, time, session, client }
    }

    /// A GET that is on its way.
    pub(crate) fn get(&self) -> JoinHandle<Result<Response, Error>> {
        send(self.client.get(self.api.url("/things")))
    }
}

/// A request that is on its way.
pub(crate) fn send(
    request: reqwest_middleware::RequestBuilder,
) -> JoinHandle<Result<Response, Error>> {
    tokio::spawn(request.send())
}

/// An interceptor that may send the token anywhere.
pub(crate) fn anywhere(session: &Session) -> InterceptorBuilder {
    Interceptor::builder(session.clone()).any_origin()
}

pub(crate) fn bearer(interceptor: InterceptorBuilder) -> Bearer {
    Bearer::new(interceptor.build().expect("an interceptor"))
}

pub(crate) fn client(bearer: Bearer) -> ClientWithMiddleware {
    ClientBuilder::new(reqwest::Client::new()).with(bearer).build()
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

/// The response that a request came to.
pub(crate) async fn response(request: JoinHandle<Result<Response, Error>>) -> (u16, String) {
    let response = soon(request).await.expect("a task").expect("a response");
    let status = response.status().as_u16();
    (status, soon(response.text()).await.expect("a body, whole"))
}

/// The session's error that a request came to.
pub(crate) async fn failure(request: JoinHandle<Result<Response, Error>>) -> session::Error {
    match soon(request).await.expect("a task").expect_err("a failure") {
        Error::Middleware(error) => {
            let refused = error.downcast_ref::<Refused>().expect("the interceptor's error");
            assert_mannered(refused);
            match refused {
                Refused::NoToken(error) => error.clone(),
                other => panic!("another refusal: {other:?}"),
            }
        }
        Error::Reqwest(error) => panic!("another failure: {error:?}"),
    }
}

/// The next request at the resource server, which must carry `bearer`.
pub(crate) async fn next_with(api: &mut Server, bearer: &str) -> Exchange {
    let exchange = api.next().await;
    assert_eq!(exchange.received.bearer(), bearer);
    exchange
}
