//! What the caller noticed, and what it cost.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use perennial::lifecycle::{Cause, Failure, Meanwhile, Remedy, State};
use perennial::refresh::RefreshError;
use perennial::time::Timestamp;

use crate::counting::{Observe, Outcome};
use crate::words::{Hidden, told};

#[derive(Default)]
pub(crate) struct Counts {
    ok: AtomicU64,
    failed: AtomicU64,
    unauthorized: AtomicU64,
    refreshes: AtomicU64,
    refresh_failed: AtomicU64,
    refresh_declined: AtomicU64,
    last: Mutex<Last>,
    hidden: Hidden,
}

#[derive(Default)]
struct Last {
    /// What went wrong last, of whatever went wrong.
    error: Option<String>,
    /// How the last refresh failed, if that did.
    refresh: Option<Failure<Timestamp>>,
}

/// What is to be thought of the session.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Acceptance {
    /// It has a token, or can have one.
    Ok,
    /// It would have one if the authorization server answered.
    Unavailable,
    /// The client's settings must be corrected.
    Configuration,
    /// The authorization server refuses for long without saying why: a login may help. The session
    /// goes on asking.
    TryLogIn,
    /// Only a login helps.
    LogIn,
}

impl Acceptance {
    /// Of a session's state, and of how its last refresh failed, if it did.
    pub(crate) fn of(state: State, failure: Option<Failure<Timestamp>>) -> Self {
        // What nothing but a person can change comes before a token that is about to lapse.
        let waiting = match failure {
            Some(Failure::Declined) => return Self::LogIn,
            Some(Failure::Misconfigured { .. }) => return Self::Configuration,
            Some(Failure::Unavailable { .. } | Failure::Unexplained { .. } | Failure::Unknown) => {
                Self::Unavailable
            }
            None => Self::Ok,
        };
        match state {
            State::Valid | State::Expiring | State::Refreshing(Meanwhile::UseOld) => Self::Ok,
            State::Refreshing(Meanwhile::Wait) => waiting,
            State::Expired(remedy) => match remedy {
                Remedy::Refresh => waiting,
                Remedy::Reconfigure => Self::Configuration,
                Remedy::TryLogIn => Self::TryLogIn,
                Remedy::LogIn => Self::LogIn,
            },
        }
    }

    /// As the report names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unavailable => "unavailable",
            Self::Configuration => "configuration",
            Self::TryLogIn => "try log in",
            Self::LogIn => "log in",
        }
    }
}

impl Counts {
    /// Counts that never show what is `hidden`.
    pub(crate) fn new(hidden: Hidden) -> Self {
        Self { hidden, ..Self::default() }
    }

    /// Notes what a request came back with: the status of its answer, or an error.
    pub(crate) fn note(&self, number: u64, answer: Result<http::StatusCode, String>) {
        match answer {
            Ok(status) if status.is_success() => {
                self.ok.fetch_add(1, Ordering::Relaxed);
                return;
            }
            Ok(status) => {
                if status == http::StatusCode::UNAUTHORIZED {
                    self.unauthorized.fetch_add(1, Ordering::Relaxed);
                }
                self.trouble(format!("request {number} was answered {status}"));
            }
            Err(error) => self.trouble(format!("request {number} failed: {error}")),
        }
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes what went wrong, and says it on standard error.
    pub(crate) fn trouble(&self, what: impl AsRef<str>) {
        let what = self.hidden.without(what.as_ref());
        eprintln!("silent_client: {what}");
        self.last().error = Some(what);
    }

    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    pub(crate) fn made(&self) -> u64 {
        self.ok.load(Ordering::Relaxed) + self.failed()
    }

    /// What is to be thought of a session in this state.
    pub(crate) fn standing(&self, state: State) -> Acceptance {
        Acceptance::of(state, self.last().refresh)
    }

    /// The counts and the last error, as members of the report.
    pub(crate) fn report(&self) -> serde_json::Value {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        serde_json::json!({
            "ok": count(&self.ok),
            "failed": count(&self.failed),
            "unauthorized_seen_by_caller": count(&self.unauthorized),
            "refreshes": count(&self.refreshes),
            "refresh_failed": count(&self.refresh_failed),
            "refresh_declined": count(&self.refresh_declined),
            "last_error": self.last().error,
        })
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observe for Counts {
    fn started(&self, _: Cause, _: Option<&str>) {}

    fn erred(&self, error: &RefreshError) {
        self.trouble(format!("a refresh failed: {}", told(error)));
        self.last().refresh = Some(error.failure());
    }

    fn ended(&self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Granted => {
                self.last().refresh = None;
                &self.refreshes
            }
            Outcome::Declined => {
                self.refresh_declined.fetch_add(1, Ordering::Relaxed);
                &self.refresh_failed
            }
            Outcome::Unavailable | Outcome::Unknown => &self.refresh_failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_a_person_can_change_is_told_while_the_old_token_still_works() {
        let retry_after = None;
        let passing = [
            Failure::Unavailable { retry_after },
            Failure::Unexplained { retry_after },
            Failure::Unknown,
        ];
        let old = State::Refreshing(Meanwhile::UseOld);
        for state in [State::Valid, State::Expiring, old, State::Expired(Remedy::Refresh)] {
            let told = |failure| Acceptance::of(state, Some(failure));
            assert_eq!(told(Failure::Declined), Acceptance::LogIn);
            assert_eq!(told(Failure::Misconfigured { retry_after }), Acceptance::Configuration);
            for failure in passing {
                let works = state != State::Expired(Remedy::Refresh);
                let expected = if works { Acceptance::Ok } else { Acceptance::Unavailable };
                assert_eq!(told(failure), expected, "{state:?} {failure:?}");
            }
            assert_eq!(Acceptance::of(state, None), Acceptance::Ok);
        }
        for failure in passing {
            assert_eq!(
                Acceptance::of(State::Expired(Remedy::LogIn), Some(failure)),
                Acceptance::LogIn
            );
        }
    }

    #[test]
    fn a_refresh_that_came_through_takes_back_what_those_before_it_said() {
        let counts = Counts::default();
        counts.erred(&RefreshError::misconfigured("the secret is wrong"));
        counts.ended(Outcome::Unavailable);
        assert_eq!(counts.standing(State::Valid), Acceptance::Configuration);
        counts.ended(Outcome::Granted);
        assert_eq!(counts.standing(State::Valid), Acceptance::Ok);
        let report = counts.report();
        assert_eq!((&report["refreshes"], &report["refresh_failed"]), (&1.into(), &1.into()));
        assert_eq!(report["last_error"], "a refresh failed: the secret is wrong");
    }
}
