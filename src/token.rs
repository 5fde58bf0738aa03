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
//! Invariants: nothing here shows a secret but [`Secret::expose`]; memory is zeroised on drop;
//! equality takes the same time whatever is compared (rules G1, G2).
//!
//! Deliberately absent: `Display` and `Serialize` for anything that holds a secret.

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

/// The field that says when a refresh token will be over, in seconds since the Unix epoch.
const REFRESH_TOKEN_EXPIRES_AT: &str = "refresh_token_expires_at";

/// What an authorization server granted: a token response (RFC 6749, section 5.1).
///
/// As the answer of a refresh, a grant without a refresh token means: keep the one there is
/// (section 6); and one without an access token was understood only in half, and is kept for its
/// refresh token (rule B14).
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
    /// A grant of an access token that lives for `lifetime`, and a refresh token.
    ///
    /// `lifetime` is a [`Duration`](core::time::Duration), a [`Span`] or a [`Lifetime`].
    pub fn new(
        access_token: impl Into<Secret>,
        refresh_token: impl Into<Secret>,
        lifetime: impl Into<Lifetime>,
    ) -> Self {
        Self::of_access_token(access_token, lifetime).with_refresh_token(refresh_token)
    }

    /// A grant of an access token alone: as the answer of a refresh, the refresh token stays.
    pub fn of_access_token(access_token: impl Into<Secret>, lifetime: impl Into<Lifetime>) -> Self {
        Self { access_token: Some(access_token.into()), ..Self::empty(lifetime.into()) }
    }

    /// A grant of a refresh token alone; the first caller refreshes.
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

    /// Sets the server's hint after how long to refresh (`refresh_in` with some providers).
    #[must_use]
    pub fn with_refresh_in(mut self, refresh_in: impl Into<Span>) -> Self {
        self.refresh_in = Some(refresh_in.into());
        self
    }

    /// Sets when the refresh token will be over, to the second.
    #[must_use]
    pub fn with_refresh_token_expiry(self, expires_at: Timestamp) -> Self {
        let seconds = expires_at.as_millis().div_euclid(1000);
        self.with_field(REFRESH_TOKEN_EXPIRES_AT, std::format!("{seconds}"))
    }

    /// Sets a further field of the answer, such as `scope` or `id_token`.
    #[must_use]
    pub fn with_field(mut self, name: impl Into<String>, value: impl Into<Secret>) -> Self {
        self.fields.insert(name.into(), value.into());
        self
    }

    /// The access token, if there is one.
    pub fn access_token(&self) -> Option<&Secret> {
        self.access_token.as_ref()
    }

    /// The refresh token, if there is one.
    pub fn refresh_token(&self) -> Option<&Secret> {
        self.refresh_token.as_ref()
    }

    /// The access token's lifetime, as it was stated.
    pub fn lifetime(&self) -> Lifetime {
        self.lifetime
    }

    /// After how long the server suggests a refresh.
    pub fn refresh_in(&self) -> Option<Span> {
        self.refresh_in
    }

    /// When the refresh token will be over, where the server told its lifetime: on the server's
    /// clock if its answer showed that, else on the local wall clock. It goes with the refresh token
    /// that it was told of, and is kept among the [`fields`](Self::fields).
    ///
    /// It is for the user to see: a session makes nothing of it. A refresh token that is over is
    /// declined by the server, which knows best, and that is when a login is asked for.
    pub fn refresh_token_expires_at(&self) -> Option<Timestamp> {
        let seconds = self.field(REFRESH_TOKEN_EXPIRES_AT)?.expose().parse().ok()?;
        Some(Timestamp::from_secs(seconds))
    }

    /// A further field of the answer, such as `scope` or `id_token`.
    pub fn field(&self, name: &str) -> Option<&Secret> {
        self.fields.get(name)
    }

    /// All further fields of the answer, by name.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// What had to be borne to read it off the wire; nothing for an answer that was as it should be,
    /// and for a grant that a store gave back. A session tells it by its `on_rotate`, and by the grant
    /// that it holds.
    pub fn leniencies(&self) -> impl Iterator<Item = Leniency> {
        self.reading.leniencies()
    }

    /// Why there is no access token to hand out, where an answer was understood only in half.
    pub fn unusable_because(&self) -> Option<Unusable> {
        self.reading.unusable.filter(|_| self.access_token.is_none())
    }

    /// Where a refresh token stands that was not taken ([`Leniency::Elsewhere`]), and what to do about
    /// it. The words hold nothing of the answer.
    pub fn found_elsewhere(&self) -> Option<&str> {
        self.reading.elsewhere.as_deref()
    }

    /// Notes that a refresh token stands elsewhere.
    #[cfg(feature = "wire")]
    pub(crate) fn with_elsewhere(mut self, said: String) -> Self {
        self.reading.elsewhere = Some(said.into());
        self.read_with([Leniency::Elsewhere])
    }

    /// Notes what had to be borne.
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

    /// This answer without an access token that could not be sent: understood in half (rule B14).
    pub(crate) fn sendable(mut self) -> Self {
        if self.access_token.as_ref().is_some_and(|token| !token.is_sendable()) {
            self.access_token = None;
            self.reading.unusable = Some(Unusable::NotSendable);
        }
        self
    }

    /// This answer, completed by what it left unsaid: an absent or empty refresh token, and
    /// absent fields, stay as they were (RFC 6749, section 6). The expiry of a refresh token goes with
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
    /// This grant with the refresh token of `other`, and with when that is over.
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
/// It knows which generation it is, so that a 401 can be told apart from a stale one (rule B8).
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

    /// The token itself.
    pub fn secret(&self) -> &Secret {
        &self.0.secret
    }

    /// Shows the token's text, for the one place that sends it.
    pub fn expose(&self) -> &str {
        self.0.secret.expose()
    }

    /// `Bearer` and the token, ready to be sent (RFC 6750, section 2.1): made once, marked
    /// sensitive (rule G2), and cloned without a copy.
    ///
    /// Its bytes are zeroised with its last clone. What an HTTP client copies of them is not.
    #[cfg(feature = "http")]
    pub fn header_value(&self) -> &HeaderValue {
        &self.0.header
    }

    /// Which token of its session this is.
    pub fn generation(&self) -> Generation {
        self.0.generation
    }

    /// When the resource server will refuse it, on the session's clock; `None` where no lifetime
    /// was stated.
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

    /// Notes that its session knows.
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

/// A header's value whose bytes are zeroised with its last clone. Rule G2: "Header values MUST be marked
/// sensitive."
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
