//! Client authentication at the token endpoint (RFC 6749, sections 2.3.1 and 3.2.1).

use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::token::{Digest, digest};
use super::token_error::TokenError;

/// The one client that this server knows.
pub(super) struct Client {
    id: String,
    /// `None` for a public client. As a digest, so that comparing takes the same time wherever the
    /// secrets differ.
    secret: Option<Digest>,
}

/// Name and secret as a request gives them.
#[derive(Debug, PartialEq, Eq)]
struct Credentials {
    id: String,
    secret: Option<String>,
}

impl Client {
    /// A client, public if it has no secret.
    pub(super) fn new(id: &str, secret: Option<&str>) -> Self {
        Self { id: id.to_owned(), secret: secret.map(digest) }
    }

    /// Checks that a token request comes from this client.
    ///
    /// `id` and `secret` are the `client_id` and `client_secret` of the body.
    pub(super) fn authenticate(
        &self,
        headers: &HeaderMap,
        id: Option<&str>,
        secret: Option<&str>,
    ) -> Result<(), TokenError> {
        let mut authorizations = headers.get_all(header::AUTHORIZATION).iter();
        let authorization = authorizations.next();
        if authorizations.next().is_some() {
            return Err(TokenError::InvalidRequest("more than one Authorization header"));
        }
        let by_header = authorization.is_some();
        let failed = TokenError::InvalidClient { by_header };
        let credentials = match authorization {
            Some(_) if secret.is_some() => {
                return Err(TokenError::InvalidRequest("the client authenticates in two ways"));
            }
            Some(value) => basic_credentials(value).ok_or(failed)?,
            None => {
                Credentials { id: id.ok_or(failed)?.to_owned(), secret: secret.map(str::to_owned) }
            }
        };
        if by_header && id.is_some_and(|id| id != credentials.id) {
            return Err(TokenError::InvalidRequest("header and body name different clients"));
        }
        let secret = credentials.secret.as_deref().map(digest);
        if credentials.id == self.id && secret == self.secret { Ok(()) } else { Err(failed) }
    }
}

/// Reads `Basic base64(form-encoded id ":" form-encoded secret)`. An empty secret is none.
fn basic_credentials(value: &HeaderValue) -> Option<Credentials> {
    let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    let secret = form_decode(secret)?;
    Some(Credentials { id: form_decode(id)?, secret: (!secret.is_empty()).then_some(secret) })
}

/// Decodes one `application/x-www-form-urlencoded` value. `None` if an escape or the UTF-8 is
/// broken.
fn form_decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => 16 * hex_digit(bytes.next()?)? + hex_digit(bytes.next()?)?,
            other => other,
        });
    }
    String::from_utf8(decoded).ok()
}

fn hex_digit(byte: u8) -> Option<u8> {
    // A hexadecimal digit is below 16, so that it always fits.
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(user: &str, password: &str) -> HeaderMap {
        let value = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let mut headers = HeaderMap::new();
        headers
            .insert(header::AUTHORIZATION, value.parse().expect("base64 is a valid header value"));
        headers
    }

    const BY_HEADER: Result<(), TokenError> = Err(TokenError::InvalidClient { by_header: true });
    const BY_BODY: Result<(), TokenError> = Err(TokenError::InvalidClient { by_header: false });

    #[test]
    fn a_confidential_client_proves_itself_by_header_or_by_body() {
        let client = Client::new("me & you", Some("s%e:c+r t"));
        let none = HeaderMap::new();
        let good = header("me+%26%20you", "s%25e%3Ac%2Br+t");
        assert_eq!(client.authenticate(&good, None, None), Ok(()));
        assert_eq!(client.authenticate(&good, Some("me & you"), None), Ok(()));
        assert_eq!(client.authenticate(&none, Some("me & you"), Some("s%e:c+r t")), Ok(()));
        assert_eq!(client.authenticate(&none, Some("me & you"), Some("wrong")), BY_BODY);
        assert_eq!(client.authenticate(&none, Some("me & you"), None), BY_BODY);
        assert_eq!(client.authenticate(&none, None, None), BY_BODY);
        for bad in [
            header("me+%26%20you", "wrong"),
            header("other", "s%25e%3Ac%2Br+t"),
            header("me+%26%20you", "%zz"),
        ] {
            assert_eq!(client.authenticate(&bad, None, None), BY_HEADER);
        }
    }

    #[test]
    fn a_public_client_names_itself_and_has_no_secret() {
        let client = Client::new("demo", None);
        let none = HeaderMap::new();
        assert_eq!(client.authenticate(&none, Some("demo"), None), Ok(()));
        assert_eq!(client.authenticate(&none, Some("other"), None), BY_BODY);
        assert_eq!(client.authenticate(&none, Some("demo"), Some("guess")), BY_BODY);
        assert_eq!(client.authenticate(&header("demo", ""), None, None), Ok(()));
        assert_eq!(client.authenticate(&header("demo", "guess"), None, None), BY_HEADER);
    }

    #[test]
    fn authenticating_in_two_ways_is_an_invalid_request() {
        let client = Client::new("demo", Some("secret"));
        let good = header("demo", "secret");
        for (id, secret) in [(Some("demo"), Some("secret")), (Some("other"), None)] {
            let outcome = client.authenticate(&good, id, secret);
            assert!(matches!(outcome, Err(TokenError::InvalidRequest(_))), "{outcome:?}");
        }
    }
}
