//! The keys that records are sealed with.

use core::fmt;
use std::format;
use std::io;
use std::path::Path;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{NO_PAD, STANDARD, URL_SAFE_NO_PAD};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use secrecy::zeroize::{Zeroize, Zeroizing};
use sha2::{Digest, Sha256};

use crate::token::Secret;

/// A key of 32 bytes, which should be random. Clones share it; it is zeroised with the last.
///
/// Its id names it in records and errors. It is computed from the key, which it does not reveal.
#[derive(Clone)]
pub struct SealingKey(Arc<Material>);

struct Material {
    bytes: Zeroizing<[u8; SealingKey::BYTES]>,
    id: String,
}

impl SealingKey {
    /// The length of a key, in bytes.
    pub const BYTES: usize = 32;

    /// The length of an id, in characters.
    pub(super) const ID: usize = 11;

    /// Creates a key of these bytes. Do not use a password for it.
    pub fn new(mut bytes: [u8; Self::BYTES]) -> Self {
        let key = Self::copied(&bytes);
        bytes.zeroize();
        key
    }

    fn copied(bytes: &[u8; Self::BYTES]) -> Self {
        let hash = Sha256::new().chain_update("perennial sealing key id").chain_update(bytes);
        let id = URL_SAFE_NO_PAD.encode(&hash.finalize()[..8]);
        Self(Arc::new(Material { bytes: Zeroizing::new(*bytes), id }))
    }

    /// Creates a random key.
    ///
    /// # Errors
    /// If the operating system gives no random numbers.
    pub fn generate() -> Result<Self, KeyError> {
        let mut bytes = Zeroizing::new([0; Self::BYTES]);
        getrandom::fill(&mut *bytes).map_err(|error| {
            KeyError::new("the operating system gave no random numbers for a sealing key")
                .with_source(io::Error::from(error))
        })?;
        Ok(Self::copied(&bytes))
    }

    /// Creates a key from its base64 text, in the standard alphabet or the URL-safe one, with or
    /// without padding. White space around it is ignored.
    ///
    /// # Errors
    /// If `text` is anything else than 32 bytes in base64.
    pub fn from_base64(text: &str) -> Result<Self, KeyError> {
        let lenient = NO_PAD.with_decode_padding_mode(DecodePaddingMode::Indifferent);
        Self::decoded(text.trim(), lenient).ok_or_else(|| {
            KeyError::new("a sealing key is 32 bytes in base64, and this text is something else")
        })
    }

    fn decoded(text: &str, lenient: GeneralPurposeConfig) -> Option<Self> {
        // More than the text of any key; and the decoder writes into a buffer that does not grow.
        let mut buffer = Zeroizing::new([0; 2 * Self::BYTES]);
        let alphabet =
            if text.contains(['-', '_']) { alphabet::URL_SAFE } else { alphabet::STANDARD };
        let engine = GeneralPurpose::new(&alphabet, lenient);
        let length = engine.decode_slice(text, &mut *buffer).ok()?;
        let bytes: &[u8; Self::BYTES] = buffer.get(..length)?.try_into().ok()?;
        Some(Self::copied(bytes))
    }

    /// Returns the key as base64, for [`from_base64`](Self::from_base64).
    pub fn to_base64(&self) -> Secret {
        STANDARD.encode(*self.0.bytes).into()
    }

    /// Returns its id, which records contain: 11 characters, computed from the key.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    pub(super) fn bytes(&self) -> &[u8; Self::BYTES] {
        &self.0.bytes
    }
}

// Rule G1: "No token, refresh token, client secret or key may appear in `Debug`".
impl fmt::Debug for SealingKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SealingKey").field("id", &self.0.id).finish_non_exhaustive()
    }
}

/// The keys that a program knows: a current one, which seals, and earlier ones, which open. Clones
/// share them.
#[derive(Clone, Debug)]
pub struct Keys(Arc<[SealingKey]>);

impl Keys {
    /// Creates the set of one key, which seals and opens.
    pub fn new(current: SealingKey) -> Self {
        Self(Arc::new([current]))
    }

    /// Adds a key that opens records, and seals none.
    #[must_use]
    pub fn and_older(self, older: SealingKey) -> Self {
        Self(self.0.iter().cloned().chain([older]).collect())
    }

    pub(super) fn current(&self) -> &SealingKey {
        &self.0[0]
    }

    pub(super) fn find(&self, id: &str) -> Option<&SealingKey> {
        self.0.iter().find(|key| key.id() == id)
    }

    /// Returns the ids of all, for an error.
    pub(super) fn ids(&self) -> String {
        let ids: Vec<_> = self.0.iter().map(SealingKey::id).collect();
        ids.join(", ")
    }
}

/// A sealing key that could not be made, read or created.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct KeyError {
    message: String,
    source: Option<io::Error>,
}

impl KeyError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    pub(super) fn of_file(path: &Path, reason: &str) -> Self {
        Self::new(format!("the file of the sealing key, {}, is not used: {reason}", path.display()))
    }

    pub(super) fn with_source(self, source: io::Error) -> Self {
        Self { source: Some(source), ..self }
    }
}
