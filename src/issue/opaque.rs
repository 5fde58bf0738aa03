//! Access tokens that say nothing to anybody but their issuer.

use std::string::String;
use std::vec::Vec;

use super::keys::{Keys, LONGEST};
use super::ports::{AccessTokens, Bearing, FamilyId, Identity, StandsFor, Unminted, Unverified};
use crate::time::Timestamp;
use crate::token::Secret;

/// What an opaque access token begins with.
const PREFIX: &str = "pat1_";

/// How many bytes there are before the scope.
const FIXED: usize = FamilyId::BYTES + 8 + 8 + 8 + 16;

/// Access tokens that name their family, when they expire and their scope, under a MAC: 127 characters,
/// and the scope's. Whom they stand for is kept with the family, which is read each time.
#[derive(Clone, Debug)]
pub struct Opaque(Keys);

impl Opaque {
    /// Tokens made with `keys`, which may be those of the refresh tokens.
    pub fn new(keys: Keys) -> Self {
        Self(keys)
    }
}

impl AccessTokens for Opaque {
    fn mint(&self, bearing: &Bearing, identity: &Identity) -> Result<Secret, Unminted> {
        let scope = identity.scope.as_deref().unwrap_or_default().as_bytes();
        if FIXED + scope.len() > LONGEST {
            return Err(Unminted::ScopeTooLong);
        }
        let mut body = Vec::with_capacity(FIXED + scope.len());
        body.extend_from_slice(&bearing.family.to_bytes());
        body.extend_from_slice(&bearing.number.to_be_bytes());
        body.extend_from_slice(&bearing.issued_at.as_millis().to_be_bytes());
        body.extend_from_slice(&bearing.expires_at.as_millis().to_be_bytes());
        body.extend_from_slice(&bearing.id.to_be_bytes());
        body.extend_from_slice(scope);
        Ok(self.0.seal(PREFIX, &body))
    }

    fn verify(&self, token: &str) -> Result<(Bearing, StandsFor), Unverified> {
        let body = self.0.open(PREFIX, token).ok_or(Unverified)?;
        let mut rest = &body[..];
        let bearing = Bearing {
            family: FamilyId::of_bytes(take(&mut rest)?),
            number: u64::from_be_bytes(take(&mut rest)?),
            issued_at: Timestamp::from_millis(i64::from_be_bytes(take(&mut rest)?)),
            expires_at: Timestamp::from_millis(i64::from_be_bytes(take(&mut rest)?)),
            id: u128::from_be_bytes(take(&mut rest)?),
        };
        let scope = core::str::from_utf8(rest).map_err(|_| Unverified)?;
        let scope = Some(String::from(scope)).filter(|scope| !scope.is_empty());
        Ok((bearing, StandsFor::Family { scope }))
    }
}

/// The next bytes of a body.
fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Unverified> {
    let (taken, left) = rest.split_first_chunk().ok_or(Unverified)?;
    *rest = left;
    Ok(*taken)
}
