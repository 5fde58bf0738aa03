//! The events of [`on_event`](crate::session::Builder::on_event) as metrics of the facade
//! [`metrics`](https://docs.rs/metrics). Install a recorder of your choice, such as
//! `metrics-exporter-prometheus` or one for OpenTelemetry.
//!
//! ```
//! use core::time::Duration;
//! use perennial::adapters::metrics::{describe, record};
//! use perennial::refresh::{RefreshError, Request};
//! use perennial::session::Session;
//! use perennial::token::Grant;
//!
//! describe(); // units and texts, once the recorder is installed
//! let refresh = |_: Request| async { Err::<Grant, _>(RefreshError::unavailable("no answer")) };
//! let session = Session::builder(refresh)
//!     .name("billing API")
//!     .grant(Grant::new("at-1", "rt-1", Duration::from_secs(3600)))
//!     .on_event(record)
//!     .build()?;
//! # assert!(session.token_blocking().is_ok());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! For [`keyed`](crate::keyed), `.on_event(|_, event| record(event))`: one name for all, and no key in a
//! label.
//!
//! Names are those of OpenTelemetry's conventions where they define one; Prometheus shows a dot as an
//! underscore. All have the label `perennial.session.name`, where the session has a name.
//!
//! | metric | kind | labels |
//! |---|---|---|
//! | `perennial.refresh.duration` | histogram, seconds | `perennial.refresh.cause`; for one that failed `error.type` and `http.response.status_code`; for one that succeeded `perennial.grant.origin` |
//! | `perennial.refresh.active` | gauge: refreshes in flight | |
//! | `perennial.refresh.outage` | histogram, seconds: from the first failure to the success after it | |
//! | `perennial.session.failing` | gauge: sessions whose last refresh failed | |
//! | `perennial.session.unsaved` | gauge: sessions that hold a grant that could not be stored | |
//! | `perennial.token.wait.duration` | histogram, seconds: callers that had to wait, or got no token | `error.type` |
//! | `perennial.token.rejected` | counter: tokens that a resource server rejected | `perennial.rejection` |
//! | `perennial.token.recovered` | counter: replays that succeeded | |
//! | `perennial.grant.changed` | counter: logins, logouts, orphans | `event.name` |
//! | `perennial.store.duration` | histogram, seconds | `perennial.store.operation`, `perennial.store.outcome`, `error.type` |
//! | `perennial.request.refused` | counter: requests that were not sent | `error.type` |
//! | `perennial.response.rejected` | counter: responses that rejected a token | `http.response.status_code`, `perennial.request.replayed` |
//! | `perennial.issuer.responded` | counter: what an issuer did | `perennial.issuer.outcome`, `error.type` |
//!
//! A gauge is right as long as the hook sees all events of a session. A keyed session that is packed leaves the
//! gauge of those that fail until it is resumed and fails again.

use std::string::ToString;
use std::vec::Vec;

use metrics::{Label, Unit, counter, gauge, histogram};

use crate::events::{Event, EventKind, Value};

const REFRESH_DURATION: &str = "perennial.refresh.duration";
const REFRESH_ACTIVE: &str = "perennial.refresh.active";
const REFRESH_OUTAGE: &str = "perennial.refresh.outage";
const SESSION_FAILING: &str = "perennial.session.failing";
const SESSION_UNSAVED: &str = "perennial.session.unsaved";
const WAIT_DURATION: &str = "perennial.token.wait.duration";
const TOKEN_REJECTED: &str = "perennial.token.rejected";
const TOKEN_RECOVERED: &str = "perennial.token.recovered";
const GRANT_CHANGED: &str = "perennial.grant.changed";
const STORE_DURATION: &str = "perennial.store.duration";
const REQUEST_REFUSED: &str = "perennial.request.refused";
const RESPONSE_REJECTED: &str = "perennial.response.rejected";
const ISSUER_RESPONDED: &str = "perennial.issuer.responded";

/// The attributes that are labels. All have few values.
const LABELS: [&str; 10] = [
    "perennial.session.name",
    "perennial.refresh.cause",
    "perennial.grant.origin",
    "perennial.rejection",
    "perennial.store.operation",
    "perennial.store.outcome",
    "perennial.request.replayed",
    "perennial.issuer.outcome",
    "error.type",
    "http.response.status_code",
];

