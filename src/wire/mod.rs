//! Requests to a token endpoint and its responses (RFC 6749), without I/O (feature `wire`): for the
//! adapters, and for programs with an HTTP client of their own.
//!
//! ```
//! use perennial::wire::Client;
//! # use perennial::token::Secret;
//!
//! let client = Client::builder("https://auth.example.com/token", "my-client").build()?;
//! let form = client.refresh(&Secret::from("rt-1"));
//! assert_eq!(form.body(), "grant_type=refresh_token&refresh_token=rt-1&client_id=my-client");
//! // Send it by POST to `form.url()`, with `form.headers()`. Then:
//! let headers = [("Content-Type", &b"application/json"[..])];
//! let grant = form.read_response(200, headers, br#"{"access_token":"at-2","expires_in":"3600"}"#)?;
//! assert_eq!(grant.access_token().map(Secret::expose), Some("at-2"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How long a token lives
//! The expiry of an access token is the first of these that can be parsed, and a duration takes
//! precedence over a date:
//!
//! | members, in order of preference | unit of a number |
//! |---|---|
//! | `expires_in_sec`, `expires_in`, `expires_in_seconds`, `expiresInSeconds` | seconds from now, whatever its size (RFC 6749, section 5.1) |
//! | `expires_in_ms` | milliseconds from now |
//! | `expiresIn`, `ExpiresIn`, `expireIn`, `expire_in`, `access_token_expires_in`, `accessTokenExpiresIn`, `expires`, `expire` | by its size |
//! | `expires_at`, `expiresAt`, `expires_on`, `expiresOn`, `.expires`, `access_token_expires_at`, `accessTokenExpiresAt`, `access_token_expires`, `accessTokenExpires`, `access_expiration`, `access_token_expiration`, `accessTokenExpiration`, `accessTokenExpiry`, `valid_until`, `validUntil`, `access_token_expire_in`, `token_expiry`, `expire_time`, `expireTime`, `expiry`, `expiry_date`, `expiration`, `exp` | by its size |
//!
//! By its size: less than 10⁹ is seconds from now (up to 31 years); less than 10¹² is a date in
//! seconds since the Unix epoch, and beyond that in milli-, micro- or nanoseconds; fourteen digits
//! that form a date of the years 1970 to 2200, such as 20231114222320, are that date. A number may
//! be in a string, with an `s` behind it.
//!
//! Each may also be a string with a duration: `15m`, `1 hour 30 minutes`, `PT10M`, `00:10:00`. Or
//! with a date: HTTP's, RFC 3339's, ISO 8601's (with a space for the `T`, or without a zone, which
//! is then UTC), RFC 2822's, JavaScript's or Go's own, ASP.NET's `/Date(1700000600000)/`, or Azure
//! App Service's. Dates count from the response's `Date` header, or from the local wall clock. A
//! date on the first day of the epoch or before it, such as `0001-01-01T00:00:00Z`, counts as
//! unset.
//!
//! A member of another form is ignored, and the policy decides: 1 h by default, or until the
//! resource server rejects the token. Treating the token as expired would cost a refresh for each
//! request, whereas a token that expires early is rejected and refreshed then. See rules [A3 and
//! A4](crate::spec#a-time).
//!
//! The expiry of a refresh token is in: `refresh_token_expires_in`, `refresh_expires_in`,
//! `x_refresh_token_expires_in`, `refreshTokenExpiresIn`, `refreshExpiresIn`,
//! `refreshTokenExpireIn`, `refresh_token_expires_at`, `refresh_expires_at`,
//! `refreshTokenExpiresAt`, `refresh_token_expires`, `refreshTokenExpires`, `refresh_expiration`,
//! `refresh_token_expiration`, `refresh_token_expires_on`, `refresh_token_expire_in`, all by their
//! size. Zero means that it does not expire.
//!
//! # Lenient reading
//! A response that is not exactly one JSON object is read leniently: in another charset or with a
//! byte order mark, as a form, with text around the one closed object, with invalid members beside
//! valid ones, with white space or `Bearer` before a token. So is an envelope of the dialect, which
//! may also be a string or an array that holds one object.
//! [`Grant::leniencies`](crate::token::Grant::leniencies) returns what was needed.
//!
//! Fragments are never used: of two objects that differ, neither is; of one that is not closed,
//! nothing nested is. Nothing is taken from a web page, nor from a `script`, `pre`, `code` or
//! `textarea` element or an attribute. The complete top-level members of a response that breaks off
//! are used for the refresh token only. The body of a redirect is never read. See rule
//! [B14](crate::spec#b-the-client-machine).
//!
//! # What is a token
//! A string other than a placeholder such as `null`, `undefined` or `None`. A refresh token may
//! also be an integer of eight digits or more. If the status is not a success, or there is an
//! `error`, a token must look like one (it has digits, or both cases, and does not look masked or
//! like a message), must not be the refresh token that was presented, in any encoding, and must be
//! accompanied by another part of a token response. It is not used if there is a known code or
//! other text around the object, nor, for a refresh token alone, with 429 and 503.
//!
//! Beside an access token, a refresh token is also taken from `refreshToken` and `RefreshToken`.
//! One in another place is not used, but reported by
//! [`Grant::found_elsewhere`](crate::token::Grant::found_elsewhere).
//!
//! # Where error codes are looked for
//! In `error`, `error_code`, `errorCode`, `error_type`, `code`, `errcode`, `status`, `errors`,
//! `detail`, `message` and `title`, at the top level and in a dialect's envelopes; three levels
//! deep within these, also in arrays; in AWS's `__type`, Entra ID's `error_codes` and Apigee's
//! `fault`. A text counts only if all of it is a [known code](known_codes). An `error` that is
//! empty, `0`, `ok`, `none` or `success`, or whose `code` is, means success.
//!
//! # Invariants
//! - No input panics.
//! - The text of an error holds nothing of a body but known error codes
//!   ([G1](crate::spec#g-secrets)).
//! - Secrets go to https endpoints, or stay on this machine.
//!
//! # Out of scope
//! I/O. The caller decides how long to wait for a response, how much of it to read, and what a
//! request without a response means ([B6](crate::spec#b-the-client-machine)).

