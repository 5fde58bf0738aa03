//! Claims of the program's own, such as roles or a tenant, which a login carries into its access tokens.

use std::prelude::rust_2024::*;

use serde_json::{Map, Value};
use thiserror::Error as ThisError;

/// The maximum length of all claims of a login as JSON, in bytes.
const LONGEST: usize = 2048;

/// The claims that this crate writes itself, and those by which other specifications identify a token's holder (RFC 7519,
/// RFC 7662, RFC 8693, RFC 9068, RFC 7800).
const RESERVED: [&str; 20] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "client_id",
    "scope",
    "sid",
    "rtn",
    "act",
    "may_act",
    "cnf",
    "active",
    "token_use",
    "token_type",
    "username",
    "scp",
    "azp",
];

/// Claims that a login carries into each of its access tokens, beside those of RFC 9068: roles, a tenant. At
/// most 2,048 bytes as JSON.
///
/// ```
/// use perennial::issue::{Login, OwnClaims};
/// use serde_json::json;
///
/// # fn main() -> Result<(), perennial::issue::ClaimError> {
/// let claims = OwnClaims::new().with("roles", json!(["editor"]))?.with("tenant", "acme")?;
/// let login = Login::new("web", "alice").claims(claims);
/// # drop(login);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnClaims(Map<String, Value>);

/// Why a claim is refused.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum ClaimError {
    /// The name has a meaning in access tokens already.
    #[error("the claim {0:?} is set by the issuer; choose another name")]
    Reserved(String),
    /// All claims together are longer than an access token should be.
    #[error("the claims have {0} bytes as JSON, and may have 2048; keep the rest in a database")]
    TooLong(usize),
    /// The stored claims are not a JSON object.
    #[error("the stored claims are not a JSON object")]
    Damaged,
}

impl OwnClaims {
    /// Returns no claims.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a claim, or replaces the one of this name.
    ///
    /// # Errors
    /// [`ClaimError::Reserved`] and [`ClaimError::TooLong`].
    pub fn with(
        mut self,
        name: impl Into<String>,
        value: impl Into<Value>,
    ) -> Result<Self, ClaimError> {
        self.0.insert(name.into(), value.into());
        Self::checked(self.0)
    }

    /// Returns the value of the claim with this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Returns whether there are no claims.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Returns the JSON object that a store keeps; `None` if there are no claims.
    pub fn to_json(&self) -> Option<String> {
        (!self.is_empty()).then(|| Value::Object(self.0.clone()).to_string())
    }

    /// Returns the claims of a stored JSON object.
    ///
    /// # Errors
    /// [`ClaimError`].
    pub fn from_json(text: &str) -> Result<Self, ClaimError> {
        Self::checked(serde_json::from_str(text).map_err(|_| ClaimError::Damaged)?)
    }

    /// Returns those of a token's members that are no claims of the issuer. Members that are too long are left out.
    #[cfg(any(feature = "jwt", feature = "resource-server"))]
    pub(crate) fn of_members(mut members: Map<String, Value>) -> Self {
        members.retain(|name, _| !RESERVED.contains(&name.as_str()));
        Self::checked(members).unwrap_or_default()
    }

    #[cfg(any(feature = "jwt", feature = "axum"))]
    pub(crate) fn members(&self) -> &Map<String, Value> {
        &self.0
    }

    fn checked(members: Map<String, Value>) -> Result<Self, ClaimError> {
        if let Some(name) = members.keys().find(|name| RESERVED.contains(&name.as_str())) {
            return Err(ClaimError::Reserved(name.clone()));
        }
        let claims = Self(members);
        let length = claims.to_json().map_or(0, |json| json.len());
        if length > LONGEST { Err(ClaimError::TooLong(length)) } else { Ok(claims) }
    }
}
