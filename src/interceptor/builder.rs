//! Building an interceptor: which requests a session's token is attached to.

use core::fmt;
use core::time::Duration;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use thiserror::Error as ThisError;

use super::attach::{Interceptor, InterceptorSettings, Origins, Predicate};
use super::origin::{Origin, OriginError};
use super::response::ResponseHead;
use crate::clock::Timer;
use crate::events::{Event, Sink};
use crate::session::Session;
use crate::thread_timer::ThreadTimer;
use crate::verdict::{Classification, Transport};

/// How long a request retries through failures of the authorization server by default.
pub const DEFAULT_RETRY_FOR: Duration = Duration::from_secs(10);

/// How long one request waits for tokens at most by default.
pub const DEFAULT_WAIT_LIMIT: Duration = Duration::from_secs(10);

/// How many redirects of one call are followed at most by default.
pub const DEFAULT_MAX_REDIRECTS: u32 = 10;

/// Builds an [`Interceptor`].
#[must_use]
pub struct InterceptorBuilder {
    session: Session,
    origins: Vec<String>,
    any_origin: bool,
    allow_plain_http: bool,
    retry_for: Duration,
    wait_limit: Option<Duration>,
    timer: Option<Arc<dyn Timer>>,
    max_redirects: u32,
    classification: Option<Box<Predicate>>,
    sink: Sink,
}

/// Why an interceptor cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum InterceptorError {
    /// No origin is named, so the token would never be attached.
    #[error("no origin is named: call `origin` with the API's URL, or `any_origin`")]
    NoOrigin,
    /// One of the origins is not valid or not allowed.
    #[error(transparent)]
    Origin(#[from] OriginError),
}

impl Interceptor {
    /// Returns a builder for an interceptor that attaches `session`'s token. Without a timer in the
    /// session, requests do not retry through failures of the authorization server. A
    /// [`LocalSession`](crate::session::LocalSession) cannot be used with an interceptor.
    pub fn builder(session: Session) -> InterceptorBuilder {
        InterceptorBuilder {
            session,
            origins: Vec::new(),
            any_origin: false,
            allow_plain_http: false,
            retry_for: DEFAULT_RETRY_FOR,
            wait_limit: None,
            timer: None,
            max_redirects: DEFAULT_MAX_REDIRECTS,
            classification: None,
            sink: Sink::default(),
        }
    }
}

impl InterceptorBuilder {
    /// Adds an origin that the token may be sent to, such as `https://api.example.com`. Requests to
    /// other origins are sent without it.
    pub fn origin(mut self, url: impl Into<String>) -> Self {
        self.origins.push(url.into());
        self
    }

    /// Attaches the token to all requests, whatever their origin. For HTTP clients of one API only.
    /// A redirect does not take the token to another origin than the request's own.
    pub fn any_origin(mut self) -> Self {
        self.any_origin = true;
        self
    }

    /// Allows tokens to go over plain http beyond this machine. For test networks only: anyone on
    /// the way can read them, and can respond in the server's place, so that the 200 of a captive
    /// portal counts as an acceptance.
    pub fn allow_plain_http(mut self) -> Self {
        self.allow_plain_http = true;
        self
    }

    /// Sets how long one request waits for tokens at most, before it is sent and before a replay
    /// taken together. Default: 10 s, or
    /// [`retry_for`](InterceptorBuilder::retry_for) if that is longer.
    ///
    /// After that the request fails, and the error says when to try again; the refresh goes on (see
    /// rule [C8](crate::spec#c-the-shared-session)). The limit holds whether or not the session has
    /// a timer, and for blocking requests too.
    pub fn wait_limit(mut self, limit: Duration) -> Self {
        self.wait_limit = Some(limit);
        self
    }

    /// Sets the timer that enforces the limit if the session has none. Default: one thread for all
    /// requests of this interceptor, started when the first request waits.
    pub fn timer(mut self, timer: impl Timer) -> Self {
        self.timer = Some(Arc::new(timer));
        self
    }

    /// Sets how long a request retries through failures of the authorization server, within the
    /// [`wait_limit`](InterceptorBuilder::wait_limit). Default: 10 s.
    pub fn retry_for(mut self, retry_for: Duration) -> Self {
        self.retry_for = retry_for;
        self
    }

    /// Sets how many redirects of one call are followed; one more is an error. With 0 none is
    /// followed, and the redirect is returned. Default: 10. With `tower`, redirects are followed
    /// only if the layer is configured to.
    ///
    /// The token is attached to a hop if its origin is one that the token is for and no earlier hop
    /// left those (see rule [E5](crate::spec#e-requests)). A POST becomes a GET after 301 and 302,
    /// and so does any method but HEAD after 303; a one-shot body is not sent on. The caller's own
    /// `Authorization` and `Cookie` do not go to another origin.
    pub fn max_redirects(mut self, most: u32) -> Self {
        self.max_redirects = most;
        self
    }

    /// Sets how responses are classified, from their status and headers. For servers that reject
    /// tokens by other means than a 401, such as a 419 or gRPC's status. Default:
    /// [`ResponseHead::classify`].
    pub fn classify(
        mut self,
        classification: impl Fn(ResponseHead<'_>) -> Classification + Send + Sync + 'static,
    ) -> Self {
        self.classification = Some(Box::new(classification));
        self
    }

    /// Sets a hook that is called with each [`Event`] of this interceptor: requests that are refused, and
    /// responses that rejected their token. The session's own hooks
    /// ([`Builder::on_event`](crate::session::Builder::on_event)) are called with them as well.
    pub fn on_event(mut self, hook: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.sink.add(hook);
        self
    }

    /// Builds the interceptor.
    ///
    /// # Errors
    /// If no origin is named, or one is not valid, or is plain http without being allowed.
    pub fn build(self) -> Result<Interceptor, InterceptorError> {
        let origins = self.origins.iter().map(|url| Origin::parse(url));
        let origins = origins.collect::<Result<Vec<_>, _>>()?;
        if origins.is_empty() && !self.any_origin {
            return Err(InterceptorError::NoOrigin);
        }
        let plain = origins.iter().find(|origin| !origin.target().is_private());
        if let (Some(plain), false) = (plain, self.allow_plain_http) {
            return Err(OriginError::PlainHttp(plain.clone()).into());
        }
        let settings = InterceptorSettings {
            origins: if self.any_origin { Origins::Any } else { Origins::These(origins) },
            plain: if self.allow_plain_http { Transport::Private } else { Transport::Plain },
            retry_for: self.retry_for,
            wait_limit: self.wait_limit.unwrap_or(DEFAULT_WAIT_LIMIT.max(self.retry_for)),
            timer: self.timer.unwrap_or_else(|| Arc::new(ThreadTimer::new())),
            max_redirects: self.max_redirects,
            classification: self.classification,
            events: self.sink.into_hooks(),
        };
        Ok(Interceptor { session: self.session, settings: Arc::new(settings) })
    }
}

impl fmt::Debug for InterceptorBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("InterceptorBuilder")
            .field("origins", &self.origins.len())
            .field("any_origin", &self.any_origin)
            .finish_non_exhaustive()
    }
}
