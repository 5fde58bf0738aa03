//! What pages get of the feed.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use perennial::refresh::{RefreshError, Request};
use perennial::session::Session;
use perennial::token::Grant;
use serde_json::{Value, json};

use crate::facts::Facts;
use crate::feed::{Feed, Message};

/// A session that fails each time, and tells the feed.
fn failing(feed: &Arc<Feed>) -> Session {
    let place = feed.add("billing-1", "billing");
    let feed = Arc::clone(feed);
    let unavailable = |_: Request| async {
        Err::<Grant, _>(RefreshError::unavailable("planned").with_status(503))
    };
    let session = Session::builder(unavailable).grant(Grant::of_refresh_token("rt-1"));
    session.on_event(move |event| feed.event(place, event)).build().expect("it can be sent")
}

fn read(message: Option<Message>) -> (&'static str, Value) {
    let message = message.expect("the feed goes on");
    (message.name, serde_json::from_str(&message.data).expect("it is JSON"))
}

#[tokio::test]
async fn a_reader_that_comes_late_gets_what_happened_before() {
    let feed = Arc::new(Feed::new(8));
    let session = failing(&feed);
    assert!(session.token().await.is_err());
    let mut reader = Box::pin(Arc::clone(&feed).read());
    let (name, snapshot) = read(reader.next().await);
    assert_eq!(name, "snapshot");
    let facts = &snapshot["sessions"][0]["facts"];
    assert_eq!((&facts["failures"], &facts["status"]), (&json!(1), &json!(503)));
    assert_eq!((&facts["error"], &facts["cause"]), (&json!("unavailable"), &json!("no_token")));
    let events = snapshot["events"].as_array().expect("there are events");
    let names: Vec<_> = events.iter().map(|it| it["event"]["event"].as_str()).collect();
    let expected = ["session.started", "refresh.started", "refresh.failed", "token.waited"];
    assert_eq!(names, expected.map(Some));
    assert_eq!(snapshot["sessions"][0]["id"], "billing-1");
}

#[tokio::test]
async fn a_reader_that_stops_reading_delays_nobody_and_goes_on_with_a_snapshot() {
    let feed = Arc::new(Feed::new(4));
    let session = failing(&feed);
    let mut slow = Box::pin(Arc::clone(&feed).read());
    assert_eq!(read(slow.next().await).0, "snapshot");
    // No reader reads; a hook that waited for one would never return.
    let calls = async {
        for _ in 0..100 {
            let _ = session.token().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), calls).await.expect("no caller waits for it");
    let (name, snapshot) = read(slow.next().await);
    assert_eq!(name, "snapshot", "it has missed messages");
    let known = snapshot["events"].as_array().expect("there are events").len();
    assert!(known > 100, "{known}");
    feed.pulse(json!({}));
    assert_eq!(read(slow.next().await).0, "pulse", "and what comes after the snapshot");
}

#[tokio::test]
async fn no_more_than_some_thousand_events_are_kept() {
    let feed = Arc::new(Feed::new(4));
    let session = failing(&feed);
    for _ in 0..5_000 {
        let _ = session.token().await;
    }
    let mut reader = Box::pin(feed.read());
    let (_, snapshot) = read(reader.next().await);
    assert_eq!(snapshot["events"].as_array().map(Vec::len), Some(4_000));
}

fn event(sequence: u64, name: &str, more: &Value) -> Value {
    let mut event = json!({ "event": name, "at": 1_000_000, "sequence": sequence,
        "perennial.session.state": format!("state {sequence}"), "perennial.session.budget": sequence });
    for (name, value) in more.as_object().expect("an object") {
        event[name] = value.clone();
    }
    event
}

#[test]
fn two_events_in_the_other_order_lead_to_the_same_facts() {
    let started = event(
        1,
        "refresh.started",
        &json!({ "perennial.refresh": 1, "perennial.refresh.cause": "due" }),
    );
    let failed = event(
        2,
        "refresh.failed",
        &json!({ "perennial.refresh": 1, "perennial.refresh.failures": 1,
        "error.type": "unavailable", "http.response.status_code": 503, "perennial.session.retry_in": 2.5 }),
    );
    let waited = event(
        3,
        "token.waited",
        &json!({ "perennial.wait.duration": 1, "perennial.session.retry_in": 2.5 }),
    );
    let facts = |order: [&Value; 3]| {
        let mut facts = Facts::default();
        for event in order {
            facts.apply(event);
        }
        let mut facts = facts.to_json();
        facts["cause"].take();
        facts
    };
    let expected = facts([&started, &failed, &waited]);
    assert_eq!(expected["retry_at"], 1_002_500);
    assert_eq!(expected["in_flight"], false);
    assert_eq!(facts([&started, &waited, &failed]), expected);
    assert_eq!(facts([&failed, &started, &waited]), expected);
}

#[test]
fn a_rejection_ends_the_token_that_is_in_use_and_no_other() {
    let token = json!({ "perennial.refresh": 1, "perennial.token.generation": 2,
        "perennial.token.due_in": 10, "perennial.token.usable_for": 19 });
    let rejected = |generation: u64, rejection: &str| {
        let mut facts = Facts::default();
        facts.apply(&event(1, "refresh.succeeded", &token));
        let rejection =
            json!({ "perennial.token.generation": generation, "perennial.rejection": rejection });
        facts.apply(&event(2, "token.rejected", &rejection));
        facts.to_json()["usable_until"].as_i64()
    };
    assert_eq!(rejected(2, "withdrawn"), Some(1_000_000));
    assert_eq!(rejected(2, "kept"), Some(1_019_000));
    assert_eq!(rejected(1, "stale"), Some(1_019_000));
}
