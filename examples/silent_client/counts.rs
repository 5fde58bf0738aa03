//! What the caller noticed, and what it cost.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};

use perennial::lifecycle::Cause;

use crate::counting::{Observe, Outcome};

#[derive(Default)]
pub(crate) struct Counts {
    ok: AtomicU64,
    failed: AtomicU64,
    unauthorized: AtomicU64,
    refreshes: AtomicU64,
    refresh_failed: AtomicU64,
}

impl Counts {
    /// Notes what a request came back with: the status of its answer, or an error.
    pub(crate) fn note(&self, number: u64, answer: Result<http::StatusCode, impl Display>) {
        let counter = match answer {
            Ok(status) if status.is_success() => &self.ok,
            Ok(status) => {
                if status == http::StatusCode::UNAUTHORIZED {
                    self.unauthorized.fetch_add(1, Ordering::Relaxed);
                }
                eprintln!("silent_client: request {number} was answered {status}");
                &self.failed
            }
            Err(error) => {
                eprintln!("silent_client: request {number} failed: {error}");
                &self.failed
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    pub(crate) fn report(&self, requests: u64, lost: bool) -> serde_json::Value {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        serde_json::json!({
            "requests": requests,
            "ok": count(&self.ok),
            "failed": count(&self.failed),
            "unauthorized_seen_by_caller": count(&self.unauthorized),
            "refreshes": count(&self.refreshes),
            "refresh_failed": count(&self.refresh_failed),
            "session_lost": u64::from(lost),
        })
    }
}

impl Observe for Counts {
    fn started(&self, _: Cause, _: Option<&str>) {}

    fn ended(&self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Granted => &self.refreshes,
            Outcome::Declined | Outcome::Unavailable | Outcome::Unknown => &self.refresh_failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
