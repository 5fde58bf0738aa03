//! Many callers of one session, each doing what it likes, before a server that remembers: run by
//! shuttle's schedulers in `tests/shuttle`, and by real threads in `tests/stress.rs`. Whoever
//! includes this brings `runner`: threads, an executor, and dice.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use perennial::refresh::{RefreshError, Request};
use perennial::session::{Error, Rejection, Session};
use perennial::store::MemoryStore;
use perennial::time::Timestamp;
use perennial::token::{AccessToken, Grant, Secret};

use crate::runner::{Thread, block_on, dice, spawn};

const HOUR: Duration = Duration::from_secs(3600);
const START: i64 = 1_700_000_000_000;

/// What a scenario has besides callers.
#[derive(Copy, Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is there or not, by itself")]
pub(crate) struct Scenario {
    pub(crate) callers: usize,
    pub(crate) actions: usize,
    pub(crate) spawner: bool,
    pub(crate) store: bool,
    /// Whether callers log in and out.
    pub(crate) logins: bool,
    /// Whether time goes on meanwhile, beyond expiries and deadlines.
    pub(crate) hurry: bool,
}

/// The authorization server: one refresh token of each family is good, and is good once.
#[derive(Default)]
struct Server {
    present: Mutex<BTreeMap<usize, usize>>,
    out: AtomicUsize,
    refreshes: AtomicUsize,
    overlaps: AtomicUsize,
}

fn grant(family: usize, n: usize) -> Grant {
    Grant::new(format!("at-{family}-{n}"), format!("rt-{family}-{n}"), HOUR)
}

impl Server {
    fn login(&self) -> Grant {
        let mut present = self.present.lock().expect("no panic under it");
        let family = present.len();
        present.insert(family, 1);
        grant(family, 1)
    }

    /// Rotates. Rules B3, B6: what was rotated is not presented again, unless time ran out on the
    /// refresh that did (then the client cannot know, tries once more, and is refused).
    fn rotate(&self, presented: &str, hurry: bool) -> Result<Grant, RefreshError> {
        let mut parts = presented.split('-').skip(1).map(|part| part.parse().expect("a number"));
        let (family, n): (usize, usize) =
            (parts.next().expect("a family"), parts.next().expect("a number"));
        let mut present = self.present.lock().expect("no panic under it");
        let good = present.get_mut(&family).expect("a family that was given out");
        if hurry && n != *good {
            return Err(RefreshError::declined("invalid_grant"));
        }
        assert_eq!(n, *good, "a refresh token was presented again after it was rotated");
        *good += 1;
        Ok(grant(family, n + 1))
    }
}

/// Counts a refresh that is out.
struct Out(Arc<Server>);

impl Out {
    fn new(server: &Arc<Server>) -> Self {
        if server.out.fetch_add(1, Ordering::SeqCst) > 0 {
            server.overlaps.fetch_add(1, Ordering::SeqCst);
        }
        server.refreshes.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(server))
    }
}

