//! What can follow each event. [`Effect`] is the sum of all of them.

use super::event::{Effect, GiveUpReason};
use crate::time::Time;

/// What can follow [`Event::Started`](super::Event::Started). Nothing where the turn has begun already.
///
/// Exhaustive, as [`Effect`] is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Started<T: Time> {
    /// As [`Effect::Acquire`].
    Acquire {
        /// For how long.
        term: T::Span,
    },
    /// As [`Effect::Nothing`].
    Nothing,
}

impl<T: Time> From<Started<T>> for Effect<T> {
    fn from(started: Started<T>) -> Self {
        match started {
            Started::Acquire { term } => Self::Acquire { term },
            Started::Nothing => Self::Nothing,
        }
    }
}

/// What can follow [`Event::Acquired`](super::Event::Acquired). A lease that nobody waits for any more is released.
///
/// Exhaustive, as [`Effect`] is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Acquired<T: Time> {
    /// As [`Effect::Prepare`].
    Prepare {
        /// When the noted request of another holder was sent, if there is one.
        intent: Option<T>,
    },
    /// As [`Effect::Adopt`].
    Adopt,
    /// As [`Effect::GiveUp`].
    GiveUp(GiveUpReason<T>),
    /// As [`Effect::Release`].
    Release {
        /// The fencing number.
        fence: u64,
    },
    /// As [`Effect::Nothing`].
    Nothing,
}

impl<T: Time> From<Acquired<T>> for Effect<T> {
    fn from(acquired: Acquired<T>) -> Self {
        match acquired {
            Acquired::Prepare { intent } => Self::Prepare { intent },
            Acquired::Adopt => Self::Adopt,
            Acquired::GiveUp(reason) => Self::GiveUp(reason),
            Acquired::Release { fence } => Self::Release { fence },
            Acquired::Nothing => Self::Nothing,
        }
    }
}

/// What can follow [`Event::Busy`](super::Event::Busy).
///
/// Exhaustive, as [`Effect`] is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Busy<T: Time> {
    /// As [`Effect::Wait`].
    Wait {
        /// When to report [`Event::TimePassed`](super::Event::TimePassed).
        until: T,
    },
    /// As [`Effect::Acquire`].
    Acquire {
        /// For how long.
        term: T::Span,
    },
    /// As [`Effect::GiveUp`].
    GiveUp(GiveUpReason<T>),
    /// As [`Effect::Nothing`].
    Nothing,
}

impl<T: Time> From<Busy<T>> for Effect<T> {
    fn from(busy: Busy<T>) -> Self {
        match busy {
            Busy::Wait { until } => Self::Wait { until },
            Busy::Acquire { term } => Self::Acquire { term },
            Busy::GiveUp(reason) => Self::GiveUp(reason),
            Busy::Nothing => Self::Nothing,
        }
    }
}

/// What can follow [`Event::NoteFound`](super::Event::NoteFound).
///
/// Exhaustive, as [`Effect`] is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum NoteFound<T: Time> {
    /// As [`Effect::TakeOver`].
    TakeOver {
        /// The store's version.
        after: u64,
        /// For how long the own note is to be a lease.
        term: T::Span,
    },
    /// As [`Effect::Wait`].
    Wait {
        /// When to report [`Event::TimePassed`](super::Event::TimePassed).
        until: T,
    },
    /// As [`Effect::Acquire`].
    Acquire {
        /// For how long.
        term: T::Span,
    },
    /// As [`Effect::GiveUp`].
    GiveUp(GiveUpReason<T>),
    /// As [`Effect::Nothing`].
    Nothing,
}

impl<T: Time> From<NoteFound<T>> for Effect<T> {
    fn from(found: NoteFound<T>) -> Self {
        match found {
            NoteFound::TakeOver { after, term } => Self::TakeOver { after, term },
            NoteFound::Wait { until } => Self::Wait { until },
            NoteFound::Acquire { term } => Self::Acquire { term },
            NoteFound::GiveUp(reason) => Self::GiveUp(reason),
            NoteFound::Nothing => Self::Nothing,
        }
    }
}

/// What can follow [`Event::NewerFound`](super::Event::NewerFound). Nothing where the request is out.
///
/// Exhaustive, as [`Effect`] is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum NewerFound {
    /// As [`Effect::Adopt`].
    Adopt,
    /// As [`Effect::Nothing`].
    Nothing,
}

impl<T: Time> From<NewerFound> for Effect<T> {
    fn from(found: NewerFound) -> Self {
        match found {
            NewerFound::Adopt => Self::Adopt,
            NewerFound::Nothing => Self::Nothing,
        }
    }
}

/// What can follow [`Event::Changed`](super::Event::Changed).
///
/// Exhaustive, as [`Effect`] is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Changed<T: Time> {
    /// As [`Effect::Acquire`].
    Acquire {
        /// For how long.
        term: T::Span,
    },
    /// As [`Effect::Nothing`].
    Nothing,
}

impl<T: Time> From<Changed<T>> for Effect<T> {
    fn from(changed: Changed<T>) -> Self {
        match changed {
            Changed::Acquire { term } => Self::Acquire { term },
            Changed::Nothing => Self::Nothing,
        }
    }
}

/// What can follow [`Event::Prepared`](super::Event::Prepared). Nothing where a renewal is awaited first.
///
/// Exhaustive, as [`Effect`] is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Prepared<T: Time> {
    /// As [`Effect::Send`].
    Send,
    /// As [`Effect::Renew`].
    Renew {
        /// The fencing number.
        fence: u64,
        /// For how long.
        term: T::Span,
    },
    /// As [`Effect::GiveUp`].
    GiveUp(GiveUpReason<T>),
    /// As [`Effect::Nothing`].
    Nothing,
}

