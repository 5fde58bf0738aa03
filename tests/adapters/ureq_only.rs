//! ureq alone: statuses as errors, bodies that are read ahead, and who sends replays.

use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use perennial::adapters::ureq::{BlockingBearerMiddleware, DEFAULT_REPLAY_LIMIT};
use ureq::middleware::MiddlewareNext;
use ureq::{Agent, Error, SendBody};

use crate::client::Adapter;
use crate::wire::{Received, answer, soon};
use crate::world::{UNAUTHORIZED, World, run};

fn agent(bearer: BlockingBearerMiddleware) -> Agent {
    // What the agent says of statuses is not looked at by the middleware.
    Agent::config_builder().proxy(None).middleware(bearer).build().into()
}

fn bearer(world: &World) -> BlockingBearerMiddleware {
    BlockingBearerMiddleware::new(world.interceptor().build().expect("an interceptor"))
}

/// A blocking call, off the runtime.
async fn call<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    soon(tokio::task::spawn_blocking(call)).await.expect("a thread")
}

async fn liking_new_tokens() -> World {
    World::liking_new_tokens(Adapter::Ureq).await
}

// Rule E2.
#[test]
fn a_status_is_an_error_as_with_ureq_but_for_a_401_that_was_absorbed() {
    run(async {
        let world =
            World::with_api(Adapter::Ureq, |request| match (request.line(), request.bearer()) {
                (_, "access-1") => answer(UNAUTHORIZED, &[], ""),
                ("GET /missing", _) => answer("404 Not Found", &[], ""),
                ("GET /broken", _) => answer("500 Internal Server Error", &[], ""),
                ("GET /never", _) => answer(UNAUTHORIZED, &[], ""),
                _ => answer("200 OK", &[], "done"),
            })
            .await;
        let agent = agent(bearer(&world));
        for (path, status) in
            [("/things", 200), ("/missing", 404), ("/broken", 500), ("/never", 401)]
        {
            let (agent, url) = (agent.clone(), world.api.url(path));
            match call(move || agent.get(url).call()).await {
                Ok(response) => assert_eq!(response.status(), status),
                Err(Error::StatusCode(found)) => assert_eq!(found, status),
                Err(error) => panic!("{path}: {error:?}"),
            }
        }
    });
}

// Rule E2.
#[test]
fn a_status_is_an_answer_where_that_is_said() {
    run(async {
        let world = World::with_api(Adapter::Ureq, |_| answer(UNAUTHORIZED, &[], "why")).await;
        let agent = agent(bearer(&world).http_status_as_error(false));
        let url = world.api.url("/things");
        let text = call(move || {
            let mut response = agent.get(url).call().expect("an answer");
            assert_eq!(response.status(), 401);
            response.body_mut().read_to_string()
        });
        assert_eq!(text.await.expect("a body"), "why");
        assert_eq!((world.api.requests(), world.auth.requests()), (2, 1));
    });
}

/// How often a POST of `body` is sent to a server that rejects its first token; each time whole.
fn sent(
    bearer: BlockingBearerMiddleware,
    world: &World,
    body: SendBody<'static>,
    content: &str,
) -> usize {
    let agent = agent(bearer.http_status_as_error(false));
    let request = http::Request::post(world.api.url("/things")).body(body).expect("a request");
    // A body need not be `Send`, so this one is sent from here: the servers have another thread.
    let status = agent.run(request).expect("an answer").status();
    let log = world.api.log();
    assert!(log.iter().all(|it| it.content() == content), "{log:?}");
    let replayed = log.len() == 2;
    assert_eq!(status, if replayed { 200 } else { 401 });
    log.len()
}

fn reader(text: &str) -> SendBody<'static> {
    SendBody::from_owned_reader(Cursor::new(text.to_owned()))
}

// Rule E3.
#[test]
fn a_body_of_the_replay_limit_is_sent_again_and_one_of_a_byte_more_is_not() {
    run(async {
        for (limit, length) in [(8, 8), (8, 9), (0, 0), (0, 1), (1, 2)] {
            let world = liking_new_tokens().await;
            let text = "x".repeat(length);
            let limited = bearer(&world).replay_limit(limit);
            let expected = if length as u64 <= limit { 2 } else { 1 };
            assert_eq!(sent(limited, &world, reader(&text), &text), expected, "{length}");
            assert_eq!(world.auth.requests(), expected - 1);
        }
        let default = usize::try_from(DEFAULT_REPLAY_LIMIT).expect("a length");
        for (length, expected) in [(default, 2), (default + 1, 1)] {
            let world = liking_new_tokens().await;
            let text = "x".repeat(length);
            assert_eq!(sent(bearer(&world), &world, reader(&text), &text), expected);
        }
    });
}

