//! The handlers of the endpoints.

use std::prelude::rust_2024::*;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Map, Value};

use super::form::{EndpointError, Parameters, json_response};
use super::state::ServerState;
use crate::issue::{FamilyStore, Issued, Login};
use crate::token::Secret;

/// Handles a token request (RFC 6749, sections 4.4.2 and 6).
pub(super) async fn token<S: FamilyStore>(server: &ServerState<S>, request: Request) -> Response {
    granted(server, request).await.into_response()
}

async fn granted<S: FamilyStore>(
    server: &ServerState<S>,
    request: Request,
) -> Result<Issued, EndpointError> {
    let (head, body) = request.into_parts();
    let form = Parameters::read(&head.headers, body).await?;
    let client = server.clients.authenticate(&head.headers, &form)?;
    let scope = form.get("scope");
    match form.need("grant_type", "grant_type is missing")? {
        "refresh_token" => {
            let token = Secret::from(form.need("refresh_token", "refresh_token is missing")?);
            Ok(server.issuer.refresh(client.id(), &token, scope).await?)
        }
        "client_credentials" => {
            let scope = client.credentials(scope)?;
            Ok(server.issuer.client_credentials(client.id(), scope.as_deref()).await?)
        }
        _ => Err(EndpointError::UnsupportedGrantType),
    }
}

/// Handles a revocation request (RFC 7009, section 2.1). The kind of token is recognised by its
/// form.
pub(super) async fn revoke<S: FamilyStore>(server: &ServerState<S>, request: Request) -> Response {
    let revoked = async {
        let (head, body) = request.into_parts();
        let form = Parameters::read(&head.headers, body).await?;
        let client = server.clients.authenticate(&head.headers, &form)?;
        let token = Secret::from(form.need("token", "token is missing")?);
        server.issuer.revoke(client.id(), &token).await.map_err(|_| EndpointError::Unavailable)
    };
    match revoked.await {
        // Rule D6: "200 for tokens that work and for those that do not".
        Ok(()) => json_response(StatusCode::OK, &Value::Object(Map::new())),
        Err(error) => error.into_response(),
    }
}

/// Logs in as `subject`, without authentication.
pub(super) async fn dev_login<S: FamilyStore>(
    server: &ServerState<S>,
    request: Request,
) -> Response {
    let issued = async {
        let (head, body) = request.into_parts();
        let form = Parameters::read(&head.headers, body).await?;
        let client = server.clients.authenticate(&head.headers, &form)?;
        let login = Login::new(client.id(), form.need("subject", "subject is missing")?);
        let login = match form.get("scope") {
            Some(scope) => login.scope(scope),
            None => login,
        };
        Ok(server.issuer.login(login).await?)
    };
    let issued: Result<Issued, EndpointError> = issued.await;
    issued.into_response()
}
