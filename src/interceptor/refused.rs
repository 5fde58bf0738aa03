//! Why a request was not sent.

use core::time::Duration;

use thiserror::Error as ThisError;

use super::origin::Origin;
use super::reason;
use crate::session::Error as SessionError;

/// A request that was not sent.
#[derive(Clone, Debug, ThisError)]
#[non_exhaustive]
pub enum Refused {
    /// No token could be had for it.
    #[error("no access token for this request: {}", reason::of(error, *retry_in))]
    NoToken {
        /// Why.
        #[source]
        error: SessionError,
        /// When another try may do better, counted from when this was told.
        retry_in: Option<Duration>,
    },
    /// The token would have been sent in the clear (rule E5).
    #[error("{0} is plain http beyond this machine: use https, or `allow_plain_http`")]
    PlainHttp(Origin),
    /// It names no host, and several origins are declared: whether the token may go there cannot be
    /// known, and it does not go out without one either (rule E5).
    #[error(
        "the request names a path and no host, so it cannot be known which of the declared origins it \
         goes to: name the host in its URI, or declare that one origin alone"
    )]
    UnknownOrigin,
    /// It is plain http to this machine, and would pass through a proxy (rule E5).
    #[error(
        "{0} is plain http to this machine, and the environment sets a proxy for it, which could read the \
         token: name it in `NO_PROXY`"
    )]
    Proxied(Origin),
    /// One redirect more than [`max_redirects`](InterceptorBuilder::max_redirects).
    #[error("more than {0} redirects in a row: see `max_redirects`")]
    TooManyRedirects(u32),
}
