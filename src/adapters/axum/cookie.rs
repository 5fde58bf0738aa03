//! A refresh token that a browser keeps in a cookie, which the page's scripts cannot read.

use core::fmt;
use core::time::Duration;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use cookie::{Cookie, SameSite};
use http::header::{COOKIE, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use thiserror::Error as ThisError;

use super::authentication::KnownClient;
use super::form::EndpointError;
use super::issued::without_refresh_token;
use super::limits::Peer;
use super::origins::Callers;
use super::state::ServerState;
use super::token::{ended, refreshed};
use crate::issue::{FamilyStore, Issued};
use crate::store::StoreError;
use crate::token::Secret;

/// The prefix of a cookie that other subdomains cannot set, and that goes to every path.
const HOST: &str = "__Host-";

/// How long a browser keeps a cookie at most (draft-ietf-httpbis-rfc6265bis, section 5.5).
const LONGEST: Duration = Duration::from_secs(400 * 24 * 3600);

/// Where the endpoints of a [`RefreshCookie`] are, and how its cookie is set.
#[derive(Clone, Debug)]
pub struct CookieConfig {
    client: String,
    path: String,
    name: String,
    same_site: SameSite,
}

/// Why a [`CookieConfig`] cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum CookieError {
    /// No client with this identifier is registered.
    #[error("no client {0:?} is registered")]
    UnknownClient(String),
    /// The path is not `/`, nor made of segments such as `/auth/session`.
    #[error("{0:?} is not a path: write / or segments of letters, digits, `-`, `.`, `_` and `~`")]
    InvalidPath(String),
    /// A cookie cannot have this name (RFC 6265, section 4.1.1).
    #[error("{0:?} is not the name of a cookie")]
    InvalidName(String),
}

impl CookieConfig {
    /// Returns a configuration whose refresh tokens are issued to `client`, which needs no secret
    /// here: the server itself presents them.
    pub fn new(client: impl Into<String>) -> Self {
        let (path, name) = ("/session".into(), "__Secure-refresh".into());
        Self { client: client.into(), path, name, same_site: SameSite::Strict }
    }

    /// Sets the path below which the endpoints are, as the browser sees it. Default: `/session`.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Sets the name of the cookie. Default: `__Secure-refresh`, with the path of the endpoints as
    /// its `Path`, so that no other request carries the refresh token.
    ///
    /// A name that begins with `__Host-` sets `Path=/`, as browsers demand. Other subdomains cannot
    /// set such a cookie, but every request to this host carries the refresh token.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets `SameSite=Lax`: the cookie is also sent as the user follows a link from another site.
    /// The endpoints do not need it, as `fetch` in a page of this site always sends the cookie.
    /// Default: `SameSite=Strict`.
    #[must_use]
    pub fn same_site_lax(mut self) -> Self {
        self.same_site = SameSite::Lax;
        self
    }

    fn check(mut self) -> Result<Self, CookieError> {
        let of_segment = |it: u8| it.is_ascii_alphanumeric() || b"-._~".contains(&it);
        let is_segment = |segment: &str| {
            !segment.is_empty() && segment.bytes().all(of_segment) && !matches!(segment, "." | "..")
        };
        if self.path == "/" {
            self.path.clear();
        } else if !self.path.strip_prefix('/').is_some_and(|it| it.split('/').all(is_segment)) {
            return Err(CookieError::InvalidPath(self.path));
        }
        // RFC 9110, section 5.6.2: a token.
        let of_name = |it: u8| it.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&it);
        if self.name.is_empty() || !self.name.bytes().all(of_name) {
            return Err(CookieError::InvalidName(self.name));
        }
        Ok(self)
    }

    /// Returns the cookie with this value. Rule D9: "in a cookie that scripts cannot read and that
    /// plain http does not carry".
    fn cookie<'a>(&'a self, value: &'a str, lives: Duration) -> HeaderValue {
        let prefix = self.name.get(..HOST.len()).unwrap_or_default();
        let is_host = self.path.is_empty() || prefix.eq_ignore_ascii_case(HOST);
        let cookie = Cookie::build((self.name.as_str(), value))
            .path(if is_host { "/" } else { self.path.as_str() })
            .max_age(lives.min(LONGEST).try_into().expect("400 days at most"))
            .http_only(true)
            .secure(true)
            .same_site(self.same_site);
        let text = cookie.build().to_string();
        let mut header = HeaderValue::try_from(text).expect("name, path and value are ASCII");
        header.set_sensitive(true);
        header
    }
}

/// How many families one request revokes at most.
const MOST: usize = 4;

