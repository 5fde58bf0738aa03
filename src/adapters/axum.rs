//! The endpoints of an authorization server as an `axum` router, and a layer for resource servers
//! that requires an access token.
//!
//! ```no_run
//! use perennial::adapters::axum::{AuthorizationServer, RegisteredClient, RequireBearer};
//! use perennial::issue::{Issuer, Keys, MemoryFamilies};
//!
//! # async fn example(secret: [u8; 32]) -> Result<(), Box<dyn std::error::Error>> {
//! let issuer = Issuer::builder(Keys::new(secret)?, MemoryFamilies::new()).build();
//! let server = AuthorizationServer::builder(issuer.clone(), "https://auth.example.com")
//!     .client(RegisteredClient::public("web"))
//!     .build();
//! let things = axum::Router::new()
//!     .route("/things", axum::routing::get(async || "things"))
//!     .layer(RequireBearer::new(issuer).scope("read"));
//! let listener = tokio::net::TcpListener::bind("[::1]:8080").await?;
//! axum::serve(listener, server.router().merge(things)).await?;
//! server.finish().await; // requests in progress run to their end
//! # Ok(())
//! # }
//! ```
//!
//! | endpoint | purpose |
//! |---|---|
//! | `POST /token` | the `refresh_token` and `client_credentials` grants (RFC 6749, sections 4.4 and 6) |
//! | `POST /revoke` | revocation (RFC 7009) |
//! | `GET /jwks.json` | the public keys that verify access tokens, if [`jwks`](AuthorizationServerBuilder::jwks) is set |
//! | `GET /.well-known/oauth-authorization-server` | metadata (RFC 8414) |
//! | `POST /dev-login` | only [`with_dev_login`](AuthorizationServerBuilder::with_dev_login): logs in anybody |
//!
//! Logging in is up to the program, which calls [`Issuer::login`] once it has authenticated the
//! user.
//!
//! # Browsers
//! Pages of other origins are refused with 403 before a refresh token is presented, and cannot read
//! responses, unless [`allow_origin`](AuthorizationServerBuilder::allow_origin) names their origin
//! (CORS). For a page it is safer to keep the refresh token in a cookie that its scripts cannot
//! read: [`refresh_cookie`](AuthorizationServer::refresh_cookie) has the endpoints for that.
//!
//! # Cancellation
//! A request runs to its end on the runtime, even if the client disconnects.

mod bearer;
mod client;
mod cookie;
mod form;
mod issued;
mod origins;
mod state;
mod token;

use core::fmt;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::issue::{FamilyStore, Issuer};

pub use bearer::{RequireBearer, RequireBearerService};
pub use client::RegisteredClient;
pub use cookie::{CookieConfig, CookieError, RefreshCookie};
pub use origins::OriginError;

use client::Clients;
use origins::{Callers, Origins};
use state::ServerState;

/// An authorization server. Clones are handles to the same server.
pub struct AuthorizationServer<S: FamilyStore>(Arc<ServerState<S>>);

/// Builds an [`AuthorizationServer`].
#[must_use]
pub struct AuthorizationServerBuilder<S: FamilyStore>(ServerState<S>);

impl<S: FamilyStore> AuthorizationServer<S> {
    /// Returns a builder for a server at `url`, which is its issuer identifier (RFC 8414, section
    /// 2).
    pub fn builder(issuer: Issuer<S>, url: impl Into<String>) -> AuthorizationServerBuilder<S> {
        let url: String = url.into().trim_end_matches('/').into();
        AuthorizationServerBuilder(ServerState {
            issuer,
            origins: Origins::of_server(&url),
            url,
            clients: Clients::default(),
            jwks: None,
            dev_login: false,
            running: watch::Sender::new(()),
        })
    }

    /// Returns a router with the endpoints.
    pub fn router(&self) -> Router {
        let router = Router::new().route("/token", post(token)).route("/revoke", post(revoke));
        let router =
            if self.0.dev_login { router.route("/dev-login", post(dev_login)) } else { router };
        let router = self.0.origins.protect(router, Callers::Any);
        let router = router.route("/.well-known/oauth-authorization-server", get(metadata));
        let router =
            if self.0.jwks.is_some() { router.route("/jwks.json", get(jwks)) } else { router };
        router.with_state(self.clone())
    }

