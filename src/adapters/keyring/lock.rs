//! The lock file of a keyring's entry, which has no lock of its own.

use core::time::Duration;
use std::format;
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::prelude::rust_2024::*;
use std::thread;

use fs4::{FileExt, TryLockError};

use crate::offload::lane::Claim;
use crate::ownership;
use crate::store::StoreError;

/// The exclusive lock, released when dropped or when the process ends.
pub(super) struct Lock {
    _file: File,
}

/// How long to pause before the lock is tried again.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(20);

impl Lock {
    /// Waits for the lock, until `claim` is abandoned.
    pub(super) fn take(path: &Path, claim: &Claim) -> Result<Self, StoreError> {
        let file = open(path)?;
        let mut pause = SHORTEST;
        while !claim.is_given_up() {
            // Fully qualified: newer standard libraries have a method of this name.
            match FileExt::try_lock(&file) {
                Ok(()) => return Ok(Self { _file: file }),
                // Polled instead of waiting in the kernel, which could not be cancelled.
                Err(TryLockError::WouldBlock) => {
                    thread::sleep(pause);
                    pause = LONGEST.min(pause * 2);
                }
                Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Interrupted => {}
                Err(TryLockError::Error(error)) => return Err(failed(path, error)),
            }
        }
        Err(StoreError::unreachable(format!(
            "the keyring's entry was not written: nobody waits for the lock file {} any more",
            path.display()
        )))
    }
}

/// Opens the lock file, and creates it if there is none.
pub(super) fn open(path: &Path) -> Result<File, StoreError> {
    let refused = |reason| {
        StoreError::unreachable(format!(
            "the lock file of the keyring's entry, {}, is not used: {reason}. Choose a directory that belongs \
             to the user of this program and that only this user may write to",
            path.display()
        ))
    };
    ownership::place(path).map_err(refused)?;
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, ownership::OWNER_ONLY);
    let (file, found) = ownership::open(&mut options, path).map_err(|error| failed(path, error))?;
    if !found.is_file() {
        return Err(refused("it is not a file"));
    }
    ownership::owned(&found).map_err(refused)?;
    Ok(file)
}

pub(super) fn failed(path: &Path, error: std::io::Error) -> StoreError {
    StoreError::unreachable(format!(
        "the lock file of the keyring's entry, {}, could not be opened or locked",
        path.display()
    ))
    .with_source(error)
}
