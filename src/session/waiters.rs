//! Who waits, and the wakers by which they are told: a place each, 16 bytes and a bit.

use core::num::NonZeroU32;
use core::task::Waker;
use std::prelude::rust_2024::*;

/// A waiter's place, which is its own until all are told.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    round: NonZeroU32,
    index: u32,
}

/// Those who wait. Lives under the session's lock; no waker is called, cloned or dropped here.
pub(super) struct Waiters {
    /// Counts how often all were told. A ticket of an earlier round holds no place.
    round: NonZeroU32,
    /// A place has no waker while it is free, or while its waiter has been called and not come.
    places: Vec<Option<Waker>>,
    /// One bit a place: whether there is a waker.
    callable: Vec<u64>,
    free: Vec<u32>,
}

impl Default for Waiters {
    fn default() -> Self {
        Self { round: NonZeroU32::MIN, places: Vec::new(), callable: Vec::new(), free: Vec::new() }
    }
}

impl Waiters {
    /// Gives a waiter a place, or its waker anew. Gives the waker that it replaces.
    pub(super) fn register(&mut self, ticket: &mut Option<Ticket>, waker: Waker) -> Option<Waker> {
        let held = ticket.filter(|ticket| ticket.round == self.round);
        let Ticket { index, .. } = *ticket.insert(held.unwrap_or_else(|| self.place()));
        self.mark(index, true);
        self.places.get_mut(index as usize)?.replace(waker)
    }

    /// Frees a place. Gives the waker that was there.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<Waker> {
        if ticket.round != self.round {
            return None;
        }
        let waker = self.call(ticket);
        self.free.push(ticket.index);
        waker
    }

    /// Takes out the waker of one waiter.
    pub(super) fn call(&mut self, ticket: Ticket) -> Option<Waker> {
        if ticket.round != self.round {
            return None;
        }
        self.mark(ticket.index, false);
        self.places.get_mut(ticket.index as usize)?.take()
    }

    /// Takes out the waker of any waiter but `except`.
    pub(super) fn call_another(&mut self, except: Option<Ticket>) -> Option<Waker> {
        let except = except.filter(|ticket| ticket.round == self.round).map(|ticket| ticket.index);
        let index = (0_u32..).zip(&self.callable).find_map(|(word, bits)| {
            let spared =
                except.filter(|index| index / 64 == word).map_or(0, |index| 1 << (index % 64));
            let bits = bits & !spared;
            (bits != 0).then(|| word * 64 + bits.trailing_zeros())
        })?;
        self.call(Ticket { round: self.round, index })
    }

    /// Takes out all wakers, and frees all places: whoever still waits must come again (rule C3).
    pub(super) fn call_all(&mut self) -> Vec<Option<Waker>> {
        self.round = self.round.checked_add(1).unwrap_or(NonZeroU32::MIN);
        self.callable = Vec::new();
        self.free = Vec::new();
        core::mem::take(&mut self.places)
    }

    /// Whether nobody has a place.
    #[cfg(feature = "keyed")]
    pub(super) fn is_empty(&self) -> bool {
        self.places.len() == self.free.len()
    }

    fn place(&mut self) -> Ticket {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            // More callers at once than memory could hold would have to wait for this to be wrong.
            u32::try_from(self.places.len() - 1).expect("fewer than four billion callers wait")
        });
        Ticket { round: self.round, index }
    }

    fn mark(&mut self, index: u32, callable: bool) {
        let word = index as usize / 64;
        if word >= self.callable.len() {
            self.callable.resize(word + 1, 0);
        }
        if let Some(bits) = self.callable.get_mut(word) {
            let bit = 1 << (index % 64);
            *bits = if callable { *bits | bit } else { *bits & !bit };
        }
    }
}