mod classify;
mod client;
mod codes;
mod context;
mod dates;
mod error_response;
mod form;
mod headers;
#[cfg(feature = "resource-server")]
mod introspection;
mod lenient;
mod lifetime;
mod members;
mod places;
mod response;
mod scan;
mod settings;
mod tokens;

#[cfg(feature = "resource-server")]
pub(crate) use client::checked_endpoint;
pub use client::{Client, ClientBuilder, ClientError};
pub use codes::known_codes;
pub use error_response::ErrorResponse;
pub use form::Form;
#[cfg(feature = "resource-server")]
pub(crate) use introspection::introspection;
#[cfg(any(feature = "oauth2", feature = "ureq"))]
pub(crate) use response::TokenResponseHead;
pub use response::read_response;
pub use settings::ClientAuthentication;
#[cfg(all(feature = "resource-server", any(feature = "oauth2", feature = "reqwest")))]
pub(crate) use settings::is_loopback;

/// Appends to a buffer, which leaves no copy behind when it grows.
#[cfg(any(feature = "oauth2", feature = "ureq"))]
pub(crate) fn append(buffer: &mut secrecy::zeroize::Zeroizing<std::vec::Vec<u8>>, more: &[u8]) {
    const FIRST: usize = 4096;
    let needed = buffer.len() + more.len();
    if buffer.capacity() < needed {
        let roomy = std::vec::Vec::with_capacity(needed.next_power_of_two().max(FIRST));
        let mut larger = secrecy::zeroize::Zeroizing::new(roomy);
        larger.extend_from_slice(buffer);
        *buffer = larger;
    }
    buffer.extend_from_slice(more);
}

/// How many bytes of a response the adapters read at most.
pub const RESPONSE_LIMIT: usize = 1 << 20;
