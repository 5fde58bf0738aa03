//! The parameters of requests, and error responses (RFC 6749, sections 3.2 and 5.2).

use core::time::Duration;
use std::collections::BTreeMap;
use std::prelude::rust_2024::*;

use axum::body::{Body, to_bytes};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::json;
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::issue::GrantError;

/// The maximum length of a form, in bytes.
const LONGEST: usize = 16 * 1024;

/// The `Retry-After` while the store is unavailable, in seconds.
const PAUSE: u64 = 1;

/// How long the body of a request may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// The parameters of a form. What nobody asks for is ignored, as often as it is there (RFC 6749, section 3.2).
pub(super) struct Parameters(BTreeMap<String, Parameter>);

enum Parameter {
    Once(String),
    Repeated,
}

impl Parameters {
    /// Reads the parameters, within a deadline: whoever stalls frees what is held for the request.
    pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<Self, EndpointError> {
        let mut kinds = headers.get_all(CONTENT_TYPE).iter();
        let kind = kinds.next().and_then(|kind| kind.to_str().ok());
        if kinds.next().is_some() {
            return Err(EndpointError::InvalidRequest(
                "there is more than one Content-Type header",
            ));
        }
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            let text = "the content type must be application/x-www-form-urlencoded";
            return Err(EndpointError::InvalidRequest(text));
        }
        let whole = to_bytes(body, LONGEST);
        let bytes = match Handle::try_current() {
            Ok(_) => timeout(DEADLINE, whole).await.map_err(|_| EndpointError::TooSlow)?,
            // Without a runtime there is no timer, and no connection either.
            Err(_) => whole.await,
        };
        let bytes = bytes.map_err(|_| EndpointError::TooLarge)?;
        let mut form = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(&bytes) {
            // "Parameters sent without a value MUST be treated as if they were omitted."
            if value.is_empty() {
                continue;
            }
            let value = Parameter::Once(value.into_owned());
            form.entry(name.into_owned())
                .and_modify(|it| *it = Parameter::Repeated)
                .or_insert(value);
        }
        Ok(Self(form))
    }

    /// Returns the value of a parameter. "Parameters MUST NOT be included more than once."
    pub(super) fn get(&self, name: &str) -> Result<Option<&str>, EndpointError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Parameter::Once(value)) => Ok(Some(value)),
            Some(Parameter::Repeated) => {
                Err(EndpointError::InvalidRequest("a parameter is repeated"))
            }
        }
    }

    pub(super) fn need(&self, name: &str, missing: &'static str) -> Result<&str, EndpointError> {
        self.get(name)?.ok_or(EndpointError::InvalidRequest(missing))
    }
}

/// An error response of an endpoint.
#[derive(Debug)]
pub(super) enum EndpointError {
    InvalidRequest(&'static str),
    TooLarge,
    TooSlow,
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
    ServerError,
    Unavailable,
}

impl From<GrantError> for EndpointError {
    fn from(denied: GrantError) -> Self {
        match denied {
            GrantError::InvalidGrant(_) => Self::InvalidGrant,
            GrantError::InvalidScope => Self::InvalidScope,
            // Its own limit has told when to try again.
            GrantError::TooManyRequests => Self::TooMany { seconds: PAUSE },
            GrantError::TooLong | GrantError::SubjectIsClient => Self::ServerError,
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
            Self::TooSlow => (
                StatusCode::REQUEST_TIMEOUT,
                "invalid_request",
                "the form did not arrive within 10 seconds",
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
                "this client may not use this grant type",
            ),
            Self::UnsupportedGrantType => (
                StatusCode::BAD_REQUEST,
                "unsupported_grant_type",
                "the metadata of the server names the grant types that it supports",
            ),
            Self::TooMany { .. } => {
                (StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable", "too many requests")
            }
            Self::ServerError => {
                (StatusCode::INTERNAL_SERVER_ERROR, "server_error", "the token could not be made")
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
            | Self::TooSlow
            | Self::ServerError
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
