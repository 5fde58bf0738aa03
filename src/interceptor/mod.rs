//! A session at the door of an HTTP client: what every adapter for requests has in common.
//!
//! ```
//! # use perennial::refresh::{RefreshError, Request};
//! # use perennial::session::Session;
//! # use perennial::token::Grant;
//! use perennial::interceptor::Interceptor;
//!
//! # fn example(session: Session) -> Result<(), Box<dyn std::error::Error>> {
//! let interceptor = Interceptor::builder(session).origin("https://api.example.com").build()?;
//! // `adapters::reqwest::Bearer::client(interceptor, ..)`, or tower's, or ureq's.
//! # let _ = interceptor;
//! # Ok(())
//! # }
//! # let refresher = |_: Request| async { Err::<Grant, _>(RefreshError::declined("none")) };
//! # example(Session::builder(refresher).build()?)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! An adapter for another client is a page: ask [`Interceptor::attaches`] whether to attach a token,
//! [`Interceptor::token`] for one, send, and do what [`Interceptor::judge`] says. Where its client follows
//! redirects by itself, tell it not to: few drop a token for good once it must not go along.
//!
//! # Waiting
//! A request waits for tokens no longer than its [`wait_limit`](InterceptorBuilder::wait_limit), also where
//! the authorization server hangs (rule C8). Why there was none is in the error's text;
//! `session::Error::find` has the session's own error of any client's.
//!
//! # Invariants
//! - What is decided is decided in [`crate::verdict`]; this reads headers and tells the session.
//! - A token goes to the origins that it was given for, and nowhere else (rule E5).
//! - A refresh touches no request that is out and no answer that is coming in (rule E7: "it keeps the
//!   token that it began with").
//!
//! # Deliberately absent
//! Sending anything. Looking into bodies: a program that finds an error there (GraphQL's, say)
//! takes the [`AccessToken`] from the response's extensions, and calls
//! [`Session::reject`](crate::session::Session::reject).

mod builder;
mod challenge;
mod origin;
mod reason;
#[cfg(any(feature = "reqwest", feature = "tower", feature = "ureq"))]
pub(crate) mod redirect;

pub use builder::{
    DEFAULT_MAX_REDIRECTS, DEFAULT_PATIENCE, DEFAULT_WAIT_LIMIT, InterceptorBuilder,
    InterceptorError,
};
pub use challenge::read as read_challenges;
pub use origin::{Origin, OriginError, RequestTarget, Target};

use core::fmt;
use core::time::Duration;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use http::header::{AGE, AUTHORIZATION};
use http::{HeaderMap, HeaderValue, StatusCode};
use thiserror::Error as ThisError;

use crate::clock::Timer;
use crate::session::{Acquire, Error as SessionError, Session};
use crate::token::AccessToken;
use crate::verdict::{
    Arrival, Attempt, Body, Credentials, Departure, Destination, Finding, Place, Preparation, Tell,
    Transport, Verdict,
};

/// What an answer says, for a predicate of the program's own.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: &'a HeaderMap,
}

impl Answer<'_> {
    /// What rule E4 makes of it.
    pub fn finding(&self) -> Finding {
        if self.status == StatusCode::UNAUTHORIZED {
            return Finding::of(401, read_challenges(self.headers));
        }
        if self.headers.contains_key(AGE) {
            // Rule E4: "Only a success whose headers say all, and that no cache gave, accepts" (RFC 9111,
            // section 5.1: `Age` says that it was not generated for this request).
            return Finding::Silent;
        }
        Finding::of(self.status.as_u16(), crate::verdict::Challenge::Absent)
    }
}

/// A session, and to which requests its token goes. Cloning it is cheap.
#[derive(Clone)]
pub struct Interceptor {
    session: Session,
    settings: Arc<Settings>,
}

struct Settings {
    origins: Origins,
    plain: Transport,
    patience: Duration,
    wait_limit: Duration,
    timer: Arc<dyn Timer>,
    #[cfg_attr(
        not(any(feature = "reqwest", feature = "tower", feature = "ureq")),
        expect(dead_code, reason = "for those that follow redirects")
    )]
    max_redirects: u32,
    finding: Option<Box<Predicate>>,
}

type Predicate = dyn Fn(Answer<'_>) -> Finding + Send + Sync;

enum Origins {
    Any,
    These(Vec<Origin>),
}

/// A request that was not sent.
#[derive(Clone, Debug, ThisError)]
#[non_exhaustive]
pub enum Refused {
    /// No token could be had for it.
    #[error("no access token for this request: {}", reason::of(error, *retry_in))]
    NoToken {
        /// Why.
        #[source]
        error: SessionError,
        /// When another try may do better, counted from when this was told.
        retry_in: Option<Duration>,
    },
    /// The token would have been sent in the clear (rule E5).
    #[error("{0} is plain http beyond this machine: use https, or `allow_plain_http`")]
    PlainHttp(Origin),
    /// It names no host, and several origins are declared: whether the token may go there cannot be
    /// known, and it does not go out without one either (rule E5).
    #[error(
        "the request names a path and no host, so it cannot be known which of the declared origins it \
         goes to: name the host in its URI, or declare that one origin alone"
    )]
    UnknownOrigin,
    /// It is plain http to this machine, and would pass through a proxy (rule E5).
    #[error(
        "{0} is plain http to this machine, and the environment sets a proxy for it, which could read the \
         token: name it in `NO_PROXY`"
    )]
    Proxied(Origin),
    /// One redirect more than [`max_redirects`](InterceptorBuilder::max_redirects).
    #[error("more than {0} redirects in a row: see `max_redirects`")]
    TooManyRedirects(u32),
}