impl<T: Time> From<Prepared<T>> for Effect<T> {
    fn from(prepared: Prepared<T>) -> Self {
        match prepared {
            Prepared::Send => Self::Send,
            Prepared::Renew { fence, term } => Self::Renew { fence, term },
            Prepared::GiveUp(reason) => Self::GiveUp(reason),
            Prepared::Nothing => Self::Nothing,
        }
    }
}

/// What can follow [`Event::Renewed`](super::Event::Renewed). A lease that was lost before is released.
///
/// Exhaustive, as [`Effect`] is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Renewed<T: Time> {
    /// As [`Effect::Send`].
    Send,
    /// As [`Effect::GiveUp`].
    GiveUp(GiveUpReason<T>),
    /// As [`Effect::Release`].
    Release {
        /// The fencing number.
        fence: u64,
    },
    /// As [`Effect::Nothing`].
    Nothing,
}

impl<T: Time> From<Renewed<T>> for Effect<T> {
    fn from(renewed: Renewed<T>) -> Self {
        match renewed {
            Renewed::Send => Self::Send,
            Renewed::GiveUp(reason) => Self::GiveUp(reason),
            Renewed::Release { fence } => Self::Release { fence },
            Renewed::Nothing => Self::Nothing,
        }
    }
}

/// What can follow [`Event::Outpaced`](super::Event::Outpaced).
///
/// Exhaustive, as [`Effect`] is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Outpaced<T: Time> {
    /// As [`Effect::Acquire`].
    Acquire {
        /// For how long.
        term: T::Span,
    },
    /// As [`Effect::Lost`].
    Lost,
    /// As [`Effect::GiveUp`].
    GiveUp(GiveUpReason<T>),
    /// As [`Effect::Nothing`].
    Nothing,
}

impl<T: Time> From<Outpaced<T>> for Effect<T> {
    fn from(outpaced: Outpaced<T>) -> Self {
        match outpaced {
            Outpaced::Acquire { term } => Self::Acquire { term },
            Outpaced::Lost => Self::Lost,
            Outpaced::GiveUp(reason) => Self::GiveUp(reason),
            Outpaced::Nothing => Self::Nothing,
        }
    }
}

/// What can follow [`Event::Failed`](super::Event::Failed). Nothing where the request is out: the lease lasts until the end of its term.
///
/// Exhaustive, as [`Effect`] is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Failed<T: Time> {
    /// As [`Effect::GiveUp`].
    GiveUp(GiveUpReason<T>),
    /// As [`Effect::Nothing`].
    Nothing,
}

impl<T: Time> From<Failed<T>> for Effect<T> {
    fn from(failed: Failed<T>) -> Self {
        match failed {
            Failed::GiveUp(reason) => Self::GiveUp(reason),
            Failed::Nothing => Self::Nothing,
        }
    }
}

/// What can follow [`Event::Answered`](super::Event::Answered).
///
/// Exhaustive, as [`Effect`] is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Answered {
    /// As [`Effect::Store`].
    Store {
        /// The store's version.
        after: u64,
    },
    /// As [`Effect::StoreUnlessOutpaced`].
    StoreUnlessOutpaced {
        /// The store's version.
        after: u64,
    },
}

impl<T: Time> From<Answered> for Effect<T> {
    fn from(answered: Answered) -> Self {
        match answered {
            Answered::Store { after } => Self::Store { after },
            Answered::StoreUnlessOutpaced { after } => Self::StoreUnlessOutpaced { after },
        }
    }
}

/// What can follow [`Event::Finished`](super::Event::Finished).
///
/// Exhaustive, as [`Effect`] is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Finished {
    /// As [`Effect::Release`].
    Release {
        /// The fencing number.
        fence: u64,
    },
    /// As [`Effect::Nothing`].
    Nothing,
}

impl<T: Time> From<Finished> for Effect<T> {
    fn from(finished: Finished) -> Self {
        match finished {
            Finished::Release { fence } => Self::Release { fence },
            Finished::Nothing => Self::Nothing,
        }
    }
}

/// What can follow [`Event::TimePassed`](super::Event::TimePassed).
///
/// Exhaustive, as [`Effect`] is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum TimePassed<T: Time> {
    /// As [`Effect::Acquire`].
    Acquire {
        /// For how long.
        term: T::Span,
    },
    /// As [`Effect::Renew`].
    Renew {
        /// The fencing number.
        fence: u64,
        /// For how long.
        term: T::Span,
    },
    /// As [`Effect::Lost`].
    Lost,
    /// As [`Effect::Release`].
    Release {
        /// The fencing number.
        fence: u64,
    },
    /// As [`Effect::GiveUp`].
    GiveUp(GiveUpReason<T>),
    /// As [`Effect::Nothing`].
    Nothing,
}

impl<T: Time> From<TimePassed<T>> for Effect<T> {
    fn from(passed: TimePassed<T>) -> Self {
        match passed {
            TimePassed::Acquire { term } => Self::Acquire { term },
            TimePassed::Renew { fence, term } => Self::Renew { fence, term },
            TimePassed::Lost => Self::Lost,
            TimePassed::Release { fence } => Self::Release { fence },
            TimePassed::GiveUp(reason) => Self::GiveUp(reason),
            TimePassed::Nothing => Self::Nothing,
        }
    }
}
