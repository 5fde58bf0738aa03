//! What an issuer tells of what it does.

use core::fmt;
use std::boxed::Box;

use super::error::{GrantError, InvalidGrant};
use super::ports::FamilyId;
use crate::time::Timestamp;

/// Something that an issuer has done for a client, or has denied it: for logs and counters. It
/// shows as one line. No token is in it, nor anything that one could be made from (rule G1).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Notice<'a> {
    /// When, by the issuer's clock.
    pub at: Timestamp,
    /// The client that asked.
    pub client: &'a str,
    /// The family that it is about, where that is known.
    pub family: Option<FamilyId>,
    /// The number of the refresh token that was presented, or that came with the access token that
    /// was; after a login, of the first.
    pub number: Option<u64>,
    /// What came of it.
    pub outcome: Outcome<'a>,
}

/// What came of what a client asked for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Outcome<'a> {
    /// A login began the family.
    LoggedIn {
        /// Who logged in.
        subject: &'a str,
    },
    /// It got an access token for itself (RFC 6749, section 4.4).
    ClientCredentials,
    /// It got an access token, and the refresh token of this number, which is new.
    Refreshed {
        /// Its number.
        successor: u64,
    },
    /// The same as another who presented that refresh token before.
    Repeated {
        /// Its number.
        successor: u64,
    },
    /// It got an access token alone.
    AccessRenewed,
    /// It has revoked the family.
    Revoked,
    /// It got nothing. Where the reason is [`InvalidGrant::Reused`], the family was revoked for that.
    Denied(&'a GrantError),
}

/// What a program is told by.
pub(super) type Hook = Box<dyn Fn(&Notice<'_>) + Send + Sync>;

impl Outcome<'_> {
    /// What happened, in a word or two.
    fn name(&self) -> &'static str {
        match self {
            Self::LoggedIn { .. } => "login",
            Self::ClientCredentials => "client credentials",
            Self::Refreshed { .. } => "refresh",
            Self::Repeated { .. } => "refresh repeated",
            Self::AccessRenewed => "access renewed",
            Self::Revoked => "revoked",
            Self::Denied(GrantError::InvalidGrant(InvalidGrant::Reused(_))) => "reuse",
            Self::Denied(GrantError::Unavailable(_)) => "unavailable",
            Self::Denied(GrantError::InvalidGrant(_) | GrantError::InvalidScope) => "refused",
        }
    }
}

/// One line; of the family's name it shows the beginning.
impl fmt::Display for Notice<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Escaped: a name must not forge a line of a log.
        write!(formatter, "{}: client {}", self.outcome.name(), self.client.escape_debug())?;
        if let Outcome::LoggedIn { subject } = &self.outcome {
            write!(formatter, ", subject {}", subject.escape_debug())?;
        }
        if let Some(family) = self.family {
            let [a, b, c, d, ..] = family.to_bytes();
            write!(formatter, ", family {:08x}", u32::from_be_bytes([a, b, c, d]))?;
        }
        if let Some(number) = self.number {
            write!(formatter, ", refresh token {number}")?;
        }
        match &self.outcome {
            Outcome::Refreshed { successor } | Outcome::Repeated { successor } => {
                write!(formatter, ", succeeded by {successor}")
            }
            Outcome::Denied(GrantError::InvalidGrant(why)) => write!(formatter, ": {why}"),
            Outcome::Denied(GrantError::Unavailable(error)) => write!(formatter, ": {error}"),
            Outcome::Denied(denied @ GrantError::InvalidScope) => write!(formatter, ": {denied}"),
            Outcome::LoggedIn { .. }
            | Outcome::ClientCredentials
            | Outcome::AccessRenewed
            | Outcome::Revoked => Ok(()),
        }
    }
}
