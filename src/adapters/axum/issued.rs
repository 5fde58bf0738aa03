//! Token responses (RFC 6749, section 5.1).

use std::prelude::rust_2024::*;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;

use super::form::json_response;
use crate::issue::Issued;
use crate::token::Secret;

/// Borrowed, since each copy of a token would have to be zeroised.
#[derive(Serialize)]
struct TokenResponse<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token_expires_in: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
}

/// The token response of RFC 6749, section 5.1, which must not be cached. Has the member
/// `refresh_token_expires_in`, in seconds, where the refresh token expires: no RFC defines one, and
/// most servers that have one call it so.
impl IntoResponse for Issued {
    fn into_response(self) -> Response {
        json_response(StatusCode::OK, &self.body(self.refresh_token.as_ref()))
    }
}

/// Returns the same response without the refresh token.
pub(super) fn without_refresh_token(issued: &Issued) -> Response {
    json_response(StatusCode::OK, &issued.body(None))
}

impl Issued {
    fn body<'a>(&'a self, refresh_token: Option<&'a Secret>) -> TokenResponse<'a> {
        TokenResponse {
            access_token: self.access_token.expose(),
            token_type: "Bearer",
            expires_in: self.expires_in.as_secs(),
            refresh_token: refresh_token.map(Secret::expose),
            refresh_token_expires_in: self.refresh_expires_in.map(|it| it.as_secs()),
            scope: self.scope.as_deref(),
        }
    }
}
