//! The `refresh_token` grant of OAuth 2.0 (RFC 6749, section 6) over `reqwest`.
//!
//! ```no_run
//! use perennial::adapters::oauth2::RefreshGrant;
//! use perennial::session::Session;
//! use perennial::token::Grant;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let refresher = RefreshGrant::builder("https://auth.example.com/token", "my-client")
//!     .client_secret("my-secret")
//!     .build()?;
//! let session = Session::builder_with(refresher)
//!     .grant(Grant::of_refresh_token("the refresh token of a login"))
//!     .build()?;
//! # Ok(())
//! # }
//! ```
//!
//! TLS is `reqwest`'s, which this crate takes without: a program with https endpoints must enable
//! one of its TLS features in its own `Cargo.toml`, such as `reqwest = { features = ["rustls"] }`.
//!
//! Why not on the `oauth2` crate: it reads an answer in a way that loses its status, `Date` and
//! `Retry-After`, without which rule B6 cannot tell failures apart, and refuses the forms of
//! `expires_in` that rule A4 demands. What it would have spared is the form below.
//!
//! Invariants: the request goes to the configured endpoint alone, by a client of its own that
//! follows no redirect (rule E6); an answer is read up to [`ANSWER_LIMIT`]; no error holds a
//! secret.

mod answer;

use core::fmt;
use core::future::Future;
use core::time::Duration;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use reqwest::redirect;
use reqwest::{Client, RequestBuilder, Url};
use thiserror::Error as ThisError;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use url::form_urlencoded::byte_serialize;

use crate::refresh::{Refresh, RefreshError, Request};
use crate::token::{Grant, Secret};

pub use answer::ANSWER_LIMIT;

/// How long a revocation may take: closing a session waits for it.
const REVOCATION_LIMIT: Duration = Duration::from_secs(30);

/// Asks an authorization server's token endpoint for new grants. Needs tokio's runtime, which it
/// captures when built, and whose tasks its requests are (rule C2).
#[derive(Clone)]
pub struct RefreshGrant {
    settings: Arc<Settings>,
    client: Client,
    runtime: Handle,
}

struct Settings {
    token_endpoint: Url,
    revocation_endpoint: Option<Url>,
    client_id: String,
    client_secret: Option<Secret>,
    client_authentication: ClientAuthentication,
    scope: Option<String>,
}

/// How a client with a secret authenticates (RFC 6749, section 2.3.1).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Default)]
pub enum ClientAuthentication {
    /// In the `Authorization` header.
    #[default]
    Basic,
    /// In the body.
    Post,
}

/// Builds a [`RefreshGrant`].
#[derive(Clone)]
#[must_use]
pub struct RefreshGrantBuilder {
    token_endpoint: String,
    revocation_endpoint: Option<String>,
    client_id: String,
    client_secret: Option<Secret>,
    client_authentication: ClientAuthentication,
    scope: Option<String>,
    client: Option<Client>,
    runtime: Option<Handle>,
    allow_plain_http: bool,
}

