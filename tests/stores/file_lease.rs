//! Sessions that take turns at one grant file: two in one process, and one beside another process.
//!
//! Another process is played by a lock on an open file of its own: to the operating system, which
//! locks by open file, that is the same.
#![cfg(unix)]

use std::fs::File;
use std::future::{Future, IntoFuture};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use fs4::{FileExt, TryLockError};
use futures::executor::block_on;
use perennial::adapters::file::FileStore;
use perennial::clock::Clock;
use perennial::lifecycle::Policy;
use perennial::session::{Error, Session};
use perennial::store::{Acquired, Store, StoredGrant, Swap};
use perennial::testing::{Response, Scripted, VirtualTime};
use perennial::time::Timestamp;
use perennial::token::{AccessToken, Grant};
use tempfile::TempDir;

const START: Timestamp = Timestamp::from_secs(1_700_000_000);
const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);

/// How long a test may hang before it counts as hung. Nothing waits for it otherwise.
const WATCHDOG: Duration = Duration::from_secs(60);

/// A file with the grant `at-1` and `rt-1`, which lives for an hour.
fn granted() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("grant.json");
    let store = FileStore::open(&path).expect("a store");
    let empty = block_on(store.load()).expect("readable").version;
    let first = StoredGrant::new(Grant::new("at-1", "rt-1", HOUR), START);
    assert!(matches!(block_on(store.swap(empty, Some(first))), Ok(Swap::Done(_))));
    (directory, path)
}

fn session(path: &Path, script: &Scripted, time: &VirtualTime, policy: Policy) -> Session {
    Session::builder_with(script.clone())
        .store(FileStore::open(path).expect("a store"))
        .policy(policy)
        .clock(time.clone())
        .timer(time.clone())
        .without_jitter()
        .random(|| 1 << 31)
        .build()
        .expect("nothing to check")
}

/// What is asked for on a thread of its own, which a hang does not hold up.
struct Asked<T>(mpsc::Receiver<T>);

impl<T: Send + 'static> Asked<T> {
    fn new(ask: impl FnOnce() -> T + Send + 'static) -> Self {
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || sender.send(ask()));
        Self(receiver)
    }

    #[track_caller]
    fn ended(self) -> T {
        self.0.recv_timeout(WATCHDOG).expect("it hangs, or has panicked")
    }
}

fn asked(session: &Session) -> Asked<Result<AccessToken, Error>> {
    let session = session.clone();
    Asked::new(move || block_on(session.token().into_future()))
}

/// Polls once, and drops what is not done.
fn polled_once<F: Future>(future: impl IntoFuture<IntoFuture = F>) -> Option<F::Output> {
    let mut future = Box::pin(future.into_future());
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

/// Waits, without a limit but the watchdog's, until other threads have brought `condition` about.
#[track_caller]
fn until(condition: impl Fn() -> bool) {
    let (end, ended) = mpsc::channel::<()>();
    let dog = thread::spawn(move || {
        ended.recv_timeout(WATCHDOG).is_err_and(|it| it == mpsc::RecvTimeoutError::Timeout)
    });
    while !condition() {
        assert!(!dog.is_finished(), "it hangs");
        thread::yield_now();
    }
    drop(end);
}

#[track_caller]
fn text(result: Result<AccessToken, Error>) -> String {
    result.expect("a token").expose().to_owned()
}

/// The file that is locked during a refresh, opened as another process opens it.
fn refresh_file(path: &Path) -> File {
    let mut name = path.as_os_str().to_owned();
    name.push(".refresh");
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(name).expect("the file to lock")
}

/// Whether a refresh holds the lock.
fn is_locked(path: &Path) -> bool {
    let file = refresh_file(path);
    match FileExt::try_lock(&file) {
        Ok(()) => false,
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(error)) => panic!("the lock: {error}"),
    }
}

/// Whether a session waits for another holder, and asks again soon. The deadline of a refresh is not soon.
fn is_waiting(time: &VirtualTime) -> bool {
    time.next_alarm().is_some_and(|at| at <= time.now().saturating_add(SECOND.into()))
}

/// Two sessions of one process, with a store each, at an expired token; the request of the first is
/// under way, and the second has asked.
struct Two {
    _directory: TempDir,
    path: PathBuf,
    _sessions: [Session; 2],
    asked: [Asked<Result<AccessToken, Error>>; 2],
}

impl Two {
    fn at_an_expired_token(script: &Scripted) -> Self {
        let (directory, path) = granted();
        let time = VirtualTime::at(START);
        let sessions = [(); 2].map(|()| session(&path, script, &time, Policy::default()));
        for session in &sessions {
            assert_eq!(text(asked(session).ended()), "at-1");
        }
        time.advance(HOUR);
        let first = asked(&sessions[0]);
        until(|| script.requests() == 1);
        let second = asked(&sessions[1]);
        // It has found the lease taken, and asks again by the clock, or at the end of the first.
        until(|| is_waiting(&time));
        Self { _directory: directory, path, _sessions: sessions, asked: [first, second] }
    }
}

// Rules F3, F4. Case X30. Time stands still: what the second waits for is the end of the first.
#[test]
fn two_sessions_of_one_process_on_one_file_make_one_refresh_and_the_second_adopts_it() {
    let script = Scripted::new().then(Response::Hang);
    let two = Two::at_an_expired_token(&script);
    assert!(is_locked(&two.path));
    script.release(Response::Grant(Scripted::grant(1)));
    assert_eq!(two.asked.map(|it| text(it.ended())), ["at-2", "at-2"]);
    assert_eq!(script.presented(), [Some("rt-1".to_owned())]);
    until(|| !is_locked(&two.path));
}

