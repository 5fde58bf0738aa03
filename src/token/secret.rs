//! Secret text.

use core::fmt;
use std::borrow::ToOwned;
use std::string::String;

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

/// Secret text: redacted in `Debug`, compared in constant time, zeroised on drop.
// Rule G1: "Memory that held one MUST be zeroised on drop."
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Creates a secret from `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self::from(text.into())
    }

    /// Returns the text. Each call deserves a look in review.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether it is not empty, and an HTTP header may carry it.
    pub(crate) fn is_sendable(&self) -> bool {
        let text = self.expose();
        !text.is_empty() && text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
    }
}

// Rule G1: "No token, refresh token, client secret or key may appear in `Debug`".
impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

// Rule G2: "Equality MUST be constant-time" for all texts of one length.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose().as_bytes().ct_eq(other.expose().as_bytes()).into()
    }
}

impl Eq for Secret {}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        if text.capacity() == text.len() {
            return Self(SecretString::from(text));
        }
        // A string with spare capacity would be moved to a smaller allocation, and the old one not
        // zeroised.
        let text = Zeroizing::new(text);
        Self::from(text.as_str())
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(SecretString::from(text.to_owned()))
    }
}