/// A refresh grant that cannot be built.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum RefreshGrantError {
    /// An endpoint is no URL.
    #[error("the {0} endpoint is not a valid URL: {1}; give one such as https://host/token")]
    Malformed(&'static str, url::ParseError),
    /// An endpoint is no HTTP URL.
    #[error("the {0} endpoint must be an https URL; its scheme is `{1}`")]
    Scheme(&'static str, String),
    /// An endpoint's URL carries credentials, which would go beside the client's own.
    #[error("the {0} endpoint holds a user name or a password: use `client_secret` instead")]
    Credentials(&'static str),
    /// An endpoint would have secrets sent in the clear.
    #[error("the {0} endpoint is plain http beyond this machine: use https, or `allow_plain_http`")]
    PlainHttp(&'static str),
    /// Neither built within a tokio runtime nor given one.
    #[error("no tokio runtime here: build this inside one, or give its handle to `runtime`")]
    NoRuntime,
    /// The HTTP client could not be made.
    #[error("the HTTP client could not be made")]
    Client(#[source] reqwest::Error),
}

impl RefreshGrant {
    /// A builder for the token endpoint's URL and the client's identifier.
    pub fn builder(
        token_endpoint: impl Into<String>,
        client_id: impl Into<String>,
    ) -> RefreshGrantBuilder {
        RefreshGrantBuilder {
            token_endpoint: token_endpoint.into(),
            revocation_endpoint: None,
            client_id: client_id.into(),
            client_secret: None,
            client_authentication: ClientAuthentication::Basic,
            scope: None,
            client: None,
            runtime: None,
            allow_plain_http: false,
        }
    }
}

impl RefreshGrantBuilder {
    /// The client's secret; without one the client is public.
    pub fn client_secret(mut self, secret: impl Into<Secret>) -> Self {
        self.client_secret = Some(secret.into());
        self
    }

    /// How the client authenticates, if it has a secret \[basic\].
    pub fn client_authentication(mut self, how: ClientAuthentication) -> Self {
        self.client_authentication = how;
        self
    }

    /// The scope to ask for [the grant's own].
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// Where grants that belong to nobody any more are revoked (RFC 7009) \[nowhere\].
    pub fn revocation_endpoint(mut self, url: impl Into<String>) -> Self {
        self.revocation_endpoint = Some(url.into());
        self
    }

    /// Another HTTP client [one that follows no redirects]. It must not carry the interceptor that
    /// uses this grant (rule E6), and should follow no redirects.
    pub fn client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// The tokio runtime to send from [the one in which this is built].
    pub fn runtime(mut self, handle: Handle) -> Self {
        self.runtime = Some(handle);
        self
    }

    /// Allows endpoints without TLS beyond this machine. For test networks only.
    pub fn allow_plain_http(mut self) -> Self {
        self.allow_plain_http = true;
        self
    }

    /// Builds it. Nothing is sent yet.
    ///
    /// # Errors
    /// Names the endpoint that cannot be used, or says how to give it a runtime.
    pub fn build(self) -> Result<RefreshGrant, RefreshGrantError> {
        let here = || Handle::try_current().map_err(|_| RefreshGrantError::NoRuntime);
        let runtime = self.runtime.map_or_else(here, Ok)?;
        let endpoint = |name, text: String| check(name, &text, self.allow_plain_http);
        let settings = Settings {
            token_endpoint: endpoint("token", self.token_endpoint)?,
            revocation_endpoint: self
                .revocation_endpoint
                .map(|text| endpoint("revocation", text))
                .transpose()?,
            client_id: self.client_id,
            client_secret: self.client_secret,
            client_authentication: self.client_authentication,
            scope: self.scope,
        };
        // Rule E6: "The refresh request MUST NOT pass through the interceptor": a client of its
        // own.
        let client = match self.client {
            Some(client) => client,
            None => settings.client().map_err(RefreshGrantError::Client)?,
        };
        Ok(RefreshGrant { settings: Arc::new(settings), client, runtime })
    }
}

impl Settings {
    /// A client that follows no redirects, and reaches this machine without any proxy, to which
    /// plain http would go in the clear. It keeps no connections: one that the server closes while
    /// a refresh goes out over it would leave the outcome unknown.
    fn client(&self) -> Result<Client, reqwest::Error> {
        let client = Client::builder().redirect(redirect::Policy::none()).pool_max_idle_per_host(0);
        let mut endpoints =
            [Some(&self.token_endpoint), self.revocation_endpoint.as_ref()].into_iter().flatten();
        let client = if endpoints.any(is_loopback) { client.no_proxy() } else { client };
        client.build()
    }
}

/// Shows what holds no secret: URLs and HTTP clients may.
impl fmt::Debug for RefreshGrant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RefreshGrant")
            .field("host", &self.settings.token_endpoint.host_str())
            .field("client_id", &self.settings.client_id)
            .field("client_authentication", &self.settings.client_authentication)
            .field("scope", &self.settings.scope)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RefreshGrantBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RefreshGrantBuilder")
            .field("client_id", &self.client_id)
            .field("client_authentication", &self.client_authentication)
            .field("scope", &self.scope)
            .field("allow_plain_http", &self.allow_plain_http)
            .finish_non_exhaustive()
    }
}

/// A task of the runtime: it goes on while nobody polls this, and ends when this is dropped. So a
/// refresh that a caller began and did not wait for is not left half sent (rule C4).
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn check(name: &'static str, text: &str, plain: bool) -> Result<Url, RefreshGrantError> {
    let url = Url::parse(text).map_err(|error| RefreshGrantError::Malformed(name, error))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(RefreshGrantError::Credentials(name));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if plain || is_loopback(&url) => Ok(url),
        "http" => Err(RefreshGrantError::PlainHttp(name)),
        other => Err(RefreshGrantError::Scheme(name, other.into())),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(domain)) => domain == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

impl RefreshGrant {
    /// A form for `url`, with the client's authentication (RFC 6749, section 2.3.1).
    fn form(&self, url: &Url, fields: &[(&str, &str)]) -> RequestBuilder {
        let settings = &self.settings;
        let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        let request = self.client.post(url.clone()).header("accept", "application/json");
        let client = ("client_id", settings.client_id.as_str());
        match (&settings.client_secret, settings.client_authentication) {
            (None, _) => request.form(&[fields, &[client]].concat()),
            (Some(secret), ClientAuthentication::Basic) => request
                .basic_auth(encoded(&settings.client_id), Some(encoded(secret.expose())))
                .form(fields),
            (Some(secret), ClientAuthentication::Post) => {
                let secret = ("client_secret", secret.expose());
                request.form(&[fields, &[client, secret]].concat())
            }
        }
    }

    async fn exchange(&self, request: Request) -> Result<Grant, RefreshError> {
        let Some(refresh_token) = request.refresh_token() else {
            return Err(RefreshError::declined("the grant has no refresh token: log in again"));
        };
        let mut fields =
            Vec::from([("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose())]);
        if let Some(scope) = &self.settings.scope {
            fields.push(("scope", scope));
        }
        // Beyond the session's deadline it is listened to for as long again: an answer that comes
        // late still counts (rule B3). One total limit, not one a read.
        let limit = request.time_left().saturating_mul(2).max(Duration::from_millis(1));
        let form = self.form(&self.settings.token_endpoint, &fields).timeout(limit);
        let response =
            form.send().await.map_err(|error| not_answered(error, "the token request was sent"))?;
        answer::read(response).await
    }

    async fn revoked(&self, grant: Grant) {
        let endpoint = self.settings.revocation_endpoint.as_ref();
        if let (Some(endpoint), Some(token)) = (endpoint, grant.refresh_token()) {
            let fields = [("token", token.expose()), ("token_type_hint", "refresh_token")];
            // As best it can: there is nobody left to tell.
            drop(self.form(endpoint, &fields).timeout(REVOCATION_LIMIT).send().await);
        }
    }
}

/// Tells a request that cannot have been honoured from one that may have been (rule B6).
fn not_answered(error: reqwest::Error, at: &str) -> RefreshError {
    // The URL could hold secrets of the program's.
    let error = error.without_url();
    if error.is_connect() || error.is_builder() {
        return RefreshError::unavailable("the token endpoint could not be reached")
            .with_source(error);
    }
    let what = if error.is_timeout() { "timed out" } else { "broke off" };
    RefreshError::unknown(format!("{at}, and then {what}")).with_source(error)
}

impl Refresh for RefreshGrant {
    fn refresh(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<Grant, RefreshError>> + Send + 'static {
        let this = self.clone();
        let mut task = Task(self.runtime.spawn(async move { this.exchange(request).await }));
        async move {
            let ended = |_| Err(RefreshError::unknown("the runtime ended before the refresh did"));
            (&mut task.0).await.unwrap_or_else(ended)
        }
    }

    /// Revokes the grant's refresh token, where an endpoint is known (RFC 7009, section 2.1).
    fn revoke(&self, grant: Grant) -> impl Future<Output = ()> + Send + 'static {
        let this = self.clone();
        let mut task = Task(self.runtime.spawn(async move { this.revoked(grant).await }));
        async move { (&mut task.0).await.unwrap_or_default() }
    }
}
