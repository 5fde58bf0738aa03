//! OAuth 2.0 grants over `reqwest`: the `refresh_token` grant (RFC 6749, section 6), and the
//! `client_credentials` grant (section 4.4).
//!
//! ```no_run
//! use perennial::adapters::oauth2::RefreshGrant;
//! use perennial::session::Session;
//! use perennial::token::Grant;
//! use perennial::wire::Client;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder("https://auth.example.com/token", "my-client")
//!     .client_secret("my-secret")
//!     .build()?;
//! let session = Session::builder_with(RefreshGrant::new(client)?)
//!     .grant(Grant::of_refresh_token("the refresh token of a login"))
//!     .build()?;
//! # Ok(())
//! # }
//! ```
//!
//! This crate enables no TLS feature of `reqwest`. For https endpoints, enable one in your own
//! `Cargo.toml`, such as `reqwest = { features = ["rustls"] }`.
//!
//! The `oauth2` crate is not used: it drops a response's status, `Date` and `Retry-After`, which
//! are needed to tell failures apart ([B6](crate::spec#b-the-client-machine)), and rejects forms of
//! `expires_in` that are in use ([A4](crate::spec#a-time)). It would only save building a form.
//!
//! Invariants: the request goes only to the configured endpoint, by a separate client that follows
//! no redirect, even if the program supplied it ([E6](crate::spec#e-requests)); at most
//! [`RESPONSE_LIMIT`] of a response is read; no error contains a secret.

use core::fmt;
use core::future::Future;
use core::time::Duration;
use std::error::Error as _;
use std::io;
use std::prelude::rust_2024::*;

use bytes::Bytes;
use reqwest::header::HeaderName;
use reqwest::{RequestBuilder, Response, redirect};
use secrecy::zeroize::Zeroizing;
use thiserror::Error as ThisError;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::refresh::{ClientBackoff, Refresh, RefreshError, Request};
use crate::token::Grant;
use crate::wire::{Client, Form, RESPONSE_LIMIT, TokenResponseHead, append};

/// The limit of a revocation, for which closing a session waits.
const REVOCATION_LIMIT: Duration = Duration::from_secs(30);

/// Requests new grants from an authorization server's token endpoint, with the refresh token of the
/// old one.
///
/// It needs a tokio runtime, which it captures when built; each request is a task of that runtime.
#[derive(Clone, Debug)]
pub struct RefreshGrant(Sender);

/// Requests grants for the client itself from an authorization server's token endpoint.
///
/// Build the session [`without_grant`](crate::session::Builder::without_grant), and declare
/// [`Reuse::Unrotated`](crate::lifecycle::Reuse::Unrotated): no refresh token is used, so it is
/// safe to ask again after any failure. Otherwise like [`RefreshGrant`].
#[derive(Clone, Debug)]
pub struct ClientCredentials(Sender);

/// The error for a refresher that cannot be built.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum TransportError {
    /// It was neither built within a tokio runtime nor given one.
    #[error("no tokio runtime here: build this inside one, or pass its handle to `on`")]
    NoRuntime,
    /// The HTTP client could not be built.
    #[error("the HTTP client could not be built")]
    HttpClient(#[source] reqwest::Error),
}

/// The limit for connecting: well within a refresh deadline of the usual length, so that an
/// unreachable server is not mistaken for one that does not respond.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// An OAuth client, and what its requests are sent with and from.
#[derive(Clone)]
struct Sender {
    client: Client,
    http: Http,
    runtime: Handle,
}

/// HTTP clients that follow no redirects: one that uses proxies as configured, and one for this
/// machine, that uses none. Clones share their connections.
#[derive(Clone)]
struct Http {
    abroad: reqwest::Client,
    local: reqwest::Client,
}

impl Http {
    /// Rule E6: "MUST NOT be led on by a redirect, nor, on this machine, pass through a proxy".
    fn of(make: impl Fn() -> reqwest::ClientBuilder) -> Result<Self, TransportError> {
        let make = || make().redirect(redirect::Policy::none());
        let abroad = make().build().map_err(TransportError::HttpClient)?;
        let local = make().no_proxy().build().map_err(TransportError::HttpClient)?;
        Ok(Self { abroad, local })
    }
}

