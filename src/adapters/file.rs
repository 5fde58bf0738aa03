//! A grant in a file (feature `file`): owner-only, replaced atomically, synced, and written by
//! compare-and-swap, also between processes.
//!
//! ```
//! use perennial::adapters::file::FileStore;
//! use perennial::refresh::{RefreshError, Request};
//! use perennial::session::Session;
//! use perennial::token::Grant;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("grant.json");
//! let session = Session::builder(|_request: Request| async {
//!     Err::<Grant, _>(RefreshError::unavailable("not in this example"))
//! })
//! .store(FileStore::open(&path)?)
//! .build()?;
//! session.install_blocking(Grant::of_access_token("at-1", core::time::Duration::from_secs(60)))?;
//! assert!(path.exists());
//! # Ok(())
//! # }
//! ```
//!
//! # The file
//! The file contains one JSON object: `{"format":2,"version":7,"grant":{..}}`, or `"grant":null`
//! after a logout. The tokens are not encrypted: whoever can read the file has them, unless the store
//! is wrapped by [`adapters::sealed`](crate::adapters). Next to it are `<name>.lock`, `<name>.refresh`
//! and, during a write, `.<name>.<six letters or digits>`.
//!
//! # Several processes
//! Processes of one host, and containers that mount one directory, can share a file: each opens it and
//! builds its session. They take turns to refresh by a lock of the operating system on
//! `<name>.refresh`: one sends the refresh token, and the others adopt what it has stored
//! ([F3](crate::spec#f-storage)). A login and a logout do not wait for a turn.
//!
//! - **Killed.** The lock ends with its process: the next one goes on at once, and treats the request of the
//!   dead one as of unknown outcome. Whether the login survives is up to the server: see the
//!   [page of faults](crate::faults).
//! - **Stopped or suspended.** A process that is stopped during its turn keeps the lock. The others wait as
//!   long as a refresh may take, and then get an error that may be temporary. Once the process goes on, its
//!   turn ends if its time is over. A request that it was about to send is sent all the same, possibly after
//!   that of another process: a server with strict rotation then revokes the grant.
//! - **Forked.** The lock stays with the parent, and a refresh that is in flight does not go on in the child. A
//!   program that is executed inherits nothing.
//! - **Clocks** do not matter for the lock. Lifetimes are stored by the wall clock.
//! - **Network file systems.** It holds between hosts only where the file system passes `flock` on to its
//!   server. The NFS client of Linux does, as a lock on a range of bytes, unless it is mounted with `nolock`
//!   or `local_lock`; others may lock within the host alone, and then two hosts may send the same refresh
//!   token. Only local file systems are tested.
//!
//! # Invariants
//! - A write is atomic: temporary file, sync, rename, sync of the directory. A process killed at
//!   any instruction leaves the old grant or the new one, complete ([F1](crate::spec#f-storage)).
//! - A compare-and-swap is atomic for all threads and processes that use this store, by an advisory
//!   lock on the lock file. Reading alone takes no lock.
//! - On Unix a written file has mode 0600 and belongs to the writing user, whatever was there
//!   before. A file that others may read is accepted, and the next write makes it private.
//! - Damaged content is an error. Only a login or a logout overwrites it; a login keeps a copy as
//!   `<name>.damaged` ([F5](crate::spec#f-storage)). A file with no bytes, or only white space and
//!   zeros, is an empty store for a session that holds no grant; a session that holds one writes it
//!   back.
//! - No future blocks: one thread reads and one writes, as long as there is work. An operation that
//!   is dropped while the lock is held elsewhere occupies no thread, and is not done later.
//! - Files that another user may have planted are neither read, written nor changed. On Unix no
//!   symbolic link is followed except the path given to `open`, and a directory that others own or
//!   may write to is refused. In a sticky directory such as `/tmp`, or one that the process's own
//!   group may write to, a file of another user or with several hard links is refused.
//!
//! # What it relies on
//! The directory must be on a file system with locks and reliable syncs. Parent directories and
//! access control lists are not checked. The lock file must not be removed while the store is in
//! use. Log out instead of removing the file: a file removed by hand starts its versions anew.
//!
//! # Out of scope
//! A limit on waiting for the lock: that is the session's deadline, and a killed process holds no
//! lock.

mod lease;
mod lock;
mod said;
mod trust;

use core::fmt;
use core::future::Future;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::prelude::rust_2024::*;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use atomic_write_file::AtomicWriteFile;
use secrecy::zeroize::Zeroizing;

use self::lease::{FileLease, Handle};
use self::lock::Lock;
use self::said::{damaged, emptied, failed, given_up, irreplaceable, no_file};
use crate::offload::lane::{Claim, Lane};
use crate::store::{Lease, Store, StoreError, StoredGrant, Swap, Version, Versioned, json};

