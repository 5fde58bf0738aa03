//! The parameters of requests, and error responses (RFC 6749, sections 3.2 and 5.2).

use std::collections::BTreeMap;
use std::prelude::rust_2024::*;

use axum::body::{Body, to_bytes};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::json;

use crate::issue::GrantError;

/// The maximum length of a form, in bytes.
const LONGEST: usize = 16 * 1024;

/// The `Retry-After` while the store is unavailable, in seconds.
const PAUSE: u64 = 1;

/// The parameters of a form.
pub(super) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<Self, EndpointError> {
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            let text = "the content type must be application/x-www-form-urlencoded";
            return Err(EndpointError::InvalidRequest(text));
        }
        let bytes = to_bytes(body, LONGEST).await.map_err(|_| EndpointError::TooLarge)?;
        let mut form = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(&bytes) {
            // "Parameters sent without a value MUST be treated as if they were omitted."
            if value.is_empty() {
                continue;
            }
            // "parameters MUST NOT be included more than once"
            if form.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(EndpointError::InvalidRequest("a parameter is repeated"));
            }
        }
        Ok(Self(form))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn need(&self, name: &str, missing: &'static str) -> Result<&str, EndpointError> {
        self.get(name).ok_or(EndpointError::InvalidRequest(missing))
    }
}

/// An error response of an endpoint.
#[derive(Debug)]
pub(super) enum EndpointError {
    InvalidRequest(&'static str),
    TooLarge,
    InvalidClient {
        /// Whether the client authenticated by the header.
        challenge: bool,
    },
    InvalidGrant,
    InvalidScope,
    UnauthorizedClient,
    UnsupportedGrantType,
    TooMany {
        seconds: u64,
    },
    Unavailable,
}

impl From<GrantError> for EndpointError {
    fn from(denied: GrantError) -> Self {
        match denied {
            GrantError::InvalidGrant(_) => Self::InvalidGrant,
            GrantError::InvalidScope => Self::InvalidScope,
            GrantError::Unavailable(_) => Self::Unavailable,
        }
    }
}

/// Rule D6: "Errors at the token endpoint MUST be those of RFC 6749, section 5.2".
impl IntoResponse for EndpointError {
    fn into_response(self) -> Response {
        let (status, code, description) = match &self {
            Self::InvalidRequest(text) => (StatusCode::BAD_REQUEST, "invalid_request", *text),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "invalid_request",
                "the form is too long or incomplete",
            ),
            Self::InvalidClient { challenge: true } => {
                (StatusCode::UNAUTHORIZED, "invalid_client", "client authentication failed")
            }
            Self::InvalidClient { challenge: false } => {
                (StatusCode::BAD_REQUEST, "invalid_client", "client authentication failed")
            }
            Self::InvalidGrant => {
                (StatusCode::BAD_REQUEST, "invalid_grant", "the refresh token does not work")
            }
            Self::InvalidScope => (
                StatusCode::BAD_REQUEST,
                "invalid_scope",
                "the scope exceeds what was granted, or what a token can hold",
            ),
            Self::UnauthorizedClient => (
                StatusCode::BAD_REQUEST,
                "unauthorized_client",
                "this client may not act for itself",
            ),
            Self::UnsupportedGrantType => (
                StatusCode::BAD_REQUEST,
                "unsupported_grant_type",
                "grant_type must be refresh_token or client_credentials",
            ),
            Self::TooMany { .. } => {
                (StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable", "too many requests")
            }
            Self::Unavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "try again later")
            }
        };
        let body = json!({ "error": code, "error_description": description });
        let mut response = json_response(status, &body);
        let headers = response.headers_mut();
        match self {
            Self::InvalidClient { challenge: true } => {
                let basic = HeaderValue::from_static("Basic realm=\"token\", charset=\"UTF-8\"");
                headers.insert(WWW_AUTHENTICATE, basic);
            }
            Self::TooMany { seconds } => drop(headers.insert(RETRY_AFTER, seconds.into())),
            Self::Unavailable => drop(headers.insert(RETRY_AFTER, PAUSE.into())),
            Self::InvalidRequest(_)
            | Self::TooLarge
            | Self::InvalidClient { challenge: false }
            | Self::InvalidGrant
            | Self::InvalidScope
            | Self::UnauthorizedClient
            | Self::UnsupportedGrantType => {}
        }
        response
    }
}

/// Returns a JSON response that must not be cached. Rule D6: "No answer there may be stored on the
/// way."
pub(super) fn json_response(status: StatusCode, body: &impl Serialize) -> Response {
    let headers =
        [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")];
    let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
    let body = serde_json::to_vec(body).expect("texts and numbers under texts are JSON");
    (status, headers, body).into_response()
}

/// Returns the response for a handler that panicked.
pub(super) fn failed() -> Response {
    let body = json!({ "error": "server_error", "error_description": "the server has failed" });
    json_response(StatusCode::INTERNAL_SERVER_ERROR, &body)
}
