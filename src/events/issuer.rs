//! The events of an issuer.

use core::fmt;
use std::format;
use std::net::IpAddr;
use std::string::{String, ToString as _};

use super::error::ErrorView;
use super::value::Value;
use crate::rotation::FamilyId;

/// Something that an issuer has done for a client, or denied to it:
/// [`EventKind::Issuer`](crate::events::EventKind::Issuer). It is displayed as one line. It holds no token,
/// nor anything that one could be derived from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct IssuerEvent {
    /// The client that made the request.
    pub client: String,
    /// The family concerned, if known.
    pub family: Option<FamilyId>,
    /// The number of the refresh token that was presented, or that was issued with the access token
    /// that was presented; after a login, that of the first refresh token.
    pub number: Option<u64>,
    /// The address that a request came from which was denied before its family was known, if the endpoint
    /// knows it: of an IPv6 address its network, the first 64 bits.
    pub peer: Option<IpAddr>,
    /// The outcome.
    pub outcome: IssuerOutcome,
}

/// The outcome of a request to an issuer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum IssuerOutcome {
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
    /// before, or another with its number.
    Repeated {
        /// The number of the refresh token that was issued.
        successor: u64,
    },
    /// The client got only an access token.
    AccessRenewed,
    /// The client revoked the family.
    Revoked,
    /// The client got nothing. The error is named `not_ours`, `unknown_family`, `other_client`, `refused`,
    /// `reused` (then the family was revoked), `invalid_scope`, `too_long`, `subject_is_client`,
    /// `invalid_client`, `throttled` or `unavailable`.
    Denied(ErrorView),
}

impl IssuerOutcome {
    /// Returns the outcome in a word or two.
    fn name(&self) -> &'static str {
        match self {
            Self::LoggedIn { .. } => "login",
            Self::ClientCredentials => "client credentials",
            Self::Refreshed { .. } => "refresh",
            Self::Repeated { .. } => "refresh repeated",
            Self::AccessRenewed => "access renewed",
            Self::Revoked => "revoked",
            Self::Denied(error) => match error.name() {
                "reused" => "reuse",
                "unavailable" => "unavailable",
                "invalid_client" => "client refused",
                "throttled" => "throttled",
                _ => "refused",
            },
        }
    }
}

impl IssuerEvent {
    /// Calls `visit` with the attributes of the event.
    pub(super) fn attributes(&self, visit: &mut dyn FnMut(&'static str, Value<'_>)) {
        visit("perennial.issuer.outcome", Value::Text(self.outcome.name()));
        visit("perennial.issuer.client", Value::Text(&self.client));
        if let Some(family) = self.family {
            visit("perennial.issuer.family", Value::Text(&short(family)));
        }
        if let Some(number) = self.number {
            visit("perennial.issuer.number", Value::Number(number));
        }
        if let Some(peer) = self.peer {
            visit("client.address", Value::Text(&peer.to_string()));
        }
        match &self.outcome {
            IssuerOutcome::LoggedIn { subject } => {
                visit("perennial.issuer.subject", Value::Text(subject));
            }
            IssuerOutcome::Denied(error) => error.attributes(visit),
            IssuerOutcome::Refreshed { successor } | IssuerOutcome::Repeated { successor } => {
                visit("perennial.issuer.successor", Value::Number(*successor));
            }
            IssuerOutcome::ClientCredentials
            | IssuerOutcome::AccessRenewed
            | IssuerOutcome::Revoked => {}
        }
    }
}

/// Returns the first eight digits of a family's name.
fn short(family: FamilyId) -> String {
    let [a, b, c, d, ..] = family.to_bytes();
    format!("{:08x}", u32::from_be_bytes([a, b, c, d]))
}

/// One line, with the first eight digits of the family's name.
impl fmt::Display for IssuerEvent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Escaped, so that a name cannot forge a line of a log.
        write!(formatter, "{}: client {}", self.outcome.name(), self.client.escape_debug())?;
        if let IssuerOutcome::LoggedIn { subject } = &self.outcome {
            write!(formatter, ", subject {}", subject.escape_debug())?;
        }
        if let Some(family) = self.family {
            write!(formatter, ", family {}", short(family))?;
        }
        if let Some(number) = self.number {
            write!(formatter, ", refresh token {number}")?;
        }
        if let Some(peer) = self.peer {
            write!(formatter, ", from {peer}")?;
        }
        match &self.outcome {
            IssuerOutcome::Refreshed { successor } | IssuerOutcome::Repeated { successor } => {
                write!(formatter, ", succeeded by {successor}")
            }
            IssuerOutcome::Denied(error) => write!(formatter, ": {error}"),
            IssuerOutcome::LoggedIn { .. }
            | IssuerOutcome::ClientCredentials
            | IssuerOutcome::AccessRenewed
            | IssuerOutcome::Revoked => Ok(()),
        }
    }
}
