//! `ureq` 3, for programs without any runtime: middleware by which blocking requests go out with a
//! good token and a 401 is absorbed, and grants of OAuth 2.0 ([`refresh_grant`]).
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
//! Before a request the token is attached, refreshed first where it is due (rule E1); a thread that
//! has to wait for that does. After a 401 the token that the request carried is rejected, and the
//! request replayed once with another (rule E2).
//!
//! `ureq` does not tell middleware what a body is. So one of up to [64 KiB] is read ahead, and can
//! be sent again; of a longer one what was read ahead goes out first and the rest streams behind
//! it, in chunks, once (rule E3). Nor does it let middleware send twice: a replay goes through an
//! agent of this middleware's own, with the request's configuration, and past any middleware that
//! was added after this one; see [`BlockingBearerMiddleware::replay_through`].
//!
//! An answer that `ureq` makes an error of would have lost its challenge and where it came from. So
//! this middleware sees answers as they are and makes the error itself; a program that wants
//! answers tells [`BlockingBearerMiddleware::http_status_as_error`] as well as its agent.
//!
//! # Redirects
//! This middleware follows them, and not `ureq`, which can keep a header within one host, but not within
//! one origin: another port may be somebody else's. The token goes to the interceptor's origins, and from
//! the first hop beyond them on nowhere (rule E5). How many are followed is the interceptor's
//! [`max_redirects`](crate::interceptor::InterceptorBuilder::max_redirects), in place of the agent's; each
//! hop has the request's timeouts anew. Hops go the way of replays, so that the history of redirects, and
//! a cookie that one sets, are the replayer's.
//!
//! # Proxies
//! Plain http to this machine goes past any proxy, which could read the token (rule E5).
//!
//! # Early answers
//! `ureq` sends a body whole before it looks for an answer. A server that answers 401 to the head and reads
//! on is heard in the end; one that closes the connection breaks the request, which fails with `ureq`'s
//! error, and nothing is known of the token. `Expect: 100-continue` on such a request has `ureq` look first.
//!
//! The token that an answer's request carried is among its extensions, as an [`AccessToken`].

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

/// How much of a body is kept for a replay by default, in bytes.
pub const DEFAULT_REPLAY_LIMIT: u64 = 64 * 1024;

/// Attaches a session's access token as `Authorization: Bearer` (RFC 6750, section 2.1).
///
/// # Errors
/// Requests fail with [`ureq::Error::Other`] that holds a
/// [`Refused`] where no token could be had, or where it must not be sent. Its text says why, and
/// [`session::Error::find`](crate::session::Error::find) has the session's error of it.
#[derive(Clone, Debug)]
pub struct BlockingBearerMiddleware {
    interceptor: Interceptor,
    replayer: Agent,
    replay_limit: u64,
    status_as_error: bool,
}

impl BlockingBearerMiddleware {
    /// Middleware that obeys `interceptor`.
    pub fn new(interceptor: Interceptor) -> Self {
        Self {
            interceptor,
            replayer: Agent::new_with_defaults(),
            replay_limit: DEFAULT_REPLAY_LIMIT,
            status_as_error: true,
        }
    }

    /// The agent that sends replays [one with `ureq`'s own transport and resolver]. It must not have
    /// this middleware. Configuration such as timeouts, TLS and proxy is the request's in any case.
    #[must_use]
    pub fn replay_through(mut self, agent: Agent) -> Self {
        self.replayer = agent;
        self
    }

    /// How many bytes of a body are read ahead and kept for a replay [64 KiB]. Longer bodies are
    /// sent once.
    #[must_use]
    pub fn replay_limit(mut self, bytes: u64) -> Self {
        self.replay_limit = bytes;
        self
    }

    /// Whether a status of 400 or more is an error \[true, as with `ureq`\]. For requests that pass
    /// this middleware it takes the place of the agent's setting, which cannot be read from here.
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

    /// Sends a call's requests, one after the other: `first` through the chain, with what could be read
    /// ahead of its body, and the others by the replayer.
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
                    // The connection is free for the replay once the first answer is gone.
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
                // Nothing can be sent as often as one likes.
                HopBody::Dropped => (bytes, body) = (Vec::new(), Body::Replayable),
            }
            lead_on(&mut parts, &hop)?;
        }
    }

    /// The answer, or the error that `ureq` would have made of it.
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

/// A request with its body, whose answers are not made errors of, and whose redirects are not followed.
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

/// Makes a request's head that of the next hop.
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
    /// The start of it, and what comes behind.
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

/// Sends a request with a body that is at hand.
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
