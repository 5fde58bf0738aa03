//! A flight from end to end, a hand-over, and readers during an early refresh.

#![allow(missing_docs, reason = "criterion's macro writes a public function")]

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use perennial::refresh::{RefreshError, Request};
use perennial::session::Session;
use perennial::time::Timestamp;
use perennial::token::Grant;

/// A session whose token has been valid for so many seconds of its hour, on a clock that stands.
fn aged(seconds: i64, answers: bool) -> Session {
    let start = 1_700_000_000_000;
    let now = Arc::new(AtomicI64::new(start));
    let hand = Arc::clone(&now);
    let refresher = move |_: Request| async move {
        if !answers {
            std::future::pending::<()>().await;
        }
        Ok::<_, RefreshError>(Grant::new("at-2", "rt-2", Duration::from_secs(3600)))
    };
    let session = Session::builder(refresher)
        .clock(move || Timestamp::from_millis(now.load(Ordering::Relaxed)))
        .without_jitter()
        .grant(Grant::new("at-1", "rt-1", Duration::from_secs(3600)))
        .spawner(drop)
        .build()
        .expect("sendable");
    hand.store(start + seconds * 1000, Ordering::Relaxed);
    session
}

fn flights(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("flight");
    group.bench_function("one blocking caller waits for a refresh", |bencher| {
        bencher.iter_batched(
            || aged(3600, true),
            |session| session.token_blocking().expect("a token"),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("one task awaits a refresh", |bencher| {
        bencher.iter_batched(
            || aged(3600, true),
            |session| futures::executor::block_on(session.token()).expect("a token"),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("a driver is dropped and another takes over", |bencher| {
        let mut cx = Context::from_waker(Waker::noop());
        bencher.iter_batched(
            || aged(3600, false),
            |session| {
                {
                    let mut first = pin!(session.token());
                    assert!(first.as_mut().poll(&mut cx).is_pending());
                }
                let mut second = pin!(session.token());
                assert!(second.as_mut().poll(&mut cx).is_pending());
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn early(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read around an early refresh");
    for (name, seconds) in [("before it", 60), ("while it is out", 3400)] {
        let session = aged(seconds, false);
        session.try_token().expect("it still works");
        group.bench_function(name, |bencher| {
            bencher.iter(|| session.with_token(|token| token.expose().len()).expect("a token"));
        });
    }
    group.finish();
}

criterion_group!(benches, flights, early);
criterion_main!(benches);
