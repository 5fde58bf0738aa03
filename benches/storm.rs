//! Very many callers wait for one refresh, beside what one would write by hand: a detached task,
//! and a `Mutex` around a `Vec<Waker>`. The same executor runs both; its tasks are counted in.
//!
//! `cargo bench --bench storm`, or `-- --quick`. With `-- --one perennial 10000` (or `baseline`) it
//! is one storm and nothing else, for a counter of instructions.

use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use perennial::refresh::{RefreshError, Request};
use perennial::session::Session;
use perennial::token::Grant;
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    let after = |name: &str, n| arguments.iter().skip_while(|argument| *argument != name).nth(n);
    if let (Some(who), Some(waiters)) = (after("--one", 1), after("--one", 2)) {
        let waiters = waiters.parse().expect("a number of waiters");
        match who.as_str() {
            "perennial" => drop(storm::<Perennial>(waiters)),
            "baseline" => drop(storm::<Baseline>(waiters)),
            other => panic!("no such contender: {other}"),
        }
        return;
    }
    let quick = arguments.iter().any(|argument| argument == "--quick" || argument == "--test");
    let rounds = if quick { 3 } else { 15 };
    for waiters in [1_000, 10_000, 100_000] {
        let mut ratios = Vec::new();
        let mut bytes = Vec::new();
        let mut refreshes = 0;
        for _ in 0..rounds {
            let ours = storm::<Perennial>(waiters);
            let theirs = storm::<Baseline>(waiters);
            ratios.push(ours.cpu / theirs.cpu);
            bytes.push((ours.bytes - theirs.bytes) / f64::from(waiters));
            refreshes = refreshes.max(ours.refreshes).max(theirs.refreshes);
        }
        println!(
            "{{\"bench\":\"storm\",\"waiters\":{waiters},\"cpu_ratio\":{:.3},\"bytes_above\":{:.1},\"refreshes\":{refreshes}}}",
            median(ratios),
            median(bytes)
        );
    }
}

/// What one storm cost.
struct Cost {
    /// Seconds of the whole process.
    cpu: f64,
    /// On the heap while all waited.
    bytes: f64,
    refreshes: usize,
}

/// One that makes callers.
trait Contender: Clone + Send + 'static {
    fn new(gate: Arc<Notify>, refreshes: Arc<AtomicUsize>) -> Self;

    /// A caller: the length of the token that it got.
    fn call(self) -> impl Future<Output = usize> + Send;
}

/// Lets `waiters` callers wait for one refresh, and all get their token.
fn storm<C: Contender>(waiters: u32) -> Cost {
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    let (gate, refreshes) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let contender = C::new(Arc::clone(&gate), Arc::clone(&refreshes));
    let mut tasks: Vec<JoinHandle<usize>> = Vec::with_capacity(waiters as usize);
    let before = cpu();
    let heap = allocation_counter::measure(|| {
        runtime.block_on(async {
            tasks.extend((0..waiters).map(|_| tokio::spawn(contender.clone().call())));
        });
        settle(&runtime, waiters);
    });
    gate.notify_one();
    let got = runtime.block_on(async {
        let mut got = 0;
        for task in tasks {
            got += task.await.expect("no panic");
        }
        got
    });
    let cpu = cpu() - before;
    assert_eq!(got, waiters as usize * 4, "each has the new token");
    #[expect(clippy::cast_precision_loss, reason = "a few megabytes")]
    let bytes = heap.bytes_current as f64;
    Cost { cpu, bytes, refreshes: refreshes.load(Ordering::Relaxed) }
}

/// Runs the executor until all callers wait.
fn settle(runtime: &Runtime, waiters: u32) {
    runtime.block_on(async {
        // A yield lets a bounded number of tasks run.
        for _ in 0..waiters / 16 + 16 {
            tokio::task::yield_now().await;
        }
    });
}

#[derive(Clone)]
struct Perennial(Session);

impl Contender for Perennial {
    fn new(gate: Arc<Notify>, refreshes: Arc<AtomicUsize>) -> Self {
        let refresh = move |_: Request| {
            refreshes.fetch_add(1, Ordering::Relaxed);
            let gate = Arc::clone(&gate);
            async move {
                gate.notified().await;
                Ok::<_, RefreshError>(Grant::new("at-2", "rt-2", Duration::from_secs(3600)))
            }
        };
        let session = Session::builder(refresh)
            .grant(Grant::of_refresh_token("rt-1"))
            .spawner(|task| drop(tokio::spawn(task)))
            .build();
        Self(session.expect("sendable"))
    }

    async fn call(self) -> usize {
        self.0.token().await.map_or(0, |token| token.expose().len())
    }
}

/// What one would write by hand.
#[derive(Clone)]
struct Baseline(Arc<ByHand>);

struct ByHand {
    state: Mutex<Held>,
    gate: Arc<Notify>,
    refreshes: Arc<AtomicUsize>,
}

struct Held {
    token: Option<(Arc<str>, Instant)>,
    waiters: Vec<Waker>,
    refreshing: bool,
}

impl Contender for Baseline {
    fn new(gate: Arc<Notify>, refreshes: Arc<AtomicUsize>) -> Self {
        let held = Held { token: None, waiters: Vec::new(), refreshing: false };
        Self(Arc::new(ByHand { state: Mutex::new(held), gate, refreshes }))
    }

    async fn call(self) -> usize {
        self.token().await.len()
    }
}

impl Baseline {
    async fn token(&self) -> Arc<str> {
        poll_fn(|cx| {
            let mut held = self.0.state.lock().expect("no panic under it");
            match &held.token {
                Some((token, until)) if now() < *until => return Poll::Ready(Arc::clone(token)),
                Some(_) | None => {}
            }
            held.waiters.push(cx.waker().clone());
            if !held.refreshing {
                held.refreshing = true;
                drop(tokio::spawn(self.clone().refresh()));
            }
            Poll::Pending
        })
        .await
    }

    async fn refresh(self) {
        self.0.refreshes.fetch_add(1, Ordering::Relaxed);
        self.0.gate.notified().await;
        let waiters = {
            let mut held = self.0.state.lock().expect("no panic under it");
            held.token = Some((Arc::from("at-2"), now() + Duration::from_secs(3600)));
            held.refreshing = false;
            std::mem::take(&mut held.waiters)
        };
        waiters.into_iter().for_each(Waker::wake);
    }
}

#[expect(clippy::disallowed_methods, reason = "one that is written by hand reads the clock")]
fn now() -> Instant {
    Instant::now()
}

/// The processor time of this process, in seconds.
#[expect(clippy::disallowed_methods, reason = "it measures")]
fn cpu() -> f64 {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    #[expect(clippy::cast_precision_loss, reason = "seconds and nanoseconds of a short run")]
    let seconds = spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9;
    seconds
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
