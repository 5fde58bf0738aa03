//! When a session asks its store for something beside its refreshes.

use crate::time::{Span, Time, Timestamp};

/// When one kind of such jobs was launched or has landed last. Lives under the session's lock.
#[derive(Default)]
pub(crate) struct SideJob {
    /// The number of the last one.
    last: u64,
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

    /// Returns the number of the job that was launched last.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// Returns whether this job is still waited for.
    pub(crate) fn is_in_flight(&self, number: u64, now: Timestamp) -> bool {
        self.last == number && self.until.is_some_and(|until| now < until)
    }

    /// Notes that this job has landed. One that was given up, and lands once another was launched,
    /// changes nothing.
    pub(crate) fn has_landed(&mut self, number: u64, now: Timestamp) {
        if self.last == number {
            (self.at, self.until) = (Some(now), None);
        }
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
        self.until = self.until.map(|before| before.min(until));
        self.at = self.at.map(|last| last.min(now));
        match self.until {
            Some(until) if now < until => return Due::InFlight(until),
            // One that hangs is given up.
            Some(over) => (self.at, self.until) = (self.at.max(Some(over)), None),
            None => {}
        }
        let next = self.next(pause, now);
        let next = open.map_or(next, |open| next.max(open));
        if now < next {
            return Due::Later(next);
        }
        (self.at, self.until) = (Some(now), Some(until));
        self.last += 1;
        Due::Launched(until)
    }
}
