//! A grant in a keyring: what holds between those who use one entry, and what is said where it fails.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File};
use std::path::Path;
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use fs4::FileExt;
use futures::executor::block_on;
use keyring_core::api::{CredentialApi, CredentialStoreApi};
use keyring_core::{Credential, CredentialStore, Entry, Error};
use perennial::adapters::keyring::{KeyringEntry, KeyringStore};
use perennial::adapters::sealed::SealingKey;
use perennial::store::{Store, StoreError, StoredGrant, Swap, Version, Versioned};
use perennial::testing::StoreConformance;
use perennial::time::Timestamp;
use perennial::token::{Grant, Secret};
use tempfile::TempDir;

/// What a keyring of the tests does.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Mood {
    Works,
    /// Takes this many bytes at most.
    Limited(u32),
    Locked,
    /// Asks its user, once: the test meets it there, twice.
    Asks,
    /// Says what it has in place of a text, as some keyrings do.
    ShowsSecrets,
}

/// A keyring of one entry.
#[derive(Clone)]
struct Keyring(Arc<Mutex<(Option<Vec<u8>>, Mood)>>, Arc<Barrier>);

impl Keyring {
    fn new() -> Self {
        Self(Arc::new(Mutex::new((None, Mood::Works))), Arc::new(Barrier::new(2)))
    }

    fn store(&self) -> Arc<CredentialStore> {
        Arc::new(self.clone())
    }

    fn set(&self, content: &[u8]) {
        self.0.lock().expect("no panic").0 = Some(content.to_vec());
    }

    fn get(&self) -> Option<Vec<u8>> {
        self.0.lock().expect("no panic").0.clone()
    }

    fn mood(&self, mood: Mood) {
        self.0.lock().expect("no panic").1 = mood;
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Keyring")
    }
}

impl CredentialApi for Keyring {
    fn set_secret(&self, secret: &[u8]) -> keyring_core::Result<()> {
        let mut inner = self.0.lock().expect("no panic");
        match inner.1 {
            Mood::Limited(limit) if secret.len() > limit as usize => {
                Err(Error::TooLong("secret".into(), limit))
            }
            Mood::Locked => Err(Error::NoStorageAccess("the user said no".into())),
            Mood::Works | Mood::Limited(_) | Mood::Asks | Mood::ShowsSecrets => {
                inner.0 = Some(secret.to_vec());
                Ok(())
            }
        }
    }

    fn get_secret(&self) -> keyring_core::Result<Vec<u8>> {
        let asks = self.0.lock().expect("no panic").1 == Mood::Asks;
        if asks {
            self.mood(Mood::Works);
            self.1.wait();
            self.1.wait();
        }
        let inner = self.0.lock().expect("no panic");
        match inner.1 {
            Mood::Locked => Err(Error::NoStorageAccess("the user said no".into())),
            Mood::ShowsSecrets => {
                let secret = inner.0.clone().unwrap_or_default();
                let why = String::from_utf8_lossy(&secret).into_owned();
                Err(Error::BadDataFormat(secret, why.into()))
            }
            Mood::Works | Mood::Limited(_) | Mood::Asks => inner.0.clone().ok_or(Error::NoEntry),
        }
    }

    fn delete_credential(&self) -> keyring_core::Result<()> {
        self.0.lock().expect("no panic").0.take().map(drop).ok_or(Error::NoEntry)
    }

    fn get_credential(&self) -> keyring_core::Result<Option<Arc<Credential>>> {
        Ok(None)
    }

