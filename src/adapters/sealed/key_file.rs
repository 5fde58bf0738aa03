//! A file that contains a sealing key: base64 and a line break, for its owner alone.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::prelude::rust_2024::*;
use std::thread;
use std::time::Duration;

use secrecy::zeroize::Zeroizing;

use super::key::{KeyError, SealingKey};
use crate::ownership;

/// The longest file of a key, in bytes.
const LONGEST: usize = 128;

/// How long another process may take between creating the file and writing the key.
const PAUSE: Duration = Duration::from_millis(10);
const PAUSES: u32 = 100;

impl SealingKey {
    /// Reads a key from a file that contains it in base64. On Unix the file must belong to the user
    /// of this process, and nobody else may read it.
    ///
    /// This blocks.
    ///
    /// # Errors
    /// If there is no such file, if others may read it or may have planted it, or if it contains
    /// anything else.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, KeyError> {
        read(path.as_ref())
    }

    /// Does the same as [`from_file`](Self::from_file), and where there is no file, creates it with
    /// a random key. Of several processes that do so at once, all get the same key.
    ///
    /// Without this key no record that was sealed with it can be read: keep a copy.
    ///
    /// # Errors
    /// As for [`from_file`](Self::from_file), and if the file cannot be created.
    pub fn from_file_or_create(path: impl AsRef<Path>) -> Result<Self, KeyError> {
        read_or_create(path.as_ref())
    }
}

fn read(path: &Path) -> Result<SealingKey, KeyError> {
    let path = &located(path)?;
    let mut pauses = 0;
    loop {
        match read_once(path)? {
            Some(key) => return Ok(key),
            None if pauses < PAUSES => thread::sleep(PAUSE),
            None => {
                return Err(KeyError::of_file(
                    path,
                    "it is empty, as a process leaves it that is stopped while it creates the file; \
                     nothing was sealed with it, so remove it",
                ));
            }
        }
        pauses += 1;
    }
}

fn read_or_create(path: &Path) -> Result<SealingKey, KeyError> {
    let located = &located(path)?;
    check(located, ownership::place(located).map(drop))?;
    let key = SealingKey::generate()?;
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, ownership::OWNER_ONLY);
    match options.open(located) {
        Ok(file) => match fill(file, located, &key) {
            Ok(()) => Ok(key),
            Err(error) => {
                // Nobody has the key yet.
                let _ = fs::remove_file(located);
                Err(KeyError::of_file(located, "it could not be written").with_source(error))
            }
        },
        Err(error) if error.kind() == ErrorKind::AlreadyExists => read(located),
        Err(error) => Err(KeyError::of_file(located, "it could not be created").with_source(error)),
    }
}

/// Writes the key, so that it outlives a crash of the machine: what is sealed with it does.
fn fill(mut file: File, path: &Path, key: &SealingKey) -> io::Result<()> {
    let text = key.to_base64();
    // In one write: who finds the file finds nothing in it, or all.
    let mut line = Zeroizing::new(Vec::with_capacity(text.expose().len() + 1));
    line.extend_from_slice(text.expose().as_bytes());
    line.push(b'\n');
    file.write_all(&line)?;
    file.sync_all()?;
    #[cfg(unix)]
    if let Some(directory) = path.parent() {
        File::open(directory)?.sync_all()?;
    }
    let _ = path;
    Ok(())
}

/// Returns the key; `None` where the file is empty.
fn read_once(path: &Path) -> Result<Option<SealingKey>, KeyError> {
    let failed = |error| KeyError::of_file(path, "it could not be read").with_source(error);
    check(path, ownership::place(path).map(drop))?;
    let (file, found) = ownership::open(File::options().read(true), path).map_err(failed)?;
    if !found.is_file() {
        return Err(KeyError::of_file(path, "it is not a file"));
    }
    check(path, ownership::owned(&found))?;
    #[cfg(unix)]
    if std::os::unix::fs::MetadataExt::mode(&found) & 0o077 != 0 {
        let reason = "others may read or write it, so the key is known: make a new one, and \
                      `chmod 600` its file";
        return Err(KeyError::of_file(path, reason));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST + 1));
    file.take(LONGEST as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let text = core::str::from_utf8(&bytes).ok().filter(|text| text.len() <= LONGEST);
    let key = text.and_then(|text| SealingKey::from_base64(text).ok());
    key.map(Some).ok_or_else(|| KeyError::of_file(path, "it does not contain 32 bytes in base64"))
}

fn check(path: &Path, result: Result<(), ownership::Reason>) -> Result<(), KeyError> {
    result.map_err(|reason| KeyError::of_file(path, reason))
}

/// Returns the path with its directory named, as a relative path may have none.
fn located(path: &Path) -> Result<std::path::PathBuf, KeyError> {
    std::path::absolute(path)
        .map_err(|error| KeyError::of_file(path, "its directory is not known").with_source(error))
}
