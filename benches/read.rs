//! Reading a valid token, beside what it could at best be made of: `ArcSwap::load` and
//! `Instant::now`. Interleaved rounds; the median of the ratios within each round.
//!
//! `cargo bench --bench read`, or `-- --quick`. With `-- --count WAY` it reads so many times and
//! nothing else, for a counter of instructions.

use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use perennial::refresh::{RefreshError, Request};
use perennial::session::Session;
use perennial::token::Grant;

/// The ways of reading, the reference first.
const WAYS: [&str; 5] = ["reference", "with_token", "reader", "try_token", "token_blocking"];
/// How often a counted way is read.
const COUNTED: u32 = 100_000;

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    let after = |name: &str| arguments.iter().skip_while(|argument| *argument != name).nth(1);
    let world = World::new();
    if let Some(way) = after("--count") {
        read(&world, way, COUNTED);
        return;
    }
    let quick = arguments.iter().any(|argument| argument == "--quick" || argument == "--test");
    let (rounds, reads) = if quick { (9, 200_000) } else { (21, 2_000_000) };
    let mut single = Vec::new();
    for threads in [1, 2, 8] {
        let taken = measure(&world, rounds, reads / threads, threads);
        let reference = column(&taken, 0);
        for (way, name) in WAYS.iter().enumerate() {
            let ours = column(&taken, way);
            let ratio =
                median(ours.iter().zip(&reference).map(|(ours, reference)| ours / reference));
            println!(
                "{{\"bench\":\"read\",\"way\":\"{name}\",\"threads\":{threads},\"ns\":{:.1},\"ratio\":{ratio:.3}}}",
                median(ours.iter().copied())
            );
        }
        match threads {
            1 => single = taken,
            2 => losses(&single, &taken),
            _ => {}
        }
    }
}

/// What each way loses from one thread to two, by what the reference loses.
fn losses(single: &[Vec<f64>], double: &[Vec<f64>]) {
    for (way, name) in WAYS.iter().enumerate().skip(1) {
        let lost = median(
            single.iter().zip(double).map(|(one, two)| (two[way] / one[way]) / (two[0] / one[0])),
        );
        println!("{{\"bench\":\"read\",\"way\":\"{name}\",\"loss_by_the_references\":{lost:.3}}}");
    }
}

struct World {
    session: Session,
    reference: ArcSwap<String>,
}

impl World {
    fn new() -> Self {
        let refresher = |_: Request| async { Err::<Grant, _>(RefreshError::declined("none")) };
        let grant = Grant::new("at-1", "rt-1", Duration::from_secs(24 * 3600));
        let session = Session::builder(refresher).grant(grant).build().expect("sendable");
        Self { session, reference: ArcSwap::new(Arc::new("at-1".to_owned())) }
    }
}

/// Reads `times` times.
#[inline(never)]
fn read(world: &World, way: &str, times: u32) {
    let session = &world.session;
    let mut reader = session.reader();
    match way {
        "reference" => repeat(times, || {
            #[expect(clippy::disallowed_methods, reason = "it is what is measured")]
            let now = Instant::now();
            black_box(now);
            world.reference.load().len()
        }),
        "with_token" => {
            repeat(times, || session.with_token(|token| token.expose().len()).unwrap_or_default());
        }
        "reader" => repeat(times, || reader.token().map_or(0, |token| token.expose().len())),
        "try_token" => {
            repeat(times, || session.try_token().map_or(0, |token| token.expose().len()));
        }
        "token_blocking" => {
            repeat(times, || session.token_blocking().map_or(0, |token| token.expose().len()));
        }
        "nothing" => repeat(times, || 4),
        other => panic!("no such way of reading: {other}"),
    }
}

#[inline]
fn repeat(times: u32, mut read: impl FnMut() -> usize) {
    for _ in 0..times {
        assert_eq!(black_box(read()), 4);
    }
}

/// Nanoseconds a read: a row a round, a column a way.
fn measure(world: &World, rounds: u32, reads: u32, threads: u32) -> Vec<Vec<f64>> {
    let round = |_| WAYS.iter().map(|way| at_once(world, way, reads, threads)).collect();
    (0..rounds).map(round).collect()
}

fn at_once(world: &World, way: &str, reads: u32, threads: u32) -> f64 {
    let barrier = Barrier::new(threads as usize);
    let taken: Vec<f64> = thread::scope(|scope| {
        let readers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    read(world, way, 1000);
                    barrier.wait();
                    #[expect(clippy::disallowed_methods, reason = "it measures")]
                    let start = Instant::now();
                    read(world, way, reads);
                    start.elapsed().as_secs_f64() * 1e9 / f64::from(reads)
                })
            })
            .collect();
        readers.into_iter().map(|reader| reader.join().expect("no panic")).collect()
    });
    taken.iter().sum::<f64>() / f64::from(threads)
}

fn column(rows: &[Vec<f64>], way: usize) -> Vec<f64> {
    rows.iter().map(|row| row[way]).collect()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
