//! Known providers, as they document themselves: what happens when a refresh token is used twice
//! (for [`PolicyBuilder::reuse`](crate::lifecycle::PolicyBuilder::reuse)), what their error codes
//! mean, and where in a response the tokens are. See rules [B6 and
//! B14](crate::spec#b-the-client-machine).
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
//! A client of the provider's token endpoint (feature `wire`) takes the same value:
//! `Client::builder(..).provider(&provider::SLACK)`.
//!
//! Constants describe a provider's default configuration; functions take a configured value. Each
//! names the documentation that it follows. None was tested against the provider, which may change:
//! [`Reuse::Strict`](crate::lifecycle::Reuse::Strict), the default, is safe with all of them. For
//! other providers:
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
//! # Out of scope
//! Endpoints, and providers whose documentation says none of this. No provider is listed with
//! [`Reuse::OverlapAccessOnly`](crate::lifecycle::Reuse::OverlapAccessOnly): none was found that
//! documents it.

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
