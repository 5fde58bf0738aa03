//! What goes wrong on purpose: a token endpoint that answers 503 or nothing, an API that rejects tokens.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::server::Fault;

/// What is wrong with a client's servers.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The token endpoint answers 503, with this `Retry-After`, if any.
    Unavailable { retry_after: Option<u64> },
    /// The token endpoint does not answer.
    Silent,
    /// The API rejects each token that is in use, every two seconds.
    Rejecting,
}

/// An outage that ends by itself, or is ended.
#[derive(Debug, Default)]
pub(crate) struct Outage(Mutex<Option<(Kind, Instant)>>);

impl Outage {
    pub(crate) fn begin(&self, kind: Kind, length: Duration) {
        *self.lock() = Some((kind, later(length)));
    }

    pub(crate) fn end(&self) {
        *self.lock() = None;
    }

    /// What is wrong now.
    pub(crate) fn kind(&self) -> Option<Kind> {
        self.current().map(|(kind, _)| kind)
    }

    /// What becomes of a token request now.
    pub(crate) fn fault(&self) -> Fault {
        match self.kind() {
            Some(Kind::Unavailable { retry_after }) => Fault::Unavailable { retry_after },
            Some(Kind::Silent) => Fault::Hang(Duration::from_secs(60)),
            Some(Kind::Rejecting) | None => Fault::None,
        }
    }

    /// In words, and for how many seconds yet; null if nothing is wrong.
    pub(crate) fn to_json(&self) -> Value {
        let Some((kind, left)) = self.current() else { return Value::Null };
        let text = match kind {
            Kind::Unavailable { retry_after: None } => "the token endpoint answers 503".to_owned(),
            Kind::Unavailable { retry_after: Some(seconds) } => {
                format!("the token endpoint answers 503 with Retry-After: {seconds}")
            }
            Kind::Silent => "the token endpoint does not answer".to_owned(),
            Kind::Rejecting => "the API rejects the tokens in use every 2 s".to_owned(),
        };
        json!({ "text": text, "ends_in": left.as_secs_f64() })
    }

    fn current(&self) -> Option<(Kind, Duration)> {
        let (kind, until) = (*self.lock())?;
        let left = until.saturating_duration_since(Instant::now());
        (left > Duration::ZERO).then_some((kind, left))
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Kind, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a request to `/outage` asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// For one client; `None` for all.
    pub(crate) client: Option<String>,
    /// What is to go wrong, and for how long; `None` ends it.
    pub(crate) outage: Option<(Kind, Duration)>,
}

impl Order {
    /// Reads the parameters of the request.
    ///
    /// # Errors
    /// If one of them is not understood.
    pub(crate) fn of(named: &HashMap<String, String>) -> Result<Self, String> {
        let value = |name: &str| named.get(name).map(String::as_str);
        if let Some(unknown) = named.keys().find(|name| {
            !["end", "client", "status", "for", "retry-after"].contains(&name.as_str())
        }) {
            return Err(format!("there is no parameter {unknown:?}"));
        }
        let client = value("client").map(str::to_owned);
        if named.contains_key("end") {
            return Ok(Self { client, outage: None });
        }
        let retry_after = value("retry-after").map(str::parse).transpose();
        let retry_after = retry_after.map_err(|_| "retry-after: a number of seconds")?;
        let kind = match value("status") {
            Some("503") => Kind::Unavailable { retry_after },
            Some("none") => Kind::Silent,
            Some("401") => Kind::Rejecting,
            _ => return Err("status: 503, 401 or none".to_owned()),
        };
        let length = humantime::parse_duration(value("for").unwrap_or("60s"));
        let length = length.map_err(|error| format!("for: {error}"))?;
        if length > Duration::from_secs(3600) {
            return Err("for: an hour at most".to_owned());
        }
        Ok(Self { client, outage: Some((kind, length)) })
    }
}

fn later(length: Duration) -> Instant {
    Instant::now() + length
}
