//! What known providers do, by their own documentation: with a refresh token that they see twice
//! (for [`PolicyBuilder::reuse`](crate::lifecycle::PolicyBuilder::reuse)), how they name what they
//! refuse, and where in an answer they put the tokens (rules B6, B14).
//!
//! ```
//! use core::time::Duration;
//! use perennial::lifecycle::Policy;
//! use perennial::provider;
//!
//! let policy = Policy::builder().reuse(provider::OKTA.reuse()).build()?;
//! let overlap = provider::auth0(Duration::from_secs(15));
//! let policy = Policy::builder().reuse(overlap.reuse()).build()?;
//! # let _ = policy;
//! # Ok::<(), perennial::lifecycle::PolicyError>(())
//! ```
//!
//! A client of its token endpoint (feature `wire`) is given the same value:
//! `Client::builder(..).provider(&provider::SLACK)`.
//!
//! Constants say what holds unless it was configured otherwise; functions take what was configured.
//! Each names the page that it is from. None was tried out here, and a provider may change its mind:
//! [`Reuse::Strict`], the default, is safe with all of them. For a provider that is not here:
//!
//! ```
//! use perennial::lifecycle::Reuse;
//! use perennial::provider::{Code, Dialect, Provider};
//!
//! const OURS: Provider = Provider::new("ours", Reuse::Strict)
//!     .with_codes(&[Code::declined("session_over", "our handbook, page 7")])
//!     .with_dialect(Dialect::new().inside(&["tokens"]).named(&[("access_token", "jwt")]));
//! assert_eq!(OURS.reuse(), Reuse::Strict);
//! ```
//!
//! Deliberately absent: providers whose documentation does not say; endpoints. No provider is listed
//! with [`Reuse::OverlapAccessOnly`]: none was found whose documentation promises that.

mod known;

use crate::lifecycle::Reuse;

pub use known::{
    DINGTALK, DOORKEEPER, ENTRA_ID, FIREBASE, GITHUB_APP, GOOGLE, HUBSPOT, INTUIT, KEYCLOAK, LARK,
    LINKEDIN, META, OKTA, SLACK, SUPABASE, ZOHO, auth0, cognito, django_oauth_toolkit, hydra, okta,
};

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

    /// Where in its answers the tokens are.
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

    /// Where in its answers the tokens are.
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }
}

/// An error code, what it means, and which page says so.
///
/// A code is compared without regard to case, with each place where an answer may hold one:
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

/// Where in an answer the tokens are, where that is not as RFC 6749, section 5.1, has it.
///
/// An answer in the standard's own words is understood whatever the dialect; and an answer whose top
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

    /// Members that hold the tokens, tried in turn where the top of the answer has none; a path
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
