//! Very many sessions: what one costs while nobody uses it, a look-up, and the timer.
//!
//! `cargo bench --bench keyed`, or `-- --quick`. With `-- --timer 1000000` (or `1000`) it sets,
//! unsets and fires so many entries a fixed number of times and nothing else, for a counter of
//! instructions: wall time grows with the number, as caches are missed; instructions do not.

use std::hint::black_box;
use std::time::{Duration, Instant};

use perennial::keyed::{Sessions, Wheel};
use perennial::refresh::{RefreshError, Request};
use perennial::time::{Span, Timestamp};
use perennial::token::Grant;

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    let after = |name: &str| arguments.iter().skip_while(|argument| *argument != name).nth(1);
    if let Some(entries) = after("--timer") {
        operate(&mut Set::new(entries.parse().expect("a number of entries")));
        return;
    }
    let quick = arguments.iter().any(|argument| argument == "--quick" || argument == "--test");
    let sessions = if quick { 100_000 } else { 1_000_000 };
    memory(sessions);
    let mut first = None;
    for entries in [1_000, 10_000, 100_000, 1_000_000] {
        let rounds = if quick { 3 } else { 9 };
        let round = |_| {
            let mut set = Set::new(entries);
            timed(|| operate(&mut set))
        };
        let mut taken: Vec<_> = (0..rounds).map(round).collect();
        taken.sort_by(f64::total_cmp);
        let nanos = taken[taken.len() / 2] / f64::from(OPERATIONS);
        let ratio = nanos / *first.get_or_insert(nanos);
        println!(
            "{{\"bench\":\"keyed\",\"what\":\"timer operation\",\"entries\":{entries},\"ns\":{nanos:.1},\"ratio\":{ratio:.2}}}"
        );
    }
}

/// The bytes of an idle session beside its key and its tokens, and the cost of a look-up.
fn memory(count: u64) {
    let refresher = |_: &u64, _: Request| async { Err(RefreshError::declined("none")) };
    let sessions: Sessions<u64> = Sessions::builder(refresher).build();
    let mut tokens = 0;
    let heap = allocation_counter::measure(|| {
        for key in 0..count {
            let (access, refresh) = (format!("access-{key:09}"), format!("refresh-{key:09}"));
            tokens += access.len() + refresh.len();
            let grant = Grant::new(access, refresh, Duration::from_secs(24 * 3600));
            sessions.install_blocking(&key, grant).expect("sendable");
        }
    });
    #[expect(clippy::cast_precision_loss, reason = "some megabytes")]
    let each = (heap.bytes_current as f64 - tokens as f64) / count as f64 - 8.0;
    println!(
        "{{\"bench\":\"keyed\",\"what\":\"bytes per idle session\",\"sessions\":{count},\"bytes\":{each:.1}}}"
    );
    let timer = allocation_counter::measure(|| {
        let mut keeper = Box::pin(sessions.keep_fresh(|_| std::future::pending()));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(keeper.as_mut().poll(&mut cx).is_pending());
    });
    #[expect(clippy::cast_precision_loss, reason = "some megabytes")]
    let timer = timer.bytes_current as f64 / count as f64;
    println!(
        "{{\"bench\":\"keyed\",\"what\":\"bytes per timer entry\",\"sessions\":{count},\"bytes\":{timer:.1}}}"
    );
    let hot: Vec<_> = (0..1000).map(|key| key * (count / 1000)).collect();
    let look_up = |what: &str, keys: &[u64], rounds: u32| {
        let taken = timed(|| {
            for _ in 0..rounds {
                for key in keys {
                    black_box(sessions.try_token(key).expect("a token"));
                }
            }
        });
        #[expect(clippy::cast_precision_loss, reason = "thousands")]
        let nanos = taken / (keys.len() as f64 * f64::from(rounds));
        println!(
            "{{\"bench\":\"keyed\",\"what\":\"{what}\",\"sessions\":{count},\"ns\":{nanos:.0}}}"
        );
    };
    look_up("look-up of an idle session", &hot, 1);
    look_up("look-up of one in use", &hot, 100);
}

/// How many operations are measured.
const OPERATIONS: u32 = 300_000;

/// A wheel with so many entries set, within an hour.
struct Set {
    wheel: Wheel,
    now: Timestamp,
    dice: fastrand::Rng,
    entries: u32,
}

const HOUR: u64 = 3_600_000;

impl Set {
    fn new(entries: u32) -> Self {
        let now = Timestamp::from_secs(1_700_000_000);
        let dice = fastrand::Rng::with_seed(7);
        let mut set = Self { wheel: Wheel::new(now), now, dice, entries };
        for id in 0..entries {
            set.set(id);
        }
        set
    }

    fn set(&mut self, id: u32) {
        let ahead = Span::from_millis(self.dice.u64(..HOUR));
        self.wheel.set(id, self.now.saturating_add(ahead));
    }
}

/// Moves one entry to another instant, lets time go on so that some fire, and sets those again;
/// and so on. The number that is set stays what it is.
#[inline(never)]
fn operate(set: &mut Set) {
    let step = Span::from_millis((HOUR / u64::from(set.entries)).max(1));
    let mut fired = Vec::new();
    let mut operations = 0;
    while operations < OPERATIONS {
        let id = set.dice.u32(..set.entries);
        set.set(id);
        operations += 2; // it was unset, and set
        set.now = set.now.saturating_add(step);
        set.wheel.advance(set.now, |id| fired.push(id));
        for id in fired.drain(..) {
            set.set(id);
            operations += 2; // it fired, and was set
        }
    }
    black_box(&set.wheel);
}

/// Nanoseconds.
fn timed(mut work: impl FnMut()) -> f64 {
    #[expect(clippy::disallowed_methods, reason = "it measures")]
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1e9
}
