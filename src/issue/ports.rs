//! The ports of an issuer: the store of families, and the format of access tokens.

use core::future::Future;
use std::prelude::rust_2024::*;

use thiserror::Error as ThisError;

use super::own_claims::OwnClaims;
pub use crate::rotation::FamilyId;
use crate::rotation::{Family, Row};
use crate::store::{StoreError, Version};
use crate::time::{Span, Timestamp};
use crate::token::Secret;

/// A family as a store keeps it. Holds no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FamilyRecord {
    /// The client that the tokens are issued to.
    pub client: String,
    /// The subject that logged in.
    pub subject: String,
    /// The granted scope (RFC 6749, section 3.3).
    pub scope: Option<String>,
    /// The label of the device or the browser that logged in, for a list of logins.
    pub device: Option<String>,
    /// The program's own claims.
    pub claims: OwnClaims,
    /// The state of the refresh tokens. Its `newest` is 0 where no refresh token was issued
    /// ([`Issuer::client_credentials`](super::Issuer::client_credentials)).
    pub family: Row,
    /// When the record may be deleted; `None` for never.
    pub forget_at: Option<Timestamp>,
}

impl FamilyRecord {
    /// Returns whether the family was revoked.
    pub fn is_revoked(&self) -> bool {
        Family::from_row(self.family).is_revoked()
    }

    /// Returns whether a refresh token was issued. Without one nothing is lost with the record: its client
    /// requests another access token.
    pub fn has_refresh_token(&self) -> bool {
        self.family.newest > 0
    }
}

/// A stored family with its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionedFamily {
    /// The version, which each write increments.
    pub version: Version,
    /// The family itself.
    pub record: FamilyRecord,
}

/// The result of a compare-and-swap.
///
/// Exhaustive on purpose: every store returns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FamilySwap {
    /// The family was written.
    Done,
    /// Nothing was written, since the version has changed. Holds what is stored now, if anything.
    Conflict(Option<VersionedFamily>),
}

/// Keeps families of refresh tokens.
///
/// Implement it for your database, and test it with `testing::family_store_conforms`. Four
/// statements of SQL do: an `INSERT`, a `SELECT`, an `UPDATE … WHERE id = ? AND version = ?`, and
/// an `UPDATE … SET revoked = true, version = version + 1`.
///
/// # Cancellation
/// A dropped future of this trait may or may not have written, but never in part.
pub trait FamilyStore: Send + Sync + 'static {
    /// Adds a family under a new identifier.
    ///
    /// # Errors
    /// [`StoreError::unreachable`] if it may work later, or if the identifier is taken.
    fn insert(
        &self,
        id: FamilyId,
        record: FamilyRecord,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Reads a family; `None` if it is not stored, or no longer.
    ///
    /// # Errors
    /// [`StoreError::unreachable`] if it may work later, [`StoreError::damaged`] if the stored
    /// family cannot be read.
    fn find(
        &self,
        id: FamilyId,
    ) -> impl Future<Output = Result<Option<VersionedFamily>, StoreError>> + Send;

    /// Replaces the state of a family if its version is still `expected`. That a refresh token is
    /// rotated only once ([D1](crate::spec#d-the-authorization-server)) depends on this.
    ///
    /// # Errors
    /// As for [`find`](FamilyStore::find).
    fn swap(
        &self,
        id: FamilyId,
        expected: Version,
        family: Row,
        forget_at: Option<Timestamp>,
    ) -> impl Future<Output = Result<FamilySwap, StoreError>> + Send;

    /// Revokes a family whatever its version, and increments that, so that a concurrent
    /// [`swap`](FamilyStore::swap) fails. Revoking a missing family is a no-op.
    ///
    /// # Errors
    /// As for [`find`](FamilyStore::find).
    fn revoke(&self, id: FamilyId) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Revokes all families of a subject at once. Returns how many were not revoked before.
    ///
    /// # Errors
    /// As for [`find`](FamilyStore::find).
    fn revoke_subject(&self, subject: &str)
    -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Returns the families of a subject that were not revoked and have a refresh token, those used last first, and no
    /// more than `most`.
    ///
    /// # Errors
    /// As for [`find`](FamilyStore::find).
    fn families_of(
        &self,
        subject: &str,
        most: usize,
    ) -> impl Future<Output = Result<Vec<(FamilyId, FamilyRecord)>, StoreError>> + Send;

    /// Deletes records that may be forgotten at `now`, and returns how many. A record
    /// [with a refresh token](FamilyRecord::has_refresh_token) is deleted only where an earlier purge, at
    /// least [`PURGE_CONFIRMED_AFTER`] before, found it over too, and none since then found otherwise: a
    /// clock that jumps ahead for a while ends no login. A store that deletes by itself, such as one whose
    /// database expires records, returns 0.
    ///
    /// # Errors
    /// As for [`find`](FamilyStore::find).
    fn purge(&self, now: Timestamp) -> impl Future<Output = Result<u64, StoreError>> + Send;
}

