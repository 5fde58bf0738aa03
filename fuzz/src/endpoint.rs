//! The token endpoint of an issuer that has issued something.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode};
use perennial::adapters::axum::{AuthorizationServer, RegisteredClient};
use tokio::runtime::{Builder, Runtime};
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
    /// `shop`, whose secret is `hush-hush, the shop` and which may act for itself. Each request comes from a peer of
    /// its own, so that none is beyond a limit.
    ///
    /// # Panics
    /// Where there is no answer.
    pub fn answer(&self, mut request: Request<Body>) -> (StatusCode, HeaderMap, Vec<u8>) {
        let router = self.router.get_or_init(|| {
            let shop = RegisteredClient::confidential("shop", "hush-hush, the shop")
                .client_credentials(["read", "write"])
                .rate_limit(u32::MAX, Duration::from_secs(1));
            let web = RegisteredClient::public("web").rate_limit(u32::MAX, Duration::from_secs(1));
            let server = AuthorizationServer::builder(self.issuer.clone(), "https://issuer");
            server.client(web).client(shop).build().expect("each setting is allowed").router()
        });
        let peer = SocketAddr::from((PEER.fetch_add(1, Ordering::Relaxed).to_be_bytes(), 1));
        request.extensions_mut().insert(ConnectInfo(peer));
        let (head, body) = RUNTIME.with(|runtime| {
            runtime.block_on(async {
                let answer = router.clone().oneshot(request).await.expect("infallible");
                let (head, body) = answer.into_parts();
                (head, to_bytes(body, usize::MAX).await.expect("it is in memory"))
            })
        });
        (head.status, head.headers, body.to_vec())
    }
}

static PEER: AtomicU32 = AtomicU32::new(0);

thread_local! {
    static RUNTIME: Runtime =
        Builder::new_current_thread().enable_time().build().expect("a runtime");
}