    /// Returns the endpoints of a front-end in a browser whose refresh token is in a cookie.
    ///
    /// # Errors
    /// [`CookieError`], if the client is not registered or the cookie cannot be set.
    pub fn refresh_cookie(&self, config: CookieConfig) -> Result<RefreshCookie<S>, CookieError> {
        RefreshCookie::new(Arc::clone(&self.0), config)
    }

    /// Waits until no request is running any more. Call it after a graceful shutdown, so that no
    /// request is aborted halfway.
    pub async fn finish(&self) {
        self.0.running.closed().await;
    }

    /// Runs `work` to its end, whether or not this future is dropped before.
    async fn to_the_end(&self, work: impl Future<Output = Response> + Send + 'static) -> Response {
        self.0.to_the_end(work).await
    }
}

async fn token<S: FamilyStore>(
    State(server): State<AuthorizationServer<S>>,
    request: Request,
) -> Response {
    let work = server.clone();
    server.to_the_end(async move { token::token(&work.0, request).await }).await
}

async fn revoke<S: FamilyStore>(
    State(server): State<AuthorizationServer<S>>,
    request: Request,
) -> Response {
    let work = server.clone();
    server.to_the_end(async move { token::revoke(&work.0, request).await }).await
}

async fn dev_login<S: FamilyStore>(
    State(server): State<AuthorizationServer<S>>,
    request: Request,
) -> Response {
    token::dev_login(&server.0, request).await
}

async fn jwks<S: FamilyStore>(State(server): State<AuthorizationServer<S>>) -> Response {
    document(server.0.jwks.as_ref().unwrap_or(&Value::Null))
}

/// RFC 8414, section 2.
async fn metadata<S: FamilyStore>(State(server): State<AuthorizationServer<S>>) -> Response {
    let ServerState { url, jwks, .. } = &*server.0;
    let methods = ["none", "client_secret_basic", "client_secret_post"];
    let mut metadata = json!({
        "issuer": url,
        "token_endpoint": format!("{url}/token"),
        "revocation_endpoint": format!("{url}/revoke"),
        "grant_types_supported": ["refresh_token", "client_credentials"],
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
    });
    if jwks.is_some() {
        metadata["jwks_uri"] = format!("{url}/jwks.json").into();
    }
    document(&metadata)
}

/// Returns a public document, which any page may read.
fn document(value: &Value) -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
    (headers, value.to_string()).into_response()
}

impl<S: FamilyStore> AuthorizationServerBuilder<S> {
    /// Adds a client that may request tokens.
    pub fn client(mut self, client: RegisteredClient) -> Self {
        self.0.clients.add(client);
        self
    }

    /// Allows pages of an origin, such as `https://app.example.com`, to use the endpoints and to read
    /// their responses (CORS). Call it once for each origin. The origin of the server's own URL is
    /// always allowed; pages of any other origin are refused with 403. Requests without an `Origin`
    /// header, which are not from browsers, pass. Default: none.
    ///
    /// # Errors
    /// [`OriginError`].
    pub fn allow_origin(mut self, origin: &str) -> Result<Self, OriginError> {
        self.0.origins.allow(origin)?;
        Ok(self)
    }

    /// Sets the public keys that verify access tokens (`Jwt::jwks`), and serves them. Default:
    /// none.
    pub fn jwks(mut self, keys: Value) -> Self {
        self.0.jwks = Some(keys);
        self
    }

    /// Adds an endpoint that logs in anybody without a password, **for development only**.
    pub fn with_dev_login(mut self) -> Self {
        self.0.dev_login = true;
        self
    }

    /// Builds the server.
    pub fn build(self) -> AuthorizationServer<S> {
        AuthorizationServer(Arc::new(self.0))
    }
}

impl<S: FamilyStore> Clone for AuthorizationServer<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: FamilyStore> fmt::Debug for AuthorizationServer<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AuthorizationServer")
            .field("url", &self.0.url)
            .field("issuer", &self.0.issuer)
            .finish_non_exhaustive()
    }
}

impl<S: FamilyStore> fmt::Debug for AuthorizationServerBuilder<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AuthorizationServerBuilder")
            .field("url", &self.0.url)
            .finish_non_exhaustive()
    }
}
