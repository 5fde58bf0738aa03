//! Keys, and the refresh tokens made with them.

use core::fmt;
use std::string::String;
use std::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use secrecy::zeroize::Zeroizing;
use sha2::Sha256;
use thiserror::Error as ThisError;

use super::ports::FamilyId;
use crate::token::Secret;

/// The minimum length of a key, in bytes: that of the MAC (RFC 2104, section 3).
const SHORTEST: usize = 32;

/// The length of a MAC, in bytes.
pub(super) const MAC: usize = 32;

/// The length of a key's name, in bytes.
const NAME: usize = 4;

/// The maximum length of a sealed body, in bytes, so that the text fits into a header.
pub(super) const LONGEST: usize = 2048;

/// The prefix of a refresh token, which identifies it to secret scanners, and its format.
const PREFIX: &str = "prt1_";

/// The keys of an issuer: a current one, which makes new tokens, and older ones, which still verify
/// tokens. HMAC-SHA-256 (RFC 2104).
///
/// All processes of an issuer need the same keys. To change keys, first add the new key as an older
/// one in all processes, then make it the current one. Families are not affected: tokens are
/// identified by their numbers.
#[derive(Clone)]
pub struct Keys {
    current: MacKey,
    older: Vec<MacKey>,
}

/// Why a key cannot be used.
#[derive(Copy, Clone, Debug, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum KeyError {
    /// The key has fewer than 32 bytes, and could be guessed.
    #[error("a key has {0} bytes, and must have 32 or more, drawn at random")]
    TooShort(usize),
}

impl Keys {
    /// Returns keys with `secret`, of 32 random bytes or more, as the current and only key.
    ///
    /// # Errors
    /// [`KeyError::TooShort`].
    pub fn new(secret: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        Ok(Self { current: MacKey::new(secret.as_ref())?, older: Vec::new() })
    }

    /// Adds `secret` as an older key, which only verifies tokens.
    ///
    /// # Errors
    /// [`KeyError::TooShort`].
    pub fn and_older(mut self, secret: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        self.older.push(MacKey::new(secret.as_ref())?);
        Ok(self)
    }

    /// Returns a text of `prefix`, the key's name, `body` and their MAC.
    pub(super) fn seal(&self, prefix: &str, body: &[u8]) -> Secret {
        let mut bytes = Zeroizing::new(Vec::with_capacity(NAME + body.len() + MAC));
        bytes.extend_from_slice(&self.current.name);
        bytes.extend_from_slice(body);
        bytes.extend_from_slice(&self.current.over(prefix, body).finalize().into_bytes());
        let mut text = String::with_capacity(prefix.len() + bytes.len().div_ceil(3) * 4);
        text.push_str(prefix);
        URL_SAFE_NO_PAD.encode_string(&*bytes, &mut text);
        Secret::from(text)
    }

    /// Returns the body of a text that one of these keys has sealed.
    pub(super) fn open(&self, prefix: &str, text: &str) -> Option<Zeroizing<Vec<u8>>> {
        let text = text.strip_prefix(prefix)?;
        // No valid text is longer.
        if text.len() > (NAME + LONGEST + MAC).div_ceil(3) * 4 {
            return None;
        }
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
        let (name, rest) = bytes.split_at_checked(NAME)?;
        let (body, mac) = rest.split_at_checked(rest.len().checked_sub(MAC)?)?;
        let mut keys = core::iter::once(&self.current).chain(&self.older);
        let key = keys.find(|key| key.name == name)?;
        // Rule D4: "what is presented MUST be compared in constant time".
        key.over(prefix, body).verify_slice(mac).ok()?;
        Some(Zeroizing::new(body.to_vec()))
    }

