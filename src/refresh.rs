//! The trait through which a session asks for a new grant.
//!
//! Most programs use an adapter (`RefreshGrant`, feature `oauth2`) or a closure:
//!
//! ```
//! use perennial::refresh::{RefreshError, Request};
//! use perennial::token::Grant;
//!
//! async fn renew(request: Request) -> Result<Grant, RefreshError> {
//!     let _presented = request.refresh_token().ok_or(RefreshError::declined("no refresh token"))?;
//!     Ok(Grant::new("at-2", "rt-2", core::time::Duration::from_secs(3600)))
//! }
//! # let _ = renew;
//! ```
//!
//! | grants come from | build the session with |
//! |---|---|
//! | a login, refreshed at the token endpoint | `builder_with(RefreshGrant::new(client)?).grant(..)`, or ureq's `refresh_grant` with `builder_blocking` |
//! | the client's own credentials, at the token endpoint | `builder_with(ClientCredentials::new(client)?).without_grant()`, or ureq's `client_credentials` |
//! | anything else: a metadata service, a helper program | `builder(closure).without_grant()` |
//!
//! If no refresh token is used, as with the last two, declare
//! [`Reuse::Unrotated`](crate::lifecycle::Reuse::Unrotated): then it is safe to ask again after any
//! failure. An example of the last one, with tokens that a helper program prints:
//!
//! ```
//! use perennial::refresh::{RefreshError, Request};
//! use perennial::session::Session;
//! use perennial::token::Grant;
//! use std::process::Command;
//!
//! let ask = |_: Request| {
//!     let output = Command::new("echo").arg("at-1").output();
//!     let output = output.map_err(|error| RefreshError::unavailable("no helper").with_source(error))?;
//!     let token = String::from_utf8_lossy(&output.stdout).trim().to_owned();
//!     Ok(Grant::of_access_token(token, core::time::Duration::from_secs(900)))
//! };
//! let session = Session::builder_blocking(ask).without_grant().build()?;
//! assert_eq!(session.token_blocking()?.expose(), "at-1");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod client_backoff;

pub use client_backoff::ClientBackoff;
pub(crate) use client_backoff::Refused;

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::time::Duration;
use std::boxed::Box;
use std::error::Error as StdError;
use std::string::String;
use std::sync::Arc;

use crate::lifecycle::{Cause, Failure};
pub use crate::offload::Job;
use crate::offload::{Hook, may_block, offload};
use crate::time::Timestamp;
use crate::token::{Grant, Secret};

/// A boxed future that is `Send`.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A boxed future that is not `Send`.
pub type LocalBoxFuture<T> = Pin<Box<dyn Future<Output = T>>>;

/// Asks for new grants.
///
/// # Cancellation
/// A session does not drop a future of this trait because a caller was cancelled. It drops it when
/// the session itself is dropped, or when the future has hung beyond its deadline and other
/// refreshes were started after it.
pub trait Refresh: Send + Sync + 'static {
    /// Asks once for a new grant. The session makes one call at a time, and stops waiting at the
    /// policy's deadline.
    ///
    /// # Errors
    /// [`RefreshError`], with one constructor per kind of failure: see rule
    /// [B6](crate::spec#b-the-client-machine). When in doubt, return [`RefreshError::unknown`].
    fn refresh(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<Grant, RefreshError>> + Send + 'static;

    /// Revokes a grant that no session uses any longer (RFC 7009), on a best-effort basis. Default:
    /// does nothing.
    ///
    /// The future is dropped if it has not completed within a refresh deadline.
    fn revoke(&self, grant: Grant) -> impl Future<Output = ()> + Send + 'static {
        drop(grant);
        async {}
    }

    /// Returns where the futures of this refresher may be polled. Default: anywhere.
    fn poll_in(&self) -> PollIn {
        PollIn::Anywhere
    }

    /// Returns the backoff that the client's sessions share while the server does not accept the
    /// client. Default: the one set on the session's builder. See rule
    /// [B6](crate::spec#b-the-client-machine).
    fn client_backoff(&self) -> Option<ClientBackoff> {
        None
    }
}

