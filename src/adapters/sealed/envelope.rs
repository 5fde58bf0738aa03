//! A sealed record: `v1.<key id>.<base64url(nonce, ciphertext)>`.
//!
//! Invariants: a nonce is drawn for each record; the format, the key's id and the record's name are
//! authenticated, each with its length, so that no two combinations are the same bytes; no buffer
//! that held plaintext grows, and all are zeroised (rule G1).

use core::fmt;
use std::prelude::rust_2024::*;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use secrecy::zeroize::Zeroizing;

use super::key::{Keys, SealingKey};
use crate::store::{StoreError, StoredGrant, Version, Versioned, json};
use crate::time::Timestamp;
use crate::token::{Grant, Secret};

const FORMAT: &str = "v1";

/// In bytes.
const NONCE: usize = 24;
const TAG: usize = 16;

/// How the records of one name are sealed and opened.
#[derive(Clone)]
pub(super) struct Seal {
    keys: Keys,
    name: String,
    accepts_unsealed: bool,
}

impl Seal {
    pub(super) fn new(keys: Keys, name: String) -> Self {
        Self { keys, name, accepts_unsealed: false }
    }

    pub(super) fn accept_unsealed(self) -> Self {
        Self { accepts_unsealed: true, ..self }
    }

    /// Returns what the inner store is to hold.
    pub(super) fn close_content(
        &self,
        next: Option<StoredGrant>,
    ) -> Result<Option<StoredGrant>, StoreError> {
        let Some(grant) = next else { return Ok(None) };
        let grant = Grant::of_refresh_token(self.close(&grant)?);
        let acquired_at = Timestamp::UNIX_EPOCH;
        Ok(Some(StoredGrant { grant, acquired_at, expires_at: None, intent: None }))
    }

    /// Returns what is sealed in what the inner store holds.
    pub(super) fn open_content(&self, found: Versioned) -> Result<Versioned, StoreError> {
        let grant = found.grant.map(|record| self.open(record)).transpose()?;
        Ok(Versioned { version: found.version, grant })
    }

    /// Returns the record of a grant, sealed with the current key.
    fn close(&self, grant: &StoredGrant) -> Result<Secret, StoreError> {
        let key = self.keys.current();
        let text = json::encode(INSIDE, Some(grant));
        let text = text.expose().as_bytes();
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|error| {
            StoreError::unreachable(
                "the operating system gave no random numbers to seal the grant with",
            )
            .with_source(error)
        })?;
        let mut body = Zeroizing::new(Vec::with_capacity(text.len() + TAG));
        body.extend_from_slice(text);
        let nonce = XNonce::from(nonce);
        cipher(key)
            .encrypt_in_place(&nonce, &self.bound_to(key), &mut *body)
            .map_err(|_| StoreError::unreachable("the grant is too large to be sealed"))?;
        let sealed = [nonce.as_slice(), &body].concat();
        Ok(std::format!("{FORMAT}.{}.{}", key.id(), URL_SAFE_NO_PAD.encode(sealed)).into())
    }

    /// Returns the grant in a record.
    fn open(&self, record: StoredGrant) -> Result<StoredGrant, StoreError> {
        let text = record.grant.refresh_token().map_or("", Secret::expose);
        let Some((id, body)) = parts(text) else {
            if self.accepts_unsealed && format(text).is_none() {
                return Ok(record);
            }
            return Err(self.damaged(unlike_a_record(text)));
        };
        if record.grant.access_token().is_some() || record.grant.fields().next().is_some() {
            return Err(self.damaged("there is something beside what is sealed"));
        }
        let Some(key) = self.keys.find(id) else {
            return Err(self.damaged(&std::format!(
                "it is sealed with the key {id}, and this program has {}: give it that key, too, by `Keys::and_older`",
                self.keys.ids()
            )));
        };
        let changed = || {
            self.damaged(&std::format!(
                "it was changed, or sealed under another name, as the key {} shows",
                key.id()
            ))
        };
        let Ok(sealed) = URL_SAFE_NO_PAD.decode(body) else { return Err(changed()) };
        let Some((nonce, body)) = sealed.split_first_chunk::<NONCE>() else {
            return Err(changed());
        };
        let mut body = Zeroizing::new(body.to_vec());
        let nonce = XNonce::from(*nonce);
        cipher(key)
            .decrypt_in_place(&nonce, &self.bound_to(key), &mut *body)
            .map_err(|_| changed())?;
        let inside = json::decode(&body).map_err(|reason| self.damaged(&reason))?;
        inside.grant.ok_or_else(|| self.damaged("nothing is in it"))
    }

    /// What is authenticated with the ciphertext.
    fn bound_to(&self, key: &SealingKey) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in ["perennial sealed grant", FORMAT, key.id(), &self.name] {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        bytes
    }

    /// Rule F5: "Damaged content MUST be a clear error, and nothing
    /// may be overwritten but by a login or a logout."
    fn damaged(&self, reason: &str) -> StoreError {
        StoreError::damaged(std::format!(
            "the sealed record of {:?} cannot be opened: {reason}. It was left as it is; a login replaces it",
            self.name
        ))
    }
}

/// The version inside: the inner store's is the one that counts.
const INSIDE: Version = Version::new(1);

fn cipher(key: &SealingKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.bytes().into())
}

/// Returns the key's id and the body of a record. The id is one that a key can have.
fn parts(text: &str) -> Option<(&str, &str)> {
    let (id, body) = text.strip_prefix(FORMAT)?.strip_prefix('.')?.split_once('.')?;
    let is_id = id.len() == SealingKey::ID
        && id.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-' || it == b'_');
    is_id.then_some((id, body))
}

/// Returns the format that a text says it has.
fn format(text: &str) -> Option<&str> {
    let (format, _) = text.split_once('.')?;
    let number = format.strip_prefix('v')?;
    let is_number = !number.is_empty() && number.bytes().all(|it| it.is_ascii_digit());
    is_number.then_some(format)
}

/// Returns what is wrong with a text that has not the parts of a record.
fn unlike_a_record(text: &str) -> &'static str {
    match format(text) {
        Some(FORMAT) => "it was cut short, or changed",
        Some(_) => "it has another format than v1, which this program knows",
        None => "it is not sealed; a store that was in use before is read with `accept_unsealed`",
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Seal")
            .field("keys", &self.keys)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
