//! Attaching a session's token to HTTP requests: what the adapters for HTTP clients have in common.
//!
//! ```
//! # use perennial::refresh::{RefreshError, Request};
//! # use perennial::session::Session;
//! # use perennial::token::Grant;
//! use perennial::interceptor::Interceptor;
//!
//! # fn example(session: Session) -> Result<(), Box<dyn std::error::Error>> {
//! let interceptor = Interceptor::builder(session).origin("https://api.example.com").build()?;
//! // `adapters::reqwest::BearerMiddleware::client(interceptor, ..)`, or tower's, or ureq's.
//! # let _ = interceptor;
//! # Ok(())
//! # }
//! # let refresher = |_: Request| async { Err::<Grant, _>(RefreshError::declined("none")) };
//! # example(Session::builder(refresher).build()?)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! An adapter for another client is short: ask [`Interceptor::attaches`] whether to attach a token,
//! [`Interceptor::token`] for one, send the request, and do what [`Interceptor::handle_response`]
//! returns. Configure the client not to follow redirects by itself: few clients drop a token for
//! good once a redirect has left its origins.
//!
//! # Waiting
//! A request waits for tokens no longer than its [`wait_limit`](InterceptorBuilder::wait_limit),
//! even if the authorization server hangs. The text of the error says why there was no token;
//! `session::Error::find` finds the session's own error in that of any client.
//!
//! # Invariants
//! - All decisions are made in [`crate::verdict`]; this module reads headers and reports to the
//!   session.
//! - A token goes to the origins that it is for, and to no other ([E5](crate::spec#e-requests)).
//! - A refresh does not affect a request in flight or its response (rule E7: "it keeps the token
//!   that it began with").
//!
//! # Deliberately absent
//! Sending requests. Reading bodies: a program that finds an error there (GraphQL's, say) takes the
//! [`AccessToken`](crate::token::AccessToken) from the response's extensions, and calls
//! [`Session::reject`](crate::session::Session::reject).

mod attach;
mod builder;
mod challenge;
mod origin;
mod reason;
#[cfg(any(feature = "reqwest", feature = "tower", feature = "ureq"))]
pub(crate) mod redirect;
mod refused;
mod response;

pub use attach::Interceptor;
pub use builder::{
    DEFAULT_MAX_REDIRECTS, DEFAULT_PATIENCE, DEFAULT_WAIT_LIMIT, InterceptorBuilder,
    InterceptorError,
};
pub use challenge::read as read_challenges;
pub use origin::{Origin, OriginError, RequestTarget, Target};
pub use refused::Refused;
pub use response::{ResponseHead, classify_grpc};