/// Describes the metrics to the installed recorder.
pub fn describe() {
    for (name, text) in [
        (REFRESH_DURATION, "how long refreshes took"),
        (REFRESH_OUTAGE, "from the first failed refresh to the success after it"),
        (WAIT_DURATION, "how long callers waited for a token, if they had to or got none"),
        (STORE_DURATION, "how long operations on stores and leases took"),
    ] {
        metrics::describe_histogram!(name, Unit::Seconds, text);
    }
    for (name, text) in [
        (REFRESH_ACTIVE, "refreshes in flight"),
        (SESSION_FAILING, "sessions whose last refresh failed"),
        (SESSION_UNSAVED, "sessions that hold a grant that could not be stored"),
    ] {
        metrics::describe_gauge!(name, Unit::Count, text);
    }
    for (name, text) in [
        (TOKEN_REJECTED, "tokens that a resource server rejected"),
        (TOKEN_RECOVERED, "replayed requests that succeeded"),
        (GRANT_CHANGED, "logins, logouts and orphaned grants"),
        (REQUEST_REFUSED, "requests that were not sent"),
        (RESPONSE_REJECTED, "responses that rejected a token"),
        (ISSUER_RESPONDED, "responses of an issuer"),
    ] {
        metrics::describe_counter!(name, Unit::Count, text);
    }
}

/// Records an event: a hook for `on_event`.
pub fn record(event: &Event) {
    let labels = || labels(event);
    let of_session = || {
        let name = event.name.iter();
        name.map(|name| Label::new("perennial.session.name", name.to_string())).collect::<Vec<_>>()
    };
    let changed = || {
        let mut labels = labels();
        labels.push(Label::from_static_parts("event.name", event.kind.name()));
        counter!(GRANT_CHANGED, labels).increment(1);
    };
    let add = |name: &'static str, number: f64| gauge!(name, of_session()).increment(number);
    match &event.kind {
        EventKind::SessionStarted { .. } => {}
        EventKind::RefreshStarted { .. } => add(REFRESH_ACTIVE, 1.0),
        EventKind::RefreshSucceeded { took, failures, outage, .. } => {
            add(REFRESH_ACTIVE, -1.0);
            histogram!(REFRESH_DURATION, labels()).record(*took);
            if let Some(outage) = outage {
                histogram!(REFRESH_OUTAGE, of_session()).record(*outage);
            }
            recovered(*failures, add);
        }
        EventKind::RefreshFailed { took, failures, .. } => {
            add(REFRESH_ACTIVE, -1.0);
            histogram!(REFRESH_DURATION, labels()).record(*took);
            if *failures == 1 {
                add(SESSION_FAILING, 1.0);
            }
        }
        EventKind::RefreshSuperseded { .. } => add(REFRESH_ACTIVE, -1.0),
        EventKind::GrantInstalled { failures, .. } | EventKind::GrantRemoved { failures } => {
            recovered(*failures, add);
            changed();
        }
        EventKind::GrantOrphaned => changed(),
        EventKind::GrantUnsaved { .. } => add(SESSION_UNSAVED, 1.0),
        EventKind::GrantSaved { .. } => add(SESSION_UNSAVED, -1.0),
        EventKind::TokenRejected { .. } => counter!(TOKEN_REJECTED, labels()).increment(1),
        EventKind::TokenRecovered { .. } => counter!(TOKEN_RECOVERED, labels()).increment(1),
        EventKind::TokenWaited { waited, .. } => {
            histogram!(WAIT_DURATION, labels()).record(*waited);
        }
        EventKind::SessionEnded { failures, unsaved } => {
            recovered(*failures, add);
            if *unsaved {
                add(SESSION_UNSAVED, -1.0);
            }
        }
        EventKind::StoreCalled { took, .. } => histogram!(STORE_DURATION, labels()).record(*took),
        EventKind::RequestRefused { .. } => counter!(REQUEST_REFUSED, labels()).increment(1),
        EventKind::ResponseRejected { .. } => counter!(RESPONSE_REJECTED, labels()).increment(1),
        EventKind::Issuer(_) => counter!(ISSUER_RESPONDED, labels()).increment(1),
    }
}

fn recovered(failures: u32, add: impl Fn(&'static str, f64)) {
    if failures > 0 {
        add(SESSION_FAILING, -1.0);
    }
}

fn labels(event: &Event) -> Vec<Label> {
    let mut labels = Vec::new();
    event.attributes(&mut |name, value| {
        if LABELS.contains(&name) {
            let value = match value {
                Value::Text(text) => text.to_string(),
                other @ (Value::Number(_) | Value::Seconds(_) | Value::Flag(_)) => {
                    other.to_string()
                }
            };
            labels.push(Label::new(name, value));
        }
    });
    labels
}
