//! The HTTP client as a port, so that none is forced on a program.

use core::future::Future;
use std::boxed::Box;
use std::error::Error as StdError;
use std::vec::Vec;

use http::{Request, Response};

use crate::refresh::BoxFuture;
use crate::token::Secret;

/// Why no response was received. Its text must not contain a secret.
pub type SendError = Box<dyn StdError + Send + Sync>;

/// Sends the requests for key sets and introspection: a closure over any HTTP client, or
/// `ReqwestClient`.
///
/// It must not follow redirects, and should give up after some seconds. A response that is longer
/// than [`RESPONSE_LIMIT`](crate::wire::RESPONSE_LIMIT) is an error, so that no more has to be read.
///
/// ```
/// use http::{Request, Response};
/// use perennial::adapters::resource_server::JwtVerifier;
/// use perennial::token::Secret;
///
/// let http = |request: Request<Secret>| async move {
///     let (_head, _body) = request.into_parts(); // to be sent with your own client
///     Ok::<_, std::io::Error>(Response::new(Vec::new()))
/// };
/// let keys = "https://auth.example.com/jwks.json";
/// JwtVerifier::builder("https://auth.example.com", "https://api.example.com", keys, http).build()?;
/// # Ok::<(), perennial::wire::ClientError>(())
/// ```
pub trait HttpClient: Send + Sync + 'static {
    /// Sends a request. Its body is empty for GET; for POST it holds a token, and its
    /// `Authorization` header holds credentials.
    ///
    /// # Errors
    /// [`SendError`] if no whole response was received.
    fn send(
        &self,
        request: Request<Secret>,
    ) -> impl Future<Output = Result<Response<Vec<u8>>, SendError>> + Send + 'static;
}

impl<F, Fut, E> HttpClient for F
where
    F: Fn(Request<Secret>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Response<Vec<u8>>, E>> + Send + 'static,
    E: Into<SendError>,
{
    fn send(
        &self,
        request: Request<Secret>,
    ) -> impl Future<Output = Result<Response<Vec<u8>>, SendError>> + Send + 'static {
        let sent = self(request);
        async move { sent.await.map_err(Into::into) }
    }
}

/// A type-erased client.
pub(super) trait AnyHttpClient: Send + Sync {
    fn send(&self, request: Request<Secret>) -> BoxFuture<Result<Response<Vec<u8>>, SendError>>;
}

impl<H: HttpClient> AnyHttpClient for H {
    fn send(&self, request: Request<Secret>) -> BoxFuture<Result<Response<Vec<u8>>, SendError>> {
        Box::pin(HttpClient::send(self, request))
    }
}
