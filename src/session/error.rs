//! Errors: why a caller got no token.

use core::fmt;
use std::error::Error as StdError;
use std::sync::Arc;

use thiserror::Error as ThisError;

use crate::events::ErrorView;
use crate::lifecycle::{Delay, Ending, Failure, Remedy, State};
use crate::refresh::RefreshError;
use crate::store::StoreError;
use crate::time::{Span, Timestamp};
use crate::token::Grant;

/// Why a session returned no token, or could not do what it was asked.
///
/// The error is opaque; inspect it with the `is_*` methods. It is cheap to clone, since one failure is
/// returned to all who waited for it. It never holds a secret.
#[derive(Clone)]
pub struct Error {
    kind: Kind,
    retry_at: Option<Timestamp>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, ThisError)]
pub(crate) enum Kind {
    #[error("there is no grant: log in, and install it")]
    NoGrant,
    #[error("the authorization server declined the grant: log in again")]
    Declined,
    #[error("the authorization server does not accept this client: correct its configuration")]
    Misconfigured,
    #[error("the authorization server could not be reached or is unavailable")]
    Unavailable,
    #[error("the authorization server refused the refresh without saying why")]
    Unexplained,
    #[error("the authorization server keeps refusing without saying why: a login may be needed")]
    LoginMayHelp,
    #[error("the refresh was sent, but its outcome is unknown")]
    Unknown,
    #[error("the access token was no longer usable when it arrived")]
    DeadOnArrival,
    #[error("the token response contained no usable access token")]
    Unusable,
    #[error("the budget for retries and early refreshes is spent: retry later")]
    OverBudget,
    #[error("the refresh token may have been used already, and is not sent again yet")]
    InDoubt,
    #[error("the caller's time limit passed while the refresh went on")]
    TimedOut,
    #[error("even a new token does not stay usable for the requested duration")]
    TooBrief,
    #[error("no token is ready, and this call never waits")]
    NotReady,
    #[error("the refresher asked its own session for a token")]
    Reentrant,
    #[error("another process is refreshing this grant")]
    Busy,
    #[error("the store could not be read or written")]
    Store,
    #[error("the stored grant is damaged; it was left unchanged")]
    Damaged,
    #[error("the grant cannot be installed")]
    Unsendable,
    #[error("a later login or logout replaced this one")]
    Superseded,
}

impl Error {
    pub(crate) fn new(kind: Kind) -> Self {
        Self { kind, retry_at: None, source: None }
    }

    /// Returns the error for a grant that another process is refreshing, for at most `remaining` if
    /// that is known.
    pub(crate) fn busy(remaining: Option<Span>) -> Self {
        let error = Self::new(Kind::Busy);
        match remaining {
            Some(remaining) => error.with_source(Arc::new(Remaining(remaining))),
            None => error,
        }
    }

    pub(crate) fn from_ending(ending: Ending) -> Self {
        Self::new(match ending {
            Ending::NoGrant => Kind::NoGrant,
            Ending::Declined => Kind::Declined,
        })
    }

    pub(crate) fn from_delay(
        reason: Delay,
        last: Option<&Self>,
        until: Timestamp,
        state: State,
    ) -> Self {
        let error = match reason {
            // A session that was suspended has kept only its state.
            Delay::Failure => last.cloned().unwrap_or_else(|| Self::from_state(state)),
            Delay::Budget => Self::new(Kind::OverBudget),
            Delay::Doubt => Self::new(Kind::InDoubt),
            Delay::Misconfigured => last.cloned().unwrap_or_else(|| Self::new(Kind::Misconfigured)),
        };
        error.retry_at(Some(until)).seen_in(state)
    }

    /// Returns the error of the last refresh, as far as the state shows it.
    fn from_state(state: State) -> Self {
        Self::new(match state {
            State::Expired(Remedy::Reconfigure) => Kind::Misconfigured,
            State::Expired(Remedy::TryLogIn) => Kind::LoginMayHelp,
            State::Expired(Remedy::Refresh | Remedy::LogIn)
            | State::Valid
            | State::Expiring
            | State::Refreshing(_) => Kind::Unavailable,
        })
    }

