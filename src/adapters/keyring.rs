//! A grant in the platform's keyring (feature `keyring`): Keychain, Credential Manager, Secret
//! Service, or whichever `keyring_core` store the program chooses.
//!
//! ```
//! use perennial::adapters::keyring::{KeyringEntry, KeyringStore};
//! use perennial::session::Session;
//! use perennial::token::Grant;
//! # use perennial::refresh::{RefreshError, Request};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let lock = directory.path().join("grant.lock");
//! // Once per program; `keyring_core::mock` is for tests, and each platform's store is a crate.
//! keyring_core::set_default_store(keyring_core::mock::Store::new()?);
//!
//! // `lock`: a file in a directory of the user's own, the same for each process.
//! let entry = KeyringEntry::open("my-program", "alice", &lock)?;
//! let session = Session::builder(|_request: Request| async {
//!     Err::<Grant, _>(RefreshError::unavailable("not in this example"))
//! })
//! .store(KeyringStore::new(entry))
//! .build()?;
//! session.install_blocking(Grant::of_access_token("at-1", core::time::Duration::from_secs(60)))?;
//! # Ok(())
//! # }
//! ```
//!
//! # The entry
//! Its secret is the text of [`Versioned::to_json`], version included. It is encrypted as the platform
//! does; usually every program of the user can read it.
//!
//! # Invariants
//! - A keyring has no compare-and-swap, so reading, comparing and writing happen under an exclusive
//!   lock on the lock file: for all threads and processes that open the entry with that file. A
//!   program that uses another file, or none, or a keyring that several machines share, can overwrite
//!   a write unseen ([F1](crate::spec#f-storage)).
//! - No future blocks: one thread does the work, as long as there is some. An operation that is
//!   dropped before its turn, or while the lock is held elsewhere, is not done.
//! - Content that is no grant is damage; a login or a logout replaces it
//!   ([F5](crate::spec#f-storage)).
//!
//! # What it relies on
//! That the platform replaces a secret as a whole, and that it survives a crash; neither is tested
//! here. A keyring that asks its user to unlock it keeps the thread until then, and the session's
//! deadline ends the wait.
//!
//! # Limits
//! Small grants only: Windows takes 2560 bytes, and an `id_token` alone may be longer. What is too
//! long is an error that names the limit. For longer grants keep a sealing key in the keyring, and
//! the grant sealed in a file:
//!
//! ```no_run
//! # #[cfg(all(feature = "file", feature = "sealed"))]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use perennial::adapters::file::FileStore;
//! use perennial::adapters::keyring::KeyringEntry;
//! use perennial::adapters::sealed::{Keys, Sealed, SealingKey};
//!
//! let entry = KeyringEntry::open("my-program", "sealing key", "/home/alice/.my-program/key.lock")?;
//! let made = SealingKey::generate()?.to_base64();
//! let key = SealingKey::from_base64(entry.secret_or_create(made)?.expose())?;
//! let file = FileStore::open("/home/alice/.my-program/grant.json")?;
//! let store = Sealed::new(file, &Keys::new(key), "alice");
//! # let _ = store;
//! # Ok(())
//! # }
//! # #[cfg(not(all(feature = "file", feature = "sealed")))]
//! # fn main() {}
//! ```

mod lock;

use core::fmt;
use core::future::Future;
use std::format;
use std::path::{Path, PathBuf};
use std::prelude::rust_2024::*;
use std::sync::Arc;

use keyring_core::{CredentialStore, Entry, Error};
use secrecy::zeroize::{Zeroize, Zeroizing};

use self::lock::Lock;
use crate::clock::{Clock, StandardClock};
use crate::offload::lane::{Claim, Lane};
use crate::store::{Store, StoreError, StoredGrant, Swap, Version, Versioned, json};
use crate::token::Secret;

/// An entry of a keyring, and the file whose lock orders its writers. Clones share both.
#[derive(Clone)]
pub struct KeyringEntry(Arc<Place>);

struct Place {
    entry: Entry,
    /// For errors: the service and the user.
    name: String,
    lock: PathBuf,
}

impl KeyringEntry {
    /// Opens the entry of `service` and `user` in the default store of `keyring_core`, which the
    /// program has set.
    ///
    /// `lock` is a file in a directory that only this user may write to. It is created here, and
    /// stays empty. Every process that writes to the entry must name the same file.
    ///
    /// # Errors
    /// If no default store is set, if the keyring refuses the names, or if the lock file cannot be
    /// opened or may have been planted by another user.
    pub fn open(service: &str, user: &str, lock: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::new(Entry::new(service, user), service, user, lock.as_ref())
    }

