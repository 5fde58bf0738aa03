//! Where a provider puts the tokens in its responses.

/// Where in a response the tokens are, where that is not as RFC 6749, section 5.1, has it.
///
/// A response in the standard's own words is understood whatever the dialect; and a response whose top
/// says `error`, and has no access token there, is a refusal whatever lies within.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Default)]
pub struct Dialect {
    envelopes: &'static [&'static str],
    names: &'static [(&'static str, &'static str)],
}

impl Dialect {
    /// That of RFC 6749.
    pub const fn new() -> Self {
        Self { envelopes: &[], names: &[] }
    }

    /// Members that hold the tokens, tried in turn where the top of the response has none; a path
    /// into deeper ones is written with dots. Each is an object, a list of one, or a text that holds
    /// one. Error codes are looked for there as well.
    #[must_use]
    pub const fn inside(mut self, envelopes: &'static [&'static str]) -> Self {
        self.envelopes = envelopes;
        self
    }

    /// Other names for members: the standard's name, and then theirs.
    #[must_use]
    pub const fn named(mut self, names: &'static [(&'static str, &'static str)]) -> Self {
        self.names = names;
        self
    }

    /// The members that may hold the tokens.
    pub const fn envelopes(&self) -> &'static [&'static str] {
        self.envelopes
    }

    /// Pairs of the standard's name and theirs.
    pub const fn names(&self) -> &'static [(&'static str, &'static str)] {
        self.names
    }
}
