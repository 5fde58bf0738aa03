//! `ureq` 3, for programs without any runtime: middleware by which blocking requests go out with a
//! good token and a 401 is absorbed, and grants of OAuth 2.0 ([`refresh_grant`]).
//!
//! ```no_run
//! use perennial::adapters::ureq::Bearer;
//! use perennial::interceptor::Interceptor;
//! # use perennial::session::Session;
//! # fn example(session: Session) -> Result<(), Box<dyn std::error::Error>> {
//! let interceptor = Interceptor::builder(session).origin("https://api.example.com").build()?;
//! let agent: ureq::Agent =
//!     ureq::Agent::config_builder().middleware(Bearer::new(interceptor)).build().into();
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
//! was added after this one; see [`Bearer::replay_through`].
//!
//! An answer that `ureq` makes an error of would have lost its challenge and where it came from. So
//! this middleware sees answers as they are and makes the error itself; a program that wants
//! answers tells [`Bearer::http_status_as_error`] as well as its agent.
//!
//! `ureq` follows redirects by itself, and can keep a header within one host, but not within one
//! origin: another port may be somebody else's. So it drops the token on every redirect, and what
//! is answered there says nothing of it (rule E5). A GET or HEAD that was led on within its origin,
//! and is told there that it has no token, is sent there once more with it.
//!
//! The token that an answer's request carried is among its extensions, as an [`AccessToken`].

mod grant;

use std::boxed::Box;
use std::io::{Cursor, Read};
use std::vec::Vec;

use http::header::{AUTHORIZATION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, Uri};
use ureq::config::RedirectAuthHeaders;
use ureq::middleware::{Middleware, MiddlewareNext};
use ureq::{Agent, Error, RequestExt as _, ResponseExt as _, SendBody};

use crate::interceptor::{Answer, Interceptor, Refused, RequestTarget, Target};
use crate::token::AccessToken;
use crate::verdict::{Attempt, Body, Place, Verdict};

pub use grant::{client_credentials, refresh_grant, refresh_grant_through};

type Request<'a> = http::Request<SendBody<'a>>;
type Response = http::Response<ureq::Body>;

/// How much of a body is kept for a replay by default, in bytes.
pub const DEFAULT_REPLAY_LIMIT: u64 = 64 * 1024;

/// Attaches a session's access token as `Authorization: Bearer` (RFC 6750, section 2.1).
///
/// # Errors
/// Requests fail with [`ureq::Error::Other`] that holds a
/// [`Refused`] where no token could be had, or where it must not be
/// sent.
#[derive(Clone, Debug)]
pub struct Bearer {
    interceptor: Interceptor,
    replayer: Agent,
    replay_limit: u64,
    status_as_error: bool,
}

impl Bearer {
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

    fn token(&self) -> Result<AccessToken, Error> {
        self.interceptor.token().wait().map_err(|error| refused(error.into()))
    }

    fn judge(
        &self,
        token: &AccessToken,
        response: &Response,
        body: Body,
        attempt: Attempt,
    ) -> Verdict {
        let place = if was_led_on(response) { Place::Elsewhere } else { Place::Home };
        let answer = Answer { status: response.status(), headers: response.headers() };
        self.interceptor.judge(token, answer, place, body, attempt)
    }

