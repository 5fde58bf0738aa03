//! The attributes of events, by name; and an event as one line.

use core::fmt;

use super::kind::{EventKind, StoreOutcome, TokenView};
use super::value::Value;
use super::{Event, SessionView};
use crate::lifecycle::{Cause, Remedy, State};
use crate::verdict::Rejection;

type Visit<'a> = dyn FnMut(&'static str, Value<'_>) + 'a;

impl Event {
    /// Calls `visit` with the name and the value of each attribute, those of the session first.
    pub fn attributes(&self, visit: &mut dyn FnMut(&'static str, Value<'_>)) {
        if let Some(name) = &self.name {
            visit("perennial.session.name", Value::Text(name));
        }
        if let Some(session) = &self.session {
            session.attributes(visit);
        }
        self.kind.attributes(visit);
    }
}

impl SessionView {
    fn attributes(&self, visit: &mut Visit<'_>) {
        visit("perennial.session", Value::Number(self.number));
        visit("perennial.session.state", Value::Text(state(self.state)));
        if let Some(retry_in) = self.retry_in {
            visit("perennial.session.retry_in", retry_in.to_duration().into());
        }
        visit("perennial.session.budget", Value::Number(self.budget.into()));
    }
}

impl TokenView {
    fn attributes(&self, visit: &mut Visit<'_>) {
        visit("perennial.token.generation", Value::Number(self.generation.number()));
        let spans = [
            ("perennial.token.due_in", self.due_in),
            ("perennial.token.usable_for", self.usable_for),
            ("perennial.token.expires_in", self.expires_in),
        ];
        for (name, span) in spans {
            if let Some(span) = span {
                visit(name, span.into());
            }
        }
    }
}

impl EventKind {
    fn attributes(&self, visit: &mut Visit<'_>) {
        match self {
            Self::SessionStarted { token } => {
                if let Some(token) = token {
                    token.attributes(visit);
                }
            }
            Self::RefreshStarted { refresh, cause, limit } => {
                visit("perennial.refresh", Value::Number(*refresh));
                visit("perennial.refresh.cause", Value::Text(cause_name(*cause)));
                visit("perennial.refresh.limit", (*limit).into());
            }
            Self::RefreshSucceeded { refresh, cause, token, origin, took, failures, outage } => {
                visit("perennial.refresh", Value::Number(*refresh));
                visit("perennial.refresh.cause", Value::Text(cause_name(*cause)));
                visit("perennial.refresh.duration", (*took).into());
                visit("perennial.refresh.failures", Value::Number((*failures).into()));
                if let Some(outage) = outage {
                    visit("perennial.refresh.outage", (*outage).into());
                }
                visit("perennial.grant.origin", Value::Text(origin.name()));
                token.attributes(visit);
            }
            Self::RefreshFailed { refresh, cause, error, took, failures, .. } => {
                visit("perennial.refresh", Value::Number(*refresh));
                visit("perennial.refresh.cause", Value::Text(cause_name(*cause)));
                visit("perennial.refresh.duration", (*took).into());
                visit("perennial.refresh.failures", Value::Number((*failures).into()));
                error.attributes(visit);
            }
            Self::RefreshSuperseded { refresh, took } => {
                visit("perennial.refresh", Value::Number(*refresh));
                visit("perennial.refresh.duration", (*took).into());
            }
            Self::GrantInstalled { token, origin, failures } => {
                visit("perennial.grant.origin", Value::Text(origin.name()));
                visit("perennial.refresh.failures", Value::Number((*failures).into()));
                if let Some(token) = token {
                    token.attributes(visit);
                }
            }
            Self::GrantRemoved { failures } => {
                visit("perennial.refresh.failures", Value::Number((*failures).into()));
            }
            Self::GrantSaved { stored } => visit("perennial.grant.stored", Value::Flag(*stored)),
            Self::GrantOrphaned => {}
            Self::GrantUnsaved { error } => error.attributes(visit),
            Self::TokenRejected { generation, rejection } => {
                visit("perennial.token.generation", Value::Number(generation.number()));
                visit("perennial.rejection", Value::Text(rejection_name(*rejection)));
            }
            Self::TokenRecovered { generation } => {
                visit("perennial.token.generation", Value::Number(generation.number()));
            }
            Self::TokenWaited { waited, error } => {
                visit("perennial.wait.duration", (*waited).into());
                if let Some(error) = error {
                    error.attributes(visit);
                }
            }
            Self::SessionEnded { failures, unsaved } => {
                visit("perennial.refresh.failures", Value::Number((*failures).into()));
                visit("perennial.grant.unsaved", Value::Flag(*unsaved));
            }
            Self::StoreCalled { operation, outcome, took } => {
                visit("perennial.store.operation", Value::Text(operation.name()));
                visit("perennial.store.outcome", Value::Text(outcome.name()));
                visit("perennial.store.duration", (*took).into());
                if let StoreOutcome::Failed(error) = outcome {
                    error.attributes(visit);
                }
            }
            Self::RequestRefused { error, origin } => {
                error.attributes(visit);
                if let Some(origin) = origin {
                    visit("server.address", Value::Text(origin));
                }
            }
            Self::ResponseRejected { status, generation, replayed } => {
                visit("http.response.status_code", Value::Number((*status).into()));
                visit("perennial.token.generation", Value::Number(generation.number()));
                visit("perennial.request.replayed", Value::Flag(*replayed));
            }
            Self::Issuer(event) => event.attributes(visit),
        }
    }
}

