//! What an issuer needs of others: where families are kept, and what access tokens look like.

use core::fmt;
use core::future::Future;
use std::string::String;

use thiserror::Error as ThisError;

use crate::rotation::{Family, Row};
use crate::store::{StoreError, Version};
use crate::time::Timestamp;
use crate::token::Secret;

/// Names a family of refresh tokens: 128 random bits. No secret; access tokens carry it as `sid`.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FamilyId([u8; Self::BYTES]);

impl FamilyId {
    /// How many bytes it has.
    pub const BYTES: usize = 16;

    /// The name with these bytes.
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn to_bytes(self) -> [u8; Self::BYTES] {
        self.0
    }

    /// The name that [`Display`](fmt::Display) shows as `text`.
    pub fn parse(text: &str) -> Option<Self> {
        let hexadecimal = text.len() == 2 * Self::BYTES
            && text.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'));
        let number = u128::from_str_radix(text, 16).ok().filter(|_| hexadecimal)?;
        Some(Self(number.to_be_bytes()))
    }
}

/// 32 hexadecimal digits.
impl fmt::Display for FamilyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for FamilyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "FamilyId({self})")
    }
}

/// A family as it is kept. It holds no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FamilyRecord {
    /// The client that its tokens are for (rule D4).
    pub client: String,
    /// Who logged in.
    pub subject: String,
    /// What was granted (RFC 6749, section 3.3).
    pub scope: Option<String>,
    /// The state of its refresh tokens.
    pub family: Row,
    /// From when on nobody can tell that it is forgotten; `None` where that is never.
    pub forget_at: Option<Timestamp>,
}

impl FamilyRecord {
    /// Whether it was revoked.
    pub fn is_revoked(&self) -> bool {
        Family::from_row(self.family).is_revoked()
    }
}

/// A family that was found, with the version that a claim on it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionedFamily {
    /// How often it was written.
    pub version: Version,
    /// The family.
    pub record: FamilyRecord,
}

/// What came of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FamilySwap {
    /// Written.
    Done,
    /// Not written: somebody else has written meanwhile, and this is there now, if anything is.
    Conflict(Option<VersionedFamily>),
}

/// Keeps families of refresh tokens.
///
/// Third parties implement it for their database, and can run it through
/// `testing::family_store_conforms`. Four statements of SQL do: an `INSERT`, a `SELECT`, an
/// `UPDATE … WHERE id = ? AND version = ?`, and an `UPDATE … SET revoked = true, version = version + 1`.
///
/// # Cancellation
/// A future of this trait that is dropped may have written or not; it must have written whole.
pub trait FamilyStore: Send + Sync + 'static {
    /// Adds a family under a new name.
    ///
    /// # Errors
    /// [`StoreError::unreachable`] where it may work later, and where the name is taken.
    fn insert(
        &self,
        id: FamilyId,
        record: FamilyRecord,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Reads a family; `None` where there is none (any more).
    ///
    /// # Errors
    /// [`StoreError::unreachable`] where it may work later, [`StoreError::damaged`] where what is
    /// there cannot be understood.
    fn find(
        &self,
        id: FamilyId,
    ) -> impl Future<Output = Result<Option<VersionedFamily>, StoreError>> + Send;

    /// Replaces the state of a family, if nobody has written to it since it was found at
    /// `expected`. Rule D1 rests on this.
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

    /// Revokes a family whatever its version, so that a claim on what was found before fails. One
    /// that is not there is none.
    ///
    /// # Errors
    /// As for [`find`](FamilyStore::find).
    fn revoke(&self, id: FamilyId) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Revokes all families of a subject at once. Gives how many were not revoked before.
    ///
    /// # Errors
    /// As for [`find`](FamilyStore::find).
    fn revoke_subject(&self, subject: &str)
    -> impl Future<Output = Result<u64, StoreError>> + Send;
}

/// On whose behalf a request is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Who logged in; the client itself, where nobody did (RFC 6749, section 4.4).
    pub subject: String,
    /// The client that acts for them.
    pub client: String,
    /// What the token may be used for.
    pub scope: Option<String>,
}

/// What an access token carries beside whom it stands for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The family that it came from (rule D3).
    pub family: FamilyId,
    /// The number of the refresh token that it was issued with.
    pub number: u64,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
    /// Tells it apart from all others.
    pub id: u128,
}

/// Whom an access token says that it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// It says all of it.
    Identity(Identity),
    /// For whomever its family does, with this of their scope.
    Family {
        /// What the token may be used for.
        scope: Option<String>,
    },
}

/// An access token that this issuer has not made, or that was changed since.
#[derive(Copy, Clone, Debug, PartialEq, Eq, ThisError)]
#[error("the access token is malformed, or not of this issuer")]
pub struct VerifyError;

/// InvalidGrant no access token was made.
#[derive(Clone, Debug, ThisError)]
#[non_exhaustive]
pub enum MintError {
    /// No token could hold the scope, now or later.
    #[error("the scope is too long for an access token")]
    ScopeTooLong,
    /// It cannot be signed now.
    #[error("the access token could not be signed")]
    Unavailable(#[source] StoreError),
}

/// What access tokens look like: [`Opaque`](super::Opaque), or JWT by an adapter.
pub trait AccessTokens: Send + Sync + 'static {
    /// Makes one.
    ///
    /// # Errors
    /// [`MintError`]: nothing was issued then.
    fn mint(&self, claims: &Claims, identity: &Identity) -> Result<Secret, MintError>;

    /// Reads one, and whom it stands for. Times are judged by the issuer.
    ///
    /// # Errors
    /// [`VerifyError`], whatever is wrong.
    fn verify(&self, token: &str) -> Result<(Claims, Principal), VerifyError>;
}