/// Asks for new grants on one thread: the `!Send` counterpart of [`Refresh`], for
/// [`LocalSession`](crate::session::LocalSession). Every [`Refresh`] implements it.
///
/// # Cancellation
/// As for [`Refresh`].
pub trait LocalRefresh: 'static {
    /// Asks once for a new grant, as [`Refresh::refresh`] does.
    ///
    /// # Errors
    /// As for [`Refresh::refresh`].
    fn refresh(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<Grant, RefreshError>> + 'static;

    /// Revokes a grant that no session uses any longer, as [`Refresh::revoke`] does. Default: does
    /// nothing.
    fn revoke(&self, grant: Grant) -> impl Future<Output = ()> + 'static {
        drop(grant);
        async {}
    }

    /// Returns where the futures of this refresher may be polled. Default: anywhere.
    fn poll_in(&self) -> PollIn {
        PollIn::Anywhere
    }
}

impl<R: Refresh> LocalRefresh for R {
    fn refresh(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<Grant, RefreshError>> + 'static {
        Refresh::refresh(self, request)
    }

    fn revoke(&self, grant: Grant) -> impl Future<Output = ()> + 'static {
        Refresh::revoke(self, grant)
    }

    fn poll_in(&self) -> PollIn {
        Refresh::poll_in(self)
    }
}

/// Where a refresher's futures may be polled.
///
/// Exhaustive on purpose: a session obeys every variant.
#[derive(Clone)]
pub enum PollIn {
    /// On any thread, without a runtime.
    Anywhere,
    /// Only within this runtime, which is entered for each poll.
    Runtime(Arc<dyn Runtime>),
}

impl fmt::Debug for PollIn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Anywhere => "Anywhere",
            Self::Runtime(_) => "Runtime(..)",
        })
    }
}

/// A runtime that can be entered for the duration of one poll.
pub trait Runtime: Send + Sync + 'static {
    /// Calls `poll` within the runtime.
    fn enter(&self, poll: &mut dyn FnMut());
}

/// A request for a new grant.
#[derive(Clone, Debug)]
pub struct Request {
    pub(crate) grant: Option<Grant>,
    pub(crate) cause: Cause,
    pub(crate) time_left: Duration,
}

impl Request {
    /// Returns the grant to refresh; `None` only in a session built
    /// [`without_grant`](crate::session::Builder::without_grant).
    pub fn grant(&self) -> Option<&Grant> {
        self.grant.as_ref()
    }

    /// Returns the refresh token to present, if there is one.
    pub fn refresh_token(&self) -> Option<&Secret> {
        self.grant.as_ref().and_then(Grant::refresh_token)
    }

    /// Returns why the refresh is needed.
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// Returns how long the session waits before it counts the outcome as unknown.
    pub fn time_left(&self) -> Duration {
        self.time_left
    }
}

/// A refresh that failed. The message must not contain a secret.
#[derive(Clone)]
pub struct RefreshError {
    failure: Failure<Timestamp>,
    status: Option<u16>,
    message: String,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl RefreshError {
    /// Creates an error for a server that will not accept this grant again (`invalid_grant` and the
    /// like). It is final: the session does not ask again until another grant is installed.
    pub fn declined(message: impl Into<String>) -> Self {
        Self { failure: Failure::Declined, status: None, message: message.into(), source: None }
    }

    /// Creates an error for a server that does not accept the client or its request
    /// (`invalid_client` and the like, RFC 6749, section 5.2). The message names the setting to
    /// correct. The session asks again after a long backoff, and does not report that a login is
    /// required.
    pub fn misconfigured(message: impl Into<String>) -> Self {
        let failure = Failure::Misconfigured { retry_after: None };
        Self { failure, status: None, message: message.into(), source: None }
    }

    /// Creates an error for a request that the server did not act on: no connection, a 429, or a 503
    /// with `Retry-After` or an OAuth `error`. The session backs off.
    pub fn unavailable(message: impl Into<String>) -> Self {
        let failure = Failure::Unavailable { retry_after: None };
        Self { failure, status: None, message: message.into(), source: None }
    }

    /// Creates an error for a server that refused without saying why: a 4xx without an `error` of
    /// RFC 6749, section 5.2. The session backs off; if it goes on for long, the session's error
    /// says that a login may be needed.
    pub fn unexplained(message: impl Into<String>) -> Self {
        let failure = Failure::Unexplained { retry_after: None };
        Self { failure, status: None, message: message.into(), source: None }
    }

    /// Creates an error for a request that was sent, and whose outcome is not known. What follows
    /// depends on [`Reuse`](crate::lifecycle::Reuse).
    pub fn unknown(message: impl Into<String>) -> Self {
        Self { failure: Failure::Unknown, status: None, message: message.into(), source: None }
    }

    /// Sets the delay that the server asked for in `Retry-After`. It has no effect on a declined
    /// grant or an unknown outcome.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        match &mut self.failure {
            Failure::Unavailable { retry_after }
            | Failure::Misconfigured { retry_after }
            | Failure::Unexplained { retry_after } => *retry_after = Some(delay.into()),
            Failure::Declined | Failure::Unknown => {}
        }
        self
    }

    /// Sets the HTTP status of the response, for logs and metrics. It changes nothing else.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// Returns the HTTP status of the response, if it was set.
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// Sets the source of the error.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Returns which of the five kinds of failure this is.
    pub fn failure(&self) -> Failure<Timestamp> {
        self.failure
    }
}

