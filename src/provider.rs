//! What known providers do, by their own documentation: with a refresh token that they see twice
//! (for [`PolicyBuilder::reuse`](crate::lifecycle::PolicyBuilder::reuse)), how they name what they
//! refuse, and where in a response they put the tokens (rules B6, B14).
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
//! [`Reuse::Strict`](crate::lifecycle::Reuse::Strict), the default, is safe with all of them. For a provider that is not here:
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
//! with [`Reuse::OverlapAccessOnly`](crate::lifecycle::Reuse::OverlapAccessOnly): none was found whose documentation promises that.

mod code;
mod dialect;
mod known;
mod profile;

pub use code::{Code, Meaning};
pub use dialect::Dialect;
pub use known::{
    DINGTALK, DOORKEEPER, ENTRA_ID, FIREBASE, GITHUB_APP, GOOGLE, HUBSPOT, INTUIT, KEYCLOAK, LARK,
    LINKEDIN, META, OKTA, SLACK, SUPABASE, ZOHO, auth0, cognito, django_oauth_toolkit, hydra, okta,
};
pub use profile::Provider;
