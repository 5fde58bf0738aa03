//! On which threads and runtimes a session with this refresher can be used (rule C2).

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use perennial::adapters::oauth2::RefreshGrant;
use perennial::adapters::tokio::Tokio;
use perennial::lifecycle::Policy;
use perennial::refresh::{RefreshError, Request};
use perennial::session::Session;
use perennial::testing::VirtualTime;
use perennial::token::{Grant, Secret};
use perennial::wire::Client;
use tokio::runtime::{Builder, Runtime};

use crate::wire::scene::{HOUR, START, client_of, refresher, token_of};
use crate::wire::{GOOD, Server, answer, assert_mannered, soon};

fn threaded() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

fn single() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

async fn good_server() -> Server {
    Server::answering(|_| answer("200 OK", &[], GOOD)).await
}

fn session_of(server: &Server) -> Session {
    let refresher = refresher(client_of(server));
    let grant = Grant::of_refresh_token("refresh-1");
    Session::builder_with(refresher).grant(grant).build().expect("a session")
}

// Rule C2.
#[test]
fn a_plain_thread_gets_a_token_from_a_session_built_inside_a_runtime() {
    let runtime = threaded();
    let (server, session) = runtime.block_on(async {
        let server = good_server().await;
        let session = session_of(&server);
        (server, session)
    });
    let token = session.token_blocking().expect("a token");
    assert_eq!(token.expose(), "access-2");
    assert_eq!(server.requests(), 1);
}

// Rule C2.
#[test]
fn an_executor_that_is_not_tokio_gets_a_token() {
    let runtime = threaded();
    let (server, session) = runtime.block_on(async {
        let server = good_server().await;
        let session = session_of(&server);
        (server, session)
    });
    let token = futures::executor::block_on(session.token()).expect("a token");
    assert_eq!(token.expose(), "access-2");
    assert_eq!(server.requests(), 1);
}

// Rule C2.
#[tokio::test(flavor = "current_thread")]
async fn a_runtime_of_one_thread_gets_a_token_and_serves_plain_threads_while_it_runs() {
    let mut server = Server::start().await;
    let session = session_of(&server);
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let session = session.clone();
            tokio::task::spawn_blocking(move || session.token_blocking())
        })
        .collect();
    let own = tokio::spawn(token_of(&session));
    server.next().await.json(GOOD).await;
    assert_eq!(soon(own).await.expect("a task").expect("a token").expose(), "access-2");
    for caller in callers {
        assert_eq!(soon(caller).await.expect("a thread").expect("a token").expose(), "access-2");
    }
    assert_eq!(server.requests(), 1, "one flight for all of them");
}

// Rule C2.
#[test]
fn tasks_of_two_runtimes_and_plain_threads_share_one_refresh() {
    let (home, other) = (threaded(), single());
    let (mut server, session) = home.block_on(async {
        let server = Server::start().await;
        let session = session_of(&server);
        (server, session)
    });
    let blocking: Vec<_> = (0..4)
        .map(|_| {
            let session = session.clone();
            thread::spawn(move || session.token_blocking().expect("a token"))
        })
        .collect();
    let tasks: Vec<_> = (0..4).map(|_| home.spawn(token_of(&session))).collect();
    let guests: Vec<_> = (0..4).map(|_| other.spawn(token_of(&session))).collect();
    home.block_on(async { server.next().await.json(GOOD).await });
    for task in tasks {
        let token = home.block_on(soon(task)).expect("a task").expect("a token");
        assert_eq!(token.expose(), "access-2");
    }
    for guest in guests {
        let token = other.block_on(soon(guest)).expect("a task").expect("a token");
        assert_eq!(token.expose(), "access-2");
    }
    for thread in blocking {
        assert_eq!(thread.join().expect("a thread").expose(), "access-2");
    }
    assert_eq!(server.requests(), 1);
}

// Rule C2.
#[test]
fn a_refresher_given_a_runtime_can_be_built_and_used_outside_of_it() {
    let runtime = threaded();
    let server = runtime.block_on(good_server());
    let client = client_of(&server).build().expect("a client");
    let refresher = RefreshGrant::on(client, runtime.handle().clone());
    let session = Session::builder_with(refresher.expect("a refresher"))
        .grant(Grant::of_refresh_token("refresh-1"))
        .build()
        .expect("a session");
    assert_eq!(session.token_blocking().expect("a token").expose(), "access-2");
}