    pub(crate) fn retry_at(mut self, retry_at: Option<Timestamp>) -> Self {
        self.retry_at = retry_at;
        self
    }

    /// Returns the same error, made more precise where the session's state shows more by now.
    pub(crate) fn seen_in(mut self, state: State) -> Self {
        if let (Kind::Unexplained, State::Expired(Remedy::TryLogIn)) = (self.kind, state) {
            self.kind = Kind::LoginMayHelp;
        }
        self
    }

    pub(crate) fn with_source(mut self, source: Arc<dyn StdError + Send + Sync>) -> Self {
        self.source = Some(source);
        self
    }

    /// Returns whether only a new login can help: there is no grant, or the server declined it.
    pub fn is_login_required(&self) -> bool {
        matches!(self.kind, Kind::NoGrant | Kind::Declined)
    }

    /// Returns whether a new login is needed, or may be.
    ///
    /// True where [`is_login_required`](Error::is_login_required) is, and where the server has refused
    /// several times over minutes without saying why, as some servers do whose refresh token is dead.
    /// In the latter case refreshes continue.
    pub fn may_need_login(&self) -> bool {
        self.is_login_required() || self.kind == Kind::LoginMayHelp
    }

    /// Returns whether the failure may be temporary, of the authorization server or of the store.
    pub fn is_unavailable(&self) -> bool {
        matches!(
            self.kind,
            Kind::Unavailable
                | Kind::Busy
                | Kind::Unexplained
                | Kind::LoginMayHelp
                | Kind::Unknown
                | Kind::DeadOnArrival
                | Kind::Unusable
                | Kind::InDoubt
                | Kind::Store
        )
    }

    /// Returns whether the authorization server does not accept the client itself, or what it asks for.
    ///
    /// The [`source`](StdError::source) names the setting. A login would not help; the session keeps
    /// trying, at long intervals.
    pub fn is_misconfigured(&self) -> bool {
        self.kind == Kind::Misconfigured
    }

    /// Returns whether the refresh budget ([B9](crate::spec#b-the-client-machine)) is spent. It pays for
    /// retries after a failure, for replacing a token that was rejected before it was ever accepted, and
    /// for tokens that must stay usable longer than the current one. See
    /// [`PolicyBuilder::budget`](crate::lifecycle::PolicyBuilder::budget).
    pub fn is_over_budget(&self) -> bool {
        self.kind == Kind::OverBudget
    }

    /// Returns whether another process, which shares the store, is refreshing the grant, and was waited
    /// for in vain. It may be done soon; the [`source`](StdError::source) says how long it may take, where
    /// that is known.
    pub fn is_busy(&self) -> bool {
        self.kind == Kind::Busy
    }

    /// Returns whether the caller's own limit ended the wait. The refresh continues, until
    /// [`when_to_retry`](Error::when_to_retry) at the latest.
    pub fn is_timeout(&self) -> bool {
        self.kind == Kind::TimedOut
    }

    /// Returns whether it was the store that failed.
    pub fn is_store(&self) -> bool {
        matches!(self.kind, Kind::Store | Kind::Damaged)
    }

    /// Returns whether no token was ready for a call that never waits.
    pub fn is_not_ready(&self) -> bool {
        self.kind == Kind::NotReady
    }

    /// Returns whether even a new token does not stay usable for the duration that the caller requires
    /// ([`token_valid_for`](crate::session::Session::token_valid_for)).
    pub fn is_too_brief(&self) -> bool {
        self.kind == Kind::TooBrief
    }

    /// Returns whether a login or a logout had no effect, since a later one of the same session
    /// replaced it. There is nothing to repeat: the later one determines the session's state.
    pub fn is_superseded(&self) -> bool {
        self.kind == Kind::Superseded
    }

    /// Returns whether a refresher asked its own session for a token.
    pub fn is_reentrant(&self) -> bool {
        self.kind == Kind::Reentrant
    }

