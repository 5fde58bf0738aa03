//! The waiters: a place with a waker for each, at 16 bytes and one bit.

use core::num::NonZeroU32;
use core::task::Waker;
use std::prelude::rust_2024::*;

/// A waiter's place, valid until all waiters are woken.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct WaiterKey {
    round: NonZeroU32,
    index: u32,
}

/// All who wait. Lives under the session's lock; no waker is called, cloned or dropped here.
pub(crate) struct Waiters {
    /// Counts how often all were woken. A key of an earlier round has no place.
    round: NonZeroU32,
    /// A place has no waker while it is free, or after its waiter was woken and has not registered
    /// again.
    places: Vec<Option<Waker>>,
    /// One bit per place: whether there is a waker.
    callable: Vec<u64>,
    free: Vec<u32>,
}

impl Default for Waiters {
    fn default() -> Self {
        Self { round: NonZeroU32::MIN, places: Vec::new(), callable: Vec::new(), free: Vec::new() }
    }
}

impl Waiters {
    /// Registers `waker` at the waiter's place, which it gets now if it has none. Returns the waker
    /// replaced.
    pub(crate) fn register(&mut self, key: &mut Option<WaiterKey>, waker: Waker) -> Option<Waker> {
        let held = key.filter(|key| key.round == self.round);
        let WaiterKey { index, .. } = *key.insert(held.unwrap_or_else(|| self.place()));
        self.mark(index, true);
        self.places.get_mut(index as usize)?.replace(waker)
    }

    /// Frees a place. Returns the waker that was there.
    pub(crate) fn leave(&mut self, key: WaiterKey) -> Option<Waker> {
        if key.round != self.round {
            return None;
        }
        let waker = self.take(key);
        self.free.push(key.index);
        waker
    }

    /// Takes out the waker of one waiter.
    pub(crate) fn take(&mut self, key: WaiterKey) -> Option<Waker> {
        if key.round != self.round {
            return None;
        }
        self.mark(key.index, false);
        self.places.get_mut(key.index as usize)?.take()
    }

    /// Takes out the waker of any waiter other than `except`.
    pub(crate) fn take_another(&mut self, except: Option<WaiterKey>) -> Option<Waker> {
        let except = except.filter(|key| key.round == self.round).map(|key| key.index);
        let index = (0_u32..).zip(&self.callable).find_map(|(word, bits)| {
            let spared =
                except.filter(|index| index / 64 == word).map_or(0, |index| 1 << (index % 64));
            let bits = bits & !spared;
            (bits != 0).then(|| word * 64 + bits.trailing_zeros())
        })?;
        self.take(WaiterKey { round: self.round, index })
    }

    /// Takes out all wakers, and frees all places: whoever still waits must register again (rule C3).
    pub(crate) fn take_all(&mut self) -> Vec<Option<Waker>> {
        self.round = self.round.checked_add(1).unwrap_or(NonZeroU32::MIN);
        self.callable = Vec::new();
        self.free = Vec::new();
        core::mem::take(&mut self.places)
    }

    /// Returns whether nobody has a place.
    #[cfg(feature = "keyed")]
    pub(crate) fn is_empty(&self) -> bool {
        self.places.len() == self.free.len()
    }

