//! Middleware for `reqwest-middleware`: requests go out with a good token, and a 401 is absorbed.
//!
//! ```no_run
//! use perennial::adapters::reqwest::Bearer;
//! use perennial::interceptor::Interceptor;
//! # use perennial::session::Session;
//! # async fn example(session: Session) -> Result<(), Box<dyn std::error::Error>> {
//! let interceptor = Interceptor::builder(session).origin("https://api.example.com").build()?;
//! let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new())
//!     .with(Bearer::new(interceptor))
//!     .build();
//! let answer = client.get("https://api.example.com/things").send().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Before a request the token is attached, refreshed first where it is due (rule E1). After a 401
//! the token that the request carried is rejected, and the request replayed once with another
//! (rule E2), if its body can be sent again (rule E3).
//!
//! Redirects are `reqwest`'s, which drops the token on the way to another host; what is answered
//! there says nothing of it (rule E5). The token that an answer's request carried is among its
//! extensions, as an [`AccessToken`].

use http::Extensions;
use http::header::AUTHORIZATION;
use reqwest::{Request, Response, Url};
use reqwest_middleware::{Error, Middleware, Next, Result};
use std::boxed::Box;

use crate::interceptor::{Answer, Interceptor, RequestTarget, Target};
use crate::token::AccessToken;
use crate::verdict::{Attempt, Body, Place, Verdict};

/// Attaches a session's access token as `Authorization: Bearer` (RFC 6750, section 2.1).
///
/// # Errors
/// Requests fail with [`reqwest_middleware::Error::Middleware`] that holds a
/// [`Refused`](crate::interceptor::Refused) where no token could be had, or where it must not be
/// sent.
#[derive(Clone, Debug)]
pub struct Bearer(Interceptor);

impl Bearer {
    /// Middleware that obeys `interceptor`.
    pub fn new(interceptor: Interceptor) -> Self {
        Self(interceptor)
    }

    /// A token for the next request.
    async fn token(&self) -> Result<AccessToken> {
        self.0.token().await.map_err(|error| refused(error.into()))
    }
}

fn refused(refused: crate::interceptor::Refused) -> Error {
    Error::middleware(refused)
}

fn target(url: &Url) -> Option<Target<'_>> {
    Target::new(url.scheme(), url.host_str()?, url.port())
}

fn request_target(url: &Url) -> RequestTarget<'_> {
    target(url).map_or(RequestTarget::Other, RequestTarget::Absolute)
}

/// Sends `request` with `token`, which is found among its answer's extensions.
async fn send(
    mut request: Request,
    token: &AccessToken,
    extensions: &mut Extensions,
    next: Next<'_>,
) -> Result<Response> {
    request.headers_mut().insert(AUTHORIZATION, token.header_value().clone());
    let mut response = next.run(request, extensions).await?;
    response.extensions_mut().insert(token.clone());
    Ok(response)
}

#[async_trait::async_trait]
impl Middleware for Bearer {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        if !self.0.attaches(request_target(request.url()), request.headers()).map_err(refused)? {
            return next.run(request, extensions).await;
        }
        let token = self.token().await?;
        let (url, again) = (request.url().clone(), request.try_clone());
        let response = send(request, &token, extensions, next.clone()).await?;
        let body = if again.is_some() { Body::Again } else { Body::Once };
        match (self.judge(&token, &url, &response, body, Attempt::First), again) {
            (Verdict::Replay, Some(again)) => {
                // The connection is free for the replay once the first answer is gone.
                drop(response);
                let token = self.token().await?;
                let response = send(again, &token, extensions, next).await?;
                let _delivered = self.judge(&token, &url, &response, body, Attempt::Second);
                Ok(response)
            }
            (Verdict::Replay | Verdict::Deliver(_), _) => Ok(response),
        }
    }
}

impl Bearer {
    fn judge(
        &self,
        token: &AccessToken,
        url: &Url,
        response: &Response,
        body: Body,
        attempt: Attempt,
    ) -> Verdict {
        let home = match (target(url), target(response.url())) {
            (Some(asked), Some(answered)) => asked.is_same_as(answered),
            (Some(_) | None, Some(_) | None) => false,
        };
        let place = if home { Place::Home } else { Place::Elsewhere };
        let answer = Answer { status: response.status(), headers: response.headers() };
        self.0.judge(token, answer, place, body, attempt)
    }
}
