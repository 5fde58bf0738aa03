//! What keyed sessions report.

use std::fmt::Write;
use std::sync::{Arc, Mutex};

use perennial::keyed::Sessions;
use perennial::refresh::{RefreshError, Request};
use perennial::testing::VirtualTime;
use perennial::token::Grant;

use crate::session_support::{HOUR, START};

#[test]
fn the_hook_of_keyed_sessions_is_given_the_key_and_a_packed_session_reports_its_end() {
    let time = VirtualTime::at(START);
    let lines = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&lines);
    let sessions = Sessions::builder(|user: &u64, _: Request| {
        let known = *user == 7;
        async move {
            if known {
                Ok(Grant::new("at-2", "rt-2", HOUR))
            } else {
                Err(RefreshError::unavailable("no answer"))
            }
        }
    })
    .clock(time.clone())
    .without_jitter()
    .name("tenants")
    .on_event(move |user, event| {
        let name = event.name.as_deref().unwrap_or("nobody");
        noted.lock().expect("no panic").push(format!("{name} {user} {}", event.kind.name()));
    })
    .build();
    for user in [7, 8] {
        sessions.install_blocking(&user, Grant::new("at-1", "rt-1", HOUR)).expect("in memory");
    }
    time.advance(HOUR);
    assert!(sessions.token_blocking(&7).is_ok());
    assert!(sessions.token_blocking(&8).is_err());
    sessions.sweep();
    assert_eq!(sessions.in_use(), 0, "all are packed");
    let expected = [
        "tenants 7 refresh.started",
        "tenants 7 refresh.succeeded",
        "tenants 7 session.ended",
        "tenants 7 session.started",
        "tenants 7 token.waited",
        "tenants 8 refresh.failed",
        "tenants 8 refresh.started",
        "tenants 8 session.ended",
        "tenants 8 session.started",
        "tenants 8 token.waited",
    ];
    let mut lines = lines.lock().expect("no panic").clone();
    lines.sort_unstable();
    assert_eq!(lines, expected);
}

#[test]
fn a_packed_session_that_is_resumed_tells_its_start_first_and_its_end_as_it_was() {
    let time = VirtualTime::at(START);
    let lines = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&lines);
    let sessions = Sessions::builder(|_: &u64, _: Request| async {
        Err::<Grant, _>(RefreshError::unavailable("no answer"))
    })
    .clock(time.clone())
    .without_jitter()
    .on_event(move |_, event| {
        let mut line = event.kind.name().to_owned();
        event.attributes(&mut |name, value| {
            if ["perennial.session.state", "perennial.token.expires_in"].contains(&name) {
                write!(line, " {value}").expect("a string");
            }
        });
        noted.lock().expect("no panic").push(line);
    })
    .build();
    sessions.install_blocking(&7, Grant::new("at-1", "rt-1", HOUR)).expect("in memory");
    let session = sessions.session(&7).expect("it is there");
    session.recovered(&session.token_blocking().expect("it is fresh"));
    drop(session);
    sessions.sweep();
    assert_eq!(sessions.in_use(), 0);
    let minute = core::time::Duration::from_secs(60);
    sessions.install_blocking(&7, Grant::new("at-9", "rt-9", minute)).expect("in memory");
    let expected = [
        "session.started valid 3600 s",
        "token.recovered valid",
        "session.ended valid",
        "session.started valid 3600 s",
        "grant.installed valid 60 s",
    ];
    assert_eq!(*lines.lock().expect("no panic"), expected);
}
