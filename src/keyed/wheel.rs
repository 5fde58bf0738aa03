//! A timing wheel: when each of very many sessions is to be looked at next. Setting, unsetting and
//! firing an entry cost the same for a thousand and for a million.
//!
//! It has six levels of 64 slots, with a bitmap for each level, and lists that run through the entries.
//! An instant is rounded up to a tick: nothing fires early, and nothing more than a tick late.

use core::fmt;
use std::prelude::rust_2024::*;

use crate::time::{Span, Timestamp};

/// A tick, in milliseconds.
const TICK: u64 = 256;
const LEVELS: usize = 6;
const BITS: u32 = 6;
/// No entry, no tick.
const NONE: u32 = u32::MAX;
/// The size of a block. Entries are kept in blocks, so that growing moves none and wastes little.
const BLOCK: usize = 64;

#[derive(Copy, Clone)]
struct Entry {
    previous: u32,
    next: u32,
    /// The tick at which it fires.
    due: u32,
}

struct Level {
    occupied: u64,
    heads: [u32; 64],
}

impl fmt::Debug for Wheel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Wheel")
            .field("next_stir", &self.next_stir())
            .finish_non_exhaustive()
    }
}

/// A timing wheel: setting, unsetting and firing an entry cost the same whatever their number.
///
/// Entries are named by small numbers of the caller's choosing; memory use grows with the largest.
///
/// ```
/// use perennial::keyed::Wheel;
/// use perennial::time::Timestamp;
///
/// let mut wheel = Wheel::new(Timestamp::from_secs(1000));
/// wheel.set(7, Timestamp::from_secs(1060));
/// let mut fired = Vec::new();
/// wheel.advance(Timestamp::from_secs(1059), |id| fired.push(id));
/// assert!(fired.is_empty());
/// wheel.advance(Timestamp::from_secs(1061), |id| fired.push(id));
/// assert_eq!(fired, [7]);
/// ```
pub struct Wheel {
    origin: Timestamp,
    /// All entries up to this tick have fired.
    elapsed: u32,
    levels: [Level; LEVELS],
    #[expect(clippy::vec_box, reason = "so that growing moves no block")]
    entries: Vec<Box<[Entry; BLOCK]>>,
}

impl Wheel {
    /// Creates an empty wheel whose time starts at `now`.
    pub fn new(now: Timestamp) -> Self {
        let levels = [const { Level { occupied: 0, heads: [NONE; 64] } }; LEVELS];
        Self { origin: now, elapsed: 0, levels, entries: Vec::new() }
    }

    /// Sets entry `id` to fire at `at`, in place of any instant set before.
    pub fn set(&mut self, id: u32, at: Timestamp) {
        self.unset(id);
        let millis = at.since(self.origin).as_millis();
        let tick = u32::try_from(millis.div_ceil(TICK)).unwrap_or(NONE).min(NONE - 1);
        self.link(id, tick.max(self.elapsed.saturating_add(1)));
    }

    /// Unsets entry `id`, so that it does not fire.
    pub fn unset(&mut self, id: u32) {
        let Some(entry) = self.get(id).filter(|entry| entry.due != NONE) else { return };
        let (level, slot) = self.place(entry.due);
        match self.get_mut(entry.previous) {
            Some(previous) => previous.next = entry.next,
            None => self.set_head(level, slot, entry.next),
        }
        if let Some(next) = self.get_mut(entry.next) {
            next.previous = entry.previous;
        }
        if let Some(entry) = self.get_mut(id) {
            entry.due = NONE;
        }
    }

    /// Fires all entries that are due at `now`, in no particular order within a tick. A clock that went
    /// back fires nothing.
    pub fn advance(&mut self, now: Timestamp, mut fire: impl FnMut(u32)) {
        let millis = now.since(self.origin).as_millis();
        let target = u32::try_from(millis / TICK).unwrap_or(NONE - 1).min(NONE - 1);
        while let Some((level, slot, start)) = self.next_slot().filter(|next| next.2 <= target) {
            self.elapsed = self.elapsed.max(start);
            let mut id = self.head(level, slot);
            self.set_head(level, slot, NONE);
            while let Some(entry) = self.get_mut(id) {
                let Entry { next, due, .. } = *entry;
                entry.due = NONE;
                if due <= start {
                    fire(id);
                } else {
                    self.link(id, due);
                }
                id = next;
            }
        }
        self.elapsed = self.elapsed.max(target);
    }

    /// Returns when to advance next: something fires then, or moves to a lower level. `None` where
    /// nothing is set.
    pub fn next_stir(&self) -> Option<Timestamp> {
        let (_, _, start) = self.next_slot()?;
        let millis = u64::from(start).saturating_mul(TICK);
        Some(self.origin.saturating_add(Span::from_millis(millis)))
    }

    /// Returns the first slot that is not empty, as level, slot, and the tick at which it starts.
    fn next_slot(&self) -> Option<(usize, u32, u32)> {
        self.levels.iter().enumerate().find(|(_, level)| level.occupied != 0).map(
            |(number, level)| {
                let shift = BITS * u32::try_from(number).unwrap_or(0);
                let present = (self.elapsed >> shift) & 63;
                let ahead = level.occupied.rotate_right(present).trailing_zeros();
                let slot = (present + ahead) & 63;
                let above = u64::from(self.elapsed) >> (shift + BITS) << (shift + BITS);
                let start = above + (u64::from(slot) << shift);
                (number, slot, u32::try_from(start).unwrap_or(NONE - 1))
            },
        )
    }

    /// Returns the place of an entry that fires at `due`: its level is the highest digit in which `due`
    /// differs from the present tick. That stays so until the slot's turn has come.
    fn place(&self, due: u32) -> (usize, u32) {
        let differing = (due ^ self.elapsed) | 1;
        let level = differing.ilog2() / BITS;
        (level as usize, (due >> (BITS * level)) & 63)
    }

    fn link(&mut self, id: u32, due: u32) {
        let (level, slot) = self.place(due);
        let head = self.head(level, slot);
        if let Some(next) = self.get_mut(head) {
            next.previous = id;
        }
        *self.make(id) = Entry { previous: NONE, next: head, due };
        self.set_head(level, slot, id);
    }

    fn head(&self, level: usize, slot: u32) -> u32 {
        self.levels
            .get(level)
            .and_then(|level| level.heads.get(slot as usize))
            .map_or(NONE, |id| *id)
    }

    fn set_head(&mut self, level: usize, slot: u32, id: u32) {
        let Some(level) = self.levels.get_mut(level) else { return };
        if let Some(head) = level.heads.get_mut(slot as usize) {
            *head = id;
        }
        let bit = 1 << slot;
        level.occupied = if id == NONE { level.occupied & !bit } else { level.occupied | bit };
    }

    fn get(&self, id: u32) -> Option<Entry> {
        let id = id as usize;
        self.entries.get(id / BLOCK)?.get(id % BLOCK).copied()
    }

    fn get_mut(&mut self, id: u32) -> Option<&mut Entry> {
        let id = id as usize;
        self.entries.get_mut(id / BLOCK)?.get_mut(id % BLOCK)
    }

    fn make(&mut self, id: u32) -> &mut Entry {
        let id = id as usize;
        while self.entries.len() <= id / BLOCK {
            let empty = Entry { previous: NONE, next: NONE, due: NONE };
            self.entries.push(Box::new([empty; BLOCK]));
        }
        &mut self.entries[id / BLOCK][id % BLOCK]
    }
}
