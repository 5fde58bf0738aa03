//! Middleware for `reqwest-middleware`: requests go out with a good token, and a 401 is absorbed.
//!
//! ```no_run
//! use perennial::adapters::reqwest::BearerMiddleware;
//! use perennial::interceptor::Interceptor;
//! # use perennial::session::Session;
//! # async fn example(session: Session) -> Result<(), Box<dyn std::error::Error>> {
//! let interceptor = Interceptor::builder(session).origin("https://api.example.com").build()?;
//! let client = BearerMiddleware::client(interceptor, reqwest::Client::builder())?.build();
//! let answer = client.get("https://api.example.com/things").send().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Before a request the token is attached, refreshed first where it is due (rule E1). After a 401
//! the token that the request carried is rejected, and the request replayed once with another
//! (rule E2), if its body can be sent again (rule E3).
//!
//! # Redirects
//! This middleware follows them, and the client that it makes does not: `reqwest` itself compares a hop
//! with the one before alone, and so sends on the second hop at a foreign host the header that it
//! dropped on the first. Here the token goes to the interceptor's origins, and from the first hop
//! beyond them on nowhere (rule E5). Hence the client is made here, of a builder; a redirect policy of the
//! builder's is replaced: see
//! [`max_redirects`](crate::interceptor::InterceptorBuilder::max_redirects). Middleware within this one
//! sees each hop, and each hop has the request's timeout anew. The token that an answer's request carried is
//! among its extensions, as an [`AccessToken`].
//!
//! # Proxies
//! Plain http to this machine is readable to any proxy on the way (rule E5). Where all origins are such,
//! the client is made without any. Where some are, a request to them for which the environment sets a proxy
//! (`HTTP_PROXY`, `ALL_PROXY`) is refused, unless `NO_PROXY` exempts it. A proxy that is set by the builder's
//! own `proxy` cannot be seen from here: exempt this machine there.
//!
//! # Early answers
//! A server that answers 401 to the head of a large request and reads on is heard, and the token rejected.
//! One that closes the connection at once may break it before its answer is read: the request then fails
//! with the client's own error, and nothing is known of the token. `Expect: 100-continue` is not
//! `reqwest`'s.

use http::Extensions;
use http::header::AUTHORIZATION;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{Client, ClientBuilder, Request, Response, Url, redirect};
use reqwest_middleware::{Error, Middleware, Next, Result};
use std::boxed::Box;
use std::fmt;
use std::sync::Arc;

use crate::interceptor::redirect::{Hop, HopBody, HopResponse, target};
use crate::interceptor::{Interceptor, Refused, RequestTarget, ResponseHead};
use crate::token::AccessToken;
use crate::verdict::{Attempt, Body, ResponseOrigin, Verdict};

/// Attaches a session's access token as `Authorization: Bearer` (RFC 6750, section 2.1).
///
/// # Errors
/// Requests fail with [`reqwest_middleware::Error::Middleware`] that holds a
/// [`Refused`] where no token could be had, or where it must not be sent. Its text says why, and
/// [`session::Error::find`](crate::session::Error::find) has the session's error of it.
#[derive(Clone)]
pub struct BearerMiddleware {
    interceptor: Interceptor,
    /// The environment's proxies; nothing where the client uses none.
    proxies: Option<Arc<Matcher>>,
}

impl BearerMiddleware {
    /// A client whose requests `interceptor` prepares. Middleware that is added to it comes within: it sees
    /// each request that is sent, with its token.
    ///
    /// # Errors
    /// Where the HTTP client cannot be made.
    pub fn client(
        interceptor: Interceptor,
        http: ClientBuilder,
    ) -> reqwest::Result<reqwest_middleware::ClientBuilder> {
        let (bearer, client) = Self::with_client(interceptor, http)?;
        Ok(reqwest_middleware::ClientBuilder::new(client).with(bearer))
    }

