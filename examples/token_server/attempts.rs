//! How many wrong passwords a peer may try: of one user, and of all. What is remembered of this is bounded.
//!
//! A user's name alone is not counted, or anybody could lock that user out. So many peers are not held off together.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};
use lru::LruCache;

/// How many wrong passwords of one user a peer may try at once, and how often one more.
pub(crate) const OF_A_NAME: NonZeroU32 = NonZeroU32::new(5).expect("not zero");
const OF_A_NAME_EACH: Duration = Duration::from_secs(30);

/// The same for all users together.
const OF_A_PEER: NonZeroU32 = NonZeroU32::new(30).expect("not zero");
const OF_A_PEER_EACH: Duration = Duration::from_secs(10);

/// How many keys each limit remembers. Beyond that it forgets those that were counted least recently, and each of those
/// costs whoever wants that the time of hashing a password.
const REMEMBERED: usize = 65_536;

/// The peer has tried too many wrong passwords.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooMany {
    /// When to try again.
    pub(crate) seconds: u64,
}

/// Whether an attempt is counted, or only whether it would be allowed is asked.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Charge {
    Counted,
    Asked,
}

/// What was counted, by the hash of a key: names are as long as whoever sends them likes.
struct Counted(Mutex<LruCache<u64, Nanos>>);

impl StateStore for Counted {
    type Key = (u64, Charge);

    fn measure_and_replace<T, F, E>(&self, (key, charge): &Self::Key, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (allowed, next) = decide(counted.get(key).copied())?;
        if *charge == Charge::Counted {
            counted.put(*key, next);
            while counted.len() > REMEMBERED {
                counted.pop_lru();
            }
        }
        Ok(allowed)
    }
}

type Limiter<C> = RateLimiter<(u64, Charge), Counted, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// The wrong passwords of all peers.
pub(crate) struct Attempts<C: Clock = DefaultClock> {
    of_name: Limiter<C>,
    of_peer: Limiter<C>,
    hasher: RandomState,
    clock: C,
}

impl Default for Attempts {
    fn default() -> Self {
        Self::new(DefaultClock::default())
    }
}

impl<C: Clock + Clone> Attempts<C> {
    fn new(clock: C) -> Self {
        let limiter = |each, at_once| {
            let quota = Quota::with_period(each).expect("longer than nothing");
            let counted = Counted(Mutex::new(LruCache::unbounded()));
            RateLimiter::new(quota.allow_burst(at_once), counted, clock.clone())
        };
        Self {
            of_name: limiter(OF_A_NAME_EACH, OF_A_NAME),
            of_peer: limiter(OF_A_PEER_EACH, OF_A_PEER),
            hasher: RandomState::new(),
            clock,
        }
    }

    /// Whether a peer may try a password of this user.
    pub(crate) fn ask(&self, name: &str, peer: IpAddr) -> Result<(), TooMany> {
        let peer = network(peer);
        self.check(&self.of_name, (name, peer), Charge::Asked)?;
        self.check(&self.of_peer, peer, Charge::Asked)
    }

    /// Counts a wrong password.
    pub(crate) fn count_wrong(&self, name: &str, peer: IpAddr) {
        let peer = network(peer);
        // One beyond the limit was asked for at the same time as the last within it.
        let _ = self.check(&self.of_name, (name, peer), Charge::Counted);
        let _ = self.check(&self.of_peer, peer, Charge::Counted);
    }

    fn check(&self, limiter: &Limiter<C>, key: impl Hash, charge: Charge) -> Result<(), TooMany> {
        let key = self.hasher.hash_one(key);
        limiter.check_key(&(key, charge)).map_err(|until| {
            let wait = until.wait_time_from(self.clock.now());
            TooMany { seconds: wait.as_secs().saturating_add(1) }
        })
    }
}

/// The address, or of an IPv6 address the 64 bits that one household has.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn attempts() -> (Attempts<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (Attempts::new(clock.clone()), clock)
    }

    fn peer(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    /// Tries wrong passwords until it may not, and returns how many.
    fn tried(
        attempts: &Attempts<FakeRelativeClock>,
        peer: IpAddr,
        name: impl Fn(u32) -> String,
    ) -> u32 {
        let mut count = 0;
        while attempts.ask(&name(count), peer).is_ok() {
            attempts.count_wrong(&name(count), peer);
            count += 1;
        }
        count
    }

    #[test]
    fn a_peer_tries_few_passwords_of_a_user_and_may_again_at_the_time_it_was_told() {
        let (attempts, clock) = attempts();
        let mallory = peer("192.0.2.1");
        let of_alice = |_| "alice".to_owned();
        assert_eq!(tried(&attempts, mallory, of_alice), OF_A_NAME.get());
        clock.advance(Duration::from_millis(500));
        let TooMany { seconds } = attempts.ask("alice", mallory).expect_err("too many");
        assert!(attempts.ask("bob", mallory).is_ok(), "of another user");
        assert!(attempts.ask("alice", peer("192.0.2.2")).is_ok(), "of another peer");
        clock.advance(Duration::from_secs(seconds));
        assert_eq!(tried(&attempts, mallory, of_alice), 1);
        clock.advance(OF_A_NAME_EACH * OF_A_NAME.get());
        assert_eq!(tried(&attempts, mallory, of_alice), OF_A_NAME.get());
    }

    #[test]
    fn a_peer_tries_few_passwords_whatever_names_and_addresses_of_its_own_it_uses() {
        let (attempts, clock) = attempts();
        let name = |number| format!("user {number}");
        for own in [peer("192.0.2.1"), peer("2001:db8:1:2::1")] {
            assert_eq!(tried(&attempts, own, name), OF_A_PEER.get(), "{own}");
        }
        for own in [peer("::ffff:192.0.2.1"), peer("2001:db8:1:2:3:4:5:6")] {
            assert_eq!(tried(&attempts, own, name), 0, "{own}");
        }
        assert!(attempts.ask("alice", peer("2001:db8:1:3::1")).is_ok(), "of another network");
        clock.advance(OF_A_PEER_EACH);
        assert_eq!(tried(&attempts, peer("192.0.2.1"), |_| "carol".to_owned()), 1);
    }

    #[test]
    fn what_is_remembered_is_bounded_whatever_names_are_tried() {
        let counted = Counted(Mutex::new(LruCache::unbounded()));
        let decide = |_: Option<Nanos>| Ok::<_, ()>(((), Nanos::from(1)));
        for key in 0..(REMEMBERED as u64 + 1000) {
            counted.measure_and_replace(&(key, Charge::Counted), decide).expect("allowed");
            counted.measure_and_replace(&(u64::MAX - key, Charge::Asked), decide).expect("allowed");
        }
        assert_eq!(counted.0.lock().expect("no panic").len(), REMEMBERED);
    }
}
