//! A grant in a file: owner-only, atomically replaced, synced, and swapped between processes
//! (feature `file`).
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
//! One JSON object: `{"format":1,"version":7,"grant":{..}}`, or `"grant":null` after a logout. It
//! holds the tokens in the clear; who can read the file has them. Beside it lies `<name>.lock`,
//! and during a write `.<name>.<six letters or digits>`.
//!
//! # Invariants
//! - A write is one step: temporary file, sync, rename, sync of the directory. A kill at any
//!   instruction leaves the old grant or the new one, whole (rule F1).
//! - Reading, comparing and writing are one step to all threads and processes that use this store,
//!   by an advisory lock on the lock file. Reading alone takes no lock.
//! - What is written is mode 0600 on Unix and belongs to who wrote it, whatever was there before. A
//!   file that others may read is read all the same, and the next write closes it.
//! - What is not understood is an error, and is not overwritten (rule F5).
//! - No future blocks: each call works on a short-lived thread of its own.
//!
//! # What it relies on
//! The directory must be one that only its owner can write to, on a file system that has locks and
//! syncs what it says it has synced. The lock file must not be removed while the store is in use.
//! To log out, do that: a file that is removed by hand starts its versions anew.
//!
//! # Deliberately absent
//! Encryption at rest, and a limit on how long the lock is waited for: that is the session's
//! deadline, and a killed process holds no lock.

mod lock;

use core::future::Future;
use std::format;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::prelude::rust_2024::*;
use std::sync::Arc;

use atomic_write_file::AtomicWriteFile;
use secrecy::zeroize::Zeroizing;

use self::lock::Lock;
use crate::offload::{offload, on_a_thread};
use crate::store::{Store, StoreError, StoredGrant, Swap, Version, Versioned, json};

/// The mode of all files that are made here.
#[cfg(unix)]
const OWNER_ONLY: u32 = 0o600;

/// Keeps a grant in a file. Cloning it gives another handle to the same file.
#[derive(Clone, Debug)]
pub struct FileStore {
    /// With all links resolved.
    path: Arc<Path>,
}

impl FileStore {
    /// The store in the file at `path`, which need not exist yet; its directory must.
    ///
    /// The lock file is made here, as the test that the directory can be written to. A relative
    /// path is resolved now, and a symbolic link is followed now: its target is what is read and
    /// replaced, and the link stays.
    ///
    /// # Errors
    /// Where the directory does not exist or cannot be written to, or where `path` is something
    /// else than a file. The file's content is not looked at yet.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = resolve(path.as_ref())?;
        match fs::metadata(&path) {
            Ok(found) if !found.is_file() => return Err(no_file(&path)),
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(failed("looked at", &path, error));
            }
            Ok(_) | Err(_) => {}
        }
        lock::open(&path)?;
        Ok(Self { path: path.into() })
    }

    /// Where the file is, with all links resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `work` on a thread.
    async fn off<T: Send + 'static>(
        self,
        work: impl FnOnce(&Path) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let pending = offload(&on_a_thread, move || work(&self.path)).map_err(|error| {
            StoreError::unreachable("no thread could be had for the grant file").with_source(error)
        })?;
        let lost = || Err(StoreError::unreachable("the thread of the grant file panicked"));
        pending.await.unwrap_or_else(lost)
    }
}

/// # Cancellation
/// Dropping a future before its first poll does nothing; later, the work goes on to its end.
impl Store for FileStore {
    fn load(&self) -> impl Future<Output = Result<Versioned, StoreError>> + Send + 'static {
        self.clone().off(read)
    }

    fn swap(
        &self,
        expected: Version,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        self.clone().off(move |path| swap(path, expected, next.as_ref()))
    }
}

/// Reads, compares and writes under the lock. Rule F1: "writing MUST be compare-and-swap".
fn swap(path: &Path, expected: Version, next: Option<&StoredGrant>) -> Result<Swap, StoreError> {
    let lock = Lock::take(path)?;
    let found = read(path)?;
    if found.version != expected {
        return Ok(Swap::Conflict(found));
    }
    let version = expected.next();
    if version == expected {
        // A write that keeps the version would go unseen by whoever compares it.
        return Err(damaged(path, "its version cannot be counted any further"));
    }
    let content = json::encode(version, next);
    lock.sweep(path);
    replace(path, content.expose().as_bytes(), &lock)
        .map_err(|error| failed("written", path, error))?;
    Ok(Swap::Done(version))
}

