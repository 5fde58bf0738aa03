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

    /// Returns the refresh token of `family` with this number.
    pub(super) fn refresh_token(&self, family: FamilyId, number: u64) -> Secret {
        let mut body = [0; FamilyId::BYTES + 8];
        body[..FamilyId::BYTES].copy_from_slice(&family.to_bytes());
        body[FamilyId::BYTES..].copy_from_slice(&number.to_be_bytes());
        self.seal(PREFIX, &body)
    }

    /// Returns the family and the number of a refresh token, if one of these keys has made it.
    pub(super) fn read(&self, token: &str) -> Option<(FamilyId, u64)> {
        let body = self.open(PREFIX, token)?;
        let (family, number) = body.split_first_chunk()?;
        Some((FamilyId::from_bytes(*family), u64::from_be_bytes(number.try_into().ok()?)))
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
