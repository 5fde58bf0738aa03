//! What goes into an issuer, a login, and what comes out, a token response.

use core::time::Duration;
use std::string::String;

use super::ports::FamilyId;
use crate::token::Secret;

/// Somebody has logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    pub(super) client: String,
    pub(super) subject: String,
    pub(super) scope: Option<String>,
}

impl Login {
    /// `subject` has logged in, and `client` may act for them.
    pub fn new(client: impl Into<String>, subject: impl Into<String>) -> Self {
        Self { client: client.into(), subject: subject.into(), scope: None }
    }

    /// What was granted (RFC 6749, section 3.3).
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }
}

/// What was issued: a token response (RFC 6749, section 5.1).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Issued {
    /// The access token.
    pub access_token: Secret,
    /// How long it lives from now on.
    pub expires_in: Duration,
    /// The refresh token, where the client is to use another one than before.
    pub refresh_token: Option<Secret>,
    /// What the access token may be used for.
    pub scope: Option<String>,
    /// The family that all of it belongs to.
    pub family: FamilyId,
}
