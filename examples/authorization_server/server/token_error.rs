//! Error answers of the token endpoint (RFC 6749, section 5.2).

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Headers that keep every answer of the token endpoint out of caches.
pub(super) const NO_STORE: [(header::HeaderName, HeaderValue); 2] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::PRAGMA, HeaderValue::from_static("no-cache")),
];

/// Why a token request is turned down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenError {
    /// A parameter is missing, repeated or unreadable, or the client authenticated in two ways at
    /// once.
    InvalidRequest(&'static str),
    /// The client is unknown or did not prove its identity.
    InvalidClient {
        /// Whether it tried to by an `Authorization` header, which is then to be answered with a
        /// challenge.
        by_header: bool,
    },
    /// Any other grant type than `refresh_token`.
    UnsupportedGrantType,
    /// The refresh token does not work. The answer does not tell why.
    InvalidGrant,
}

impl TokenError {
    fn describe(self) -> (StatusCode, &'static str, &'static str) {
        let bad_request = StatusCode::BAD_REQUEST;
        match self {
            Self::InvalidRequest(description) => (bad_request, "invalid_request", description),
            Self::InvalidClient { .. } => {
                (StatusCode::UNAUTHORIZED, "invalid_client", "client authentication failed")
            }
            Self::UnsupportedGrantType => {
                (bad_request, "unsupported_grant_type", "only refresh_token is supported")
            }
            Self::InvalidGrant => {
                (bad_request, "invalid_grant", "the refresh token is unknown, expired or revoked")
            }
        }
    }
}

impl IntoResponse for TokenError {
    fn into_response(self) -> Response {
        let (status, error, description) = self.describe();
        let body = Json(json!({ "error": error, "error_description": description }));
        let mut response = (status, NO_STORE, body).into_response();
        if self == (Self::InvalidClient { by_header: true }) {
            let challenge = HeaderValue::from_static("Basic realm=\"token\", charset=\"UTF-8\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
