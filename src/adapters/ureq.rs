//! `ureq` 3, for programs without an async runtime: middleware that attaches a valid token to each
//! blocking request, and refreshes and replays after a 401; and OAuth 2.0 grants
//! ([`refresh_grant`]).
//!
//! ```no_run
//! use perennial::adapters::ureq::BlockingBearerMiddleware;
//! use perennial::interceptor::Interceptor;
//! # use perennial::session::Session;
//! # fn example(session: Session) -> Result<(), Box<dyn std::error::Error>> {
//! let interceptor = Interceptor::builder(session).origin("https://api.example.com").build()?;
//! let agent: ureq::Agent =
//!     ureq::Agent::config_builder().middleware(BlockingBearerMiddleware::new(interceptor)).build().into();
//! let things = agent.get("https://api.example.com/things").call()?.body_mut().read_to_string()?;
//! # Ok(())
//! # }
//! ```
//!
//! The middleware attaches the token before each request, and refreshes it first if it is due
//! ([E1](crate::spec#e-requests)), blocking the thread if it must wait. After a 401 it rejects the
//! token that the request carried, and replays the request once with another
//! ([E2](crate::spec#e-requests)).
//!
//! `ureq` does not show middleware what a body is. So a body of up to 64 KiB by default is read
//! ahead, and can be replayed; of a longer one, the part read ahead is sent first and the rest is
//! streamed after it, chunked, once ([E3](crate::spec#e-requests)). `ureq` does not let middleware
//! send twice either: a replay uses an agent of this middleware's own, with the request's
//! configuration, and skips any middleware that was added after this one; see
//! [`BlockingBearerMiddleware::replay_through`].
//!
//! An error that `ureq` makes of a response lacks the response's challenge and URL. So this
//! middleware sees responses as they are and makes the error itself; a program that wants responses
//! instead must set [`BlockingBearerMiddleware::http_status_as_error`] as well as its agent's
//! setting.
//!
//! # Redirects
//! This middleware follows redirects itself: `ureq` can restrict a header to one host, but not to
//! one origin, and another port may belong to somebody else. The token goes to the interceptor's
//! origins, and is not sent again after the first hop beyond them ([E5](crate::spec#e-requests)).
//! The limit is the interceptor's
//! [`max_redirects`](crate::interceptor::InterceptorBuilder::max_redirects) instead of the agent's,
//! and the request's timeouts start anew for each hop. Hops are sent like replays, so the history
//! of redirects, and a cookie that one sets, are those of the replaying agent.
//!
//! # Proxies
//! Plain HTTP to this machine bypasses any proxy, which could read the token
//! ([E5](crate::spec#e-requests)).
//!
//! # Early responses
//! `ureq` sends a whole body before it reads the response. A 401 to the head of a request is
//! handled if the server keeps reading the body. If it closes the connection, the request fails
//! with `ureq`'s error, and the token is not rejected. With `Expect: 100-continue` on the request,
//! `ureq` reads the response first.
//!
//! A response's extensions contain the [`AccessToken`] that its request carried.

mod grant;

use std::boxed::Box;
use std::io::{Cursor, Read};
use std::vec::Vec;

use http::header::{AUTHORIZATION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderValue, Method};
use ureq::middleware::{Middleware, MiddlewareNext};
use ureq::{Agent, Error, RequestExt as _, SendBody};

use crate::interceptor::redirect::{Hop, HopBody, HopResponse, Route};
use crate::interceptor::{Interceptor, Refused, RequestTarget, ResponseHead, Target};
use crate::token::AccessToken;
use crate::verdict::{Attempt, Body, ResponseOrigin, Verdict};

pub use grant::{client_credentials, refresh_grant, refresh_grant_through};

type Request<'a> = http::Request<SendBody<'a>>;
type Response = http::Response<ureq::Body>;

/// The default of [`BlockingBearerMiddleware::replay_limit`], in bytes: 64 KiB.
pub const DEFAULT_REPLAY_LIMIT: u64 = 64 * 1024;

