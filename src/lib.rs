//! Silent refresh of OAuth access tokens, for any async runtime and for plain threads.
//!
//! A [`Session`](session::Session) holds one grant: an access token and the refresh token that renews it. It
//! hands out the access token, refreshes it before it expires, once for all callers, and replaces it after a
//! 401. Middleware for [`reqwest`](adapters::reqwest), [`tower`](adapters::tower) and
//! [`ureq`](adapters::ureq) does that for each request, so that a program need not see a token at all.
//!
//! ```
//! use core::time::Duration;
//! use perennial::refresh::{RefreshError, Request};
//! use perennial::session::Session;
//! use perennial::token::Grant;
//!
//! # #[cfg(feature = "std")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! const HOUR: Duration = Duration::from_secs(3600);
//!
//! async fn refresh(request: Request) -> Result<Grant, RefreshError> {
//!     // Ask the token endpoint, with `request.refresh_token()`. Or use `adapters::oauth2`.
//! #   let _ = request;
//!     Ok(Grant::new("at-2", "rt-2", HOUR))
//! }
//!
//! let session = Session::builder(refresh).grant(Grant::new("at-1", "rt-1", HOUR)).build()?;
//! let token = session.token_blocking()?; // in a task: `session.token().await?`
//! assert_eq!(token.expose(), "at-1");
//! session.reject(&token); // the API answered 401 to it
//! assert_eq!(session.token_blocking()?.expose(), "at-2");
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "std"))]
//! # fn main() {}
//! ```
//!
//! # Which module for what
//!
//! | to | use | feature |
//! |---|---|---|
//! | share one grant among tasks and threads | [`session::Session`] | |
//! | … on one thread, with `Rc` and `RefCell` in the refresher | [`session::LocalSession`] | |
//! | hold a grant for each user or tenant | [`keyed::Sessions`] | `keyed` |
//! | ask a token endpoint (RFC 6749) with `reqwest` | [`adapters::oauth2`] | `oauth2` |
//! | … without a runtime | [`adapters::ureq::refresh_grant`] | `ureq` |
//! | … with another HTTP client | [`wire`]: builds the request, reads the response | `wire` |
//! | attach tokens to requests, and replay after a 401 | [`adapters::reqwest`], [`adapters::tower`], [`adapters::ureq`] | of the same name |
//! | say to which origins a token goes | [`interceptor`] | `http` |
//! | keep the grant in a file | [`adapters::file`] | `file` |
//! | … on a server that many processes share | `adapters::redis`, `adapters::postgres` | `redis`, `postgres` |
//! | … anywhere else | [`store::Store`], or [`on_rotate`](session::Builder::on_rotate) | |
//! | wake tasks on time, and spawn refreshes | [`adapters::tokio`], [`adapters::smol`] | of the same name |
//! | declare what an authorization server does | [`provider`], [`lifecycle::PolicyBuilder::reuse`] | |
//! | issue rotating refresh tokens, and JWTs | [`issue`], [`adapters::jwt`] | `issue`, `jwt` |
//! | … behind a token endpoint | [`adapters::axum`] | `axum` |
//! | test a program without a clock or a network | [`testing`] | `testing` |
//! | embed the state machines alone, without `std` or `alloc` | [`lifecycle`], [`rotation`], [`time`], [`verdict`] | |
//!
//! What each feature adds to the build is on the page [`dependencies`]. The default is `std` alone: no HTTP
//! client and no runtime.
//!
//! # A complete client
//!
//! ```no_run
//! use perennial::adapters::file::FileStore;
//! use perennial::adapters::oauth2::RefreshGrant;
//! use perennial::adapters::reqwest::BearerMiddleware;
//! use perennial::adapters::tokio::Tokio;
//! use perennial::interceptor::Interceptor;
//! use perennial::lifecycle::Policy;
//! use perennial::provider::OKTA;
//! use perennial::session::Session;
//! use perennial::wire::Client;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let auth = Client::builder("https://auth.example.com/token", "my-client").build()?;
//! let session = Session::builder_with(RefreshGrant::new(auth)?)
//!     .store(FileStore::open("grant.json")?)
//!     .timer(Tokio::current()?)
//!     .policy(Policy::builder().reuse(OKTA.reuse()).build()?)
//!     .build()?;
//! // After a login: `session.install(grant).await?`.
//! let interceptor = Interceptor::builder(session)
//!     .origin("https://api.example.com")
//!     .build()?;
//! let client = BearerMiddleware::client(interceptor, reqwest::Client::builder())?.build();
//! let response = client.get("https://api.example.com/things").send().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What happens
//! A refresh that is due starts with the next caller. While the old token works, nobody waits:
//!
//! ```text
//! task A   task B                session                              authorization server
//! |-- token() ------------------>|                                    |
//! |        |                     | a refresh is due                   |
//! |        |                     |-- refresh token 1 ---------------->|
//! |<----------- access token 1 --|                                    |
//! |        |-- token() --------->|                                    |
//! |        |<-- access token 1 --|                                    |
//! |        |                     |<------------------------ grant 2 --|
//! |        |                     | stores grant 2, then hands it out  |
//! |        |-- token() --------->|                                    |
//! |        |<-- access token 2 --|                                    |
//! ```
//!
//! Any number of requests that get a 401 for the same token cause one refresh, and each is replayed once:
//!
//! ```text
//! API           request A   request B              session                token endpoint
//! |-- 401 ----->|           |                      |                      |
//! |             |-- reject(token 1) -------------->|                      |
//! |             |           |                      |-- refresh token 1 -->|
//! |-- 401 ----------------->|                      |                      |
//! |             |           |-- reject(token 1) -->|                      |
//! |             |           |                      |<---------- grant 2 --|
//! |             |           |                      | stores grant 2       |
//! |             |<---------------------- token 2 --|                      |
//! |             |           |<---------- token 2 --|                      |
//! |<-- replay --|           |                      |                      |
//! |<-------------- replay --|                      |                      |
//! |-- 200 ----->|           |                      |                      |
//! |-- 200 ----------------->|                      |                      |
//! ```
//!
//! The page [`states`] has the state diagram.
//!
//! # The usual settings
//!
//! | setting | default | set by |
//! |---|---|---|
//! | what the server does with a refresh token that it sees twice | refuses it | [`reuse`](lifecycle::PolicyBuilder::reuse) |
//! | how long before expiry a token is refreshed | 5 minutes, at half its lifetime at the earliest | [`refresh_window`](lifecycle::PolicyBuilder::refresh_window) |
//! | how long before expiry it is no longer handed out | 10 s, or an eighth of its lifetime | [`margin`](lifecycle::PolicyBuilder::margin) |
//! | the lifetime of a token whose response states none | 1 hour | [`missing_lifetime`](lifecycle::PolicyBuilder::missing_lifetime) |
//! | how long a refresh may take | 30 s | [`refresh_deadline`](lifecycle::PolicyBuilder::refresh_deadline) |
//! | the backoff after failures | up to 1 s, doubling, up to 60 s | [`backoff`](lifecycle::PolicyBuilder::backoff) |
//! | how long a caller waits through failed attempts | not at all; 10 s for requests | [`Acquire::retry_for`](session::Acquire::retry_for), [`InterceptorBuilder::retry_for`](interceptor::InterceptorBuilder::retry_for) |
//! | how long a caller waits in all | no limit; 10 s for requests | [`Acquire::within`](session::Acquire::within), [`wait_limit`](interceptor::InterceptorBuilder::wait_limit) |
//! | where the grant is kept | in memory | [`store`](session::Builder::store), [`on_rotate`](session::Builder::on_rotate) |
//! | what wakes tasks at deadlines and after backoff | nothing; to wait through backoff is then an error | [`timer`](session::Builder::timer) |
//! | who polls a refresh | the callers that wait for it | [`spawner`](session::Builder::spawner), [`poll_in`](session::Builder::poll_in) |
//! | where a blocking refresher runs | on a short-lived thread | [`spawn_blocking`](session::Builder::spawn_blocking) |
//! | refreshing without any traffic | off | [`Session::keep_fresh`](session::Session::keep_fresh) |
//! | where random numbers come from | the standard library's hasher | [`random`](session::Builder::random) |
//!
//! # Errors
//! [`session::Error`] says what to do: [`is_login_required`](session::Error::is_login_required) is the one
//! that sends a user to log in, [`is_misconfigured`](session::Error::is_misconfigured) names the setting to
//! correct, and [`when_to_retry`](session::Error::when_to_retry) is there for the rest. Errors of HTTP clients
//! hold it: [`session::Error::find`].
//!
//! # Further pages
//! - [`spec`]: the numbered rules that the code keeps; where these docs cite a rule, it is one of them.
//! - [`states`]: the state diagram.
//! - [`faults`]: which faults a client survives under which rotation policy, and which it does not.
//! - [`verification`]: what is checked, by which command, and what is not proved;
//!   [`traceability`]: which code keeps a rule, and which tests defend it.
//! - [`figures`]: benchmarks. [`dependencies`]: features, and the reason for each dependency.
//!
//! The package also has `SECURITY.md`, with the threat model. The repository has `examples/`, among them an
//! authorization server to try a client on.
//!
//! # Deliberately absent
//! The login itself (authorization code, device flow), and sender-constrained tokens (`DPoP`, mTLS).

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

pub mod states {
    // As in `traceability`: where its links lead to on this page.
    #![doc = "[diagram]: #diagram"]
    #![doc = "[transitions]: #transitions"]
    #![doc = ""]
    #![doc = include_str!("states.md")]
    #![doc = ""]
    #![doc = include_str!("states.svg")]
    #![doc = ""]
    #![doc = include_str!("transitions.md")]
}

pub mod figures {
    #![doc = include_str!("figures.md")]
}

pub mod dependencies {
    #![doc = include_str!("dependencies.md")]
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
