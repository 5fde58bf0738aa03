//! The small world that the models share.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use loom::sync::{Condvar, Mutex};
use perennial::refresh::{RefreshError, Request};
use perennial::session::{Builder, Session};
use perennial::store::{MemoryStore, Store, StoreError, StoredGrant, Swap, Version, Versioned};
use perennial::time::Timestamp;
use perennial::token::Grant;

const START: i64 = 1_700_000_000_000;

/// A clock that a model moves. Not seen by loom: instants are given, not communicated.
#[derive(Clone)]
pub(crate) struct Hand(Arc<AtomicI64>);

impl Hand {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(START)))
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1000, Ordering::Relaxed);
    }

    pub(crate) fn clock(&self) -> impl Fn() -> Timestamp + Send + Sync + 'static {
        let hand = Arc::clone(&self.0);
        move || Timestamp::from_millis(hand.load(Ordering::Relaxed))
    }
}

/// How many refreshes were sent.
#[derive(Clone, Default)]
pub(crate) struct Sent(Arc<AtomicUsize>);

impl Sent {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts one more; gives its number, from 1.
    pub(crate) fn one(&self) -> usize {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// What the server grants for the `n`th refresh: `at-{n+1}`.
pub(crate) fn grant(n: usize) -> Grant {
    let n = n + 1;
    Grant::new(format!("at-{n}"), format!("rt-{n}"), Duration::from_secs(3600))
}

fn settle(builder: Builder, hand: &Hand) -> Session {
    builder
        .clock(hand.clock())
        .without_jitter()
        .random(|| 0)
        .grant(grant(0))
        .build()
        .expect("sendable")
}

/// A session whose server answers at once.
pub(crate) fn prompt(hand: &Hand) -> (Session, Sent) {
    let sent = Sent::default();
    let counter = sent.clone();
    let session = Session::builder(move |_: Request| {
        let n = counter.one();
        async move { Ok::<_, RefreshError>(grant(n)) }
    });
    (settle(session, hand), sent)
}

/// A session whose server answers once the gate is opened.
pub(crate) fn gated(hand: &Hand, gate: &Gate) -> (Session, Sent) {
    let (builder, sent) = gated_builder(gate);
    (settle(builder, hand), sent)
}

pub(crate) fn gated_builder(gate: &Gate) -> (Builder, Sent) {
    let (sent, gate) = (Sent::default(), gate.clone());
    let counter = sent.clone();
    let builder = Session::builder(move |_: Request| {
        let (n, gate) = (counter.one(), gate.clone());
        async move {
            gate.await;
            Ok::<_, RefreshError>(grant(n))
        }
    });
    (builder, sent)
}

/// A session whose refresher is `refresh`.
pub(crate) fn with<F, Fut>(hand: &Hand, refresh: F) -> Session
where
    F: Fn(Request) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Grant, RefreshError>> + Send + 'static,
{
    settle(Session::builder(refresh), hand)
}

pub(crate) fn built(builder: Builder, hand: &Hand) -> Session {
    settle(builder, hand)
}

/// A store in memory that answers each call at the second poll.
#[derive(Clone, Default)]
pub(crate) struct Yielding(MemoryStore);

impl Store for Yielding {
    fn load(&self) -> impl Future<Output = Result<Versioned, StoreError>> + Send + 'static {
        let store = self.0.clone();
        async move {
            yielded().await;
            store.load().await
        }
    }

    fn swap(
        &self,
        expected: Version,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        let store = self.0.clone();
        async move {
            yielded().await;
            store.swap(expected, next).await
        }
    }
}

/// A store in memory that says at the second poll what it has done at the first.
#[derive(Clone, Default)]
pub(crate) struct Late(pub(crate) MemoryStore);

impl Store for Late {
    fn load(&self) -> impl Future<Output = Result<Versioned, StoreError>> + Send + 'static {
        self.0.load()
    }

    fn swap(
        &self,
        expected: Version,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        let store = self.0.clone();
        async move {
            let swap = store.swap(expected, next).await;
            yielded().await;
            swap
        }
    }
}

async fn yielded() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        cx.waker().wake_by_ref();
        if std::mem::replace(&mut yielded, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Something that is waited for until another thread opens it. Seen by loom.
#[derive(Clone)]
pub(crate) struct Gate(Arc<Mutex<(bool, Option<Waker>)>>);

impl Gate {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new((false, None))))
    }

    /// One that is open from the start.
    pub(crate) fn opened() -> Self {
        let gate = Self::new();
        gate.open();
        gate
    }

    pub(crate) fn open(&self) {
        let waker = {
            let mut gate = self.0.lock().expect("no panic under it");
            gate.0 = true;
            gate.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Future for Gate {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut gate = self.0.lock().expect("no panic under it");
        if gate.0 {
            return Poll::Ready(());
        }
        gate.1 = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// An executor of one future, as small as they come: what is polled again is what was woken.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let woken = Arc::new(Woken(Mutex::new(false), Condvar::new()));
    let waker = Waker::from(Arc::clone(&woken));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        let mut called = woken.0.lock().expect("no panic under it");
        while !*called {
            called = woken.1.wait(called).expect("no panic under it");
        }
        *called = false;
    }
}

struct Woken(Mutex<bool>, Condvar);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        *self.0.lock().expect("no panic under it") = true;
        self.1.notify_one();
    }
}

/// Polls once with a waker that nobody answers to.
pub(crate) fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}
