//! Access tokens that renew themselves: a formally tested token-lifecycle state machine for any
//! runtime.
//!
//! Tokens expire; users must never notice. This crate decides when an access token is still good,
//! when it is refreshed, and who waits for that, in one pure function; and runs that function for
//! any number of async tasks and plain threads that share a grant.
//!
//! ```
//! use core::time::Duration;
//! use perennial::refresh::{RefreshError, Request};
//! use perennial::session::Session;
//! use perennial::token::Grant;
//!
//! # #[cfg(feature = "std")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! async fn refresh(request: Request) -> Result<Grant, RefreshError> {
//!     // Ask the authorization server, with `request.refresh_token()`.
//! #   let _ = request;
//!     Ok(Grant::new("at-2", "rt-2", Duration::from_secs(3600)))
//! }
//!
//! let session = Session::builder(refresh)
//!     .grant(Grant::new("at-1", "rt-1", Duration::from_secs(3600)))
//!     .build()?;
//! let token = session.token_blocking()?; // or `session.token().await?`
//! assert_eq!(token.expose(), "at-1");
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "std"))]
//! # fn main() {}
//! ```
//!
//! # The map
//! Imports point down only; `tests/house/tidy.rs` holds that.
//!
//! | floor | module | what it is |
//! |---|---|---|
//! | 0 | [`time`] | instants, spans, and times off the wire |
//! | 0 | `primitives` | the seam to threads: the standard library's, or a checker's |
//! | 1 | [`lifecycle`] | the pure client machine: `no_std`, no `alloc`, no clock, no secrets |
//! | 1 | [`rotation`] | the pure server machine |
//! | 1 | [`verdict`] | pure: what to do with a request, and with its answer |
//! | 2 | [`provider`] | what known providers do with a refresh token seen twice |
//! | 2 | `token` | secrets, grants, access tokens |
//! | 3 | `refresh` | a port: how a session asks for a new grant |
//! | 4 | `clock`, `store` | the other ports: where it reads the time, where it keeps the grant |
//! | 5 | `thread_timer` | a timer for whoever has none |
//! | 5 | `wire` | what a token endpoint's answer means, for any HTTP client |
//! | 5 | `issue` | the authorization server's part, without HTTP: families, keys, tokens |
//! | 5 | `session` | one grant, many callers, at most one refresh |
//! | 6 | `keyed` | one session per user or tenant, a million of them |
//! | 6 | `interceptor` | a session at the door of an HTTP client |
//! | 6 | `testing` | virtual time, a scripted refresher |
//! | 7 | `adapters` | one foreign crate each |
//!
//! What all of it must do is written down in [`spec`], rule by rule. The code quotes the rules where
//! it keeps them and tests cite them: [`traceability`] shows which. What is checked by what, and what
//! is not proved, is on the page [`verification`].
//!
//! # Deliberately absent
//! The login itself (authorization code, device flow), and sender-constrained tokens (`DPoP`,
//! mTLS).

#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "std")]
#[macro_use]
extern crate std;

#[cfg(feature = "std")]
pub mod adapters;
#[cfg(feature = "std")]
pub mod clock;
#[cfg(feature = "http")]
pub mod interceptor;
#[cfg(feature = "issue")]
pub mod issue;
#[cfg(feature = "keyed")]
pub mod keyed;
pub mod lifecycle;
#[cfg(feature = "std")]
mod offload;
#[cfg(feature = "std")]
mod primitives;
pub mod provider;
#[cfg(feature = "std")]
pub mod refresh;
pub mod rotation;
#[cfg(feature = "std")]
pub mod session;
#[cfg(feature = "std")]
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "std")]
mod thread_timer;
pub mod time;
#[cfg(feature = "std")]
pub mod token;
pub mod verdict;
#[cfg(feature = "wire")]
pub mod wire;

pub mod spec {
    #![doc = include_str!("spec.md")]
}

pub mod faults {
    #![doc = include_str!("faults.md")]
}

pub mod traceability {
    // Of a link's definitions the first one counts: here, where it leads to among these pages.
    #![doc = include_str!("links.md")]
    #![doc = include_str!("traceability.md")]
}

pub mod verification {
    #![doc = include_str!("links.md")]
    #![doc = include_str!("verification.md")]
}

/// The README's code, compiled and run as a test.
#[cfg(all(doctest, feature = "std"))]
#[doc = include_str!("../README.md")]
struct Readme;
