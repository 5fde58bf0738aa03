//! OAuth 2.0 grants over `ureq`, for programs without an async runtime.

use core::time::Duration;
use std::io::{self, Read as _};
use std::prelude::rust_2024::*;

use secrecy::zeroize::Zeroizing;
use ureq::{Agent, Error, ResponseExt as _, Timeout};

use crate::refresh::{RefreshError, Request};
use crate::token::Grant;
use crate::wire::{Client, Form, RESPONSE_LIMIT, TokenResponseHead, append};

/// The limit for connecting, if the program's agent sets none.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Returns a refresher for the `refresh_token` grant (RFC 6749, section 6), for
/// [`Session::builder_blocking`](crate::session::Session::builder_blocking).
///
/// ```no_run
/// use perennial::adapters::ureq::refresh_grant;
/// use perennial::session::Session;
/// use perennial::token::Grant;
/// use perennial::wire::Client;
///
/// let client = Client::builder("https://auth.example.com/token", "my-client").build()?;
/// let session = Session::builder_blocking(refresh_grant(client.clone()))
///     .client_backoff(client.backoff()) // where several sessions share the client
///     .grant(Grant::of_refresh_token("the refresh token of a login"))
///     .build()?;
/// let token = session.token_blocking()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn refresh_grant(
    client: Client,
) -> impl Fn(Request) -> Result<Grant, RefreshError> + Send + Sync + 'static {
    refresh_grant_through(client, agent())
}

/// Returns a [`refresh_grant`] that uses this agent: for TLS, proxies or a resolver of your own.
///
/// The agent must not have the middleware that uses this grant ([E6](crate::spec#e-requests)).
/// Redirects are not followed, whatever the agent's setting, and this machine is reached without a
/// proxy. If a middleware of the agent's sends the request to another URL, the response is not
/// used.
pub fn refresh_grant_through(
    client: Client,
    agent: Agent,
) -> impl Fn(Request) -> Result<Grant, RefreshError> + Send + Sync + 'static {
    move |request| {
        let Some(refresh_token) = request.refresh_token() else {
            return Err(RefreshError::declined("the grant has no refresh token: log in again"));
        };
        send_form(&agent, &client.refresh(refresh_token), request.time_left())
    }
}

/// Returns a refresher for the `client_credentials` grant (RFC 6749, section 4.4).
///
/// Build the session [`without_grant`](crate::session::Builder::without_grant), and declare
/// [`Reuse::Unrotated`](crate::lifecycle::Reuse::Unrotated): no refresh token is used, so it is
/// safe to ask again after any failure.
pub fn client_credentials(
    client: Client,
) -> impl Fn(Request) -> Result<Grant, RefreshError> + Send + Sync + 'static {
    let agent = agent();
    move |request| send_form(&agent, &client.client_credentials(), request.time_left())
}

/// Returns an agent that keeps no connections: one that the server closes while a refresh is sent
/// over it would leave the outcome unknown.
fn agent() -> Agent {
    Agent::config_builder().max_idle_connections(0).build().into()
}

fn send_form(agent: &Agent, form: &Form<'_>, time_left: Duration) -> Result<Grant, RefreshError> {
    // Twice the session's deadline: a late response still counts (rule B3). It is for the whole
    // request, not for each read.
    let limit = time_left.saturating_mul(2).max(Duration::from_millis(1));
    let request = agent.post(form.url()).config();
    // An unreachable server must not be mistaken for one that does not respond.
    let connect = agent.config().timeouts().connect.unwrap_or(CONNECT_LIMIT).min(time_left / 2);
    let request = request.timeout_connect(Some(connect.max(Duration::from_millis(1))));
    let request = request.timeout_global(Some(limit)).http_status_as_error(false);
    let request = request.max_redirects(0).max_redirects_will_error(false);
    // Rule E6: "MUST NOT be led on by a redirect, nor, on this machine, pass through a proxy".
    let request = if form.is_local() { request.proxy(None) } else { request };
    let request = request.save_redirect_history(true).build();
    let request =
        form.header_values().fold(request, |request, (name, value)| request.header(name, value));
    let mut response = request.send(form.body()).map_err(|error| not_sent(&error))?;
    if was_led_on(&response, form) {
        return Err(RefreshError::unknown(
            "the token request was redirected to another URL: use an agent whose middleware follows no \
             redirects",
        ));
    }
    let headers = response.headers().clone();
    let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let head = TokenResponseHead::new(response.status().as_u16(), pairs)?;
    if !head.needs_body() {
        return head.read(&[], Ok(()), form.context());
    }
    let (body, ended) = body(&mut response);
    head.read(&body, ended, form.context())
}

