//! The settings of a client, shared by its clones.

use std::prelude::rust_2024::*;

use url::Url;

use super::error_response::Classify;
use crate::provider::{Code, Dialect, Provider};
use crate::refresh::ClientBackoff;
use crate::token::Secret;

pub(super) struct ClientSettings {
    pub(super) token_endpoint: Url,
    pub(super) revocation_endpoint: Option<Url>,
    pub(super) id: String,
    pub(super) secret: Option<Secret>,
    pub(super) authentication: ClientAuthentication,
    /// Further fields of each token request: scope, audience, resources. Some are secrets.
    pub(super) fields: Vec<(String, Secret)>,
    pub(super) reading: ResponseSettings,
    pub(super) backoff: ClientBackoff,
}

/// How responses are read.
#[derive(Clone, Default)]
pub(super) struct ResponseSettings {
    pub(super) provider: Option<Provider>,
    pub(super) dialect: Option<Dialect>,
    pub(super) token_types: Vec<String>,
    pub(super) classify: Option<Classify>,
}

/// How a client with a secret authenticates (RFC 6749, section 2.3.1).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ClientAuthentication {
    /// In the `Authorization` header.
    #[default]
    Basic,
    /// In the body.
    Post,
}

impl ClientSettings {
    pub(super) fn dialect(&self) -> Dialect {
        let settings = &self.reading;
        settings.dialect.or(settings.provider.map(|it| it.dialect())).unwrap_or_default()
    }

    pub(super) fn codes(&self) -> &'static [Code] {
        self.reading.provider.map(|it| it.codes()).unwrap_or_default()
    }

    pub(super) fn classify(&self) -> Option<&Classify> {
        self.reading.classify.as_ref()
    }

    pub(super) fn accepts(&self, token_type: &str) -> bool {
        self.reading.token_types.iter().any(|known| known.eq_ignore_ascii_case(token_type))
    }

    pub(super) fn sends_basic(&self) -> bool {
        self.secret.is_some() && self.authentication == ClientAuthentication::Basic
    }

    pub(super) fn host(&self) -> Option<&str> {
        self.token_endpoint.host_str()
    }

    pub(super) fn endpoint(&self) -> &Url {
        &self.token_endpoint
    }
}

/// Returns whether a URL is on this machine, so that no proxy is to be used.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(domain)) => domain == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
