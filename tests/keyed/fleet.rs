//! Many processes that keep the same keys fresh, over one store with leases.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};
use std::time::Duration;

use fastrand::Rng;
use perennial::clock::{Clock as _, Timer as _};
use perennial::keyed::{Builder, KeepFresh, Sessions};
use perennial::lifecycle::{Policy, Reuse};
use perennial::refresh::{BoxFuture, RefreshError, Request};
use perennial::store::{
    Acquired, Lease, MemoryStore, Store, StoreError, StoredGrant, Swap, Version, Versioned,
};
use perennial::testing::VirtualTime;
use perennial::time::Timestamp;
use perennial::token::Secret;

use crate::grant;
use crate::session_support::{HOUR, Hand, SECOND, START, at_once, text};

/// How long the server takes to answer.
const LATENCY: Duration = Duration::from_millis(50);

/// How long a lease lasts: twice the default deadline of a refresh.
const TERM: Duration = Duration::from_secs(60);

/// The store of one key, as on a server: its lease has a term, and waiters are told of changes.
#[derive(Clone)]
struct Shared {
    store: MemoryStore,
    time: VirtualTime,
    lease: Arc<Mutex<Option<(Version, Timestamp)>>>,
    told: Arc<Mutex<Told>>,
}

#[derive(Default)]
struct Told {
    changes: u64,
    waiting: Vec<Waker>,
    acquired: usize,
    busy: usize,
}

impl Shared {
    fn new(key: u64, time: &VirtualTime) -> Self {
        let (store, time) = (MemoryStore::new(), time.clone());
        let first = StoredGrant::new(grant(key, 1), START);
        at_once(store.swap(Version::EMPTY, Some(first))).expect("memory");
        Self { store, time, lease: Arc::default(), told: Arc::default() }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().expect("no panic")
    }

