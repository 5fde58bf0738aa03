//! The state of a family: small, `Copy`, and convertible to and from a database row.

use crate::time::{Time, Timestamp};

/// One family of refresh tokens: all that descend from one login. Holds no token.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Family<T: Time = Timestamp> {
    pub(super) began: T,
    pub(super) used: T,
    pub(super) newest: u64,
    pub(super) tolerance: Tolerance<T>,
    pub(super) life: Life,
}

/// What happens if the predecessor of the newest token is presented.
///
/// Exhaustive on purpose: a store writes each variant to its columns.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Tolerance<T: Time = Timestamp> {
    /// The predecessor does not work any more, or there is none.
    Closed,
    /// The predecessor still works, within its overlap.
    Open {
        /// When the overlap ends.
        until: T,
        /// How often the predecessor was presented within the overlap.
        uses: u32,
    },
    /// The predecessor still works: the newest token is not known to have reached the client.
    Unconfirmed,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Life {
    Alive,
    Revoked,
}

/// The public view of a family at one instant. Exhaustive on purpose.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Only the newest token works.
    Active,
    /// The newest token works, and so does its predecessor.
    Rotated,
    /// The family was revoked; no token works.
    Revoked,
    /// The family is past a lifetime; no token works.
    Expired,
}

/// A family as a database row. A store keeps each field in a column.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Row<T: Time = Timestamp> {
    /// When the family began, with a login.
    pub began: T,
    /// When a refresh token of the family last worked.
    pub used: T,
    /// The number of the newest refresh token.
    pub newest: u64,
    /// What happens if the predecessor of the newest token is presented.
    pub tolerance: Tolerance<T>,
    /// Whether the family was revoked.
    pub revoked: bool,
}

impl<T: Time> Family<T> {
    /// Returns a family that began at `now`, with refresh token number 1.
    pub const fn new(now: T) -> Self {
        Self { began: now, used: now, newest: 1, tolerance: Tolerance::Closed, life: Life::Alive }
    }

    /// Returns the number of the newest refresh token.
    pub const fn newest(&self) -> u64 {
        self.newest
    }

    /// Returns whether the family was revoked, in which case its access tokens are to be refused
    /// too.
    pub fn is_revoked(&self) -> bool {
        self.life == Life::Revoked
    }

    /// Returns the row that a store keeps.
    pub fn to_row(&self) -> Row<T> {
        Row {
            began: self.began,
            used: self.used,
            newest: self.newest,
            tolerance: self.tolerance,
            revoked: self.life == Life::Revoked,
        }
    }

    /// Returns the family of a stored row. Any row is valid.
    pub fn from_row(row: Row<T>) -> Self {
        let life = if row.revoked { Life::Revoked } else { Life::Alive };
        // Numbers begin at one.
        let newest = row.newest.max(1);
        Self { began: row.began, used: row.used, newest, tolerance: row.tolerance, life }
    }
}
