//! Why a request is not sent.

use core::time::Duration;
use std::string::ToString;

use thiserror::Error as ThisError;

use super::origin::Origin;
use super::reason;
use crate::events::{ErrorView, EventKind};
use crate::session::Error as SessionError;

/// Why a request was not sent.
#[derive(Clone, Debug, ThisError)]
#[non_exhaustive]
pub enum Refused {
    /// No token could be obtained for it.
    #[error("no access token for this request: {}", reason::of(error, *retry_in))]
    NoToken {
        /// The session's error.
        #[source]
        error: SessionError,
        /// When to try again, from the time of this error, if trying again may help.
        retry_in: Option<Duration>,
    },
    /// The token would have been sent in the clear.
    #[error("{0} is plain http beyond this machine: use https, or `allow_plain_http`")]
    PlainHttp(Origin),
    /// The request names no host, and several origins are declared. It is not known whether the
    /// token may go there, and the request is not sent without one either.
    #[error(
        "the request names a path and no host, so it cannot be known which of the declared origins it \
         goes to: name the host in its URI, or declare that one origin alone"
    )]
    UnknownOrigin,
    /// The request is plain http to this machine, and would pass through a proxy.
    #[error(
        "{0} is plain http to this machine, and the environment sets a proxy for it, which could read the \
         token: name it in `NO_PROXY`"
    )]
    Proxied(Origin),
    /// The call was redirected more often than
    /// [`max_redirects`](super::InterceptorBuilder::max_redirects) allows.
    #[error("more than {0} redirects in a row: see `max_redirects`")]
    TooManyRedirects(u32),
}

impl Refused {
    /// Returns the event of a request that is not sent.
    pub(super) fn to_event(&self) -> EventKind {
        let error = ErrorView::new(self.name(), None, self.clone());
        EventKind::RequestRefused { error, origin: self.origin().map(ToString::to_string) }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::NoToken { .. } => "no_token",
            Self::PlainHttp(_) => "plain_http",
            Self::UnknownOrigin => "unknown_origin",
            Self::Proxied(_) => "proxied",
            Self::TooManyRedirects(_) => "too_many_redirects",
        }
    }

    /// Returns the origin that the request was for, where that is the reason.
    fn origin(&self) -> Option<&Origin> {
        match self {
            Self::PlainHttp(origin) | Self::Proxied(origin) => Some(origin),
            Self::NoToken { .. } | Self::UnknownOrigin | Self::TooManyRedirects(_) => None,
        }
    }
}
