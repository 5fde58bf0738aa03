//! Requests to a token or revocation endpoint, which are forms (RFC 6749, appendix B).

use core::fmt;
use std::prelude::rust_2024::*;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::zeroize::Zeroizing;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::context::RequestContext;
use super::response::TokenResponseHead;
use super::settings::ClientAuthentication;
use crate::refresh::RefreshError;
use crate::token::{Grant, Secret};

/// A request to be sent by POST, with any HTTP client. Holds secrets.
///
/// The HTTP client must not follow redirects, and must not send the form through the interceptor
/// whose session waits for it. See rule [E6](crate::spec#e-requests).
pub struct Form<'a> {
    url: &'a Url,
    authorization: Option<Zeroizing<String>>,
    body: Zeroizing<String>,
    context: RequestContext<'a>,
}

/// The credentials of a client.
pub(super) struct FormCredentials<'a> {
    pub(super) id: &'a str,
    pub(super) secret: Option<&'a Secret>,
    pub(super) authentication: ClientAuthentication,
}

impl<'a> Form<'a> {
    /// Returns a form of `fields`, with the client's authentication (RFC 6749, section 2.3.1).
    pub(super) fn new<'f>(
        url: &'a Url,
        credentials: &FormCredentials<'_>,
        fields: impl IntoIterator<Item = (&'f str, &'f str)>,
        context: RequestContext<'a>,
    ) -> Self {
        let fields: Vec<_> = fields.into_iter().collect();
        // Allocated at its maximum, since a text that grew would leave copies of the secrets
        // behind.
        let secret = credentials.secret.map_or("", Secret::expose);
        let further = [("client_id", credentials.id), ("client_secret", secret)];
        let lengths = fields.iter().chain(&further).map(|(name, value)| name.len() + value.len());
        let most = lengths.map(|length| ENCODED * length + "&=".len()).sum();
        let mut body = Serializer::new(String::with_capacity(most));
        for (name, value) in fields {
            body.append_pair(name, value);
        }
        let authorization = match (credentials.secret, credentials.authentication) {
            (None, _) => {
                body.append_pair("client_id", credentials.id);
                None
            }
            (Some(secret), ClientAuthentication::Basic) => Some(basic(credentials.id, secret)),
            (Some(secret), ClientAuthentication::Post) => {
                body.append_pair("client_id", credentials.id);
                body.append_pair("client_secret", secret.expose());
                None
            }
        };
        Self { url, authorization, body: Zeroizing::new(body.finish()), context }
    }

    /// Returns the URL. Its query may hold secrets of the program.
    pub fn url(&self) -> &'a str {
        self.url.as_str()
    }

    /// Returns the headers. The value of `authorization` is secret.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let authorization = self.authorization.as_ref().map(|it| ("authorization", it.as_str()));
        [("content-type", "application/x-www-form-urlencoded"), ("accept", "application/json")]
            .into_iter()
            .chain(authorization)
    }

    /// Returns the headers as `http` values, zeroised with their last clone, `authorization` marked
    /// sensitive (rule G2).
    #[cfg(any(feature = "oauth2", feature = "resource-server", feature = "ureq"))]
    pub(crate) fn header_values(&self) -> impl Iterator<Item = (&'static str, http::HeaderValue)> {
        self.headers().filter_map(|(name, value)| {
            let bytes = bytes::Bytes::from_owner(Zeroizing::new(value.as_bytes().to_vec()));
            let mut value = http::HeaderValue::from_maybe_shared(bytes).ok()?;
            value.set_sensitive(name == "authorization");
            Some((name, value))
        })
    }

    /// Reads the response to this request into a grant or a failure, as
    /// [`read_response`](super::read_response) does, and takes the client's settings and the
    /// presented refresh token into account.
    ///
    /// # Errors
    /// As for [`read_response`](super::read_response).
    pub fn read_response<'h>(
        &self,
        status: u16,
        headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
        body: &[u8],
    ) -> Result<Grant, RefreshError> {
        TokenResponseHead::new(status, headers)?.read(body, Ok(()), &self.context)
    }

    /// Returns whether it goes to this machine, so that no proxy is to be used, which could read it
    /// (rule E6).
    #[cfg(any(feature = "oauth2", feature = "ureq"))]
    pub(crate) fn is_local(&self) -> bool {
        super::settings::is_loopback(self.url)
    }

    /// Returns what reading the response needs to know about this request.
    #[cfg(any(feature = "oauth2", feature = "ureq"))]
    pub(crate) fn context(&self) -> &RequestContext<'a> {
        &self.context
    }

    /// Returns the body, which holds secrets.
    pub fn body(&self) -> &str {
        &self.body
    }
}

/// Returns the `Basic` credentials. Both parts are form-encoded before they are joined (RFC 6749,
/// section 2.3.1).
fn basic(id: &str, secret: &Secret) -> Zeroizing<String> {
    const SCHEME: &str = "Basic ";
    let secret = secret.expose();
    let most = ENCODED * (id.len() + secret.len()) + ":".len();
    let mut pair = Zeroizing::new(String::with_capacity(most));
    pair.extend(byte_serialize(id.as_bytes()));
    pair.push(':');
    pair.extend(byte_serialize(secret.as_bytes()));
    let most = SCHEME.len() + pair.len().div_ceil(3) * 4;
    let mut value = Zeroizing::new(String::with_capacity(most));
    value.push_str(SCHEME);
    STANDARD.encode_string(pair.as_bytes(), &mut value);
    value
}

/// The maximum length of an encoded byte (RFC 3986, section 2.1).
const ENCODED: usize = "%00".len();

impl fmt::Debug for Form<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Form").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}
