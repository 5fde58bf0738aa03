//! What is known of one provider.

use super::code::Code;
use super::dialect::Dialect;
use crate::lifecycle::Reuse;

/// What is known of one provider: reuse of refresh tokens, error codes, and form of responses.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    name: &'static str,
    reuse: Reuse,
    codes: &'static [Code],
    dialect: Dialect,
}

impl Provider {
    /// Returns a provider whose responses follow RFC 6749.
    pub const fn new(name: &'static str, reuse: Reuse) -> Self {
        Self { name, reuse, codes: &[], dialect: Dialect::new() }
    }

    /// Sets what happens when a refresh token is used twice.
    #[must_use]
    pub const fn with_reuse(mut self, reuse: Reuse) -> Self {
        self.reuse = reuse;
        self
    }

    /// Sets what its error codes mean. These take precedence over the codes known for all
    /// providers.
    #[must_use]
    pub const fn with_codes(mut self, codes: &'static [Code]) -> Self {
        self.codes = codes;
        self
    }

    /// Sets where in its responses the tokens are.
    #[must_use]
    pub const fn with_dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }

    /// Returns its name, for display.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns what happens when a refresh token is used twice.
    pub const fn reuse(&self) -> Reuse {
        self.reuse
    }

    /// Returns what its error codes mean.
    pub const fn codes(&self) -> &'static [Code] {
        self.codes
    }

    /// Returns where in its responses the tokens are.
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }
}
