//! The parts of the machine's state. Freshness and flight are kept apart; [`State`] is the view of
//! both that callers see.

use super::schedule::{Freshness, Schedule};
use crate::time::Time;

/// The public view of a [`Lifecycle`](super::Lifecycle) at some instant.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// The token is handed out, and not due for refresh.
    Valid,
    /// The token is handed out, and due for refresh; none is out.
    Expiring,
    /// A refresh is out.
    Refreshing(Meanwhile),
    /// There is no token to hand out, and no refresh is out.
    Expired(Remedy),
}

/// What callers get while a refresh is out.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Meanwhile {
    /// The old token, which still works.
    UseOld,
    /// Nothing: they wait for the new one.
    Wait,
}

/// What would bring a token back.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Remedy {
    /// The next caller's refresh, at once or after backoff.
    Refresh,
    /// Only a new login.
    LogIn,
}

/// The identity of a token within this process, never stored. Rule B4: it "carries its session's
/// identity, only grows and never repeats".
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Generation {
    pub(super) session: u64,
    pub(super) number: u64,
}

impl Generation {
    /// Which token of its session this is, counted from one.
    pub const fn number(self) -> u64 {
        self.number
    }

    /// The session that the token belongs to.
    pub const fn session(self) -> u64 {
        self.session
    }
}

/// The identity of one refresh within its session. Later refreshes are greater.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlightId(pub(super) u64);

impl FlightId {
    /// Which refresh of its session this is, counted from one.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// What is held of an access token.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Holding<T: Time> {
    Nothing,
    Token(Held<T>),
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Held<T: Time> {
    pub(super) schedule: Schedule<T>,
    /// The furthest that any `now` has shown it to be: a fact, not a time (rule A5).
    pub(super) freshness: Freshness,
    pub(super) standing: Standing,
}

/// What resource servers have said of the held token.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Standing {
    Untried,
    Accepted,
    /// Rejected without ever having been accepted, or the one free try to replace it was made: its
    /// replacement is paid from the budget.
    RejectedUntried,
    /// Rejected after it had worked: the next try to replace it is free (rule B9).
    RejectedAccepted,
}

/// What is known of the refresh token, or of whatever else the refresher presents.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Credential<T: Time> {
    Absent,
    Ready,
    /// It was sent with unknown outcome; the server still answers it again until then.
    DoubtedUntil(T),
    /// It was sent with unknown outcome, and the server may refuse it a second time.
    Doubted,
    /// The one try that doubt permits had an unknown outcome as well.
    Unsettled,
    Declined,
}

/// The refresh in progress, if any.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Flight<T: Time> {
    Idle,
    Out {
        sent: T,
        deadline: T,
        attempt: Attempt,
    },
    /// Its deadline passed; what it brings still counts until a newer one starts (rule B3).
    Overdue {
        attempt: Attempt,
    },
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Attempt {
    Ordinary,
    /// The one try that doubt permits.
    LastResort,
    /// A newer grant came while it was out: its failure says nothing of that one.
    Outrun,
}

/// Which refreshes still count.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Flights {
    /// The newest that was started.
    pub(super) started: u64,
    /// The newest that landed with a grant, or was cut off by the end of its epoch.
    pub(super) landed: u64,
    /// The newest of an earlier epoch: its grant, and those before it, belong to nobody (rule B11).
    pub(super) ended: u64,
}

/// Whether the next refresh has to wait for its backoff.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Pause<T: Time> {
    Over,
    Until { instant: T, at_most: T::Span },
}

/// The budget of rule B9, as the instant at which it will be full again.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Budget<T: Time> {
    Full,
    FullAt(T),
}

impl<T: Time> Held<T> {
    /// Whether the token may be handed out. Rule B2: "A token MUST NOT be handed out at or after
    /// its `unusable_from`, nor once it was rejected."
    pub(super) fn usable(&self, now: T) -> bool {
        match self.standing {
            Standing::Untried | Standing::Accepted => match self.freshness_at(now) {
                Freshness::Fresh | Freshness::Due => true,
                Freshness::Lapsed => false,
            },
            Standing::RejectedUntried | Standing::RejectedAccepted => false,
        }
    }

    /// How far its life has come, never less than was once seen (rule A5).
    pub(super) fn freshness_at(&self, now: T) -> Freshness {
        self.schedule.freshness(now).max(self.freshness)
    }
}
