//! Answers about tokens: those that are out, and those that are kept for a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

use super::recent::Recent;
use crate::issue::{AuthenticationError, Identity};
use crate::time::Timestamp;

/// The SHA-256 digest of a token. No token is kept.
pub(super) type Digest = [u8; 32];

/// What the authorization server says of a token.
#[derive(Clone)]
pub(super) struct Answer {
    pub(super) result: Result<Identity, AuthenticationError>,
    /// Until when it may be used again; not at all without.
    pub(super) until: Option<Timestamp>,
}

/// A question, which all who ask it at the same time share.
type Flight = Arc<OnceCell<Answer>>;

/// What is known, and what is being asked.
pub(super) struct Answers(Mutex<State>);

struct State {
    /// One for each token that somebody is waiting for.
    flights: HashMap<Digest, Flight>,
    active: Recent<Digest, Answer>,
    /// Apart from the others, so that many wrong tokens do not displace good ones.
    inactive: Recent<Digest, Answer>,
}

impl Answers {
    /// Returns an empty cache that keeps at most `capacity` answers about active tokens, and as many
    /// about others.
    pub(super) fn new(capacity: usize) -> Self {
        let (active, inactive) = (Recent::new(capacity), Recent::new(capacity));
        Self(Mutex::new(State { flights: HashMap::new(), active, inactive }))
    }

    /// Returns what is known of a token, or the question to ask or to join.
    pub(super) fn look_up(&self, digest: Digest, now: Timestamp) -> Result<Answer, Asked<'_>> {
        let mut state = self.lock();
        let known = state.active.get(&digest).cloned();
        let known = known.or_else(|| state.inactive.get(&digest).cloned());
        if let Some(answer) = known.filter(|answer| answer.until.is_some_and(|until| now < until)) {
            return Ok(answer);
        }
        let flight = Arc::clone(state.flights.entry(digest).or_default());
        Err(Asked { answers: self, digest, flight })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One caller's part in a question.
pub(super) struct Asked<'a> {
    answers: &'a Answers,
    digest: Digest,
    flight: Flight,
}

impl Asked<'_> {
    /// Returns the answer, after asking or while another caller asks. If that one is dropped, the next
    /// asks.
    pub(super) async fn answer(&self, ask: impl Future<Output = Answer>) -> Answer {
        let answer = self.flight.get_or_init(|| ask).await.clone();
        let mut state = self.answers.lock();
        // The first to get here keeps it.
        if self.is_out(&state) {
            state.flights.remove(&self.digest);
            let State { active, inactive, .. } = &mut *state;
            let (kind, other) =
                if answer.result.is_ok() { (active, inactive) } else { (inactive, active) };
            other.remove(&self.digest);
            if answer.until.is_some() {
                kind.insert(self.digest, answer.clone());
            }
        }
        answer
    }

    fn is_out(&self, state: &State) -> bool {
        state.flights.get(&self.digest).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight))
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        let mut state = self.answers.lock();
        // Where nobody else waits: this handle, and the one in the map.
        if self.is_out(&state) && Arc::strong_count(&self.flight) <= 2 {
            state.flights.remove(&self.digest);
        }
        // While the lock is held, so that of two that end at once the second counts right.
        drop(core::mem::take(&mut self.flight));
    }
}