/// The endpoints of a front-end in a browser whose refresh token is in a cookie. Clones are handles
/// to the same endpoints.
///
/// The page has the access token alone, from the JSON of the responses. It keeps that in a variable,
/// and refreshes when it is loaded.
///
/// ```
/// use axum::extract::State;
/// use axum::response::{IntoResponse, Response};
/// use axum::routing::post;
/// use perennial::adapters::axum::{
///     AuthorizationServer, CookieConfig, RefreshCookie, RegisteredClient,
/// };
/// use perennial::issue::{Issuer, Keys, Login, MemoryFamilies};
///
/// type App = (Issuer<MemoryFamilies>, RefreshCookie<MemoryFamilies>);
///
/// async fn login(State((issuer, cookie)): State<App>) -> Response {
///     let user = "alice"; // once you have authenticated her
///     match issuer.login(Login::new("web", user)).await {
///         Ok(issued) => cookie.response(&issued),
///         Err(_) => axum::http::StatusCode::SERVICE_UNAVAILABLE.into_response(),
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let issuer = Issuer::builder(Keys::new([7; 32])?, MemoryFamilies::new()).build();
/// let server = AuthorizationServer::builder(issuer.clone(), "https://auth.example.com")
///     .client(RegisteredClient::public("web"))
///     .allow_origin("https://app.example.com")?
///     .build()?;
/// let cookie = server.refresh_cookie(CookieConfig::new("web"))?;
/// let login = axum::Router::new().route("/session/login", post(login));
/// let login = cookie.protect(login.with_state((issuer, cookie.clone())));
/// let app: axum::Router = server.router().merge(cookie.router()).merge(login);
/// # Ok(())
/// # }
/// ```
///
/// | endpoint | purpose |
/// |---|---|
/// | `POST /session/refresh` | responds with an access token, and sets the cookie anew |
/// | `POST /session/logout` | revokes the family of the refresh token, removes the cookie, and responds with 204 |
///
/// Neither reads a body. A refresh is charged as one at `/token` is. Where the refresh token does not work, or there is no cookie, a refresh
/// is answered as at `/token`: 400 with `invalid_grant`. The page then shows its login. While the
/// store cannot be read both respond with 503, and the cookie stays.
///
/// # Tabs
/// All tabs of a browser send one cookie, possibly at once. The default
/// [policy](crate::rotation::Policy) repeats the successor for 30 s; under
/// [`Reuse::Strict`](crate::rotation::Reuse::Strict) two tabs that refresh at once end the login,
/// unless they take turns (`navigator.locks`).
///
/// # Other sites and subdomains
/// `SameSite` keeps other sites from sending the cookie, but not the other subdomains of this one.
/// So only pages of the server's own origin and of [allowed
/// origins](super::AuthorizationServerBuilder::allow_origin) reach the endpoints: a page of an
/// allowed origin calls `fetch` with `credentials: "include"`, and must be of the same site, or its
/// browser does not send the cookie.
///
/// A subdomain can set a cookie of the same name, which the browser sends as well. A request with
/// two is refused, and no refresh token is presented. A name with [`__Host-`](CookieConfig::name)
/// rules this out.
///
/// # Development
/// The cookie is `Secure`. Chromium and Firefox accept it over plain http from `localhost`; other
/// browsers may refuse it. The page must come from the server's URL to the letter: with
/// `http://127.0.0.1:8080` there, a page from `http://localhost:8080` is of another origin.
pub struct RefreshCookie<S: FamilyStore> {
    server: Arc<ServerState<S>>,
    config: Arc<CookieConfig>,
}

impl<S: FamilyStore> RefreshCookie<S> {
    pub(super) fn new(
        server: Arc<ServerState<S>>,
        config: CookieConfig,
    ) -> Result<Self, CookieError> {
        let config = Arc::new(config.check()?);
        if server.clients.get(&config.client).is_none() {
            return Err(CookieError::UnknownClient(config.client.clone()));
        }
        Ok(Self { server, config })
    }

    /// Returns a router with the endpoints, below the configured path: merge it, do not nest it.
    pub fn router(&self) -> Router {
        let path = &self.config.path;
        let router = Router::new()
            .route(&format!("{path}/refresh"), post(refresh))
            .route(&format!("{path}/logout"), post(logout));
        self.protect(router.with_state(self.clone()))
    }

    /// Returns `router`, whose routes only allowed pages reach, as those of
    /// [`router`](Self::router): for the login, which pages of others could otherwise call with an
    /// account of theirs. What is added to the router later is not protected.
    pub fn protect(&self, router: Router) -> Router {
        self.server.origins.protect(router, Callers::Pages)
    }

