//! Grants that are encrypted before a store keeps them (feature `sealed`).
//!
//! ```
//! use perennial::adapters::sealed::{Keys, Sealed, SealingKey};
//! use perennial::store::{MemoryStore, Store, StoredGrant, Version};
//! use perennial::time::Timestamp;
//! use perennial::token::Grant;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use futures::executor::block_on;
//! let key = SealingKey::generate()?; // or `from_base64`, `from_file`, `from_file_or_create`
//! let inner = MemoryStore::new(); // any store
//! let store = Sealed::new(inner.clone(), &Keys::new(key), "tenant-42");
//!
//! let grant = StoredGrant::new(Grant::of_refresh_token("rt-1"), Timestamp::from_secs(1_700_000_000));
//! block_on(store.swap(Version::EMPTY, Some(grant.clone())))?;
//! assert_eq!(block_on(store.load())?.grant, Some(grant));
//! let kept = inner.content().grant.expect("what the inner store holds");
//! assert!(kept.grant.refresh_token().expect("the record").expose().starts_with("v1."));
//! # Ok(())
//! # }
//! ```
//!
//! # The record
//! The inner store keeps a grant that has a refresh token and nothing else:
//! `v1.<key id>.<base64url(nonce, ciphertext)>`. So any [`Store`] will do, and none knows of it. The
//! whole grant is inside, as [`Versioned::to_json`] writes it: tokens, all other fields, and the
//! times. In the clear are that there is a grant, which key it is sealed with, about how long the
//! grant is, and the store's version.
//!
//! The times are not in the clear, as no store has a use for them: a refresh token outlives
//! `expires_at`, and a session reads `intent` through this store. The inner record has
//! [`Timestamp::UNIX_EPOCH`](crate::time::Timestamp::UNIX_EPOCH) instead.
//!
//! # Invariants
//! - Encryption is XChaCha20-Poly1305 with a random nonce of 24 bytes for each write. The record's
//!   name, the key's id and the format are authenticated with it, so that a record is of no use
//!   under another name.
//! - A record that cannot be opened is [damage](StoreError::is_damaged): an unknown key, a change, or
//!   a record of another name. The error says which, and which key would open it. Only a login or a
//!   logout overwrites it ([F5](crate::spec#f-storage)); no copy is kept.
//! - Writes use the current key, and reads any known one, so that keys can be rotated: first every
//!   process knows the new key ([`Keys::and_older`]), then it becomes the current one, and the old one is
//!   dropped once each record has been written since.
//! - Keys and plaintext are zeroised ([G1](crate::spec#g-secrets)).
//!
//! # Keyed sessions
//! The name of the record is the key's:
//!
//! ```
//! use perennial::adapters::sealed::{Keys, Sealed, SealingKey};
//! use perennial::keyed::Sessions;
//! # use perennial::refresh::{RefreshError, Request};
//! # use perennial::store::MemoryStore;
//! # use perennial::token::Grant;
//! # fn store_of(_: &u64) -> MemoryStore { MemoryStore::new() }
//! # async fn refresh() -> Result<Grant, RefreshError> { Err(RefreshError::unavailable("not here")) }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let keys = Keys::new(SealingKey::generate()?);
//! let sessions = Sessions::builder(|user: &u64, _request: Request| refresh())
//!     .stores(move |user| Sealed::new(store_of(user), &keys, format!("user-{user}")))
//!     .build();
//! # let _ = sessions;
//! # Ok(())
//! # }
//! ```
//!
//! # Out of scope
//! Protection against whoever may write to the inner store and puts an *earlier* record of the same
//! name back, or removes it: the store's version is in the clear. Whoever has the key has the grants.

mod envelope;
mod key;
mod key_file;
mod lease;

pub use key::{KeyError, Keys, SealingKey};

use core::fmt;
use core::future::Future;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use self::envelope::Seal;
use crate::store::{Lease, Store, StoreError, StoredGrant, Swap, Version, Versioned};

/// A store that encrypts each grant before another store keeps it.
#[derive(Clone)]
pub struct Sealed<S> {
    inner: Arc<S>,
    seal: Arc<Seal>,
}

impl<S: Store> Sealed<S> {
    /// Creates a store that keeps its grant in `inner`, sealed under `name`.
    ///
    /// `name` is this record's own, such as that of its user or tenant. It is authenticated and not
    /// stored; errors contain it. A record that was sealed under another name cannot be read.
    pub fn new(inner: S, keys: &Keys, name: impl Into<String>) -> Self {
        let seal = Seal::new(keys.clone(), name.into());
        Self { inner: Arc::new(inner), seal: Arc::new(seal) }
    }

    /// Also reads a record that is not sealed, and seals it at the next write: for a store that was
    /// in use before. Default: such a record is damage.
    ///
    /// Until each record has been written once, whoever may write to the inner store can put a
    /// grant of their own there.
    #[must_use]
    pub fn accept_unsealed(self) -> Self {
        let seal = Seal::clone(&self.seal).accept_unsealed();
        Self { seal: Arc::new(seal), ..self }
    }
}

impl<S> fmt::Debug for Sealed<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sealed").field("seal", &self.seal).finish_non_exhaustive()
    }
}

/// # Cancellation
/// As with the inner store.
impl<S: Store> Store for Sealed<S> {
    fn load(&self) -> impl Future<Output = Result<Versioned, StoreError>> + Send + 'static {
        let (inner, seal) = (Arc::clone(&self.inner), Arc::clone(&self.seal));
        async move { seal.open_content(inner.load().await?) }
    }

    fn swap(
        &self,
        expected: Version,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        let (inner, seal) = (Arc::clone(&self.inner), Arc::clone(&self.seal));
        async move {
            // Content may be damaged under the same version, and only a login replaces it.
            match inner.load().await {
                Ok(found) => match seal.open_content(found)? {
                    found if found.version != expected => return Ok(Swap::Conflict(found)),
                    _ => {}
                },
                // The inner store decides.
                Err(error) if error.is_emptied() => {}
                Err(error) => return Err(error),
            }
            match inner.swap(expected, seal.close_content(next)?).await? {
                Swap::Done(version) => Ok(Swap::Done(version)),
                Swap::Conflict(found) => seal.open_content(found).map(Swap::Conflict),
            }
        }
    }

    fn replace_damaged(
        &self,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        let (inner, seal) = (Arc::clone(&self.inner), Arc::clone(&self.seal));
        async move {
            for _ in 0..TRIES {
                // Damaged is either the inner record, or what is sealed in one that is whole.
                let swapped = match inner.load().await {
                    Ok(found) => {
                        let version = found.version;
                        if let Ok(found) = seal.open_content(found) {
                            return Ok(Swap::Conflict(found));
                        }
                        inner.swap(version, seal.close_content(next.clone())?).await?
                    }
                    Err(error) if error.is_damaged() => {
                        inner.replace_damaged(seal.close_content(next.clone())?).await?
                    }
                    Err(error) => return Err(error),
                };
                match swapped {
                    Swap::Done(version) => return Ok(Swap::Done(version)),
                    Swap::Conflict(found) => {
                        if let Ok(found) = seal.open_content(found) {
                            return Ok(Swap::Conflict(found));
                        }
                    }
                }
            }
            Err(StoreError::unreachable(
                "the sealed record cannot be replaced: others write to it all the time",
            ))
        }
    }

    fn lease(&self) -> Option<Arc<dyn Lease>> {
        Some(lease::sealed(self.inner.lease()?, &self.seal))
    }
}

/// How often a write is tried again because another one came first.
const TRIES: usize = 8;
