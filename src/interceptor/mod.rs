//! A session at the door of an HTTP client: what every adapter for requests has in common.
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
//! An adapter for another client is a page: ask [`Interceptor::attaches`] whether to attach a token,
//! [`Interceptor::token`] for one, send, and do what [`Interceptor::handle_response`] says. Where its client follows
//! redirects by itself, tell it not to: few drop a token for good once it must not go along.
//!
//! # Waiting
//! A request waits for tokens no longer than its [`wait_limit`](InterceptorBuilder::wait_limit), also where
//! the authorization server hangs (rule C8). Why there was none is in the error's text;
//! `session::Error::find` has the session's own error of any client's.
//!
//! # Invariants
//! - What is decided is decided in [`crate::verdict`]; this reads headers and tells the session.
//! - A token goes to the origins that it was given for, and nowhere else (rule E5).
//! - A refresh touches no request that is out and no response that is coming in (rule E7: "it keeps the
//!   token that it began with").
//!
//! # Deliberately absent
//! Sending anything. Looking into bodies: a program that finds an error there (GraphQL's, say)
//! takes the [`AccessToken`] from the response's extensions, and calls
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
