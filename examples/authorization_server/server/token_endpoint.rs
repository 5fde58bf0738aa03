//! The token endpoint: `POST /token` with the `refresh_token` grant (RFC 6749, section 6).

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Form, Json};
use futures::stream;
use serde_json::{Value, json};

use super::Shared;
use super::faults::Fault;
use super::token::{Minted, digest};
use super::token_error::{NO_STORE, TokenError};

type Pairs = Vec<(String, String)>;
type Parameters = HashMap<String, String>;

/// Handles one token request, or injects the fault decided for it.
pub(super) async fn handle(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    form: Result<Form<Pairs>, FormRejection>,
) -> Response {
    let parameters = read_parameters(form);
    let presented = parameters.as_ref().ok().and_then(|named| named.get("refresh_token"));
    let presented = presented.map(|token| digest(token));
    let presentation = shared.with_store(|store, _| store.receive(presented.as_ref()));
    let fault = shared.faults.decide(&presentation);
    if let Fault::Unavailable { retry_after } = fault {
        shared.with_store(|store, _| store.counters_mut(presentation.family).unavailable += 1);
        return unavailable(retry_after);
    }
    // From here to the counting of a lost answer nothing waits, so that a client that leaves cannot
    // cut it in half.
    let answer = parameters.and_then(|named| grant(&shared, &headers, &named));
    shared.with_store(|store, _| {
        let counters = store.counters_mut(presentation.family);
        match answer {
            Ok(_) | Err(TokenError::InvalidGrant) => {}
            Err(_) => counters.refused += 1,
        }
        if fault != Fault::None {
            counters.answers_lost += 1;
        }
    });
    match fault {
        Fault::None | Fault::Unavailable { .. } => answer.map(success).into_response(),
        Fault::LoseResponse => broken_off(),
        Fault::Hang(duration) => {
            shared.sleep_or_shutdown(duration).await;
            broken_off()
        }
    }
}

/// The parameters by name. One without a value counts as omitted (RFC 6749, section 3.2); none may
/// be repeated.
fn read_parameters(form: Result<Form<Pairs>, FormRejection>) -> Result<Parameters, TokenError> {
    let Form(pairs) =
        form.map_err(|_| TokenError::InvalidRequest("the body is not a readable form"))?;
    let mut named = Parameters::new();
    for (name, value) in pairs {
        if !value.is_empty() && named.insert(name, value).is_some() {
            return Err(TokenError::InvalidRequest("a parameter is repeated"));
        }
    }
    Ok(named)
}

/// Checks the request and refreshes.
fn grant(shared: &Shared, headers: &HeaderMap, named: &Parameters) -> Result<Value, TokenError> {
    let parameter = |name: &str| named.get(name).map(String::as_str);
    let grant_type =
        parameter("grant_type").ok_or(TokenError::InvalidRequest("grant_type is missing"))?;
    if grant_type != "refresh_token" {
        return Err(TokenError::UnsupportedGrantType);
    }
    let presented =
        parameter("refresh_token").ok_or(TokenError::InvalidRequest("refresh_token is missing"))?;
    let (id, secret) = (parameter("client_id"), parameter("client_secret"));
    shared.client.authenticate(headers, id, secret)?;
    let presented = digest(presented);
    let minted = shared.mint_for(&presented);
    let verdict = shared.with_store(|store, now| store.refresh(&presented, &minted, now));
    if verdict.grants() {
        Ok(token_response(&minted, shared.access_ttl))
    } else {
        Err(TokenError::InvalidGrant)
    }
}

/// The body of a successful answer (RFC 6749, section 5.1).
pub(super) fn token_response(minted: &Minted, access_ttl: Duration) -> Value {
    // Whole seconds, as the standard has it, unless a demo chose a lifetime that is none.
    let expires_in = if access_ttl.subsec_nanos() == 0 {
        json!(access_ttl.as_secs())
    } else {
        json!(access_ttl.as_secs_f64())
    };
    json!({
        "access_token": minted.access.text,
        "token_type": "Bearer",
        "expires_in": expires_in,
        "refresh_token": minted.refresh.text,
    })
}

/// A successful answer.
pub(super) fn success(body: Value) -> Response {
    (NO_STORE, Json(body)).into_response()
}

fn unavailable(retry_after: Option<u64>) -> Response {
    let body = Json(json!({ "error": "temporarily_unavailable" }));
    let mut response = (StatusCode::SERVICE_UNAVAILABLE, NO_STORE, body).into_response();
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// A response whose body fails at once, which makes hyper close the connection.
fn broken_off() -> Response {
    let failure = io::Error::other("the answer is lost on purpose");
    Body::from_stream(stream::iter([Err::<Bytes, _>(failure)])).into_response()
}
