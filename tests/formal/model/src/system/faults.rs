//! What may go wrong, and in which surroundings.

use super::state::Fate;

/// What goes wrong, as often as its row says at most.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    /// Also: the server crashes before it has kept what it answers.
    RequestLost,
    /// Also: the server crashes once it has kept what it answers.
    AnswerLost,
    /// Something on the way repeats the request, and hands on one of the answers.
    RequestTwice,
    /// The request, or a copy of it, arrives at any later time; nobody hears the copy's answer.
    CopyLate,
    AnswerLate(Fate),
    /// The request may arrive after its deadline, and its answer then comes as late.
    RequestLate(Fate),
    /// While the request is under way, which goes on.
    CrashSending,
    /// Once the server has answered, before the answer is kept.
    CrashHearing,
    CrashAtRest,
    Theft,
}

/// Who holds the grant.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Holders {
    One,
    /// Two, each with a store of its own that began with the same grant.
    TwoApart,
    /// Two with one store, that compares and swaps.
    TwoTogether,
    /// The same, and they take turns by the lease machine.
    TwoInTurn(Kind),
}

/// What a store has by which its holders take turns.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing but compare-and-swap: the note of intent is the lease.
    Notes,
    /// A lease with a term.
    Term,
    /// A lock of the operating system, which ends with its process.
    Lock,
}

/// A line of the table.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) fault: Fault,
    /// How often it goes wrong, at most.
    pub(crate) times: u8,
    pub(crate) holders: Holders,
    /// Whoever may start a refresh does so before time goes on.
    pub(crate) prompt: bool,
    /// By policy, whether no honest holder is ever told to log in.
    pub(crate) stays_logged_in: [bool; 5],
}

impl Holders {
    pub(crate) const fn count(self) -> usize {
        match self {
            Self::One => 1,
            Self::TwoApart | Self::TwoTogether | Self::TwoInTurn(_) => 2,
        }
    }

    /// Which store a holder has.
    pub(crate) const fn store(self, holder: usize) -> usize {
        match self {
            Self::One | Self::TwoApart => holder,
            Self::TwoTogether | Self::TwoInTurn(_) => 0,
        }
    }
}
