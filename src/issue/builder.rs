//! Building an issuer.

use core::fmt;
use core::time::Duration;
use std::prelude::rust_2024::*;
use std::sync::{PoisonError, RwLock};

use super::issuer::Issuer;
use super::keys::Keys;
use super::opaque::Opaque;
use super::parts::IssuerParts;
use super::ports::{AccessTokens, FamilyStore};
use crate::clock::{Clock, SharedClock};
use crate::events::{Event, Sink};
use crate::rotation::Policy;
use crate::time::Span;

/// The longest time for which an expired access token may be accepted.
const LONGEST_LEEWAY: Span = Span::from_secs(300);

/// Builds an [`Issuer`].
#[must_use]
pub struct IssuerBuilder<S>(IssuerParts<S>, Sink);

impl<S: FamilyStore> Issuer<S> {
    /// Returns a builder for an issuer that keeps its families in `store`.
    pub fn builder(keys: Keys, store: S) -> IssuerBuilder<S> {
        IssuerBuilder(
            IssuerParts {
                store,
                tokens: Box::new(Opaque::new(keys.clone())),
                keys,
                policy: Policy::default(),
                access_lifetime: Span::from_secs(3600),
                renewal_window: Span::ZERO,
                leeway: Span::ZERO,
                clients: RwLock::default(),
                clock: Box::new(|| SharedClock.wall()),
                events: None,
            },
            Sink::default(),
        )
    }
}

impl<S: FamilyStore> IssuerBuilder<S> {
    /// Sets the form of access tokens. Default: [`Opaque`], with the same keys.
    pub fn access_tokens(mut self, tokens: impl AccessTokens) -> Self {
        self.0.tokens = Box::new(tokens);
        self
    }

    /// Sets how refresh tokens rotate, and how long families live. Default: [`Policy::default`].
    pub fn policy(mut self, policy: Policy) -> Self {
        self.0.policy = policy;
        self
    }

    /// Sets how long an access token lives. Default: 1 h.
    pub fn access_lifetime(mut self, lifetime: Duration) -> Self {
        self.0.access_lifetime = lifetime.into();
        self
    }

    /// Sets how long after its expiry an access token can still be renewed without a refresh token
    /// ([`Issuer::renew`]). Default: zero.
    pub fn renewal_window(mut self, window: Duration) -> Self {
        self.0.renewal_window = window.into();
        self
    }

    /// Sets for how long after its expiry an access token is still accepted, where the clocks of several
    /// issuers differ. At most 5 min. Default: zero.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.0.leeway = Span::from(leeway).min(LONGEST_LEEWAY);
        self
    }

    /// Names clients, whose ids no login may have as its subject (RFC 9068, section 5). An adapter that knows its clients
    /// names them by itself. Default: none but the client of the login.
    pub fn clients<C: Into<String>>(self, ids: impl IntoIterator<Item = C>) -> Self {
        self.0
            .clients
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(ids.into_iter().map(C::into));
        self
    }

    /// Sets the clock. Its readings are compared with what other processes wrote. Default: the wall
    /// clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.0.clock = Box::new(clock);
        self
    }

    /// Sets a hook that is called with each [`Event`] of this issuer, an
    /// [`EventKind::Issuer`](crate::events::EventKind::Issuer): what was issued to a client, revoked by it
    /// or denied to it, before the client learns of it. Several hooks are called in the order in which they
    /// were set. A hook should return quickly; its panics are caught.
    ///
    /// There is no event for a rejected access token, which names no client, nor for
    /// [`Issuer::revoke_subject`], which the program itself calls.
    pub fn on_event(mut self, hook: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.1.add(hook);
        self
    }

    /// Builds the issuer.
    pub fn build(self) -> Issuer<S> {
        Issuer::of_parts(IssuerParts { events: self.1.into_hooks(), ..self.0 })
    }
}

impl<S> fmt::Debug for IssuerBuilder<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("IssuerBuilder")
            .field("policy", &self.0.policy)
            .finish_non_exhaustive()
    }
}
