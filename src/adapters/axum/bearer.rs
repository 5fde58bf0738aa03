//! A layer that requires a valid access token (RFC 6750).

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use tower_layer::Layer;
use tower_service::Service;

use crate::issue::normalized;
use crate::issue::{AuthenticationError, Identity, TokenVerifier};
use crate::token::Secret;

/// A layer that requires an access token, and adds the [`Identity`] behind it to the extensions of
/// the request.
///
/// The token is verified by an [`Issuer`](crate::issue::Issuer) of this process, or, on other
/// machines, by `resource_server::JwtVerifier` or `resource_server::Introspection`.
pub struct RequireBearer<V> {
    verifier: Arc<V>,
    realm: Arc<str>,
    scope: Option<Arc<str>>,
}

impl<V: TokenVerifier> RequireBearer<V> {
    /// Returns a layer that accepts any token that `verifier` accepts, such as an
    /// [`Issuer`](crate::issue::Issuer).
    pub fn new(verifier: V) -> Self {
        Self { verifier: Arc::new(verifier), realm: "api".into(), scope: None }
    }

    /// Sets the name of the protected realm, from which `"` and `\` are removed. Default: `api`.
    #[must_use]
    pub fn realm(mut self, realm: &str) -> Self {
        self.realm = plain(realm).into();
        self
    }

    /// Sets the scopes, separated by spaces, that a token must have, all of them. Default: none.
    #[must_use]
    pub fn scope(mut self, scope: &str) -> Self {
        self.scope = normalized(&plain(scope)).map(Into::into);
        self
    }

    async fn identity(&self, headers: &HeaderMap) -> Result<Identity, BearerError> {
        let token = shown(headers)?;
        let identity =
            self.verifier.authenticate(&token).await.map_err(|rejected| match rejected {
                AuthenticationError::Unverified
                | AuthenticationError::Expired
                | AuthenticationError::NotYetValid
                | AuthenticationError::Inactive
                | AuthenticationError::Revoked(_) => BearerError::InvalidToken(rejected),
                AuthenticationError::Unavailable(_) => BearerError::Unavailable(PAUSE),
                // Rule D8: the answer "MUST be 503, and MUST say when to try again".
                AuthenticationError::Unchecked(why) => {
                    BearerError::Unavailable(why.retry_in().map_or(PAUSE, whole_seconds))
                }
            })?;
        let has =
            |one| identity.scope.as_deref().is_some_and(|it| it.split(' ').any(|it| it == one));
        if self.scope.as_ref().is_some_and(|needed| !needed.split(' ').all(has)) {
            return Err(BearerError::InsufficientScope);
        }
        Ok(identity)
    }

    fn refuse(&self, refusal: &BearerError) -> Response {
        let realm = &self.realm;
        let (status, challenge) = match refusal {
            // RFC 6750, section 3.1: "SHOULD NOT include an error code".
            BearerError::NoToken => (StatusCode::UNAUTHORIZED, String::new()),
            BearerError::InvalidRequest(text) => (
                StatusCode::BAD_REQUEST,
                format!(", error=\"invalid_request\", error_description=\"{text}\""),
            ),
            BearerError::InvalidToken(rejected) => (
                StatusCode::UNAUTHORIZED,
                format!(", error=\"invalid_token\", error_description=\"{rejected}\""),
            ),
            BearerError::InsufficientScope => {
                let scope = self.scope.as_deref().unwrap_or_default();
                let challenge = format!(", error=\"insufficient_scope\", scope=\"{scope}\"");
                (StatusCode::FORBIDDEN, challenge)
            }
            BearerError::Unavailable(seconds) => {
                let mut response = StatusCode::SERVICE_UNAVAILABLE.into_response();
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(*seconds));
                return response;
            }
        };
        let mut response = status.into_response();
        let challenge = format!("Bearer realm=\"{realm}\"{challenge}");
        let challenge = HeaderValue::try_from(challenge).expect("a challenge is printable ASCII");
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        response
    }
}

/// The `Retry-After` where it is not known when it is worth trying again, in seconds.
const PAUSE: u64 = 1;

/// Returns a delay in seconds, rounded up, at least one.
fn whole_seconds(delay: Duration) -> u64 {
    let more = u64::from(delay.subsec_nanos() > 0);
    delay.as_secs().saturating_add(more).max(1)
}

/// Removes what a quoted string of a header may not hold unescaped.
fn plain(text: &str) -> String {
    let may = |it: &char| matches!(it, ' '..='~') && !matches!(it, '"' | '\\');
    text.chars().filter(may).collect()
}

enum BearerError {
    NoToken,
    InvalidRequest(&'static str),
    InvalidToken(AuthenticationError),
    InsufficientScope,
    /// For so many seconds.
    Unavailable(u64),
}

/// Returns the token in the `Authorization` header (RFC 6750, section 2.1). Forms and URLs are not
/// searched.
fn shown(headers: &HeaderMap) -> Result<Secret, BearerError> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let Some(header) = all.next() else { return Err(BearerError::NoToken) };
    if all.next().is_some() {
        return Err(BearerError::InvalidRequest("there is more than one Authorization header"));
    }
    let text = header.to_str().unwrap_or_default();
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(BearerError::NoToken);
    }
    let token = token.trim();
    if token.is_empty() || token.contains(' ') {
        return Err(BearerError::InvalidRequest("the token is malformed"));
    }
    Ok(Secret::from(token))
}

impl<V> Clone for RequireBearer<V> {
    fn clone(&self) -> Self {
        let (realm, scope) = (Arc::clone(&self.realm), self.scope.clone());
        Self { verifier: Arc::clone(&self.verifier), realm, scope }
    }
}

impl<V> fmt::Debug for RequireBearer<V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RequireBearer")
            .field("realm", &self.realm)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

impl<V, I> Layer<I> for RequireBearer<V> {
    type Service = RequireBearerService<V, I>;

    fn layer(&self, inner: I) -> Self::Service {
        RequireBearerService { require: self.clone(), inner }
    }
}

/// The service of the [`RequireBearer`] layer.
pub struct RequireBearerService<V, I> {
    require: RequireBearer<V>,
    inner: I,
}

impl<V, I: Clone> Clone for RequireBearerService<V, I> {
    fn clone(&self) -> Self {
        Self { require: self.require.clone(), inner: self.inner.clone() }
    }
}

impl<V, I> fmt::Debug for RequireBearerService<V, I> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RequireBearerService")
            .field("require", &self.require)
            .finish_non_exhaustive()
    }
}

impl<V, I> Service<Request> for RequireBearerService<V, I>
where
    V: TokenVerifier,
    I: Service<Request, Response = Response> + Clone + Send + 'static,
    I::Future: Send,
{
    type Response = Response;
    type Error = I::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, I::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), I::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        // The service that was polled ready handles this request; a clone replaces it.
        let clone = self.inner.clone();
        let mut inner = core::mem::replace(&mut self.inner, clone);
        let require = self.require.clone();
        Box::pin(async move {
            match require.identity(request.headers()).await {
                Ok(identity) => {
                    request.extensions_mut().insert(identity);
                    inner.call(request).await
                }
                Err(refusal) => Ok(require.refuse(&refusal)),
            }
        })
    }
}