/// Whether it is the response to another request, which some middleware made of this one.
fn was_led_on(response: &http::Response<ureq::Body>, form: &Form<'_>) -> bool {
    let asked = form.url().parse::<http::Uri>();
    let history = response.get_redirect_history();
    history
        .is_some_and(|history| history.iter().any(|uri| !asked.as_ref().is_ok_and(|it| it == uri)))
}

/// Returns the body up to the limit, and the error that kept it from being read to its end.
fn body(
    response: &mut http::Response<ureq::Body>,
) -> (Zeroizing<Vec<u8>>, Result<(), RefreshError>) {
    // The data is read through this buffer.
    let mut chunk = Zeroizing::new([0; 4096]);
    let mut body = Zeroizing::new(Vec::new());
    let mut reader = response.body_mut().with_config().limit(u64::MAX).reader();
    loop {
        match reader.read(&mut chunk[..]) {
            Ok(0) => return (body, Ok(())),
            Ok(length) => append(&mut body, &chunk[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (body, Err(broken_off(&error))),
        }
        if body.len() > RESPONSE_LIMIT {
            let text = format!("the response is larger than {RESPONSE_LIMIT} bytes");
            return (body, Err(RefreshError::unknown(text)));
        }
    }
}

fn broken_off(error: &io::Error) -> RefreshError {
    let what = if error.kind() == io::ErrorKind::TimedOut { "timed out" } else { "broke off" };
    RefreshError::unknown(format!("the response came in part, and then {what}"))
        .with_source(Reason(error.kind().to_string()))
}

/// Distinguishes a request that cannot have had an effect from one that may have (rule B6).
/// `ureq`'s own errors may contain the URL, which could hold secrets; so only their kind is shown.
#[expect(clippy::wildcard_enum_match_arm, reason = "the rest may grow, and is unknown")]
fn not_sent(error: &Error) -> RefreshError {
    let unreachable = |why: &str| {
        RefreshError::unavailable(format!("the token endpoint could not be reached: {why}"))
            .with_source(Reason(why.to_owned()))
    };
    match error {
        Error::HostNotFound => unreachable("the host was not found"),
        Error::ConnectionFailed => unreachable("no connection could be made"),
        Error::ConnectProxyFailed(_) | Error::InvalidProxyUrl => {
            unreachable("no connection through the proxy")
        }
        Error::Tls(_) | Error::TlsRequired => unreachable("no TLS connection"),
        Error::Timeout(Timeout::Resolve | Timeout::Connect) => unreachable("connecting timed out"),
        Error::Io(error) => match before_sending(error) {
            Some(why) => unreachable(why),
            None => RefreshError::unknown("the token request was sent, and then broke off")
                .with_source(Reason(error.kind().to_string())),
        },
        Error::BadUri(_) | Error::Http(_) | Error::RequireHttpsOnly(_) => {
            RefreshError::unavailable("the token request could not be made")
        }
        Error::Timeout(_) => {
            RefreshError::unknown("the token request was sent, and then timed out")
        }
        _ => RefreshError::unknown("the token request was sent, and then broke off"),
    }
}

/// Describes an I/O error, if it is one that occurs only before anything is sent. A connection may
/// be reset, or a host become unreachable, at any time.
fn before_sending(error: &io::Error) -> Option<&'static str> {
    // The standard library's message for a failed name lookup, and rustls's for an untrusted
    // certificate: neither has a kind of its own.
    let says = |words: &str| error.raw_os_error().is_none() && error.to_string().starts_with(words);
    let kinds = [
        (io::ErrorKind::ConnectionRefused, "connection refused"),
        (io::ErrorKind::AddrNotAvailable, "no address of this machine is free for it"),
    ];
    if let Some((_, why)) = kinds.into_iter().find(|(kind, _)| *kind == error.kind()) {
        return Some(why);
    }
    let words = [
        ("failed to lookup address information", "the host was not found"),
        ("invalid peer certificate", "its certificate is not trusted"),
    ];
    words.into_iter().find(|(words, _)| says(words)).map(|(_, why)| why)
}

/// What `ureq` reported, without anything that may be secret.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Reason(String);
