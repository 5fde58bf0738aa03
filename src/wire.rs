//! Reading a token endpoint's answer (RFC 6749, sections 5.1 and 5.2), and telling failures apart
//! (feature `wire`): for the adapters, and for programs with an HTTP client of their own.
//!
//! ```
//! use perennial::wire::read_answer;
//! # use perennial::lifecycle::Failure;
//! # use perennial::token::Secret;
//!
//! let headers = [("Content-Type", &b"application/json"[..])];
//! let grant = read_answer(200, headers, br#"{"access_token":"at-2","expires_in":"3600"}"#)?;
//! assert_eq!(grant.access_token().map(Secret::expose), Some("at-2"));
//!
//! let error = read_answer(400, headers, br#"{"error":"invalid_grant"}"#).unwrap_err();
//! assert_eq!(error.failure(), Failure::Declined);
//! # Ok::<(), perennial::refresh::RefreshError>(())
//! ```
//!
//! Invariants: nothing here panics, whatever came; no error holds a word of a body but the error
//! codes that the standard knows (rule G1).
//!
//! Deliberately absent: I/O. How long an answer is waited for, and how much of it is taken, is the
//! caller's to say; so is what a request that brought no answer at all means (rule B6).

use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;
use std::prelude::rust_2024::*;

use http::StatusCode;
use serde::Deserializer;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::clock::{Clock, SharedClock};
use crate::refresh::RefreshError;
use crate::time::{ExpiresIn, Issuer, Lifetime, NumericDate, Timestamp};
use crate::token::{Grant, Secret};

/// Makes a grant, or one of three failures (rule B6), of a token endpoint's answer.
///
/// Of the headers, `Content-Type`, `Date` and `Retry-After` are looked at; of several with one name,
/// the first. A `Retry-After` that is a date is counted from the `Date` beside it, or from the local
/// wall clock where there is none. The body of a redirect, a 429 or a 5xx is not looked at; a body
/// that broke off is given as far as it came.
///
/// A grant without an access token was understood only in half: it stands for its refresh token,
/// which must be kept (rule B14). A refresher hands it to its session like any other.
///
/// # Errors
/// *Declined* for a refusal in whatever dialect, *unavailable* for what may pass, with the server's
/// `Retry-After`, and *unknown* for a success without a token in it.
pub fn read_answer<'a>(
    status: u16,
    headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    body: &[u8],
) -> Result<Grant, RefreshError> {
    Head::new(status, headers)?.answer(body, Ok(()))
}

/// The headers that are looked at.
const HEADERS: [&str; 3] = ["content-type", "date", "retry-after"];

/// What an answer says before its body.
pub(crate) struct Head<'a> {
    status: StatusCode,
    content_type: Option<&'a str>,
    date: Option<Timestamp>,
    retry_after: Option<&'a str>,
}

impl<'a> Head<'a> {
    pub(crate) fn new(
        status: u16,
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, RefreshError> {
        let status = StatusCode::from_u16(status)
            .map_err(|_| RefreshError::unknown("the answer's status is none of HTTP"))?;
        let mut first = [None; HEADERS.len()];
        for (name, value) in headers {
            if let Some(at) = HEADERS.iter().position(|known| name.eq_ignore_ascii_case(known)) {
                first[at].get_or_insert(value);
            }
        }
        let [content_type, date, retry_after] = first.map(|value| value.and_then(text));
        Ok(Self { status, content_type, date: date.and_then(http_date), retry_after })
    }

    /// Whether the body says anything that the status does not.
    pub(crate) fn needs_body(&self) -> bool {
        let status = self.status;
        let passing = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
        !passing && !status.is_redirection()
    }

    /// The grant, or the failure, given what kept the body from being read to its end.
    pub(crate) fn answer(
        &self,
        body: &[u8],
        ended: Result<(), RefreshError>,
    ) -> Result<Grant, RefreshError> {
        let status = self.status;
        if status.is_success() {
            return self.granted(body, ended);
        }
        let error = if status.is_redirection() {
            let text = "redirects are not followed with a refresh token";
            RefreshError::unavailable(format!("the token endpoint answered {status}: {text}"))
        } else if self.needs_body() {
            // Whatever became of the body, the server has refused.
            refused(status, &Members::read(body))
        } else {
            RefreshError::unavailable(format!("the token endpoint answered {status}"))
        };
        Err(match self.retry_after() {
            Some(delay) => error.retry_after(delay),
            None => error,
        })
    }

    /// The grant of a 200. An answer understood only in half is kept for its refresh token (rule B14).
    fn granted(&self, body: &[u8], ended: Result<(), RefreshError>) -> Result<Grant, RefreshError> {
        let answer = Members::read(body);
        let refresh_token = answer.text("refresh_token");
        let whole = if answer.whole { Ok(()) } else { Err(self.not_json(body)) };
        if let Err(error) = ended.and(whole) {
            return refresh_token.map(Grant::of_refresh_token).ok_or(error);
        }
        let lifetime = Lifetime::of_answer(
            answer.number::<ExpiresIn>("expires_in"),
            answer.number::<NumericDate>("expires_at"),
            self.date,
            None,
            Issuer::MayCache,
        );
        let sendable =
            |token: &Secret| token.expose().bytes().all(|byte| (0x21..0x7f).contains(&byte));
        let access_token = answer.text("access_token").filter(sendable);
        let mut grant = match (access_token, refresh_token) {
            (Some(access_token), None) => Grant::of_access_token(access_token, lifetime),
            (Some(access_token), Some(refresh_token)) => {
                Grant::new(access_token, refresh_token, lifetime)
            }
            (None, Some(refresh_token)) => Grant::of_refresh_token(refresh_token),
            // Some servers refuse with a 200.
            (None, None) if answer.text("error").is_some() => {
                return Err(refused(self.status, &answer));
            }
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

    fn not_json(&self, body: &[u8]) -> RefreshError {
        let kind =
            self.content_type.and_then(|kind| kind.split(';').next()).unwrap_or("no content type");
        RefreshError::unknown(format!(
            "the answer is not a token response: {} bytes of {kind}",
            body.len()
        ))
    }

    /// `Retry-After` in both its forms (RFC 9110, section 10.2.3).
    fn retry_after(&self) -> Option<Duration> {
        let value = self.retry_after?.trim();
        if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
        }
        let now = self.date.unwrap_or_else(|| SharedClock.wall());
        Some(http_date(value)?.since(now).to_duration())
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

/// A header's value, if it is such a text as HTTP knows.
fn text(value: &[u8]) -> Option<&str> {
    let visible = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t');
    core::str::from_utf8(value).ok().filter(|text| text.as_bytes().iter().all(visible))
}

fn http_date(text: &str) -> Option<Timestamp> {
    httpdate::parse_http_date(text).ok().map(Timestamp::from)
}
