//! The parts of a turn's state, and the public view of it.

use super::event::Term;
use crate::time::{Time, Timestamp};

/// One holder's turn to refresh: small, `Copy`, comparable, and free of secrets.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Turn<T: Time = Timestamp> {
    pub(super) phase: Phase<T>,
    /// The greatest version that this holder has acquired the lease at, or written.
    pub(super) version: u64,
    /// The note of intent that was found last, where notes are leases.
    pub(super) note: Note<T>,
}

/// The public view of a [`Turn`] at some instant.
///
/// Exhaustive on purpose: a program that shows a state shows each.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// The turn has not begun.
    Idle,
    /// The store is asked for the lease.
    Asking,
    /// Another holder has the lease, and is waited for.
    Waiting,
    /// The lease is held, and nothing is sent yet.
    Held,
    /// The lease is held, and the request is out.
    Sent,
    /// The request is out, and the lease is lost or was released.
    Lost,
    /// Nothing will be sent.
    Over,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase<T: Time> {
    Idle,
    /// The store was asked at `asked`.
    Asking {
        queue: Queue<T>,
        asked: T,
    },
    /// The store is asked again at the end of `poll`.
    Waiting {
        queue: Queue<T>,
        poll: Limit<T>,
    },
    Holding(Lease<T>),
    /// The request is out, and the lease is lost.
    Lost {
        fence: u64,
    },
    /// The request is out, and the lease was released at the refresh's deadline.
    Released,
    Over,
}

/// What bounds the wait for another holder.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Queue<T: Time> {
    pub(super) give_up: Limit<T>,
    /// When the refresh has to end. Not before `give_up`.
    pub(super) deadline: Limit<T>,
    /// How often another holder was found to have the lease.
    pub(super) polls: u32,
    pub(super) theirs: Theirs<T>,
}

/// What is known about the other holder's lease.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Theirs<T: Time> {
    Unknown,
    Ends(Limit<T>),
}

/// The lease while it is held.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Lease<T: Time> {
    pub(super) fence: u64,
    pub(super) tenure: Tenure<T>,
    pub(super) stage: Stage,
    /// When the refresh has to end, and the lease is let go.
    pub(super) deadline: Limit<T>,
}

/// How long the lease is held for.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Tenure<T: Time> {
    /// Until it is released.
    Unlimited,
    /// Until `end`, unless it is renewed.
    Until { end: Limit<T>, renewal: Renewal<T> },
}

/// The next renewal.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Renewal<T: Time> {
    /// It is asked for at the end of this.
    At(Limit<T>),
    /// It was asked for at this instant.
    Asked(T),
    /// Too little of the term is left to ask again.
    None,
}

/// How far the refresh has come under the lease.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    /// The intent is not noted yet.
    Preparing,
    /// The request is sent once the lease is renewed.
    Ready,
    Sent,
    /// Nothing will be sent: the turn waits to be finished.
    Abandoned,
}

/// The note of intent of another holder, and until when it is a lease.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Note<T: Time> {
    Unseen,
    Seen { version: u64, end: Limit<T> },
}

/// An instant to wait for, which never lies further ahead than `at_most`.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Limit<T: Time> {
    Over,
    At { instant: T, at_most: T::Span },
}

impl<T: Time> Limit<T> {
    /// Returns the limit at `instant`.
    pub(super) fn at(instant: T, at_most: T::Span, now: T) -> Self {
        Self::At { instant, at_most }.observed(now)
    }

    /// Returns the limit that ends after `length`.
    pub(super) fn after(length: T::Span, now: T) -> Self {
        Self::at(now.saturating_add(length), length, now)
    }

    /// Rule A5: it "MUST remember facts that a `now` has shown"; "An instant to wait for that lies
    /// further ahead than its own longest delay MUST be pulled in to that."
    pub(super) fn observed(self, now: T) -> Self {
        match self {
            Self::At { instant, at_most } => {
                let instant = instant.min(now.saturating_add(at_most));
                if now < instant { Self::At { instant, at_most } } else { Self::Over }
            }
            Self::Over => Self::Over,
        }
    }

    /// Returns the one that ends first.
    pub(super) fn or_sooner(self, other: Self) -> Self {
        match (self, other) {
            (Self::Over, _) | (_, Self::Over) => Self::Over,
            (Self::At { instant: one, .. }, Self::At { instant: another, .. }) => {
                if another < one {
                    other
                } else {
                    self
                }
            }
        }
    }

    /// Returns when it ends; `None` if it has.
    pub(super) fn instant(self) -> Option<T> {
        match self {
            Self::Over => None,
            Self::At { instant, .. } => Some(instant),
        }
    }
}

