//! An outage minute by minute, for the guide: a caller a second, of a token that lives for 15 minutes.

use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use expect_test::expect_file;
use perennial::clock::Clock as _;
use perennial::events::{Event, EventKind};
use perennial::refresh::{RefreshError, Request};
use perennial::session::Session;
use perennial::testing::VirtualTime;
use perennial::token::Grant;

use crate::session_support::START;

const LIFETIME: Duration = Duration::from_secs(900);
/// When the token endpoint begins to fail, and when it works again, in minutes.
const OUTAGE: std::ops::Range<i64> = 8..18;
const MINUTES: i64 = 21;
/// Nothing happens before.
const SHOWN_FROM: i64 = 7;

#[derive(Default)]
struct Minute {
    served: u32,
    failed: u32,
    refreshes: u32,
    /// What a log shows at `INFO` and above.
    lines: Vec<String>,
}

fn session(time: &VirtualTime, events: &Arc<Mutex<Vec<Event>>>) -> Session {
    let (clock, kept) = (time.clone(), Arc::clone(events));
    Session::builder(move |_: Request| {
        let minute = (clock.now().as_millis() - START.as_millis()) / 60_000;
        let answer = if OUTAGE.contains(&minute) {
            Err(RefreshError::unavailable("the token endpoint answered 503").with_status(503))
        } else {
            Ok(Grant::new("at", "rt", LIFETIME))
        };
        async move { answer }
    })
    .clock(time.clone())
    .without_jitter()
    .random(|| 1 << 31)
    .grant(Grant::new("at", "rt", LIFETIME))
    .on_event(move |event| kept.lock().expect("no panic").push(event.clone()))
    .build()
    .expect("the grant can be sent")
}

/// Returns an event as a log shows it at `INFO` and above, where it does.
fn line(event: &Event) -> Option<String> {
    if let EventKind::RefreshFailed { error, failures: 1, .. } = &event.kind {
        let status = error.status().map(|status| format!(", status {status}"));
        return Some(format!("`refresh.failed`: {}{}", error.name(), status.unwrap_or_default()));
    }
    let EventKind::RefreshSucceeded { failures, outage: Some(outage), .. } = &event.kind else {
        return None;
    };
    Some(format!("`refresh.succeeded` after {failures} failures in {} s", outage.as_secs()))
}

#[test]
fn the_guide_shows_an_outage_as_it_is() {
    let time = VirtualTime::at(START);
    let events = Arc::default();
    let session = session(&time, &events);
    let mut text = String::from(
        "| minute | state at its end | callers served | callers failed | refreshes sent | in the log |\n\
         |---:|---|---:|---:|---:|---|\n",
    );
    for number in 0..MINUTES {
        let minute = a_minute(&session, &time, &events);
        if number < SHOWN_FROM {
            continue;
        }
        let state = format!("{:?}", session.state());
        let Minute { served, failed, refreshes, lines } = minute;
        let outage = if OUTAGE.contains(&number) { "**" } else { "" };
        let lines = lines.join("; ");
        writeln!(
            text,
            "| {outage}{number}{outage} | `{state}` | {served} | {failed} | {refreshes} | {lines} |"
        )
        .expect("a string");
    }
    expect_file!["../../src/guide/outage.md"].assert_eq(&text);
}

fn a_minute(session: &Session, time: &VirtualTime, events: &Arc<Mutex<Vec<Event>>>) -> Minute {
    let mut minute = Minute::default();
    for _ in 0..60 {
        match session.token_blocking() {
            Ok(_) => minute.served += 1,
            Err(_) => minute.failed += 1,
        }
        time.advance(Duration::from_secs(1));
    }
    for event in std::mem::take(&mut *events.lock().expect("no panic")) {
        minute.refreshes += u32::from(matches!(event.kind, EventKind::RefreshStarted { .. }));
        minute.lines.extend(line(&event));
    }
    minute
}
