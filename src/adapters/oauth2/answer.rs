//! Reading a token endpoint's answer (RFC 6749, sections 5.1 and 5.2), and telling failures apart.

use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;
use std::prelude::rust_2024::*;

use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use secrecy::zeroize::Zeroizing;
use serde::Deserializer;
use serde::de::{MapAccess, Visitor};
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
        let (body, ended) = body(response).await;
        return granted(status, &headers, &body, ended);
    }
    let error = if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
        RefreshError::unavailable(format!("the token endpoint answered {status}"))
    } else if status.is_redirection() {
        let text = "redirects are not followed with a refresh token";
        RefreshError::unavailable(format!("the token endpoint answered {status}: {text}"))
    } else {
        // Whatever became of the body, the server has refused.
        let (body, _) = body(response).await;
        refused(status, &Members::read(&body))
    };
    Err(match retry_after(&headers) {
        Some(delay) => error.retry_after(delay),
        None => error,
    })
}

/// The body up to the limit, and what kept it from being read to its end.
async fn body(mut response: Response) -> (Zeroizing<Vec<u8>>, Result<(), RefreshError>) {
    let mut body = Zeroizing::new(Vec::new());
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > ANSWER_LIMIT => {
                let text = format!("the answer is larger than {ANSWER_LIMIT} bytes");
                return (body, Err(RefreshError::unknown(text)));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return (body, Ok(())),
            Err(error) => return (body, Err(not_answered(error, "the answer came in part"))),
        }
    }
}

/// The members of a JSON object, as leniently as rule A4 and real servers ask for: an answer that
/// breaks off, or is no JSON from some point on, has those that came whole before (rule B14).
#[derive(Default)]
struct Members<'a> {
    values: BTreeMap<String, &'a RawValue>,
    /// Whether it was one JSON object to its end.
    whole: bool,
}

impl<'a> Members<'a> {
    fn read(body: &'a [u8]) -> Self {
        let mut members = Self::default();
        let mut json = serde_json::Deserializer::from_slice(body);
        let read = json.deserialize_map(Collect(&mut members)).and_then(|()| json.end());
        members.whole = read.is_ok();
        members
    }

    /// A text; nothing for an absent, empty or other value.
    fn text(&self, name: &str) -> Option<Secret> {
        let text: String = serde_json::from_str(self.values.get(name)?.get()).ok()?;
        (!text.is_empty()).then(|| Secret::from(text))
    }

    /// A number, or a text that holds one (rule A4); nothing for what cannot be read.
    fn number<N: core::str::FromStr>(&self, name: &str) -> Option<N> {
        self.values.get(name)?.get().trim_matches('"').parse().ok()
    }
}

struct Collect<'s, 'a>(&'s mut Members<'a>);

impl<'de> Visitor<'de> for Collect<'_, 'de> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((name, value)) = map.next_entry()? {
            self.0.values.insert(name, value);
        }
        Ok(())
    }
}

/// The grant of a 200. An answer understood only in half is kept for its refresh token (rule B14).
fn granted(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    ended: Result<(), RefreshError>,
) -> Result<Grant, RefreshError> {
    let answer = Members::read(body);
    let refresh_token = answer.text("refresh_token");
    let whole = if answer.whole { Ok(()) } else { Err(not_json(headers, body)) };
    if let Err(error) = ended.and(whole) {
        return refresh_token.map(Grant::of_refresh_token).ok_or(error);
    }
    let date = headers.get(DATE).and_then(|date| date.to_str().ok()).and_then(http_date);
    let lifetime = Lifetime::of_answer(
        answer.number::<ExpiresIn>("expires_in"),
        answer.number::<NumericDate>("expires_at"),
        date,
        None,
        Issuer::MayCache,
    );
    let sendable = |token: &Secret| token.expose().bytes().all(|byte| (0x21..0x7f).contains(&byte));
    let access_token = answer.text("access_token").filter(sendable);
    let mut grant = match (access_token, refresh_token) {
        (Some(access_token), None) => Grant::of_access_token(access_token, lifetime),
        (Some(access_token), Some(refresh_token)) => {
            Grant::new(access_token, refresh_token, lifetime)
        }
        (None, Some(refresh_token)) => Grant::of_refresh_token(refresh_token),
        // Some servers refuse with a 200.
        (None, None) if answer.text("error").is_some() => return Err(refused(status, &answer)),
        (None, None) => {
            return Err(RefreshError::unknown("the answer holds no usable access token"));
        }
    };
    if let Some(refresh_in) = answer.number::<ExpiresIn>("refresh_in") {
        grant = grant.with_refresh_in(refresh_in.span());
    }
    for name in ["scope", "id_token"] {
        if let Some(value) = answer.text(name) {
            grant = grant.with_field(name, value);
        }
    }
    Ok(grant)
}

fn not_json(headers: &HeaderMap, body: &[u8]) -> RefreshError {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or("no content type");
    RefreshError::unknown(format!(
        "the answer is not a token response: {} bytes of {kind}",
        body.len()
    ))
}

/// The failure of an answer that refuses (RFC 6749, section 5.2). Servers that refuse in another
/// dialect, or with no body, refuse all the same; what is no refusal of the grant may pass.
fn refused(status: StatusCode, answer: &Members<'_>) -> RefreshError {
    let code = answer.text("error");
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
        let code = code.as_ref().map(Secret::expose);
        codes.iter().copied().find(|known| code == Some(*known))
    };
    if let Some(code) = is(&passing) {
        return RefreshError::unavailable(format!("the token endpoint answered {status}: {code}"));
    }
    let final_status =
        status.is_success() || matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED);
    match is(&known) {
        Some(code) => {
            RefreshError::declined(format!("the token endpoint answered {status}: {code}"))
        }
        None if final_status => {
            RefreshError::declined(format!("the token endpoint answered {status}"))
        }
        None => RefreshError::unavailable(format!("the token endpoint answered {status}")),
    }
}

/// `Retry-After` in both its forms (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = headers.get(DATE).and_then(|date| date.to_str().ok()).and_then(http_date);
    let now = date.unwrap_or_else(|| SharedClock.wall());
    Some(http_date(value)?.since(now).to_duration())
}

fn http_date(text: &str) -> Option<Timestamp> {
    httpdate::parse_http_date(text).ok().map(Timestamp::from)
}
