//! The errors of grant files: what is wrong, and what to do about it. They quote nothing of the
//! content (rule G1).

use std::format;
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::store::StoreError;

/// Rule F5: "Damaged content MUST be a clear error, and nothing
/// may be overwritten but by a login or a logout."
pub(super) fn damaged(path: &Path, reason: &str) -> StoreError {
    StoreError::damaged(format!(
        "the grant file {} cannot be understood: {reason}. It was left as it is: restore it from a \
         copy, or log in again, which replaces it and keeps a copy beside it",
        path.display()
    ))
}

pub(super) fn no_file(path: &Path) -> StoreError {
    StoreError::unreachable(format!(
        "the grant file {} is not a file: name a file in a directory of your own",
        path.display()
    ))
}

/// The error for a file that has lost its content (rule F5).
pub(super) fn emptied(path: &Path) -> StoreError {
    StoreError::emptied(format!(
        "the grant file {} is empty, which no write of this store leaves: log in again",
        path.display()
    ))
}

/// The error for a file that another user may have planted.
pub(super) fn refused(path: &Path, reason: &str) -> StoreError {
    StoreError::unreachable(format!(
        "the grant file or its lock, {}, is not used: {reason}. Choose a directory that belongs to the \
         user of this program and that only this user may write to (`chmod go-w`)",
        path.display()
    ))
}

/// The error for an abandoned write. The caller already knows that it failed.
pub(super) fn given_up(path: &Path) -> StoreError {
    StoreError::unreachable(format!(
        "the grant file {} was not written: nobody waits for it any more",
        path.display()
    ))
}

pub(super) fn leads_nowhere(path: &Path) -> StoreError {
    StoreError::unreachable(format!(
        "the grant file {} is a link that leads nowhere: open the path of its target, or remove the link",
        path.display()
    ))
}

/// The error for a file that can be read but not replaced.
pub(super) fn irreplaceable(path: &Path, reason: &str) -> StoreError {
    StoreError::unreachable(format!(
        "the grant file {} can never be replaced: {reason}. Name a file in a directory of your own",
        path.display()
    ))
}

/// The error for a failed system call.
pub(super) fn failed(what: &str, path: &Path, error: io::Error) -> StoreError {
    if is_link(&error) {
        return refused(path, "it is a link").with_source(error);
    }
    let (advice, path) = (advice(error.kind()), path.display());
    StoreError::unreachable(format!("the grant file {path} could not be {what}{advice}"))
        .with_source(error)
}

/// Whether opening a file failed because it is a symbolic link.
fn is_link(error: &io::Error) -> bool {
    #[cfg(unix)]
    {
        let link = [rustix::io::Errno::LOOP, rustix::io::Errno::MLINK];
        link.iter().any(|link| error.raw_os_error() == Some(link.raw_os_error()))
    }
    #[cfg(not(unix))]
    {
        let _ = error;
        false
    }
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
