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
//!     .build()?;
//! let things = axum::Router::new()
//!     .route("/things", axum::routing::get(async || "things"))
//!     .route_layer(RequireBearer::new(issuer).scope("read"));
//! let app = server.router().merge(things);
//! let app = app.into_make_service_with_connect_info::<std::net::SocketAddr>();
//! let listener = tokio::net::TcpListener::bind("[::1]:8080").await?;
//! axum::serve(listener, app).await?;
//! server.finish().await; // requests in progress run to their end
//! # Ok(())
//! # }
//! ```
//!
//! | endpoint | purpose |
//! |---|---|
//! | `POST /token` | the `refresh_token` and `client_credentials` grants (RFC 6749, sections 4.4 and 6) |
//! | `POST /revoke` | revocation (RFC 7009) |
//! | `POST /introspect` | introspection (RFC 7662), for clients with [`introspection`](RegisteredClient::introspection) |
//! | `GET /jwks.json` | the public keys that verify access tokens, if [`jwks`](AuthorizationServerBuilder::jwks) is set |
//! | `GET /.well-known/oauth-authorization-server` | metadata (RFC 8414) |
//! | `POST /dev-login` | only [`with_dev_login`](AuthorizationServerBuilder::with_dev_login): logs in anybody |
//!
//! Logging in is up to the program, which calls [`Issuer::login`] once it has authenticated the
//! user.
//!
//! `RequireBearer` is for `route_layer`: with `layer` it would also answer for paths that do not exist, and a
//! router that is merged into another one would answer for all of its unknown paths.
//!
//! # Limits
//! A refresh token's MAC is verified first. What verifies is charged to its family, by the
//! [limit](RegisteredClient::rate_limit) of its client; anything else to the [peer](PeerAddress): 30 at once,
//! then one a second. A peer that sends wrong secrets of a client may send 12 at once, then one in 5 seconds;
//! others are served meanwhile. Behind a reverse proxy set [`PeerAddress::Header`], or all callers are one peer. Beyond a limit the response is 429 with `Retry-After`, except that reuse revokes
//! its family all the same. What the limiters remember is bounded. The body of a request has 10 seconds.
//!
//! # Browsers
//! Pages of other origins are refused with 403 before a refresh token is presented, and cannot read
//! responses, unless [`allow_origin`](AuthorizationServerBuilder::allow_origin) names their origin
//! (CORS). For a page it is safer to keep the refresh token in a cookie that its scripts cannot
//! read: [`refresh_cookie`](AuthorizationServer::refresh_cookie) has the endpoints for that.
//!
//! # Cancellation
//! The form is read and the client authenticated in the task of the connection. What is granted then runs to its
//! end on the runtime, even if the client disconnects.

mod authentication;
mod bearer;
mod build_error;
mod builder;
mod client;
mod cookie;
mod form;
mod grant;
mod introspect;
mod issued;
mod limits;
mod metadata;
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
use serde_json::Value;

use crate::issue::{FamilyStore, Issuer};

pub use bearer::{RequireBearer, RequireBearerService};
pub use build_error::BuildError;
pub use builder::AuthorizationServerBuilder;
pub use client::RegisteredClient;
pub use cookie::{CookieConfig, CookieError, RefreshCookie};
pub use grant::{GrantRefusal, GrantRequest};
pub use limits::PeerAddress;
pub use origins::OriginError;

use origins::Callers;
use state::ServerState;

/// An authorization server. Clones are handles to the same server.
pub struct AuthorizationServer<S: FamilyStore>(Arc<ServerState<S>>);

impl<S: FamilyStore> AuthorizationServer<S> {
    /// Returns a builder for a server at `url`, which is its issuer identifier (RFC 8414, section
    /// 2).
    pub fn builder(issuer: Issuer<S>, url: impl Into<String>) -> AuthorizationServerBuilder<S> {
        AuthorizationServerBuilder::new(issuer, &url.into())
    }

    /// Returns a router with the endpoints.
    pub fn router(&self) -> Router {
        let router = Router::new()
            .route("/token", post(token))
            .route("/revoke", post(revoke))
            .route("/introspect", post(introspect));
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
}

async fn token<S: FamilyStore>(
    State(server): State<AuthorizationServer<S>>,
    request: Request,
) -> Response {
    token::token(&server.0, request).await
}

async fn revoke<S: FamilyStore>(
    State(server): State<AuthorizationServer<S>>,
    request: Request,
) -> Response {
    token::revoke(&server.0, request).await
}

async fn introspect<S: FamilyStore>(
    State(server): State<AuthorizationServer<S>>,
    request: Request,
) -> Response {
    introspect::introspect(&server.0, request).await
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
    document(&server.0.metadata)
}

/// Returns a public document, which any page may read.
fn document(value: &Value) -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
    (headers, value.to_string()).into_response()
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
