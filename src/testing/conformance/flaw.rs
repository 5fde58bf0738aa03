//! What is checked of a store, and what was found.

use core::fmt;
use std::prelude::rust_2024::*;

use thiserror::Error;

/// What a session relies on.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreProperty {
    /// A store that was never written is at [`Version::EMPTY`](crate::store::Version::EMPTY) and
    /// holds no grant.
    StartsEmpty,
    /// Each operation completes within the time limit, and without an error, while nothing is wrong.
    Completes,
    /// No future blocks the thread that polls it.
    DoesNotBlock,
    /// A grant is read as it was written: tokens, times, intent, `refresh_in` and all other fields.
    KeepsEveryField,
    /// What was written is found through a handle that is opened later.
    OutlivesItsHandle,
    /// Each write has a version above those of all writes before it, the one that a swap returned.
    VersionMoves,
    /// A conflict changes neither the grant nor the version, and returns both.
    ConflictWritesNothing,
    /// A swap that expects any other version than the store's own is a conflict.
    RefusesOtherVersions,
    /// Of several swaps at once that expect one version, one is done.
    OneSwapWins,
    /// Writers that each add to what they have read lose no addition.
    LosesNoWrite,
    /// A load sees one write, whole, while others write.
    ReadsWhole,
    /// After a logout there is no grant, for any handle, and a late write does not bring one back.
    LogoutStays,
    /// A [lease](crate::store::Store::lease), where the store has one, has one holder at a time, by its
    /// fencing number, and keeps nobody from writing.
    LeaseHasOneHolder,
    /// A swap whose future is dropped leaves the old grant or the new one, and a store that works.
    DroppedSwapIsWhole,
    /// Replacing damaged content replaces no other.
    SparesGoodContent,
    /// A store that cannot be reached says so, by an error that is not
    /// [damage](crate::store::StoreError::is_damaged).
    ReportsErrors,
    /// Damaged content is [damage](crate::store::StoreError::is_damaged) to each handle, and no swap
    /// replaces it.
    ReportsDamage,
    /// No error shows what was stored.
    ShowsNoSecret,
}

impl StoreProperty {
    /// Returns its name, as messages have it: `one_swap_wins`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::StartsEmpty => "starts_empty",
            Self::Completes => "completes",
            Self::DoesNotBlock => "does_not_block",
            Self::KeepsEveryField => "keeps_every_field",
            Self::OutlivesItsHandle => "outlives_its_handle",
            Self::VersionMoves => "version_moves",
            Self::ConflictWritesNothing => "conflict_writes_nothing",
            Self::RefusesOtherVersions => "refuses_other_versions",
            Self::OneSwapWins => "one_swap_wins",
            Self::LosesNoWrite => "loses_no_write",
            Self::ReadsWhole => "reads_whole",
            Self::LogoutStays => "logout_stays",
            Self::LeaseHasOneHolder => "lease_has_one_holder",
            Self::DroppedSwapIsWhole => "dropped_swap_is_whole",
            Self::SparesGoodContent => "spares_good_content",
            Self::ReportsErrors => "reports_errors",
            Self::ReportsDamage => "reports_damage",
            Self::ShowsNoSecret => "shows_no_secret",
        }
    }
}

impl fmt::Display for StoreProperty {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A property that a store does not have, and what it did instead.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the store does not conform: {property}: {found}")]
pub struct StoreFlaw {
    property: StoreProperty,
    found: String,
}

impl StoreFlaw {
    pub(super) fn new(property: StoreProperty, found: impl Into<String>) -> Self {
        Self { property, found: found.into() }
    }

    /// Returns which property the store does not have.
    pub fn property(&self) -> StoreProperty {
        self.property
    }
}

/// Fails with `property` unless `holds`; `found` says what was found.
pub(super) fn ensure<T: Into<String>>(
    property: StoreProperty,
    holds: bool,
    found: impl FnOnce() -> T,
) -> Result<(), StoreFlaw> {
    if holds { Ok(()) } else { Err(StoreFlaw::new(property, found())) }
}
