//! One request to a token or revocation endpoint: a form (RFC 6749, appendix B).

use core::fmt;
use std::prelude::rust_2024::*;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::zeroize::Zeroizing;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::ClientAuthentication;
use super::answer::Head;
use super::question::Question;
use crate::refresh::RefreshError;
use crate::token::{Grant, Secret};

/// A request that is to be sent by POST, by whatever HTTP client. It holds secrets.
///
/// The client that sends it must follow no redirects, and must not pass it through an interceptor
/// that waits for its answer (rule E6).
pub struct Form<'a> {
    url: &'a Url,
    authorization: Option<Zeroizing<String>>,
    body: Zeroizing<String>,
    question: Question<'a>,
}

/// Who asks, and how it shows that.
pub(super) struct Credentials<'a> {
    pub(super) id: &'a str,
    pub(super) secret: Option<&'a Secret>,
    pub(super) authentication: ClientAuthentication,
}

impl<'a> Form<'a> {
    /// A form of `fields`, with the client's authentication (RFC 6749, section 2.3.1).
    pub(super) fn new<'f>(
        url: &'a Url,
        credentials: &Credentials<'_>,
        fields: impl IntoIterator<Item = (&'f str, &'f str)>,
        question: Question<'a>,
    ) -> Self {
        let mut body = Serializer::new(String::new());
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
        Self { url, authorization, body: Zeroizing::new(body.finish()), question }
    }

    /// Where it goes. May hold secrets of the program's, in its query.
    pub fn url(&self) -> &'a str {
        self.url.as_str()
    }

    /// Its headers. The value of `authorization` is a secret.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let authorization = self.authorization.as_ref().map(|it| ("authorization", it.as_str()));
        [("content-type", "application/x-www-form-urlencoded"), ("accept", "application/json")]
            .into_iter()
            .chain(authorization)
    }

    /// Makes a grant, or the right failure, of the answer to this request: as
    /// [`read_answer`](super::read_answer), which does not know what was asked, of whom, nor with what
    /// refresh token.
    ///
    /// # Errors
    /// As for [`read_answer`](super::read_answer).
    pub fn read_answer<'h>(
        &self,
        status: u16,
        headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
        body: &[u8],
    ) -> Result<Grant, RefreshError> {
        Head::new(status, headers)?.answer(body, Ok(()), &self.question)
    }

    /// Whether it goes to this machine, and so past any proxy, which could read it (rule E6).
    #[cfg(any(feature = "oauth2", feature = "ureq"))]
    pub(crate) fn is_local(&self) -> bool {
        super::client::is_loopback(self.url)
    }

    /// What its answer answers.
    #[cfg(any(feature = "oauth2", feature = "ureq"))]
    pub(crate) fn question(&self) -> &Question<'a> {
        &self.question
    }

    /// Its body. It holds secrets.
    pub fn body(&self) -> &str {
        &self.body
    }
}

/// Both parts are encoded before they are joined (RFC 6749, section 2.3.1).
fn basic(id: &str, secret: &Secret) -> Zeroizing<String> {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = Zeroizing::new(format!("{}:{}", encoded(id), encoded(secret.expose())));
    Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())))
}

impl fmt::Debug for Form<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Form").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}
