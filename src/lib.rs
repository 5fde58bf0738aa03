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
//! | configure to which origins a token is sent | [`interceptor`] | `http` |
//! | call APIs from a service in axum or another framework | [`interceptor`](interceptor#in-a-service) | `reqwest`; not `axum` |
//! | keep the grant in a file | [`adapters::file`] | `file` |
//! | … in the platform's keyring | [`adapters::keyring`] | `keyring` |
//! | … encrypted, in any store | [`adapters::sealed`] | `sealed` |
//! | … on a server that many processes share | `adapters::redis`, `adapters::postgres` | `redis`, `postgres` |
//! | … anywhere else | [`store::Store`], or [`on_rotate`](session::Builder::on_rotate) | |
//! | wake tasks on time, and spawn refreshes | [`adapters::tokio`], [`adapters::smol`] | of the same name |
//! | wake tasks on an executor without a timer | [`adapters::thread`] | |
//! | declare how the authorization server treats a refresh token presented twice | [`provider`], [`lifecycle::PolicyBuilder::reuse`] | |
//! | issue rotating refresh tokens, and JWTs | [`issue`], [`adapters::jwt`] | `issue`, `jwt` |
//! | … in an authorization server of your own, with axum | [`adapters::axum`] | `axum` |
//! | verify access tokens on another machine than the authorization server | [`adapters::resource_server`] | `resource-server`, `axum` |
//! | test a program without a clock or a network, and a store of your own | [`testing`] | `testing` |
//! | embed the state machines alone, without `std` or `alloc` | [`lifecycle`], [`rotation`], [`lease`], [`time`], [`verdict`] | |
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
//! let tokio = Tokio::current()?;
//! let session = Session::builder_with(RefreshGrant::new(auth)?)
//!     .store(FileStore::open("grant.json")?)
//!     .timer(tokio.clone()) // wakes tasks at deadlines and after backoff
//!     .spawner(tokio.spawner()) // completes refreshes also while no caller waits
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
//! | how the server treats a refresh token presented twice | it refuses it | [`reuse`](lifecycle::PolicyBuilder::reuse) |
//! | how long before expiry a token is refreshed | 5 minutes, but not before half its lifetime has passed | [`refresh_window`](lifecycle::PolicyBuilder::refresh_window) |
//! | how long before expiry it is no longer handed out | 10 s, or an eighth of its lifetime if that is less | [`margin`](lifecycle::PolicyBuilder::margin) |
//! | the lifetime of a token whose response states none | 1 hour | [`missing_lifetime`](lifecycle::PolicyBuilder::missing_lifetime) |
//! | how long a refresh may take | 30 s, or a third of the declared reuse window if that is less | [`refresh_deadline`](lifecycle::PolicyBuilder::refresh_deadline) |
//! | the backoff after failures | random: at most 1 s after the first failure, doubling with each, at most 60 s | [`backoff`](lifecycle::PolicyBuilder::backoff) |
//! | how long a caller waits through failed attempts | not at all; 10 s for requests through an interceptor | [`Acquire::retry_for`](session::Acquire::retry_for), [`InterceptorBuilder::retry_for`](interceptor::InterceptorBuilder::retry_for) |
//! | how long a caller waits in all | no limit; 10 s for requests through an interceptor | [`Acquire::within`](session::Acquire::within), [`wait_limit`](interceptor::InterceptorBuilder::wait_limit) |
//! | where the grant is kept | in memory | [`store`](session::Builder::store), [`on_rotate`](session::Builder::on_rotate) |
//! | what wakes tasks at deadlines and after backoff | nothing; to wait through backoff is then an error | [`timer`](session::Builder::timer) |
//! | who polls a refresh | the callers that wait for it | [`spawner`](session::Builder::spawner), [`poll_in`](session::Builder::poll_in) |
//! | where a blocking refresher runs | on a short-lived thread | [`spawn_blocking`](session::Builder::spawn_blocking) |
//! | refreshing without any traffic | off | [`Session::keep_fresh`](session::Session::keep_fresh) |
//! | where random numbers come from | the standard library's hasher | [`random`](session::Builder::random) |
//!
//! # Errors
//! [`session::Error`] tells the program what to do. [`is_login_required`](session::Error::is_login_required):
//! send the user to log in. [`is_misconfigured`](session::Error::is_misconfigured): correct the setting that
//! the error's [`source`](core::error::Error::source) names. Otherwise
//! [`when_to_retry`](session::Error::when_to_retry) returns when to try again, if known, on the session's
//! clock; with the standard clock, [`to_system_time`](time::Timestamp::to_system_time) converts it.
//!
//! Through an HTTP client the error is in the client error's source chain: use [`session::Error::find`]. It is
//! wrapped in [`interceptor::Refused::NoToken`], whose `retry_in` is the delay until `when_to_retry`. How a service
//! turns the error into a response is shown under [`interceptor`](interceptor#in-a-service).
//!
//! # Seeing what happens
//! Nothing is logged or counted by itself. [`Builder::on_event`](session::Builder::on_event) sets a hook for
//! [`events`]: what has happened, why, and when the next attempt follows. The features `tracing` and `metrics`
//! bring hooks; the guide says [what to watch](guide::operating). [`Session::changed`](session::Session::changed)
//! completes after each success and failure, and [`Session::state`](session::Session::state) returns the state.
//!
//! # Further pages
//! - [`guide`]: concepts, choosing a policy, rotation, limits, and why things are as they are.
//! - [`spec`]: the numbered rules that the code keeps; where these docs cite a rule, it is one of them.
//! - [`states`]: the state diagram.
//! - [`faults`]: which faults a client survives under which rotation policy, and which it does not.
//! - [`verification`]: what is checked, by which command, and what is not proved;
//!   [`traceability`]: which code keeps a rule, and which tests defend it.
//! - [`figures`]: benchmarks. [`dependencies`]: features, and the reason for each dependency.
//!
//! The package also contains `SECURITY.md`, the threat model. The repository has `examples/`, among them an
//! authorization server to try a client on. There is no public address to link to yet.
//!
//! # Out of scope
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
#[cfg(feature = "std")]
pub mod events;
#[cfg(feature = "std")]
pub mod guide;
#[cfg(feature = "http")]
pub mod interceptor;
#[cfg(feature = "issue")]
pub mod issue;
#[cfg(feature = "keyed")]
pub mod keyed;
pub mod lease;
pub mod lifecycle;
#[cfg(feature = "std")]
mod offload;
#[cfg(any(feature = "file", feature = "keyring", feature = "sealed"))]
mod ownership;
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

