//! What a session reports of itself, judged by section H of the rules.

use perennial::events::{Event, EventKind};

/// What a session has reported so far.
#[derive(Default)]
pub(crate) struct Reported {
    /// The refresh that was reported as started and not as ended.
    open: Option<u64>,
    /// The newest refresh that was started.
    newest: u64,
    sequence: u64,
    failures: u32,
    ended: bool,
}

impl Reported {
    /// Takes in an event. Returns which rule it breaks, and how, if it does.
    pub(crate) fn judge(&mut self, event: &Event) -> Option<(&'static str, String)> {
        let broken = |how: &str| Some(("H1", format!("{how}: {event}")));
        if let Some(session) = event.session {
            self.sequence += 1;
            if session.sequence != self.sequence {
                return broken("an event is missing before");
            }
        }
        if self.ended {
            return broken("a session that has ended reports");
        }
        match &event.kind {
            EventKind::RefreshStarted { refresh, .. } => {
                if self.open.is_some() || *refresh <= self.newest {
                    return broken("an earlier refresh has not ended before");
                }
                (self.open, self.newest) = (Some(*refresh), *refresh);
            }
            EventKind::RefreshSucceeded { refresh, failures, .. } => {
                let failed = std::mem::take(&mut self.failures);
                if self.open.take() != Some(*refresh) {
                    return broken("what was not started has succeeded");
                }
                if failed != *failures {
                    return broken("the failures before it are miscounted");
                }
            }
            EventKind::RefreshFailed { refresh, failures, .. } => {
                self.failures += 1;
                if self.open.take() != Some(*refresh) {
                    return broken("what was not started has failed");
                }
                if self.failures != *failures {
                    return broken("the failures are miscounted");
                }
            }
            EventKind::RefreshSuperseded { refresh, .. } => {
                let open = self.open.take();
                if open != Some(*refresh) {
                    return broken("what was not started was superseded");
                }
            }
            EventKind::GrantInstalled { failures, .. }
            | EventKind::GrantRemoved { failures, .. } => {
                let failed = std::mem::take(&mut self.failures);
                if failed != *failures {
                    return broken("the failures before it are miscounted");
                }
            }
            EventKind::SessionEnded { .. } => {
                self.ended = true;
                if self.open.is_some() {
                    return broken("the refresh in flight has no end");
                }
            }
            _ => {}
        }
        None
    }
}
