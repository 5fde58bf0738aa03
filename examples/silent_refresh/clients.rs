//! The callers: async tasks through the middleware, and plain threads that do the same by hand.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use http::Extensions;
use perennial::adapters::reqwest::BearerMiddleware;
use perennial::interceptor::Interceptor;
use perennial::session::Session;
use reqwest::blocking;
use reqwest::{Request, Response, StatusCode};
use reqwest_middleware::{ClientWithMiddleware, Middleware, Next};

use crate::Arguments;
use crate::record::{Record, Story, instant};
use crate::world::{Kind, Member, PATIENCE, World};

/// The pause between two requests of one caller.
const PACE: Duration = Duration::from_millis(40);

/// Runs every member's callers for `length`, and one restart half-way.
pub(crate) async fn run_all(
    world: &Arc<World>,
    arguments: &Arguments,
    record: &Arc<Record>,
    length: Duration,
) -> Result<(), Box<dyn Error>> {
    let mut tasks = Vec::new();
    let mut restarted = false;
    for index in 0..world.members.len() {
        let restarts = world.members[index].kind == Kind::File && !restarted;
        restarted |= restarts;
        let (world, record) = (Arc::clone(world), Arc::clone(record));
        let callers = arguments.callers;
        tasks.push(tokio::spawn(async move {
            let member = &world.members[index];
            if !restarts {
                return run_member(&world, member, callers, &record, length).await;
            }
            run_member(&world, member, callers, &record, length / 2).await?;
            world.restart(member).await.map_err(|error| error.to_string())?;
            run_member(&world, member, callers, &record, length / 2).await
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(())
}

async fn run_member(
    world: &World,
    member: &Member,
    callers: usize,
    record: &Arc<Record>,
    length: Duration,
) -> Result<(), String> {
    let until = record.now() + length;
    let url = world.server.urls().api.clone();
    let session = member.session();
    match member.kind {
        Kind::Threads => {
            let threads: Vec<_> = (0..callers)
                .map(|_| {
                    let (session, url) = (session.clone(), url.clone());
                    let (story, record) = (Arc::clone(&member.story), Arc::clone(record));
                    thread::spawn(move || call_from_thread(&session, &url, &story, &record, until))
                })
                .collect();
            let joined = tokio::task::spawn_blocking(move || {
                threads
                    .into_iter()
                    .try_for_each(|thread| thread.join().map_err(|_| "a thread panicked"))
            });
            joined.await.map_err(|error| error.to_string())?.map_err(String::from)
        }
        Kind::Async | Kind::File => {
            let client = client(session, &member.story, record);
            let tasks: Vec<_> = (0..callers)
                .map(|_| tokio::spawn(call(client.clone(), url.clone(), Arc::clone(record), until)))
                .collect();
            for task in tasks {
                task.await.map_err(|error| error.to_string())?;
            }
            Ok(())
        }
    }
}

fn client(session: Session, story: &Arc<Story>, record: &Arc<Record>) -> ClientWithMiddleware {
    let interceptor = Interceptor::builder(session).any_origin().retry_for(PATIENCE).build();
    let interceptor = interceptor.expect("nothing that could be wrong");
    let wire = Wire { story: Arc::clone(story), record: Arc::clone(record) };
    let client = BearerMiddleware::client(interceptor, reqwest::Client::builder());
    client.expect("a client").with(wire).build()
}

/// Measures what is spent on the wire, beneath the session's middleware, and sees its 401s.
struct Wire {
    story: Arc<Story>,
    record: Arc<Record>,
}

/// The microseconds that one call has spent on the wire.
#[derive(Clone, Default)]
struct OnTheWire(Arc<AtomicU64>);

#[async_trait::async_trait]
impl Middleware for Wire {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let spent = extensions.get::<OnTheWire>().cloned().unwrap_or_default();
        let before = instant();
        let response = next.run(request, extensions).await;
        let micros = u64::try_from(before.elapsed().as_micros()).unwrap_or(u64::MAX);
        spent.0.fetch_add(micros, Ordering::Relaxed);
        if response.as_ref().is_ok_and(|answer| answer.status() == StatusCode::UNAUTHORIZED) {
            self.story.rejected(self.record.now());
        }
        response
    }
}

async fn call(client: ClientWithMiddleware, url: String, record: Arc<Record>, until: Duration) {
    while record.now() < until {
        let wire = OnTheWire::default();
        let before = instant();
        let answered = client.get(&url).with_extension(wire.clone()).send().await;
        let whole = before.elapsed();
        let added = whole.saturating_sub(Duration::from_micros(wire.0.load(Ordering::Relaxed)));
        let status = match answered {
            Ok(response) => Some(response.status().as_u16()),
            Err(error) => {
                eprintln!("silent_refresh: a caller got no answer: {error}");
                None
            }
        };
        record.answer(status, added);
        tokio::time::sleep(PACE).await;
    }
}

/// What the middleware does, by hand, on a plain thread: attach, absorb one 401, replay.
fn call_from_thread(session: &Session, url: &str, story: &Story, record: &Record, until: Duration) {
    let client = blocking::Client::new();
    while record.now() < until {
        let mut added = Duration::ZERO;
        let mut status = None;
        for _attempt in 0..2 {
            let before = instant();
            let token = session.token().retry_for(PATIENCE).wait();
            added += before.elapsed();
            let answer = token.map_err(|error| error.to_string()).and_then(|token| {
                let answer = client.get(url).bearer_auth(token.expose()).send();
                answer.map(|answer| (token, answer.status().as_u16())).map_err(|e| e.to_string())
            });
            let (token, answered) = match answer {
                Ok(answer) => answer,
                Err(error) => {
                    eprintln!("silent_refresh: a thread got no answer: {error}");
                    break;
                }
            };
            status = Some(answered);
            if status != Some(401) {
                session.accept(&token);
                break;
            }
            story.rejected(record.now());
            session.reject(&token);
        }
        record.answer(status, added);
        thread::sleep(PACE);
    }
}

/// Notes every member's state a hundred times a second.
pub(crate) async fn sample_states(world: Arc<World>, record: Arc<Record>) {
    loop {
        for member in &world.members {
            member.story.state(record.now(), member.session().state());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
