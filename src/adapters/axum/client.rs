//! The registered clients of a server (RFC 6749, section 2).

use core::fmt;
use core::num::NonZeroU32;
use core::time::Duration;
use std::collections::BTreeSet;
use std::prelude::rust_2024::*;

use governor::Quota;
use sha2::{Digest as _, Sha256};

use crate::token::Secret;

/// How many requests may be made per second, and at once, by default.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(100).expect("not zero");

/// The minimum length of a client secret, in bytes.
const SHORTEST: usize = 16;

/// A client that may request tokens.
pub struct RegisteredClient {
    pub(super) id: String,
    /// Only the digests are kept. Client secrets are long and random, so that a fast digest suffices.
    pub(super) secrets: Vec<[u8; 32]>,
    pub(super) has_short_secret: bool,
    pub(super) credentials: Option<Vec<String>>,
    pub(super) introspection: bool,
    pub(super) grant_types: Option<BTreeSet<String>>,
    pub(super) quota: Quota,
}

impl RegisteredClient {
    /// Returns a client without a secret, such as one in a browser. It only identifies itself.
    pub fn public(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            secrets: Vec::new(),
            has_short_secret: false,
            credentials: None,
            introspection: false,
            grant_types: None,
            quota: Quota::per_second(PER_SECOND),
        }
    }

    /// Returns a client that authenticates with a secret, in a header (`client_secret_basic`) or in
    /// the form (`client_secret_post`). The secret is random, and has 16 bytes or more; with a shorter one the
    /// server is not [built](super::AuthorizationServerBuilder::build).
    pub fn confidential(id: impl Into<String>, secret: impl Into<Secret>) -> Self {
        Self::public(id).and_secret(secret)
    }

    /// Adds a secret that works as well, so that the client can change from one to the other.
    #[must_use]
    pub fn and_secret(mut self, secret: impl Into<Secret>) -> Self {
        let secret = secret.into();
        self.has_short_secret |= secret.expose().len() < SHORTEST;
        self.secrets.push(digest(secret.expose()));
        self
    }

    /// Allows the client to act for itself (RFC 6749, section 4.4), within these scopes. Without
    /// effect on a public client. Default: not allowed.
    #[must_use]
    pub fn client_credentials<'a>(mut self, scopes: impl IntoIterator<Item = &'a str>) -> Self {
        self.credentials = Some(scopes.into_iter().map(String::from).collect());
        self
    }

    /// Allows the client, a resource server, to introspect any token (RFC 7662). Without effect on a
    /// public client. Default: not allowed.
    #[must_use]
    pub fn introspection(mut self) -> Self {
        self.introspection = true;
        self
    }

    /// Sets the grant types that the client may use; `unauthorized_client` is the response to others. Default: all that
    /// the server has, `client_credentials` only where it is
    /// [allowed](RegisteredClient::client_credentials).
    #[must_use]
    pub fn grant_types<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.grant_types = Some(names.into_iter().map(String::from).collect());
        self
    }

    /// Sets how many requests each login (a family of refresh tokens) of this client may make within `period`,
    /// and at once, and how many the client may make for itself. Zero requests count as one, and a zero
    /// period as one second for each request. Default: 100 per second.
    #[must_use]
    pub fn rate_limit(mut self, requests: u32, period: Duration) -> Self {
        let requests = NonZeroU32::new(requests).unwrap_or(NonZeroU32::MIN);
        let each = period / requests.get();
        let each = Quota::with_period(each).unwrap_or(Quota::per_second(NonZeroU32::MIN));
        self.quota = each.allow_burst(requests);
        self
    }

    pub(super) fn is_public(&self) -> bool {
        self.secrets.is_empty()
    }
}

impl fmt::Debug for RegisteredClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RegisteredClient")
            .field("id", &self.id)
            .field("public", &self.is_public())
            .finish_non_exhaustive()
    }
}

pub(super) fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}
