//! Following redirects: where a redirect leads (RFC 9110, section 15.4), and whether the next
//! request still carries the token (rule E5).
//!
//! The HTTP clients' own redirect handling is not used: some compare a hop with the last one only,
//! and so send on the second hop within a foreign host what they dropped on the first; some do not
//! show their hops to middleware.

use core::fmt;
use core::time::Duration;
use std::prelude::rust_2024::*;
use std::string::ToString;

use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, LOCATION,
    PROXY_AUTHORIZATION, TRANSFER_ENCODING,
};
use http::{HeaderMap, Method, StatusCode};
use url::Url;

use super::attach::{Interceptor, Origins};
use super::origin::{Origin, RequestTarget, Target};
use super::refused::Refused;
use crate::session::Error;
use crate::time::Timestamp;
use crate::token::AccessToken;
use crate::verdict::Body;

/// The state of one call across its redirects.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    /// Whether the current request carries the token. Once one does not, no later one does.
    carries: bool,
    /// The origin of the call's first request.
    first_origin: Option<Origin>,
    hops: u32,
    /// How long the call has waited for tokens.
    waited: Duration,
}

/// A redirect to be followed.
#[derive(Clone, Debug)]
pub(crate) struct Hop {
    pub(crate) url: Url,
    pub(crate) method: Method,
    pub(crate) body: HopBody,
    /// Whether it leads to another origin, which must not see the credentials for the last one.
    leaves: bool,
}

/// What happens to the body of a request on a redirect.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum HopBody {
    Same,
    Dropped,
}

/// A response, and what is needed of its request to follow it.
#[derive(Copy, Clone)]
pub(crate) struct HopResponse<'a> {
    /// Formatted only for a redirect; most responses are none.
    pub(crate) url: &'a dyn fmt::Display,
    pub(crate) method: &'a Method,
    pub(crate) body: Body,
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
}

impl Interceptor {
    /// Begins a call with a request to `target` with `headers`.
    ///
    /// # Errors
    /// As for [`attaches`](Interceptor::attaches).
    pub(crate) fn begin(
        &self,
        target: RequestTarget<'_>,
        headers: &HeaderMap,
    ) -> Result<Route, Refused> {
        let first_origin = match target {
            RequestTarget::Absolute(target) => Some(target.to_origin()),
            RequestTarget::OriginForm | RequestTarget::Other => None,
        };
        Ok(Route {
            carries: self.attaches(target, headers)?,
            first_origin,
            hops: 0,
            waited: Duration::ZERO,
        })
    }
}

impl Route {
    pub(crate) fn carries_token(&self) -> bool {
        self.carries
    }

    /// Returns the token for the next request, if it is to carry one. Rule C8: "A request through
    /// an interceptor MUST NOT wait for tokens longer than".
    #[cfg(any(feature = "reqwest", feature = "tower"))]
    pub(crate) async fn token(
        &mut self,
        interceptor: &Interceptor,
    ) -> Result<Option<AccessToken>, Refused> {
        if !self.carries {
            return Ok(None);
        }
        let begun = interceptor.session.now();
        let token = interceptor.token_within(self.time_left(interceptor)).await;
        self.waited_for(token, begun, interceptor)
    }

    /// As [`token`](Route::token), but blocks this thread.
    #[cfg(feature = "ureq")]
    pub(crate) fn token_blocking(
        &mut self,
        interceptor: &Interceptor,
    ) -> Result<Option<AccessToken>, Refused> {
        if !self.carries {
            return Ok(None);
        }
        let begun = interceptor.session.now();
        let token = interceptor.token_within(self.time_left(interceptor)).wait();
        self.waited_for(token, begun, interceptor)
    }

    fn time_left(&self, interceptor: &Interceptor) -> Duration {
        interceptor.settings.wait_limit.saturating_sub(self.waited)
    }

    fn waited_for(
        &mut self,
        token: Result<AccessToken, Error>,
        begun: Timestamp,
        interceptor: &Interceptor,
    ) -> Result<Option<AccessToken>, Refused> {
        let now = interceptor.session.now();
        self.waited = self.waited.saturating_add(now.since(begun).to_duration());
        match token {
            Ok(token) => Ok(Some(token)),
            Err(error) => {
                let retry_in = error.when_to_retry().map(|at| at.since(now).to_duration());
                Err(interceptor.refused(Refused::NoToken { error, retry_in }))
            }
        }
    }

    /// Returns the redirect that a response asks for, or `None` if the response is to be returned
    /// to the caller: it is no redirect, not a valid one, or one that needs a body that was
    /// consumed.
    ///
    /// # Errors
    /// If there were too many redirects, or the token would be sent in the clear.
    pub(crate) fn follow(
        &mut self,
        interceptor: &Interceptor,
        response: HopResponse<'_>,
    ) -> Result<Option<Hop>, Refused> {
        let most = interceptor.settings.max_redirects;
        let Some(hop) = Hop::of(response).filter(|_| most > 0) else { return Ok(None) };
        if self.hops == most {
            return Err(interceptor.refused(Refused::TooManyRedirects(most)));
        }
        self.hops += 1;
        if self.carries {
            self.carries = self.goes_along(interceptor, &hop.url)?;
        }
        Ok(Some(hop))
    }

    /// Rule E5: "Once a redirect led elsewhere, no later request of that call MUST carry the
    /// token".
    fn goes_along(&self, interceptor: &Interceptor, url: &Url) -> Result<bool, Refused> {
        let Some(target) = target(url) else { return Ok(false) };
        let stays = match &interceptor.settings.origins {
            // The only origin that the program named is that of its request.
            Origins::Any => {
                self.first_origin.as_ref().is_some_and(|first_origin| first_origin.is(target))
            }
            Origins::These(_) => true,
        };
        Ok(stays && interceptor.attaches(target, &HeaderMap::new())?)
    }
}

impl Hop {
    fn of(response: HopResponse<'_>) -> Option<Self> {
        let (method, body) = match (response.status.as_u16(), response.method) {
            (301 | 302, &Method::POST) => (Method::GET, HopBody::Dropped),
            (303, &Method::HEAD) => (Method::HEAD, HopBody::Dropped),
            (303, _) => (Method::GET, HopBody::Dropped),
            (301 | 302 | 307 | 308, method) => (method.clone(), HopBody::Same),
            _ => return None,
        };
        if body == HopBody::Same && response.body == Body::OneShot {
            return None;
        }
        let from = Url::parse(&response.url.to_string()).ok()?;
        let location = core::str::from_utf8(response.headers.get(LOCATION)?.as_bytes()).ok()?;
        let mut url = from.join(location).ok()?;
        let next = target(&url)?;
        let leaves = !target(&from)?.is_same_as(next);
        // The server chose the credentials in this URL.
        url.set_username("").ok()?;
        url.set_password(None).ok()?;
        url.set_fragment(None);
        Some(Self { url, method, body, leaves })
    }

    /// Removes the headers that the next request must not keep.
    pub(crate) fn prepare(&self, headers: &mut HeaderMap) {
        if self.leaves {
            for name in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION] {
                headers.remove(name);
            }
        }
        match self.body {
            HopBody::Same => {}
            HopBody::Dropped => {
                for name in [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING, TRANSFER_ENCODING] {
                    headers.remove(name);
                }
            }
        }
    }
}

/// Returns the target of a request to a URL.
pub(crate) fn target(url: &Url) -> Option<Target<'_>> {
    Target::new(url.scheme(), url.host_str()?, url.port())
}
