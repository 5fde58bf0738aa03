//! A client of an authorization server: where it asks, and who it is.

use core::fmt;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use thiserror::Error as ThisError;
use url::Url;

use super::context::{GrantKind, RequestContext};
use super::error_response::ErrorResponse;
use super::form::{Credentials, Form};
use super::settings::{ClientAuthentication, ResponseSettings, Settings, is_loopback};
use crate::lifecycle::Failure;
use crate::provider::{Dialect, Provider};
use crate::refresh::ClientBackoff;
use crate::time::Timestamp;
use crate::token::Secret;

/// An OAuth 2.0 client (RFC 6749, section 2) and its authorization server's endpoints. Cloning it
/// is cheap.
#[derive(Clone)]
pub struct Client(Arc<Settings>);

/// Builds a [`Client`].
#[derive(Clone)]
#[must_use]
pub struct ClientBuilder {
    token_endpoint: String,
    revocation_endpoint: Option<String>,
    id: String,
    secret: Option<Secret>,
    authentication: ClientAuthentication,
    fields: Vec<(String, Secret)>,
    reading: ResponseSettings,
    allow_plain_http: bool,
}

/// A client that cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum ClientError {
    /// An endpoint is no URL.
    #[error("the {0} endpoint is not a valid URL: {1}; give one such as https://host/token")]
    Malformed(&'static str, String),
    /// An endpoint is no HTTP URL.
    #[error("the {0} endpoint must be an https URL; its scheme is `{1}`")]
    Scheme(&'static str, String),
    /// An endpoint's URL carries credentials, which would go beside the client's own.
    #[error("the {0} endpoint holds a user name or a password: use `client_secret` instead")]
    Credentials(&'static str),
    /// An endpoint would have secrets sent in the clear.
    #[error("the {0} endpoint is plain http beyond this machine: use https, or `allow_plain_http`")]
    PlainHttp(&'static str),
}

impl Client {
    /// A builder for the token endpoint's URL and the client's identifier.
    pub fn builder(
        token_endpoint: impl Into<String>,
        client_id: impl Into<String>,
    ) -> ClientBuilder {
        ClientBuilder {
            token_endpoint: token_endpoint.into(),
            revocation_endpoint: None,
            id: client_id.into(),
            secret: None,
            authentication: ClientAuthentication::Basic,
            fields: Vec::new(),
            reading: ResponseSettings::default(),
            allow_plain_http: false,
        }
    }

    /// Asks for a new grant with a refresh token (RFC 6749, section 6).
    pub fn refresh(&self, refresh_token: &Secret) -> Form<'_> {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose())];
        self.token(&fields, GrantKind::RefreshToken(refresh_token.clone()))
    }

    /// Asks for a grant of the client's own (RFC 6749, section 4.4).
    pub fn client_credentials(&self) -> Form<'_> {
        self.token(&[("grant_type", "client_credentials")], GrantKind::Client)
    }

    /// Asks for a refresh token to be revoked (RFC 7009, section 2.1); `None` where no endpoint is
    /// known.
    pub fn revocation(&self, refresh_token: &Secret) -> Option<Form<'_>> {
        let url = self.0.revocation_endpoint.as_ref()?;
        let fields = [("token", refresh_token.expose()), ("token_type_hint", "refresh_token")];
        Some(Form::new(url, &self.credentials(), fields, RequestContext::default()))
    }

    /// What all sessions of this client, and of its clones, share while the server does not accept it
    /// (rule B6): for [`session::Builder::client_backoff`](crate::session::Builder::client_backoff)
    /// where the refresher is a closure.
    pub fn backoff(&self) -> ClientBackoff {
        self.0.backoff.clone()
    }

    fn token(&self, fields: &[(&str, &str)], grant: GrantKind) -> Form<'_> {
        let further = self.0.fields.iter().map(|(name, value)| (name.as_str(), value.expose()));
        let fields = fields.iter().copied().chain(further);
        let context = RequestContext::new(&self.0, grant);
        Form::new(&self.0.token_endpoint, &self.credentials(), fields, context)
    }

    fn credentials(&self) -> Credentials<'_> {
        Credentials {
            id: &self.0.id,
            secret: self.0.secret.as_ref(),
            authentication: self.0.authentication,
        }
    }
}

impl ClientBuilder {
    /// The client's secret; without one the client is public.
    pub fn client_secret(mut self, secret: impl Into<Secret>) -> Self {
        self.secret = Some(secret.into());
        self
    }

    /// How the client authenticates, if it has a secret \[basic\].
    pub fn client_authentication(mut self, how: ClientAuthentication) -> Self {
        self.authentication = how;
        self
    }

    /// The scope to ask for [the grant's own].
    pub fn scope(self, scope: impl Into<String>) -> Self {
        self.field("scope", scope)
    }

