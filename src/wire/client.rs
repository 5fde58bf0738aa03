//! A client of an authorization server: its endpoints and its credentials.

use core::fmt;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use thiserror::Error as ThisError;
use url::Url;

use super::context::{GrantKind, RequestContext};
use super::error_response::ErrorResponse;
use super::form::{Form, FormCredentials};
use super::settings::{ClientAuthentication, ClientSettings, ResponseSettings, is_loopback};
use crate::lifecycle::Failure;
use crate::provider::{Dialect, Provider};
use crate::refresh::ClientBackoff;
use crate::time::Timestamp;
use crate::token::Secret;

/// An OAuth 2.0 client (RFC 6749, section 2) and the endpoints of its authorization server. Cheap
/// to clone.
#[derive(Clone)]
pub struct Client(Arc<ClientSettings>);

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

/// Why a client cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum ClientError {
    /// An endpoint is not a valid URL.
    #[error("the {0} endpoint is not a valid URL: {1}; give one such as https://host/token")]
    Malformed(&'static str, String),
    /// An endpoint is not an HTTP URL.
    #[error("the {0} endpoint must be an https URL; its scheme is `{1}`")]
    Scheme(&'static str, String),
    /// The URL of an endpoint holds credentials, which would be sent besides the client's own.
    #[error("the {0} endpoint holds a user name or a password: use `client_secret` instead")]
    Credentials(&'static str),
    /// Secrets would be sent to an endpoint in the clear.
    #[error("the {0} endpoint is plain http beyond this machine: use https, or `allow_plain_http`")]
    PlainHttp(&'static str),
}

impl Client {
    /// Returns a builder for a client with this identifier, at the token endpoint with this URL.
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

    /// Returns a request for a new grant with a refresh token (RFC 6749, section 6).
    pub fn refresh(&self, refresh_token: &Secret) -> Form<'_> {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose())];
        self.token(&fields, GrantKind::RefreshToken(refresh_token.clone()))
    }

    /// Returns a request for a client credentials grant (RFC 6749, section 4.4).
    pub fn client_credentials(&self) -> Form<'_> {
        self.token(&[("grant_type", "client_credentials")], GrantKind::Client)
    }

    /// Returns a request to revoke a refresh token (RFC 7009, section 2.1); `None` without a
    /// revocation endpoint.
    pub fn revocation(&self, refresh_token: &Secret) -> Option<Form<'_>> {
        let url = self.0.revocation_endpoint.as_ref()?;
        let fields = [("token", refresh_token.expose()), ("token_type_hint", "refresh_token")];
        Some(Form::new(url, &self.credentials(), fields, RequestContext::default()))
    }

    /// Returns the backoff that all sessions of this client and its clones share while the server
    /// does not accept the client. Pass it to
    /// [`session::Builder::client_backoff`](crate::session::Builder::client_backoff) if the
    /// refresher is a closure.
    pub fn backoff(&self) -> ClientBackoff {
        self.0.backoff.clone()
    }

    fn token(&self, fields: &[(&str, &str)], grant: GrantKind) -> Form<'_> {
        let further = self.0.fields.iter().map(|(name, value)| (name.as_str(), value.expose()));
        let fields = fields.iter().copied().chain(further);
        let context = RequestContext::new(&self.0, grant);
        Form::new(&self.0.token_endpoint, &self.credentials(), fields, context)
    }

    fn credentials(&self) -> FormCredentials<'_> {
        FormCredentials {
            id: &self.0.id,
            secret: self.0.secret.as_ref(),
            authentication: self.0.authentication,
        }
    }
}

impl ClientBuilder {
    /// Sets the client's secret. Default: none, for a public client.
    pub fn client_secret(mut self, secret: impl Into<Secret>) -> Self {
        self.secret = Some(secret.into());
        self
    }

    /// Sets how a client with a secret authenticates. Default: [`ClientAuthentication::Basic`].
    pub fn client_authentication(mut self, how: ClientAuthentication) -> Self {
        self.authentication = how;
        self
    }

