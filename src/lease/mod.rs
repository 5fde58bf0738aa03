//! The lease machine: one holder's turn to refresh a grant that several processes share in a store.
//!
//! At most one of them may present the refresh token at a time; the others wait, and adopt what it
//! stored. A [`Turn`] is what one holder knows of that for one refresh: whether it waits for
//! another holder, holds the lease and for how long, and whether its request is out. It has one
//! handler for each event, and each returns what can follow that event; [`apply`] is all of them as
//! one pure function of policy, turn, event and now. It reads no clock and asks no store: the caller
//! does what it returns, and reports what came of it.
//!
//! ```
//! use core::time::Duration;
//! use perennial::lease::{Acquired, Found, Policy, Prepared, Started, Term, Turn};
//! use perennial::time::{Span, Timestamp};
//!
//! let policy = Policy::new(Duration::from_secs(30));
//! let now = Timestamp::from_secs(1_700_000_000);
//! let mut turn = Turn::new();
//! let deadline = now.saturating_add(Span::from_secs(30));
//! let Started::Acquire { term } = turn.handle_started(&policy, deadline, now) else { panic!() };
//!
//! // The store let us have the lease, at version 7, for as long as we asked.
//! let acquired = turn.handle_acquired(&policy, 7, Term::For(term), Found::Unchanged, now);
//! assert_eq!(acquired, Acquired::Prepare { intent: None });
//!
//! // The note of intent is written at version 8: immediately before the request, the lease is checked.
//! assert_eq!(turn.handle_prepared(&policy, 8, now), Prepared::Send);
//! ```
//!
//! # Names of the field
//! A *lease* is a lock with a term, as etcd, Consul and Kubernetes have it. Its *fencing number*
//! (Martin Kleppmann's *fencing token*; a token is something else here) is the store's version when
//! the lease was acquired: it names the lease, only grows, and with each write naming the version
//! that it follows, a holder that has lost the lease overwrites nothing of its successor's. A *note of
//! intent* says in the record that its refresh token is being presented.
//!
//! # Kinds of stores
//! - A lock of the operating system lasts as long as its process: [`Term::WhileHeld`]. It is
//!   released at the refresh's deadline.
//! - A server counts a term, and renews it: [`Term::For`].
//! - A store with nothing but compare-and-swap has no lease. There the note of intent is the lease,
//!   until the deadline that the note states: report a foreign note as [`Event::NoteFound`], and
//!   the own one, once written, as [`Event::Acquired`].
//!
//! Where the lease is free, a note of intent is no lease but doubt: nobody waits for a process that
//! has died. Its request may have been honoured, so that the refresh token may be spent. It is then
//! found as [`Found::Note`].
//!
//! # Invariants
//! - Nothing is sent without a held lease of which at least the margin is left, and nothing once
//!   the lease was lost ([F3](crate::spec#f-storage)).
//! - Fencing numbers and versions only grow ([F3](crate::spec#f-storage)).
//! - Waiting for another holder ends, and never in a refresh without the lease
//!   ([F4](crate::spec#f-storage)).
//! - What a `now` has shown to be over stays so, also if the clock goes back
//!   ([A5](crate::spec#a-time)).
//!
//! # Out of scope
//! Stores, grants, clocks and waiting: those are in `store` and `session`. That the holder's clock
//! and the store's run at the same rate is assumed, with the margin as the allowance.

mod event;
#[cfg(formal)]
pub mod formal;
mod holding;
mod outcome;
mod policy;
mod timeout;
mod transition;
mod turn;

pub use event::{Effect, Event, Found, GiveUpReason, Term};
pub use outcome::{
    Acquired, Answered, Busy, Changed, Failed, Finished, NewerFound, NoteFound, Outpaced, Prepared,
    Renewed, Started, TimePassed,
};
pub use policy::{Policy, RawPolicy};
pub use timeout::{Timeout, TimeoutReason};
pub use transition::apply;
pub use turn::{State, Turn};
