//! Logins and token responses: the input and the output of an issuer.

use core::time::Duration;
use std::string::String;

use super::ports::FamilyId;
use crate::token::Secret;

/// A login: a subject, and the client that may act for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    pub(super) client: String,
    pub(super) subject: String,
    pub(super) scope: Option<String>,
}

impl Login {
    /// Returns a login by which `client` may act for `subject`.
    pub fn new(client: impl Into<String>, subject: impl Into<String>) -> Self {
        Self { client: client.into(), subject: subject.into(), scope: None }
    }

    /// Sets the scope that was granted (RFC 6749, section 3.3). Default: none.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }
}

/// A token response (RFC 6749, section 5.1).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Issued {
    /// The access token.
    pub access_token: Secret,
    /// How long the access token lives from now.
    pub expires_in: Duration,
    /// The refresh token, if the client is to use another one than before.
    pub refresh_token: Option<Secret>,
    /// How long the refresh token lives from now if it is not used: until the end of its family's
    /// idle or absolute lifetime, whichever comes first. Using it moves the end of the idle
    /// lifetime. `None` without a refresh token, or without a limit.
    pub refresh_expires_in: Option<Duration>,
    /// The scope of the access token.
    pub scope: Option<String>,
    /// The family that the tokens belong to.
    pub family: FamilyId,
}