/// Reads the file. Needs no lock: a rename shows the old file or the new one.
fn read(path: &Path) -> Result<Versioned, StoreError> {
    let bytes = match read_bytes(path) {
        Ok(bytes) => bytes,
        // Without its directory it is not empty but out of reach.
        Err(error)
            if error.kind() == ErrorKind::NotFound && path.parent().is_some_and(Path::is_dir) =>
        {
            return Ok(Versioned::EMPTY);
        }
        Err(error) => return Err(failed("read", path, error)),
    };
    json::decode(&bytes).map_err(|reason| damaged(path, &reason))
}

fn read_bytes(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut file = File::open(path)?;
    let size = usize::try_from(file.metadata()?.len()).unwrap_or(0);
    // One byte more than there is: a buffer that grew would leave copies of the secrets behind.
    let mut bytes = Zeroizing::new(Vec::new());
    bytes.try_reserve_exact(size.saturating_add(1)).map_err(|_| ErrorKind::OutOfMemory)?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Replaces the file by `bytes`. Rule F1: "After a kill at any instruction it MUST hold the old
/// grant or the new one, whole."
fn replace(path: &Path, bytes: &[u8], lock: &Lock) -> io::Result<()> {
    lock.note(None);
    let mut file = options().open(path)?;
    lock.note(Some(&file));
    file.write_all(bytes)?;
    file.commit()?;
    lock.note_end();
    Ok(())
}

/// Rule F1: "Files MUST be owner-only" from the first byte on, whatever the mode and owner of the
/// file to replace.
fn options() -> atomic_write_file::OpenOptions {
    let mut options = AtomicWriteFile::options();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;

        use atomic_write_file::unix::OpenOptionsExt as _;

        options.mode(OWNER_ONLY).preserve_mode(false).preserve_owner(false);
    }
    options
}

/// The path with all links resolved, so that all who use the file share one lock.
fn resolve(path: &Path) -> Result<PathBuf, StoreError> {
    if path.is_symlink() {
        return path.canonicalize().map_err(|error| {
            StoreError::unreachable(format!(
                "the grant file {} is a link that leads nowhere: open the path of its target, or \
                 remove the link",
                path.display()
            ))
            .with_source(error)
        });
    }
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(no_file(path));
    };
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let resolved = directory.canonicalize().and_then(|resolved| {
        if resolved.is_dir() { Ok(resolved) } else { Err(ErrorKind::NotADirectory.into()) }
    });
    resolved.map(|resolved| resolved.join(name)).map_err(|error| failed("placed", path, error))
}

/// Rule F5: "Damaged content MUST be a clear error, and nothing may be overwritten."
fn damaged(path: &Path, reason: &str) -> StoreError {
    StoreError::damaged(format!(
        "the grant file {} cannot be understood: {reason}. It was left as it is: restore it from a \
         copy, or remove it and log in again",
        path.display()
    ))
}

fn no_file(path: &Path) -> StoreError {
    StoreError::unreachable(format!(
        "the grant file {} is no file: name a file in a directory of your own",
        path.display()
    ))
}

/// What could not be done with which file, and what to do about it.
fn failed(what: &str, path: &Path, error: io::Error) -> StoreError {
    let (advice, path) = (advice(error.kind()), path.display());
    StoreError::unreachable(format!("the grant file {path} could not be {what}{advice}"))
        .with_source(error)
}

#[allow(clippy::wildcard_enum_match_arm, reason = "of the others there is nothing to advise")]
fn advice(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::PermissionDenied => {
            ": the user that runs this program must own it and be allowed to write to its directory"
        }
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            ": its directory does not exist, make it and let only its owner write to it"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => ": there is no space left, make some",
        ErrorKind::ReadOnlyFilesystem => {
            ": its file system is mounted read-only, choose another place"
        }
        ErrorKind::Unsupported => ": its file system lacks what is needed, choose a local one",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::{ErrorKind, advice};

    // Rule F5.
    #[test]
    fn each_failure_that_somebody_can_mend_says_how() {
        let cases = [
            (ErrorKind::PermissionDenied, "own it"),
            (ErrorKind::NotFound, "make it"),
            (ErrorKind::NotADirectory, "make it"),
            (ErrorKind::StorageFull, "make some"),
            (ErrorKind::QuotaExceeded, "make some"),
            (ErrorKind::ReadOnlyFilesystem, "another place"),
            (ErrorKind::Unsupported, "a local one"),
        ];
        for (kind, words) in cases {
            assert!(advice(kind).contains(words), "{kind:?}: {}", advice(kind));
        }
        assert_eq!(advice(ErrorKind::Other), "");
    }
}
