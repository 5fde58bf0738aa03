//! The resource server: `/api` and everything below, open to whoever holds a valid access token
//! (RFC 6750).

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::Shared;
use super::token::digest;

/// How much of a body is read and thrown away before a 401.
///
/// Answering while the client still sends would break the connection, and the client might see that
/// instead of the 401. Beyond this size it has to.
const DRAINED_AT_MOST: usize = 16 * 1024 * 1024;

/// Answers with the digest of the body, so that a client can tell that all of it arrived, once.
pub(super) async fn handle(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let token = bearer_token(&headers).map(digest);
    if !shared.with_store(|store, now| store.authorize(token.as_ref(), now)) {
        drain(body).await;
        return unauthorized(token.is_some());
    }
    echo(method, uri, body).await
}

/// Answers with method, path, length and digest of what was sent.
pub(crate) async fn echo(method: Method, uri: Uri, body: Body) -> Response {
    let mut hash = Sha256::new();
    let mut length = 0_usize;
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        // The client went away, or sent a broken body: nobody is there to read an explanation.
        let Ok(chunk) = chunk else {
            return StatusCode::BAD_REQUEST.into_response();
        };
        length += chunk.len();
        hash.update(&chunk);
    }
    let sha256 = format!("{:x}", hash.finalize());
    Json(json!({ "method": method.as_str(), "path": uri.path(), "length": length, "sha256": sha256 })).into_response()
}

/// The token of `Authorization: Bearer`. No such header, or several, count as no token.
fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

async fn drain(body: Body) {
    let mut read = 0;
    let mut chunks = body.into_data_stream();
    while let Some(Ok(chunk)) = chunks.next().await {
        read += chunk.len();
        if read > DRAINED_AT_MOST {
            return;
        }
    }
}

/// A 401. The error code is left out if the request did not try to authenticate (RFC 6750, section
/// 3.1).
fn unauthorized(presented: bool) -> Response {
    let (challenge, error) = if presented {
        (
            "Bearer error=\"invalid_token\", error_description=\"the access token is unknown, expired or revoked\"",
            "invalid_token",
        )
    } else {
        ("Bearer", "unauthorized")
    };
    let headers = [(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))];
    (StatusCode::UNAUTHORIZED, headers, Json(json!({ "error": error }))).into_response()
}