/// A store that keeps a grant in a file. Clones share the file.
#[derive(Clone)]
pub struct FileStore {
    /// With all symbolic links resolved.
    path: Arc<Path>,
    /// Separate, so that reading does not wait for the lock.
    reads: Arc<Lane>,
    writes: Arc<Lane>,
    lease: Arc<FileLease>,
}

impl FileStore {
    /// Opens the store in the file at `path`, which need not exist; its directory must.
    ///
    /// The lock file is created here. A temporary file next to the grant file is created and
    /// removed, to check that the directory is writable. A relative path and a symbolic link are
    /// resolved here: the link's target is read and replaced, and the link stays.
    ///
    /// # Errors
    /// If the directory does not exist, is not writable, or belongs to or is writable by others; or
    /// if `path` is not a file, or one that cannot be replaced: a mount point, or immutable. The
    /// file's content is not read yet.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = resolve(path.as_ref())?;
        match fs::symlink_metadata(&path) {
            Ok(found) if !found.is_file() => return Err(no_file(&path)),
            Ok(found) => trust::grant(&path, trust::place(&path)?, &found)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(failed("examined", &path, error)),
        }
        if let Some(reason) = trust::fixed(&path) {
            return Err(irreplaceable(&path, reason));
        }
        let lock = lock::open(&path)?;
        let tried =
            lock::try_out(lock, || options().open(&path).and_then(AtomicWriteFile::discard));
        tried.map_err(|error| failed("replaced", &path, error))?;
        let lease = FileLease::of(&path, read);
        Ok(Self { path: path.into(), reads: Arc::default(), writes: Arc::default(), lease })
    }

    /// Returns the path of the file, with all symbolic links resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `work` on the thread of `lane`.
    async fn off<T: Send + 'static>(
        lane: Arc<Lane>,
        path: Arc<Path>,
        work: impl FnOnce(&Path, &Claim) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let done = lane.run(move |claim| work(&path, claim)).await.map_err(|error| {
            StoreError::unreachable("no thread could be started for the grant file")
                .with_source(error)
        })?;
        let lost = || Err(StoreError::unreachable("the thread of the grant file was lost"));
        done.unwrap_or_else(lost)
    }

    fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path, &Claim) -> Result<T, StoreError> + Send + 'static,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + 'static {
        Self::off(Arc::clone(&self.writes), Arc::clone(&self.path), work)
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FileStore").field("path", &self.path).finish_non_exhaustive()
    }
}

/// # Cancellation
/// Dropping a future before its first poll has no effect. A write that is dropped later is not
/// done, unless its file was just about to be renamed into place.
impl Store for FileStore {
    fn load(&self) -> impl Future<Output = Result<Versioned, StoreError>> + Send + 'static {
        Self::off(Arc::clone(&self.reads), Arc::clone(&self.path), |path, _| read(path))
    }

    fn swap(
        &self,
        expected: Version,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        self.write(move |path, claim| swap(path, expected, next.as_ref(), claim))
    }

    fn replace_damaged(
        &self,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        self.write(move |path, claim| replace_damaged(path, next.as_ref(), claim))
    }

    fn lease(&self) -> Option<Arc<dyn Lease>> {
        Some(Arc::new(Handle::new(&self.lease)))
    }
}

/// Reads, compares and writes under the lock. Rule F1: "writing MUST be compare-and-swap".
fn swap(
    path: &Path,
    expected: Version,
    next: Option<&StoredGrant>,
    claim: &Claim,
) -> Result<Swap, StoreError> {
    let lock = Lock::take(path, claim)?;
    let version = match read(path) {
        Ok(found) if found.version != expected => return Ok(Swap::Conflict(found)),
        Ok(_) => expected.next(),
        // There is no content to lose, and no version to compare.
        Err(error) if error.is_emptied() => afresh(path, expected),
        Err(error) => return Err(error),
    };
    if version == expected {
        // A write that does not change the version would go unnoticed.
        return Err(damaged(path, "its version cannot be increased further"));
    }
    write(path, version, next, &lock, claim)
}

/// Overwrites damaged content, and keeps a copy of it for repair; a logout keeps none.
fn replace_damaged(
    path: &Path,
    next: Option<&StoredGrant>,
    claim: &Claim,
) -> Result<Swap, StoreError> {
    let lock = Lock::take(path, claim)?;
    match read(path) {
        Ok(found) => return Ok(Swap::Conflict(found)),
        Err(error) if error.is_damaged() => {
            if next.is_some() && !error.is_emptied() {
                keep_copy(path)?;
            }
        }
        Err(error) => return Err(error),
    }
    write(path, afresh(path, Version::EMPTY), next, &lock, claim)
}

/// Returns a version that no earlier write can have had: those are counted, and this is the
/// modification time in milliseconds.
fn afresh(path: &Path, above: Version) -> Version {
    let written = fs::metadata(path).and_then(|found| found.modified()).ok();
    let since = written.and_then(|written| written.duration_since(UNIX_EPOCH).ok());
    let millis = since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0));
    Version::new(millis).max(above).next()
}