    /// Returns the response to a login: the access token as JSON, and the refresh token in the
    /// cookie. `issued` is for the configured client.
    pub fn response(&self, issued: &Issued) -> Response {
        let mut response = without_refresh_token(issued);
        if let Some(cookie) = self.set_cookie(issued) {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        response
    }

    /// Returns the `Set-Cookie` header with the refresh token of `issued`, for a response of your
    /// own, such as a redirect; `None` if there is no other refresh token than before. The cookie
    /// lives as long as the refresh token does if it is not used, at most 400 days.
    pub fn set_cookie(&self, issued: &Issued) -> Option<HeaderValue> {
        let token = issued.refresh_token.as_ref()?;
        let lives = issued.refresh_expires_in.unwrap_or(LONGEST);
        Some(self.config.cookie(token.expose(), lives))
    }

    /// Revokes the family of the refresh token in the cookie of a request, if there is one: for a
    /// login that takes the place of another one in the same browser. Of several cookies of the name at most
    /// four families are revoked.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn revoke(&self, headers: &HeaderMap) -> Result<(), StoreError> {
        for token in self.distinct(headers) {
            self.server.issuer.revoke(&self.config.client, &token).await?;
        }
        Ok(())
    }

    /// Returns tokens of different families that the issuer has made, out of the cookies of a request.
    fn distinct(&self, headers: &HeaderMap) -> Vec<Secret> {
        let (mut families, mut tokens) = (Vec::new(), Vec::new());
        for token in self.presented(headers) {
            let family = self.server.issuer.family_of(&token);
            if families.len() < MOST && family.is_some() && !families.contains(&family) {
                families.push(family);
                tokens.push(token);
            }
        }
        tokens
    }

    async fn renewed(&self, request: &Parts) -> Response {
        let presented = self.presented(&request.headers);
        let token = match &presented[..] {
            // Not removed: a browser may withhold a cookie that works.
            [] => return EndpointError::InvalidGrant.into_response(),
            [token] => token,
            // Rule D9: "Two such cookies in one request MUST be refused, and neither be presented".
            [_, _, ..] => {
                let text = "there are two cookies of the same name";
                return EndpointError::InvalidRequest(text).into_response();
            }
        };
        match self.granted(request, token).await {
            Ok(issued) => self.response(&issued),
            Err(error) => {
                // Rule D9: "one that does not work MUST be removed".
                let is_over = matches!(error, EndpointError::InvalidGrant);
                let response = error.into_response();
                if is_over { self.without_cookie(response) } else { response }
            }
        }
    }

    /// Returns the configured client, and the peer that a request is charged to.
    fn caller(&self, request: &Parts) -> Result<(&KnownClient, Peer), EndpointError> {
        let unknown = EndpointError::InvalidClient { challenge: false };
        let client = self.server.clients.get(&self.config.client).ok_or(unknown)?;
        Ok((client, self.server.peers.of(&request.headers, &request.extensions)))
    }

    async fn granted(&self, request: &Parts, token: &Secret) -> Result<Issued, EndpointError> {
        let (client, peer) = self.caller(request)?;
        refreshed(&self.server, client, peer, token.clone(), None).await
    }

    async fn ended(&self, request: &Parts) -> Result<(), EndpointError> {
        let (client, peer) = self.caller(request)?;
        for token in self.distinct(&request.headers) {
            ended(&self.server, client, peer, token).await?;
        }
        Ok(())
    }

    fn without_cookie(&self, mut response: Response) -> Response {
        let removed = self.config.cookie("", Duration::ZERO);
        response.headers_mut().append(SET_COOKIE, removed);
        response
    }

    /// Returns the values of all cookies of the name. HTTP/2 allows several headers (RFC 9113,
    /// section 8.2.3).
    fn presented(&self, headers: &HeaderMap) -> Vec<Secret> {
        let headers = headers.get_all(COOKIE).iter();
        let headers = headers.map(|it| String::from_utf8_lossy(it.as_bytes()));
        let cookies = headers.flat_map(Cookie::split_parse).filter_map(Result::ok);
        let named = cookies.filter(|cookie| cookie.name() == self.config.name);
        named.map(|cookie| Secret::from(cookie.value())).collect()
    }
}

async fn refresh<S: FamilyStore>(
    State(cookie): State<RefreshCookie<S>>,
    request: Parts,
) -> Response {
    cookie.renewed(&request).await
}

async fn logout<S: FamilyStore>(
    State(cookie): State<RefreshCookie<S>>,
    request: Parts,
) -> Response {
    match cookie.ended(&request).await {
        Ok(()) => cookie.without_cookie(StatusCode::NO_CONTENT.into_response()),
        Err(error) => error.into_response(),
    }
}

impl<S: FamilyStore> Clone for RefreshCookie<S> {
    fn clone(&self) -> Self {
        Self { server: Arc::clone(&self.server), config: Arc::clone(&self.config) }
    }
}

impl<S: FamilyStore> fmt::Debug for RefreshCookie<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RefreshCookie")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