    /// Does the same as [`open`](Self::open), in `keyring`.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_in(
        keyring: &Arc<CredentialStore>,
        service: &str,
        user: &str,
        lock: impl AsRef<Path>,
    ) -> Result<Self, StoreError> {
        Self::new(Entry::new_in_store(keyring, service, user), service, user, lock.as_ref())
    }

    fn new(
        entry: Result<Entry, Error>,
        service: &str,
        user: &str,
        lock: &Path,
    ) -> Result<Self, StoreError> {
        let name = format!("{user:?} of {service:?}");
        let entry = entry.map_err(|error| failed(&name, "opened", error))?;
        let lock = std::path::absolute(lock).map_err(|error| lock::failed(lock, error))?;
        lock::open(&lock)?;
        Ok(Self(Arc::new(Place { entry, name, lock })))
    }

    /// Reads its secret; `None` if there is none. This blocks.
    ///
    /// # Errors
    /// If the keyring cannot be reached, or the secret is not a text.
    pub fn secret(&self) -> Result<Option<Secret>, StoreError> {
        let Some(bytes) = self.0.read()? else { return Ok(None) };
        let text = core::str::from_utf8(&bytes);
        text.map(|text| Some(text.into())).map_err(|_| self.0.damaged("it is not a text"))
    }

    /// Returns its secret, and where there is none, writes `new` and returns that. Of several
    /// processes that do so at once, all get the same. This blocks.
    ///
    /// # Errors
    /// As for [`secret`](Self::secret), and if `new` cannot be written.
    pub fn secret_or_create(&self, new: Secret) -> Result<Secret, StoreError> {
        let _lock = Lock::take(&self.0.lock, &Claim::default())?;
        if let Some(secret) = self.secret()? {
            return Ok(secret);
        }
        self.0.write(&new)?;
        Ok(new)
    }
}

impl fmt::Debug for KeyringEntry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("KeyringEntry")
            .field("name", &self.0.name)
            .field("lock", &self.0.lock)
            .finish_non_exhaustive()
    }
}

impl Place {
    fn read(&self) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        match self.entry.get_secret() {
            Ok(bytes) => Ok(Some(Zeroizing::new(bytes))),
            Err(Error::NoEntry) => Ok(None),
            Err(error) => Err(failed(&self.name, "read", error)),
        }
    }

    fn write(&self, text: &Secret) -> Result<(), StoreError> {
        let bytes = text.expose().as_bytes();
        self.entry.set_secret(bytes).map_err(|error| {
            if let Error::TooLong(_, limit) = error {
                return too_long(&self.name, bytes.len(), limit);
            }
            failed(&self.name, "written", error)
        })
    }

    fn content(&self) -> Result<Versioned, StoreError> {
        match self.read()? {
            Some(bytes) => json::decode(&bytes).map_err(|reason| self.damaged(&reason)),
            None => Ok(Versioned::EMPTY),
        }
    }

    /// Rule F5: "Damaged content MUST be a clear error, and nothing
    /// may be overwritten but by a login or a logout."
    fn damaged(&self, reason: &str) -> StoreError {
        StoreError::damaged(format!(
            "the keyring's entry {} cannot be understood: {reason}. It was left as it is: log in again, which replaces it",
            self.name
        ))
    }

    /// Reads, compares and writes under the lock. Rule F1: "writing MUST be compare-and-swap".
    fn swap(
        &self,
        expected: Version,
        next: Option<&StoredGrant>,
        claim: &Claim,
    ) -> Result<Swap, StoreError> {
        let _lock = Lock::take(&self.lock, claim)?;
        let found = self.content()?;
        if found.version != expected {
            return Ok(Swap::Conflict(found));
        }
        if expected.next() == expected {
            return Err(self.damaged("its version cannot be increased further"));
        }
        self.put(expected.next(), next, claim)
    }

    fn replace_damaged(
        &self,
        next: Option<&StoredGrant>,
        claim: &Claim,
    ) -> Result<Swap, StoreError> {
        let _lock = Lock::take(&self.lock, claim)?;
        match self.content() {
            Ok(found) => Ok(Swap::Conflict(found)),
            Err(error) if error.is_damaged() => self.put(afresh(), next, claim),
            Err(error) => Err(error),
        }
    }

    fn put(
        &self,
        version: Version,
        next: Option<&StoredGrant>,
        claim: &Claim,
    ) -> Result<Swap, StoreError> {
        let text = json::encode(version, next);
        // From here on the write is done, whoever waits for it.
        if !claim.take() {
            return Err(given_up(&self.name));
        }
        self.write(&text)?;
        Ok(Swap::Done(version))
    }
}

