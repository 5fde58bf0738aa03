//! The registered clients of a server, and their authentication (RFC 6749, section 2.3).

use core::fmt;
use core::num::NonZeroU32;
use core::time::Duration;
use std::collections::BTreeMap;
use std::prelude::rust_2024::*;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::form::{EndpointError, Parameters};
use crate::token::Secret;

/// How many requests a client may make per second, and at once, by default.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(100).expect("not zero");

/// A client that may request tokens.
pub struct RegisteredClient {
    id: String,
    /// Only the digest is kept. Client secrets are long and random, so that a fast digest suffices.
    secret: Option<[u8; 32]>,
    credentials: Option<Vec<String>>,
    quota: Quota,
}

impl RegisteredClient {
    /// Returns a client without a secret, such as one in a browser. It only identifies itself.
    pub fn public(id: impl Into<String>) -> Self {
        let (id, quota) = (id.into(), Quota::per_second(PER_SECOND));
        Self { id, secret: None, credentials: None, quota }
    }

    /// Returns a client that authenticates with a secret, in a header (`client_secret_basic`) or in
    /// the form (`client_secret_post`).
    pub fn confidential(id: impl Into<String>, secret: impl Into<Secret>) -> Self {
        let secret = Some(digest(secret.into().expose()));
        Self { secret, ..Self::public(id) }
    }

    /// Allows the client to act for itself (RFC 6749, section 4.4), within these scopes. Without
    /// effect on a public client. Default: not allowed.
    #[must_use]
    pub fn client_credentials<'a>(mut self, scopes: impl IntoIterator<Item = &'a str>) -> Self {
        self.credentials = Some(scopes.into_iter().map(String::from).collect());
        self
    }

    /// Sets how many requests the client may make within `period`, and at once. Zero requests count
    /// as one, and a zero period as one second for each request. Default: 100 per second.
    #[must_use]
    pub fn rate_limit(mut self, requests: u32, period: Duration) -> Self {
        let requests = NonZeroU32::new(requests).unwrap_or(NonZeroU32::MIN);
        let each = period / requests.get();
        let each = Quota::with_period(each).unwrap_or(Quota::per_second(NonZeroU32::MIN));
        self.quota = each.allow_burst(requests);
        self
    }
}

impl fmt::Debug for RegisteredClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RegisteredClient")
            .field("id", &self.id)
            .field("public", &self.secret.is_none())
            .finish_non_exhaustive()
    }
}

fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// All registered clients of a server.
#[derive(Default)]
pub(super) struct Clients(BTreeMap<String, KnownClient>);

/// A client and its rate limiter.
pub(super) struct KnownClient {
    client: RegisteredClient,
    limiter: DefaultDirectRateLimiter,
}

/// How a client authenticates.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Way {
    Header,
    Body,
}

impl Clients {
    pub(super) fn add(&mut self, client: RegisteredClient) {
        let limiter = RateLimiter::direct(client.quota);
        self.0.insert(client.id.clone(), KnownClient { client, limiter });
    }

    /// Returns the client that sent `headers` and `form`, within its rate limit. Rule D6: "401 with
    /// a challenge where the client used the header".
    pub(super) fn authenticate(
        &self,
        headers: &HeaderMap,
        form: &Parameters,
    ) -> Result<&KnownClient, EndpointError> {
        let (id, secret, way) = if let Some(header) = headers.get(AUTHORIZATION) {
            let header = header.to_str().ok().and_then(basic);
            let (id, secret) = header.ok_or(EndpointError::InvalidClient { challenge: true })?;
            if form.get("client_secret").is_some() {
                return Err(EndpointError::InvalidRequest("the client authenticates in two ways"));
            }
            if form.get("client_id").is_some_and(|named| named != id) {
                return Err(EndpointError::InvalidRequest("the client gives itself two names"));
            }
            (id, Some(secret), Way::Header)
        } else {
            let id = form.need("client_id", "client_id is missing")?.into();
            (id, form.get("client_secret").map(Secret::from), Way::Body)
        };
        let unknown = EndpointError::InvalidClient { challenge: way == Way::Header };
        let known = self.0.get(&id);
        let shown = secret.as_ref().map(|secret| digest(secret.expose()));
        let is_good = match (known.map(|known| known.client.secret), shown) {
            (Some(Some(expected)), Some(shown)) => expected.ct_eq(&shown).into(),
            (Some(None), None) => true,
            // A public client has no secret.
            (Some(Some(_)), None) | (Some(None), Some(_)) | (None, _) => false,
        };
        let known = known.filter(|_| is_good).ok_or(unknown)?;
        known.admit()?;
        Ok(known)
    }

    /// Returns a client by its identifier alone.
    pub(super) fn get(&self, id: &str) -> Option<&KnownClient> {
        self.0.get(id)
    }
}

impl KnownClient {
    /// Counts a request against the client's rate limit.
    pub(super) fn admit(&self) -> Result<(), EndpointError> {
        self.limiter.check().map_err(|until| {
            let wait = until.wait_time_from(DefaultClock::default().now());
            EndpointError::TooMany { seconds: wait.as_secs().saturating_add(1) }
        })
    }

    pub(super) fn id(&self) -> &str {
        &self.client.id
    }

    /// Returns the scope that the client may use for itself: what it asks for, or all that it is
    /// allowed.
    pub(super) fn credentials(&self, asked: Option<&str>) -> Result<Option<String>, EndpointError> {
        let allowed = self.client.credentials.as_ref().filter(|_| self.client.secret.is_some());
        let allowed = allowed.ok_or(EndpointError::UnauthorizedClient)?;
        let scope = match asked {
            Some(asked) => {
                let known = |one| allowed.iter().any(|other| other == one);
                if !asked.split(' ').all(known) {
                    return Err(EndpointError::InvalidScope);
                }
                asked.into()
            }
            None => allowed.join(" "),
        };
        Ok(Some(scope).filter(|scope| !scope.is_empty()))
    }
}

/// Parses an `Authorization: Basic` header, in which identifier and secret are form-encoded (RFC
/// 6749, section 2.3.1).
fn basic(header: &str) -> Option<(String, Secret)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    let decoded = |text: &str| {
        let whole = format!("x={}", text.replace('&', "%26").replace('=', "%3D"));
        let mut pairs = url::form_urlencoded::parse(whole.as_bytes());
        pairs.next().map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    Some((decoded(id), Secret::from(decoded(secret))))
}