    /// Returns the `sibling`-th refresh token of `family` with this number. The first of them is
    /// sibling 0, whose body is the family and the number; the index follows in the others.
    pub(super) fn refresh_token(&self, family: FamilyId, number: u64, sibling: u32) -> Secret {
        let mut body = [0; FamilyId::BYTES + 8 + 4];
        let (id, rest) = body.split_at_mut(FamilyId::BYTES);
        id.copy_from_slice(&family.to_bytes());
        rest[..8].copy_from_slice(&number.to_be_bytes());
        rest[8..].copy_from_slice(&sibling.to_be_bytes());
        self.seal(PREFIX, if sibling == 0 { &body[..FamilyId::BYTES + 8] } else { &body })
    }

    /// Returns the family and the number of a refresh token, if one of these keys has made it.
    /// To a family all siblings are one, so the index is not returned.
    pub(super) fn read(&self, token: &str) -> Option<(FamilyId, u64)> {
        let body = self.open(PREFIX, token)?;
        let (family, rest) = body.split_first_chunk()?;
        let (number, sibling) = rest.split_first_chunk()?;
        // Each token has one form, and that of sibling 0 is without an index.
        if !sibling.is_empty() && u32::from_be_bytes(sibling.try_into().ok()?) == 0 {
            return None;
        }
        Some((FamilyId::from_bytes(*family), u64::from_be_bytes(*number)))
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Keys").field("older", &self.older.len()).finish_non_exhaustive()
    }
}

#[derive(Clone)]
struct MacKey {
    secret: Zeroizing<Vec<u8>>,
    /// Identifies the key that made a token. Not secret.
    name: [u8; NAME],
}

impl MacKey {
    fn new(secret: &[u8]) -> Result<Self, KeyError> {
        if secret.len() < SHORTEST {
            return Err(KeyError::TooShort(secret.len()));
        }
        let mut key = Self { secret: Zeroizing::new(secret.to_vec()), name: [0; NAME] };
        let named = key.over("perennial key", &[]).finalize().into_bytes();
        key.name.copy_from_slice(&named[..NAME]);
        Ok(key)
    }

    /// Returns the MAC over `body`, separated by purpose.
    fn over(&self, purpose: &str, body: &[u8]) -> Hmac<Sha256> {
        let mac = Hmac::<Sha256>::new_from_slice(&self.secret);
        let mut mac = mac.expect("a MAC takes a key of any length");
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        mac.update(body);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAMILY: FamilyId = FamilyId::from_bytes([3; FamilyId::BYTES]);

    fn keys() -> Keys {
        Keys::new([7; SHORTEST]).expect("long enough")
    }

    // Rule D2.
    #[test]
    fn siblings_differ_as_texts_and_are_one_number() {
        let keys = keys();
        let texts = [0, 1, 2, u32::MAX].map(|sibling| keys.refresh_token(FAMILY, 9, sibling));
        for (place, text) in texts.iter().enumerate() {
            assert_eq!(keys.read(text.expose()), Some((FAMILY, 9)), "{place}");
            assert!(texts[..place].iter().all(|other| other != text), "{place}");
        }
        assert!(texts[1] != keys.refresh_token(FAMILY, 10, 1));
    }

    // Rule D4.
    #[test]
    fn a_sealed_body_of_any_other_form_is_no_refresh_token() {
        let keys = keys();
        let of = |body: &[u8]| keys.read(keys.seal(PREFIX, body).expose());
        let long = [[3; FamilyId::BYTES].as_slice(), &9_u64.to_be_bytes(), &[0, 0, 0, 1]].concat();
        for length in 0..long.len() {
            let whole = length == FamilyId::BYTES + 8;
            assert_eq!(of(&long[..length]), whole.then_some((FAMILY, 9)), "{length} bytes");
        }
        assert_eq!(of(&long), Some((FAMILY, 9)));
        assert_eq!(of(&[long.as_slice(), &[0]].concat()), None, "a byte too many");
        let zeroth = [&long[..FamilyId::BYTES + 8], &[0; 4]].concat();
        assert_eq!(of(&zeroth), None, "the form of sibling 0 is the short one");
    }
}