/// Attaches a session's access token as `Authorization: Bearer` (RFC 6750, section 2.1).
///
/// # Errors
/// Requests fail with [`ureq::Error::Other`] containing a [`Refused`] if there is no token, or it
/// must not be sent. Its text says why, and [`session::Error::find`](crate::session::Error::find)
/// returns the session's error in it.
#[derive(Clone, Debug)]
pub struct BlockingBearerMiddleware {
    interceptor: Interceptor,
    replayer: Agent,
    replay_limit: u64,
    status_as_error: bool,
}

impl BlockingBearerMiddleware {
    /// Creates middleware with this interceptor.
    pub fn new(interceptor: Interceptor) -> Self {
        Self {
            interceptor,
            replayer: Agent::new_with_defaults(),
            replay_limit: DEFAULT_REPLAY_LIMIT,
            status_as_error: true,
        }
    }

    /// Sets the agent that sends replays. It must not have this middleware. Timeouts, TLS and proxy
    /// are taken from the request in any case. Default: an agent with `ureq`'s own transport and
    /// resolver.
    #[must_use]
    pub fn replay_through(mut self, agent: Agent) -> Self {
        self.replayer = agent;
        self
    }

    /// Sets how many bytes of a body are read ahead and kept for a replay. Longer bodies are sent
    /// once. Default: 64 KiB.
    #[must_use]
    pub fn replay_limit(mut self, bytes: u64) -> Self {
        self.replay_limit = bytes;
        self
    }

    /// Sets whether a status of 400 or more is an error. For requests that pass this middleware it
    /// replaces the agent's setting, which cannot be read from here. Default: true, as in `ureq`.
    #[must_use]
    pub fn http_status_as_error(mut self, as_error: bool) -> Self {
        self.status_as_error = as_error;
        self
    }

    fn handle_response(
        &self,
        token: &AccessToken,
        response: &Response,
        body: Body,
        attempt: Attempt,
    ) -> Verdict {
        let head = ResponseHead { status: response.status(), headers: response.headers() };
        self.interceptor.handle_response(token, head, ResponseOrigin::SameOrigin, body, attempt)
    }

    /// Sends a call's requests, one after the other: `first` through the chain, with what could be
    /// read ahead of its body, and the others with the replaying agent.
    fn run(
        &self,
        mut route: Route,
        mut parts: Parts,
        first: impl FnOnce(Request<'_>) -> Result<Response, Error>,
        kept: Kept<Box<dyn Read + '_>>,
    ) -> Result<(Response, Option<AccessToken>), Error> {
        let mut body = kept.body();
        let (mut bytes, mut rest) = kept.parts();
        let (mut first, mut attempt) = (Some(first), Attempt::First);
        loop {
            let token = route.token_blocking(&self.interceptor).map_err(refused)?;
            let mut send = |request: Request<'_>| match first.take() {
                Some(first) => first(request),
                None => self.replayer.run(request),
            };
            let request = attached(parts.clone(), token.as_ref());
            let response = match rest.take() {
                Some(rest) => {
                    let mut body = Cursor::new(&bytes).chain(rest);
                    send(configured(request, SendBody::from_reader(&mut body)))?
                }
                None => send_whole(request, &bytes, send)?,
            };
            if let Some(token) = &token {
                match self.handle_response(token, &response, body, attempt) {
                    Verdict::Deliver(_) => {}
                    // The connection is free for the replay once the first response is dropped.
                    Verdict::Replay => {
                        attempt = Attempt::Second;
                        continue;
                    }
                }
            }
            let answered = HopResponse {
                url: &parts.uri,
                method: &parts.method,
                body,
                status: response.status(),
                headers: response.headers(),
            };
            let hop = route.follow(&self.interceptor, answered).map_err(refused)?;
            let Some(hop) = hop else { return Ok((response, token)) };
            match hop.body {
                HopBody::Same => {}
                // An empty body can be sent any number of times.
                HopBody::Dropped => (bytes, body) = (Vec::new(), Body::Replayable),
            }
            lead_on(&mut parts, &hop)?;
        }
    }

