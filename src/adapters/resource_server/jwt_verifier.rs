//! Verifies JWT access tokens (RFC 9068) with the keys of their issuer.

use core::fmt;
use core::time::Duration;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::claims::Claims;
use super::http::{AnyHttpClient, HttpClient};
use super::key_set::{Configure, KeySet, KeySetSettings};
use super::shared_clock::AnyClock;
use crate::clock::Clock;
use crate::issue::{AuthenticationError, Identity, TokenVerifier};
use crate::session::{Builder, Session};
use crate::time::Span;
use crate::token::Secret;
use crate::wire::{ClientError, checked_endpoint};

/// The maximum length of a token, in bytes.
pub(super) const LONGEST: usize = 16 * 1024;

/// The `typ` header of an access token (RFC 9068, section 2.1).
const TYPE: &str = "at+jwt";

/// The maximum leeway.
const MOST_LEEWAY: Duration = Duration::from_secs(60);

/// Verifies access tokens by the JWK set of their issuer, which it fetches and keeps fresh. Clones are
/// handles to the same verifier, with one key set.
#[derive(Clone)]
pub struct JwtVerifier(Arc<Inner>);

struct Inner {
    issuer: String,
    audience: String,
    types: Vec<String>,
    leeway: Span,
    clock: AnyClock,
    keys: KeySet,
}

/// Builds a [`JwtVerifier`].
#[must_use]
pub struct JwtVerifierBuilder {
    issuer: String,
    audience: String,
    url: String,
    http: Arc<dyn AnyHttpClient>,
    types: Vec<String>,
    leeway: Duration,
    cooldown: Duration,
    grace: Duration,
    wait_limit: Duration,
    clock: AnyClock,
    configure: Configure,
    allow_plain_http: bool,
}

impl JwtVerifier {
    /// Returns a builder for a verifier of tokens that `issuer` (`iss`) has issued for `audience`
    /// (`aud`, the identifier of this resource server), with the keys at `jwks_url`.
    pub fn builder(
        issuer: impl Into<String>,
        audience: impl Into<String>,
        jwks_url: impl Into<String>,
        http: impl HttpClient,
    ) -> JwtVerifierBuilder {
        JwtVerifierBuilder {
            issuer: issuer.into(),
            audience: audience.into(),
            url: jwks_url.into(),
            http: Arc::new(http),
            types: vec![TYPE.into()],
            leeway: Duration::from_secs(5),
            cooldown: Duration::from_secs(30),
            grace: Duration::from_secs(24 * 3600),
            wait_limit: Duration::from_secs(5),
            clock: AnyClock::default(),
            configure: Box::new(|builder| builder),
            allow_plain_http: false,
        }
    }

    /// Returns the session that keeps the key set, whose access token is the set itself: to fetch it
    /// at the start (`session().token().await`), or without any traffic
    /// ([`keep_fresh`](Session::keep_fresh)).
    pub fn session(&self) -> &Session {
        self.0.keys.session()
    }
}

impl JwtVerifierBuilder {
    /// Accepts tokens with this `typ` header as well. Some issuers write `JWT`; accept it only from
    /// one whose ID tokens have another audience, as those have the same type (RFC 9068, section 5).
    /// Default: `at+jwt` alone.
    pub fn accept_type(mut self, typ: impl Into<String>) -> Self {
        self.types.push(typ.into());
        self
    }

