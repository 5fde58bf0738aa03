//! Grant types of the program's own, beside those of this crate.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use std::prelude::rust_2024::*;

use super::form::{EndpointError, Parameters};
use crate::issue::{GrantError, Issued};

/// A token request with a grant type of the program's own. The client has been authenticated.
pub struct GrantRequest {
    pub(super) client: String,
    pub(super) form: Parameters,
}

impl GrantRequest {
    /// Returns the id of the client.
    pub fn client(&self) -> &str {
        &self.client
    }

    /// Returns the value of a parameter, if it is there and not empty.
    ///
    /// # Errors
    /// [`GrantRefusal::InvalidRequest`] if it is repeated (RFC 6749, section 3.2).
    pub fn parameter(&self, name: &str) -> Result<Option<&str>, GrantRefusal> {
        self.form.get(name).map_err(|_| GrantRefusal::InvalidRequest("a parameter is repeated"))
    }
}

/// Shows the client, and no parameter.
impl fmt::Debug for GrantRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("GrantRequest").field("client", &self.client).finish_non_exhaustive()
    }
}

/// Why a grant of the program's own is refused (RFC 6749, section 5.2).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum GrantRefusal {
    /// `invalid_request`, with this description: ASCII without `"` and `\`.
    InvalidRequest(&'static str),
    /// `invalid_grant`: what was presented does not work. It is charged to the peer.
    InvalidGrant,
    /// `invalid_scope`.
    InvalidScope,
    /// `unauthorized_client`: the client may not do this.
    UnauthorizedClient,
    /// An error of the issuer.
    Issuer(GrantError),
}

impl From<GrantError> for GrantRefusal {
    fn from(error: GrantError) -> Self {
        Self::Issuer(error)
    }
}

impl From<GrantRefusal> for EndpointError {
    fn from(refusal: GrantRefusal) -> Self {
        match refusal {
            GrantRefusal::InvalidRequest(text) => Self::InvalidRequest(text),
            GrantRefusal::InvalidGrant => Self::InvalidGrant,
            GrantRefusal::InvalidScope => Self::InvalidScope,
            GrantRefusal::UnauthorizedClient => Self::UnauthorizedClient,
            GrantRefusal::Issuer(error) => error.into(),
        }
    }
}

type Granting = Pin<Box<dyn Future<Output = Result<Issued, GrantRefusal>> + Send>>;

/// The program's handler of a grant type.
pub(super) type GrantHandler = Box<dyn Fn(GrantRequest) -> Granting + Send + Sync>;

/// Boxes a handler.
pub(super) fn handler<F, Fut>(handle: F) -> GrantHandler
where
    F: Fn(GrantRequest) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Issued, GrantRefusal>> + Send + 'static,
{
    Box::new(move |request| Box::pin(handle(request)))
}
