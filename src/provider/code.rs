//! Error codes, and what they mean.

/// An error code, what it means, and the documentation that says so.
///
/// Codes are compared case-insensitively, with each member of a response that may hold one:
/// `error`, a `code` or `status` beside or within it, and the like. Write a numeric code as text.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Code {
    text: &'static str,
    meaning: Meaning,
    source: &'static str,
}

/// What an error code means. See rule [B6](crate::spec#b-the-client-machine).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Meaning {
    /// The refresh token does not work any more, or a person must act: a new login is needed.
    Declined,
    /// The server does not accept the client or its request: this setting must be corrected.
    Misconfigured(&'static str),
    /// A temporary failure: retry later.
    Passing,
}

impl Code {
    /// Returns a code that means [`Meaning::Declined`].
    pub const fn declined(text: &'static str, source: &'static str) -> Self {
        Self { text, meaning: Meaning::Declined, source }
    }

    /// Returns a code that means [`Meaning::Misconfigured`]; `setting` is what to correct, such as
    /// "the client secret".
    pub const fn misconfigured(
        text: &'static str,
        setting: &'static str,
        source: &'static str,
    ) -> Self {
        Self { text, meaning: Meaning::Misconfigured(setting), source }
    }

    /// Returns a code that means [`Meaning::Passing`].
    pub const fn passing(text: &'static str, source: &'static str) -> Self {
        Self { text, meaning: Meaning::Passing, source }
    }

    /// Returns the code itself.
    pub const fn text(&self) -> &'static str {
        self.text
    }

    /// Returns what the code means.
    pub const fn meaning(&self) -> Meaning {
        self.meaning
    }

    /// Returns the name of the documentation that says so.
    pub const fn source(&self) -> &'static str {
        self.source
    }
}
