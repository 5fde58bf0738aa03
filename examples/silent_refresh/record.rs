//! What happened, and when: written by everybody, read at the end.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use perennial::lifecycle::{Cause, State};

use crate::counting::{Observe, Outcome};

/// Time since the run began.
pub(crate) type At = Duration;

pub(crate) struct Record {
    start: Instant,
    answered: AtomicU64,
    failed: AtomicU64,
    unauthorized: AtomicU64,
    answers: Mutex<Vec<Answer>>,
}

/// One request as its caller saw it.
#[derive(Copy, Clone)]
pub(crate) struct Answer {
    pub(crate) at: At,
    /// What the session added to the bare request.
    pub(crate) added: Duration,
    pub(crate) ok: bool,
}

impl Record {
    pub(crate) fn new() -> Self {
        Self {
            start: instant(),
            answered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            unauthorized: AtomicU64::new(0),
            answers: Mutex::new(Vec::new()),
        }
    }

    pub(crate) fn now(&self) -> At {
        instant().duration_since(self.start)
    }

    /// A caller got its answer, or an error (`status` is `None`).
    pub(crate) fn answer(&self, status: Option<u16>, added: Duration) {
        let ok = status == Some(200);
        if let (false, Some(status)) = (ok, status) {
            eprintln!("silent_refresh: a caller was answered {status}");
        }
        let counter = if ok { &self.answered } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        if status == Some(401) {
            self.unauthorized.fetch_add(1, Ordering::Relaxed);
        }
        lock(&self.answers).push(Answer { at: self.now(), added, ok });
    }

    pub(crate) fn answered_and_failed(&self) -> (u64, u64) {
        (self.answered.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }

    /// How many 401s callers saw.
    pub(crate) fn unauthorized(&self) -> u64 {
        self.unauthorized.load(Ordering::Relaxed)
    }

    pub(crate) fn answers(&self) -> Vec<Answer> {
        lock(&self.answers).clone()
    }
}

/// What happened to one session.
#[derive(Default)]
pub(crate) struct Story(Mutex<Chapters>);

#[derive(Default)]
struct Chapters {
    states: Vec<(At, State)>,
    refreshes: Vec<Refresh>,
    revocations: Vec<At>,
    rejections: Vec<At>,
    restarts: Vec<At>,
    /// The access tokens that were replaced because their time had come, hashed.
    expired: HashSet<u64>,
    hasher: RandomState,
}

/// One refresh, from its sending to its end.
#[derive(Copy, Clone)]
pub(crate) struct Refresh {
    pub(crate) from: At,
    pub(crate) to: Option<At>,
    pub(crate) outcome: Option<Outcome>,
}

impl Story {
    pub(crate) fn state(&self, at: At, state: State) {
        let mut chapters = lock(&self.0);
        if chapters.states.last().is_none_or(|(_, last)| *last != state) {
            chapters.states.push((at, state));
        }
    }

    pub(crate) fn revoked(&self, at: At) {
        lock(&self.0).revocations.push(at);
    }

    pub(crate) fn rejected(&self, at: At) {
        lock(&self.0).rejections.push(at);
    }

    pub(crate) fn restarted(&self, at: At) {
        lock(&self.0).restarts.push(at);
    }

    pub(crate) fn states(&self) -> Vec<(At, State)> {
        lock(&self.0).states.clone()
    }

    pub(crate) fn refreshes(&self) -> Vec<Refresh> {
        lock(&self.0).refreshes.clone()
    }

    pub(crate) fn revocations(&self) -> Vec<At> {
        lock(&self.0).revocations.clone()
    }

    pub(crate) fn rejections(&self) -> Vec<At> {
        lock(&self.0).rejections.clone()
    }

    pub(crate) fn restarts(&self) -> Vec<At> {
        lock(&self.0).restarts.clone()
    }

    /// How many access tokens came to their time: due or lapsed when they were replaced. An early
    /// refresh counts as one, and so do all the tries that one token took.
    pub(crate) fn expiries(&self) -> u64 {
        lock(&self.0).expired.len() as u64
    }

    /// How many refreshes brought a grant.
    pub(crate) fn granted(&self) -> u64 {
        let granted = |refresh: &&Refresh| refresh.outcome == Some(Outcome::Granted);
        lock(&self.0).refreshes.iter().filter(granted).count() as u64
    }
}

/// A story that is being told by one session's refresher.
pub(crate) struct Teller {
    pub(crate) record: std::sync::Arc<Record>,
    pub(crate) story: std::sync::Arc<Story>,
}

impl Observe for Teller {
    fn started(&self, cause: Cause, replaced: Option<&str>) {
        let from = self.record.now();
        let mut chapters = lock(&self.story.0);
        chapters.refreshes.push(Refresh { from, to: None, outcome: None });
        match (cause, replaced) {
            (Cause::Due | Cause::Lapsed | Cause::NoToken | Cause::TooBrief, Some(token)) => {
                let token = chapters.hasher.hash_one(token);
                chapters.expired.insert(token);
            }
            (Cause::Rejected, _) | (_, None) => {}
        }
    }

    fn ended(&self, outcome: Outcome) {
        let at = self.record.now();
        // The newest that has not ended: an older one, given up, is told too late to matter.
        let mut chapters = lock(&self.story.0);
        if let Some(refresh) = chapters.refreshes.iter_mut().rev().find(|one| one.to.is_none()) {
            *refresh = Refresh { to: Some(at), outcome: Some(outcome), ..*refresh };
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The measuring clock of this example.
#[allow(clippy::disallowed_methods, reason = "an example measures; the crate takes time as given")]
pub(crate) fn instant() -> Instant {
    Instant::now()
}
