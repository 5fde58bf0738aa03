//! Building a server.

use core::fmt;
use core::future::Future;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::sync::watch;
use url::{Host, Url};

use super::AuthorizationServer;
use super::authentication::Clients;
use super::build_error::BuildError;
use super::client::RegisteredClient;
use super::grant::{GrantHandler, GrantRefusal, GrantRequest, handler};
use super::limits::{Limits, PeerAddress};
use super::metadata::metadata;
use super::origins::{OriginError, Origins};
use super::state::ServerState;
use crate::issue::{FamilyStore, Issued, Issuer};

/// Builds an [`AuthorizationServer`].
#[must_use]
pub struct AuthorizationServerBuilder<S: FamilyStore> {
    issuer: Issuer<S>,
    url: String,
    origins: Origins,
    clients: Vec<RegisteredClient>,
    jwks: Option<Value>,
    dev_login: bool,
    peers: PeerAddress,
    grants: Vec<(String, GrantHandler)>,
    metadata: Map<String, Value>,
}

impl<S: FamilyStore> AuthorizationServerBuilder<S> {
    pub(super) fn new(issuer: Issuer<S>, url: &str) -> Self {
        let url: String = url.trim_end_matches('/').into();
        Self {
            issuer,
            origins: Origins::of_server(&url),
            url,
            clients: Vec::new(),
            jwks: None,
            dev_login: false,
            peers: PeerAddress::default(),
            grants: Vec::new(),
            metadata: Map::new(),
        }
    }

    /// Allows pages of an origin, such as `https://app.example.com`, to use the endpoints and to read
    /// their responses (CORS). Call it once for each origin. The origin of the server's own URL is
    /// always allowed; pages of any other origin are refused with 403. Requests without an `Origin`
    /// header, which are not from browsers, pass. Default: none.
    ///
    /// # Errors
    /// [`OriginError`].
    pub fn allow_origin(mut self, origin: &str) -> Result<Self, OriginError> {
        self.origins.allow(origin)?;
        Ok(self)
    }

    /// Adds a client that may request tokens.
    pub fn client(mut self, client: RegisteredClient) -> Self {
        self.clients.push(client);
        self
    }

    /// Sets the public keys that verify access tokens (`Jwt::jwks`), and serves them. Default:
    /// none.
    pub fn jwks(mut self, keys: Value) -> Self {
        self.jwks = Some(keys);
        self
    }

    /// Sets where the address of the peer is taken from, which malformed tokens and wrong secrets are charged
    /// to. Default: [`PeerAddress::Connection`].
    pub fn peer_address(mut self, peers: PeerAddress) -> Self {
        self.peers = peers;
        self
    }

    /// Serves a grant type of the program's own at `/token`, such as `authorization_code`. The client has been
    /// authenticated when `handle` is called; a public one has only named itself. `handle` runs to its end, even if the client
    /// disconnects. It usually verifies what was presented and calls [`Issuer::login`].
    pub fn grant<F, Fut>(mut self, grant_type: impl Into<String>, handle: F) -> Self
    where
        F: Fn(GrantRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Issued, GrantRefusal>> + Send + 'static,
    {
        self.grants.push((grant_type.into(), handler(handle)));
        self
    }

    /// Adds a field to the metadata (RFC 8414, section 2), such as `authorization_endpoint`.
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.insert(name.into(), value.into());
        self
    }

    /// Adds an endpoint that logs in anybody without a password, **for development only**: the URL of the
    /// server must be one of this machine, and so must the peer. In tests, with the feature `testing`,
    /// they may be any. The server says so on standard error when it is built.
    pub fn with_dev_login(mut self) -> Self {
        self.dev_login = true;
        self
    }

    /// Builds the server. From then on no login may have the id of a client as its subject (RFC 9068, section 5).
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn build(self) -> Result<AuthorizationServer<S>, BuildError> {
        let Self {
            issuer,
            url,
            origins,
            clients,
            jwks,
            dev_login,
            peers,
            grants: own,
            metadata: fields,
        } = self;
        if dev_login {
            if !is_of_this_machine(&url) && cfg!(not(feature = "testing")) {
                return Err(BuildError::DevelopmentLogin(url));
            }
            say(&url);
        }
        let clients = Clients::new(clients)?;
        let mut grants = BTreeMap::new();
        for (name, handle) in own {
            let ours = matches!(&*name, "refresh_token" | "client_credentials");
            if ours || grants.insert(name.clone(), handle).is_some() {
                return Err(BuildError::RepeatedGrantType(name));
            }
        }
        let metadata = metadata(&url, jwks.is_some(), grants.keys().map(String::as_str), fields)?;
        issuer.know_clients(clients.ids());
        Ok(AuthorizationServer(Arc::new(ServerState {
            issuer,
            url,
            clients,
            origins,
            jwks,
            dev_login,
            limits: Limits::new(),
            peers,
            grants,
            metadata,
            running: watch::Sender::new(()),
        })))
    }
}

#[expect(
    clippy::print_stderr,
    reason = "a server that anybody can log in at must not start silently"
)]
fn say(url: &str) {
    std::eprintln!(
        "{url}/dev-login logs in anybody as anybody, without a password: for development only"
    );
}

/// Returns whether a URL is of this machine.
fn is_of_this_machine(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

impl<S: FamilyStore> fmt::Debug for AuthorizationServerBuilder<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AuthorizationServerBuilder")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}
