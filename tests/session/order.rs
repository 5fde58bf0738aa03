//! Logins, logouts, closes and refreshes of one session at once, on a store that takes its time: every
//! order of their steps, one after another on one thread. What threads do besides is `tests/loom`'s.

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use perennial::refresh::{RefreshError, Request};
use perennial::session::Session;
use perennial::store::{MemoryStore, Store, StoreError, StoredGrant, Swap, Version, Versioned};
use perennial::time::Timestamp;
use perennial::token::{Grant, Secret};

const HOUR: Duration = Duration::from_secs(3600);
const START: i64 = 1_700_000_000_000;

/// The `n`th grant of a family.
fn grant(family: usize, n: usize) -> Grant {
    Grant::new(format!("at-{family}-{n}"), format!("rt-{family}-{n}"), HOUR)
}

/// Family and number of a token's text.
fn parts(text: &str) -> (usize, usize) {
    let mut parts = text.split('-').skip(1).map(|part| part.parse().expect("a number"));
    (parts.next().expect("a family"), parts.next().expect("a number"))
}

fn newest_of(grant: Option<&Grant>) -> Option<(usize, usize)> {
    Some(parts(grant?.refresh_token().map(Secret::expose)?))
}

fn family(grant: Option<&Grant>) -> Option<usize> {
    newest_of(grant).map(|(family, _)| family)
}

