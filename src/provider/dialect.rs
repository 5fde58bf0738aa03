//! Where a provider puts the tokens in its responses.

/// Where the tokens are in responses that differ from RFC 6749, section 5.1.
///
/// A standard response is understood whatever the dialect. A response with `error` and no access
/// token at the top level is an error response, whatever its envelopes hold.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Default)]
pub struct Dialect {
    envelopes: &'static [&'static str],
    names: &'static [(&'static str, &'static str)],
}

impl Dialect {
    /// Returns the dialect of RFC 6749.
    pub const fn new() -> Self {
        Self { envelopes: &[], names: &[] }
    }

    /// Sets the members that may hold the tokens, tried in turn if the top level has none. A path
    /// to a nested member is written with dots. Each member is an object, or an array or a string
    /// that holds one object. Error codes are looked for there as well.
    #[must_use]
    pub const fn inside(mut self, envelopes: &'static [&'static str]) -> Self {
        self.envelopes = envelopes;
        self
    }

    /// Sets other names of members, as pairs of the standard's name and the provider's.
    #[must_use]
    pub const fn named(mut self, names: &'static [(&'static str, &'static str)]) -> Self {
        self.names = names;
        self
    }

    /// Returns the members that may hold the tokens.
    pub const fn envelopes(&self) -> &'static [&'static str] {
        self.envelopes
    }

    /// Returns the pairs of the standard's name and the provider's.
    pub const fn names(&self) -> &'static [(&'static str, &'static str)] {
        self.names
    }
}