impl Drop for Out {
    fn drop(&mut self) {
        self.0.out.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn refresh(
    server: Arc<Server>,
    request: Request,
    hurry: bool,
) -> Result<Grant, RefreshError> {
    let _out = Out::new(&server);
    for _ in 0..dice(3) {
        let mut yielded = false;
        poll_fn(|cx| {
            cx.waker().wake_by_ref();
            if std::mem::replace(&mut yielded, true) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
    match dice(8) {
        0 => Err(RefreshError::unavailable("503")),
        1 => panic!("planned"),
        _ => {
            let token = request.refresh_token().map(Secret::expose).expect("a refresh token");
            server.rotate(token, hurry)
        }
    }
}

/// Runs a scenario to its end, and holds it to the rules. Gives how many refreshes there were.
pub(crate) fn run(scenario: Scenario) -> usize {
    let server = Arc::new(Server::default());
    let now = Arc::new(AtomicI64::new(START));
    let (asked, clock) = (Arc::clone(&server), Arc::clone(&now));
    let mut builder =
        Session::builder(move |request| refresh(Arc::clone(&asked), request, scenario.hurry))
            .clock(move || Timestamp::from_millis(clock.load(Ordering::SeqCst)))
            .without_jitter()
            .random(|| 0)
            .on_orphan(drop)
            .grant(server.login());
    if scenario.spawner {
        builder = builder.spawner(|task| drop(spawn(move || block_on(task))));
    }
    let store = MemoryStore::new();
    if scenario.store {
        builder = builder.store(store.clone());
    }
    let session = builder.build().expect("sendable");
    let _ = session.token_blocking();
    now.fetch_add(3_600_000, Ordering::SeqCst);
    let callers: Vec<_> = (0..scenario.callers)
        .map(|_| {
            let actor = Actor {
                session: session.clone(),
                server: Arc::clone(&server),
                now: Arc::clone(&now),
            };
            spawn(move || actor.act(scenario))
        })
        .collect();
    callers.into_iter().for_each(Thread::join);
    if !scenario.hurry && !scenario.logins {
        // Rule B3: no deadline passed and no epoch ended, so there was one at a time.
        assert_eq!(server.overlaps.load(Ordering::SeqCst), 0, "two refreshes were out at once");
    }
    let _ = block_on(session.close());
    block_on(session.logout()).expect("memory"); // rule B11
    assert!(session.try_token().is_err() && session.grant().is_none());
    assert!(store.content().grant.is_none(), "nothing is left in the store, either");
    server.refreshes.load(Ordering::SeqCst)
}

/// Rule B11: what a later login or logout has undone is no success, and nothing else fails in memory.
fn stands_or_gives_way(came: Result<(), Error>) {
    assert!(came.is_ok() || came.is_err_and(|error| error.is_superseded()));
}

struct Actor {
    session: Session,
    server: Arc<Server>,
    now: Arc<AtomicI64>,
}

impl Actor {
    fn act(&self, scenario: Scenario) {
        let (mut last, mut rejected) = (None::<AccessToken>, None);
        for _ in 0..scenario.actions {
            let got = match dice(12) {
                0 | 1 => self.session.token_blocking().ok(),
                2 | 3 => block_on(self.session.token()).ok(),
                4 => self.leave_early(),
                5 => self.session.try_token().ok(),
                6 => {
                    // Rules B8, B9: one that could not be paid for stays in use.
                    let told = last.take().or_else(|| rejected.clone());
                    if let Some(token) = told {
                        if self.session.reject(&token) == Rejection::Kept {
                            last = Some(token);
                        } else {
                            rejected = Some(token);
                        }
                    }
                    None
                }
                7 => {
                    if let Some(token) = &last {
                        self.session.accept(token);
                    }
                    None
                }
                8 => block_on(self.session.token_valid_for(HOUR / 2)).ok(),
                9 => {
                    let _ = block_on(self.session.close());
                    None
                }
                10 if scenario.logins && dice(2) == 0 => {
                    stands_or_gives_way(block_on(self.session.logout()));
                    None
                }
                10 if scenario.logins => {
                    let grant = self.server.login();
                    stands_or_gives_way(block_on(self.session.install(grant)));
                    None
                }
                11 if scenario.hurry => {
                    let seconds = [1, 31, 3_400, 3_600][dice(4)];
                    self.now.fetch_add(seconds * 1000, Ordering::SeqCst);
                    None
                }
                _ => self.session.reader().token().ok().cloned(),
            };
            if let Some(got) = got {
                let number = got.generation().number();
                // Rules B4 and B2: never an older one, and never one whose rejection this told.
                let newest = last.iter().map(|last| last.generation().number()).max();
                assert!(newest.is_none_or(|newest| number >= newest), "{number} after {newest:?}");
                let dead = rejected.iter().any(|dead| dead.generation() == got.generation());
                assert!(!dead, "a rejected token was handed out");
                last = Some(got);
            }
        }
    }

    /// Polls a few times with a waker that nobody answers to, and goes away. Rule C4.
    fn leave_early(&self) -> Option<AccessToken> {
        let mut caller = pin!(self.session.token());
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..=dice(3) {
            if let Poll::Ready(result) = caller.as_mut().poll(&mut cx) {
                return result.ok();
            }
        }
        None
    }
}
