//! The events of [`on_event`](crate::session::Builder::on_event) as events of the crate `tracing`, and a
//! span for each refresh.
//!
//! ```
//! use core::time::Duration;
//! use perennial::refresh::{RefreshError, Request};
//! use perennial::session::Session;
//! use perennial::token::Grant;
//!
//! let refresh = |_: Request| async { Err::<Grant, _>(RefreshError::unavailable("no answer")) };
//! let session = Session::builder(refresh)
//!     .name("billing API")
//!     .grant(Grant::new("at-1", "rt-1", Duration::from_secs(3600)))
//!     .traced()
//!     .build()?;
//! # assert!(session.token_blocking().is_ok());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! For stores, interceptors and issuers, pass [`record`] to their `on_event`. The target of all is
//! `perennial`; the message is the event's name, and the fields are its
//! [attributes](crate::events#names).
//!
//! # Levels
//! An outage causes one warning for each session, and one line when it is over:
//!
//! | level | events |
//! |---|---|
//! | `ERROR` | the first failure where only a login or a correction of the client's settings can help |
//! | `WARN` | the first failed refresh after a success; a grant that could not be stored; a token that stays in use although it was rejected; a request that was refused for its target |
//! | `INFO` | a success after failures; a login, a logout; a token that was withdrawn; a grant that is stored after all; what an issuer denied |
//! | `DEBUG` | other refreshes; waits; failures after the first; responses that rejected a token; other responses of an issuer |
//! | `TRACE` | operations on stores and leases |
//!
//! # Spans
//! The span `refresh`, at level `INFO`, is entered whenever the refresh is polled, so that the spans of an HTTP client are
//! within it. It lasts from the first poll to the end, the wait for a lease and the store included. Its
//! fields are `perennial.session.name`, `perennial.refresh`, `perennial.refresh.cause`, and, if it failed,
//! `error.type` and `http.response.status_code`.

use std::prelude::rust_2024::*;

use ::tracing::{Level, enabled, event};

use crate::events::{Event, EventKind, IssuerOutcome, StoreOutcome, Value};
use crate::session::Builder;
use crate::verdict::Rejection;

/// Emits an event whose fields are the attributes: `tracing` takes only names that are known beforehand.
macro_rules! emit {
    ($level:expr, $event:expr) => {
        if enabled!(target: "perennial", $level) {
            let fields = Fields::of($event);
            event!(
                target: "perennial",
                $level,
                "perennial.session.name" = fields.text("perennial.session.name"),
                "perennial.session" = fields.number("perennial.session"),
                "perennial.session.state" = fields.text("perennial.session.state"),
                "perennial.session.retry_in" = fields.seconds("perennial.session.retry_in"),
                "perennial.session.budget" = fields.number("perennial.session.budget"),
                "perennial.token.generation" = fields.number("perennial.token.generation"),
                "perennial.token.due_in" = fields.seconds("perennial.token.due_in"),
                "perennial.token.usable_for" = fields.seconds("perennial.token.usable_for"),
                "perennial.token.expires_in" = fields.seconds("perennial.token.expires_in"),
                "perennial.refresh" = fields.number("perennial.refresh"),
                "perennial.refresh.cause" = fields.text("perennial.refresh.cause"),
                "perennial.refresh.limit" = fields.seconds("perennial.refresh.limit"),
                "perennial.refresh.duration" = fields.seconds("perennial.refresh.duration"),
                "perennial.refresh.failures" = fields.number("perennial.refresh.failures"),
                "perennial.refresh.outage" = fields.seconds("perennial.refresh.outage"),
                "perennial.grant.origin" = fields.text("perennial.grant.origin"),
                "perennial.grant.stored" = fields.flag("perennial.grant.stored"),
                "perennial.grant.unsaved" = fields.flag("perennial.grant.unsaved"),
                "perennial.rejection" = fields.text("perennial.rejection"),
                "perennial.wait.duration" = fields.seconds("perennial.wait.duration"),
                "perennial.store.operation" = fields.text("perennial.store.operation"),
                "perennial.store.outcome" = fields.text("perennial.store.outcome"),
                "perennial.store.duration" = fields.seconds("perennial.store.duration"),
                "perennial.request.replayed" = fields.flag("perennial.request.replayed"),
                "perennial.issuer.outcome" = fields.text("perennial.issuer.outcome"),
                "perennial.issuer.client" = fields.text("perennial.issuer.client"),
                "perennial.issuer.subject" = fields.text("perennial.issuer.subject"),
                "perennial.issuer.family" = fields.text("perennial.issuer.family"),
                "perennial.issuer.number" = fields.number("perennial.issuer.number"),
                "perennial.issuer.successor" = fields.number("perennial.issuer.successor"),
                "client.address" = fields.text("client.address"),
                "error.type" = fields.text("error.type"),
                "error.message" = fields.text("error.message"),
                "http.response.status_code" = fields.number("http.response.status_code"),
                "server.address" = fields.text("server.address"),
                "{}",
                $event.kind.name()
            );
        }
    };
}