/// Returns a version that no earlier write can have had: those are counted, and this is the wall
/// clock's time in milliseconds.
fn afresh() -> Version {
    let now = StandardClock::new().wall().as_millis();
    Version::new(u64::try_from(now).unwrap_or(0)).next()
}

/// A store that keeps a grant in a keyring. Clones share the entry.
#[derive(Clone)]
pub struct KeyringStore {
    entry: KeyringEntry,
    reads: Arc<Lane>,
    writes: Arc<Lane>,
}

impl KeyringStore {
    /// Creates a store that keeps its grant in `entry`.
    pub fn new(entry: KeyringEntry) -> Self {
        Self { entry, reads: Arc::default(), writes: Arc::default() }
    }

    /// Runs `work` on the thread of `lane`.
    async fn off<T: Send + 'static>(
        lane: Arc<Lane>,
        entry: KeyringEntry,
        work: impl FnOnce(&Place, &Claim) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let done = lane.run(move |claim| work(&entry.0, claim)).await.map_err(|error| {
            StoreError::unreachable("no thread could be started for the keyring").with_source(error)
        })?;
        done.unwrap_or_else(|| Err(StoreError::unreachable("the thread of the keyring was lost")))
    }
}

impl fmt::Debug for KeyringStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KeyringStore").field("entry", &self.entry).finish_non_exhaustive()
    }
}

/// # Cancellation
/// Dropping a future before its first poll has no effect. A write that is dropped later is not done,
/// unless it had already begun.
impl Store for KeyringStore {
    fn load(&self) -> impl Future<Output = Result<Versioned, StoreError>> + Send + 'static {
        Self::off(Arc::clone(&self.reads), self.entry.clone(), |place, _| place.content())
    }

    fn swap(
        &self,
        expected: Version,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        Self::off(Arc::clone(&self.writes), self.entry.clone(), move |place, claim| {
            place.swap(expected, next.as_ref(), claim)
        })
    }

    fn replace_damaged(
        &self,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        Self::off(Arc::clone(&self.writes), self.entry.clone(), move |place, claim| {
            place.replace_damaged(next.as_ref(), claim)
        })
    }
}

fn given_up(name: &str) -> StoreError {
    StoreError::unreachable(format!(
        "the keyring's entry {name} was not written: nobody waits for it any more"
    ))
}

fn too_long(name: &str, length: usize, limit: u32) -> StoreError {
    StoreError::unreachable(format!(
        "the grant has {length} bytes, and this keyring takes {limit} at most for the entry {name}: keep it in a \
         file, sealed with a key from the keyring, or ask for a grant without an `id_token`"
    ))
}

/// Returns the error for a failure of the keyring. Its own error is not passed on: some contain the
/// secret (rule G1: "No token, refresh token, client secret or key may appear in `Debug`").
#[allow(clippy::wildcard_enum_match_arm, reason = "of the others there is nothing to say")]
fn failed(name: &str, what: &str, error: Error) -> StoreError {
    let reason = match error {
        Error::NoDefaultStore => {
            "no keyring was chosen, call `keyring_core::set_default_store` first".into()
        }
        Error::PlatformFailure(source) => format!("the platform reports: {source}"),
        Error::NoStorageAccess(source) => {
            format!("the keyring cannot be used, is it locked? The platform reports: {source}")
        }
        Error::Invalid(parameter, problem) => format!("{parameter} is not valid: {problem}"),
        Error::TooLong(attribute, limit) => format!("{attribute} is longer than {limit}"),
        Error::NotSupportedByStore(problem) => {
            format!("this keyring does not support it: {problem}")
        }
        Error::Ambiguous(found) => {
            format!("{} entries have this name, remove all but one", found.len())
        }
        Error::BadEncoding(mut secret) | Error::BadDataFormat(mut secret, _) => {
            secret.zeroize();
            return StoreError::damaged(format!(
                "the keyring's entry {name} cannot be understood: it is not as this keyring writes it. It was \
                 left as it is: log in again, which replaces it"
            ));
        }
        _ => "the keyring reports another failure".into(),
    };
    StoreError::unreachable(format!("the keyring's entry {name} could not be {what}: {reason}"))
}
