//! Secrets, the grants that hold them, and the access tokens that a session hands out.
//!
//! ```
//! use core::time::Duration;
//! use perennial::token::{Grant, Secret};
//!
//! let grant = Grant::new("at-1", "rt-1", Duration::from_secs(3600));
//! assert_eq!(grant.refresh_token().map(Secret::expose), Some("rt-1"));
//! assert!(!format!("{grant:?}").contains("rt-1"));
//! ```
//!
//! Invariants: only [`Secret::expose`] and [`AccessToken::expose`] show a secret; memory is
//! zeroised on drop; equality is constant-time ([G1](crate::spec#g-secrets),
//! [G2](crate::spec#g-secrets)).
//!
//! Out of scope: `Display` and `Serialize` for anything that holds a secret.

mod reading;
mod secret;

use core::fmt;
use std::borrow::ToOwned;
use std::collections::BTreeMap;
use std::string::String;
use std::sync::Arc;
#[cfg(feature = "http")]
use std::vec::Vec;

#[cfg(feature = "http")]
use http::HeaderValue;
#[cfg(feature = "http")]
use secrecy::zeroize::Zeroizing;

use crate::lifecycle::{Generation, Schedule};
use crate::primitives::{AtomicBool, Ordering};
use crate::time::{Lifetime, Span, Timestamp};

use reading::Reading;
pub use reading::{Leniency, Unusable};
pub use secret::Secret;

/// The field that says when a refresh token expires, in seconds since the Unix epoch.
const REFRESH_TOKEN_EXPIRES_AT: &str = "refresh_token_expires_at";

/// A token response of an authorization server (RFC 6749, section 5.1).
///
/// If a refresh returns a grant without a refresh token, the existing one is kept (section 6). If
/// it returns one without an access token, the response could be read only in part, and the grant
/// is kept for its refresh token. See rule [B14](crate::spec#b-the-client-machine).
#[derive(Clone, PartialEq, Eq)]
pub struct Grant {
    access_token: Option<Secret>,
    refresh_token: Option<Secret>,
    lifetime: Lifetime,
    refresh_in: Option<Span>,
    fields: BTreeMap<String, Secret>,
    reading: Reading,
}

impl Grant {
    /// Creates a grant of an access token that lives for `lifetime`, and a refresh token.
    ///
    /// `lifetime` is a [`Duration`](core::time::Duration), a [`Span`] or a [`Lifetime`].
    pub fn new(
        access_token: impl Into<Secret>,
        refresh_token: impl Into<Secret>,
        lifetime: impl Into<Lifetime>,
    ) -> Self {
        Self::of_access_token(access_token, lifetime).with_refresh_token(refresh_token)
    }

    /// Creates a grant of an access token alone. If a refresh returns it, the session keeps its
    /// refresh token.
    pub fn of_access_token(access_token: impl Into<Secret>, lifetime: impl Into<Lifetime>) -> Self {
        Self { access_token: Some(access_token.into()), ..Self::empty(lifetime.into()) }
    }

    /// Creates a grant of a refresh token alone. The first caller starts a refresh.
    pub fn of_refresh_token(refresh_token: impl Into<Secret>) -> Self {
        Self::empty(Lifetime::Unstated).with_refresh_token(refresh_token)
    }

    fn empty(lifetime: Lifetime) -> Self {
        Self {
            access_token: None,
            refresh_token: None,
            lifetime,
            refresh_in: None,
            fields: BTreeMap::new(),
            reading: Reading::default(),
        }
    }

    /// Sets the refresh token.
    #[must_use]
    pub fn with_refresh_token(mut self, refresh_token: impl Into<Secret>) -> Self {
        self.refresh_token = Some(refresh_token.into());
        self
    }

    /// Sets after how long the server suggests a refresh (`refresh_in` with some providers).
    #[must_use]
    pub fn with_refresh_in(mut self, refresh_in: impl Into<Span>) -> Self {
        self.refresh_in = Some(refresh_in.into());
        self
    }

    /// Sets when the refresh token expires, to the second.
    #[must_use]
    pub fn with_refresh_token_expiry(self, expires_at: Timestamp) -> Self {
        let seconds = expires_at.as_millis().div_euclid(1000);
        self.with_field(REFRESH_TOKEN_EXPIRES_AT, std::format!("{seconds}"))
    }

