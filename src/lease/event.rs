//! Events, which are past facts, and effects, which say what the holder is to do.

use crate::time::Time;

/// Something that has happened to a turn.
///
/// Exhaustive on purpose: a model that replays events handles each of them.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event<T: Time> {
    /// A refresh began.
    Started {
        /// When the refresh has to end.
        deadline: T,
    },
    /// The store granted the lease, and what it holds was read after that.
    Acquired {
        /// The fencing number: the store's version.
        fence: u64,
        /// How long the lease lasts, counted from when it was asked for.
        term: Term<T>,
        /// What the store holds.
        found: Found<T>,
    },
    /// Another holder has the lease.
    Busy {
        /// How much of its term is left, if the store says so.
        remaining: Option<T::Span>,
    },
    /// The store has no leases, and its record holds a note of intent.
    NoteFound {
        /// The store's version.
        version: u64,
        /// When the noted request was sent.
        sent: T,
        /// Until when the note is a lease; `None` where a record does not state it.
        until: Option<T>,
    },
    /// The store was found to hold a newer grant that is usable.
    NewerFound,
    /// The store told of a change while another holder was waited for.
    Changed,
    /// The note of intent is written, and the request can be sent.
    Prepared {
        /// The store's version since then.
        version: u64,
    },
    /// The store renewed the lease.
    Renewed {
        /// How long the lease lasts, counted from when its renewal was asked for.
        term: Term<T>,
        /// The store's version since then.
        version: u64,
    },
    /// A write or a renewal found that somebody else has written or holds the lease.
    Outpaced,
    /// The store could not be asked for the lease, or for its renewal.
    Failed,
    /// The authorization server answered the request with a grant.
    Answered,
    /// Nothing more is to be done in this turn: what came is stored, or the refresh was called off.
    Finished,
    /// Time passed; deadlines are checked.
    TimePassed,
}

/// How long a lease lasts.
///
/// Exhaustive on purpose: it has an end or it does not.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Term<T: Time> {
    /// Until it is released, or its process ends: a lock of the operating system.
    WhileHeld,
    /// For this long, unless it is renewed.
    For(T::Span),
}

/// What the store was found to hold once the lease was acquired.
///
/// Exhaustive on purpose: what may follow differs.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Found<T: Time> {
    /// A newer grant that is usable.
    Newer,
    /// No newer grant, and no note of intent.
    Unchanged,
    /// No newer grant, and a note of intent whose holder does not have the lease any more. The
    /// outcome of its request is unknown.
    Note {
        /// When the noted request was sent.
        sent: T,
    },
}

/// What the holder is to do.
///
/// Exhaustive on purpose: a holder that ignored an effect would break the protocol.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Effect<T: Time> {
    /// Do nothing.
    Nothing,
    /// Ask the store for the lease, and report what came of it.
    Acquire {
        /// For how long.
        term: T::Span,
    },
    /// Wait until then, or until the store tells of a change.
    Wait {
        /// When to report [`Event::TimePassed`].
        until: T,
    },
    /// Replace the note of intent by an own one, following this version, and report
    /// [`Event::Acquired`]. Where another holder was first, report what is found then.
    TakeOver {
        /// The store's version.
        after: u64,
        /// For how long the own note is to be a lease.
        term: T::Span,
    },
    /// Use the grant that the store holds; send nothing. Then report [`Event::Finished`].
    Adopt,
    /// Note the intent, and report [`Event::Prepared`].
    Prepare {
        /// When a holder whose note was left behind sent its request, of unknown outcome, if so.
        intent: Option<T>,
    },
    /// Ask the store to renew the lease, and report what came of it.
    Renew {
        /// The fencing number, which names the lease.
        fence: u64,
        /// For how long.
        term: T::Span,
    },
    /// Send the request now.
    Send,
    /// Store the grant, following this version. Then report [`Event::Finished`].
    Store {
        /// The store's version.
        after: u64,
    },
    /// The lease is lost while the request is out: keep waiting for its response, and renew nothing.
    Lost,
    /// Keep the grant, and store it only if the store is still at this version. Then report
    /// [`Event::Finished`].
    StoreUnlessOutpaced {
        /// The store's version.
        after: u64,
    },
    /// Release the lease.
    Release {
        /// The fencing number, which names the lease.
        fence: u64,
    },
    /// End the turn without sending anything. Then report [`Event::Finished`].
    GiveUp(GiveUpReason<T>),
}

/// Why a turn ends without a request.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GiveUpReason<T: Time> {
    /// Another holder has the lease for longer than it was waited for.
    Busy {
        /// Until when it may have the lease, if that is known.
        until: Option<T>,
    },
    /// The store could not be asked.
    Unreachable,
    /// The lease was lost before the request could be sent.
    Lost,
    /// The refresh's deadline expired before the request could be sent.
    Overdue,
    /// The store grants less than the margin.
    TermTooShort,
    /// The store's version is less than it was: it holds an older content than before.
    WentBack,
}