    /// Sets by how much the issuer's clock may differ from this machine's, at most 1 min. Default: 5 s.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway.min(MOST_LEEWAY);
        self
    }

    /// Sets how long after a fetch for an unknown key the next may follow. During that time tokens
    /// of new keys are rejected. Default: 30 s.
    pub fn cooldown(mut self, cooldown: Duration) -> Self {
        self.cooldown = cooldown;
        self
    }

    /// Sets for how long beyond their expiry keys are used while the set cannot be fetched. Then no
    /// token is accepted. A key that the issuer has withdrawn is accepted for as long. Default: 1 day.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets how long a request waits for a fetch, where it cannot be verified without one. Default:
    /// 5 s.
    pub fn wait_limit(mut self, limit: Duration) -> Self {
        self.wait_limit = limit;
        self
    }

    /// Sets the clock, whose wall clock the times in tokens are compared with. Default: the standard
    /// one.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = AnyClock::new(clock);
        self
    }

    /// Sets how the session that keeps the key set is built: its timer, spawner, hooks and policy.
    /// Default: a timer on a thread of its own, no spawner (the requests that come drive a fetch), and
    /// fetches of at most 10 s.
    pub fn session(mut self, configure: impl FnOnce(Builder) -> Builder + Send + 'static) -> Self {
        self.configure = Box::new(configure);
        self
    }

    /// Allows a key set over plain http beyond this machine, whoever could change it. For test
    /// networks only.
    pub fn allow_plain_http(mut self) -> Self {
        self.allow_plain_http = true;
        self
    }

    /// Builds the verifier. Nothing is fetched yet.
    ///
    /// # Errors
    /// If the URL of the key set cannot be used.
    ///
    /// # Panics
    /// If [`session`](JwtVerifierBuilder::session) has set a grant that no header can carry. Set none.
    pub fn build(self) -> Result<JwtVerifier, ClientError> {
        let settings = KeySetSettings {
            url: checked_endpoint("key set", &self.url, self.allow_plain_http)?,
            clock: self.clock.clone(),
            cooldown: self.cooldown.into(),
            grace: self.grace.into(),
            wait_limit: self.wait_limit,
        };
        Ok(JwtVerifier(Arc::new(Inner {
            issuer: self.issuer,
            audience: self.audience,
            types: self.types,
            leeway: self.leeway.into(),
            clock: self.clock,
            keys: KeySet::new(self.http, settings, self.configure),
        })))
    }
}

/// The header of a token (RFC 7515, section 4.1). Keys and URLs in it are ignored.
#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: Option<String>,
    kid: Option<String>,
    /// Extensions that must be understood; none is here.
    crit: Option<serde::de::IgnoredAny>,
}

impl Inner {
    fn is_access_token(&self, header: &Header) -> bool {
        let Some(typ) = header.typ.as_deref() else { return false };
        // RFC 7515, section 4.1.9: the prefix may be omitted.
        let typ = typ.strip_prefix("application/").unwrap_or(typ);
        header.crit.is_none() && self.types.iter().any(|known| known.eq_ignore_ascii_case(typ))
    }
}

impl TokenVerifier for JwtVerifier {
    async fn authenticate(&self, token: &Secret) -> Result<Identity, AuthenticationError> {
        let this = &*self.0;
        let parsed = Parsed::new(token.expose()).ok_or(AuthenticationError::Unverified)?;
        let Parsed { header, claims, message, signature } = parsed;
        // Before any key is looked for: a token of another issuer causes no fetch. Rule D8: it "MUST
        // accept a token only from the issuer and for the audience that it was configured with".
        let is_of_issuer = claims.issuer() == Some(this.issuer.as_str());
        if !this.is_access_token(&header) || !is_of_issuer || !claims.is_for(&this.audience) {
            return Err(AuthenticationError::Unverified);
        }
        let key = this.keys.find(header.kid.as_deref(), &header.alg).await;
        let key = key.map_err(AuthenticationError::Unchecked)?;
        if !key.is_some_and(|key| key.has_signed(message.as_bytes(), &signature)) {
            return Err(AuthenticationError::Unverified);
        }
        // RFC 9068, section 2.2: "REQUIRED".
        if claims.expires_at().is_none() || !claims.has_subject() {
            return Err(AuthenticationError::Unverified);
        }
        claims.check_times(this.clock.wall(), this.leeway)?;
        claims.into_identity()
    }
}

/// A token that nobody has verified yet.
struct Parsed<'a> {
    header: Header,
    claims: Claims,
    message: &'a str,
    signature: Vec<u8>,
}

impl<'a> Parsed<'a> {
    fn new(token: &'a str) -> Option<Self> {
        if token.len() > LONGEST {
            return None;
        }
        let (message, signature) = token.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        Some(Self { header: part(header)?, claims: part(claims)?, message, signature })
    }
}

/// Returns a part of a token. A further `.` is not base64.
fn part<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

impl fmt::Debug for JwtVerifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("JwtVerifier")
            .field("issuer", &self.0.issuer)
            .field("audience", &self.0.audience)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for JwtVerifierBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("JwtVerifierBuilder")
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}