    /// Returns the kind of the error in a word, such as `unavailable`, for logs and metrics. The words are
    /// kept from version to version; there may be new ones.
    pub fn name(&self) -> &'static str {
        match self.kind {
            Kind::NoGrant => "no_grant",
            Kind::Declined => "declined",
            Kind::Misconfigured => "misconfigured",
            Kind::Unavailable => "unavailable",
            Kind::Unexplained => "unexplained",
            Kind::LoginMayHelp => "login_may_help",
            Kind::Unknown => "unknown",
            Kind::DeadOnArrival => "dead_on_arrival",
            Kind::Unusable => "unusable",
            Kind::OverBudget => "over_budget",
            Kind::InDoubt => "in_doubt",
            Kind::TimedOut => "timed_out",
            Kind::TooBrief => "too_brief",
            Kind::NotReady => "not_ready",
            Kind::Reentrant => "reentrant",
            Kind::Busy => "busy",
            Kind::Store => "store",
            Kind::Damaged => "damaged",
            Kind::Unsendable => "unsendable",
            Kind::Superseded => "superseded",
        }
    }

    /// Returns the HTTP status of the token endpoint's response, where that was the cause and the refresher
    /// stated it ([`RefreshError::with_status`]).
    pub fn status(&self) -> Option<u16> {
        self.source.as_deref()?.downcast_ref::<RefreshError>()?.status()
    }

    /// Returns when another attempt may succeed, on the session's clock.
    pub fn when_to_retry(&self) -> Option<Timestamp> {
        self.retry_at
    }
}

/// How long another process may go on.
#[derive(Debug, ThisError)]
#[error("it may take another {:?}", .0.to_duration())]
struct Remaining(Span);

impl From<&Error> for ErrorView {
    fn from(error: &Error) -> Self {
        Self::new(error.name(), error.status(), error.clone())
    }
}

impl From<RefreshError> for Error {
    fn from(error: RefreshError) -> Self {
        let kind = match error.failure() {
            Failure::Declined => Kind::Declined,
            Failure::Misconfigured { .. } => Kind::Misconfigured,
            Failure::Unavailable { .. } => Kind::Unavailable,
            Failure::Unexplained { .. } => Kind::Unexplained,
            Failure::Unknown => Kind::Unknown,
        };
        Self::new(kind).with_source(Arc::new(error))
    }
}

impl From<BuildError> for Error {
    fn from(error: BuildError) -> Self {
        Self::new(Kind::Unsendable).with_source(Arc::new(error))
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let kind = if error.is_damaged() { Kind::Damaged } else { Kind::Store };
        Self::new(kind).with_source(Arc::new(error))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(formatter)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Error")
            .field("kind", &self.kind)
            .field("retry_at", &self.retry_at)
            .field("source", &self.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// Why a session cannot be built.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, ThisError)]
#[non_exhaustive]
pub enum BuildError {
    /// The named token of the grant is empty.
    #[error("the grant's {0} is empty: leave it out instead")]
    Empty(Part),
    /// The named token of the grant cannot be sent in an HTTP header.
    #[error("the grant's {0} holds a character that no HTTP header may carry")]
    Unsendable(Part),
}

/// A part of a grant, as named by [`BuildError`].
///
/// Exhaustive on purpose: a grant has no other part that is sent.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The access token.
    AccessToken,
    /// The refresh token.
    RefreshToken,
}

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::AccessToken => "access token",
            Self::RefreshToken => "refresh token",
        })
    }
}

/// Checks that the tokens of `grant` can be sent.
pub(crate) fn check_sendable(grant: &Grant) -> Result<(), BuildError> {
    let parts =
        [(Part::AccessToken, grant.access_token()), (Part::RefreshToken, grant.refresh_token())];
    for (part, token) in parts {
        match token {
            Some(token) if token.expose().is_empty() => return Err(BuildError::Empty(part)),
            Some(token) if !token.is_sendable() => return Err(BuildError::Unsendable(part)),
            Some(_) | None => {}
        }
    }
    Ok(())
}
