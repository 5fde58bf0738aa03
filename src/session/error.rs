//! Why a caller got no token.

use core::fmt;
use std::error::Error as StdError;
use std::sync::Arc;

use thiserror::Error as ThisError;

use crate::lifecycle::{Delay, Ending, Failure, Remedy, State};
use crate::refresh::RefreshError;
use crate::store::StoreError;
use crate::time::Timestamp;
use crate::token::Grant;

/// Why a session handed out no token, or could not do what it was asked.
///
/// Opaque; ask it with the `is_*` methods. It is cheap to clone, since one failure is told to all
/// who waited for it (rule B7). It never holds a secret.
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
    #[error("the authorization server could not be reached or would not answer")]
    Unavailable,
    #[error("the authorization server refused the refresh without saying why")]
    Unexplained,
    #[error("the authorization server keeps refusing without saying why: a login may be needed")]
    LoginMayHelp,
    #[error("the refresh was sent and no answer was understood")]
    Unknown,
    #[error("the access token was no longer usable when it arrived")]
    DeadOnArrival,
    #[error("the authorization server answered with no access token that can be used")]
    Unusable,
    #[error("too many refreshes failed, or brought a token that was not needed: come back later")]
    OverBudget,
    #[error("the refresh token may have been used already, and is not sent again yet")]
    InDoubt,
    #[error("the caller's time limit passed while the refresh went on")]
    TimedOut,
    #[error("no new token lives as long as was asked for")]
    TooBrief,
    #[error("no token is ready, and this call never waits")]
    NotReady,
    #[error("the refresher asked its own session for a token")]
    Reentrant,
    #[error("the store could not be read or written")]
    Store,
    #[error("what the store holds cannot be understood; it was left as it is")]
    Damaged,
    #[error("the grant cannot be installed")]
    Unsendable,
    #[error("a login or logout that began later took the place of this one")]
    Superseded,
}

impl Error {
    pub(crate) fn new(kind: Kind) -> Self {
        Self { kind, retry_at: None, source: None }
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
            // A session that was put away has only its state.
            Delay::Failure => last.cloned().unwrap_or_else(|| Self::from_state(state)),
            Delay::Budget => Self::new(Kind::OverBudget),
            Delay::Doubt => Self::new(Kind::InDoubt),
            Delay::Misconfigured => last.cloned().unwrap_or_else(|| Self::new(Kind::Misconfigured)),
        };
        error.retry_at(Some(until)).seen_in(state)
    }

    /// How the last refresh failed, for all that the state says of it.
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

    /// The same, where the session's state says more by now.
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

    /// Whether only a new login can help: there is no grant, or the server declined it.
    pub fn is_login_required(&self) -> bool {
        matches!(self.kind, Kind::NoGrant | Kind::Declined)
    }

    /// Whether a new login is needed, or may be: as [`is_login_required`](Error::is_login_required),
    /// or the server has refused several times over minutes without saying why, as some do whose
    /// refresh token is dead. Refreshes go on in the latter case.
    pub fn may_need_login(&self) -> bool {
        self.is_login_required() || self.kind == Kind::LoginMayHelp
    }

    /// Whether the authorization server, or the store, may well answer later.
    pub fn is_unavailable(&self) -> bool {
        matches!(
            self.kind,
            Kind::Unavailable
                | Kind::Unexplained
                | Kind::LoginMayHelp
                | Kind::Unknown
                | Kind::DeadOnArrival
                | Kind::Unusable
                | Kind::InDoubt
                | Kind::Store
        )
    }

    /// Whether the authorization server does not accept the client itself, or what it asks for:
    /// the [`source`](StdError::source) names the setting. A login would not help; the session goes
    /// on trying, rarely.
    pub fn is_misconfigured(&self) -> bool {
        self.kind == Kind::Misconfigured
    }

    /// Whether the budget of rule B9 is spent: for retries after a failure, and for tokens that must
    /// live longer than the one that is held.
    pub fn is_over_budget(&self) -> bool {
        self.kind == Kind::OverBudget
    }

    /// Whether the caller's own limit ended the wait. The refresh goes on, until
    /// [`when_to_retry`](Error::when_to_retry) at the latest.
    pub fn is_timeout(&self) -> bool {
        self.kind == Kind::TimedOut
    }

    /// Whether the store was what failed.
    pub fn is_store(&self) -> bool {
        matches!(self.kind, Kind::Store | Kind::Damaged)
    }

    /// Whether no token was ready for a call that never waits.
    pub fn is_not_ready(&self) -> bool {
        self.kind == Kind::NotReady
    }

    /// Whether no token lives as long as was asked for.
    pub fn is_too_brief(&self) -> bool {
        self.kind == Kind::TooBrief
    }

    /// Whether a login or a logout came to nothing, since a later one of the same session took its
    /// place. What that one has left is what counts; there is nothing to repeat.
    pub fn is_superseded(&self) -> bool {
        self.kind == Kind::Superseded
    }

    /// Whether a refresher asked its own session for a token.
    pub fn is_reentrant(&self) -> bool {
        self.kind == Kind::Reentrant
    }

    /// When another try may do better, on the session's clock.
    pub fn when_to_retry(&self) -> Option<Timestamp> {
        self.retry_at
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

/// A session that cannot be built.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, ThisError)]
#[non_exhaustive]
pub enum BuildError {
    /// A token of the grant is empty.
    #[error("the grant's {0} is empty: leave it out instead")]
    Empty(Part),
    /// A token of the grant cannot be sent.
    #[error("the grant's {0} holds a character that no HTTP header may carry")]
    Unsendable(Part),
}

/// A part of a grant, as [`BuildError`] names it.
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

/// Whether the tokens of `grant` can be sent.
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
