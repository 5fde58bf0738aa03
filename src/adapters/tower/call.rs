//! One call: its request, sent once or twice, and the hops of redirects that are followed.

use core::future::poll_fn;
use std::boxed::Box;
use std::error::Error as StdError;
use std::prelude::rust_2024::*;

use http::header::AUTHORIZATION;
use http::{Request, Response, Uri};
use tower_service::Service;

use super::replay::Replay;
use crate::interceptor::redirect::{Hop, HopBody, HopResponse, Route};
use crate::interceptor::{Interceptor, Refused, ResponseHead};
use crate::token::AccessToken;
use crate::verdict::{Attempt, Body, ResponseOrigin, Verdict};

/// Any error of the inner service, or a [`Refused`](crate::interceptor::Refused).
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// What happens to a redirect.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Redirects {
    Delivered,
    Followed,
}

pub(super) struct Call<S, R> {
    pub(super) inner: S,
    pub(super) interceptor: Interceptor,
    pub(super) replay: R,
    pub(super) redirects: Redirects,
}

impl<S, R> Call<S, R> {
    /// Sends `request` with the service, which is ready, and any request that its response leads
    /// to.
    pub(super) async fn run<B, A>(
        mut self,
        mut request: Request<B>,
        mut route: Route,
    ) -> Result<Response<A>, BoxError>
    where
        S: Service<Request<B>, Response = Response<A>>,
        S::Error: Into<BoxError>,
        R: Replay<B>,
    {
        let mut attempt = Attempt::First;
        loop {
            let again = self.replay.keep(request.body_mut());
            let body = if again.is_some() { Body::Replayable } else { Body::OneShot };
            let (parts, sent) = request.into_parts();
            let mut head = parts.clone();
            let token = route.token(&self.interceptor).await?;
            if let Some(token) = &token {
                head.headers.insert(AUTHORIZATION, token.header_value().clone());
            }
            let response = self.inner.call(Request::from_parts(head, sent)).await;
            let mut response = response.map_err(Into::into)?;
            let verdict =
                token.as_ref().map(|it| self.handle_response(it, &response, body, attempt));
            let (next, kept) = match (verdict, again) {
                (Some(Verdict::Replay), Some(again)) => {
                    attempt = Attempt::Second;
                    (None, Some(again))
                }
                (Some(Verdict::Replay | Verdict::Deliver(_)) | None, again) => {
                    let answered = HopResponse {
                        url: &parts.uri,
                        method: &parts.method,
                        body,
                        status: response.status(),
                        headers: response.headers(),
                    };
                    match self.follow(&mut route, answered, again)? {
                        Some((hop, body)) => (Some(hop), Some(body)),
                        None => (None, None),
                    }
                }
            };
            let Some(body) = kept else {
                if let Some(token) = token {
                    response.extensions_mut().insert(token);
                }
                return Ok(response);
            };
            // The connection is free once the response is dropped.
            drop(response);
            request = Request::from_parts(parts, body);
            if let Some(hop) = next {
                lead_on(&mut request, &hop)?;
            }
            poll_fn(|cx| self.inner.poll_ready(cx)).await.map_err(Into::into)?;
        }
    }

    /// Returns the next hop, and its body.
    fn follow<B>(
        &self,
        route: &mut Route,
        answered: HopResponse<'_>,
        again: Option<B>,
    ) -> Result<Option<(Hop, B)>, Refused>
    where
        R: Replay<B>,
    {
        match self.redirects {
            Redirects::Delivered => return Ok(None),
            Redirects::Followed => {}
        }
        let Some(hop) = route.follow(&self.interceptor, answered)? else { return Ok(None) };
        let body = match hop.body {
            HopBody::Same => again,
            HopBody::Dropped => self.replay.empty(),
        };
        Ok(body.map(|body| (hop, body)))
    }

    fn handle_response<A>(
        &self,
        token: &AccessToken,
        response: &Response<A>,
        body: Body,
        attempt: Attempt,
    ) -> Verdict {
        let head = ResponseHead { status: response.status(), headers: response.headers() };
        self.interceptor.handle_response(token, head, ResponseOrigin::SameOrigin, body, attempt)
    }
}

/// Changes a request to that of the next hop.
fn lead_on<B>(request: &mut Request<B>, hop: &Hop) -> Result<(), BoxError> {
    hop.prepare(request.headers_mut());
    *request.method_mut() = hop.method.clone();
    *request.uri_mut() = hop.url.as_str().parse::<Uri>()?;
    Ok(())
}