    /// Returns the response, or the error that `ureq` would have made of it.
    fn deliver(
        &self,
        mut response: Response,
        token: Option<AccessToken>,
    ) -> Result<Response, Error> {
        let status = response.status();
        if self.status_as_error && (status.is_client_error() || status.is_server_error()) {
            return Err(Error::StatusCode(status.as_u16()));
        }
        if let Some(token) = token {
            response.extensions_mut().insert(token);
        }
        Ok(response)
    }
}

impl Middleware for BlockingBearerMiddleware {
    fn handle(&self, request: Request<'_>, next: MiddlewareNext<'_>) -> Result<Response, Error> {
        let target = RequestTarget::from_uri(request.uri());
        let route = self.interceptor.begin(target, request.headers()).map_err(refused)?;
        if !route.carries_token() {
            return next.handle(request);
        }
        let (parts, body) = request.into_parts();
        let kept = Kept::of(body, self.replay_limit).map_err(Error::Io)?;
        let (response, token) = self.run(route, parts, |it| next.handle(it), kept)?;
        self.deliver(response, token)
    }
}

fn refused(refused: Refused) -> Error {
    Error::Other(Box::new(refused))
}

/// Returns a request with its body, whose responses are not made errors, and whose redirects are
/// not followed.
fn configured(parts: Parts, body: SendBody<'_>) -> Request<'_> {
    let local = Target::from_uri(&parts.uri).is_some_and(Target::is_plain_and_local);
    let request = Request::from_parts(parts, body);
    let config = request.middleware_config().expect("what middleware is given has its agent");
    let config =
        config.http_status_as_error(false).max_redirects(0).max_redirects_will_error(false);
    if local { config.proxy(None).build() } else { config.build() }
}

fn attached(mut parts: Parts, token: Option<&AccessToken>) -> Parts {
    if let Some(token) = token {
        parts.headers.insert(AUTHORIZATION, token.header_value().clone());
    }
    parts
}

/// Changes a request's head to that of the next hop.
fn lead_on(parts: &mut Parts, hop: &Hop) -> Result<(), Error> {
    hop.prepare(&mut parts.headers);
    parts.method = hop.method.clone();
    parts.uri = hop.url.as_str().parse().map_err(|error| Error::Http(http::Error::from(error)))?;
    Ok(())
}

/// What could be read ahead of a body.
enum Kept<R> {
    /// All of it.
    Whole(Vec<u8>),
    /// The beginning, and the rest.
    Begun(Vec<u8>, R),
}

impl<'a> Kept<Box<dyn Read + 'a>> {
    fn of(body: SendBody<'a>, limit: u64) -> std::io::Result<Self> {
        let mut rest: Box<dyn Read + 'a> = Box::new(body.into_reader());
        let mut start = Vec::new();
        let read = rest.by_ref().take(limit.saturating_add(1)).read_to_end(&mut start)?;
        let whole = u64::try_from(read).is_ok_and(|read| read <= limit);
        Ok(if whole { Self::Whole(start) } else { Self::Begun(start, rest) })
    }
}

impl<R> Kept<R> {
    fn body(&self) -> Body {
        match self {
            Self::Whole(_) => Body::Replayable,
            Self::Begun(..) => Body::OneShot,
        }
    }

    fn parts(self) -> (Vec<u8>, Option<R>) {
        match self {
            Self::Whole(bytes) => (bytes, None),
            Self::Begun(start, rest) => (start, Some(rest)),
        }
    }
}

/// Sends a request with a complete body.
fn send_whole(
    mut parts: Parts,
    bytes: &[u8],
    send: impl FnOnce(Request<'_>) -> Result<Response, Error>,
) -> Result<Response, Error> {
    let expects_body = [Method::POST, Method::PUT, Method::PATCH].contains(&parts.method);
    if bytes.is_empty() && !expects_body {
        return send(configured(parts, SendBody::none()));
    }
    let framed =
        [CONTENT_LENGTH, TRANSFER_ENCODING].iter().any(|it| parts.headers.contains_key(it));
    if !framed {
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    }
    send(configured(parts, SendBody::from_reader(&mut Cursor::new(bytes))))
}
