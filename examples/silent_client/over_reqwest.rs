//! Requests over reqwest, from tasks.

use std::error::Error;
use std::sync::Arc;

use perennial::adapters::reqwest::Bearer;
use perennial::interceptor::Interceptor;
use tokio::time::{Instant, sleep_until};

use crate::counts::Counts;
use crate::schedule::Schedule;

pub(crate) async fn call(
    interceptor: Interceptor,
    url: &str,
    schedule: Schedule,
    counts: &Arc<Counts>,
) -> Result<(), Box<dyn Error>> {
    let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::builder().build()?)
        .with(Bearer::new(interceptor))
        .build();
    let url = reqwest::Url::parse(url)?;
    let start = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for share in schedule.shares() {
        let (client, url, counts) = (client.clone(), url.clone(), Arc::clone(counts));
        tasks.spawn(async move {
            for (number, after) in share {
                sleep_until(start + after).await;
                let answer = client.get(url.clone()).send().await;
                counts.note(number, answer.map(|answer| answer.status()));
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    Ok(())
}