    /// The middleware and the client that it is for, for a chain with other middleware outside of it.
    /// With a client that follows redirects by itself, a token could go where it must not.
    ///
    /// # Errors
    /// Where the HTTP client cannot be made.
    pub fn with_client(
        interceptor: Interceptor,
        http: ClientBuilder,
    ) -> reqwest::Result<(Self, Client)> {
        let http = http.redirect(redirect::Policy::none());
        let local = interceptor.is_local();
        let http = if local { http.no_proxy() } else { http };
        let proxies = (!local).then(|| Arc::new(Matcher::from_system()));
        Ok((Self { interceptor, proxies }, http.build()?))
    }

    /// Refuses a token that would pass through a proxy in the clear.
    fn passes(&self, url: &Url) -> Result<()> {
        let (Some(proxies), Some(target)) = (&self.proxies, target(url)) else { return Ok(()) };
        if !target.is_plain_and_local() {
            return Ok(());
        }
        let read = url.as_str().parse().is_ok_and(|uri| proxies.intercept(&uri).is_some());
        if read { Err(refused(Refused::Proxied(target.to_origin()))) } else { Ok(()) }
    }

    fn handle_response(
        &self,
        token: &AccessToken,
        url: &Url,
        response: &Response,
        body: Body,
        attempt: Attempt,
    ) -> Verdict {
        // These differ only if the client followed a redirect in spite of its policy.
        let same_origin = match (target(url), target(response.url())) {
            (Some(asked), Some(answered)) => asked.is_same_as(answered),
            (Some(_) | None, Some(_) | None) => false,
        };
        let origin =
            if same_origin { ResponseOrigin::SameOrigin } else { ResponseOrigin::CrossOrigin };
        let head = ResponseHead { status: response.status(), headers: response.headers() };
        self.interceptor.handle_response(token, head, origin, body, attempt)
    }
}

impl fmt::Debug for BearerMiddleware {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("BearerMiddleware")
            .field("interceptor", &self.interceptor)
            .finish_non_exhaustive()
    }
}

fn refused(refused: Refused) -> Error {
    Error::middleware(refused)
}

fn request_target(url: &Url) -> RequestTarget<'_> {
    target(url).map_or(RequestTarget::Other, RequestTarget::Absolute)
}

/// The same request without its body.
fn head_of(request: &Request) -> Request {
    let mut head = Request::new(request.method().clone(), request.url().clone());
    *head.headers_mut() = request.headers().clone();
    *head.version_mut() = request.version();
    *head.timeout_mut() = request.timeout().copied();
    head
}

/// The request that a redirect asks for.
fn led_on(mut request: Request, hop: Hop) -> Request {
    hop.prepare(request.headers_mut());
    match hop.body {
        HopBody::Same => {}
        HopBody::Dropped => *request.body_mut() = None,
    }
    *request.method_mut() = hop.method;
    *request.url_mut() = hop.url;
    request
}

#[async_trait::async_trait]
impl Middleware for BearerMiddleware {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let departs = self.interceptor.begin(request_target(request.url()), request.headers());
        let mut route = departs.map_err(refused)?;
        let mut attempt = Attempt::First;
        loop {
            let again = request.try_clone();
            let body = if again.is_some() { Body::Replayable } else { Body::OneShot };
            let again = again.unwrap_or_else(|| head_of(&request));
            if route.carries_token() {
                self.passes(request.url())?;
            }
            let token = route.token(&self.interceptor).await.map_err(refused)?;
            if let Some(token) = &token {
                request.headers_mut().insert(AUTHORIZATION, token.header_value().clone());
            }
            let mut response = next.clone().run(request, extensions).await?;
            if let Some(token) = token {
                match self.handle_response(&token, again.url(), &response, body, attempt) {
                    Verdict::Replay => {
                        // The connection is free for the replay once the first answer is gone.
                        drop(response);
                        (request, attempt) = (again, Attempt::Second);
                        continue;
                    }
                    Verdict::Deliver(_) => {
                        response.extensions_mut().insert(token);
                    }
                }
            }
            let answered = HopResponse {
                url: response.url(),
                method: again.method(),
                body,
                status: response.status(),
                headers: response.headers(),
            };
            match route.follow(&self.interceptor, answered).map_err(refused)? {
                Some(hop) => request = led_on(again, hop),
                None => return Ok(response),
            }
        }
    }
}
