//! A `tower` layer for hyper, tonic and every other client that is a `Service`: requests go out with
//! a good token, and a 401 is absorbed.
//!
//! ```
//! use perennial::adapters::tower::BearerLayer;
//! use perennial::interceptor::Interceptor;
//! # use perennial::session::Session;
//! # fn example<C>(session: Session, client: C) -> Result<(), Box<dyn std::error::Error>> {
//! let interceptor = Interceptor::builder(session).origin("https://api.example.com").build()?;
//! let client = tower::ServiceBuilder::new().layer(BearerLayer::new(interceptor)).service(client);
//! # let _ = client;
//! # Ok(())
//! # }
//! ```
//!
//! Before a request the token is attached, refreshed first where it is due (rule E1). After a 401
//! the token that the request carried is rejected, and the request replayed once with another
//! (rule E2), if its body can be sent again (rule E3): [`Replay`] says which bodies can.
//!
//! For gRPC, `tonic` answers `UNAUTHENTICATED` with a 200 and a header: build the interceptor with
//! `.finding(perennial::interceptor::grpc_finding)`, and let the layer read small messages ahead:
//! `BearerLayer::new(interceptor).replaying(Ahead::new(65_536, tonic::body::Body::new))`.
//!
//! Clones share the session, and `poll_ready` is the inner service's. The token that an answer's
//! request carried is among its extensions, as an [`AccessToken`]. A layer that follows redirects
//! belongs outside of this one, or else must drop the token on the way to another host (rule E5).

mod replay;

use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll};
use std::boxed::Box;
use std::error::Error as StdError;

use http::header::AUTHORIZATION;
use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::interceptor::{Answer, Interceptor, RequestTarget};
use crate::token::AccessToken;
use crate::verdict::{Attempt, Body, Place, Verdict};

pub use replay::{Ahead, Cloned, Empty, ReadAhead, Replay};

/// Any error of the inner service, or a [`Refused`](crate::interceptor::Refused).
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Makes a service attach a session's access token as `Authorization: Bearer` (RFC 6750, section
/// 2.1).
#[derive(Clone, Debug)]
pub struct BearerLayer<R = Empty> {
    interceptor: Interceptor,
    replay: R,
}

impl BearerLayer {
    /// A layer that obeys `interceptor`, and sends requests without a body again where need be.
    pub fn new(interceptor: Interceptor) -> Self {
        Self { interceptor, replay: Empty }
    }
}

impl<R> BearerLayer<R> {
    /// Which bodies are sent again [empty ones]: see [`Cloned`] and [`Ahead`].
    pub fn replaying<N>(self, replay: N) -> BearerLayer<N> {
        BearerLayer { interceptor: self.interceptor, replay }
    }
}

impl<S, R: Clone> Layer<S> for BearerLayer<R> {
    type Service = Bearer<S, R>;

    fn layer(&self, inner: S) -> Bearer<S, R> {
        Bearer { inner, interceptor: self.interceptor.clone(), replay: self.replay.clone() }
    }
}

/// A service that attaches a session's access token.
///
/// # Errors
/// Those of the inner service, boxed; and [`Refused`](crate::interceptor::Refused) where no token
/// could be had, or where it must not be sent.
///
/// # Cancellation
/// Dropping a call drops the request that is out, and not the refresh (rule C4).
#[derive(Clone)]
pub struct Bearer<S, R = Empty> {
    inner: S,
    interceptor: Interceptor,
    replay: R,
}

impl<S, R> fmt::Debug for Bearer<S, R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Bearer")
            .field("interceptor", &self.interceptor)
            .finish_non_exhaustive()
    }
}

impl<S, R, B, A> Service<Request<B>> for Bearer<S, R>
where
    S: Service<Request<B>, Response = Response<A>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    R: Replay<B> + Clone + Send + 'static,
    B: Send + 'static,
    A: Send + 'static,
{
    type Response = Response<A>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<A>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // The one that was found ready is used; its clone is for the next.
        let clone = self.inner.clone();
        let inner = core::mem::replace(&mut self.inner, clone);
        match self.interceptor.attaches(RequestTarget::of_uri(request.uri()), request.headers()) {
            Ok(true) => {}
            Ok(false) => {
                let mut inner = inner;
                return Box::pin(async move { inner.call(request).await.map_err(Into::into) });
            }
            Err(refused) => return Box::pin(async move { Err(refused.into()) }),
        }
        let again = self.replay.keep(request.body_mut());
        let (parts, body) = request.into_parts();
        let again = again.map(|body| Request::from_parts(parts.clone(), body));
        let exchange = Exchange { inner, interceptor: self.interceptor.clone() };
        Box::pin(exchange.run(Request::from_parts(parts, body), again))
    }
}

/// One request, sent once or twice.
struct Exchange<S> {
    inner: S,
    interceptor: Interceptor,
}

impl<S> Exchange<S> {
    async fn run<B, A>(
        mut self,
        request: Request<B>,
        again: Option<Request<B>>,
    ) -> Result<Response<A>, BoxError>
    where
        S: Service<Request<B>, Response = Response<A>>,
        S::Error: Into<BoxError>,
    {
        let body = if again.is_some() { Body::Again } else { Body::Once };
        let (response, token) = self.send(request).await?;
        match (self.judge(&token, &response, body, Attempt::First), again) {
            (Verdict::Replay, Some(again)) => {
                drop(response);
                poll_fn(|cx| self.inner.poll_ready(cx)).await.map_err(Into::into)?;
                let (response, token) = self.send(again).await?;
                let _delivered = self.judge(&token, &response, body, Attempt::Second);
                Ok(carrying(response, token))
            }
            (Verdict::Replay | Verdict::Deliver(_), _) => Ok(carrying(response, token)),
        }
    }

    async fn send<B, A>(
        &mut self,
        mut request: Request<B>,
    ) -> Result<(Response<A>, AccessToken), BoxError>
    where
        S: Service<Request<B>, Response = Response<A>>,
        S::Error: Into<BoxError>,
    {
        let refused = |error| BoxError::from(crate::interceptor::Refused::NoToken(error));
        let token = self.interceptor.token().await.map_err(refused)?;
        request.headers_mut().insert(AUTHORIZATION, token.header_value().clone());
        let response = self.inner.call(request).await.map_err(Into::into)?;
        Ok((response, token))
    }

    fn judge<A>(
        &self,
        token: &AccessToken,
        response: &Response<A>,
        body: Body,
        attempt: Attempt,
    ) -> Verdict {
        let answer = Answer { status: response.status(), headers: response.headers() };
        self.interceptor.judge(token, answer, Place::Home, body, attempt)
    }
}

fn carrying<A>(mut response: Response<A>, token: AccessToken) -> Response<A> {
    response.extensions_mut().insert(token);
    response
}
