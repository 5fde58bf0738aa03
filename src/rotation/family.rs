//! The state of a family: small, `Copy`, and fit for a row of a database.

use crate::time::{Time, Timestamp};

/// One family of refresh tokens, from its login on. It holds no token.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Family<T: Time = Timestamp> {
    pub(super) began: T,
    pub(super) used: T,
    pub(super) newest: u64,
    pub(super) tolerance: Tolerance<T>,
    pub(super) life: Life,
}

/// What becomes of the predecessor of the newest token, if it is presented.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Tolerance<T: Time = Timestamp> {
    /// It is spent, or there is none.
    Closed,
    /// Its overlap is open.
    Open {
        /// Until when.
        until: T,
        /// How often it was presented again.
        uses: u32,
    },
    /// Nobody has shown yet that the newest token reached its holder.
    Unconfirmed,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Life {
    Alive,
    Revoked,
}

/// The public view of a family at some instant.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Its newest token works, and no other.
    Active,
    /// Its newest token works, and the predecessor is tolerated.
    Rotated,
    /// It was revoked: no token works.
    Revoked,
    /// It has outlived itself: no token works.
    Expired,
}

/// A family as a row: what a store keeps of it, column by column.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Row<T: Time = Timestamp> {
    /// When the login was.
    pub began: T,
    /// When it was last used.
    pub used: T,
    /// The number of its newest token.
    pub newest: u64,
    /// What becomes of the predecessor.
    pub tolerance: Tolerance<T>,
    /// Whether it was revoked.
    pub revoked: bool,
}

impl<T: Time> Family<T> {
    /// A family whose first token, of number one, was issued at `now`.
    pub const fn new(now: T) -> Self {
        Self { began: now, used: now, newest: 1, tolerance: Tolerance::Closed, life: Life::Alive }
    }

    /// The number of its newest token.
    pub const fn newest(&self) -> u64 {
        self.newest
    }

    /// Whether its access tokens are to be refused: it was revoked.
    pub fn is_revoked(&self) -> bool {
        self.life == Life::Revoked
    }

    /// What a store keeps.
    pub fn to_row(&self) -> Row<T> {
        Row {
            began: self.began,
            used: self.used,
            newest: self.newest,
            tolerance: self.tolerance,
            revoked: self.life == Life::Revoked,
        }
    }

    /// What a store kept. Any row will do: none can break a rule but by what it says.
    pub fn from_row(row: Row<T>) -> Self {
        let life = if row.revoked { Life::Revoked } else { Life::Alive };
        // A family without any token never was.
        let newest = row.newest.max(1);
        Self { began: row.began, used: row.used, newest, tolerance: row.tolerance, life }
    }
}