    fn tell(&self) {
        let waiting = {
            let mut told = self.told();
            told.changes += 1;
            std::mem::take(&mut told.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl Store for Shared {
    fn load(&self) -> impl Future<Output = Result<Versioned, StoreError>> + Send + 'static {
        self.store.load()
    }

    fn swap(
        &self,
        expected: Version,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        let this = self.clone();
        async move {
            let swapped = this.store.swap(expected, next).await;
            this.tell();
            swapped
        }
    }

    fn lease(&self) -> Option<Arc<dyn Lease>> {
        Some(Arc::new(self.clone()))
    }
}

impl Lease for Shared {
    fn acquire(&self, term: Duration) -> BoxFuture<Result<Acquired, StoreError>> {
        let this = self.clone();
        Box::pin(async move {
            let now = this.time.now();
            let mut lease = this.lease.lock().expect("no panic");
            if let Some((_, until)) = lease.filter(|(_, until)| *until > now) {
                this.told().busy += 1;
                return Ok(Acquired::Busy { remaining: Some(until.since(now).to_duration()) });
            }
            // No two leases have the same number.
            let found = this.store.content();
            at_once(this.store.swap(found.version, found.grant))?;
            let content = this.store.content();
            *lease = Some((content.version, now.saturating_add(term.into())));
            this.told().acquired += 1;
            Ok(Acquired::Held(content))
        })
    }

    fn renew(&self, fence: Version, term: Duration) -> BoxFuture<Result<bool, StoreError>> {
        let (lease, now) = (Arc::clone(&self.lease), self.time.now());
        Box::pin(async move {
            let mut lease = lease.lock().expect("no panic");
            let held = lease.is_some_and(|(held, until)| held == fence && until > now);
            if held {
                *lease = Some((fence, now.saturating_add(term.into())));
            }
            Ok(held)
        })
    }

    fn release(&self, fence: Version) -> BoxFuture<Result<(), StoreError>> {
        let this = self.clone();
        Box::pin(async move {
            this.lease.lock().expect("no panic").take_if(|(held, _)| *held == fence);
            this.tell();
            Ok(())
        })
    }

    fn changed(&self) -> BoxFuture<()> {
        let (this, before) = (self.clone(), self.told().changes);
        Box::pin(poll_fn(move |cx| {
            let mut told = this.told();
            if told.changes > before {
                return Poll::Ready(());
            }
            told.waiting.push(cx.waker().clone());
            Poll::Pending
        }))
    }
}

/// A request that the server has seen.
#[derive(Clone, Debug)]
struct Seen {
    process: usize,
    key: u64,
    presented: String,
    at: Timestamp,
}

/// A process: its sessions, and what keeps them fresh.
struct Process {
    sessions: Sessions<u64>,
    keeper: Hand<KeepFresh<u64>>,
    woken: Option<usize>,
}

struct Fleet {
    time: VirtualTime,
    stores: Arc<BTreeMap<u64, Shared>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    processes: Vec<Option<Process>>,
}

impl Fleet {
    /// Processes that have looked up each key once, and keep all of them fresh.
    fn start(processes: usize, keys: u64, with: impl Fn(Builder<u64>) -> Builder<u64>) -> Self {
        let time = VirtualTime::at(START);
        let stores = (0..keys).map(|key| (key, Shared::new(key, &time))).collect();
        let mut this =
            Self { time, stores: Arc::new(stores), seen: Arc::default(), processes: Vec::new() };
        for process in 0..processes {
            let sessions = with(this.builder(process)).build();
            for key in 0..keys {
                assert_eq!(text(sessions.token_blocking(&key)), format!("at-{key}-1"));
            }
            let keeper = Hand::new(sessions.keep_fresh(this.time.clone()));
            this.processes.push(Some(Process { sessions, keeper, woken: None }));
        }
        this
    }

    fn builder(&self, process: usize) -> Builder<u64> {
        let (time, seen, stores) =
            (self.time.clone(), Arc::clone(&self.seen), Arc::clone(&self.stores));
        // The same refresh token gets the same answer.
        let refresh = move |key: &u64, request: Request| {
            let presented = request.refresh_token().map(Secret::expose).expect("it has one");
            let (_, number) = presented.rsplit_once('-').expect("as granted");
            let granted = grant(*key, number.parse::<usize>().expect("a number") + 1);
            let (presented, at) = (presented.to_owned(), time.now());
            seen.lock().expect("no panic").push(Seen { process, key: *key, presented, at });
            let answered = time.sleep(LATENCY);
            async move {
                answered.await;
                Ok::<_, RefreshError>(granted)
            }
        };
        // Each process draws for itself.
        let rng = Mutex::new(Rng::with_seed(process as u64));
        Sessions::builder(refresh)
            .stores(move |key| stores[key].clone())
            .clock(self.time.clone())
            .timer(self.time.clone())
            .random(move || rng.lock().expect("no panic").u32(..))
    }

    /// Polls whoever was woken, and lets time pass up to `until`, or as soon as `enough` says so.
    fn run(&mut self, until: Timestamp, enough: impl Fn(&Self) -> bool) {
        loop {
            while self.poll_woken() {
                if enough(self) {
                    return;
                }
            }
            match self.time.next_alarm().filter(|at| *at <= until) {
                Some(at) => self.time.set(at.max(self.time.now())),
                None => return self.time.set(until),
            }
        }
    }

    fn run_for(&mut self, span: Duration) {
        let until = self.time.now().saturating_add(span.into());
        self.run(until, |_| false);
    }

    fn poll_woken(&mut self) -> bool {
        let mut any = false;
        for process in self.processes.iter_mut().flatten() {
            let woken = Some(process.keeper.woken());
            if process.woken != woken {
                process.woken = woken;
                process.keeper.pending();
                any = true;
            }
        }
        any
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no panic").clone()
    }

    /// Asserts that each living process hands out a token for each key, which is the stored one or one
    /// before it that has not expired.
    #[track_caller]
    fn assert_served(&self) {
        for process in self.processes.iter().flatten() {
            for key in self.stores.keys() {
                process.sessions.try_token(key).expect("it is kept fresh");
            }
        }
    }
}

fn as_it_is(builder: Builder<u64>) -> Builder<u64> {
    builder
}

// Rule F4: "However many processes and callers share a grant, there MUST be one refresh per expiry."
#[test]
fn a_due_grant_is_refreshed_by_one_process_of_a_fleet_and_the_work_is_shared() {
    const PROCESSES: usize = 4;
    const KEYS: u64 = 100;
    let mut fleet = Fleet::start(PROCESSES, KEYS, as_it_is);
    let hours = 4;
    for _ in 0..hours * 6 {
        fleet.run_for(HOUR / 6);
        fleet.assert_served();
    }
    let mut last: BTreeMap<u64, (usize, Timestamp)> = BTreeMap::new();
    let mut shares = [0_usize; PROCESSES];
    for Seen { process, key, presented, at } in fleet.seen() {
        let (number, before) = last.get(&key).copied().unwrap_or((0, START));
        assert_eq!(presented, format!("rt-{key}-{}", number + 1), "each token is presented once");
        let span = at.since(before).to_duration();
        // By the policy it is due from 2850 s on, and at 3300 s at the latest.
        assert!((2850 * SECOND..=3302 * SECOND).contains(&span), "{span:?} after the one before");
        last.insert(key, (number + 1, at));
        shares[process] += 1;
    }
    let all: usize = shares.iter().sum();
    assert!(last.values().all(|(count, _)| *count >= hours), "a grant was not refreshed");
    for share in shares {
        let fair = all / PROCESSES;
        assert!((fair / 2..=fair * 3 / 2).contains(&share), "not shared: {shares:?}");
    }
    // Each of the others has the lease once for each refresh, adopts, and sends nothing. Some have
    // not become due yet.
    let turns: usize = fleet.stores.values().map(|store| store.told().acquired).sum();
    let range = (all - last.len()) * PROCESSES..=all * PROCESSES;
    assert!(range.contains(&turns), "{turns} turns for {all} refreshes by {PROCESSES} processes");
}

// Rule F4.
#[test]
fn processes_that_are_due_at_once_wait_for_one_of_them_and_adopt() {
    let mut fleet = Fleet::start(3, 20, Builder::without_jitter);
    for hour in 1..=3 {
        fleet.run_for(HOUR);
        fleet.assert_served();
        assert_eq!(fleet.seen().len(), 20 * hour, "one request for each key and expiry");
    }
    let waited: usize = fleet.stores.values().map(|store| store.told().busy).sum();
    assert!(waited > 0, "nobody has waited for another");
    for process in fleet.processes.iter().flatten() {
        assert_eq!(text(process.sessions.try_token(&7)), "at-7-4", "what one has stored");
    }
}

// Rule F4: "A holder that dies MUST be replaced once its term is over".
#[test]
fn what_a_process_leaves_undone_when_it_dies_another_process_of_the_fleet_does() {
    let repeats = Policy::builder().reuse(Reuse::idempotent(600 * SECOND)).build().expect("valid");
    let mut fleet = Fleet::start(3, 10, |builder| builder.policy(repeats));
    let end = START.saturating_add(HOUR.into());
    fleet.run(end, |fleet| !fleet.seen().is_empty());
    let died = fleet.seen().pop().expect("a request is out");
    let (now, key) = (fleet.time.now(), died.key);
    // Its lease is not released, nor its request answered.
    drop(fleet.processes[died.process].take());
    assert!(fleet.stores[&key].lease.lock().expect("no panic").is_some());
    fleet.run(end, |fleet| fleet.seen().iter().filter(|seen| seen.key == key).count() > 1);
    fleet.assert_served();
    let successor = fleet.seen().pop().expect("another process asks again");
    assert_ne!(successor.process, died.process);
    assert_eq!(successor.presented, died.presented);
    // The next holder becomes due by its own jitter, may find the lease still held then, and takes the
    // doubt over, with a backoff of an eighth of the window at most.
    let latest = now.saturating_add((450 * SECOND + TERM + 75 * SECOND).into());
    assert!(successor.at <= latest, "{:?}", successor.at.since(now));
    fleet.run_for(2 * HOUR);
    fleet.assert_served();
    assert!(fleet.seen().iter().all(|seen| seen.at <= died.at || seen.process != died.process));
}

// Rules B12, F4.
#[test]
fn a_key_that_is_first_looked_up_while_a_keeper_runs_is_kept_fresh_too() {
    let mut fleet = Fleet::start(1, 1, as_it_is);
    let sessions = fleet.builder(1).build();
    let keeper = Hand::new(sessions.keep_fresh(fleet.time.clone()));
    fleet.processes[0] = Some(Process { sessions, keeper, woken: None });
    fleet.run_for(SECOND);
    let process = fleet.processes[0].as_ref().expect("it lives");
    assert_eq!(text(process.sessions.token_blocking(&0)), "at-0-1");
    fleet.run_for(HOUR);
    assert_eq!(fleet.seen().len(), 1, "nobody but the keeper asks");
    fleet.assert_served();
}
