//! The request behind a response, as far as reading the response depends on it.

use std::prelude::rust_2024::*;

use url::Url;

use super::error_response::Classify;
use super::settings::ClientSettings;
use crate::provider::{Code, Dialect};
use crate::token::Secret;

/// What reading a response needs to know about its request.
#[derive(Clone, Default)]
pub(crate) struct RequestContext<'a> {
    client: Option<&'a ClientSettings>,
    grant: GrantKind,
}

/// What the client presented to get a grant.
#[derive(Clone, Default)]
pub(super) enum GrantKind {
    /// Not known.
    #[default]
    Unknown,
    /// A refresh token.
    RefreshToken(Secret),
    /// Its own credentials (RFC 6749, section 4.4), so that there is no user to log in.
    Client,
}

impl<'a> RequestContext<'a> {
    pub(super) fn new(client: &'a ClientSettings, grant: GrantKind) -> Self {
        Self { client: Some(client), grant }
    }

    /// Returns the refresh token that was presented, if known.
    pub(super) fn presented(&self) -> Option<&Secret> {
        match &self.grant {
            GrantKind::RefreshToken(presented) => Some(presented),
            GrantKind::Unknown | GrantKind::Client => None,
        }
    }

    /// Returns whether it was a client credentials grant.
    pub(super) fn is_clients_own(&self) -> bool {
        matches!(self.grant, GrantKind::Client)
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.client.map(ClientSettings::dialect).unwrap_or_default()
    }

    pub(super) fn codes(&self) -> &'static [Code] {
        self.client.map(ClientSettings::codes).unwrap_or_default()
    }

    pub(super) fn classify(&self) -> Option<&Classify> {
        self.client.and_then(ClientSettings::classify)
    }

    /// Returns whether the client authenticates by the `Authorization` header.
    pub(super) fn sends_basic(&self) -> bool {
        self.client.is_some_and(ClientSettings::sends_basic)
    }

    /// Returns whether the program uses tokens of this type as bearer tokens.
    pub(super) fn accepts(&self, token_type: &str) -> bool {
        self.client.is_some_and(|client| client.accepts(token_type))
    }

    /// Returns the origin that a redirect leads to, which holds no secret; `None` if it has none,
    /// or it is that of the endpoint itself.
    pub(super) fn moved_to(&self, location: &str) -> Option<String> {
        let asked = self.client.map(ClientSettings::endpoint);
        let to = Url::options().base_url(asked).parse(location).ok()?.origin();
        let same = asked.is_some_and(|asked| asked.origin() == to);
        (to.is_tuple() && !same).then(|| to.ascii_serialization())
    }

    pub(super) fn host(&self) -> Option<&str> {
        self.client.and_then(ClientSettings::host)
    }
}
