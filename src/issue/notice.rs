//! Notices of what an issuer does: the events of an issuer.

use core::fmt;
use std::format;
use std::string::{String, ToString};

use super::error::{GrantError, InvalidGrant};
use super::ports::FamilyId;
use crate::events::Value;

/// Something that an issuer has done for a client, or denied to it:
/// [`EventKind::Issuer`](crate::events::EventKind::Issuer). It is displayed as one line. It holds no token,
/// nor anything that one could be derived from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Notice {
    /// The client that made the request.
    pub client: String,
    /// The family concerned, if known.
    pub family: Option<FamilyId>,
    /// The number of the refresh token that was presented, or that was issued with the access token
    /// that was presented; after a login, that of the first refresh token.
    pub number: Option<u64>,
    /// The outcome.
    pub outcome: Outcome,
}

/// The outcome of a request to an issuer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// A login started the family.
    LoggedIn {
        /// The subject of the login.
        subject: String,
    },
    /// The client got an access token for itself (RFC 6749, section 4.4).
    ClientCredentials,
    /// The client got an access token and a new refresh token.
    Refreshed {
        /// The number of the refresh token that was issued.
        successor: u64,
    },
    /// The client got an access token, and the refresh token that the one it presented had yielded
    /// before.
    Repeated {
        /// The number of the refresh token that was issued.
        successor: u64,
    },
    /// The client got only an access token.
    AccessRenewed,
    /// The client revoked the family.
    Revoked,
    /// The client got nothing. With [`InvalidGrant::Reused`], the family was revoked.
    Denied(GrantError),
}

impl Outcome {
    /// Returns the outcome in a word or two.
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

impl Notice {
    /// Calls `visit` with the attributes of the event.
    pub(crate) fn attributes(&self, visit: &mut dyn FnMut(&'static str, Value<'_>)) {
        visit("perennial.issuer.outcome", Value::Text(self.outcome.name()));
        visit("perennial.issuer.client", Value::Text(&self.client));
        if let Some(family) = self.family {
            visit("perennial.issuer.family", Value::Text(&short(family)));
        }
        if let Some(number) = self.number {
            visit("perennial.issuer.number", Value::Number(number));
        }
        match &self.outcome {
            Outcome::LoggedIn { subject } => {
                visit("perennial.issuer.subject", Value::Text(subject));
            }
            Outcome::Denied(GrantError::InvalidGrant(why)) => {
                visit("error.type", Value::Text("invalid_grant"));
                visit("error.message", Value::Text(&why.to_string()));
            }
            Outcome::Denied(GrantError::Unavailable(error)) => {
                visit("error.type", Value::Text("unavailable"));
                visit("error.message", Value::Text(&error.to_string()));
            }
            Outcome::Denied(denied @ GrantError::InvalidScope) => {
                visit("error.type", Value::Text("invalid_scope"));
                visit("error.message", Value::Text(&denied.to_string()));
            }
            Outcome::ClientCredentials
            | Outcome::Refreshed { .. }
            | Outcome::Repeated { .. }
            | Outcome::AccessRenewed
            | Outcome::Revoked => {}
        }
    }
}

/// Returns the first eight digits of a family's name.
fn short(family: FamilyId) -> String {
    let [a, b, c, d, ..] = family.to_bytes();
    format!("{:08x}", u32::from_be_bytes([a, b, c, d]))
}

/// One line, with the first eight digits of the family's name.
impl fmt::Display for Notice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Escaped, so that a name cannot forge a line of a log.
        write!(formatter, "{}: client {}", self.outcome.name(), self.client.escape_debug())?;
        if let Outcome::LoggedIn { subject } = &self.outcome {
            write!(formatter, ", subject {}", subject.escape_debug())?;
        }
        if let Some(family) = self.family {
            write!(formatter, ", family {}", short(family))?;
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
