//! Verifies access tokens by asking their authorization server (RFC 7662).

use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use http::header::{HeaderName, RETRY_AFTER};
use http::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::answers::{Answer, Answers};
use super::claims::Claims;
use super::document::seconds;
use super::http::{AnyHttpClient, HttpClient, SendError};
use super::jwt_verifier::LONGEST;
use super::shared_clock::AnyClock;
use crate::clock::{Clock, Timer};
use crate::issue::{AuthenticationError, Identity, TokenVerifier, Unchecked};
use crate::thread_timer::ThreadTimer;
use crate::time::{Span, Timestamp};
use crate::token::Secret;
use crate::wire::{ClientError, RESPONSE_LIMIT, checked_endpoint, introspection};

/// Verifies access tokens, also opaque ones, by asking their authorization server about each. Clones
/// are handles to the same verifier, with one cache.
///
/// A revoked token is rejected once the answer about it that is kept is over: after
/// [`max_age`](IntrospectionBuilder::max_age) at the latest.
#[derive(Clone)]
pub struct Introspection(Arc<Inner>);

struct Inner {
    url: Url,
    settings: IntrospectionBuilder,
    answers: Answers,
}

/// Builds an [`Introspection`].
#[must_use]
pub struct IntrospectionBuilder {
    url: String,
    id: String,
    secret: Secret,
    http: Arc<dyn AnyHttpClient>,
    issuer: Option<String>,
    audience: Option<String>,
    max_age: Span,
    inactive_max_age: Span,
    capacity: usize,
    time_limit: Duration,
    clock: AnyClock,
    timer: Arc<dyn Timer>,
    allow_plain_http: bool,
}

impl Introspection {
    /// Returns a builder for a verifier that asks the introspection endpoint at `url`, and
    /// authenticates there as the client `id` with `secret`, in a header.
    pub fn builder(
        url: impl Into<String>,
        id: impl Into<String>,
        secret: impl Into<Secret>,
        http: impl HttpClient,
    ) -> IntrospectionBuilder {
        IntrospectionBuilder {
            url: url.into(),
            id: id.into(),
            secret: secret.into(),
            http: Arc::new(http),
            issuer: None,
            audience: None,
            max_age: Span::from_secs(60),
            inactive_max_age: Span::from_secs(5),
            capacity: 10_000,
            time_limit: Duration::from_secs(10),
            clock: AnyClock::default(),
            timer: Arc::new(ThreadTimer::new()),
            allow_plain_http: false,
        }
    }
}

impl IntrospectionBuilder {
    /// Requires this issuer (`iss`) in each answer. Default: any, since only the authorization server
    /// can answer.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// Requires this audience (`aud`, the identifier of this resource server) in each answer. Default:
    /// any, since opaque tokens often have none. Without it a token for another resource server of the
    /// same authorization server is accepted.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Sets for how long an answer about an active token is used, unless the token expires before.
    /// Zero: each request asks. Default: 1 min.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age.into();
        self
    }

    /// Sets for how long an answer about a token that is not active is used. Default: 5 s.
    pub fn inactive_max_age(mut self, max_age: Duration) -> Self {
        self.inactive_max_age = max_age.into();
        self
    }

    /// Sets how many answers about active tokens are kept at most, and as many about others. Once
    /// that many are kept, the half that was not used last is dropped. Default: 10,000.
    pub fn capacity(mut self, answers: usize) -> Self {
        self.capacity = answers;
        self
    }

    /// Sets how long an answer is waited for. Default: 10 s.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Sets the clock, whose wall clock the times in answers are compared with. Default: the standard
    /// one.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = AnyClock::new(clock);
        self
    }

    /// Sets the timer for the time limit. Default: one on a thread of its own.
    pub fn timer(mut self, timer: impl Timer) -> Self {
        self.timer = Arc::new(timer);
        self
    }

    /// Allows an endpoint over plain http beyond this machine, whoever could read the tokens. For test
    /// networks only.
    pub fn allow_plain_http(mut self) -> Self {
        self.allow_plain_http = true;
        self
    }

    /// Builds the verifier.
    ///
    /// # Errors
    /// If the URL of the endpoint cannot be used.
    pub fn build(self) -> Result<Introspection, ClientError> {
        let url = checked_endpoint("introspection", &self.url, self.allow_plain_http)?;
        let answers = Answers::new(self.capacity);
        Ok(Introspection(Arc::new(Inner { url, settings: self, answers })))
    }
}

impl TokenVerifier for Introspection {
    /// As [`TokenVerifier::authenticate`].
    ///
    /// # Cancellation
    /// If the future is dropped while others wait for the same answer, one of them asks again.
    async fn authenticate(&self, token: &Secret) -> Result<Identity, AuthenticationError> {
        if token.expose().len() > LONGEST {
            return Err(AuthenticationError::Unverified);
        }
        let digest = Sha256::digest(token.expose()).into();
        match self.0.answers.look_up(digest, self.0.settings.clock.now()) {
            Ok(answer) => answer.result,
            Err(asked) => asked.answer(self.0.ask(token)).await.result,
        }
    }
}

