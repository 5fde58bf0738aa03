//! How often tokens of unknown keys may cause a fetch.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::time::{Span, Timestamp};

/// Lets one fetch for an unknown key through per cooldown. Rule D8: "tokens of unknown keys MUST cause
/// at most one per [30 s]".
pub(super) struct Gate {
    cooldown: Span,
    state: Mutex<GateState>,
}

struct GateState {
    /// When the next fetch may be asked for.
    next: Timestamp,
    /// Whether one was asked for that has not started.
    permitted: bool,
}

impl Gate {
    pub(super) fn new(cooldown: Span) -> Self {
        let state = Mutex::new(GateState { next: Timestamp::MIN, permitted: false });
        Self { cooldown, state }
    }

    /// Asks for a fetch; `false` during the cooldown.
    pub(super) fn ask(&self, now: Timestamp) -> bool {
        let mut state = self.lock();
        let may = now >= state.next;
        if may {
            state.next = now.saturating_add(self.cooldown);
            state.permitted = true;
        }
        may
    }

    /// Withdraws what was asked for, since no fetch follows.
    pub(super) fn withdraw(&self) {
        self.lock().permitted = false;
    }

    /// Starts a fetch: the one that was asked for, or a retry after the cooldown.
    ///
    /// # Errors
    /// How long the cooldown still lasts.
    pub(super) fn start(&self, now: Timestamp) -> Result<(), Span> {
        let mut state = self.lock();
        if !state.permitted && now < state.next {
            return Err(state.next.since(now));
        }
        *state = GateState { next: now.saturating_add(self.cooldown), permitted: false };
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