impl RefreshGrant {
    /// Creates a refresher on the tokio runtime in which this is called.
    ///
    /// # Errors
    /// [`TransportError::NoRuntime`] outside a runtime, [`TransportError::HttpClient`] if the HTTP
    /// client cannot be built.
    pub fn new(client: Client) -> Result<Self, TransportError> {
        Sender::here(client).map(Self)
    }

    /// Creates a refresher on the tokio runtime with this handle.
    ///
    /// # Errors
    /// [`TransportError::HttpClient`] if the HTTP client cannot be built.
    pub fn on(client: Client, runtime: Handle) -> Result<Self, TransportError> {
        Sender::on(client, runtime).map(Self)
    }

    /// Sets how the HTTP client is built: for TLS, proxies or timeouts of your own. Default: a
    /// client that keeps no connections.
    ///
    /// Whatever the builder says, it does not follow redirects, and connects to this machine
    /// without a proxy ([E6](crate::spec#e-requests)). `make` is called more than once for that.
    ///
    /// # Errors
    /// [`TransportError::HttpClient`] if the HTTP client cannot be built.
    pub fn http_client(
        mut self,
        make: impl Fn() -> reqwest::ClientBuilder,
    ) -> Result<Self, TransportError> {
        self.0.http = Http::of(make)?;
        Ok(self)
    }
}

impl ClientCredentials {
    /// As [`RefreshGrant::new`].
    ///
    /// # Errors
    /// As for [`RefreshGrant::new`].
    pub fn new(client: Client) -> Result<Self, TransportError> {
        Sender::here(client).map(Self)
    }

    /// As [`RefreshGrant::on`].
    ///
    /// # Errors
    /// As for [`RefreshGrant::on`].
    pub fn on(client: Client, runtime: Handle) -> Result<Self, TransportError> {
        Sender::on(client, runtime).map(Self)
    }

    /// As [`RefreshGrant::http_client`].
    ///
    /// # Errors
    /// As for [`RefreshGrant::http_client`].
    pub fn http_client(
        mut self,
        make: impl Fn() -> reqwest::ClientBuilder,
    ) -> Result<Self, TransportError> {
        self.0.http = Http::of(make)?;
        Ok(self)
    }
}

impl Sender {
    fn here(client: Client) -> Result<Self, TransportError> {
        let runtime = Handle::try_current().map_err(|_| TransportError::NoRuntime)?;
        Self::on(client, runtime)
    }

    /// Rule E6: "The refresh request MUST NOT pass through the interceptor". So it has a separate
    /// HTTP client, which keeps no connections: one that the server closes while a refresh is sent
    /// over it would leave the outcome unknown.
    fn on(client: Client, runtime: Handle) -> Result<Self, TransportError> {
        let make = || {
            let http = reqwest::Client::builder().pool_max_idle_per_host(0);
            http.connect_timeout(CONNECT_LIMIT)
        };
        let http = Http::of(make)?;
        Ok(Self { client, http, runtime })
    }

    fn request(&self, form: &Form<'_>) -> RequestBuilder {
        let headers = form.header_values();
        let headers = headers.map(|(name, value)| (HeaderName::from_static(name), value)).collect();
        let http = if form.is_local() { &self.http.local } else { &self.http.abroad };
        let request = http.post(form.url()).headers(headers);
        // Zeroised with its last clone.
        request.body(Bytes::from_owner(Zeroizing::new(form.body().as_bytes().to_vec())))
    }

    async fn send_form(&self, form: &Form<'_>, time_left: Duration) -> Result<Grant, RefreshError> {
        // The limit is twice the session's deadline: a late response still counts (rule B3). It is
        // for the whole request, not for each read.
        let limit = time_left.saturating_mul(2).max(Duration::from_millis(1));
        let sent = self.request(form).timeout(limit).send().await;
        let response = sent.map_err(|error| not_answered(error, "the token request was sent"))?;
        read(response, form, time_left).await
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sender").field("client", &self.client).finish_non_exhaustive()
    }
}

/// A task of the runtime: it makes progress while nobody polls this, and ends when this is dropped.
/// So a refresh that a caller started and did not wait for is not left half sent (rule C4).
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Task<Result<Grant, RefreshError>> {
    async fn grant(mut self) -> Result<Grant, RefreshError> {
        let ended = |_| Err(RefreshError::unknown("the runtime ended before the refresh did"));
        (&mut self.0).await.unwrap_or_else(ended)
    }
}