impl Builder {
    /// Has the session's events recorded with `tracing`, and each refresh run in a span.
    pub fn traced(self) -> Self {
        self.in_spans().on_event(record)
    }
}

#[cfg(feature = "keyed")]
impl<K: crate::keyed::Key> crate::keyed::Builder<K> {
    /// Has the events of all sessions recorded with `tracing`, without their keys, and each refresh run in a
    /// span.
    pub fn traced(self) -> Self {
        self.in_spans().on_event(|_, event| record(event))
    }
}

/// Records an event: a hook for `on_event`.
pub fn record(event: &Event) {
    match level(event) {
        Level::ERROR => emit!(Level::ERROR, event),
        Level::WARN => emit!(Level::WARN, event),
        Level::INFO => emit!(Level::INFO, event),
        Level::DEBUG => emit!(Level::DEBUG, event),
        _ => emit!(Level::TRACE, event),
    }
}

fn level(event: &Event) -> Level {
    match &event.kind {
        EventKind::RefreshFailed { error, failures, repeated, .. } => match error.name() {
            "declined" | "no_grant" | "misconfigured" if !repeated => Level::ERROR,
            _ if *failures == 1 => Level::WARN,
            _ => Level::DEBUG,
        },
        EventKind::RefreshSucceeded { failures: 1.., .. } => Level::INFO,
        EventKind::GrantUnsaved { .. } => Level::WARN,
        EventKind::TokenRejected { rejection: Rejection::Kept, .. } => Level::WARN,
        EventKind::TokenRejected { .. }
        | EventKind::GrantInstalled { .. }
        | EventKind::GrantRemoved { .. }
        | EventKind::GrantOrphaned
        | EventKind::GrantSaved { .. } => Level::INFO,
        EventKind::StoreCalled { outcome, .. } => match outcome {
            StoreOutcome::Failed(_) => Level::DEBUG,
            StoreOutcome::Done
            | StoreOutcome::Conflict
            | StoreOutcome::Busy
            | StoreOutcome::Lost => Level::TRACE,
        },
        EventKind::SessionStarted { .. }
        | EventKind::RefreshStarted { .. }
        | EventKind::RefreshSucceeded { .. }
        | EventKind::RefreshSuperseded { .. }
        | EventKind::TokenRecovered { .. }
        | EventKind::TokenWaited { .. }
        | EventKind::SessionEnded { .. } => Level::DEBUG,
        // The session has reported why there is no token.
        EventKind::RequestRefused { error, .. } if error.name() == "no_token" => Level::DEBUG,
        EventKind::RequestRefused { .. } => Level::WARN,
        EventKind::ResponseRejected { .. } => Level::DEBUG,
        EventKind::Issuer(event) => match &event.outcome {
            IssuerOutcome::Denied(_) => Level::INFO,
            IssuerOutcome::LoggedIn { .. }
            | IssuerOutcome::ClientCredentials
            | IssuerOutcome::Refreshed { .. }
            | IssuerOutcome::Repeated { .. }
            | IssuerOutcome::AccessRenewed
            | IssuerOutcome::Revoked => Level::DEBUG,
        },
    }
}

/// The attributes of an event, to be found by name.
struct Fields(Vec<(&'static str, Field)>);

enum Field {
    Text(String),
    Number(u64),
    Seconds(f64),
    Flag(bool),
}

impl Fields {
    fn of(event: &Event) -> Self {
        let mut fields = Vec::new();
        event.attributes(&mut |name, value| {
            let field = match value {
                Value::Text(text) => Field::Text(text.into()),
                Value::Number(number) => Field::Number(number),
                Value::Seconds(seconds) => Field::Seconds(seconds),
                Value::Flag(flag) => Field::Flag(flag),
            };
            fields.push((name, field));
        });
        Self(fields)
    }

    fn get(&self, wanted: &str) -> Option<&Field> {
        self.0.iter().find(|(name, _)| *name == wanted).map(|(_, field)| field)
    }

    fn text(&self, name: &str) -> Option<&str> {
        if let Some(Field::Text(text)) = self.get(name) { Some(text) } else { None }
    }

    fn number(&self, name: &str) -> Option<u64> {
        if let Some(Field::Number(number)) = self.get(name) { Some(*number) } else { None }
    }

    fn seconds(&self, name: &str) -> Option<f64> {
        if let Some(Field::Seconds(seconds)) = self.get(name) { Some(*seconds) } else { None }
    }

    fn flag(&self, name: &str) -> Option<bool> {
        if let Some(Field::Flag(flag)) = self.get(name) { Some(*flag) } else { None }
    }
}