    /// Which audience the token is for, where a server asks that (Auth0, say).
    pub fn audience(self, audience: impl Into<String>) -> Self {
        self.field("audience", audience)
    }

    /// A resource that the token is for (RFC 8707, section 2). May be called for several.
    pub fn resource(self, resource: impl Into<String>) -> Self {
        self.field("resource", resource)
    }

    /// A further field of each token request. It is held as a secret: it may be a `client_assertion`.
    pub fn field(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.fields.push((name.into(), Secret::new(value)));
        self
    }

    /// Where grants that belong to nobody any more are revoked (RFC 7009) \[nowhere\].
    pub fn revocation_endpoint(mut self, url: impl Into<String>) -> Self {
        self.revocation_endpoint = Some(url.into());
        self
    }

    /// Whose endpoints these are: what its error codes mean, and where its responses hold the tokens.
    /// What it does with a refresh token seen twice is declared in the session's policy.
    pub fn provider(mut self, provider: &Provider) -> Self {
        self.reading.provider = Some(*provider);
        self
    }

    /// Where its responses hold the tokens \[where RFC 6749 has them, or as its `provider` does\].
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.reading.dialect = Some(dialect);
        self
    }

    /// A further `token_type` whose tokens are sent as bearer tokens (RFC 6749, section 7.1).
    pub fn accept_token_type(mut self, token_type: impl Into<String>) -> Self {
        self.reading.token_types.push(token_type.into());
        self
    }

    /// A judgement of one's own of what the server refuses, before the crate's: `None` leaves it to
    /// the crate. Without a delay in it, the server's `Retry-After` counts. For a client that asks for
    /// itself, what is *declined* or *unexplained* becomes *misconfigured* all the same: it has nobody
    /// to log in.
    ///
    /// By RFC 6749, section 5.2, `invalid_grant` is final, also from a server that means something else
    /// by it; this program knows better of one:
    ///
    /// ```
    /// use perennial::lifecycle::Failure;
    /// use perennial::token::Secret;
    /// use perennial::wire::Client;
    ///
    /// let client = Client::builder("https://auth.example.com/token", "my-client")
    ///     .classify(|refusal| {
    ///         let description = refusal.error_description().unwrap_or_default();
    ///         let passing = description.ends_with("already being processed");
    ///         passing.then_some(Failure::Unavailable { retry_after: None })
    ///     })
    ///     .build()?;
    /// let form = client.refresh(&Secret::from("rt-1"));
    /// let response = r#"{"error":"invalid_grant","error_description":"it is already being processed"}"#;
    /// let error = form.read_response(400, [], response.as_bytes()).unwrap_err();
    /// assert_eq!(error.failure(), Failure::Unavailable { retry_after: None });
    /// # Ok::<(), perennial::wire::ClientError>(())
    /// ```
    pub fn classify(
        mut self,
        judge: impl Fn(&ErrorResponse<'_>) -> Option<Failure<Timestamp>> + Send + Sync + 'static,
    ) -> Self {
        self.reading.classify = Some(Arc::new(judge));
        self
    }

    /// Allows endpoints without TLS beyond this machine. For test networks only.
    pub fn allow_plain_http(mut self) -> Self {
        self.allow_plain_http = true;
        self
    }

    /// Builds it.
    ///
    /// # Errors
    /// Names the endpoint that cannot be used, and what would do.
    pub fn build(self) -> Result<Client, ClientError> {
        let endpoint = |name, text: String| check(name, &text, self.allow_plain_http);
        Ok(Client(Arc::new(Settings {
            token_endpoint: endpoint("token", self.token_endpoint)?,
            revocation_endpoint: self
                .revocation_endpoint
                .map(|text| endpoint("revocation", text))
                .transpose()?,
            id: self.id,
            secret: self.secret,
            authentication: self.authentication,
            fields: self.fields,
            reading: self.reading,
            backoff: ClientBackoff::default(),
        })))
    }
}

fn check(name: &'static str, text: &str, plain: bool) -> Result<Url, ClientError> {
    let malformed = |error: url::ParseError| ClientError::Malformed(name, error.to_string());
    let url = Url::parse(text).map_err(malformed)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ClientError::Credentials(name));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if plain || is_loopback(&url) => Ok(url),
        "http" => Err(ClientError::PlainHttp(name)),
        other => Err(ClientError::Scheme(name, other.into())),
    }
}

/// Shows what holds no secret: URLs may, and so may fields.
impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Client")
            .field("host", &self.0.token_endpoint.host_str())
            .field("client_id", &self.0.id)
            .field("client_authentication", &self.0.authentication)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ClientBuilder")
            .field("client_id", &self.id)
            .field("client_authentication", &self.authentication)
            .field("allow_plain_http", &self.allow_plain_http)
            .finish_non_exhaustive()
    }
}