/// Lets `times` polls go by.
async fn polls(times: usize) {
    let mut left = times;
    poll_fn(|cx| {
        cx.waker().wake_by_ref();
        left = left.wrapping_sub(1);
        if left == usize::MAX { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// A store that takes some polls before it has done something, and as many before it says so.
#[derive(Clone)]
struct Slow {
    store: MemoryStore,
    before: usize,
    after: usize,
}

impl Store for Slow {
    fn load(&self) -> impl Future<Output = Result<Versioned, StoreError>> + Send + 'static {
        let this = self.clone();
        async move {
            polls(this.before).await;
            let content = this.store.load().await;
            polls(this.after).await;
            content
        }
    }

    fn swap(
        &self,
        expected: Version,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        let this = self.clone();
        async move {
            polls(this.before).await;
            let swap = this.store.swap(expected, next).await;
            polls(this.after).await;
            swap
        }
    }
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Op {
    /// A login to this family.
    Install(usize),
    Logout,
    Close,
    /// A caller whose token has lapsed.
    Token,
}

impl Op {
    /// Whether it decides what the session holds.
    fn decides(self) -> bool {
        matches!(self, Self::Install(_) | Self::Logout)
    }
}

/// What came of one: a token's family, or nothing; or the failure.
type Came = Result<Option<usize>, perennial::session::Error>;
type Running<'a> = Pin<Box<dyn Future<Output = Came> + 'a>>;

fn run(session: &Session, op: Op) -> Running<'_> {
    match op {
        Op::Install(family) => {
            Box::pin(async move { session.install(grant(family, 1)).await.map(|()| None) })
        }
        Op::Logout => Box::pin(async move { session.logout().await.map(|()| None) }),
        Op::Close => Box::pin(async move { session.close().await.map(|()| None) }),
        Op::Token => Box::pin(async move {
            let token = session.token().await?;
            Ok(Some(parts(token.expose()).0))
        }),
    }
}

struct World {
    session: Session,
    store: MemoryStore,
    /// The newest of each family that the server has granted.
    newest: Arc<Mutex<Vec<usize>>>,
    orphans: Arc<Mutex<Vec<(usize, usize)>>>,
}

/// A session of family 0, read from its store, whose token has lapsed.
fn world(before: usize, after: usize) -> World {
    let store = MemoryStore::new();
    let slow = Slow { store: store.clone(), before, after };
    let newest = Arc::new(Mutex::new(vec![1; 4]));
    let orphans = Arc::new(Mutex::new(Vec::new()));
    let (server, offered) = (Arc::clone(&newest), Arc::clone(&orphans));
    let now = Arc::new(AtomicI64::new(START));
    let clock = Arc::clone(&now);
    let session = Session::builder(move |request: Request| {
        let presented = request.refresh_token().map(Secret::expose).expect("a refresh token");
        let (family, n) = parts(presented);
        let mut newest = server.lock().expect("no panic");
        assert_eq!(newest[family], n, "{presented} is spent");
        newest[family] += 1;
        let answer = grant(family, n + 1);
        async move {
            polls(1).await;
            Ok::<_, RefreshError>(answer)
        }
    })
    .clock(move || Timestamp::from_millis(clock.load(Ordering::Relaxed)))
    .without_jitter()
    .store(slow)
    .on_orphan(move |grant| {
        offered.lock().expect("no panic").extend(newest_of(Some(&grant)));
    })
    .grant(grant(0, 1))
    .build()
    .expect("sendable");
    let mut first = run(&session, Op::Token);
    while poll(&mut first).is_pending() {}
    drop(first);
    now.fetch_add(3_600_000, Ordering::Relaxed);
    World { session, store, newest, orphans }
}

fn poll(running: &mut Running<'_>) -> Poll<Came> {
    running.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// One order: at each step, which of those that still run is polled. Gives how many there were to choose
/// from at each.
fn play(ops: &[Op], (before, after): (usize, usize), order: &[usize]) -> Vec<usize> {
    let world = world(before, after);
    let session = &world.session;
    let mut running: Vec<(Op, Running<'_>)> =
        ops.iter().map(|op| (*op, run(session, *op))).collect();
    let (mut begun, mut choices) = (Vec::<Op>::new(), Vec::new());
    let (mut stands, mut was_held) = (None, BTreeSet::new());
    while !running.is_empty() {
        let chosen = order.get(choices.len()).copied().unwrap_or(0);
        choices.push(running.len());
        let (op, future) = &mut running[chosen];
        let op = *op;
        if op.decides() && !begun.contains(&op) {
            begun.push(op);
        }
        let came = poll(future);
        was_held.extend(newest_of(session.grant().as_ref()));
        let Poll::Ready(came) = came else { continue };
        drop(running.remove(chosen));
        let held = family(session.grant().as_ref());
        match (op, came) {
            (Op::Install(family), Ok(_)) => {
                assert_eq!(held, Some(family), "{op:?} says that it is done");
                stands = Some(op);
            }
            (Op::Logout, Ok(_)) => {
                assert_eq!(held, None, "{op:?} says that it is done");
                stands = Some(op);
            }
            (Op::Install(_) | Op::Logout, Err(error)) => {
                assert!(error.is_superseded(), "{op:?}: {error}");
                assert_ne!(begun.last(), Some(&op), "the last that began came to nothing");
            }
            (Op::Token, Ok(token)) => assert_eq!(token, held, "a token that is withdrawn"),
            (Op::Token, Err(error)) => {
                assert!(error.is_login_required() || !begun.is_empty(), "{error}");
            }
            (Op::Close, came) => assert!(came.is_ok(), "{came:?}"),
        }
    }
    let last = begun.last().copied();
    assert_eq!(stands, last, "the last that began is the last that stands: {begun:?}");
    let mut close = run(session, Op::Close);
    let closed = loop {
        if let Poll::Ready(closed) = poll(&mut close) {
            break closed;
        }
    };
    drop(close);
    closed.expect("nothing hangs");
    let held = match last {
        Some(Op::Install(family)) => Some(family),
        Some(_) => None,
        None => Some(0),
    };
    let (grant, stored) = (session.grant(), world.store.content().grant);
    assert_eq!(family(grant.as_ref()), held, "in memory, after {begun:?}");
    assert_eq!(stored.map(|stored| stored.grant), grant, "what is held is stored");
    // Rule B14: what was granted was held, or was offered as an orphan.
    was_held.extend(newest_of(grant.as_ref()));
    was_held.extend(world.orphans.lock().expect("no panic").iter());
    for (family, newest) in world.newest.lock().expect("no panic").iter().enumerate() {
        let known = *newest == 1 || was_held.contains(&(family, *newest));
        assert!(known, "the grant {newest} of family {family} is lost");
    }
    choices
}

/// Every order of `ops`, beginning with each of them. Gives how many there are.
fn every_order(ops: &[Op], pace: (usize, usize)) -> usize {
    static REPORTS: AtomicBool = AtomicBool::new(false);
    let (mut order, mut orders) = (Vec::new(), 0);
    loop {
        let told = std::panic::catch_unwind(|| play(ops, pace, &order));
        let choices = told.unwrap_or_else(|panic| {
            if !REPORTS.swap(true, Ordering::Relaxed) {
                eprintln!("{ops:?} at {pace:?}, polled in this order: {order:?}");
            }
            std::panic::resume_unwind(panic)
        });
        orders += 1;
        // The next in the order of a dictionary.
        order.resize(choices.len(), 0);
        while order.last().is_some_and(|chosen| chosen + 1 == choices[order.len() - 1]) {
            order.pop();
        }
        let Some(last) = order.last_mut() else { return orders };
        *last += 1;
    }
}

// Rules B11, B2, F2. Cases X31, X32.
#[test]
fn in_every_order_of_two_the_login_or_logout_that_began_last_stands() {
    let ops = [Op::Install(1), Op::Install(2), Op::Logout, Op::Close, Op::Token];
    let mut orders = 0;
    for (index, one) in ops.iter().enumerate() {
        for other in &ops[index + 1..] {
            orders += every_order(&[*one, *other], (1, 1));
        }
    }
    println!("{orders} orders");
    assert!(orders > 1000, "{orders}");
}

// Rules B11, B2, F2. Cases X31, X32.
#[test]
fn in_every_order_of_three_the_login_or_logout_that_began_last_stands() {
    let triples = [
        [Op::Install(1), Op::Install(2), Op::Logout],
        [Op::Install(1), Op::Logout, Op::Close],
        [Op::Install(1), Op::Install(2), Op::Token],
        [Op::Install(1), Op::Logout, Op::Token],
    ];
    let mut orders = 0;
    for ops in triples {
        for pace in [(1, 0), (0, 1)] {
            orders += every_order(&ops, pace);
        }
    }
    println!("{orders} orders");
    assert!(orders > 1000, "{orders}");
}
