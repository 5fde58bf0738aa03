//! The lock file beside a grant file, and the note in it of a write that has not ended.
//!
//! A killed writer leaves its temporary file behind, whole or in part, with a refresh token in it.
//! So a writer notes in the lock file which file it is about to fill; whoever holds the lock next
//! finds the note and removes that very file.
//!
//! Invariants: nothing is removed but the file of a noted inode, or an empty one, under a name that
//! only temporary files of this grant file bear. A note that fails stops no write.
//!
//! Deliberately absent: other systems than Unix, which have no inodes to note; there the temporary
//! file of a killed writer stays.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use fs4::FileExt;

use super::failed;
use crate::store::StoreError;

/// The exclusive lock on a grant file, let go when dropped or when the process ends.
pub(super) struct Lock(File);

impl Lock {
    /// Waits for the lock of the grant file at `path`.
    pub(super) fn take(path: &Path) -> Result<Self, StoreError> {
        let file = open(path)?;
        loop {
            // By its path: newer standard libraries have a method of this name.
            match FileExt::lock(&file) {
                Ok(()) => return Ok(Self(file)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(failed("locked", &beside(path), error)),
            }
        }
    }
}

/// Opens the lock file of the grant file at `path`, and makes it where there is none.
pub(super) fn open(path: &Path) -> Result<File, StoreError> {
    let path = beside(path);
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    owner_only(&mut options);
    let opened = options.open(&path).and_then(|file| restrict(&file).map(|()| file));
    opened.map_err(|error| failed("opened", &path, error))
}

/// Where the lock file is: beside the grant file, since that is replaced by each write.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".lock");
    name.into()
}

#[cfg(unix)]
fn owner_only(options: &mut std::fs::OpenOptions) {
    std::os::unix::fs::OpenOptionsExt::mode(options, super::OWNER_ONLY);
}

#[cfg(not(unix))]
fn owner_only(_: &mut std::fs::OpenOptions) {}

#[cfg(unix)]
fn restrict(file: &File) -> io::Result<()> {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    if file.metadata()?.permissions().mode() & 0o777 == super::OWNER_ONLY {
        return Ok(());
    }
    file.set_permissions(Permissions::from_mode(super::OWNER_ONLY))
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

    use super::Lock;

    impl Lock {
        /// Notes that a write begins; and once there is a temporary file, which one.
        pub(in super::super) fn note(&self, temporary: Option<&File>) {
            let inode = temporary.and_then(|file| file.metadata().ok()).map_or(0, |it| it.ino());
            let _ = self.0.write_all_at(format!("{inode}\n").as_bytes(), 0);
        }

        /// Notes that the write has ended.
        pub(in super::super) fn note_end(&self) {
            let _ = self.0.set_len(0);
        }

        /// Removes what a writer of `path` left behind that did not come to its end.
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

    /// Whether this is the noted file, or was killed before anything was noted and written.
    fn is_left_over(entry: &DirEntry, noted: u64) -> io::Result<bool> {
        let found = entry.metadata()?;
        Ok(found.is_file() && (found.len() == 0 || found.ino() == noted))
    }

    /// Whether `atomic-write-file` calls its temporary files for `name` so: `.name.AbC123`.
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

    pub(super) fn note_end(&self) {}

    pub(super) fn sweep(&self, _: &Path) {}
}