impl fmt::Display for RefreshError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl fmt::Debug for RefreshError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RefreshError")
            .field("failure", &self.failure)
            .field("status", &self.status)
            .field("message", &self.message)
            .field("source", &self.source)
            .finish()
    }
}

impl StdError for RefreshError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// A type-erased refresher, as sessions hold it.
pub(crate) trait AnyRefresh: Send + Sync {
    fn refresh(&self, request: Request) -> BoxFuture<Result<Grant, RefreshError>>;
    fn revoke(&self, grant: Grant) -> BoxFuture<()>;
    fn poll_in(&self) -> PollIn;
    fn client_backoff(&self) -> Option<ClientBackoff>;
}

impl<R: Refresh> AnyRefresh for R {
    fn refresh(&self, request: Request) -> BoxFuture<Result<Grant, RefreshError>> {
        Box::pin(Refresh::refresh(self, request))
    }

    fn revoke(&self, grant: Grant) -> BoxFuture<()> {
        Box::pin(Refresh::revoke(self, grant))
    }

    fn poll_in(&self) -> PollIn {
        Refresh::poll_in(self)
    }

    fn client_backoff(&self) -> Option<ClientBackoff> {
        Refresh::client_backoff(self)
    }
}

/// A closure as a refresher.
pub(crate) struct FnRefresh<F>(pub(crate) F);

impl<F, Fut> Refresh for FnRefresh<F>
where
    F: Fn(Request) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Grant, RefreshError>> + Send + 'static,
{
    fn refresh(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<Grant, RefreshError>> + Send + 'static {
        (self.0)(request)
    }
}

/// A blocking closure as a refresher, run by the off-load hook: its waiters can leave at the
/// deadline, and a later result still counts. A thread that may block for as long as the closure
/// takes runs it directly. Rule C2: "A blocking refresher MUST NOT run inside an async poll."
pub(crate) struct BlockingRefresh<F> {
    pub(crate) refresh: Arc<F>,
    pub(crate) hook: Arc<Hook>,
    /// After how long the closure returns by itself.
    pub(crate) ends_within: Option<Duration>,
}

impl<F> Refresh for BlockingRefresh<F>
where
    F: Fn(Request) -> Result<Grant, RefreshError> + Send + Sync + 'static,
{
    fn refresh(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<Grant, RefreshError>> + Send + 'static {
        let (refresh, hook) = (Arc::clone(&self.refresh), Arc::clone(&self.hook));
        let ends_within = self.ends_within;
        async move {
            if ends_within.is_some_and(may_block) {
                return refresh(request);
            }
            let job = offload(&*hook, move || refresh(request)).map_err(|error| {
                RefreshError::unavailable("no thread could be started for the refresh")
                    .with_source(error)
            })?;
            job.await.unwrap_or_else(|| Err(RefreshError::unknown("the refresher panicked")))
        }
    }
}