impl<T: Time> Tenure<T> {
    /// Returns how long a lease of this term is held that was asked for at `asked`.
    pub(super) fn of(term: Term<T>, asked: T, now: T) -> Self {
        match term {
            Term::WhileHeld => Self::Unlimited,
            Term::For(span) => {
                // The store may have begun to count as soon as it was asked.
                let half = T::halved(span, 1);
                Self::Until {
                    end: Limit::at(asked.saturating_add(span), span, now),
                    renewal: Renewal::At(Limit::at(asked.saturating_add(half), half, now)),
                }
            }
        }
    }

    fn observed(self, now: T) -> Self {
        match self {
            Self::Unlimited => Self::Unlimited,
            Self::Until { end, renewal } => {
                let renewal = match renewal {
                    Renewal::At(limit) => Renewal::At(limit.observed(now)),
                    Renewal::Asked(asked) => Renewal::Asked(asked.min(now)),
                    Renewal::None => Renewal::None,
                };
                Self::Until { end: end.observed(now), renewal }
            }
        }
    }
}

impl<T: Time> Queue<T> {
    /// Returns until when the other holder may have the lease, if that is known.
    pub(super) fn until(&self) -> Option<T> {
        match self.theirs {
            Theirs::Unknown => None,
            Theirs::Ends(limit) => limit.instant(),
        }
    }

    fn observed(self, now: T) -> Self {
        let theirs = match self.theirs {
            Theirs::Unknown => Theirs::Unknown,
            Theirs::Ends(limit) => Theirs::Ends(limit.observed(now)),
        };
        let (give_up, deadline) = (self.give_up.observed(now), self.deadline.observed(now));
        Self { give_up, deadline, theirs, ..self }
    }
}

impl<T: Time> Turn<T> {
    /// Creates a turn of a holder that has not seen the store yet.
    pub const fn new() -> Self {
        Self { phase: Phase::Idle, version: 0, note: Note::Unseen }
    }

    /// Returns the holder's next turn, which remembers what this one has seen of the store.
    #[must_use]
    pub const fn next_turn(&self) -> Self {
        Self { phase: Phase::Idle, version: self.version, note: self.note }
    }

    /// Returns the fencing number of the lease; `None` if none is held.
    pub fn fence(&self) -> Option<u64> {
        match self.phase {
            Phase::Holding(lease) => Some(lease.fence),
            Phase::Idle
            | Phase::Asking { .. }
            | Phase::Waiting { .. }
            | Phase::Lost { .. }
            | Phase::Released
            | Phase::Over => None,
        }
    }

    /// Returns the greatest version of the store that this holder has acquired the lease at, or
    /// written; 0 if there is none.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Returns the public view at `now`. Without an event it changes only at
    /// [`Turn::poll_timeout`].
    pub fn state(&self, now: T) -> State {
        let mut seen = *self;
        seen.observe(now);
        match seen.phase {
            Phase::Idle => State::Idle,
            Phase::Asking { .. } => State::Asking,
            Phase::Waiting { .. } => State::Waiting,
            Phase::Holding(lease) => match (lease.stage, lease.is_over()) {
                (Stage::Abandoned, _) | (Stage::Preparing | Stage::Ready, true) => State::Over,
                (Stage::Preparing | Stage::Ready, false) => State::Held,
                (Stage::Sent, false) => State::Sent,
                (Stage::Sent, true) => State::Lost,
            },
            Phase::Lost { .. } | Phase::Released => State::Lost,
            Phase::Over => State::Over,
        }
    }

    /// Latches what `now` shows, and pulls in instants that lie too far ahead (rule A5).
    pub(super) fn observe(&mut self, now: T) {
        if let Note::Seen { version, end } = self.note {
            self.note = Note::Seen { version, end: end.observed(now) };
        }
        self.phase = match self.phase {
            Phase::Asking { queue, asked } => {
                Phase::Asking { queue: queue.observed(now), asked: asked.min(now) }
            }
            Phase::Waiting { queue, poll } => {
                Phase::Waiting { queue: queue.observed(now), poll: poll.observed(now) }
            }
            Phase::Holding(lease) => Phase::Holding(Lease {
                tenure: lease.tenure.observed(now),
                deadline: lease.deadline.observed(now),
                ..lease
            }),
            phase @ (Phase::Idle | Phase::Lost { .. } | Phase::Released | Phase::Over) => phase,
        };
    }
}

impl<T: Time> Lease<T> {
    /// Whether its term was seen to be over.
    pub(super) fn is_over(&self) -> bool {
        match self.tenure {
            Tenure::Until { end: Limit::Over, .. } => true,
            Tenure::Until { end: Limit::At { .. }, .. } | Tenure::Unlimited => false,
        }
    }
}

impl<T: Time> Default for Turn<T> {
    fn default() -> Self {
        Self::new()
    }
}