    /// Sets another field of the response, such as `scope` or `id_token`.
    #[must_use]
    pub fn with_field(mut self, name: impl Into<String>, value: impl Into<Secret>) -> Self {
        self.fields.insert(name.into(), value.into());
        self
    }

    /// Returns the access token, if there is one.
    pub fn access_token(&self) -> Option<&Secret> {
        self.access_token.as_ref()
    }

    /// Returns the refresh token, if there is one.
    pub fn refresh_token(&self) -> Option<&Secret> {
        self.refresh_token.as_ref()
    }

    /// Returns the access token's lifetime, as it was stated.
    pub fn lifetime(&self) -> Lifetime {
        self.lifetime
    }

    /// Returns after how long the server suggests a refresh.
    pub fn refresh_in(&self) -> Option<Span> {
        self.refresh_in
    }

    /// Returns when the refresh token expires, if the server stated its lifetime: on the server's
    /// clock if the response showed that, otherwise on the local wall clock. The value belongs to
    /// this refresh token, and is one of the [`fields`](Self::fields).
    ///
    /// It is for display: a session does not act on it. The server declines an expired refresh
    /// token, and a login is required then.
    pub fn refresh_token_expires_at(&self) -> Option<Timestamp> {
        let seconds = self.field(REFRESH_TOKEN_EXPIRES_AT)?.expose().parse().ok()?;
        Some(Timestamp::from_secs(seconds))
    }

    /// Returns another field of the response, such as `scope` or `id_token`.
    pub fn field(&self, name: &str) -> Option<&Secret> {
        self.fields.get(name)
    }

    /// Returns all other fields of the response, by name.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Returns the deviations from the standard that were tolerated in the response. None for a
    /// standard response, and for a grant loaded from a store. A session reports them to its
    /// `on_rotate`, and with the grant that it holds.
    pub fn leniencies(&self) -> impl Iterator<Item = Leniency> {
        self.reading.leniencies()
    }

    /// Returns why there is no access token to hand out, if the response could be read only in
    /// part.
    pub fn unusable_because(&self) -> Option<Unusable> {
        self.reading.unusable.filter(|_| self.access_token.is_none())
    }

    /// Returns where a refresh token was found that was not used ([`Leniency::Elsewhere`]), and
    /// what to do about it. The text contains nothing of the response.
    pub fn found_elsewhere(&self) -> Option<&str> {
        self.reading.elsewhere.as_deref()
    }

    /// Notes that a refresh token was found elsewhere.
    #[cfg(feature = "wire")]
    pub(crate) fn with_elsewhere(mut self, said: String) -> Self {
        self.reading.elsewhere = Some(said.into());
        self.read_with([Leniency::Elsewhere])
    }

    /// Notes the deviations that were tolerated.
    #[cfg(feature = "wire")]
    pub(crate) fn read_with(mut self, leniencies: impl IntoIterator<Item = Leniency>) -> Self {
        for leniency in leniencies {
            self.reading.note(leniency);
        }
        self
    }

    /// Notes why it has no access token.
    #[cfg(feature = "wire")]
    pub(crate) fn unusable(mut self, because: Unusable) -> Self {
        self.reading.unusable = Some(because);
        self
    }

    /// Returns this grant without an access token that no header can carry (rule B14).
    pub(crate) fn sendable(mut self) -> Self {
        if self.access_token.as_ref().is_some_and(|token| !token.is_sendable()) {
            self.access_token = None;
            self.reading.unusable = Some(Unusable::NotSendable);
        }
        self
    }

    /// Returns this grant with what it left out taken from `previous` (RFC 6749, section 6): an
    /// absent or empty refresh token, and absent fields. The expiry of a refresh token goes with
    /// that token.
    #[must_use]
    pub fn renewing(mut self, previous: &Self) -> Self {
        let said = self.refresh_token.take().filter(|token| !token.expose().is_empty());
        self.refresh_token = said.or_else(|| previous.refresh_token.clone());
        let rotated = self.refresh_token != previous.refresh_token;
        for (name, value) in &previous.fields {
            if rotated && name == REFRESH_TOKEN_EXPIRES_AT {
                continue;
            }
            self.fields.entry(name.clone()).or_insert_with(|| value.clone());
        }
        self
    }
}

