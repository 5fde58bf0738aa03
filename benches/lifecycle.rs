//! What one transition of the pure machine costs, and one read of the session.
//!
//! `cargo bench --bench lifecycle`. Times depend on the machine; compare within one run only.

#![allow(missing_docs, reason = "criterion's macro writes a public function")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use perennial::lifecycle::{Lifecycle, Novelty, Policy, TokenTimes};
use perennial::refresh::{RefreshError, Request};
use perennial::session::Session;
use perennial::time::{Draw, Span, Timestamp};
use perennial::token::Grant;

fn transitions(criterion: &mut Criterion) {
    let policy = Policy::default();
    let sent = Timestamp::from_secs(1_700_000_000);
    let lifetime = Some(Span::from_secs(3600));
    let token = TokenTimes { sent, lifetime, refresh_in: None, jitter: Draw::NONE };
    let mut held = Lifecycle::new(1);
    let _ = held.handle_installed(&policy, Some(token), None, sent);
    let renewed = TokenTimes { sent: sent.saturating_add(Span::from_secs(3400)), ..token };
    let later = sent.saturating_add(Span::from_secs(60));
    let due = sent.saturating_add(Span::from_secs(3400));

    let mut group = criterion.benchmark_group("lifecycle");
    group.bench_function("a valid token is asked for", |bencher| {
        bencher.iter(|| {
            let mut lifecycle = black_box(held);
            black_box(lifecycle.handle_requested(&policy, black_box(later)))
        });
    });
    group.bench_function("an early refresh starts and lands", |bencher| {
        bencher.iter(|| {
            let mut lifecycle = black_box(held);
            let start = lifecycle.handle_requested(&policy, black_box(due)).start();
            let flight = start.expect("the token is due").flight;
            black_box(lifecycle.handle_refreshed(
                &policy,
                flight,
                renewed,
                Novelty::New,
                Draw::NONE,
                due,
            ))
        });
    });
    group.bench_function("poll_timeout", |bencher| {
        bencher.iter(|| black_box(held).poll_timeout(&policy, black_box(later)));
    });
    group.finish();
}

fn reads(criterion: &mut Criterion) {
    let grant = || Grant::new("at", "rt", Duration::from_secs(3600));
    let session = Session::builder(move |_: Request| async move { Ok::<_, RefreshError>(grant()) })
        .grant(grant())
        .build()
        .expect("the grant can be sent");
    let mut group = criterion.benchmark_group("session");
    group.bench_function("try_token while valid", |bencher| bencher.iter(|| session.try_token()));
    group.bench_function("token_blocking while valid", |bencher| {
        bencher.iter(|| session.token_blocking());
    });
    group.finish();
}

criterion_group!(benches, transitions, reads);
criterion_main!(benches);
