//! Very many families of refresh tokens in memory: the bytes of each, how many are claimed a second, and what is
//! left of clients' own tokens.
//!
//! `cargo bench --bench families`, or `-- --quick`.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use perennial::issue::{Issued, Issuer, Keys, Login, MemoryFamilies};
use perennial::token::Secret;

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick" || argument == "--test");
    let count = if quick { 100_000 } else { 1_000_000 };
    logins(count);
    credentials(count);
}

fn issuer(families: &MemoryFamilies, access: Duration) -> Issuer<MemoryFamilies> {
    let keys = Keys::new([7; 32]).expect("it is long enough");
    Issuer::builder(keys, families.clone()).access_lifetime(access).build()
}

/// Logs so many users in, and lets each refresh once.
fn logins(count: usize) {
    let families = MemoryFamilies::new();
    let issuer = issuer(&families, Duration::from_secs(3600));
    let mut tokens = Vec::with_capacity(count);
    let heap = allocation_counter::measure(|| {
        for user in 0..count {
            let login = Login::new("web", format!("user-{user}")).scope("read write");
            let response = at_once(issuer.login(login)).expect("a login");
            tokens.push(refresh_token(response));
        }
    });
    let texts: usize = tokens.iter().map(|token| token.expose().len()).sum();
    let each = real(heap.bytes_current.unsigned_abs()) - real(texts as u64);
    let each = each / real(count as u64);
    // In an order in which neighbours are not neighbours in memory.
    let mut place = 0;
    let begun = now();
    for _ in 0..count {
        place = (place + 7_919) % count;
        let response =
            at_once(issuer.refresh("web", &tokens[place], None)).expect("it is the newest");
        tokens[place] = refresh_token(response);
    }
    let claims = real(count as u64) / begun.elapsed().as_secs_f64();
    println!(
        "{{\"bench\":\"families\",\"families\":{},\"bytes\":{each:.0},\"claims_per_second\":{claims:.0}}}",
        families.len()
    );
}

/// Issues so many access tokens of one second to a client for itself.
fn credentials(count: usize) {
    const LIFETIME: Duration = Duration::from_secs(1);
    let families = MemoryFamilies::new();
    let issuer = issuer(&families, LIFETIME);
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        at_once(issuer.client_credentials("robot", Some("read"))).expect("a token");
        times.push(now());
    }
    let last = *times.last().expect("there are some");
    // A token is issued a little before its time is noted.
    let margin = Duration::from_millis(50);
    let alive = times.iter().filter(|it| last.duration_since(**it) <= LIFETIME + margin).count();
    assert!(families.len() <= alive, "{} records, and {alive} tokens work", families.len());
    println!(
        "{{\"bench\":\"families\",\"client_credentials\":{count},\"records_at_the_end\":{},\"alive\":{alive}}}",
        families.len()
    );
}

fn refresh_token(issued: Issued) -> Secret {
    issued.refresh_token.expect("there is a refresh token")
}

fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("what is in memory keeps nobody waiting"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "they are below 2^53")]
fn real(number: u64) -> f64 {
    number as f64
}

#[expect(clippy::disallowed_methods, reason = "it measures")]
fn now() -> Instant {
    Instant::now()
}