/// An answer (RFC 7662, section 2.2).
#[derive(Deserialize)]
struct Body {
    active: bool,
    token_type: Option<String>,
    /// What some servers say, among them that of this crate: `access_token` or `refresh_token`.
    token_use: Option<String>,
    #[serde(flatten)]
    claims: Claims,
}

impl Inner {
    async fn ask(&self, token: &Secret) -> Answer {
        let received = self.send(token).await;
        let now = self.settings.clock.wall();
        // Kept by the clock that nobody sets back.
        let received_at = self.settings.clock.now();
        let after = |age: Span| (age > Span::ZERO).then(|| received_at.saturating_add(age));
        let body = match received.and_then(|response| read(&response)) {
            Ok(body) => body,
            Err(why) => {
                return Answer { result: Err(AuthenticationError::Unchecked(why)), until: None };
            }
        };
        // Rule D8: "An answer MUST NOT be used beyond the expiry that it states".
        let expires_at = body.claims.expires_at().unwrap_or(Timestamp::MAX);
        match self.judge(body, now) {
            Ok(identity) => {
                let until = after(self.settings.max_age.min(expires_at.since(now)));
                Answer { result: Ok(identity), until }
            }
            Err(error) => {
                Answer { result: Err(error), until: after(self.settings.inactive_max_age) }
            }
        }
    }

    /// Returns the identity of an active access token for this resource server.
    fn judge(&self, body: Body, now: Timestamp) -> Result<Identity, AuthenticationError> {
        if !body.active {
            return Err(AuthenticationError::Inactive);
        }
        let is_bearer = body.token_type.is_none_or(|one| one.eq_ignore_ascii_case("bearer"));
        // A refresh token is active as well, and no resource server may accept it.
        let is_access_token = body.token_use.is_none_or(|one| one == "access_token");
        let is_of_issuer = self
            .settings
            .issuer
            .as_deref()
            .is_none_or(|issuer| body.claims.issuer() == Some(issuer));
        let audience = self.settings.audience.as_deref();
        let is_for_this = audience.is_none_or(|audience| body.claims.is_for(audience));
        if !is_bearer || !is_access_token || !is_of_issuer || !is_for_this {
            return Err(AuthenticationError::Unverified);
        }
        body.claims.check_expiry(now)?;
        body.claims.into_identity()
    }

    /// Sends the request, and waits for the response within the time limit.
    async fn send(&self, token: &Secret) -> Result<Response<Vec<u8>>, Unchecked> {
        let sent = self.settings.http.send(self.request(token));
        let alarm = self.settings.timer.sleep(self.settings.time_limit);
        let (mut sent, mut alarm) = (pin!(sent), pin!(alarm));
        let first = poll_fn(|cx| match sent.as_mut().poll(cx) {
            Poll::Ready(received) => Poll::Ready(Some(received)),
            Poll::Pending => alarm.as_mut().poll(cx).map(|()| None),
        });
        match first.await {
            Some(received) => received.map_err(unreachable),
            None => Err(Unchecked::new("the introspection endpoint has not answered in time")),
        }
    }

    fn request(&self, token: &Secret) -> Request<Secret> {
        let form = introspection(&self.url, &self.settings.id, &self.settings.secret, token);
        let mut request = Request::new(Secret::from(form.body()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.as_str().parse().expect("a URL is a URI");
        let headers = form.header_values();
        let headers = headers.map(|(name, value)| (HeaderName::from_static(name), value));
        request.headers_mut().extend(headers);
        request
    }
}

/// The error's text must not hold a secret, as the port says.
fn unreachable(error: SendError) -> Unchecked {
    let text = "the introspection endpoint could not be reached";
    Unchecked::new(text).with_source(Arc::from(error))
}

fn read(response: &Response<Vec<u8>>) -> Result<Body, Unchecked> {
    let status = response.status();
    let text = match status {
        StatusCode::OK if response.body().len() > RESPONSE_LIMIT => "the answer is too long".into(),
        StatusCode::OK => {
            // A source would quote the answer.
            let unreadable = |_| Unchecked::new("the answer is not an introspection response");
            return serde_json::from_slice(response.body()).map_err(unreadable);
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            format!("the introspection endpoint does not accept this client: {}", status.as_u16())
        }
        _ => format!("the introspection endpoint answered with status {}", status.as_u16()),
    };
    let why = Unchecked::new(text);
    Err(match seconds(response.headers().get(RETRY_AFTER)) {
        Some(delay) => why.with_retry_in(delay.to_duration()),
        None => why,
    })
}

impl fmt::Debug for Introspection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Introspection")
            .field("host", &self.0.url.host_str())
            .field("client_id", &self.0.settings.id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for IntrospectionBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("IntrospectionBuilder")
            .field("client_id", &self.id)
            .finish_non_exhaustive()
    }
}