    /// Sets the scope to request. Default: that of the grant.
    pub fn scope(self, scope: impl Into<String>) -> Self {
        self.field("scope", scope)
    }

    /// Sets the audience of the token, for servers that require it, such as Auth0.
    pub fn audience(self, audience: impl Into<String>) -> Self {
        self.field("audience", audience)
    }

    /// Adds a resource that the token is for (RFC 8707, section 2).
    pub fn resource(self, resource: impl Into<String>) -> Self {
        self.field("resource", resource)
    }

    /// Adds a field to each token request. It is held as a secret, since it may be a
    /// `client_assertion`.
    pub fn field(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.fields.push((name.into(), Secret::new(value)));
        self
    }

    /// Sets the endpoint at which grants that are no longer used are revoked (RFC 7009). Default:
    /// none.
    pub fn revocation_endpoint(mut self, url: impl Into<String>) -> Self {
        self.revocation_endpoint = Some(url.into());
        self
    }

    /// Sets the provider, for the meaning of its error codes and the form of its responses. Reuse
    /// of refresh tokens is declared in the session's policy.
    pub fn provider(mut self, provider: &Provider) -> Self {
        self.reading.provider = Some(*provider);
        self
    }

    /// Sets where the responses hold the tokens. Default: as for the `provider`, or as in RFC 6749.
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.reading.dialect = Some(dialect);
        self
    }

    /// Adds a `token_type` whose tokens are sent as bearer tokens (RFC 6749, section 7.1).
    pub fn accept_token_type(mut self, token_type: impl Into<String>) -> Self {
        self.reading.token_types.push(token_type.into());
        self
    }

    /// Sets a function that classifies error responses; `None` leaves one to the crate. If the
    /// failure has no delay, the server's `Retry-After` applies. With the client credentials grant,
    /// *declined* and *unexplained* become *misconfigured*, since there is no user to log in.
    ///
    /// By RFC 6749, section 5.2, `invalid_grant` is final. This example is for a server that also
    /// returns it for a temporary failure:
    ///
    /// ```
    /// use perennial::lifecycle::Failure;
    /// use perennial::token::Secret;
    /// use perennial::wire::Client;
    ///
    /// let client = Client::builder("https://auth.example.com/token", "my-client")
    ///     .classify(|response| {
    ///         let description = response.error_description().unwrap_or_default();
    ///         let passing = description.ends_with("already being processed");
    ///         passing.then_some(Failure::Unavailable { retry_after: None })
    ///     })
    ///     .build()?;
    /// let form = client.refresh(&Secret::from("rt-1"));
    /// let body = r#"{"error":"invalid_grant","error_description":"it is already being processed"}"#;
    /// let error = form.read_response(400, [], body.as_bytes()).unwrap_err();
    /// assert_eq!(error.failure(), Failure::Unavailable { retry_after: None });
    /// # Ok::<(), perennial::wire::ClientError>(())
    /// ```
    pub fn classify(
        mut self,
        classify: impl Fn(&ErrorResponse<'_>) -> Option<Failure<Timestamp>> + Send + Sync + 'static,
    ) -> Self {
        self.reading.classify = Some(Arc::new(classify));
        self
    }

    /// Allows endpoints over plain http beyond this machine. For test networks only.
    pub fn allow_plain_http(mut self) -> Self {
        self.allow_plain_http = true;
        self
    }

    /// Builds the client.
    ///
    /// # Errors
    /// If an endpoint cannot be used; the error says which, and what to use instead.
    pub fn build(self) -> Result<Client, ClientError> {
        let endpoint = |name, text: String| checked_endpoint(name, &text, self.allow_plain_http);
        Ok(Client(Arc::new(ClientSettings {
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

/// Parses the URL of an endpoint that secrets, or keys, are exchanged with.
pub(crate) fn checked_endpoint(
    name: &'static str,
    text: &str,
    plain: bool,
) -> Result<Url, ClientError> {
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

/// Leaves out what may hold secrets: URLs and fields.
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
