//! What is known of a session, from the events that it has reported so far.

use serde_json::{Value, json};

/// Milliseconds since the Unix epoch.
type At = i64;

/// Each field is from the newest event that says something about it. Two threads may report two events of a
/// session in the other order: the session's own counts tell which is newer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// The number of the newest event that was seen.
    sequence: u64,
    /// The session as that event shows it.
    state: Option<String>,
    budget: Option<u64>,
    retry_at: Option<At>,
    /// The newest refresh that has ended, and the one that has not.
    ended: u64,
    in_flight: Option<u64>,
    cause: Option<String>,
    /// The failures in a row: how many, since when, and why the last one failed.
    failures: u64,
    failing_since: Option<At>,
    error: Option<String>,
    message: Option<String>,
    status: Option<u64>,
    /// The token that was published last.
    generation: u64,
    due_at: Option<At>,
    usable_until: Option<At>,
    rejections: u64,
    rejection: Option<String>,
    rejected_at: Option<At>,
    replaced_at: Option<At>,
    /// The last outage that is over.
    recovered_at: Option<At>,
    outage: Option<f64>,
    refreshes: u64,
}

impl Facts {
    /// Takes what an event says. `event` is how it serialises.
    pub(crate) fn apply(&mut self, event: &Value) {
        let at = event["at"].as_i64().unwrap_or_default();
        let name = event["event"].as_str().unwrap_or_default();
        let sequence = event["sequence"].as_u64().unwrap_or_default();
        // A keyed session that was packed and resumed counts from one again.
        if sequence >= self.sequence || sequence == 1 {
            self.sequence = sequence;
            self.state = text(&event["perennial.session.state"]);
            self.budget = event["perennial.session.budget"].as_u64();
            self.retry_at = after(at, &event["perennial.session.retry_in"]);
        }
        let refresh = event["perennial.refresh"].as_u64();
        match name {
            "refresh.started" if refresh > Some(self.ended) => {
                self.in_flight = refresh;
                self.cause = text(&event["perennial.refresh.cause"]);
            }
            "refresh.succeeded" => {
                self.end(refresh);
                self.refreshes += 1;
                self.succeed(at, event);
            }
            "refresh.failed" if refresh > Some(self.ended) => {
                self.end(refresh);
                self.failures = event["perennial.refresh.failures"].as_u64().unwrap_or(1);
                self.failing_since.get_or_insert(at);
                self.error = text(&event["error.type"]);
                self.message = text(&event["error.message"]);
                self.status = event["http.response.status_code"].as_u64();
            }
            "refresh.superseded" => self.end(refresh),
            "grant.installed" => self.succeed(at, event),
            "grant.removed" => {
                self.succeed(at, event);
                self.usable_until = Some(at);
            }
            "token.rejected" => self.reject(at, event),
            "token.recovered" => self.replaced_at = Some(at),
            "session.ended" => *self = Self { sequence: 0, ..self.clone() },
            _ => {}
        }
    }

    fn end(&mut self, refresh: Option<u64>) {
        self.ended = self.ended.max(refresh.unwrap_or_default());
        self.in_flight = self.in_flight.filter(|number| *number > self.ended);
    }

    /// The failures, if there were any, are over.
    fn succeed(&mut self, at: At, event: &Value) {
        if let Some(since) = self.failing_since.take() {
            let outage = event["perennial.refresh.outage"].as_f64();
            #[allow(clippy::cast_precision_loss, reason = "an outage is shorter than ages")]
            let since = (at - since) as f64 / 1000.0;
            self.outage = outage.or(Some(since));
            self.recovered_at = Some(at);
        }
        self.failures = 0;
        (self.error, self.message, self.status) = (None, None, None);
        let generation = event["perennial.token.generation"].as_u64();
        if let Some(generation) = generation.filter(|it| *it >= self.generation) {
            self.generation = generation;
            self.due_at = after(at, &event["perennial.token.due_in"]);
            self.usable_until = after(at, &event["perennial.token.usable_for"]);
        }
    }

    fn reject(&mut self, at: At, event: &Value) {
        self.rejections += 1;
        self.rejection = text(&event["perennial.rejection"]);
        self.rejected_at = Some(at);
        let current = event["perennial.token.generation"].as_u64() == Some(self.generation);
        if current && self.rejection.as_deref() == Some("withdrawn") {
            self.usable_until = Some(at);
        }
    }

    /// The facts as the page's script reads them. Times are milliseconds since the Unix epoch.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "state": self.state,
            "budget": self.budget,
            "retry_at": self.retry_at,
            "in_flight": self.in_flight.is_some(),
            "cause": self.cause,
            "failures": self.failures,
            "failing_since": self.failing_since,
            "error": self.error,
            "message": self.message,
            "status": self.status,
            "generation": self.generation,
            "due_at": self.due_at,
            "usable_until": self.usable_until,
            "rejections": self.rejections,
            "rejection": self.rejection,
            "rejected_at": self.rejected_at,
            "replaced_at": self.replaced_at,
            "recovered_at": self.recovered_at,
            "outage": self.outage,
            "refreshes": self.refreshes,
        })
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn after(at: At, seconds: &Value) -> Option<At> {
    #[allow(clippy::cast_possible_truncation, reason = "a lifetime is shorter than ages")]
    seconds.as_f64().map(|seconds| at.saturating_add((seconds * 1000.0).round() as i64))
}
