//! The port of resource servers: what verifies an access token.

use core::future::Future;

use super::error::AuthenticationError;
use super::issuer::Issuer;
use super::ports::{FamilyStore, Identity};
use crate::token::Secret;

/// Verifies access tokens for a resource server.
///
/// An [`Issuer`] verifies those that it has issued, and reads their families. On another machine
/// than the authorization server, `adapters::resource_server` verifies JWTs by the keys of their
/// issuer, or asks it about each token (RFC 7662).
///
/// # Cancellation
/// A dropped future of this trait has changed nothing that a token depends on.
pub trait TokenVerifier: Send + Sync + 'static {
    /// Returns the identity behind an access token.
    ///
    /// # Errors
    /// [`AuthenticationError`]: what is wrong with the token, or why that could not be found out.
    fn authenticate(
        &self,
        token: &Secret,
    ) -> impl Future<Output = Result<Identity, AuthenticationError>> + Send;
}

impl<S: FamilyStore> TokenVerifier for Issuer<S> {
    async fn authenticate(&self, token: &Secret) -> Result<Identity, AuthenticationError> {
        Issuer::authenticate(self, token).await
    }
}
