//! The interceptor: whether a request carries the token, and what follows from its response.

use core::fmt;
use core::time::Duration;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::origin::{Origin, RequestTarget};
use super::refused::Refused;
use super::response::ResponseHead;
use crate::clock::Timer;
use crate::events::{EventKind, Sink};
use crate::session::{Acquire, Session};
use crate::token::AccessToken;
use crate::verdict::{
    Attempt, Body, Classification, Credentials, Destination, Feedback, Incoming, Outgoing,
    Preparation, ResponseOrigin, Transport, Verdict,
};

/// A session, and the requests that its token is attached to. Cheap to clone.
#[derive(Clone)]
pub struct Interceptor {
    pub(super) session: Session,
    pub(super) settings: Arc<InterceptorSettings>,
}

pub(super) struct InterceptorSettings {
    pub(super) origins: Origins,
    pub(super) plain: Transport,
    pub(super) retry_for: Duration,
    pub(super) wait_limit: Duration,
    pub(super) timer: Arc<dyn Timer>,
    #[cfg_attr(
        not(any(feature = "reqwest", feature = "tower", feature = "ureq")),
        expect(dead_code, reason = "used by the adapters that follow redirects")
    )]
    pub(super) max_redirects: u32,
    pub(super) classification: Option<Box<Predicate>>,
    /// The hooks for events besides the session's.
    pub(super) events: Option<Arc<Sink>>,
}

pub(super) type Predicate = dyn Fn(ResponseHead<'_>) -> Classification + Send + Sync;

pub(super) enum Origins {
    Any,
    These(Vec<Origin>),
}

impl Interceptor {
    /// Returns the session whose token is attached.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Returns an interceptor with the same settings for another session, such as one of
    /// [`keyed`](crate::keyed). It is cheap: make one for each request.
    #[must_use]
    pub fn for_session(&self, session: Session) -> Self {
        Self { session, settings: Arc::clone(&self.settings) }
    }

    /// Returns whether a request to `target` with `headers` is to carry the token.
    ///
    /// A request that names no host, as tonic's do, is taken to go to the origin that is declared,
    /// if there is one, or to any origin under
    /// [`any_origin`](super::InterceptorBuilder::any_origin). See rules [E1 and
    /// E5](crate::spec#e-requests).
    ///
    /// # Errors
    /// [`Refused::PlainHttp`] and [`Refused::UnknownOrigin`] if the request must not be sent at
    /// all.
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
                _ => return Err(self.refused(Refused::UnknownOrigin)),
            },
        };
        let outgoing = Outgoing {
            credentials: Credentials::Absent,
            destination: if known { Destination::Known } else { Destination::Foreign },
            transport: match self.settings.plain {
                Transport::Plain if !target.is_private() => Transport::Plain,
                Transport::Plain | Transport::Private => Transport::Private,
            },
        };
        match outgoing.preparation() {
            Preparation::Attach => Ok(true),
            Preparation::LeaveAlone => Ok(false),
            Preparation::Refuse => Err(self.refused(Refused::PlainHttp(target.to_origin()))),
        }
    }

    /// Returns whether all declared origins are on this machine, over plain http.
    #[cfg(feature = "reqwest")]
    pub(crate) fn is_local(&self) -> bool {
        match &self.settings.origins {
            Origins::Any => false,
            Origins::These(origins) => origins.iter().all(|it| it.target().is_plain_and_local()),
        }
    }

    /// Returns a token for the next request, as a future that can also be waited for on a plain
    /// thread. It resolves within the [`wait_limit`](super::InterceptorBuilder::wait_limit).
    ///
    /// # Errors
    /// As for [`Session::token`].
    ///
    /// # Cancellation
    /// As for [`Session::token`].
    pub fn token(&self) -> Acquire<'_> {
        self.token_within(self.settings.wait_limit)
    }

    pub(super) fn token_within(&self, limit: Duration) -> Acquire<'_> {
        let settings = &self.settings;
        self.session.token().retry_for(settings.retry_for).within(limit).alarmed_by(&settings.timer)
    }

    /// Reports to the session what `response` says about `token`, and returns what to do with the
    /// response.
    pub fn handle_response(
        &self,
        token: &AccessToken,
        response: ResponseHead<'_>,
        origin: ResponseOrigin,
        body: Body,
        attempt: Attempt,
    ) -> Verdict {
        let classification = match &self.settings.classification {
            Some(classification) => classification(response),
            None => response.classify(),
        };
        let verdict = Incoming { classification, origin, body, attempt }.verdict();
        match verdict {
            Verdict::Deliver(Feedback::Accepted) => self.session.accept(token),
            Verdict::Deliver(Feedback::Recovered) => self.session.recovered(token),
            Verdict::Deliver(Feedback::Rejected) => {
                let _ = self.session.reject(token);
                self.rejected(token, response, verdict);
            }
            Verdict::Deliver(Feedback::Nothing) => {
                // A replay's.
                if classification == Classification::Rejected
                    && origin == ResponseOrigin::SameOrigin
                {
                    self.rejected(token, response, verdict);
                }
            }
            Verdict::Replay => {
                let verdict = self.session.reject(token).verdict();
                self.rejected(token, response, verdict);
                return verdict;
            }
        }
        verdict
    }

    /// Reports a response that rejected its request's token.
    fn rejected(&self, token: &AccessToken, response: ResponseHead<'_>, verdict: Verdict) {
        self.report(|| EventKind::ResponseRejected {
            status: response.status.as_u16(),
            generation: token.generation(),
            replayed: verdict == Verdict::Replay,
        });
    }

    /// Reports a request that is not sent, and returns why.
    pub(crate) fn refused(&self, refused: Refused) -> Refused {
        self.report(|| refused.to_event());
        refused
    }

    fn report(&self, kind: impl FnOnce() -> EventKind) {
        self.session.shared.report_also(self.settings.events.as_deref(), kind);
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
