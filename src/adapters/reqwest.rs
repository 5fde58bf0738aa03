//! Middleware for `reqwest-middleware`: it attaches a valid token to each request, and refreshes
//! and replays after a 401.
//!
//! ```no_run
//! use perennial::adapters::reqwest::BearerMiddleware;
//! use perennial::interceptor::Interceptor;
//! # use perennial::session::Session;
//! # async fn example(session: Session) -> Result<(), Box<dyn std::error::Error>> {
//! let interceptor = Interceptor::builder(session).origin("https://api.example.com").build()?;
//! let client = BearerMiddleware::client(interceptor, reqwest::Client::builder())?.build();
//! let response = client.get("https://api.example.com/things").send().await?;
//! # Ok(())
//! # }
//! ```
//!
//! The middleware attaches the token before each request, and refreshes it first if it is due
//! ([E1](crate::spec#e-requests)). After a 401 it rejects the token that the request carried, and
//! replays the request once with another ([E2](crate::spec#e-requests)) if its body can be sent
//! again ([E3](crate::spec#e-requests)).
//!
//! # Redirects
//! This middleware follows redirects itself, and configures its client not to: `reqwest` compares a
//! hop only with the one before, so on the second hop at a foreign host it sends the header that it
//! dropped on the first. Here the token goes to the interceptor's origins, and is not sent again
//! after the first hop beyond them ([E5](crate::spec#e-requests)). That is why the client is made
//! here from a builder, whose redirect policy is replaced; the limit is
//! [`max_redirects`](crate::interceptor::InterceptorBuilder::max_redirects).
//!
//! Inner middleware sees each hop, and the request's timeout starts anew for each. A response's
//! extensions contain the [`AccessToken`] that its request carried.
//!
//! # Proxies
//! Any proxy on the way could read plain HTTP to this machine ([E5](crate::spec#e-requests)). If
//! all origins are of that kind, the client uses no proxy. If some are, requests to those fail if
//! the environment sets a proxy for them (`HTTP_PROXY`, `ALL_PROXY`) and `NO_PROXY` does not exempt
//! them. A proxy set with the builder's own `proxy` cannot be seen from here: exempt this machine
//! there.
//!
//! # Early responses
//! A 401 to the head of a large request is handled if the server keeps reading the body. If it
//! closes the connection immediately, that may fail the request before its response is read: the
//! client's error is returned, and the token is not rejected. `reqwest` does not support `Expect:
//! 100-continue`.

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
/// Requests fail with [`reqwest_middleware::Error::Middleware`] containing a [`Refused`] if there
/// is no token, or it must not be sent. Its text says why, and
/// [`session::Error::find`](crate::session::Error::find) returns the session's error in it.
#[derive(Clone)]
pub struct BearerMiddleware {
    interceptor: Interceptor,
    /// The environment's proxies; `None` if the client uses none.
    proxies: Option<Arc<Matcher>>,
}

impl BearerMiddleware {
    /// Creates a client whose requests carry the interceptor's token. Middleware added to it is
    /// inner middleware: it sees each request that is sent, with its token.
    ///
    /// # Errors
    /// If the HTTP client cannot be built.
    pub fn client(
        interceptor: Interceptor,
        http: ClientBuilder,
    ) -> reqwest::Result<reqwest_middleware::ClientBuilder> {
        let (bearer, client) = Self::with_client(interceptor, http)?;
        Ok(reqwest_middleware::ClientBuilder::new(client).with(bearer))
    }

    /// Creates the middleware and its client separately, for a chain with outer middleware. Use no
    /// other client: one that follows redirects by itself could send a token to a foreign host.
    ///
    /// # Errors
    /// If the HTTP client cannot be built.
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

    /// Returns an error for a token that would pass through a proxy in the clear.
    fn passes(&self, url: &Url) -> Result<()> {
        let (Some(proxies), Some(target)) = (&self.proxies, target(url)) else { return Ok(()) };
        if !target.is_plain_and_local() {
            return Ok(());
        }
        let read = url.as_str().parse().is_ok_and(|uri| proxies.intercept(&uri).is_some());
        if !read {
            return Ok(());
        }
        Err(refused(self.interceptor.refused(Refused::Proxied(target.to_origin()))))
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

/// Returns the same request without its body.
fn head_of(request: &Request) -> Request {
    let mut head = Request::new(request.method().clone(), request.url().clone());
    *head.headers_mut() = request.headers().clone();
    *head.version_mut() = request.version();
    *head.timeout_mut() = request.timeout().copied();
    head
}

/// Returns the request that a redirect asks for.
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
                        // The connection is free for the replay once the first response is dropped.
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
