//! When the store of a session without a grant that can be renewed is looked at again.

use std::prelude::rust_2024::*;

use crate::time::{Span, Time, Timestamp};

/// When the store of a session without a grant was last looked at. Lives under the session's lock.
#[derive(Default)]
pub(crate) struct Looked {
    at: Option<Timestamp>,
    /// By when a look that is in flight should have landed.
    until: Option<Timestamp>,
}

/// Who wants the store to be looked at.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) enum Eagerness {
    /// A caller, who would be told to log in.
    Caller,
    /// A task that keeps the token fresh, without a caller.
    Keeper,
}

/// What may be done for somebody who would be told to log in.
pub(crate) enum Look {
    /// The store was looked at.
    Done,
    /// It is looked at, until then.
    InFlight(Timestamp),
    /// A look was launched, and is to be driven.
    Launched(Timestamp),
    /// It will be looked at again then.
    Later(Timestamp),
}

impl Looked {
    /// Notes that the store was read, and holds no grant that can be renewed.
    pub(crate) fn has_looked(&mut self, now: Timestamp) {
        self.at = Some(now);
    }

    /// Ends the look that is in flight.
    pub(crate) fn has_landed(&mut self) {
        self.until = None;
    }

    /// Returns what may be done `now`, where something else is in flight until `open` at most.
    /// [`Look::Launched`] means that the caller of this launches a look. `longest` is how long a refresh
    /// may take.
    ///
    /// Rule F4: "a store that was not read for [1/32 of a refresh deadline] MUST be read again, and its
    /// answer is waited for, for at most an eighth of one".
    pub(crate) fn look(
        &mut self,
        eagerness: Eagerness,
        longest: Span,
        open: Option<Timestamp>,
        now: Timestamp,
    ) -> Look {
        let until = now.saturating_add(Timestamp::halved(longest, 3));
        // Neither lies in the future, unless the clock went back (rule A5).
        self.until = self.until.map(|before| before.min(until)).filter(|before| now < *before);
        self.at = self.at.map(|last| last.min(now));
        if let Some(until) = self.until {
            return Look::InFlight(until);
        }
        let pause = match eagerness {
            Eagerness::Caller => Timestamp::halved(longest, 5),
            Eagerness::Keeper => longest,
        };
        let next = self.at.map_or(now, |last| last.saturating_add(pause));
        // A request that is still in flight may bring a grant, which adopting another would make an
        // orphan.
        let next = open.map_or(next, |open| next.max(open));
        if now < next {
            return Look::Later(next);
        }
        (self.at, self.until) = (Some(now), Some(until));
        Look::Launched(until)
    }
}
