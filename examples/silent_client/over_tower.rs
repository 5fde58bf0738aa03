//! Requests over hyper's client as a tower service, from tasks.

use std::error::Error;
use std::sync::Arc;

use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use perennial::adapters::tower::BearerLayer;
use perennial::interceptor::Interceptor;
use tokio::time::{Instant, sleep_until};
use tower::{Layer as _, ServiceExt as _};

use crate::counts::Counts;
use crate::schedule::Schedule;

pub(crate) async fn call(
    interceptor: Interceptor,
    url: &str,
    schedule: Schedule,
    counts: &Arc<Counts>,
) -> Result<(), Box<dyn Error>> {
    let hyper = Client::builder(TokioExecutor::new()).build_http::<Empty<bytes::Bytes>>();
    let client = BearerLayer::new(interceptor).layer(hyper);
    let uri: http::Uri = url.parse()?;
    let start = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for share in schedule.shares() {
        let (client, uri, counts) = (client.clone(), uri.clone(), Arc::clone(counts));
        tasks.spawn(async move {
            for (number, after) in share {
                sleep_until(start + after).await;
                let request = http::Request::get(uri.clone()).body(Empty::new());
                let request = request.expect("a URI and nothing else");
                let answer = client.clone().oneshot(request).await;
                counts.note(number, answer.map(|answer| answer.status()));
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    Ok(())
}
