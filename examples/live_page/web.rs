//! The page, its events and its metrics, on loopback only.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures::{Stream, StreamExt as _};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;

use crate::outage::Order;
use crate::world::World;

const TEXT: &str = "text/plain; charset=utf-8";

/// The page loads nothing from elsewhere, and sends nothing there.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'; \
     img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

pub(crate) async fn serve(
    listener: TcpListener,
    world: Arc<World>,
    metrics: PrometheusHandle,
) -> std::io::Result<()> {
    let app = Router::new()
        .route("/", get(|| async { file("text/html; charset=utf-8", include_str!("page.html")) }))
        .route(
            "/page.js",
            get(|| async { file("text/javascript; charset=utf-8", include_str!("page.js")) }),
        )
        .route("/events", get(events))
        .route("/outage", post(outage))
        .with_state(world)
        .route("/metrics", get(move || async move { render(&metrics) }))
        .layer(middleware::from_fn(only_this_machine));
    axum::serve(listener, app).await
}

fn file(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(kind)),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (CONTENT_SECURITY_POLICY, POLICY),
    ];
    (headers, text).into_response()
}

async fn events(
    State(world): State<Arc<World>>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let messages = Arc::clone(&world.feed).read();
    let events =
        messages.map(|message| Ok(Event::default().event(message.name).data(message.data)));
    // Where a browser's connection breaks, it comes back after a second.
    let first = futures::stream::iter([Ok(Event::default().retry(Duration::from_secs(1)))]);
    Sse::new(first.chain(events)).keep_alive(KeepAlive::default())
}

async fn outage(
    State(world): State<Arc<World>>,
    Query(named): Query<HashMap<String, String>>,
) -> (StatusCode, String) {
    match Order::of(&named).and_then(|order| world.obey(&order)) {
        Ok(()) => (StatusCode::NO_CONTENT, String::new()),
        Err(error) => (StatusCode::BAD_REQUEST, error + "\n"),
    }
}

fn render(metrics: &PrometheusHandle) -> Response {
    metrics.run_upkeep();
    ([(CONTENT_TYPE, TEXT)], metrics.render()).into_response()
}

/// Refuses what a page from elsewhere may have a browser send: a request under another name of this machine, or
/// from another origin.
async fn only_this_machine(request: Request, next: Next) -> Response {
    if is_from_here(request.headers()) {
        return next.run(request).await;
    }
    (StatusCode::FORBIDDEN, "only from this machine, by 127.0.0.1 or localhost\n").into_response()
}

fn is_from_here(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else { return false };
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let origin = headers.get(ORIGIN).map(|origin| origin.to_str().unwrap_or_default());
    ["127.0.0.1", "localhost"].contains(&name)
        && origin.is_none_or(|origin| origin == format!("http://{host}"))
}

#[cfg(test)]
mod tests {
    use super::is_from_here;
    use axum::http::HeaderMap;
    use axum::http::header::{HOST, ORIGIN};

    #[test]
    fn a_page_from_another_origin_can_neither_read_nor_start_an_outage() {
        let is_taken = |host: &'static str, origin: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().expect("a host"));
            if let Some(origin) = origin {
                headers.insert(ORIGIN, origin.parse().expect("an origin"));
            }
            is_from_here(&headers)
        };
        assert!(is_taken("127.0.0.1:8090", None));
        assert!(is_taken("localhost:8090", Some("http://localhost:8090")));
        assert!(!is_taken("127.0.0.1:8090", Some("http://127.0.0.1:8091")));
        assert!(!is_taken("127.0.0.1:8090", Some("https://example.com")));
        assert!(!is_taken("127.0.0.1:8090", Some("null")));
        assert!(!is_taken("rebound.example.com:8090", None));
        assert!(!is_from_here(&HeaderMap::new()));
    }
}