// Rule E3.
#[test]
fn a_body_that_is_read_ahead_whole_goes_out_with_its_length_and_a_longer_one_in_chunks() {
    run(async {
        let world = liking_new_tokens().await;
        sent(bearer(&world), &world, reader("short"), "short");
        for received in world.api.log() {
            assert_eq!(received.headers("content-length"), ["5"]);
            assert!(received.headers("transfer-encoding").is_empty());
        }
        let world = liking_new_tokens().await;
        sent(bearer(&world).replay_limit(2), &world, reader("longer"), "longer");
        let log = world.api.log();
        assert_eq!(log[0].headers("transfer-encoding"), ["chunked"]);
        assert!(log[0].headers("content-length").is_empty());
    });
}

// Rule E3.
#[test]
fn a_body_that_fails_while_it_is_read_is_the_callers_error_and_nothing_is_sent() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("a broken disk"))
        }
    }
    run(async {
        let world = liking_new_tokens().await;
        let request = http::Request::post(world.api.url("/things"));
        let request = request.body(SendBody::from_owned_reader(Broken)).expect("a request");
        match agent(bearer(&world)).run(request) {
            Err(Error::Io(error)) => assert_eq!(error.to_string(), "a broken disk"),
            other => panic!("{other:?}"),
        }
        assert_eq!((world.api.requests(), world.auth.requests()), (0, 0));
    });
}

// Rule E2.
#[test]
fn a_replay_goes_through_the_agent_that_was_given_for_it_with_the_requests_configuration() {
    run(async {
        let world = liking_new_tokens().await;
        let replays = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&replays);
        let count = move |request: http::Request<SendBody<'_>>, next: MiddlewareNext<'_>| {
            counter.fetch_add(1, Ordering::SeqCst);
            next.handle(request)
        };
        let replayer = Agent::config_builder().proxy(None).middleware(count);
        let replayer = replayer.user_agent("the replayer's").build().into();
        let bearer = bearer(&world).replay_through(replayer);
        let config = Agent::config_builder().proxy(None).middleware(bearer);
        let agent: Agent = config.user_agent("the program's").build().into();
        let url = world.api.url("/things");
        let get = move || agent.get(url).header("x-mine", "1").call().map(|it| it.status());
        assert_eq!(call(get).await.expect("an answer"), 200);
        assert_eq!(replays.load(Ordering::SeqCst), 1);
        let agents: Vec<_> =
            world.api.log().iter().map(|it| it.headers("user-agent").join(",")).collect();
        assert_eq!(agents, ["the program's"; 2]);
    });
}

// Rule E3.
#[test]
fn a_body_where_the_method_expects_none_is_sent_again_as_well() {
    run(async {
        let world = liking_new_tokens().await;
        let (agent, url) = (agent(bearer(&world)), world.api.url("/things"));
        let delete = move || agent.delete(url).force_send_body().send("why");
        assert_eq!(call(delete).await.expect("an answer").status(), 200);
        let log = world.api.log();
        let seen: Vec<_> = log.iter().map(|it| (it.line(), it.content())).collect();
        assert_eq!(
            seen,
            [("DELETE /things", "why".to_owned()), ("DELETE /things", "why".to_owned())]
        );
    });
}

/// A form that leads on to a page, which wants a token.
fn form(request: &Received) -> String {
    match (request.line(), request.bearer()) {
        ("POST /form", _) => answer("303 See Other", &[("location", "/page")], ""),
        ("GET /page", "access-1") => answer("200 OK", &[], "page"),
        _ => answer(UNAUTHORIZED, &[], "no token"),
    }
}

// Rules E1, E5.
#[test]
fn a_post_that_a_redirect_made_a_get_arrives_with_the_token() {
    run(async {
        let world = World::with_api(Adapter::Ureq, form).await;
        let call = world.call("/form").method(http::Method::POST).whole("all");
        let seen = crate::world::response(world.send(call)).await;
        assert_eq!(seen, (200, "page".to_owned()));
        let log = world.api.log();
        assert_eq!(log.iter().map(Received::line).collect::<Vec<_>>(), ["POST /form", "GET /page"]);
        assert!(log[1].headers("content-length").is_empty(), "{}", log[1].head);
        assert_eq!(world.auth.requests(), 0);
        assert_eq!(world.holds().await, "access-1");
    });
}

/// A form that leads on twice.
fn form_and_on(request: &Received) -> String {
    match request.line() {
        "POST /form" => answer("303 See Other", &[("location", "/moved")], ""),
        "GET /moved" => answer("302 Found", &[("location", "/page")], ""),
        _ => answer("200 OK", &[], "page"),
    }
}

// Rules E3, E5. The body that could be sent once is gone with the POST.
#[test]
fn a_long_post_is_led_on_as_far_as_a_short_one() {
    for length in [10, 100_000] {
        run(async move {
            let world = World::with_api(Adapter::Ureq, form_and_on).await;
            let body: &'static str = Box::leak("x".repeat(length).into_boxed_str());
            let call = world.call("/form").method(http::Method::POST).whole(body);
            let seen = crate::world::response(world.send(call)).await;
            assert_eq!(seen, (200, "page".to_owned()), "{length}");
        });
    }
}
