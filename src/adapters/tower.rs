//! A `tower` layer for hyper, tonic and every other client that is a `Service`: it attaches a valid
//! token to each request, and refreshes and replays after a 401.
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
//! The layer attaches the token before each request, and refreshes it first if it is due
//! ([E1](crate::spec#e-requests)). After a 401 it rejects the token that the request carried, and
//! replays the request once with another ([E2](crate::spec#e-requests)) if its body can be sent
//! again ([E3](crate::spec#e-requests)): [`Replay`] says which bodies can.
//!
//! For gRPC, `tonic` reports `UNAUTHENTICATED` with status 200 and a header: build the interceptor
//! with `.classify(perennial::interceptor::classify_grpc)`, and let the layer read small messages
//! ahead: `BearerLayer::new(interceptor).replaying(Ahead::new(65_536, tonic::body::Body::new))`.
//!
//! Clones share the session, and `poll_ready` is the inner service's. A response's extensions
//! contain the [`AccessToken`](crate::token::AccessToken) that its request carried.
//!
//! # Redirects
//! Most services do not follow redirects, and a redirect layer such as `tower-http`'s cannot tell
//! this layer which call a hop belongs to. Outside of this layer, it would get a token attached to
//! a URL within the interceptor's origins that a foreign host chose; inside, it would send the
//! token to foreign hosts. So this layer can follow redirects itself: see
//! [`BearerLayer::following_redirects`]. The token goes to the interceptor's origins, and is not
//! sent again after the first hop beyond them ([E5](crate::spec#e-requests)).
//!
//! # Proxies
//! This layer cannot see which proxy a service uses. Plain HTTP to this machine should not use a
//! proxy, which could read the token ([E5](crate::spec#e-requests)). hyper's own client uses none
//! by default.
//!
//! # Early responses
//! hyper reads a response that arrives while a body is still being sent, so a 401 to the head of a
//! large request is handled. If the server closes the connection immediately, that may fail the
//! request before its response is read: the service's error is returned, and the token is not
//! rejected.

mod call;
mod replay;

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::boxed::Box;

use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::interceptor::{Interceptor, RequestTarget};
use call::{Call, Redirects};

pub use call::BoxError;
pub use replay::{Ahead, Cloned, Empty, ReadAhead, Replay};

/// A layer that makes a service attach a session's access token as `Authorization: Bearer` (RFC
/// 6750, section 2.1).
#[derive(Clone, Debug)]
pub struct BearerLayer<R = Empty> {
    interceptor: Interceptor,
    replay: R,
    redirects: Redirects,
}

impl BearerLayer {
    /// Creates a layer with this interceptor, which replays requests without a body.
    pub fn new(interceptor: Interceptor) -> Self {
        Self { interceptor, replay: Empty, redirects: Redirects::Delivered }
    }
}

impl<R> BearerLayer<R> {
    /// Sets which bodies are replayed: see [`Cloned`] and [`Ahead`]. Default: empty ones.
    pub fn replaying<N>(self, replay: N) -> BearerLayer<N> {
        BearerLayer { interceptor: self.interceptor, replay, redirects: self.redirects }
    }

    /// Follows redirects, up to
    /// [`max_redirects`](crate::interceptor::InterceptorBuilder::max_redirects). A body is sent on
    /// if it can be replayed. Default: redirects are returned to the caller.
    #[must_use]
    pub fn following_redirects(mut self) -> Self {
        self.redirects = Redirects::Followed;
        self
    }
}

impl<S, R: Clone> Layer<S> for BearerLayer<R> {
    type Service = BearerService<S, R>;

    fn layer(&self, inner: S) -> BearerService<S, R> {
        BearerService {
            inner,
            interceptor: self.interceptor.clone(),
            replay: self.replay.clone(),
            redirects: self.redirects,
        }
    }
}

/// A service that attaches a session's access token.
///
/// # Errors
/// Those of the inner service, boxed; and [`Refused`](crate::interceptor::Refused) if there is no
/// token, or it must not be sent. Its text says why, and
/// [`session::Error::find`](crate::session::Error::find) returns the session's error in it.
///
/// # Cancellation
/// Dropping a call cancels its request, but not the refresh.
#[derive(Clone)]
pub struct BearerService<S, R = Empty> {
    inner: S,
    interceptor: Interceptor,
    replay: R,
    redirects: Redirects,
}

impl<S, R> fmt::Debug for BearerService<S, R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("BearerService")
            .field("interceptor", &self.interceptor)
            .finish_non_exhaustive()
    }
}

impl<S, R, B, A> Service<Request<B>> for BearerService<S, R>
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

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The service that was polled ready is used; its clone is for the next call.
        let clone = self.inner.clone();
        let mut inner = core::mem::replace(&mut self.inner, clone);
        let target = RequestTarget::from_uri(request.uri());
        let route = match self.interceptor.begin(target, request.headers()) {
            Ok(route) => route,
            Err(refused) => return Box::pin(async move { Err(refused.into()) }),
        };
        if !route.carries_token() && self.redirects == Redirects::Delivered {
            return Box::pin(async move { inner.call(request).await.map_err(Into::into) });
        }
        let interceptor = self.interceptor.clone();
        let (replay, redirects) = (self.replay.clone(), self.redirects);
        Box::pin(Call { inner, interceptor, replay, redirects }.run(request, route))
    }
}
