//! The checks of [`crate::ownership`], with the errors of grant files.

use std::fs::Metadata;
use std::path::Path;
use std::prelude::rust_2024::*;

use super::said::refused;
use crate::ownership;
#[cfg(unix)]
pub(super) use crate::ownership::{OWNER_ONLY, is_own};
pub(super) use crate::ownership::{Place, fixed, open};
use crate::store::StoreError;

/// Checks the directory of `path`.
pub(super) fn place(path: &Path) -> Result<Place, StoreError> {
    ownership::place(path).map_err(|reason| refused(path, reason))
}

/// Checks a link to the grant file, before it is followed.
pub(super) fn link(path: &Path) -> Result<(), StoreError> {
    ownership::link(path).map_err(|reason| refused(path, reason))
}

/// Checks the grant file.
pub(super) fn grant(path: &Path, place: Place, found: &Metadata) -> Result<(), StoreError> {
    ownership::file(place, found).map_err(|reason| refused(path, reason))
}

/// Checks a file that must belong to this user and have one hard link.
pub(super) fn owned(path: &Path, found: &Metadata) -> Result<(), StoreError> {
    ownership::owned(found).map_err(|reason| refused(path, reason))
}