// Rules B13, C3.
#[test]
fn a_blocking_caller_of_a_runtime_that_stands_still_is_let_go_at_the_deadline() {
    // Nobody drives this runtime, so nothing of it can make progress: not the request, and not
    // tokio's timer, either.
    let runtime = single();
    let policy = Policy::builder().refresh_deadline(Duration::from_millis(20)).build();
    let policy = policy.expect("a policy");
    let (given, taken) = mpsc::channel();
    let session = runtime.block_on(async {
        let server = Server::start().await;
        let refresher = refresher(Client::builder(server.url("/token"), "app"));
        let timer = Tokio::current().expect("a runtime");
        Session::builder_with(refresher)
            .grant(Grant::of_refresh_token("refresh-1"))
            .policy(policy)
            .timer(timer)
            .build()
            .expect("a session")
    });
    thread::spawn(move || given.send(session.token_blocking()));
    let told = taken.recv_timeout(Duration::from_secs(20)).expect("hung");
    let error = told.expect_err("nothing can come");
    assert!(error.is_unavailable(), "{error:?}");
    drop(runtime);
}

// Rules C4, C7.
#[tokio::test]
async fn a_refresh_that_a_caller_began_goes_on_while_nobody_polls_it() {
    let mut server = Server::start().await;
    let time = VirtualTime::at(START);
    let refresher = refresher(client_of(&server));
    // No spawner: the session itself is polled by its callers alone.
    let session = Session::builder_with(refresher)
        .grant(Grant::new("access-1", "refresh-1", HOUR))
        .clock(time.clone())
        .build()
        .expect("a session");
    time.advance(Duration::from_secs(3550));
    let token = soon(session.token()).await.expect("a token");
    assert_eq!(token.expose(), "access-1", "it leaves at once, with the old token");
    // The request comes nevertheless, and its answer is there when next somebody looks.
    server.next().await.json(GOOD).await;
    while soon(session.token()).await.expect("a token").expose() == "access-1" {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.requests(), 1);
}

/// Drops the caller that drives the refresh once half of the answer has come.
async fn goes_on_without_its_driver(server: &mut Server, session: &Session) {
    let driver = tokio::spawn(token_of(session));
    let mut exchange = server.next().await;
    let whole = answer("200 OK", &[("content-type", "application/json")], GOOD);
    let (first, rest) = whole.as_bytes().split_at(40);
    exchange.write(first).await.expect("it listens");
    driver.abort();
    assert!(soon(driver).await.expect_err("cancelled").is_cancelled());
    exchange.write(rest).await.expect("it listens still");
    drop(exchange);
    assert_eq!(soon(session.token()).await.expect("the next caller has it").expose(), "access-2");
    assert_eq!(server.requests(), 1);
}

// Rule C4.
#[tokio::test]
async fn the_driving_caller_dropped_while_the_server_answers_costs_no_second_refresh() {
    let mut server = Server::start().await;
    let session = session_of(&server);
    goes_on_without_its_driver(&mut server, &session).await;
}

// Rule C4.
#[tokio::test]
async fn a_request_that_its_caller_drives_itself_goes_on_with_the_next_who_comes() {
    let mut server = Server::start().await;
    let (client, url) = (reqwest::Client::new(), server.url("/token"));
    let session = Session::builder(move |request: Request| {
        let (client, url) = (client.clone(), url.clone());
        async move {
            let token = request.refresh_token().map_or("none", Secret::expose).to_owned();
            let form = [("grant_type", "refresh_token"), ("refresh_token", &*token)];
            let answer = client.post(url).form(&form).send().await;
            let answer =
                answer.map_err(|error| RefreshError::unknown("sent").with_source(error))?;
            let text = answer.text().await.map_err(|_| RefreshError::unknown("cut"))?;
            assert!(text.contains("access-2"));
            Ok(Grant::new("access-2", "refresh-2", Duration::from_secs(3600)))
        }
    });
    let session = session.grant(Grant::of_refresh_token("refresh-1")).build().expect("sendable");
    goes_on_without_its_driver(&mut server, &session).await;
}

// Rule C9.
#[tokio::test]
async fn dropping_the_session_ends_the_refresh_that_is_out() {
    let mut server = Server::start().await;
    let session = session_of(&server);
    let caller = tokio::spawn(token_of(&session));
    let exchange = server.next().await;
    caller.abort();
    assert!(soon(caller).await.expect_err("cancelled").is_cancelled());
    drop(session);
    exchange.gone().await;
}

// Rules B6, C5.
#[test]
fn a_refresh_whose_runtime_is_gone_is_an_error_and_no_hang_and_no_panic() {
    let runtime = single();
    let refresher = RefreshGrant::on(
        Client::builder("http://127.0.0.1:1/token", "app").build().expect("a client"),
        runtime.handle().clone(),
    )
    .expect("a refresher");
    let grant = Grant::of_refresh_token("refresh-1");
    let session = Session::builder_with(refresher).grant(grant).build().expect("a session");
    runtime.shutdown_background();
    let (given, taken) = mpsc::channel();
    thread::spawn(move || given.send(session.token_blocking()));
    let told = taken.recv_timeout(Duration::from_secs(20)).expect("hung");
    let error = told.expect_err("nothing can come");
    assert_mannered(&error);
    assert_eq!(crate::wire::scene::told(&error).1, "the runtime ended before the refresh did");
}
