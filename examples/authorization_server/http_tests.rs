//! Tests of the whole server over HTTP: the faults, simultaneous requests, and the end.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpStream;

use super::server::{Config, Fault, Faults, Login, Rotation, Running, Server};

const LONG: Duration = Duration::from_secs(3600);

async fn start(config: Config) -> Running {
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Server::start(any_port, config).await.expect("a port is free")
}

/// A server whose first request of each family meets `fault`, with idempotent rotation.
async fn start_faulty(fault: Fault) -> Running {
    start(Config {
        rotation: Rotation::Idempotent,
        faults: Faults::new(move |presentation| match presentation.request {
            1 => fault,
            _ => Fault::None,
        }),
        ..Config::new(LONG)
    })
    .await
}

/// Presents the refresh token once, on a connection of its own.
async fn refresh(running: &Running, refresh_token: &str) -> reqwest::Result<reqwest::Response> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(1)).build()?;
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", "perennial-demo"),
        ("refresh_token", refresh_token),
    ];
    client.post(&running.urls().token_endpoint).form(&form).send().await
}

/// Reads an answer to its end, as a client does before it believes it.
async fn tokens(answer: reqwest::Result<reqwest::Response>) -> reqwest::Result<Value> {
    answer?.error_for_status()?.json().await
}

fn seed(running: &Running) -> Login {
    let login = running.seed();
    assert_eq!(login.expires_in, LONG);
    login
}

#[tokio::test]
async fn an_unavailable_server_has_not_handled_the_request() {
    for retry_after in [None, Some(0)] {
        let running = start_faulty(Fault::Unavailable { retry_after }).await;
        let login = seed(&running);
        let answer = refresh(&running, &login.refresh_token).await.expect("there is an answer");
        assert_eq!(answer.status(), 503);
        let header = answer.headers().get("retry-after");
        assert_eq!(header.is_some_and(|value| value == "0"), retry_after.is_some());
        let counters = running.stats_of(login.family).expect("the family was seeded");
        assert_eq!((counters.unavailable, counters.rotations), (1, 0));
        tokens(refresh(&running, &login.refresh_token).await).await.expect("the token is unused");
        running.shutdown().await;
    }
}

#[tokio::test]
async fn a_lost_answer_has_rotated_and_a_hanging_one_too() {
    for (fault, is_timeout) in [(Fault::LoseResponse, false), (Fault::Hang(LONG), true)] {
        let running = start_faulty(fault).await;
        let login = seed(&running);
        let error = tokens(refresh(&running, &login.refresh_token).await)
            .await
            .expect_err("the answer is lost");
        assert_eq!(error.is_timeout(), is_timeout, "{error:?}");
        let counters = running.stats_of(login.family).expect("the family was seeded");
        assert_eq!((counters.answers_lost, counters.rotations, counters.token_requests), (1, 1, 1));
        tokens(refresh(&running, &login.refresh_token).await)
            .await
            .expect("the overlap excuses the repeat");
        let counters = running.stats_of(login.family).expect("the family was seeded");
        assert_eq!((counters.granted, counters.rotations), (2, 1));
        running.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn simultaneous_requests_rotate_once() {
    let running = start(Config { rotation: Rotation::Idempotent, ..Config::new(LONG) }).await;
    let login = seed(&running);
    let requests = (0..100).map(|_| async {
        let answer = tokens(refresh(&running, &login.refresh_token).await).await;
        let body = answer.expect("every presentation in the overlap is granted");
        body["refresh_token"].as_str().map(ToOwned::to_owned).expect("there is a refresh token")
    });
    let mut successors = futures::future::join_all(requests).await;
    successors.dedup();
    assert_eq!(successors.len(), 1, "all got the very same successor");
    let totals = running.stats();
    assert_eq!((totals.rotations, totals.granted), (1, 100));
    assert_eq!(totals.access_tokens_issued, 101);
    running.shutdown().await;
}

#[tokio::test]
async fn revoked_access_tokens_stop_and_the_next_refresh_heals() {
    let running = start(Config::new(LONG)).await;
    let login = seed(&running);
    let client = reqwest::Client::new();
    let ask = async |token: &str| {
        let request = client
            .put(format!("{}/some/path", running.urls().api))
            .bearer_auth(token)
            .body(vec![0_u8; 1_000_000]);
        request.send().await.expect("there is an answer").status()
    };
    assert_eq!(ask(&login.access_token).await, 200);
    assert!(running.revoke_token_in_use(login.family));
    assert!(!running.revoke_token_in_use(login.family));
    assert!(!running.revoke_token_in_use(login.family + 1));
    assert_eq!(ask(&login.access_token).await, 401);
    let body = tokens(refresh(&running, &login.refresh_token).await)
        .await
        .expect("the refresh token is still good");
    let fresh = body["access_token"].as_str().expect("there is an access token");
    assert_eq!(ask(fresh).await, 200);
    let counters = running.stats_of(login.family).expect("the family was seeded");
    assert_eq!(counters.access_revocations, 1);
    assert_eq!((counters.api_ok, counters.api_unauthorized), (2, 1));
    running.shutdown().await;
}

#[tokio::test]
async fn shutting_down_ends_hanging_requests_and_frees_the_port() {
    let running = start_faulty(Fault::Hang(LONG)).await;
    let login = seed(&running);
    let url = running.urls().token_endpoint.clone();
    let address = url.trim_start_matches("http://").trim_end_matches("/token").to_owned();
    let form = format!(
        "grant_type=refresh_token&client_id=perennial-demo&refresh_token={}",
        login.refresh_token
    );
    let hanging = tokio::spawn(async move {
        let request = reqwest::Client::new()
            .post(url)
            .header("content-type", "application/x-www-form-urlencoded");
        request.body(form).send().await?.bytes().await
    });
    while running.stats().answers_lost == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::timeout(Duration::from_secs(1), running.shutdown())
        .await
        .expect("nothing holds the shutdown up");
    assert!(hanging.await.expect("the task ends well").is_err());
    assert!(TcpStream::connect(address).await.is_err());
}
