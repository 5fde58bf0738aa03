//! File ownership checks: files that another user may have planted are neither read, written nor
//! changed. What is refused is said as a reason, for the error of whoever asked.
//!
//! On Unix a directory must belong to the user of this process, or to root, and nobody else may
//! write to it, as for the keys of `ssh`. Two kinds of directory are accepted besides: a sticky one
//! such as `/tmp`, where others may create files but not replace this user's, and one that the
//! process's own group may write to, as with a umask of 002 where each user has a group. In those
//! a file must belong to this user and have one hard link. A file that is written in place must
//! everywhere. The last component of a path is not followed if it is a link.
//!
//! Out of scope: parent directories, access control lists, and systems other than Unix.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::path::Path;
use std::prelude::rust_2024::*;

/// Why a file is not used, in words that follow its name and a colon.
pub(crate) type Reason = &'static str;

/// The mode of all files that are created here.
#[cfg(unix)]
pub(crate) const OWNER_ONLY: u32 = 0o600;

/// Who may create files in a directory.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nobody else.
    Own,
    /// Others, who cannot replace this user's files, or are of its group.
    #[cfg_attr(not(unix), expect(dead_code, reason = "not looked at"))]
    Shared,
}

/// Opens a file that no other user can have planted; never blocks, whatever the file is.
pub(crate) fn open(options: &mut OpenOptions, path: &Path) -> io::Result<(File, Metadata)> {
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt as _;

        // Opening a pipe without a writer would block.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        options.custom_flags(i32::from_ne_bytes(flags.bits().to_ne_bytes()));
    }
    let file = options.open(path)?;
    let found = file.metadata()?;
    Ok((file, found))
}

/// Checks the directory of `path`.
pub(crate) fn place(path: &Path) -> Result<Place, Reason> {
    #[cfg(unix)]
    if let Some(found) = path.parent().and_then(|directory| std::fs::metadata(directory).ok()) {
        use std::os::unix::fs::MetadataExt as _;

        const GROUP_WRITES: u32 = 0o020;
        const OTHERS_WRITE: u32 = 0o002;
        const STICKY: u32 = 0o1000;
        if found.uid() != own() && found.uid() != 0 {
            return Err("its directory belongs to another user");
        }
        let has = |bit| found.mode() & bit != 0;
        let own_group = found.gid() == rustix::process::getegid().as_raw();
        return match (has(GROUP_WRITES), has(OTHERS_WRITE)) {
            (false, false) => Ok(Place::Own),
            (_, _) if has(STICKY) => Ok(Place::Shared),
            (true, false) if own_group => Ok(Place::Shared),
            (_, _) => Err("others may write to its directory"),
        };
    }
    // If it cannot be checked, the file cannot be opened either, which is reported.
    let _ = path;
    Ok(Place::Own)
}

/// Checks a link, before it is followed.
#[cfg(feature = "file")]
pub(crate) fn link(path: &Path) -> Result<(), Reason> {
    #[cfg(unix)]
    if place(path)? == Place::Shared {
        use std::os::unix::fs::MetadataExt as _;

        let own = std::fs::symlink_metadata(path).is_ok_and(|found| found.uid() == own());
        return if own { Ok(()) } else { Err("it is a link of another user") };
    }
    let _ = path;
    Ok(())
}

/// Checks a file that was found in `place`.
#[cfg(feature = "file")]
pub(crate) fn file(place: Place, found: &Metadata) -> Result<(), Reason> {
    match place {
        Place::Own => Ok(()),
        Place::Shared => owned(found),
    }
}

/// Checks a file that must belong to this user and have one hard link.
pub(crate) fn owned(found: &Metadata) -> Result<(), Reason> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;

        if found.uid() != own() {
            return Err("it belongs to another user");
        }
        if found.nlink() > 1 {
            return Err("it is a file with another name as well (a hard link)");
        }
    }
    let _ = found;
    Ok(())
}

/// Whether a file belongs to this user.
#[cfg(all(unix, feature = "file"))]
pub(crate) fn is_own(found: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::uid(found) == own()
}

#[cfg(unix)]
fn own() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Returns why the file at `path` can never be replaced, if the system says so.
#[cfg(all(target_os = "linux", feature = "file"))]
pub(crate) fn fixed(path: &Path) -> Option<&'static str> {
    use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};

    let found = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty()).ok()?;
    let has = |attribute| found.stx_attributes.contains(attribute);
    if has(StatxAttributes::MOUNT_ROOT) {
        return Some("it is mounted by itself, so that no other file can take its place");
    }
    let fixed = has(StatxAttributes::IMMUTABLE) || has(StatxAttributes::APPEND);
    fixed.then_some("it is marked as immutable or append-only, see chattr(1)")
}

#[cfg(all(not(target_os = "linux"), feature = "file"))]
pub(crate) fn fixed(_: &Path) -> Option<&'static str> {
    None
}