/// How long before a [purge](FamilyStore::purge) deletes a record an earlier one must have found it over: 1 h.
pub const PURGE_CONFIRMED_AFTER: Span = Span::from_secs(3600);

/// The identity on whose behalf a request is made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Identity {
    /// The subject that logged in, or the client itself if it acts for itself (RFC 6749, section
    /// 4.4).
    pub subject: String,
    /// The client that acts for the subject.
    pub client: String,
    /// The scope of the token.
    pub scope: Option<String>,
    /// The family of the token, one login of the subject; `None` for a token of another kind of issuer.
    pub family: Option<FamilyId>,
    /// The label that the login was given ([`Login::device`](super::Login::device)), where the family was read.
    pub device: Option<String>,
    /// The program's own claims ([`Login::claims`](super::Login::claims)).
    pub claims: OwnClaims,
}

impl Identity {
    /// Returns an identity without scope, family, device and own claims.
    pub fn new(subject: impl Into<String>, client: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            client: client.into(),
            scope: None,
            family: None,
            device: None,
            claims: OwnClaims::new(),
        }
    }

    /// Returns whether the subject is the client itself, which acts for itself (RFC 6749, section 4.4). A login
    /// under the name of its own client is refused, so that this cannot be a user.
    pub fn is_client(&self) -> bool {
        self.subject == self.client
    }
}

/// The claims of an access token besides its [`Principal`].
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The family that the token belongs to.
    pub family: FamilyId,
    /// The number of the refresh token that was issued with it.
    pub number: u64,
    /// When the token was issued.
    pub issued_at: Timestamp,
    /// When the token expires.
    pub expires_at: Timestamp,
    /// Identifies the token uniquely.
    pub id: u128,
}

/// Whom an access token stands for.
///
/// Exhaustive on purpose: every format of access tokens returns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// The token holds the whole identity, but for the device.
    Identity(Identity),
    /// The token stands for the subject and the client of its family.
    Family {
        /// The scope of the token.
        scope: Option<String>,
    },
}

/// The access token was not made by this issuer, or was changed since.
#[derive(Copy, Clone, Debug, PartialEq, Eq, ThisError)]
#[error("the access token is malformed, or not of this issuer")]
pub struct VerifyError;

/// Why no access token was made.
#[derive(Clone, Debug, ThisError)]
#[non_exhaustive]
pub enum MintError {
    /// The scope is too long for any token.
    #[error("the scope is too long for an access token")]
    ScopeTooLong,
    /// The subject, the client and the program's own claims are too long for any token.
    #[error("the subject, the client and the claims are too long for an access token")]
    TooLong,
    /// The token could not be signed; it may work later.
    #[error("the access token could not be signed")]
    Unavailable(#[source] StoreError),
}

/// The format of access tokens: [`Opaque`](super::Opaque), or JWT (`adapters::jwt`).
pub trait AccessTokens: Send + Sync + 'static {
    /// Makes an access token.
    ///
    /// # Errors
    /// [`MintError`]; nothing is issued then.
    fn mint(&self, claims: &Claims, identity: &Identity) -> Result<Secret, MintError>;

    /// Verifies an access token, and returns its claims and principal. The issuer checks the times.
    ///
    /// # Errors
    /// [`VerifyError`], whatever is wrong.
    fn verify(&self, token: &str) -> Result<(Claims, Principal), VerifyError>;

    /// Returns the resource server that the tokens are for (`aud`), if they say so. Default: none.
    fn audience(&self) -> Option<&str> {
        None
    }
}
