//! Which pages may use the endpoints: origins (RFC 6454), and CORS (the Fetch standard, section
//! 3.2).
//!
//! A form can be posted to another origin without asking (no preflight), and the response is then
//! withheld from the page, but the refresh token in it has been rotated. So the request is refused
//! here, before a handler sees it; the CORS headers only say who may read a response.

use core::time::Duration;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use http::header::{AUTHORIZATION, CONTENT_TYPE, ORIGIN, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::json;
use thiserror::Error as ThisError;
use tower_http::cors::{AllowCredentials, AllowOrigin, CorsLayer};
use url::{Host, Url};

use super::form::json_response;

/// How long a browser may remember the response to a preflight. Chromium caps it at this.
const PREFLIGHT: Duration = Duration::from_secs(2 * 3600);

/// Where a request comes from, relative to its target (Fetch Metadata, section 2.4). Scripts cannot
/// set it.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Why an origin cannot be allowed.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum OriginError {
    /// The text is not an origin, or stands for more than one: `*` and `null` do.
    #[error("{0:?} is not an origin: write scheme://host or scheme://host:port, without a path")]
    NotAnOrigin(String),
    /// Browsers write the origin in another form.
    #[error("browsers write the origin {written:?} as {canonical:?}")]
    NotCanonical {
        /// The text.
        written: String,
        /// The form in which browsers send it.
        canonical: String,
    },
    /// Pages that come over plain http can be changed on the way. Only those of this machine
    /// (loopback addresses, `localhost`) are allowed.
    #[error("{0:?} is plain http beyond this machine, where others can change its pages")]
    Insecure(String),
}

/// Who may send requests.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Callers {
    /// Allowed pages, and programs that are no browsers.
    Any,
    /// Allowed pages alone: the request has a cookie, which a browser attaches by itself.
    Pages,
}

/// The origins whose pages may use the endpoints.
#[derive(Clone, Debug, Default)]
pub(super) struct Origins {
    /// The origin of the server itself, which needs no CORS.
    own: Option<HeaderValue>,
    allowed: Vec<HeaderValue>,
}

impl Origins {
    pub(super) fn of_server(url: &str) -> Self {
        let own = Url::parse(url).ok().map(|url| url.origin()).filter(url::Origin::is_tuple);
        let own = own.and_then(|own| HeaderValue::try_from(own.ascii_serialization()).ok());
        Self { own, allowed: Vec::new() }
    }

    pub(super) fn allow(&mut self, origin: &str) -> Result<(), OriginError> {
        let origin = checked(origin)?;
        if !self.allowed.contains(&origin) {
            self.allowed.push(origin);
        }
        Ok(())
    }

    /// Rule D9: "A request with an `Origin` header that is neither an allowed origin nor the
    /// server's own MUST be refused with 403".
    fn admits(&self, headers: &HeaderMap, callers: Callers) -> bool {
        let mut all = headers.get_all(ORIGIN).iter();
        match (all.next(), all.next()) {
            (Some(_), Some(_)) => false,
            (Some(origin), None) if self.own.as_ref() == Some(origin) => true,
            (Some(origin), None) if self.allowed.contains(origin) => true,
            // Of a page that sends no referrer, and posts a form to its own origin.
            (Some(origin), None) => {
                callers == Callers::Pages && origin == "null" && is_same_origin(headers)
            }
            (None, _) => callers == Callers::Any || is_same_origin(headers),
        }
    }

    /// Returns `router`, whose routes only these callers reach, and whose responses allowed origins
    /// can read. What is added to it later is not protected.
    pub(super) fn protect<S>(&self, router: Router<S>, callers: Callers) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        if !router.has_routes() {
            return router;
        }
        let guard = Arc::new((self.clone(), callers));
        // The guard is the outer one: a preflight of another origin does not reach CORS either.
        router.route_layer(self.cors(callers)).route_layer(from_fn_with_state(guard, guarded))
    }

    /// Rule D9: "CORS headers MUST name an allowed origin and nothing else".
    fn cors(&self, callers: Callers) -> CorsLayer {
        let cors = CorsLayer::new()
            .allow_origin(AllowOrigin::list(self.allowed.iter().cloned()))
            .allow_methods([Method::POST])
            .allow_headers([CONTENT_TYPE, AUTHORIZATION])
            .expose_headers([RETRY_AFTER, WWW_AUTHENTICATE])
            .max_age(PREFLIGHT)
            .vary([ORIGIN]);
        match callers {
            Callers::Any => cors,
            Callers::Pages => {
                let allowed = self.allowed.clone();
                let is_allowed = move |origin: &HeaderValue, _: &_| allowed.contains(origin);
                cors.allow_credentials(AllowCredentials::predicate(is_allowed))
            }
        }
    }
}

/// Returns whether the browser says that the request is of the origin that it goes to.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let mut all = headers.get_all(SEC_FETCH_SITE).iter();
    all.next().is_some_and(|site| site == "same-origin") && all.next().is_none()
}

async fn guarded(
    State(guard): State<Arc<(Origins, Callers)>>,
    request: Request,
    next: Next,
) -> Response {
    let (origins, callers) = &*guard;
    if origins.admits(request.headers(), *callers) {
        return next.run(request).await;
    }
    // RFC 6749, section 5.2, has no code for it; this is that of a request that is not acceptable.
    let text = "requests from this origin are not allowed";
    let body = json!({ "error": "invalid_request", "error_description": text });
    json_response(StatusCode::FORBIDDEN, &body)
}

/// Returns an origin as browsers send it (RFC 6454, section 6.2).
fn checked(origin: &str) -> Result<HeaderValue, OriginError> {
    let malformed = || OriginError::NotAnOrigin(origin.into());
    let url = Url::parse(origin).map_err(|_| malformed())?;
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(malformed)?;
    let is_bare = matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
        && !host.contains('*');
    if !is_bare || !matches!(origin.bytes().last(), Some(last) if last != b'/') {
        return Err(malformed());
    }
    let canonical = match url.origin() {
        tuple @ url::Origin::Tuple(..) => tuple.ascii_serialization(),
        // Such as `capacitor://localhost`, or a browser's extension.
        url::Origin::Opaque(_) => {
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            format!("{}://{host}{port}", url.scheme())
        }
    };
    if canonical != origin {
        return Err(OriginError::NotCanonical { written: origin.into(), canonical });
    }
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if url.scheme() == "http" && !is_here {
        return Err(OriginError::Insecure(canonical));
    }
    HeaderValue::try_from(canonical).map_err(|_| malformed())
}
