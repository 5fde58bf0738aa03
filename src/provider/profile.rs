//! What is known of one provider.

use super::code::Code;
use super::dialect::Dialect;
use crate::lifecycle::Reuse;

/// One provider's ways.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    name: &'static str,
    reuse: Reuse,
    codes: &'static [Code],
    dialect: Dialect,
}

impl Provider {
    /// A provider that answers as RFC 6749 says.
    pub const fn new(name: &'static str, reuse: Reuse) -> Self {
        Self { name, reuse, codes: &[], dialect: Dialect::new() }
    }

    /// What it does with a refresh token that it sees twice, where that was configured.
    #[must_use]
    pub const fn with_reuse(mut self, reuse: Reuse) -> Self {
        self.reuse = reuse;
        self
    }

    /// What its error codes mean. They are looked at before those that are known everywhere.
    #[must_use]
    pub const fn with_codes(mut self, codes: &'static [Code]) -> Self {
        self.codes = codes;
        self
    }

    /// Where in its responses the tokens are.
    #[must_use]
    pub const fn with_dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }

    /// Its name, for people.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What it does with a refresh token that it sees twice.
    pub const fn reuse(&self) -> Reuse {
        self.reuse
    }

    /// What its error codes mean.
    pub const fn codes(&self) -> &'static [Code] {
        self.codes
    }

    /// Where in its responses the tokens are.
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }
}