    /// Sends a request whose body is at hand: `first` through the chain, and again where that helps.
    fn exchange(
        &self,
        mut parts: Parts,
        bytes: &[u8],
        first: impl FnOnce(Request<'_>) -> Result<Response, Error>,
    ) -> Result<(Response, AccessToken), Error> {
        let again = |request: Request<'_>| self.replayer.run(request);
        let token = self.token()?;
        let mut response = send_whole(parts.clone(), &token, bytes, first)?;
        if let Some(uri) = led_on_to(&parts, &response) {
            drop(response);
            parts.uri = uri;
            response = send_whole(parts.clone(), &token, bytes, again)?;
        }
        match self.judge(&token, &response, Body::Again, Attempt::First) {
            Verdict::Deliver(_) => Ok((response, token)),
            Verdict::Replay => {
                // The connection is free for the replay once the first answer is gone.
                drop(response);
                let token = self.token()?;
                let response = send_whole(parts, &token, bytes, again)?;
                let _delivered = self.judge(&token, &response, Body::Again, Attempt::Second);
                Ok((response, token))
            }
        }
    }

    /// The answer, or the error that `ureq` would have made of it.
    fn deliver(&self, mut response: Response, token: AccessToken) -> Result<Response, Error> {
        let status = response.status();
        if self.status_as_error && (status.is_client_error() || status.is_server_error()) {
            return Err(Error::StatusCode(status.as_u16()));
        }
        response.extensions_mut().insert(token);
        Ok(response)
    }
}

impl Middleware for Bearer {
    fn handle(&self, request: Request<'_>, next: MiddlewareNext<'_>) -> Result<Response, Error> {
        let target = RequestTarget::of_uri(request.uri());
        if !self.interceptor.attaches(target, request.headers()).map_err(refused)? {
            return next.handle(request);
        }
        let (parts, body) = request.into_parts();
        let (response, token) = match Kept::of(body, self.replay_limit).map_err(Error::Io)? {
            Kept::Whole(bytes) => self.exchange(parts, &bytes, |it| next.handle(it))?,
            Kept::Begun(start, rest) => {
                let token = self.token()?;
                let mut body = Cursor::new(start).chain(rest);
                let request = carrying(parts, &token, SendBody::from_reader(&mut body));
                let response = next.handle(request)?;
                let _delivered = self.judge(&token, &response, Body::Once, Attempt::First);
                (response, token)
            }
        };
        self.deliver(response, token)
    }
}

fn refused(refused: Refused) -> Error {
    Error::Other(Box::new(refused))
}

/// `request`, with answers that are not made errors of, and that tell whether they come from where
/// the token was sent.
fn configured(request: Request<'_>) -> Request<'_> {
    let config = request.middleware_config().expect("what middleware is given has its agent");
    config
        .http_status_as_error(false)
        .redirect_auth_headers(RedirectAuthHeaders::Never)
        .save_redirect_history(true)
        .build()
}

/// Whether a redirect was followed, and the token dropped on it.
fn was_led_on(response: &Response) -> bool {
    response.get_redirect_history().is_some_and(|history| history.len() > 1)
}

/// Where a request was led on to, if it was only its token that it lacked there.
fn led_on_to(parts: &Parts, response: &Response) -> Option<Uri> {
    // Other methods may have become a GET on the way.
    let same_request = [Method::GET, Method::HEAD].contains(&parts.method);
    if !(same_request && was_led_on(response) && response.status() == StatusCode::UNAUTHORIZED) {
        return None;
    }
    let uri = response.get_uri();
    Target::of_uri(&parts.uri)?.is_same_as(Target::of_uri(uri)?).then(|| uri.clone())
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

/// Sends a request with a body that is at hand.
fn send_whole(
    mut parts: Parts,
    token: &AccessToken,
    bytes: &[u8],
    send: impl FnOnce(Request<'_>) -> Result<Response, Error>,
) -> Result<Response, Error> {
    let expects_body = [Method::POST, Method::PUT, Method::PATCH].contains(&parts.method);
    if bytes.is_empty() && !expects_body {
        return send(carrying(parts, token, SendBody::none()));
    }
    let framed =
        [CONTENT_LENGTH, TRANSFER_ENCODING].iter().any(|it| parts.headers.contains_key(it));
    if !framed {
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    }
    send(carrying(parts, token, SendBody::from_reader(&mut Cursor::new(bytes))))
}

fn carrying<'a>(mut parts: Parts, token: &AccessToken, body: SendBody<'a>) -> Request<'a> {
    parts.headers.insert(AUTHORIZATION, token.header_value().clone());
    // Only now: a configuration is large, and parts are cloned for the replay that rarely comes.
    configured(Request::from_parts(parts, body))
}