impl Interceptor {
    /// A builder for requests that carry `session`'s token. Without a timer in the session,
    /// failures of the authorization server are not waited through.
    pub fn builder(session: Session) -> InterceptorBuilder {
        InterceptorBuilder::new(session)
    }

    /// The session whose token is sent.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Whether a request to `target` with `headers` is to carry the token (rules E1, E5). One that names
    /// no host, as tonic's do, goes to the one origin that is declared, or wherever the client is pointed
    /// at under [`any_origin`](InterceptorBuilder::any_origin).
    ///
    /// # Errors
    /// [`Refused::PlainHttp`] and [`Refused::UnknownOrigin`], where it must not be sent at all.
    pub fn attaches<'a>(
        &'a self,
        target: impl Into<RequestTarget<'a>>,
        headers: &HeaderMap,
    ) -> Result<bool, Refused> {
        if headers.contains_key(AUTHORIZATION) {
            // Rule E1: "A caller's own `Authorization` header MUST be left alone."
            return Ok(false);
        }
        let (target, known) = match (target.into(), &self.settings.origins) {
            (RequestTarget::Other, Origins::Any | Origins::These(_)) => return Ok(false),
            (RequestTarget::Absolute(target), Origins::Any) => (target, true),
            (RequestTarget::Absolute(target), Origins::These(origins)) => {
                (target, origins.iter().any(|origin| origin.is(target)))
            }
            (RequestTarget::OriginForm, Origins::Any) => return Ok(true),
            (RequestTarget::OriginForm, Origins::These(origins)) => match &origins[..] {
                [only] => (only.target(), true),
                _ => return Err(Refused::UnknownOrigin),
            },
        };
        let departure = Departure {
            credentials: Credentials::Absent,
            destination: if known { Destination::Known } else { Destination::Foreign },
            transport: match self.settings.plain {
                Transport::Plain if !target.is_private() => Transport::Plain,
                Transport::Plain | Transport::Private => Transport::Private,
            },
        };
        match departure.preparation() {
            Preparation::Attach => Ok(true),
            Preparation::LeaveAlone => Ok(false),
            Preparation::Refuse => Err(Refused::PlainHttp(target.to_origin())),
        }
    }

    /// Whether the token goes nowhere but to this machine, over plain http.
    #[cfg(feature = "reqwest")]
    pub(crate) fn is_local(&self) -> bool {
        match &self.settings.origins {
            Origins::Any => false,
            Origins::These(origins) => origins.iter().all(|it| it.target().is_plain_and_local()),
        }
    }

    /// A token for the next request: await it, or wait for it on a plain thread. It is waited for no longer
    /// than the [`wait_limit`](InterceptorBuilder::wait_limit).
    ///
    /// # Errors
    /// As for [`Session::token`].
    ///
    /// # Cancellation
    /// As for [`Session::token`].
    pub fn token(&self) -> Acquire<'_> {
        self.token_within(self.settings.wait_limit)
    }

    fn token_within(&self, limit: Duration) -> Acquire<'_> {
        let settings = &self.settings;
        self.session.token().patience(settings.patience).within(limit).alarmed_by(&settings.timer)
    }

    /// Tells the session what `answer` says of `token`, and says what is to be done with it.
    pub fn judge(
        &self,
        token: &AccessToken,
        answer: Answer<'_>,
        place: Place,
        body: Body,
        attempt: Attempt,
    ) -> Verdict {
        let finding = match &self.settings.finding {
            Some(finding) => finding(answer),
            None => answer.finding(),
        };
        let verdict = Arrival { finding, place, body, attempt }.verdict();
        match verdict {
            Verdict::Deliver(Tell::Accepted) => self.session.accept(token),
            Verdict::Deliver(Tell::Recovered) => self.session.recovered(token),
            Verdict::Deliver(Tell::Rejected) => {
                let _ = self.session.reject(token);
            }
            Verdict::Deliver(Tell::Nothing) => {}
            Verdict::Replay => return self.session.reject(token).verdict(),
        }
        verdict
    }
}

impl fmt::Debug for Interceptor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Interceptor")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

/// What a gRPC answer says of the token: `UNAUTHENTICATED` in its headers is a rejection, whatever
/// the HTTP status. For [`InterceptorBuilder::finding`].
pub fn grpc_finding(answer: Answer<'_>) -> Finding {
    match answer.headers.get("grpc-status").map(HeaderValue::as_bytes) {
        Some(b"16") => Finding::Rejected,
        Some(b"0") => answer.finding(),
        Some(_) => Finding::Silent,
        // It is told in the trailers, once the body has been read: a 200 accepts nothing yet.
        None if is_grpc(answer.headers) && answer.status == StatusCode::OK => Finding::Silent,
        None => answer.finding(),
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(http::header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_some_and(|kind| kind.starts_with(b"application/grpc"))
}
