//! An instant as a small whole number, and the hashing by which the checker takes states that differ
//! in nothing but when they are, or in how many there were before, to be one.

use std::hash::{Hash, Hasher};

use perennial::time::{Draw, Time};

use crate::world::{REJECTIONS_COUNT, UNEXPLAINED_COUNT};

/// Half of whatever is drawn from.
pub(crate) const HALF: Draw = Draw::new(1 << 31);
/// All of whatever is drawn from.
pub(crate) const MOST: Draw = Draw::new(u32::MAX);

/// An instant. The models stay far from both ends, so that nothing saturates.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick(pub(crate) i16);

impl Tick {
    pub(crate) fn plus(self, span: u8) -> Self {
        Self(self.0 + i16::from(span))
    }

    pub(crate) fn minus(self, span: u8) -> Self {
        Self(self.0 - i16::from(span))
    }
}

impl Hash for Tick {
    /// The only thing in a state that is hashed as an `i16`: see [`Relative`].
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_i16(self.0);
    }
}

impl Time for Tick {
    type Span = u8;

    fn zero() -> u8 {
        0
    }

    fn saturating_add(self, span: u8) -> Self {
        self.plus(span)
    }

    fn saturating_sub(self, span: u8) -> Self {
        self.minus(span)
    }

    fn since(self, earlier: Self) -> u8 {
        u8::try_from((self.0 - earlier.0).max(0)).unwrap_or(u8::MAX)
    }

    fn halved(span: u8, times: u32) -> u8 {
        span.checked_shr(times).unwrap_or(0)
    }

    fn doubled(span: u8, times: u32) -> u8 {
        (0..times.min(8)).fold(span, |span, _| span.saturating_mul(2))
    }

    /// None, half or all of it, so that a jitter can be seen also in a short life.
    fn share(span: u8, draw: Draw) -> u8 {
        if draw == Draw::NONE {
            0
        } else if draw == HALF {
            span / 2
        } else {
            span
        }
    }
}

/// Instants further back than this are not told apart: more than the longest span that is added to
/// one that is past (the window of [`super::rulebook`]), and the furthest that the clock goes back.
const PAST: i16 = 8;
/// Refreshes further back than this are not told apart: the models never tell of one that is older.
pub(crate) const FLIGHTS: u8 = 3;
/// More failures than this in a row are not told apart: the backoff has reached its cap. The machine's
/// other counts, of refusals without a reason that are missing and of rejections that were paid for, are
/// no greater.
pub(crate) const FAILURES: u32 = 2;

/// Hashes a machine as it looks from `now`: each instant by its distance, each refresh by how many
/// were started since, and generations and sessions not at all, since the models name them by how
/// many came since. So states that differ by a shift of all instants, or in how many refreshes and
/// tokens there were before, are explored once, and time and history need no bound.
///
/// It tells what it is given by its type: instants are `i16` (by [`Tick`]), small counts are `u32`, and
/// the five `u64` come in the order of the machine's fields.
pub(crate) struct Relative<'a, H> {
    inner: &'a mut H,
    now: Tick,
    counters: u8,
    started: u64,
}

impl<'a, H: Hasher> Relative<'a, H> {
    pub(crate) fn new(inner: &'a mut H, now: Tick) -> Self {
        Self { inner, now, counters: 0, started: 0 }
    }
}

impl<H: Hasher> Hasher for Relative<'_, H> {
    fn finish(&self) -> u64 {
        self.inner.finish()
    }

    fn write(&mut self, bytes: &[u8]) {
        self.inner.write(bytes);
    }

    fn write_u8(&mut self, value: u8) {
        self.inner.write_u8(value);
    }

    fn write_isize(&mut self, discriminant: isize) {
        self.inner.write_isize(discriminant);
    }

    fn write_i16(&mut self, instant: i16) {
        self.inner.write_i16((instant - self.now.0).max(-PAST));
    }

    fn write_u32(&mut self, count: u32) {
        self.inner.write_u32(count.min(FAILURES));
    }

    fn write_u64(&mut self, counter: u64) {
        match self.counters {
            // The session and the generation.
            0 | 1 => {}
            2 => self.started = counter,
            // The newest that landed, and the newest whose epoch has ended.
            3 | 4 => self.inner.write_u64((self.started - counter).min(FLIGHTS.into())),
            5.. => panic!("the machine has another counter: say here what it is"),
        }
        self.counters += 1;
    }
}

const _: () = assert!(UNEXPLAINED_COUNT as u32 <= FAILURES && REJECTIONS_COUNT as u32 <= FAILURES);

#[cfg(test)]
mod tests {
    use std::hash::{DefaultHasher, Hash, Hasher};

    use perennial::lifecycle::{Failure, Requested, Reuse};
    use perennial::time::Draw;

    use super::{MOST, Relative, Tick};
    use crate::world::{Machine, World};

    fn digest(machine: &Machine, now: Tick) -> u64 {
        let mut hasher = DefaultHasher::new();
        machine.hash(&mut Relative::new(&mut hasher, now));
        hasher.finish()
    }

    /// A token that is due, a refresh that is out, another one that failed and left a backoff.
    fn led(world: &World, mut machine: Machine, from: Tick) -> Machine {
        let policy = &world.policy;
        let token = perennial::lifecycle::TokenTimes {
            sent: from,
            lifetime: Some(8),
            refresh_in: None,
            jitter: Draw::NONE,
        };
        let _ = machine.handle_installed(policy, Some(token), None, from);
        let now = from.plus(6);
        let Requested::UseAndStartRefresh(start) = machine.handle_requested(policy, now) else {
            panic!("the token is due");
        };
        let failure = Failure::Unknown;
        let _ = machine.handle_refresh_failed(policy, start.flight, failure, MOST, now);
        let _ = machine.handle_requested(policy, now.plus(1));
        machine
    }

    #[test]
    fn machines_that_differ_by_a_shift_of_time_and_by_their_past_are_hashed_alike() {
        let world = World::new(Reuse::OverlapSuccessors(4));
        let young = led(&world, world.past(), Tick(0));
        let mut old = world.past();
        for number in 0..20 {
            old = led(&world, old, Tick(number * 10));
        }
        let old = led(&world, old, Tick(300));
        assert_ne!(young, old);
        assert_eq!(digest(&young, Tick(7)), digest(&old, Tick(307)));
    }

    #[test]
    fn machines_whose_instants_lie_elsewhere_are_not_hashed_alike() {
        let world = World::new(Reuse::OverlapSuccessors(4));
        let machine = led(&world, world.past(), Tick(0));
        assert_ne!(digest(&machine, Tick(7)), digest(&machine, Tick(8)));
        let later = led(&world, world.past(), Tick(1));
        assert_ne!(digest(&machine, Tick(7)), digest(&later, Tick(7)));
    }
}
