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
//! `.classify(perennial::interceptor::classify_grpc)`, and let the layer read small messages ahead:
//! `BearerLayer::new(interceptor).replaying(Ahead::new(65_536, tonic::body::Body::new))`.
//!
//! Clones share the session, and `poll_ready` is the inner service's. The token that an answer's
//! request carried is among its extensions, as an [`AccessToken`](crate::token::AccessToken).
//!
//! # Redirects
//! A service follows none; a layer that does, such as `tower-http`'s, cannot tell this one which request is
//! a hop of which call. Outside of this layer it has a token attached within the interceptor's origins also
//! at a URL that a foreign host chose; inside it sends the token on where it must not. So this layer follows
//! by itself where it is told to, [`BearerLayer::following_redirects`]: the token goes to the interceptor's
//! origins, and from the first hop beyond them on nowhere (rule E5).
//!
//! # Proxies
//! Which proxy a service goes through is not seen from here. Plain http to this machine should go through
//! none, which could read the token (rule E5): hyper's own client uses none unless it is told to.
//!
//! # Early answers
//! hyper reads an answer that comes while a body is still going out, so a 401 to the head of a large
//! request is heard, and the token rejected. A server that closes the connection at once may break it before
//! its answer is read: the request then fails with the service's error, and nothing is known of the token.

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

/// Makes a service attach a session's access token as `Authorization: Bearer` (RFC 6750, section
/// 2.1).
#[derive(Clone, Debug)]
pub struct BearerLayer<R = Empty> {
    interceptor: Interceptor,
    replay: R,
    redirects: Redirects,
}

impl BearerLayer {
    /// A layer that obeys `interceptor`, and sends requests without a body again where need be.
    pub fn new(interceptor: Interceptor) -> Self {
        Self { interceptor, replay: Empty, redirects: Redirects::Delivered }
    }
}

impl<R> BearerLayer<R> {
    /// Which bodies are sent again [empty ones]: see [`Cloned`] and [`Ahead`].
    pub fn replaying<N>(self, replay: N) -> BearerLayer<N> {
        BearerLayer { interceptor: self.interceptor, replay, redirects: self.redirects }
    }

    /// Follows redirects [they are the caller's answer], up to
    /// [`max_redirects`](crate::interceptor::InterceptorBuilder::max_redirects) of them. Bodies are sent on
    /// where they can be sent again.
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
/// Those of the inner service, boxed; and [`Refused`](crate::interceptor::Refused) where no token
/// could be had, or where it must not be sent. Its text says why, and
/// [`session::Error::find`](crate::session::Error::find) has the session's error of it.
///
/// # Cancellation
/// Dropping a call drops the request that is out, and not the refresh (rule C4).
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
        // The one that was found ready is used; its clone is for the next.
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
