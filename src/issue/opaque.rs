//! Access tokens that say nothing to anybody but their issuer.

use super::keys::Keys;
use super::ports::{AccessTokens, Bearing, FamilyId, Identity, Unverified};
use crate::store::StoreError;
use crate::time::Timestamp;
use crate::token::Secret;

/// What an opaque access token begins with.
const PREFIX: &str = "pat1_";

const FAMILY: usize = FamilyId::BYTES;
const BODY: usize = FAMILY + 8 + 8 + 8 + 16;

/// Access tokens of 127 characters that name their family and when they expire, under a MAC. Whom
/// they stand for is kept with the family, which is read each time.
#[derive(Clone, Debug)]
pub struct Opaque(Keys);

impl Opaque {
    /// Tokens made with `keys`, which may be those of the refresh tokens.
    pub fn new(keys: Keys) -> Self {
        Self(keys)
    }
}

impl AccessTokens for Opaque {
    fn mint(&self, bearing: &Bearing, _: &Identity) -> Result<Secret, StoreError> {
        let mut body = [0; BODY];
        let parts: [&[u8]; 5] = [
            &bearing.family.to_bytes(),
            &bearing.number.to_be_bytes(),
            &bearing.issued_at.as_millis().to_be_bytes(),
            &bearing.expires_at.as_millis().to_be_bytes(),
            &bearing.id.to_be_bytes(),
        ];
        let mut at = 0;
        for part in parts {
            body[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        Ok(self.0.seal(PREFIX, &body))
    }

    fn verify(&self, token: &str) -> Result<(Bearing, Option<Identity>), Unverified> {
        let body: [u8; BODY] = self.0.open(PREFIX, token).ok_or(Unverified)?;
        let mut rest = &body[..];
        let bearing = Bearing {
            family: FamilyId::of_bytes(take(&mut rest)),
            number: u64::from_be_bytes(take(&mut rest)),
            issued_at: Timestamp::from_millis(i64::from_be_bytes(take(&mut rest))),
            expires_at: Timestamp::from_millis(i64::from_be_bytes(take(&mut rest))),
            id: u128::from_be_bytes(take(&mut rest)),
        };
        Ok((bearing, None))
    }
}

/// The next bytes of a body that is as long as all of its parts.
fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (taken, left) = rest.split_first_chunk().expect("a body is as long as its parts");
    *rest = left;
    *taken
}
