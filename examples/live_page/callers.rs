//! The callers: two for each session, whose requests carry its token.

use std::sync::Arc;
use std::time::Duration;

use perennial::adapters::reqwest::BearerMiddleware;
use perennial::interceptor::Interceptor;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::Error;
use crate::outage::Kind;
use crate::world::World;

/// The pause between two requests of one caller.
const PACE: Duration = Duration::from_millis(250);

/// Starts them. They end when the returned value is dropped.
pub(crate) fn start(world: &Arc<World>) -> Result<JoinSet<()>, Error> {
    let mut tasks = JoinSet::new();
    for member in &world.members {
        let server = world.clients[member.client].server.urls();
        let interceptor =
            Interceptor::builder(member.session.clone()).origin(&server.api).build()?;
        let client = BearerMiddleware::client(interceptor, reqwest::Client::builder())?.build();
        for _ in 0..2 {
            let (client, url, place) = (client.clone(), server.api.clone(), member.place);
            let feed = Arc::clone(&world.feed);
            tasks.spawn(async move {
                loop {
                    let response = client.get(&url).send().await;
                    feed.request(place, response.is_ok_and(|it| it.status().is_success()));
                    tokio::time::sleep(PACE).await;
                }
            });
        }
    }
    tasks.spawn(pulse(Arc::clone(world)));
    tasks.spawn(reject(Arc::clone(world)));
    Ok(tasks)
}

/// Twice a second, what has no event.
async fn pulse(world: Arc<World>) {
    loop {
        world.feed.pulse(world.outages());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// While an API is to reject tokens, those that are in use stop working: at once, and every two seconds.
async fn reject(world: Arc<World>) {
    let mut next = [Instant::now(); 2];
    loop {
        for (index, client) in world.clients.iter().enumerate() {
            if client.outage.kind() != Some(Kind::Rejecting) {
                next[index] = Instant::now();
            } else if next[index] <= Instant::now() {
                next[index] += Duration::from_secs(2);
                let members = world.members.iter().filter(|member| member.client == index);
                for member in members {
                    client.server.revoke_token_in_use(member.family);
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
