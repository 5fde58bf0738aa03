//! Middleware for `reqwest-middleware`: requests go out with a good token, and a 401 is absorbed.
//!
//! ```no_run
//! use perennial::adapters::reqwest::Bearer;
//! # use perennial::session::Session;
//! # async fn example(session: Session) -> Result<(), Box<dyn std::error::Error>> {
//! let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new())
//!     .with(Bearer::new(session))
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
//! Deliberately absent, so far: telling one 401 from another, and origins. Every 401 counts, and
//! the token goes to whatever host the client is pointed at; use a client of its own per API.
//! Redirects to other hosts are `reqwest`'s: it drops the header there.

use core::time::Duration;

use http::header::AUTHORIZATION;
use http::{Extensions, StatusCode};
use reqwest::{Request, Response};
use reqwest_middleware::{Error, Middleware, Next, Result};
use std::boxed::Box;

use crate::session::Session;
use crate::token::AccessToken;

/// How long failures of the authorization server are waited through by default.
pub const DEFAULT_PATIENCE: Duration = Duration::from_secs(10);

/// Attaches a session's access token as `Authorization: Bearer` (RFC 6750, section 2.1).
///
/// # Errors
/// Requests fail with [`reqwest_middleware::Error::Middleware`] that holds a
/// [`session::Error`](crate::session::Error) where no token could be had.
#[derive(Clone, Debug)]
pub struct Bearer {
    session: Session,
    patience: Duration,
}

impl Bearer {
    /// Middleware that takes its tokens from `session`. Without a timer in the session, failures
    /// are not waited through.
    pub fn new(session: Session) -> Self {
        Self { session, patience: DEFAULT_PATIENCE }
    }

    /// How long failures of the authorization server are waited through [10 s].
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sends `request` with a token; gives the token that it carried.
    async fn send(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<(Response, AccessToken)> {
        // Rule E1: "the token MUST be attached, refreshed first where it is due".
        let token = self.session.token().patience(self.patience).await;
        let token = token.map_err(Error::middleware)?;
        request.headers_mut().insert(AUTHORIZATION, token.header_value().clone());
        let response = next.run(request, extensions).await?;
        // Of the others, only a success shows that the token was looked at and liked (rule B9).
        if response.status() == StatusCode::UNAUTHORIZED {
            self.session.reject(&token);
        } else if response.status().is_success() {
            self.session.accept(&token);
        }
        Ok((response, token))
    }
}

#[async_trait::async_trait]
impl Middleware for Bearer {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        // Rule E1: "A caller's own `Authorization` header MUST be left alone."
        if request.headers().contains_key(AUTHORIZATION) {
            return next.run(request, extensions).await;
        }
        let again = request.try_clone();
        let (response, _rejected) = self.send(request, extensions, next.clone()).await?;
        match again {
            Some(again) if response.status() == StatusCode::UNAUTHORIZED => {
                // Rule E2: "A second 401 MUST go to the caller as it is."
                self.send(again, extensions, next).await.map(|(response, _)| response)
            }
            // Rule E3: "the 401 of a one-shot body MUST be returned".
            Some(_) | None => Ok(response),
        }
    }
}
