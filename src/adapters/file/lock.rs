//! The lock file next to a grant file, and the note in it of a write in progress.
//!
//! A killed writer leaves its temporary file behind, complete or in part, with a refresh token in
//! it. So a writer notes in the lock file which file it is about to fill; the next holder of the
//! lock finds the note and removes that file.
//!
//! Invariants: only the file of a noted inode, or an empty one, is removed, and only under a name
//! that this grant file's temporary files have. A note that fails does not stop the write.
//!
//! Out of scope: systems other than Unix, which have no inodes; there the temporary file of
//! a killed writer remains.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};
use std::prelude::rust_2024::*;
use std::thread;
use std::time::Duration;

use fs4::{FileExt, TryLockError};

use super::said::{failed, given_up, refused};
use super::trust;
use crate::offload::lane::Claim;
use crate::store::StoreError;

/// The exclusive lock on a grant file, released when dropped or when the process ends.
pub(super) struct Lock(File);

impl Lock {
    /// Waits for the lock of the grant file at `path`, until `claim` is abandoned.
    pub(super) fn take(path: &Path, claim: &Claim) -> Result<Self, StoreError> {
        let file = open(path)?;
        let mut pause = SHORTEST;
        while !claim.is_given_up() {
            // Fully qualified: newer standard libraries have a method of this name.
            match FileExt::try_lock(&file) {
                Ok(()) => return Ok(Self(file)),
                // Polled instead of waiting in the kernel, which could not be cancelled.
                Err(TryLockError::WouldBlock) => {
                    thread::sleep(pause);
                    pause = LONGEST.min(pause * 2);
                }
                Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Interrupted => {}
                Err(TryLockError::Error(error)) => {
                    return Err(failed("locked", &beside(path), error));
                }
            }
        }
        Err(given_up(path))
    }
}

/// How long to pause before the lock is tried again.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(20);

/// Tests whether a temporary file can be created, and removes it; this is noted as a write, unless
/// another write is in progress.
pub(super) fn try_out(file: File, make: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let lock = FileExt::try_lock(&file).is_ok().then(|| Lock(file));
    let noting = lock.filter(Lock::note_if_none);
    make()?;
    // The note of a write that did not end stays.
    if let Some(lock) = noting {
        lock.note_end();
    }
    Ok(())
}

/// Opens the lock file of the grant file at `path`, and creates it if there is none. It is not
/// changed before it is known to be this user's own.
pub(super) fn open(path: &Path) -> Result<File, StoreError> {
    open_at(&beside(path))
}

/// Opens the file to lock at `path`, as [`open`] does.
pub(super) fn open_at(path: &Path) -> Result<File, StoreError> {
    trust::place(path)?;
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    owner_only(&mut options);
    let opened = |error| failed("opened", path, error);
    let (file, found) = trust::open(&mut options, path).map_err(opened)?;
    if !found.is_file() {
        return Err(refused(path, "it is not a file"));
    }
    trust::owned(path, &found)?;
    if !is_note(&file).map_err(opened)? {
        return Err(refused(path, "it is in use for something else, as its content says"));
    }
    restrict(&file).map_err(opened)?;
    Ok(file)
}

/// Whether the lock file contains only a note. Other programs may use a file of this name.
fn is_note(file: &File) -> io::Result<bool> {
    if file.metadata()?.len() > LONGEST_NOTE {
        return Ok(false);
    }
    let mut content = Vec::new();
    let mut file = file;
    file.rewind()?;
    file.take(LONGEST_NOTE).read_to_end(&mut content)?;
    file.rewind()?;
    Ok(content.iter().all(|byte| byte.is_ascii_digit() || *byte == b'\n'))
}

/// In bytes: an inode's number has 20 digits at most.
const LONGEST_NOTE: u64 = 32;

/// Returns the path of the lock file: next to the grant file, since that is replaced by each write.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".lock");
    name.into()
}

#[cfg(unix)]
fn owner_only(options: &mut std::fs::OpenOptions) {
    std::os::unix::fs::OpenOptionsExt::mode(options, trust::OWNER_ONLY);
}

#[cfg(not(unix))]
fn owner_only(_: &mut std::fs::OpenOptions) {}

#[cfg(unix)]
fn restrict(file: &File) -> io::Result<()> {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    if file.metadata()?.permissions().mode() & 0o777 == trust::OWNER_ONLY {
        return Ok(());
    }
    file.set_permissions(Permissions::from_mode(trust::OWNER_ONLY))
}

#[cfg(not(unix))]
fn restrict(_: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
mod notes {
    use std::ffi::OsStr;
    use std::format;
    use std::fs::{self, DirEntry, File};
    use std::io::{self, Read};
    use std::os::unix::fs::{FileExt, MetadataExt};
    use std::path::Path;
    use std::prelude::rust_2024::*;

    use super::super::trust::is_own;
    use super::Lock;

    impl Lock {
        /// Notes that a write begins, and once there is a temporary file, which one.
        pub(in super::super) fn note(&self, temporary: Option<&File>) {
            let inode = temporary.and_then(|file| file.metadata().ok()).map_or(0, |it| it.ino());
            let _ = self.0.write_all_at(format!("{inode}\n").as_bytes(), 0);
        }

        /// Notes that an empty file may be left behind, unless there is a note already; returns
        /// whether it did.
        pub(in super::super) fn note_if_none(&self) -> bool {
            let none = self.0.metadata().is_ok_and(|found| found.len() == 0);
            if none {
                self.note(None);
            }
            none
        }

        /// Notes that the write has ended.
        pub(in super::super) fn note_end(&self) {
            let _ = self.0.set_len(0);
        }

        /// Removes what an interrupted writer of `path` left behind.
        pub(in super::super) fn sweep(&self, path: &Path) {
            if self.try_sweep(path).is_ok() {
                self.note_end();
            }
        }

        fn try_sweep(&self, path: &Path) -> io::Result<()> {
            let mut note = String::new();
            (&self.0).read_to_string(&mut note)?;
            let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
                return Ok(());
            };
            if note.is_empty() {
                return Ok(());
            }
            let noted = note.trim().parse().unwrap_or(0);
            for entry in fs::read_dir(directory)? {
                let entry = entry?;
                if is_temporary(&entry.file_name(), name) && is_left_over(&entry, noted)? {
                    fs::remove_file(entry.path())?;
                }
            }
            Ok(())
        }
    }

    /// Whether this is the noted file, or one whose writer was killed before it noted and wrote
    /// anything.
    fn is_left_over(entry: &DirEntry, noted: u64) -> io::Result<bool> {
        let found = entry.metadata()?;
        let is_ours = found.is_file() && is_own(&found);
        Ok(is_ours && (found.len() == 0 || found.ino() == noted))
    }

    /// Whether `atomic-write-file` names its temporary files for `name` like this: `.name.AbC123`.
    fn is_temporary(candidate: &OsStr, name: &OsStr) -> bool {
        let random = candidate
            .as_encoded_bytes()
            .strip_prefix(b".")
            .and_then(|rest| rest.strip_prefix(name.as_encoded_bytes()))
            .and_then(|rest| rest.strip_prefix(b"."));
        random
            .is_some_and(|random| random.len() == 6 && random.iter().all(u8::is_ascii_alphanumeric))
    }
}

#[cfg(not(unix))]
impl Lock {
    pub(super) fn note(&self, _: Option<&File>) {}

    pub(super) fn note_if_none(&self) -> bool {
        false
    }

    pub(super) fn note_end(&self) {}

    pub(super) fn sweep(&self, _: &Path) {}
}