// Of a link's definitions the first one counts. Here: where it leads to among these pages; in the file:
// where it leads to among the sources.

pub mod spec {
    #![doc = "[`states`]: crate::states"]
    #![doc = ""]
    #![doc = include_str!("spec.md")]
}

pub mod faults {
    #![doc = "[client machine]: crate::lifecycle"]
    #![doc = "[lease machine]: crate::lease"]
    #![doc = "[policy]: crate::rotation::Reuse"]
    #![doc = "[server machine]: crate::rotation"]
    #![doc = ""]
    #![doc = include_str!("faults.md")]
}

pub mod states {
    #![doc = "[`State`]: crate::lifecycle::State"]
    #![doc = "[`apply`]: crate::lifecycle::apply"]
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
    #![doc = "[A2]: crate::spec#a-time"]
    #![doc = ""]
    #![doc = include_str!("figures.md")]
}

pub mod scale {
    #![doc = "[`Lifecycle`]: crate::lifecycle::Lifecycle"]
    #![doc = "[`Turn`]: crate::lease::Turn"]
    #![doc = "[`without_jitter`]: crate::session::Builder::without_jitter"]
    #![doc = "[B1]: crate::spec#b-the-client-machine"]
    #![doc = "[B7]: crate::spec#b-the-client-machine"]
    #![doc = "[F4]: crate::spec#f-storage"]
    #![doc = ""]
    #![doc = include_str!("scale.md")]
    #![doc = ""]
    #![doc = include_str!("scale_figures.md")]
    #![doc = ""]
    #![doc = include_str!("scale.svg")]
}

pub mod dependencies {
    #![doc = "[`adapters::jwt`]: crate::adapters::jwt"]
    #![doc = "[`lifecycle`]: crate::lifecycle"]
    #![doc = "[`provider`]: crate::provider"]
    #![doc = "[`rotation`]: crate::rotation"]
    #![doc = "[`time`]: crate::time"]
    #![doc = "[`verdict`]: crate::verdict"]
    #![doc = ""]
    #![doc = include_str!("dependencies.md")]
}

pub mod traceability {
    #![doc = include_str!("links.md")]
    #![doc = include_str!("traceability.md")]
}

pub mod verification {
    #![doc = "[`faults`]: crate::faults"]
    #![doc = "[B13]: crate::spec#b-the-client-machine"]
    #![doc = "[D1]: crate::spec#d-the-authorization-server"]
    #![doc = "[D4]: crate::spec#d-the-authorization-server"]
    #![doc = "[D7]: crate::spec#d-the-authorization-server"]
    #![doc = "[D8]: crate::spec#d-the-authorization-server"]
    #![doc = "[F3]: crate::spec#f-storage"]
    #![doc = "[F4]: crate::spec#f-storage"]
    #![doc = "[`lease`]: crate::lease"]
    #![doc = ""]
    #![doc = include_str!("links.md")]
    #![doc = include_str!("verification.md")]
}

/// The README's code, compiled and run as a test.
#[cfg(all(doctest, feature = "std"))]
#[doc = include_str!("../README.md")]
struct Readme;