/// Copies damaged content to `<name>.damaged`.
fn keep_copy(path: &Path) -> Result<(), StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".damaged");
    let copy = Path::new(&name);
    let kept = read_bytes(path)?;
    let copied = options().open(copy).and_then(|mut file| {
        file.write_all(&kept)?;
        file.commit()
    });
    copied.map_err(|error| failed("kept", copy, error))
}

fn write(
    path: &Path,
    version: Version,
    next: Option<&StoredGrant>,
    lock: &Lock,
    claim: &Claim,
) -> Result<Swap, StoreError> {
    let content = json::encode(version, next);
    lock.sweep(path);
    match replace(path, content.expose().as_bytes(), lock, claim) {
        Ok(true) => Ok(Swap::Done(version)),
        Ok(false) => Err(given_up(path)),
        Err(error) => Err(failed("written", path, error)),
    }
}

/// Reads the file. Needs no lock: a rename shows the old file or the new one.
fn read(path: &Path) -> Result<Versioned, StoreError> {
    let bytes = match read_bytes(path) {
        Ok(bytes) => bytes,
        // If its directory is missing, the store is unreachable, not empty.
        Err(error) if is_missing(&error) && path.parent().is_some_and(Path::is_dir) => {
            return Ok(Versioned::EMPTY);
        }
        Err(error) => return Err(error),
    };
    // This is what a crash of the machine may leave on some file systems.
    if bytes.iter().all(|byte| byte.is_ascii_whitespace() || *byte == 0) {
        return Err(emptied(path));
    }
    json::decode(&bytes).map_err(|reason| damaged(path, &reason))
}

fn is_missing(error: &StoreError) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref());
    source.is_some_and(|error: &io::Error| error.kind() == ErrorKind::NotFound)
}

fn read_bytes(path: &Path) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let read = |error| failed("read", path, error);
    let place = trust::place(path)?;
    let (mut file, found) = trust::open(File::options().read(true), path).map_err(read)?;
    if !found.is_file() {
        return Err(no_file(path));
    }
    trust::grant(path, place, &found)?;
    let size = usize::try_from(found.len()).unwrap_or(0);
    // One byte more than the file has: a buffer that grows would leave copies of the secrets
    // behind.
    let mut bytes = Zeroizing::new(Vec::new());
    let reserved = bytes.try_reserve_exact(size.saturating_add(1));
    reserved.map_err(|_| read(ErrorKind::OutOfMemory.into()))?;
    file.read_to_end(&mut bytes).map_err(read)?;
    Ok(bytes)
}

/// Replaces the file by `bytes`; returns false if the write was abandoned. Rule F1: "After a kill
/// at any instruction it MUST hold the old grant or the new one, whole."
fn replace(path: &Path, bytes: &[u8], lock: &Lock, claim: &Claim) -> io::Result<bool> {
    lock.note(None);
    let mut file = options().open(path)?;
    lock.note(Some(&file));
    file.write_all(bytes)?;
    // Slow operations come before the last moment at which the write can be abandoned.
    file.sync_all()?;
    let goes_ahead = claim.take();
    if goes_ahead {
        file.commit()?;
    } else {
        file.discard()?;
    }
    lock.note_end();
    Ok(goes_ahead)
}

/// Rule F1: "Files MUST be owner-only" from the first byte on, whatever the mode and owner of the
/// file to replace.
fn options() -> atomic_write_file::OpenOptions {
    let mut options = AtomicWriteFile::options();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;

        use atomic_write_file::unix::OpenOptionsExt as _;

        options.mode(trust::OWNER_ONLY).preserve_mode(false).preserve_owner(false);
    }
    options
}

/// Returns the path with all links resolved, so that all users of the file share one lock.
fn resolve(path: &Path) -> Result<PathBuf, StoreError> {
    let mut path = path.to_path_buf();
    for _ in 0..LINKS {
        if !path.is_symlink() {
            return resolve_directory(&path);
        }
        // Each link of a chain may belong to another user.
        let link = std::path::absolute(&path).map_err(|error| failed("resolved", &path, error))?;
        trust::link(&link)?;
        let target = link.canonicalize().and_then(|_| fs::read_link(&link));
        let target = target.map_err(|error| said::leads_nowhere(&link).with_source(error))?;
        path = link.parent().unwrap_or(Path::new("/")).join(target);
    }
    Err(said::leads_nowhere(&path))
}

/// The maximum length of a chain of links.
const LINKS: usize = 32;

fn resolve_directory(path: &Path) -> Result<PathBuf, StoreError> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(no_file(path));
    };
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let resolved = directory.canonicalize().and_then(|resolved| {
        if resolved.is_dir() { Ok(resolved) } else { Err(ErrorKind::NotADirectory.into()) }
    });
    resolved.map(|resolved| resolved.join(name)).map_err(|error| failed("resolved", path, error))
}
