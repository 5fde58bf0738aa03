//! Logins and token responses: the input and the output of an issuer.

use core::time::Duration;
use std::prelude::rust_2024::*;

use super::own_claims::OwnClaims;
use super::ports::FamilyId;
use crate::token::Secret;

/// A login: a subject, and the client that may act for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    pub(super) client: String,
    pub(super) subject: String,
    pub(super) scope: Option<String>,
    pub(super) device: Option<String>,
    pub(super) claims: OwnClaims,
}

impl Login {
    /// Returns a login by which `client` may act for `subject`.
    pub fn new(client: impl Into<String>, subject: impl Into<String>) -> Self {
        Self {
            client: client.into(),
            subject: subject.into(),
            scope: None,
            device: None,
            claims: OwnClaims::new(),
        }
    }

    /// Sets the scope that was granted (RFC 6749, section 3.3). Stray blanks are removed. Default: none.
    #[must_use]
    pub fn scope(mut self, scope: impl AsRef<str>) -> Self {
        self.scope = normalized(scope.as_ref());
        self
    }

    /// Sets a label of the device or the browser that logs in, by which a user can tell one of their logins
    /// from the other ([`Issuer::families_of`](super::Issuer::families_of)). Default: none.
    #[must_use]
    pub fn device(mut self, label: impl Into<String>) -> Self {
        self.device = Some(label.into());
        self
    }

    /// Sets claims of the program's own, which each access token of the login carries. Default: none.
    #[must_use]
    pub fn claims(mut self, claims: OwnClaims) -> Self {
        self.claims = claims;
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

/// Returns a scope with one blank between two values, and none at its ends; `None` if it has no value (RFC 6749,
/// section 3.3).
pub(crate) fn normalized(scope: &str) -> Option<String> {
    let values: Vec<_> = scope.split(' ').filter(|it| !it.is_empty()).collect();
    (!values.is_empty()).then(|| values.join(" "))
}
