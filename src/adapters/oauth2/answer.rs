//! Reading a token endpoint's answer (RFC 6749, sections 5.1 and 5.2), and telling failures apart.

use core::time::Duration;
use std::prelude::rust_2024::*;

use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use secrecy::zeroize::Zeroizing;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::not_answered;
use crate::clock::{Clock, SharedClock};
use crate::refresh::RefreshError;
use crate::time::{ExpiresIn, Issuer, Lifetime, NumericDate, Timestamp};
use crate::token::{Grant, Secret};

/// How many bytes of an answer are read.
pub const ANSWER_LIMIT: usize = 1 << 20;

/// Reads the answer and makes a grant, or one of three failures, of it.
pub(super) async fn read(response: Response) -> Result<Grant, RefreshError> {
    let (status, headers) = (response.status(), response.headers().clone());
    if status.is_success() {
        let body = body(response).await?;
        return granted(&headers, &body);
    }
    if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
        let error = RefreshError::unavailable(format!("the token endpoint answered {status}"));
        return Err(match retry_after(&headers) {
            Some(delay) => error.retry_after(delay),
            None => error,
        });
    }
    if status.is_redirection() {
        let text = "redirects are not followed with a refresh token";
        return Err(RefreshError::unavailable(format!(
            "the token endpoint answered {status}: {text}"
        )));
    }
    // Whatever became of the body, the server has refused.
    let body = body(response).await.unwrap_or_default();
    Err(refused(status, &body))
}

/// The body, up to the limit.
async fn body(mut response: Response) -> Result<Zeroizing<Vec<u8>>, RefreshError> {
    let mut body = Zeroizing::new(Vec::new());
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > ANSWER_LIMIT => {
                let text = format!("the answer is larger than {ANSWER_LIMIT} bytes");
                return Err(RefreshError::unknown(text));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) => return Err(not_answered(error, "answered in part")),
        }
    }
}

/// A token response, as leniently as rule A4 and real servers ask for.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(default, borrow)]
    access_token: Option<&'a RawValue>,
    #[serde(default, borrow)]
    refresh_token: Option<&'a RawValue>,
    #[serde(default, borrow)]
    expires_in: Option<&'a RawValue>,
    #[serde(default, borrow)]
    expires_at: Option<&'a RawValue>,
    #[serde(default, borrow)]
    refresh_in: Option<&'a RawValue>,
    #[serde(default, borrow)]
    scope: Option<&'a RawValue>,
    #[serde(default, borrow)]
    id_token: Option<&'a RawValue>,
}

/// The text of a JSON string; nothing for an absent, empty or other value.
fn text(value: Option<&RawValue>) -> Option<Secret> {
    let text: String = serde_json::from_str(value?.get()).ok()?;
    (!text.is_empty()).then(|| Secret::from(text))
}

/// A number, or a text that holds one (rule A4); nothing for what cannot be read.
fn number<N: core::str::FromStr>(value: Option<&RawValue>) -> Option<N> {
    value?.get().trim_matches('"').parse().ok()
}

/// The grant of a 200. An answer understood only in half is kept for its refresh token (rule B14).
fn granted(headers: &HeaderMap, body: &[u8]) -> Result<Grant, RefreshError> {
    let Ok(answer) = serde_json::from_slice::<Answer<'_>>(body) else {
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or("no content type");
        return Err(RefreshError::unknown(format!(
            "the answer is not a token response: {} bytes of {kind}",
            body.len()
        )));
    };
    let date = headers.get(DATE).and_then(|date| date.to_str().ok()).and_then(http_date);
    let lifetime = Lifetime::of_answer(
        number::<ExpiresIn>(answer.expires_in),
        number::<NumericDate>(answer.expires_at),
        date,
        None,
        Issuer::MayCache,
    );
    let sendable = |token: &Secret| token.expose().bytes().all(|byte| (0x21..0x7f).contains(&byte));
    let access_token = text(answer.access_token).filter(sendable);
    let refresh_token = text(answer.refresh_token);
    let mut grant = match (access_token, refresh_token) {
        (Some(access_token), None) => Grant::of_access_token(access_token, lifetime),
        (Some(access_token), Some(refresh_token)) => {
            Grant::new(access_token, refresh_token, lifetime)
        }
        (None, Some(refresh_token)) => Grant::of_refresh_token(refresh_token),
        (None, None) => {
            return Err(RefreshError::unknown("the answer holds no usable access token"));
        }
    };
    if let Some(refresh_in) = number::<ExpiresIn>(answer.refresh_in) {
        grant = grant.with_refresh_in(refresh_in.span());
    }
    for (name, value) in [("scope", answer.scope), ("id_token", answer.id_token)] {
        if let Some(value) = text(value) {
            grant = grant.with_field(name, value);
        }
    }
    Ok(grant)
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// The failure of a 4xx (RFC 6749, section 5.2). Servers that refuse in another dialect, or with
/// no body, refuse all the same; what is no refusal of the grant may pass.
fn refused(status: StatusCode, body: &[u8]) -> RefreshError {
    let code = serde_json::from_slice::<Refusal>(body).ok().map(|refusal| refusal.error);
    // The code is shown only where it is one that the standard knows: it came off the wire.
    let known = [
        "invalid_grant",
        "invalid_client",
        "invalid_request",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
    ];
    let passing = ["temporarily_unavailable", "server_error", "slow_down"];
    let is = |codes: &[&'static str]| {
        codes.iter().copied().find(|known| code.as_deref() == Some(*known))
    };
    if let Some(code) = is(&passing) {
        return RefreshError::unavailable(format!("the token endpoint answered {status}: {code}"));
    }
    match (is(&known), status) {
        (Some(code), _) => {
            RefreshError::declined(format!("the token endpoint answered {status}: {code}"))
        }
        (None, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED) => {
            RefreshError::declined(format!("the token endpoint answered {status}"))
        }
        (None, _) => RefreshError::unavailable(format!("the token endpoint answered {status}")),
    }
}

/// `Retry-After` in both its forms (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = headers.get(DATE).and_then(|date| date.to_str().ok()).and_then(http_date);
    let now = date.unwrap_or_else(|| SharedClock.wall());
    Some(http_date(value)?.since(now).to_duration())
}

fn http_date(text: &str) -> Option<Timestamp> {
    httpdate::parse_http_date(text).ok().map(Timestamp::from)
}