impl Grant {
    /// Returns this grant with the refresh token of `other`, and its expiry.
    pub(crate) fn with_refresh_token_of(mut self, other: &Self) -> Self {
        self.refresh_token.clone_from(&other.refresh_token);
        match other.field(REFRESH_TOKEN_EXPIRES_AT) {
            Some(expiry) => self.fields.insert(REFRESH_TOKEN_EXPIRES_AT.to_owned(), expiry.clone()),
            None => self.fields.remove(REFRESH_TOKEN_EXPIRES_AT),
        };
        self
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Grant")
            .field("access_token", &self.access_token)
            .field("refresh_token", &self.refresh_token)
            .field("lifetime", &self.lifetime)
            .field("refresh_in", &self.refresh_in)
            .field("fields", &self.fields)
            .field("reading", &self.reading)
            .finish()
    }
}

/// An access token that a session handed out. Cloning it is cheap.
///
/// It knows its generation, so that a 401 for an earlier token can be ignored
/// ([B8](crate::spec#b-the-client-machine)).
#[derive(Clone)]
pub struct AccessToken(Arc<Published>);

struct Published {
    secret: Secret,
    generation: Generation,
    schedule: Schedule<Timestamp>,
    #[cfg(feature = "http")]
    header: HeaderValue,
    /// Set once the session knows of an acceptance, so that later ones take no lock.
    accepted: AtomicBool,
}

impl AccessToken {
    pub(crate) fn new(
        secret: Secret,
        generation: Generation,
        schedule: Schedule<Timestamp>,
    ) -> Self {
        Self(Arc::new(Published {
            #[cfg(feature = "http")]
            header: header(&secret),
            secret,
            generation,
            schedule,
            accepted: AtomicBool::new(false),
        }))
    }

    /// Returns the token.
    pub fn secret(&self) -> &Secret {
        &self.0.secret
    }

    /// Returns the token's text.
    pub fn expose(&self) -> &str {
        self.0.secret.expose()
    }

    /// Returns `Bearer` and the token as a header value (RFC 6750, section 2.1). It is made once,
    /// marked sensitive, and cheap to clone.
    ///
    /// Its bytes are zeroised with the last clone. Copies made by an HTTP client are not.
    #[cfg(feature = "http")]
    pub fn header_value(&self) -> &HeaderValue {
        &self.0.header
    }

    /// Returns which token of its session this is.
    pub fn generation(&self) -> Generation {
        self.0.generation
    }

    /// Returns when the token expires, on the session's clock; `None` if no lifetime was stated.
    pub fn expires_at(&self) -> Option<Timestamp> {
        match self.0.schedule {
            Schedule::UntilRejected => None,
            Schedule::Timed(deadlines) => Some(deadlines.expires_at),
        }
    }

    /// Whether its session knows that it was accepted.
    pub(crate) fn is_accepted(&self) -> bool {
        // Relaxed: the flag only spares later callers the lock, under which all else is ordered.
        self.0.accepted.load(Ordering::Relaxed)
    }

    /// Notes that its session knows that it was accepted.
    pub(crate) fn set_accepted(&self) {
        self.0.accepted.store(true, Ordering::Relaxed);
    }
}

#[cfg(feature = "http")]
fn header(secret: &Secret) -> HeaderValue {
    const SCHEME: &[u8] = b"Bearer ";
    let token = secret.expose().as_bytes();
    let mut bytes = Zeroizing::new(Vec::with_capacity(SCHEME.len() + token.len()));
    bytes.extend_from_slice(SCHEME);
    bytes.extend_from_slice(token);
    sensitive(bytes).expect("a token that no header may carry is found out before it is published")
}

/// Returns a header value whose bytes are zeroised with its last clone. Rule G2: "Header values
/// MUST be marked sensitive."
#[cfg(feature = "http")]
pub(crate) fn sensitive(bytes: Zeroizing<Vec<u8>>) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_maybe_shared(bytes::Bytes::from_owner(bytes)).ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AccessToken")
            .field("secret", &self.0.secret)
            .field("generation", &self.0.generation)
            .field("expires_at", &self.expires_at())
            .finish_non_exhaustive()
    }
}