/// Receives the response and converts it to a grant or the matching failure.
async fn read(
    response: Response,
    form: &Form<'_>,
    time_left: Duration,
) -> Result<Grant, RefreshError> {
    if response.url().as_str() != form.url() {
        // Rule E6. The response of another server proves nothing, and what it does with the token
        // is unknown.
        return Err(RefreshError::unknown("the token request was redirected to another URL"));
    }
    let headers = response.headers().clone();
    let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let head = TokenResponseHead::new(response.status().as_u16(), pairs)?;
    if !head.needs_body() {
        return head.read(&[], Ok(()), form.context());
    }
    let mut body = Zeroizing::new(Vec::new());
    let reading = receive(response, &mut body);
    let ended = if head.is_success() {
        reading.await
    } else {
        // A failure that the status reveals does not wait for a body that never ends.
        let timed_out =
            |_| Err(RefreshError::unknown("the response came in part, and then timed out"));
        tokio::time::timeout(time_left / 2, reading).await.unwrap_or_else(timed_out)
    };
    head.read(&body, ended, form.context())
}

/// Receives the body up to the limit, and the error that kept it from being read to its end.
async fn receive(
    mut response: Response,
    body: &mut Zeroizing<Vec<u8>>,
) -> Result<(), RefreshError> {
    while let Some(chunk) = response.chunk().await.transpose() {
        let chunk = chunk.map_err(|error| not_answered(error, "the response came in part"))?;
        if body.len() + chunk.len() > RESPONSE_LIMIT {
            let text = format!("the response is larger than {RESPONSE_LIMIT} bytes");
            return Err(RefreshError::unknown(text));
        }
        append(body, &chunk);
    }
    Ok(())
}

/// Distinguishes a request that cannot have had an effect from one that may have (rule B6).
fn not_answered(error: reqwest::Error, at: &str) -> RefreshError {
    // The URL could contain secrets.
    let error = error.without_url();
    if error.is_builder() {
        return RefreshError::unavailable("the token request could not be made").with_source(error);
    }
    // Once there is a connection, it is not known what of the request arrived.
    if error.is_connect() {
        let text = format!("the token endpoint could not be reached: {}", obstacle(&error));
        return RefreshError::unavailable(text).with_source(error);
    }
    let what = if error.is_timeout() { "timed out" } else { "broke off" };
    RefreshError::unknown(format!("{at}, and then {what}")).with_source(error)
}

/// Says in a few words why a connection failed; the source has the details.
fn obstacle(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "connecting timed out".into();
    }
    let mut underneath = error.source();
    while let Some(error) = underneath {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return match error.raw_os_error() {
                Some(_) => error.kind().to_string(),
                None => "its name could not be resolved, or no TLS connection be made".into(),
            };
        }
        underneath = error.source();
    }
    "no connection could be made".into()
}

impl Refresh for RefreshGrant {
    fn refresh(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<Grant, RefreshError>> + Send + 'static {
        let this = self.0.clone();
        let task = self.0.runtime.spawn(async move {
            let Some(refresh_token) = request.refresh_token() else {
                let text = "the grant has no refresh token: log in again";
                return Err(RefreshError::declined(text));
            };
            this.send_form(&this.client.refresh(refresh_token), request.time_left()).await
        });
        Task(task).grant()
    }

    fn client_backoff(&self) -> Option<ClientBackoff> {
        Some(self.0.client.backoff())
    }

    /// Revokes the grant's refresh token, if the endpoint is known (RFC 7009, section 2.1).
    fn revoke(&self, grant: Grant) -> impl Future<Output = ()> + Send + 'static {
        let this = self.0.clone();
        let mut task = Task(self.0.runtime.spawn(async move {
            if let Some(form) = grant.refresh_token().and_then(|it| this.client.revocation(it)) {
                // Best effort: there is nobody left to notify.
                drop(this.request(&form).timeout(REVOCATION_LIMIT).send().await);
            }
        }));
        async move { (&mut task.0).await.unwrap_or_default() }
    }
}

impl Refresh for ClientCredentials {
    fn refresh(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<Grant, RefreshError>> + Send + 'static {
        let this = self.0.clone();
        let task = self.0.runtime.spawn(async move {
            this.send_form(&this.client.client_credentials(), request.time_left()).await
        });
        Task(task).grant()
    }

    fn client_backoff(&self) -> Option<ClientBackoff> {
        Some(self.0.client.backoff())
    }
}
