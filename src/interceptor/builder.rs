//! Choosing to which requests a session's token goes.

use core::fmt;
use core::time::Duration;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use thiserror::Error as ThisError;

use super::attach::{Interceptor, Origins, Predicate, Settings};
use super::origin::{Origin, OriginError};
use super::response::ResponseHead;
use crate::clock::Timer;
use crate::session::Session;
use crate::thread_timer::ThreadTimer;
use crate::verdict::{Classification, Transport};

/// How long failures of the authorization server are waited through by default.
pub const DEFAULT_PATIENCE: Duration = Duration::from_secs(10);

/// How long one request waits for tokens by default.
pub const DEFAULT_WAIT_LIMIT: Duration = Duration::from_secs(10);

/// How many redirects of one call are followed by default.
pub const DEFAULT_MAX_REDIRECTS: u32 = 10;

/// Builds an [`Interceptor`].
#[must_use]
pub struct InterceptorBuilder {
    session: Session,
    origins: Vec<String>,
    any_origin: bool,
    allow_plain_http: bool,
    patience: Duration,
    wait_limit: Option<Duration>,
    timer: Option<Arc<dyn Timer>>,
    max_redirects: u32,
    classification: Option<Box<Predicate>>,
}

/// An interceptor that cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum InterceptorError {
    /// It would send the token nowhere.
    #[error("no origin is named: call `origin` with the API's URL, or `any_origin`")]
    NoOrigin,
    /// One of its origins is none, or must not be.
    #[error(transparent)]
    Origin(#[from] OriginError),
}

impl Interceptor {
    /// A builder for requests that carry `session`'s token. Without a timer in the session,
    /// failures of the authorization server are not waited through.
    pub fn builder(session: Session) -> InterceptorBuilder {
        InterceptorBuilder {
            session,
            origins: Vec::new(),
            any_origin: false,
            allow_plain_http: false,
            patience: DEFAULT_PATIENCE,
            wait_limit: None,
            timer: None,
            max_redirects: DEFAULT_MAX_REDIRECTS,
            classification: None,
        }
    }
}

impl InterceptorBuilder {
    /// An origin that the token may be sent to, such as `https://api.example.com`; requests to
    /// others pass without it. May be called for several.
    pub fn origin(mut self, url: impl Into<String>) -> Self {
        self.origins.push(url.into());
        self
    }

    /// Sends the token to whatever host the client is pointed at. For a client of one API only. A redirect
    /// takes it to no other origin than the request's own.
    pub fn any_origin(mut self) -> Self {
        self.any_origin = true;
        self
    }

    /// Allows tokens to go over plain http beyond this machine. For test networks only: whoever is on the way
    /// reads them, and can respond in the server's place, so that a portal's 200 is taken for an acceptance.
    pub fn allow_plain_http(mut self) -> Self {
        self.allow_plain_http = true;
        self
    }

    /// How long one request waits for tokens at most [10 s, or its patience where that is more]: before it
    /// is sent, and again before a replay, taken together. Then it fails, and the error says when to come
    /// back; the refresh goes on (rule C8). It is kept with the session's timer and without; a blocking
    /// request's thread keeps it by itself.
    pub fn wait_limit(mut self, limit: Duration) -> Self {
        self.wait_limit = Some(limit);
        self
    }

    /// What the limit is kept by where the session has no timer [a thread that sleeps for all requests of
    /// this interceptor, begun when the first one waits].
    pub fn timer(mut self, timer: impl Timer) -> Self {
        self.timer = Some(Arc::new(timer));
        self
    }

    /// How long failures of the authorization server are waited through [10 s], within the
    /// [`wait_limit`](InterceptorBuilder::wait_limit).
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// How many redirects of one call are followed \[10\]; one more is an error, and with 0 none is followed:
    /// the redirect is the response. With `tower` redirects are followed only where the layer is told to.
    ///
    /// Each hop gets the token where rule E5 lets it have it. A POST becomes a GET after 301 and 302, and
    /// all but HEAD after 303; a body that can be sent once is not sent on. `Authorization` and `Cookie` of
    /// the caller's own do not go to another origin.
    pub fn max_redirects(mut self, most: u32) -> Self {
        self.max_redirects = most;
        self
    }

    /// Another reading of responses than rule E4's, which is `ResponseHead::classify`, for servers that reject
    /// tokens by other means than a 401: a 419, say, or gRPC's status. It sees status and headers.
    pub fn classify(
        mut self,
        classification: impl Fn(ResponseHead<'_>) -> Classification + Send + Sync + 'static,
    ) -> Self {
        self.classification = Some(Box::new(classification));
        self
    }

    /// Builds it.
    ///
    /// # Errors
    /// Where no origin is named, or one is none, or is plain http.
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
        let settings = Settings {
            origins: if self.any_origin { Origins::Any } else { Origins::These(origins) },
            plain: if self.allow_plain_http { Transport::Private } else { Transport::Plain },
            patience: self.patience,
            wait_limit: self.wait_limit.unwrap_or(DEFAULT_WAIT_LIMIT.max(self.patience)),
            timer: self.timer.unwrap_or_else(|| Arc::new(ThreadTimer::new())),
            max_redirects: self.max_redirects,
            classification: self.classification,
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