fn state(state: State) -> &'static str {
    match state {
        State::Valid => "valid",
        State::Expiring => "expiring",
        State::Refreshing(_) => "refreshing",
        State::Expired(Remedy::Refresh) => "expired",
        State::Expired(Remedy::Reconfigure) => "misconfigured",
        State::Expired(Remedy::TryLogIn) => "login_may_help",
        State::Expired(Remedy::LogIn) => "login_required",
    }
}

/// Returns the name of a cause, also for spans.
pub(crate) fn cause_name(cause: Cause) -> &'static str {
    match cause {
        Cause::NoToken => "no_token",
        Cause::Due => "due",
        Cause::Lapsed => "lapsed",
        Cause::Rejected => "rejected",
        Cause::TooBrief => "too_brief",
    }
}

fn rejection_name(rejection: Rejection) -> &'static str {
    match rejection {
        Rejection::Withdrawn => "withdrawn",
        Rejection::Stale => "stale",
        Rejection::Kept => "kept",
    }
}

/// One line: the name, and then the attributes.
impl fmt::Display for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.kind.name())?;
        let mut result = Ok(());
        let mut separator = ":";
        self.attributes(&mut |name, value| {
            let name = name.strip_prefix("perennial.").unwrap_or(name);
            result = result.and_then(|()| write!(formatter, "{separator} {name} {value}"));
            separator = ",";
        });
        result
    }
}

/// A map with the entries `event` (its name), `at` (milliseconds on its clock; with the standard clock,
/// since the Unix epoch) and the attributes.
#[cfg(feature = "serde")]
impl serde::Serialize for Event {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;

        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("event", self.kind.name())?;
        map.serialize_entry("at", &self.at)?;
        if let Some(session) = &self.session {
            map.serialize_entry("sequence", &session.sequence)?;
        }
        let mut result = Ok(());
        self.attributes(&mut |name, value| {
            if result.is_ok() {
                result = match value {
                    Value::Text(text) => map.serialize_entry(name, text),
                    Value::Number(number) => map.serialize_entry(name, &number),
                    Value::Seconds(seconds) => map.serialize_entry(name, &seconds),
                    Value::Flag(flag) => map.serialize_entry(name, &flag),
                };
            }
        });
        result?;
        map.end()
    }
}
