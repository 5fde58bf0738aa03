//! The port over `reqwest`.

use core::time::Duration;
use std::prelude::rust_2024::*;

use bytes::Bytes;
use http::{Request, Response};
use reqwest::redirect;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use url::Url;

use super::http::{HttpClient, SendError};
use crate::token::Secret;
use crate::wire::{RESPONSE_LIMIT, is_loopback};

/// The limit for a whole exchange.
const LIMIT: Duration = Duration::from_secs(10);

/// An [`HttpClient`] over `reqwest`, with the features `oauth2` or `reqwest`.
///
/// It follows no redirects, connects to this machine without a proxy, and gives up after 10 s. Its
/// requests are tasks of a tokio runtime: they make progress while nobody polls them.
#[derive(Clone, Debug)]
pub struct ReqwestClient {
    abroad: reqwest::Client,
    local: reqwest::Client,
    runtime: Handle,
}

impl ReqwestClient {
    /// Creates a client on the tokio runtime in which this is called.
    ///
    /// # Errors
    /// If there is no runtime here, or the HTTP client cannot be built.
    pub fn new() -> Result<Self, SendError> {
        Self::of(reqwest::Client::builder)
    }

    /// Creates a client from a builder of your own, for TLS, proxies or timeouts. `make` is called
    /// more than once.
    ///
    /// # Errors
    /// As for [`new`](ReqwestClient::new).
    pub fn of(make: impl Fn() -> reqwest::ClientBuilder) -> Result<Self, SendError> {
        let make = || make().redirect(redirect::Policy::none());
        let runtime = Handle::try_current()?;
        Ok(Self { abroad: make().build()?, local: make().no_proxy().build()?, runtime })
    }
}

impl HttpClient for ReqwestClient {
    fn send(
        &self,
        request: Request<Secret>,
    ) -> impl Future<Output = Result<Response<Vec<u8>>, SendError>> + Send + 'static {
        let (head, body) = request.into_parts();
        let url = Url::parse(&head.uri.to_string());
        let is_local = url.as_ref().is_ok_and(is_loopback);
        let http = if is_local { self.local.clone() } else { self.abroad.clone() };
        let mut task = Task(self.runtime.spawn(async move {
            let request = http.request(head.method, url?).headers(head.headers).timeout(LIMIT);
            // Zeroised with its last clone.
            let request = request.body(Bytes::from_owner(Body(body)));
            let mut response = request.send().await.map_err(reqwest::Error::without_url)?;
            let mut answer = Response::new(Vec::new());
            *answer.status_mut() = response.status();
            *answer.headers_mut() = core::mem::take(response.headers_mut());
            let body = answer.body_mut();
            while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
                if body.len() + chunk.len() > RESPONSE_LIMIT {
                    return Err("the response is too long".into());
                }
                body.extend_from_slice(&chunk);
            }
            Ok::<_, SendError>(answer)
        }));
        async move { (&mut task.0).await.unwrap_or_else(|error| Err(error.into())) }
    }
}

struct Body(Secret);

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        self.0.expose().as_bytes()
    }
}

/// A task that ends when this is dropped.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
