//! The handlers of the endpoints.

use std::prelude::rust_2024::*;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Map, Value};

use super::authentication::{KnownClient, Rejection};
use super::form::{EndpointError, Parameters, json_response};
use super::grant::GrantRequest;
use super::limits::{Peer, connection};
use super::state::ServerState;
use crate::issue::{Denied, FamilyStore, GrantError, Issued, Login};
use crate::token::Secret;

/// Handles a token request (RFC 6749, sections 4.4.2 and 6).
///
/// The form is read and the client authenticated within the connection's own task, so that whatever drops that
/// frees all of it; what is granted runs to its end.
pub(super) async fn token<S: FamilyStore>(server: &ServerState<S>, request: Request) -> Response {
    granted(server, request).await.into_response()
}

async fn granted<S: FamilyStore>(
    server: &ServerState<S>,
    request: Request,
) -> Result<Issued, EndpointError> {
    let Sent { form, peer, client } = sent(server, request).await?;
    let id = client.id();
    let grant_type = form.need("grant_type", "grant_type is missing")?;
    if !client.may_use(grant_type) {
        return Err(EndpointError::UnauthorizedClient);
    }
    let issuer = server.issuer.clone();
    let name = String::from(id);
    let scope = || form.get("scope").map(|scope| scope.map(String::from));
    match grant_type {
        "refresh_token" => {
            let scope = scope()?;
            let token = Secret::from(form.need("refresh_token", "refresh_token is missing")?);
            refreshed(server, client, peer, token, scope).await
        }
        "client_credentials" => {
            let scope = client.credentials(scope()?.as_deref())?;
            throttled(server, id, peer, client.check())?;
            let work = async move { issuer.client_credentials(&name, scope.as_deref()).await };
            Ok(server.to_the_end(work).await??)
        }
        other => {
            let grant = server.grants.get(other).ok_or(EndpointError::UnsupportedGrantType)?;
            // A public client's guesses are held off before one more is looked at.
            let limit = if client.is_public() { server.limits.guess(peer) } else { client.check() };
            throttled(server, id, peer, limit)?;
            let work = grant(GrantRequest { client: name.clone(), form });
            let response = server.to_the_end(work).await?.map_err(EndpointError::from);
            if matches!(response, Err(EndpointError::InvalidGrant)) {
                throttled(server, &name, peer, server.limits.garbage(peer))?;
            }
            response
        }
    }
}

/// Issues tokens for a refresh token, within the limits.
pub(super) async fn refreshed<S: FamilyStore>(
    server: &ServerState<S>,
    client: &KnownClient,
    peer: Peer,
    token: Secret,
    scope: Option<String>,
) -> Result<Issued, EndpointError> {
    let (issuer, id) = (server.issuer.clone(), String::from(client.id()));
    let Some(family) = issuer.family_of(&token) else {
        throttled(server, &id, peer, server.limits.garbage(peer))?;
        // Reports it, and reads no store.
        return Ok(issuer.refresh(&id, &token, None).await?);
    };
    let limit = client.check_family(family);
    let within = limit.is_ok();
    let work = async move { issuer.refresh_within(&id, &token, scope.as_deref(), within).await };
    match (server.to_the_end(work).await?, limit) {
        (Err(GrantError::TooManyRequests), Err(limit)) => Err(limit),
        (response, _) => Ok(response?),
    }
}

/// What a client has sent.
pub(super) struct Sent<'a> {
    pub(super) form: Parameters,
    peer: Peer,
    pub(super) client: &'a KnownClient,
}

/// Reads the form of a request, and authenticates its client.
pub(super) async fn sent<S: FamilyStore>(
    server: &ServerState<S>,
    request: Request,
) -> Result<Sent<'_>, EndpointError> {
    let (head, body) = request.into_parts();
    let peer = server.peers.of(&head.headers, &head.extensions);
    let form = Parameters::read(&head.headers, body).await?;
    let found = server.clients.authenticate(&head.headers, &form, &server.limits, peer);
    let client = found.map_err(|Rejection { client, error }| {
        report(server, &client, peer, &error);
        error
    })?;
    Ok(Sent { form, peer, client })
}

/// Reports a request that is beyond a limit.
fn throttled<S: FamilyStore>(
    server: &ServerState<S>,
    client: &str,
    peer: Peer,
    limit: Result<(), EndpointError>,
) -> Result<(), EndpointError> {
    limit.inspect_err(|error| report(server, client, peer, error))
}

/// Reports what no family is concerned with: a client that failed, or a limit.
fn report<S: FamilyStore>(
    server: &ServerState<S>,
    client: &str,
    peer: Peer,
    error: &EndpointError,
) {
    let denied = match error {
        EndpointError::InvalidClient { .. } => Denied::Client,
        EndpointError::TooMany { .. } => Denied::Throttled,
        EndpointError::InvalidRequest(_)
        | EndpointError::TooLarge
        | EndpointError::TooSlow
        | EndpointError::InvalidGrant
        | EndpointError::InvalidScope
        | EndpointError::UnauthorizedClient
        | EndpointError::UnsupportedGrantType
        | EndpointError::ServerError
        | EndpointError::Unavailable => return,
    };
    server.issuer.report_denied(client, peer.0, denied);
}

/// Handles a revocation request (RFC 7009, section 2.1). The kind of token is recognised by its
/// form.
pub(super) async fn revoke<S: FamilyStore>(server: &ServerState<S>, request: Request) -> Response {
    let revoked = async {
        let Sent { form, client, peer } = sent(server, request).await?;
        let token = Secret::from(form.need("token", "token is missing")?);
        ended(server, client, peer, token).await
    };
    match revoked.await {
        // Rule D6: "200 for tokens that work and for those that do not".
        Ok(()) => json_response(StatusCode::OK, &Value::Object(Map::new())),
        Err(error) => error.into_response(),
    }
}

/// Revokes the family of a token, within the limits.
pub(super) async fn ended<S: FamilyStore>(
    server: &ServerState<S>,
    client: &KnownClient,
    peer: Peer,
    token: Secret,
) -> Result<(), EndpointError> {
    let (issuer, id) = (server.issuer.clone(), String::from(client.id()));
    let limit = match issuer.family_of_any(&token) {
        Some(family) => client.check_family(family),
        None => server.limits.garbage(peer),
    };
    throttled(server, &id, peer, limit)?;
    let work = async move { issuer.revoke(&id, &token).await };
    server.to_the_end(work).await?.map_err(|_| EndpointError::Unavailable)
}

/// Logs in as `subject`, without authentication.
pub(super) async fn dev_login<S: FamilyStore>(
    server: &ServerState<S>,
    request: Request,
) -> Response {
    let issued = async {
        let from_here = connection(request.extensions()).is_none_or(|it| it.is_loopback());
        if !from_here && cfg!(not(feature = "testing")) {
            return Err(EndpointError::UnauthorizedClient);
        }
        let Sent { form, client, .. } = sent(server, request).await?;
        let login = Login::new(client.id(), form.need("subject", "subject is missing")?);
        let login = login.scope(form.get("scope")?.unwrap_or_default());
        let login = match form.get("device")? {
            Some(device) => login.device(device),
            None => login,
        };
        match server.issuer.login(login).await {
            Err(GrantError::SubjectIsClient) => {
                Err(EndpointError::InvalidRequest("the subject is the id of a client"))
            }
            issued => Ok(issued?),
        }
    };
    let issued: Result<Issued, EndpointError> = issued.await;
    issued.into_response()
}
