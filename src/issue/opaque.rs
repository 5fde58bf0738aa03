//! Access tokens that only their issuer can read.

use std::string::String;
use std::vec::Vec;

use super::keys::{Keys, LONGEST};
use super::ports::{AccessTokens, Claims, FamilyId, Identity, MintError, Principal, VerifyError};
use crate::time::Timestamp;
use crate::token::Secret;

/// The prefix of an opaque access token.
const PREFIX: &str = "pat1_";

/// The length of what precedes the scope, in bytes.
const FIXED: usize = FamilyId::BYTES + 8 + 8 + 8 + 16;

/// Access tokens of their family, expiry and scope, under a MAC: 127 characters plus the scope.
/// Their identity is kept with the family, which is read for each request.
#[derive(Clone, Debug)]
pub struct Opaque(Keys);

impl Opaque {
    /// Returns a format with `keys`, which may be those of the refresh tokens.
    pub fn new(keys: Keys) -> Self {
        Self(keys)
    }
}

impl AccessTokens for Opaque {
    fn mint(&self, claims: &Claims, identity: &Identity) -> Result<Secret, MintError> {
        let scope = identity.scope.as_deref().unwrap_or_default().as_bytes();
        if FIXED + scope.len() > LONGEST {
            return Err(MintError::ScopeTooLong);
        }
        let mut body = Vec::with_capacity(FIXED + scope.len());
        body.extend_from_slice(&claims.family.to_bytes());
        body.extend_from_slice(&claims.number.to_be_bytes());
        body.extend_from_slice(&claims.issued_at.as_millis().to_be_bytes());
        body.extend_from_slice(&claims.expires_at.as_millis().to_be_bytes());
        body.extend_from_slice(&claims.id.to_be_bytes());
        body.extend_from_slice(scope);
        Ok(self.0.seal(PREFIX, &body))
    }

    fn verify(&self, token: &str) -> Result<(Claims, Principal), VerifyError> {
        let body = self.0.open(PREFIX, token).ok_or(VerifyError)?;
        let mut rest = &body[..];
        let claims = Claims {
            family: FamilyId::from_bytes(take(&mut rest)?),
            number: u64::from_be_bytes(take(&mut rest)?),
            issued_at: Timestamp::from_millis(i64::from_be_bytes(take(&mut rest)?)),
            expires_at: Timestamp::from_millis(i64::from_be_bytes(take(&mut rest)?)),
            id: u128::from_be_bytes(take(&mut rest)?),
        };
        let scope = core::str::from_utf8(rest).map_err(|_| VerifyError)?;
        let scope = Some(String::from(scope)).filter(|scope| !scope.is_empty());
        Ok((claims, Principal::Family { scope }))
    }
}

/// Takes the next bytes of a body.
fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], VerifyError> {
    let (taken, left) = rest.split_first_chunk().ok_or(VerifyError)?;
    *rest = left;
    Ok(*taken)
}
