//! How an issuer is made.

use core::fmt;
use core::time::Duration;
use std::boxed::Box;

use super::issuer::Issuer;
use super::keys::Keys;
use super::notice::Notice;
use super::opaque::Opaque;
use super::parts::IssuerParts;
use super::ports::{AccessTokens, FamilyStore};
use crate::clock::{Clock, SharedClock};
use crate::rotation::Policy;
use crate::time::Span;

/// Makes an [`Issuer`].
#[must_use]
pub struct IssuerBuilder<S>(IssuerParts<S>);

impl<S: FamilyStore> Issuer<S> {
    /// A builder for an issuer that keeps its families in `store`. Access tokens are
    /// [`Opaque`], under the same keys, until another form is named.
    pub fn builder(keys: Keys, store: S) -> IssuerBuilder<S> {
        IssuerBuilder(IssuerParts {
            store,
            tokens: Box::new(Opaque::new(keys.clone())),
            keys,
            policy: Policy::default(),
            access_lifetime: Span::from_secs(3600),
            renewal_window: Span::ZERO,
            clock: Box::new(|| SharedClock.wall()),
            on_notice: None,
        })
    }
}

impl<S: FamilyStore> IssuerBuilder<S> {
    /// The form of access tokens \[opaque\].
    pub fn access_tokens(mut self, tokens: impl AccessTokens) -> Self {
        self.0.tokens = Box::new(tokens);
        self
    }

    /// How refresh tokens rotate, and how long families live.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.0.policy = policy;
        self
    }

    /// How long an access token lives [1 h].
    pub fn access_lifetime(mut self, lifetime: Duration) -> Self {
        self.0.access_lifetime = lifetime.into();
        self
    }

    /// How long after its expiry an access token can be renewed without a refresh token [not at
    /// all].
    pub fn renewal_window(mut self, window: Duration) -> Self {
        self.0.renewal_window = window.into();
        self
    }

    /// Another clock than the machine's. What it shows is compared with what other processes wrote.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.0.clock = Box::new(clock);
        self
    }

    /// Called with all that is done for clients, and all that they are denied, before they are told:
    /// it should be quick; a panic of it ends there. An access token that is rejected names no
    /// client, and is not told of; nor is what the program does itself, by
    /// [`Issuer::revoke_subject`].
    pub fn on_notice(mut self, hook: impl Fn(&Notice<'_>) + Send + Sync + 'static) -> Self {
        self.0.on_notice = Some(Box::new(hook));
        self
    }

    /// Builds it.
    pub fn build(self) -> Issuer<S> {
        Issuer::of_parts(self.0)
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
