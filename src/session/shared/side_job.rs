//! When a session asks its store for something beside its refreshes.

use crate::time::{Span, Time, Timestamp};

/// When one kind of such jobs was launched last. Lives under the session's lock.
#[derive(Default)]
pub(crate) struct SideJob {
    at: Option<Timestamp>,
    /// By when the job that is in flight should have landed.
    until: Option<Timestamp>,
}

/// What may be done about a job.
pub(crate) enum Due {
    /// There is nothing to do.
    Never,
    /// It is in flight, until then.
    InFlight(Timestamp),
    /// It was launched, and is to be driven.
    Launched(Timestamp),
    /// It will be due then.
    Later(Timestamp),
}

impl SideJob {
    /// Notes that what the job would bring is known.
    pub(crate) fn is_done(&mut self, now: Timestamp) {
        self.at = Some(now);
    }

    /// Ends the job that is in flight.
    pub(crate) fn has_landed(&mut self) {
        self.until = None;
    }

    /// Returns when the next job is due, `pause` after the last.
    pub(crate) fn next(&self, pause: Span, now: Timestamp) -> Timestamp {
        self.at.map_or(now, |last| last.min(now).saturating_add(pause))
    }

    /// Returns what may be done `now`, `pause` after the last job, where something else is in flight until
    /// `open` at most. [`Due::Launched`] means that the caller of this launches a job. `longest` is how
    /// long a refresh may take; a job has an eighth of that.
    pub(crate) fn due(
        &mut self,
        pause: Span,
        longest: Span,
        open: Option<Timestamp>,
        now: Timestamp,
    ) -> Due {
        let until = now.saturating_add(Timestamp::halved(longest, 3));
        // Neither lies in the future, unless the clock went back (rule A5).
        self.until = self.until.map(|before| before.min(until)).filter(|before| now < *before);
        self.at = self.at.map(|last| last.min(now));
        if let Some(until) = self.until {
            return Due::InFlight(until);
        }
        let next = self.next(pause, now);
        let next = open.map_or(next, |open| next.max(open));
        if now < next {
            return Due::Later(next);
        }
        (self.at, self.until) = (Some(now), Some(until));
        Due::Launched(until)
    }
}
