//! Requests over hyper's client as a tower service, from tasks.

use std::sync::Arc;

use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use perennial::adapters::tower::BearerLayer;
use perennial::interceptor::Interceptor;
use tokio::task::JoinSet;
use tower::{Layer as _, ServiceExt as _};

use crate::program::Run;
use crate::schedule::Schedule;
use crate::words::told;

pub(crate) fn call(
    interceptor: Interceptor,
    uri: &http::Uri,
    schedule: Schedule,
    run: &Arc<Run>,
) -> JoinSet<()> {
    let hyper = Client::builder(TokioExecutor::new()).build_http::<Empty<bytes::Bytes>>();
    let client = BearerLayer::new(interceptor).layer(hyper);
    let mut tasks = JoinSet::new();
    for share in schedule.shares() {
        let (client, uri, run) = (client.clone(), uri.clone(), Arc::clone(run));
        tasks.spawn(async move {
            for (number, due) in share {
                tokio::time::sleep(schedule.left(due)).await;
                let request = http::Request::get(uri.clone()).body(Empty::new());
                let request = request.expect("a URI and nothing else");
                let answer = client.clone().oneshot(request).await;
                let answer = answer.map(|answer| answer.status());
                run.counts.note(number, answer.map_err(|error| told(error.as_ref())));
            }
        });
    }
    tasks
}
