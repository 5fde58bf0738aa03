//! Errors, and why a grant is invalid. The reason is for logs: a client sees the code of RFC 6749
//! only.

use core::fmt;
use core::time::Duration;
use std::error::Error as StdError;
use std::string::String;
use std::sync::Arc;

use thiserror::Error as ThisError;

use super::ports::{FamilyId, MintError};
use crate::events::ErrorView;
use crate::rotation::RefusalReason;
use crate::store::StoreError;

/// Why no tokens were issued (RFC 6749, section 5.2).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum GrantError {
    /// `invalid_grant`: the refresh token does not work.
    InvalidGrant(InvalidGrant),
    /// `invalid_scope`: the requested scope exceeds what was granted, or what an access token can
    /// hold.
    InvalidScope,
    /// No access token can hold the subject, the client and the program's own claims.
    TooLong,
    /// The subject of a login is the id of a client: its tokens would be taken for those that the client
    /// gets for itself (RFC 9068, section 5).
    SubjectIsClient,
    /// 429: the family has made too many requests. Nothing was issued or rotated.
    TooManyRequests,
    /// 503: a family could not be read or written, or the access token could not be signed. The
    /// refresh token was not rotated.
    Unavailable(StoreError),
}

/// Why a refresh token does not work.
#[derive(Copy, Clone, Debug, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum InvalidGrant {
    /// The token is malformed, or made with an unknown key.
    #[error("not a refresh token of this issuer")]
    NotOurs,
    /// The family is not stored, or no longer.
    #[error("the family of the refresh token is not known")]
    UnknownFamily(FamilyId),
    /// The token belongs to another client.
    #[error("the refresh token was issued to another client")]
    OtherClient(FamilyId),
    /// The family refuses the token.
    #[error("the refresh token does not work: {1:?}")]
    Refused(FamilyId, RefusalReason),
    /// The token was used before, and the family was revoked for that.
    #[error("the refresh token was used before, and its family was revoked for that")]
    Reused(FamilyId),
}

impl From<&GrantError> for ErrorView {
    fn from(error: &GrantError) -> Self {
        match error {
            GrantError::InvalidGrant(why) => Self::new(why.name(), None, *why),
            GrantError::InvalidScope => Self::new("invalid_scope", None, error.clone()),
            GrantError::TooLong => Self::new("too_long", None, error.clone()),
            GrantError::SubjectIsClient => Self::new("subject_is_client", None, error.clone()),
            GrantError::TooManyRequests => Self::new("throttled", None, error.clone()),
            GrantError::Unavailable(why) => Self::new("unavailable", None, why.clone()),
        }
    }
}

/// Why a request was denied before its family was known.
#[cfg(feature = "axum")]
#[derive(Copy, Clone, Debug, PartialEq, Eq, ThisError)]
pub(crate) enum Denied {
    #[error("the client is not known, or its authentication failed")]
    Client,
    #[error("too many requests")]
    Throttled,
}

#[cfg(feature = "axum")]
impl From<Denied> for ErrorView {
    fn from(denied: Denied) -> Self {
        let name = match denied {
            Denied::Client => "invalid_client",
            Denied::Throttled => "throttled",
        };
        Self::new(name, None, denied)
    }
}

impl InvalidGrant {
    /// Returns the reason in a word or two, for events.
    fn name(self) -> &'static str {
        match self {
            Self::NotOurs => "not_ours",
            Self::UnknownFamily(_) => "unknown_family",
            Self::OtherClient(_) => "other_client",
            Self::Refused(..) => "refused",
            Self::Reused(_) => "reused",
        }
    }
}

impl From<MintError> for GrantError {
    fn from(error: MintError) -> Self {
        match error {
            MintError::ScopeTooLong => Self::InvalidScope,
            MintError::TooLong => Self::TooLong,
            MintError::Unavailable(error) => Self::Unavailable(error),
        }
    }
}

impl fmt::Display for GrantError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::InvalidGrant(_) => "the refresh token does not work",
            Self::InvalidScope => "the scope exceeds what was granted, or what a token can hold",
            Self::TooLong => {
                "the subject, the client and the claims are too long for an access token"
            }
            Self::SubjectIsClient => "the subject is the id of a client; a user needs another name",
            Self::TooManyRequests => "the login has made too many requests; try again later",
            Self::Unavailable(_) => "the token could not be issued now; try again later",
        })
    }
}

impl StdError for GrantError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::InvalidGrant(why) => Some(why),
            Self::InvalidScope | Self::TooLong | Self::SubjectIsClient | Self::TooManyRequests => {
                None
            }
            Self::Unavailable(error) => Some(error),
        }
    }
}

/// Why an access token was rejected (RFC 6750, section 3.1).
#[derive(Clone, Debug, ThisError)]
#[non_exhaustive]
pub enum AuthenticationError {
    /// `invalid_token`: the token is malformed, or not of this issuer.
    #[error("the access token is malformed, or not of this issuer")]
    Unverified,
    /// `invalid_token`: the token has expired.
    #[error("the access token has expired")]
    Expired,
    /// `invalid_token`: the family was revoked, or is not stored any more.
    #[error("the access token was revoked")]
    Revoked(FamilyId),
    /// 503: the store could not be read, so it is not known whether the family was revoked.
    #[error("it is not known whether the access token was revoked: its family could not be read")]
    Unavailable(#[source] StoreError),
    /// `invalid_token`: the token is not valid before a later time, or was issued in the future.
    #[error("the access token is not valid yet")]
    NotYetValid,
    /// `invalid_token`: the authorization server says that the token is not active (RFC 7662,
    /// section 2.2).
    #[error("the access token is not active")]
    Inactive,
    /// 503: a verifier on another machine could not find out whether the token works.
    #[error("it is not known whether the access token works: {0}")]
    Unchecked(#[source] Unchecked),
}

/// Why a verifier could not find out whether a token works. Its message holds no secret.
#[derive(Clone, Debug)]
pub struct Unchecked {
    message: String,
    retry_in: Option<Duration>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Unchecked {
    /// Creates an error with a message for logs. Clients do not see it.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), retry_in: None, source: None }
    }

    /// Sets after how long it is worth trying again. Default: not known.
    #[must_use]
    pub fn with_retry_in(mut self, delay: Duration) -> Self {
        self.retry_in = Some(delay);
        self
    }

    /// Sets the source of the error.
    #[must_use]
    pub fn with_source(mut self, source: Arc<dyn StdError + Send + Sync>) -> Self {
        self.source = Some(source);
        self
    }

    /// Returns after how long it is worth trying again, if known.
    pub fn retry_in(&self) -> Option<Duration> {
        self.retry_in
    }
}

impl fmt::Display for Unchecked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl StdError for Unchecked {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
