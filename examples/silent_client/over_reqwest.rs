//! Requests over reqwest, from tasks.

use std::sync::Arc;

use perennial::adapters::reqwest::BearerMiddleware;
use perennial::interceptor::Interceptor;
use reqwest_middleware::ClientWithMiddleware;
use tokio::task::JoinSet;

use crate::program::Run;
use crate::schedule::Schedule;
use crate::words::told;

/// A client whose requests carry the session's token. It goes through no proxy, which would see the
/// token: this example has no TLS.
pub(crate) fn client(interceptor: Interceptor) -> Result<ClientWithMiddleware, reqwest::Error> {
    Ok(BearerMiddleware::client(interceptor, reqwest::Client::builder().no_proxy())?.build())
}

pub(crate) fn call(
    client: &ClientWithMiddleware,
    url: &reqwest::Url,
    schedule: Schedule,
    run: &Arc<Run>,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for share in schedule.shares() {
        let (client, url, run) = (client.clone(), url.clone(), Arc::clone(run));
        tasks.spawn(async move {
            for (number, due) in share {
                tokio::time::sleep(schedule.left(due)).await;
                let answer = client.get(url.clone()).send().await;
                run.counts.note(number, answer.map(|answer| answer.status()).map_err(in_words));
            }
        });
    }
    tasks
}

fn in_words(error: reqwest_middleware::Error) -> String {
    match error {
        reqwest_middleware::Error::Middleware(error) => told(error.as_ref()),
        // The URL may hold what is nobody's business.
        reqwest_middleware::Error::Reqwest(error) => told(&error.without_url()),
    }
}