    fn place(&mut self) -> WaiterKey {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            // That many callers would not fit into memory.
            u32::try_from(self.places.len() - 1).expect("fewer than four billion callers wait")
        });
        WaiterKey { round: self.round, index }
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

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::task::Wake;

    use super::*;

    /// The numbers of the wakers that were called.
    type Called = Arc<Mutex<Vec<usize>>>;

    struct Numbered(usize, Called);

    impl Wake for Numbered {
        fn wake(self: Arc<Self>) {
            self.1.lock().expect("no panic").push(self.0);
        }
    }

    /// Returns `count` waiters, numbered from 0, and the record of their calls.
    fn waiting(count: usize) -> (Waiters, Vec<Option<WaiterKey>>, Called) {
        let (mut waiters, called) = (Waiters::default(), Called::default());
        let mut keys = vec![None; count];
        for (number, key) in keys.iter_mut().enumerate() {
            let waker = Waker::from(Arc::new(Numbered(number, Arc::clone(&called))));
            assert!(waiters.register(key, waker).is_none());
        }
        (waiters, keys, called)
    }

    /// Wakes waiters other than `except` until none is left, and returns their numbers.
    fn call_others(
        waiters: &mut Waiters,
        except: Option<WaiterKey>,
        called: &Called,
    ) -> Vec<usize> {
        while let Some(waker) = waiters.take_another(except) {
            waker.wake();
        }
        let mut called = core::mem::take(&mut *called.lock().expect("no panic"));
        called.sort_unstable();
        called
    }

    // Rules C3, C4.
    #[test]
    fn all_but_the_one_who_is_spared_are_called_once_each() {
        const COUNT: usize = 200;
        for spared in [0, 1, 62, 63, 64, 65, 127, 128, 199] {
            let (mut waiters, keys, called) = waiting(COUNT);
            let others: Vec<_> = (0..COUNT).filter(|number| *number != spared).collect();
            assert_eq!(call_others(&mut waiters, keys[spared], &called), others);
            assert_eq!(call_others(&mut waiters, None, &called), [spared]);
        }
        let (mut waiters, keys, called) = waiting(COUNT);
        assert_eq!(call_others(&mut waiters, None, &called), (0..COUNT).collect::<Vec<_>>());
        // A key of an earlier round excepts nobody, and wakes nobody.
        let (mut later, mut again, _) = waiting(1);
        assert_eq!(later.take_all().len(), 1);
        let stale = again[0];
        let waker = Waker::from(Arc::new(Numbered(7, Arc::clone(&called))));
        assert!(later.register(&mut again[0], waker).is_none());
        assert_ne!(stale, again[0]);
        assert!(later.take(stale.expect("a key")).is_none());
        assert_eq!(call_others(&mut later, stale, &called), [7]);
        assert!(call_others(&mut waiters, keys[0], &called).is_empty());
    }

    // Rule C4.
    #[test]
    fn one_who_comes_again_keeps_its_place_and_can_be_called() {
        let (mut waiters, mut keys, called) = waiting(70);
        for number in [3, 66, 3, 66, 3] {
            let waker = Waker::from(Arc::new(Numbered(100 + number, Arc::clone(&called))));
            let before = keys[number];
            assert!(waiters.register(&mut keys[number], waker).is_some());
            assert_eq!(keys[number], before);
        }
        let expected = (0..70).filter(|number| ![3, 66].contains(number)).chain([103, 166]);
        assert_eq!(call_others(&mut waiters, None, &called), expected.collect::<Vec<_>>());
        // Woken, and registered again.
        let waker = Waker::from(Arc::new(Numbered(5, Arc::clone(&called))));
        assert!(waiters.register(&mut keys[5], waker).is_none());
        assert_eq!(call_others(&mut waiters, keys[4], &called), [5]);
    }

    // Rule C4.
    #[test]
    fn a_place_that_is_left_is_given_to_the_next_who_comes() {
        let (mut waiters, keys, called) = waiting(3);
        let left = keys[1].expect("a key");
        assert!(waiters.leave(left).is_some());
        assert_eq!(call_others(&mut waiters, None, &called), [0, 2]);
        let mut next = None;
        let waker = Waker::from(Arc::new(Numbered(9, Arc::clone(&called))));
        assert!(waiters.register(&mut next, waker).is_none());
        assert_eq!(next, Some(left));
        assert_eq!(call_others(&mut waiters, None, &called), [9]);
        assert_eq!(waiters.take_all().len(), 3);
        assert!(waiters.leave(left).is_none(), "nobody has it any more");
    }

    #[cfg(feature = "keyed")]
    // Rule C4.
    #[test]
    fn nobody_waits_once_all_have_left_or_were_told() {
        assert!(Waiters::default().is_empty());
        let (mut waiters, keys, _) = waiting(2);
        assert!(!waiters.is_empty());
        for key in keys.into_iter().flatten() {
            assert!(!waiters.is_empty());
            drop(waiters.leave(key));
        }
        assert!(waiters.is_empty());
        let (mut waiters, _, _) = waiting(2);
        drop(waiters.take_all());
        assert!(waiters.is_empty());
    }
}
