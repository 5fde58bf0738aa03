//! Faults at the resource server. They are the caller's, as they would be without the adapter:
//! nothing is refreshed, and nothing is replayed.

use std::time::Duration;

use http::Method;
use perennial::interceptor::Interceptor;
use perennial::testing::{Fault, FaultProxy};
use tokio::task::JoinHandle;

use crate::client::{Adapter, Answered, Call, Client, Failed};
use crate::wire::{Server, answer, soon};
use crate::world::{World, minting, on_every_adapter};

/// How much of an answer's body is read.
const ENOUGH: usize = 1_000_000;

/// All that a caller can see of what its request came to.
#[derive(Debug, PartialEq, Eq)]
enum Sees {
    Failure(Vec<String>),
    Answer { status: u16, headers: Vec<String>, body: String, ended: Result<(), String> },
}

async fn sees(request: JoinHandle<Result<Answered, Failed>>) -> Sees {
    let mut answered = match soon(request).await.expect("a task") {
        Err(failed) => {
            assert!(failed.refused().is_none(), "{failed:?}");
            return Sees::Failure(failed.says());
        }
        Ok(answered) => answered,
    };
    let headers = answered.headers.iter().map(|(name, value)| format!("{name}: {value:?}"));
    let (status, headers) = (answered.status, headers.collect());
    let mut body = Vec::new();
    let ended = loop {
        match soon(answered.chunk()).await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error.to_string()),
        }
        if body.len() >= ENOUGH {
            body.truncate(ENOUGH);
            break Ok(());
        }
    };
    Sees::Answer { status, headers, body: String::from_utf8_lossy(&body).into_owned(), ended }
}

async fn is_the_callers_own(on: Adapter, fault: Fault, method: Method) -> Sees {
    let api = Server::answering(|_| answer("200 OK", &[("x-mine", "1")], "all of it")).await;
    let proxy = FaultProxy::before(api.address).expect("a proxy");
    let world = World::of(on, minting().await, api);
    let url = format!("http://{}/things", proxy.address());
    let interceptor = Interceptor::builder(world.session.clone()).origin(&url);
    let world = world.intercepted_by(interceptor);
    let call = match method {
        Method::POST => Call::get(url).method(method).whole("sent"),
        _ => Call::get(url),
    };
    let mut seen = Vec::new();
    for client in [&Client::bare(on), &world.client] {
        proxy.next(fault.clone());
        let request = client.send(call.clone());
        if fault == Fault::Hold {
            // Whether it is held already or will be, it is let go.
            proxy.release();
        }
        seen.push(sees(request).await);
    }
    assert_eq!(seen[1], seen[0], "{fault:?}");
    assert_eq!(proxy.connections(), 2, "it was replayed: {fault:?}");
    assert_eq!(world.spy.seen().len(), 1);
    assert_eq!(world.auth.requests(), 0, "{fault:?}");
    assert_eq!(world.holds().await, "access-1");
    seen.swap_remove(0)
}

// Rules E2, E4.
async fn what_fails_at_the_resource_server_reaches_the_caller_as_without_the_adapter(on: Adapter) {
    let breaks = [
        Fault::LoseResponse,
        Fault::ResetBefore,
        Fault::ResetAfter,
        Fault::Truncate(20),
        Fault::Respond(Vec::new()),
        Fault::garbage(),
    ];
    for fault in breaks {
        for method in [Method::GET, Method::POST] {
            let seen = is_the_callers_own(on, fault.clone(), method).await;
            assert!(matches!(seen, Sees::Failure(_)), "{fault:?}: {seen:?}");
        }
    }
}

// Rules E2, E4.
async fn what_the_resource_server_answers_reaches_the_caller_as_without_the_adapter(on: Adapter) {
    let date = "Tue, 14 Nov 2023 22:14:20 GMT";
    let answers = [
        (Fault::Pass, 200),
        (Fault::Hold, 200),
        (Fault::Drip(Duration::ZERO), 200),
        (Fault::responding(500, None, "oops"), 500),
        (Fault::responding(502, None, ""), 502),
        (Fault::responding(503, Some(("retry-after", "7")), ""), 503),
        (Fault::responding(429, Some(("retry-after", date)), "slowly"), 429),
        (Fault::html(), 200),
        (Fault::Flood(100_000_000), 200),
    ];
    for (fault, expected) in answers {
        let seen = is_the_callers_own(on, fault.clone(), Method::GET).await;
        let Sees::Answer { status, ended: Ok(()), .. } = seen else {
            panic!("{fault:?}: {seen:?}")
        };
        assert_eq!(status, expected);
    }
}

// Rule E2.
async fn an_answer_that_breaks_off_in_its_body_breaks_off_as_without_the_adapter(on: Adapter) {
    // Its head is whole, and its body is not.
    let whole = answer("200 OK", &[("x-mine", "1")], "all of it").len();
    for missing in 1..4 {
        let seen = is_the_callers_own(on, Fault::Truncate(whole - missing), Method::GET).await;
        let Sees::Answer { ended: Err(_), .. } = seen else { panic!("{missing}: {seen:?}") };
    }
}

on_every_adapter!(
    what_fails_at_the_resource_server_reaches_the_caller_as_without_the_adapter,
    what_the_resource_server_answers_reaches_the_caller_as_without_the_adapter,
    an_answer_that_breaks_off_in_its_body_breaks_off_as_without_the_adapter,
);