    fn get_specifiers(&self) -> Option<(String, String)> {
        None
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl CredentialStoreApi for Keyring {
    fn vendor(&self) -> String {
        "tests".into()
    }

    fn id(&self) -> String {
        "tests".into()
    }

    fn build(
        &self,
        _: &str,
        user: &str,
        _: Option<&HashMap<&str, &str>>,
    ) -> keyring_core::Result<Entry> {
        if user.is_empty() {
            return Err(Error::Invalid("user".into(), "it is empty".into()));
        }
        Ok(Entry::new_with_credential(Arc::new(self.clone())))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

fn entry(keyring: &Arc<CredentialStore>, lock: &Path) -> KeyringEntry {
    KeyringEntry::open_in(keyring, "perennial-tests", "alice", lock).expect("an entry")
}

fn sample(what: &str) -> StoredGrant {
    let grant = Grant::new(format!("planted-at-{what}"), "planted-rt", Duration::from_secs(60));
    StoredGrant::new(grant, Timestamp::from_secs(1_700_000_000))
}

fn put(store: &KeyringStore, grant: Option<StoredGrant>) -> Result<Swap, StoreError> {
    let before = block_on(store.load()).expect("it can be read").version;
    block_on(store.swap(before, grant))
}

#[track_caller]
fn says(error: &StoreError, what: &str) {
    let shown = format!("{error} {error:?} {error:#?}");
    assert!(shown.contains(what) && !shown.contains("planted"), "{shown}");
}

// Rules F1, F5. `keyring_core` has this keyring for tests.
#[test]
fn a_store_in_a_keyring_conforms() {
    let folder = folder();
    let keyring: Arc<CredentialStore> = keyring_core::mock::Store::new().expect("a keyring");
    let lock = folder.path().join("lock");
    let (behind, locked) = (keyring.clone(), Keyring::new());
    locked.mood(Mood::Locked);
    let (unreachable, other) = (entry(&locked.store(), &lock), lock.clone());
    let checked = StoreConformance::new(move || KeyringStore::new(entry(&keyring, &other)))
        .damaged(move || {
            let entry = Entry::new_in_store(&behind, "perennial-tests", "alice").expect("an entry");
            entry.set_password("no grant").expect("written");
        })
        .unreachable(move || KeyringStore::new(unreachable.clone()));
    assert_eq!(block_on(checked.check()), Ok(()));
    assert_eq!(fs::read(&lock).expect("the lock file"), b"");
}

// Rule F5.
#[test]
fn a_grant_that_the_keyring_does_not_take_is_a_clear_error_and_the_old_one_stays() {
    let (folder, keyring) = (folder(), Keyring::new());
    let store = KeyringStore::new(entry(&keyring.store(), &folder.path().join("lock")));
    put(&store, Some(sample("old"))).expect("stored");
    let before = keyring.get();
    keyring.mood(Mood::Limited(512));
    let long = sample("long").grant.with_field("id_token", "planted".repeat(100));
    let long = StoredGrant::new(long, Timestamp::UNIX_EPOCH);
    let error = put(&store, Some(long.clone())).expect_err("too long");
    says(&error, "this keyring takes 512 at most for the entry \"alice\" of \"perennial-tests\"");
    assert!(!error.is_damaged());
    assert_eq!(keyring.get(), before);
    let length = Versioned { version: Version::new(2), grant: Some(long) }.to_json().expose().len();
    says(&error, &format!("the grant has {length} bytes"));
}

// Rules F5, G1. An error of a keyring may contain the secret itself.
#[test]
fn failures_of_the_keyring_are_told_apart_and_show_no_secret() {
    let (folder, keyring) = (folder(), Keyring::new());
    let (lock, ring) = (folder.path().join("lock"), keyring.store());
    let entry = entry(&ring, &lock);
    let store = KeyringStore::new(entry.clone());
    put(&store, Some(sample("x"))).expect("stored");
    keyring.mood(Mood::Locked);
    let error = block_on(store.load()).expect_err("locked");
    says(&error, "is it locked? The platform reports: the user said no");
    assert!(!error.is_damaged());
    keyring.mood(Mood::ShowsSecrets);
    let error = block_on(store.load()).expect_err("damaged");
    says(&error, "not as this keyring writes it");
    assert!(error.is_damaged());
    keyring.mood(Mood::Works);
    keyring.set(b"planted \xff");
    let error = entry.secret().expect_err("no text");
    says(&error, "not a text");
    says(&block_on(store.load()).expect_err("no grant"), "log in again");
    assert!(!format!("{entry:?} {store:?}").contains("planted"));
    let error = KeyringEntry::open_in(&ring, "perennial-tests", "", &lock).expect_err("no user");
    says(&error, "user is not valid: it is empty");
    let error = KeyringEntry::open("perennial-tests", "alice", &lock).expect_err("none is set");
    says(&error, "`keyring_core::set_default_store`");
}

// Rule F1. Another process that has the lock, which a lock of the same file stands for.
#[test]
fn a_write_waits_for_the_lock_and_is_not_done_once_it_was_given_up() {
    let (folder, keyring) = (folder(), Keyring::new());
    let lock = folder.path().join("lock");
    let store = KeyringStore::new(entry(&keyring.store(), &lock));
    put(&store, Some(sample("old"))).expect("stored");
    let other = File::open(&lock).expect("the lock file");
    FileExt::lock(&other).expect("free");
    let mut given_up = Box::pin(store.swap(Version::new(1), Some(sample("given up"))));
    let mut waits = Box::pin(store.swap(Version::new(1), Some(sample("waited"))));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(given_up.as_mut().poll(&mut cx).is_pending());
    assert!(waits.as_mut().poll(&mut cx).is_pending());
    let found = block_on(store.load()).expect("read without the lock");
    assert_eq!(found, Versioned { version: Version::new(1), grant: Some(sample("old")) });
    drop(given_up);
    FileExt::unlock(&other).expect("held");
    assert_eq!(block_on(waits).expect("written"), Swap::Done(Version::new(2)));
    assert_eq!(block_on(store.load()).expect("read").grant, Some(sample("waited")));
}

// Rule F1. A keyring that asks its user to unlock it keeps whoever reads it.
#[test]
fn a_write_that_was_given_up_while_the_keyring_asks_its_user_is_not_done() {
    let (folder, keyring) = (folder(), Keyring::new());
    let store = KeyringStore::new(entry(&keyring.store(), &folder.path().join("lock")));
    put(&store, Some(sample("old"))).expect("stored");
    keyring.mood(Mood::Asks);
    let mut write = Box::pin(store.swap(Version::new(1), Some(sample("given up"))));
    assert!(write.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    keyring.1.wait();
    drop(write);
    keyring.1.wait();
    // This one has its turn once that one has ended.
    let next = block_on(store.swap(Version::new(1), Some(sample("next"))));
    assert_eq!(next.expect("written"), Swap::Done(Version::new(2)));
}

// Rule F1.
#[cfg(unix)]
#[test]
fn a_lock_file_that_others_may_have_planted_is_refused() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let (folder, keyring) = (folder(), Keyring::new());
    let (lock, target) = (folder.path().join("lock"), folder.path().join("target"));
    let open = || KeyringEntry::open_in(&keyring.store(), "perennial-tests", "alice", &lock);
    fs::write(&target, "something else").expect("written");
    symlink(&target, &lock).expect("a link");
    says(&open().expect_err("a link"), "could not be opened or locked");
    fs::remove_file(&lock).expect("removed");
    fs::hard_link(&target, &lock).expect("a second name");
    says(&open().expect_err("a hard link"), "a hard link");
    fs::remove_file(&lock).expect("removed");
    assert_eq!(fs::read(&target).expect("a file"), b"something else");
    open().expect("a lock file");
    let mode = fs::metadata(&lock).expect("a file").permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("set");
    says(&open().expect_err("a folder for all"), "others may write to its directory");
}

#[test]
fn a_sealing_key_is_created_in_the_keyring_once_whoever_asks_at_once() {
    let (folder, keyring) = (folder(), Keyring::new());
    let (ring, lock) = (keyring.store(), folder.path().join("lock"));
    assert_eq!(entry(&ring, &lock).secret().expect("read"), None);
    let create = || {
        let new = SealingKey::generate().expect("random").to_base64();
        let kept = entry(&ring, &lock).secret_or_create(new).expect("a key");
        SealingKey::from_base64(kept.expose()).expect("a key").id().to_owned()
    };
    let ids: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(create)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let kept = entry(&ring, &lock).secret().expect("read").expect("a key");
    let id = SealingKey::from_base64(Secret::expose(&kept)).expect("a key").id().to_owned();
    assert!(ids.iter().all(|it| *it == id), "{ids:?}");
}
