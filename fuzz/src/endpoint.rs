//! The token endpoint of an issuer that has issued something.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use perennial::adapters::axum::{AuthorizationServer, RegisteredClient};
use tower::ServiceExt as _;

use crate::{Answer, Issued};

impl Issued {
    /// A request to the endpoint, if it is one: like [`Answer`], with 1 for a status where it is to
    /// have the content type of a form. In headers and body some bytes stand for tokens.
    pub fn request(&self, bytes: &[u8]) -> Option<Request<Body>> {
        let (message, mut request) = (Answer::read(bytes), Request::post("/token"));
        if message.status == 1 {
            request = request.header("content-type", "application/x-www-form-urlencoded");
        }
        for (name, value) in &message.headers {
            request = request.header(*name, self.fill(value));
        }
        request.body(Body::from(self.fill(message.body))).ok()
    }

    /// What it is answered: by a server that knows the clients `web`, which has no secret, and
    /// `shop`, whose secret is `hush-hush, the shop` and which may act for itself.
    ///
    /// # Panics
    /// Where there is no answer.
    pub fn answer(&self, request: Request<Body>) -> (StatusCode, HeaderMap, Vec<u8>) {
        let shop = RegisteredClient::confidential("shop", "hush-hush, the shop")
            .client_credentials(["read", "write"]);
        let server = AuthorizationServer::builder(self.issuer.clone(), "https://issuer")
            .client(RegisteredClient::public("web"))
            .client(shop)
            .build()
            .expect("each setting is allowed");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (head, body) = runtime.block_on(async {
            let answer = server.router().oneshot(request).await.expect("infallible");
            let (head, body) = answer.into_parts();
            (head, to_bytes(body, usize::MAX).await.expect("it is in memory"))
        });
        (head.status, head.headers, body.to_vec())
    }
}
