//! The introspection endpoint (RFC 7662).

use std::prelude::rust_2024::*;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::form::{EndpointError, json_response};
use super::state::ServerState;
use super::token::{Sent, sent};
use crate::issue::{FamilyStore, Introspected, TokenUse};
use crate::time::{Span, Timestamp};
use crate::token::Secret;

/// Handles an introspection request (RFC 7662, section 2.1).
///
/// `token_type_hint` is ignored: the kind of token is recognised by its form.
pub(super) async fn introspect<S: FamilyStore>(
    server: &ServerState<S>,
    request: Request,
) -> Response {
    let found = async {
        let Sent { form, client, .. } = sent(server, request).await?;
        // Rule D8: it "MUST be answered only to clients that may ask".
        if !client.may_introspect() {
            return Ok(Err(forbidden()));
        }
        let token = Secret::from(form.need("token", "token is missing")?);
        let found = server.issuer.introspect(&token).await;
        found.map(Ok).map_err(|_| EndpointError::Unavailable)
    };
    match found.await {
        Ok(Ok(Some(active))) => {
            json_response(StatusCode::OK, &IntrospectionResponse::new(&active, &server.url))
        }
        // Rule D8: it "MUST say no more of a token that does not work than that it is not active".
        Ok(Ok(None)) => json_response(StatusCode::OK, &json!({ "active": false })),
        Ok(Err(response)) => response,
        Err(error) => error.into_response(),
    }
}

/// Adds the endpoint to the metadata (RFC 8414, section 2).
pub(super) fn add_metadata(metadata: &mut Value, url: &str) {
    metadata["introspection_endpoint"] = format!("{url}/introspect").into();
    metadata["introspection_endpoint_auth_methods_supported"] =
        json!(["client_secret_basic", "client_secret_post"]);
}

fn forbidden() -> Response {
    let text = "this client may not introspect tokens";
    let body = json!({ "error": "unauthorized_client", "error_description": text });
    json_response(StatusCode::FORBIDDEN, &body)
}

/// A token that works (RFC 7662, section 2.2).
#[derive(Serialize)]
struct IntrospectionResponse<'a> {
    active: bool,
    /// `access_token` or `refresh_token`, as some other servers have it. The RFC has no member for
    /// it, and a resource server must tell the two apart.
    token_use: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    client_id: &'a str,
    sub: &'a str,
    iss: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
    /// The family.
    sid: String,
    /// The program's own claims.
    #[serde(flatten)]
    own: &'a Map<String, Value>,
}

impl<'a> IntrospectionResponse<'a> {
    fn new(active: &'a Introspected, issuer: &'a str) -> Self {
        let (token_use, token_type) = match active.token_use {
            TokenUse::AccessToken => ("access_token", Some("Bearer")),
            TokenUse::RefreshToken => ("refresh_token", None),
        };
        let seconds = |at: Timestamp| at.as_millis().div_euclid(1000);
        Self {
            active: true,
            token_use,
            token_type,
            scope: active.identity.scope.as_deref(),
            client_id: &active.identity.client,
            sub: &active.identity.subject,
            iss: issuer,
            aud: active.audience.as_deref(),
            iat: active.issued_at.map(seconds),
            // Rounded up, as in a JWT and in `expires_in`.
            exp: active.expires_at.map(|at| seconds(at.saturating_add(Span::from_millis(999)))),
            jti: active.id.map(|id| format!("{id:032x}")),
            sid: active.family.to_string(),
            own: active.identity.claims.members(),
        }
    }
}
