//! Grants of OAuth 2.0 over `reqwest`: the `refresh_token` grant (RFC 6749, section 6), and the
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
//! TLS is `reqwest`'s, which this crate takes without: a program with https endpoints must enable
//! one of its TLS features in its own `Cargo.toml`, such as `reqwest = { features = ["rustls"] }`.
//!
//! Why not on the `oauth2` crate: it reads an answer in a way that loses its status, `Date` and
//! `Retry-After`, without which rule B6 cannot tell failures apart, and refuses the forms of
//! `expires_in` that rule A4 demands. What it would have spared is a form.
//!
//! Invariants: the request goes to the configured endpoint alone, by a client of its own that
//! follows no redirect, whoever set it up (rule E6); an answer is read up to [`RESPONSE_LIMIT`]; no error holds a
//! secret.

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

/// How long a revocation may take: closing a session waits for it.
const REVOCATION_LIMIT: Duration = Duration::from_secs(30);

/// Asks an authorization server's token endpoint for new grants, with the refresh token of the old
/// one. Needs tokio's runtime, which it captures when built, and whose tasks its requests are (rule
/// C2).
#[derive(Clone, Debug)]
pub struct RefreshGrant(Sender);

/// Asks an authorization server's token endpoint for grants of the client's own: for programs that
/// act for themselves. Build the session [`without_grant`](crate::session::Builder::without_grant),
/// and declare [`Reuse::Unrotated`](crate::lifecycle::Reuse::Unrotated): no refresh token is ever
/// spent, so it may ask again after any failure. Otherwise as [`RefreshGrant`].
#[derive(Clone, Debug)]
pub struct ClientCredentials(Sender);

/// A refresher that cannot be built.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum TransportError {
    /// Neither built within a tokio runtime nor given one.
    #[error("no tokio runtime here: build this inside one, or give its handle to `on`")]
    NoRuntime,
    /// The HTTP client could not be made.
    #[error("the HTTP client could not be made")]
    HttpClient(#[source] reqwest::Error),
}

/// How long a connection may take to be made: well within a refresh deadline of the usual length, so
/// that a server that cannot be reached is not taken for one that does not answer.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// An OAuth client, and what its requests are sent with and from.
#[derive(Clone)]
struct Sender {
    client: Client,
    http: Http,
    runtime: Handle,
}

/// HTTP clients that follow no redirects, whoever made them: one that uses proxies as it is told to, and
/// one for this machine, that uses none. Clones share their connections.
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
    /// Sends from the tokio runtime that this is called in.
    ///
    /// # Errors
    /// Outside a runtime; the error says what to do.
    pub fn new(client: Client) -> Result<Self, TransportError> {
        Sender::here(client).map(Self)
    }

    /// Sends from the tokio runtime with this handle.
    ///
    /// # Errors
    /// Where the HTTP client cannot be made.
    pub fn on(client: Client, runtime: Handle) -> Result<Self, TransportError> {
        Sender::on(client, runtime).map(Self)
    }

    /// Another HTTP client [one that keeps no connections]: for TLS, proxies or timeouts of the program's
    /// own. Whatever its builder says, it follows no redirect with a refresh token, and reaches this machine
    /// without a proxy (rule E6): for that it is made more than once.
    ///
    /// # Errors
    /// Where the HTTP client cannot be made.
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

    /// Rule E6: "The refresh request MUST NOT pass through the interceptor". So it has an HTTP client
    /// of its own. That keeps no connections: one that the server closes while a refresh goes out over it
    /// would leave the outcome unknown.
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
        // Beyond the session's deadline it is listened to for as long again: an answer that comes
        // late still counts (rule B3). One total limit, not one a read.
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

/// A task of the runtime: it goes on while nobody polls this, and ends when this is dropped. So a
/// refresh that a caller began and did not wait for is not left half sent (rule C4).
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

/// Receives the answer and makes a grant, or the right failure, of it.
async fn read(
    response: Response,
    form: &Form<'_>,
    time_left: Duration,
) -> Result<Grant, RefreshError> {
    if response.url().as_str() != form.url() {
        // Rule E6. What another server says is nobody's word; what it does with the token, unknown.
        return Err(RefreshError::unknown("the token request was led on to another URL"));
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
        // What the status says of a failure is not to wait for a body that never ends.
        let timed_out =
            |_| Err(RefreshError::unknown("the answer came in part, and then timed out"));
        tokio::time::timeout(time_left / 2, reading).await.unwrap_or_else(timed_out)
    };
    head.read(&body, ended, form.context())
}

/// Receives the body up to the limit, and tells what kept it from being read to its end.
async fn receive(
    mut response: Response,
    body: &mut Zeroizing<Vec<u8>>,
) -> Result<(), RefreshError> {
    while let Some(chunk) = response.chunk().await.transpose() {
        let chunk = chunk.map_err(|error| not_answered(error, "the answer came in part"))?;
        if body.len() + chunk.len() > RESPONSE_LIMIT {
            let text = format!("the response is larger than {RESPONSE_LIMIT} bytes");
            return Err(RefreshError::unknown(text));
        }
        append(body, &chunk);
    }
    Ok(())
}

/// Tells a request that cannot have been honoured from one that may have been (rule B6).
fn not_answered(error: reqwest::Error, at: &str) -> RefreshError {
    // The URL could hold secrets of the program's.
    let error = error.without_url();
    if error.is_builder() {
        return RefreshError::unavailable("the token request could not be made").with_source(error);
    }
    // Made, or not made: once there is a connection, it cannot be told what of the request arrived.
    if error.is_connect() {
        let text = format!("the token endpoint could not be reached: {}", obstacle(&error));
        return RefreshError::unavailable(text).with_source(error);
    }
    let what = if error.is_timeout() { "timed out" } else { "broke off" };
    RefreshError::unknown(format!("{at}, and then {what}")).with_source(error)
}

/// What kept a connection from being made, in a few words; the source underneath says more.
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

    /// Revokes the grant's refresh token, where an endpoint is known (RFC 7009, section 2.1).
    fn revoke(&self, grant: Grant) -> impl Future<Output = ()> + Send + 'static {
        let this = self.0.clone();
        let mut task = Task(self.0.runtime.spawn(async move {
            if let Some(form) = grant.refresh_token().and_then(|it| this.client.revocation(it)) {
                // As best it can: there is nobody left to tell.
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
