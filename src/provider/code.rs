//! Error codes, and what they mean.

/// An error code, what it means, and which page says so.
///
/// A code is compared without regard to case, with each place where a response may hold one:
/// `error`, a `code` or `status` beside or within it, and their like. A number is given as a text.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Code {
    text: &'static str,
    meaning: Meaning,
    source: &'static str,
}

/// What an error code means (rule B6).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Meaning {
    /// This refresh token is dead, or a person must act: log in again.
    Declined,
    /// The client, or what it asks for, is not accepted: this setting is to be corrected.
    Misconfigured(&'static str),
    /// Passing trouble: ask again later.
    Passing,
}

impl Code {
    /// This refresh token is dead, or a person must act.
    pub const fn declined(text: &'static str, source: &'static str) -> Self {
        Self { text, meaning: Meaning::Declined, source }
    }

    /// `setting` is to be corrected, such as "the client secret".
    pub const fn misconfigured(
        text: &'static str,
        setting: &'static str,
        source: &'static str,
    ) -> Self {
        Self { text, meaning: Meaning::Misconfigured(setting), source }
    }

    /// Passing trouble.
    pub const fn passing(text: &'static str, source: &'static str) -> Self {
        Self { text, meaning: Meaning::Passing, source }
    }

    /// The code itself.
    pub const fn text(&self) -> &'static str {
        self.text
    }

    /// What it means.
    pub const fn meaning(&self) -> Meaning {
        self.meaning
    }

    /// The page that says so.
    pub const fn source(&self) -> &'static str {
        self.source
    }
}
