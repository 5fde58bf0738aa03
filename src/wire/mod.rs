//! What goes over the wire to a token endpoint and back (RFC 6749), without the wire (feature
//! `wire`): for the adapters, and for programs with an HTTP client of their own.
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
//! An access token's end is the first of these that can be read, and one that counts from now beats a
//! date (rules A3, A4):
//!
//! | members, the better ones first | a number is |
//! |---|---|
//! | `expires_in_sec`, `expires_in`, `expires_in_seconds`, `expiresInSeconds` | seconds from now, whatever its size (RFC 6749, section 5.1) |
//! | `expires_in_ms` | milliseconds from now |
//! | `expiresIn`, `ExpiresIn`, `expireIn`, `expire_in`, `access_token_expires_in`, `accessTokenExpiresIn`, `expires`, `expire` | by its size |
//! | `expires_at`, `expiresAt`, `expires_on`, `expiresOn`, `.expires`, `access_token_expires_at`, `accessTokenExpiresAt`, `access_token_expires`, `accessTokenExpires`, `access_expiration`, `access_token_expiration`, `accessTokenExpiration`, `accessTokenExpiry`, `valid_until`, `validUntil`, `access_token_expire_in`, `token_expiry`, `expire_time`, `expireTime`, `expiry`, `expiry_date`, `expiration`, `exp` | by its size |
//!
//! By its size: less than 10⁹ are seconds from now, which is 31 years of them; less than 10¹² is a date
//! in seconds since the Unix epoch, and beyond that one in milli-, micro- or nanoseconds; but fourteen
//! digits that make a date of the years 1970 to 2200, such as 20231114222320, are that. A number may
//! stand in a text, with an `s` behind it.
//!
//! Any of them may be a duration in a text instead: `15m`, `1 hour 30 minutes`, `PT10M`, `00:10:00`. Or
//! a date: HTTP's, RFC 3339's, ISO 8601's (with a space for the `T`, or without a zone, which is then
//! UTC), RFC 2822's, JavaScript's or Go's own, ASP.NET's `/Date(1700000600000)/`, or Azure App Service's.
//! Dates count from the response's `Date` header, or from the local wall clock. A text for the first day
//! of the epoch or one before it, such as `0001-01-01T00:00:00Z`, is what languages write for no date.
//!
//! A member that can be read as none of these is as if it were not there: the policy then decides
//! ([1 h], or until the resource server rejects the token). To take it for over would cost a refresh, and
//! the caller its token, each time; a token that ends sooner is rejected, and renewed then.
//!
//! A refresh token's end: `refresh_token_expires_in`, `refresh_expires_in`, `x_refresh_token_expires_in`,
//! `refreshTokenExpiresIn`, `refreshExpiresIn`, `refreshTokenExpireIn`, `refresh_token_expires_at`,
//! `refresh_expires_at`, `refreshTokenExpiresAt`, `refresh_token_expires`, `refreshTokenExpires`,
//! `refresh_expiration`, `refresh_token_expiration`, `refresh_token_expires_on`, `refresh_token_expire_in`, all by their size; zero means that it has no end.
//!
//! # The second reading
//! A response that is not one JSON object from end to end is read once more, leniently (rule B14): in
//! another charset or behind a byte order mark, as a form, with text around the one closed object, with
//! a member that cannot be read among good ones, with white space or `Bearer` before a token; and so is
//! an envelope that a dialect names, which may also be a text or a list of one. What had to be leniencies is
//! said by [`Grant::leniencies`](crate::token::Grant::leniencies). It never takes a fragment: of two
//! objects that differ, none; of one that is not closed, none that lies within. It takes nothing of a web
//! page, nor of what lies in a `script`, `pre`, `code` or `textarea`, or in an attribute. What came whole
//! at the top of a response that breaks off is kept for its refresh token alone. The body of a redirect is
//! never read.
//!
//! # What is a token
//! A text that is no word for nothing: `null`, `undefined`, `None` and their like are none. A refresh
//! token may also be a whole number of eight digits or more. Where the status is no success, or an `error`
//! stands beside it, a token must look like one (it has digits, or both cases, and nothing of a masked
//! or of a worded text), must not repeat the refresh token that was presented, in whatever encoding, and
//! another part of a token response must stand beside it. There a known code, a frame, and, for a refresh
//! token alone, 429 and 503 speak against it (rule B14).
//!
//! A refresh token beside an access token is taken from `refreshToken` and `RefreshToken` as well. One
//! that stands elsewhere is not, but is said:
//! [`Grant::found_elsewhere`](crate::token::Grant::found_elsewhere).
//!
//! # Where a code is looked for
//! In `error`, `error_code`, `errorCode`, `error_type`, `code`, `errcode`, `status`, `errors`, `detail`,
//! `message` and `title`, at the top and in a dialect's envelopes; three levels deep within these, also in
//! lists; in AWS's `__type`, Entra ID's `error_codes` and Apigee's `fault`. A text counts only where all
//! of it is a [known code](known_codes). An `error` that is empty, `0`, `ok`, `none` or `success`, or whose
//! `code` is, says that there is none.
//!
//! Invariants: nothing here panics, whatever came; no error holds a word of a body but error codes that
//! are known (rule G1); secrets go to https endpoints, or within this machine.
//!
//! Deliberately absent: I/O. How long a response is waited for, and how much of it is taken, is the
//! caller's to say; so is what a request that brought no response at all means (rule B6).

mod classify;
mod client;
mod codes;
mod dates;
mod form;
mod lenient;
mod lifetime;
mod members;
mod places;
mod response;

mod context;
mod error_response;
mod scan;
mod settings;
mod tokens;

pub use client::{Client, ClientBuilder, ClientError};
pub use codes::known_codes;
pub use error_response::ErrorResponse;
pub use form::Form;
#[cfg(any(feature = "oauth2", feature = "ureq"))]
pub(crate) use response::TokenResponseHead;
pub use response::read_response;
pub use settings::ClientAuthentication;

/// Appends to a buffer that leaves no copy behind where it grows.
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

/// How many bytes of a response the adapters read.
pub const RESPONSE_LIMIT: usize = 1 << 20;
