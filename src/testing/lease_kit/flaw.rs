//! What is checked of a lease, and what was found.

use core::fmt;
use std::string::String;

use thiserror::Error;

/// What sessions that share a store rely on.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LeaseProperty {
    /// The store has a lease.
    Exists,
    /// Each operation completes within the time limit, and without an error, while nothing is wrong.
    Completes,
    /// Of several that acquire at once, one holds the lease.
    OneHolder,
    /// The fencing number is the version of the store, above those of all leases and writes before.
    FenceGrows,
    /// Acquiring returns what the store holds, and changes nothing of it but the version.
    ReadsTheStore,
    /// Who does not get the lease learns how long it is held at most.
    TellsTheRemainingTime,
    /// A write that names the version it follows is done, whoever holds the lease; the holder keeps it.
    WritesDoNotWait,
    /// A lease that is renewed is held beyond its first term.
    Renews,
    /// A lease that was released can be acquired at once.
    Releases,
    /// Only the holder releases or renews the lease; whatever others do is a no-op.
    OnlyTheHolder,
    /// A lease whose term is over can be acquired.
    Expires,
    /// A holder whose lease has expired cannot renew it, nor write over what its successor has read.
    LostIsLost,
    /// A lease that a dropped future has acquired ends with its term.
    DroppedAcquireEnds,
    /// A store that cannot be reached says so, by an error that is not
    /// [damage](crate::store::StoreError::is_damaged).
    ReportsErrors,
}

impl LeaseProperty {
    /// Returns its name, as messages have it: `one_holder`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exists => "exists",
            Self::Completes => "completes",
            Self::OneHolder => "one_holder",
            Self::FenceGrows => "fence_grows",
            Self::ReadsTheStore => "reads_the_store",
            Self::TellsTheRemainingTime => "tells_the_remaining_time",
            Self::WritesDoNotWait => "writes_do_not_wait",
            Self::Renews => "renews",
            Self::Releases => "releases",
            Self::OnlyTheHolder => "only_the_holder",
            Self::Expires => "expires",
            Self::LostIsLost => "lost_is_lost",
            Self::DroppedAcquireEnds => "dropped_acquire_ends",
            Self::ReportsErrors => "reports_errors",
        }
    }
}

impl fmt::Display for LeaseProperty {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A property that a lease does not have, and what it did instead.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the lease does not conform: {property}: {found}")]
pub struct LeaseFlaw {
    property: LeaseProperty,
    found: String,
}

impl LeaseFlaw {
    /// Returns which property the lease does not have.
    pub fn property(&self) -> LeaseProperty {
        self.property
    }
}

pub(super) fn flaw(property: LeaseProperty, found: impl Into<String>) -> LeaseFlaw {
    LeaseFlaw { property, found: found.into() }
}

/// Fails with `property` unless `holds`; `found` says what was found.
pub(super) fn ensure<T: Into<String>>(
    property: LeaseProperty,
    holds: bool,
    found: impl FnOnce() -> T,
) -> Result<(), LeaseFlaw> {
    if holds { Ok(()) } else { Err(flaw(property, found())) }
}
