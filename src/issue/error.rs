//! What is denied, and why. InvalidGrant is for logs: a client is told the code of RFC 6749 and no more.

use core::fmt;
use std::error::Error as StdError;

use thiserror::Error as ThisError;

use super::ports::{FamilyId, MintError};
use crate::rotation::RefusalReason;
use crate::store::StoreError;

/// A grant that was denied (RFC 6749, section 5.2).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum GrantError {
    /// `invalid_grant`: the refresh token does not work.
    InvalidGrant(InvalidGrant),
    /// `invalid_scope`: more was asked for than was granted, or than an access token can hold.
    InvalidScope,
    /// 503: the families could not be read or written, or nothing could be signed. Nothing was
    /// rotated.
    Unavailable(StoreError),
}

/// InvalidGrant a refresh token does not work.
#[derive(Copy, Clone, Debug, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum InvalidGrant {
    /// It is malformed, or made with another key.
    #[error("not a refresh token of this issuer")]
    NotOurs,
    /// Its family is not there (any more).
    #[error("its family is not known")]
    UnknownFamily(FamilyId),
    /// It belongs to another client (rule D4).
    #[error("it was issued to another client")]
    OtherClient(FamilyId),
    /// The family does not bear it.
    #[error("it does not work: {1:?}")]
    Refused(FamilyId, RefusalReason),
    /// It was used before, and its family has been revoked for that (rule D3).
    #[error("it was used before, and its family was revoked for that")]
    Reused(FamilyId),
}

impl From<MintError> for GrantError {
    fn from(error: MintError) -> Self {
        match error {
            MintError::ScopeTooLong => Self::InvalidScope,
            MintError::Unavailable(error) => Self::Unavailable(error),
        }
    }
}

impl fmt::Display for GrantError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::InvalidGrant(_) => "the refresh token does not work",
            Self::InvalidScope => "the scope exceeds what was granted, or what a token can hold",
            Self::Unavailable(_) => "the token could not be issued now; try again later",
        })
    }
}

impl StdError for GrantError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::InvalidGrant(why) => Some(why),
            Self::InvalidScope => None,
            Self::Unavailable(error) => Some(error),
        }
    }
}

/// An access token that was rejected (RFC 6750, section 3.1).
#[derive(Clone, Debug, ThisError)]
#[non_exhaustive]
pub enum AuthenticationError {
    /// `invalid_token`: it is malformed, or not of this issuer.
    #[error("the access token is malformed, or not of this issuer")]
    Unverified,
    /// `invalid_token`: it has expired.
    #[error("the access token has expired")]
    Expired,
    /// `invalid_token`: its family was revoked, or is not there any more (rule D3).
    #[error("the access token was revoked")]
    Revoked(FamilyId),
    /// 503: it could not be asked whether the family was revoked.
    #[error("it could not be asked whether the access token was revoked")]
    Unavailable(#[source] StoreError),
}
