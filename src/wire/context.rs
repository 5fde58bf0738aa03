//! What a response responses: without that it cannot be judged what was received, and what is to be done.

use std::prelude::rust_2024::*;

use url::Url;

use super::error_response::Classify;
use super::settings::Settings;
use crate::provider::{Code, Dialect};
use crate::token::Secret;

/// A request to a token endpoint, as far as its response depends on it.
#[derive(Clone, Default)]
pub(crate) struct RequestContext<'a> {
    client: Option<&'a Settings>,
    grant: GrantKind,
}

/// What is shown for a grant.
#[derive(Clone, Default)]
pub(super) enum GrantKind {
    /// It is not known.
    #[default]
    Unknown,
    /// This refresh token.
    RefreshToken(Secret),
    /// The client itself (RFC 6749, section 4.4): there is nobody to log in.
    Client,
}

impl<'a> RequestContext<'a> {
    pub(super) fn new(client: &'a Settings, grant: GrantKind) -> Self {
        Self { client: Some(client), grant }
    }

    /// The refresh token that was presented, as far as is known.
    pub(super) fn presented(&self) -> Option<&Secret> {
        match &self.grant {
            GrantKind::RefreshToken(presented) => Some(presented),
            GrantKind::Unknown | GrantKind::Client => None,
        }
    }

    /// Whether the client asks for itself.
    pub(super) fn is_clients_own(&self) -> bool {
        matches!(self.grant, GrantKind::Client)
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.client.map(Settings::dialect).unwrap_or_default()
    }

    pub(super) fn codes(&self) -> &'static [Code] {
        self.client.map(Settings::codes).unwrap_or_default()
    }

    pub(super) fn classify(&self) -> Option<&Classify> {
        self.client.and_then(Settings::classify)
    }

    /// Whether the client authenticates by the `Authorization` header.
    pub(super) fn sends_basic(&self) -> bool {
        self.client.is_some_and(Settings::sends_basic)
    }

    /// Whether the program takes tokens of this type for bearer tokens.
    pub(super) fn accepts(&self, token_type: &str) -> bool {
        self.client.is_some_and(|client| client.accepts(token_type))
    }

    /// The origin of where a redirect leads to, which holds no secret; nothing where it is none, or that
    /// of the endpoint itself.
    pub(super) fn moved_to(&self, location: &str) -> Option<String> {
        let asked = self.client.map(Settings::endpoint);
        let to = Url::options().base_url(asked).parse(location).ok()?.origin();
        let same = asked.is_some_and(|asked| asked.origin() == to);
        (to.is_tuple() && !same).then(|| to.ascii_serialization())
    }

    pub(super) fn host(&self) -> Option<&str> {
        self.client.and_then(Settings::host)
    }
}
