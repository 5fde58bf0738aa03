//! Fetching a key set: the request, and what its response says.

use std::vec::Vec;

use http::header::{ACCEPT, AGE, CACHE_CONTROL, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use url::Url;

use super::key::{Jwk, usable};
use crate::refresh::RefreshError;
use crate::time::Span;
use crate::token::Secret;
use crate::wire::RESPONSE_LIMIT;

/// The bounds of a set's lifetime, whatever the response says, and the lifetime if it says nothing.
const SHORTEST: Span = Span::from_secs(5 * 60);
const LONGEST: Span = Span::from_secs(24 * 3600);
const DEFAULT: Span = Span::from_secs(3600);

/// Returns the request for the set at `url`.
pub(super) fn request(url: &Url) -> Request<Secret> {
    let mut request = Request::new(Secret::from(""));
    *request.uri_mut() = url.as_str().parse().expect("a URL is a URI");
    let json = HeaderValue::from_static("application/jwk-set+json, application/json");
    request.headers_mut().insert(ACCEPT, json);
    request
}

/// Reads a response: the usable keys, and how long they live. A damaged set is a failed fetch.
pub(super) fn read(response: &Response<Vec<u8>>) -> Result<(Vec<Jwk>, Span), RefreshError> {
    let (status, headers) = (response.status(), response.headers());
    if status != StatusCode::OK {
        let text = std::format!("the key set was answered with status {}", status.as_u16());
        let error = RefreshError::unavailable(text).with_status(status.as_u16());
        return Err(match seconds(headers.get(RETRY_AFTER)) {
            Some(delay) => error.retry_after(delay.to_duration()),
            None => error,
        });
    }
    if response.body().len() > RESPONSE_LIMIT {
        return Err(RefreshError::unavailable("the key set is too long"));
    }
    let keys = usable(response.body());
    let keys = keys.ok_or(RefreshError::unavailable("the response is not a JWK set"))?;
    if keys.is_empty() {
        let text = "the JWK set holds no key that this build can verify signatures with";
        return Err(RefreshError::unavailable(text));
    }
    Ok((keys, lifetime(headers)))
}

/// Returns the number of seconds that a header states.
pub(super) fn seconds(header: Option<&HeaderValue>) -> Option<Span> {
    let seconds: u32 = header?.to_str().ok()?.trim().parse().ok()?;
    Some(Span::from_secs(seconds.into()))
}

/// Returns how long the set may be used (RFC 9111, section 5.2.2): the least that is stated.
fn lifetime(headers: &HeaderMap) -> Span {
    let values = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let directives = values.flat_map(|value| value.split(','));
    let stated = directives.filter_map(|directive| {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" => Some(Span::ZERO),
            "max-age" => Some(max_age(value)),
            _ => None,
        }
    });
    let stated = stated.min().unwrap_or(DEFAULT);
    let age = seconds(headers.get(AGE)).unwrap_or(Span::ZERO);
    let left = Span::from_millis(stated.as_millis().saturating_sub(age.as_millis()));
    left.max(SHORTEST).min(LONGEST)
}

/// What is no number counts as stale, and what is too large as very long.
fn max_age(value: &str) -> Span {
    let digits = value.trim().trim_matches('"');
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Span::ZERO;
    }
    Span::from_secs(digits.parse().unwrap_or(u32::MAX).into())
}