// Rules F3, F4. What the first has not spent is presented by the second, without a wait.
#[test]
fn the_second_session_of_a_process_asks_at_once_where_the_first_was_not_granted() {
    let unavailable = perennial::refresh::RefreshError::unavailable("busy");
    let script = Scripted::new().then(Response::Hang);
    let two = Two::at_an_expired_token(&script);
    script.release(Response::Fail(unavailable));
    let [first, second] = two.asked;
    assert!(first.ended().expect_err("it was told so").is_unavailable());
    assert_eq!(text(second.ended()), "at-3");
    assert_eq!(script.presented(), [Some("rt-1".to_owned()), Some("rt-1".to_owned())]);
}

// Rules B11, F3. A login and a logout write by compare-and-swap alone.
#[test]
fn a_login_and_a_logout_do_not_wait_while_another_process_holds_the_lease() {
    let (_directory, path) = granted();
    let (script, time) = (Scripted::new(), VirtualTime::at(START));
    let session = session(&path, &script, &time, Policy::default());
    assert_eq!(text(asked(&session).ended()), "at-1");
    time.advance(HOUR);
    let other = refresh_file(&path);
    FileExt::lock(&other).expect("the lock of the other process");
    let waiting = asked(&session);
    until(|| is_waiting(&time));

    let installed = session.clone();
    let login = Grant::new("at-7", "rt-7", HOUR);
    Asked::new(move || block_on(installed.install(login))).ended().expect("stored");
    // Who waits for the other process gets it as well.
    assert_eq!(text(waiting.ended()), "at-7");
    let store = FileStore::open(&path).expect("a store");
    let stored = block_on(store.load()).expect("readable").grant.expect("a grant");
    assert_eq!(stored.grant.refresh_token().map(perennial::token::Secret::expose), Some("rt-7"));

    let left = session.clone();
    Asked::new(move || block_on(left.logout())).ended().expect("stored");
    assert_eq!(block_on(store.load()).expect("readable").grant, None);
    assert!(is_locked(&path));
    assert_eq!(script.requests(), 0);
}

// Rules F3, F4.
#[test]
fn a_wait_for_another_process_ends_in_an_error_and_never_in_a_request_beside_it() {
    let (_directory, path) = granted();
    let (script, time) = (Scripted::new(), VirtualTime::at(START));
    let session = session(&path, &script, &time, Policy::default());
    assert_eq!(text(asked(&session).ended()), "at-1");
    time.advance(HOUR);
    let other = refresh_file(&path);
    FileExt::lock(&other).expect("the lock of the other process");
    let waiting = asked(&session);
    let mut waited = Duration::ZERO;
    let result = loop {
        match waiting.0.try_recv() {
            Ok(result) => break result,
            Err(mpsc::TryRecvError::Disconnected) => panic!("it has panicked"),
            Err(mpsc::TryRecvError::Empty) => {}
        }
        if is_waiting(&time) {
            time.advance(SECOND / 4);
            waited += SECOND / 4;
        }
        assert!(waited <= 60 * SECOND, "it waits for ever");
        assert_eq!(script.requests(), 0);
        thread::yield_now();
    };
    assert!(result.expect_err("another process has it").is_unavailable());
    assert!(
        waited >= 22 * SECOND,
        "given up after {waited:?}: a quarter of 30 s is for the request"
    );
    assert_eq!(script.requests(), 0);
    // Once it is free, the next caller asks, as soon as the backoff is over.
    drop(other);
    time.advance(SECOND);
    assert_eq!(text(asked(&session).ended()), "at-2");
}

// Rules C3, F4. Nobody polls the flight: the thread that has acquired the lock ends it.
#[test]
fn a_session_whose_flight_is_parked_lets_the_lock_go_at_the_deadline() {
    let (_directory, path) = granted();
    let script = Scripted::new().then(Response::Hang);
    let time = VirtualTime::at(START);
    let policy = Policy::builder().refresh_deadline(SECOND).build().expect("valid");
    let session = session(&path, &script, &time, policy);
    assert_eq!(text(asked(&session).ended()), "at-1");
    time.advance(HOUR);
    // Polled until the request is out, and then by nobody.
    until(|| polled_once(session.token()).is_none() && script.requests() == 1);
    assert!(is_locked(&path));
    let other = refresh_file(&path);
    // The kernel wakes it, once the lock is free.
    Asked::new(move || FileExt::lock(&other).map(|()| other)).ended().expect("the lock");

    // The response is of use all the same, as nobody has written meanwhile.
    script.release(Response::Grant(Scripted::grant(1)));
    assert_eq!(text(asked(&session).ended()), "at-2");
    assert_eq!(script.requests(), 1);
}

// Rule F3. What the port promises, by its own thread and without a session.
#[test]
fn the_lease_of_a_file_is_one_for_all_stores_of_the_process_and_goes_with_its_term() {
    let (_directory, path) = granted();
    let leases = [(); 2]
        .map(|()| FileStore::open(&path).expect("a store").lease().expect("a file has a lease"));
    let held = block_on(leases[0].acquire(SECOND)).expect("readable");
    let Acquired::Held(content) = held else { panic!("nobody else has it") };
    match block_on(leases[1].acquire(SECOND)).expect("readable") {
        Acquired::Busy { remaining: Some(left) } => assert!(left <= SECOND, "{left:?}"),
        other @ (Acquired::Held(_) | Acquired::Busy { .. }) => {
            panic!("the first has it: {other:?}")
        }
    }
    let other = refresh_file(&path);
    Asked::new(move || FileExt::lock(&other)).ended().expect("the lock, at the end of the term");
    // It is lost for the holder too, which cannot renew it.
    until(|| !block_on(leases[0].renew(content.version, SECOND)).expect("no store is asked"));
}
