//! The program that is killed or paused: a session on the shared grant, which says at which step it is.

use std::env;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::Duration;

use perennial::adapters::thread::ThreadTimer;
use perennial::adapters::ureq::refresh_grant;
use perennial::clock::{Clock, StandardClock};
use perennial::lifecycle::{Policy, Reuse};
use perennial::session::{self, Session};
use perennial::time::{Span, Timestamp};
use perennial::token::AccessToken;
use perennial::wire::Client;
use rustix::process::{Signal, getpid, kill_process};
use tokio::runtime;

use crate::shared::{Shared, Stepping};

const STORE: &str = "PERENNIAL_CRASH_STORE";
const SERVER: &str = "PERENNIAL_CRASH_SERVER";
const HALT: &str = "PERENNIAL_CRASH_HALT";
const REUSE: &str = "PERENNIAL_CRASH_REUSE";
const DEADLINE: &str = "PERENNIAL_CRASH_DEADLINE";
const PATIENCE: &str = "PERENNIAL_CRASH_PATIENCE";
const SKEW: &str = "PERENNIAL_CRASH_SKEW";

/// Whether the program's request was answered.
static ANSWERED: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

/// The steps of a refresh, in order. Before and after each call of the store, of its lease and of the
/// server, and once the caller has its token.
pub(crate) const STEPS: [&str; 13] = [
    "before loading",
    "after loading",
    "before acquiring",
    "after acquiring",
    "before the intent",
    "after the intent",
    "before the request",
    "after the request",
    "before persisting",
    "after persisting",
    "before releasing",
    "after releasing",
    "after publishing",
];

/// What the program does when it comes to a step.
#[derive(Copy, Clone, Debug)]
pub(crate) enum Halt {
    /// Nothing.
    Never,
    /// It kills itself, as by `kill -9`.
    Killed(&'static str),
    /// It pauses, as by `kill -STOP`; once it is continued, it waits for a line before it goes on.
    Paused(&'static str),
}

/// A program to start.
pub(crate) struct Program<'a> {
    /// See [`Shared::open`].
    pub(crate) store: &'a str,
    pub(crate) server: &'a str,
    pub(crate) halt: Halt,
    pub(crate) reuse: &'static str,
    /// Of a refresh.
    pub(crate) deadline: Duration,
    /// For how long it tries again where it got no token.
    pub(crate) patience: Duration,
    /// By which its wall clock is wrong, in seconds.
    pub(crate) skew: i64,
}

impl<'a> Program<'a> {
    /// A program that halts nowhere.
    pub(crate) fn new(store: &'a str, server: &'a str, reuse: &'static str) -> Self {
        let (deadline, patience) = (Duration::from_secs(30), Duration::ZERO);
        Self { store, server, halt: Halt::Never, reuse, deadline, patience, skew: 0 }
    }

    /// Starts it; it says on its standard error what it does.
    pub(crate) fn start(&self) -> Child {
        let halt = match self.halt {
            Halt::Never => String::new(),
            Halt::Killed(step) => format!("killed {step}"),
            Halt::Paused(step) => format!("paused {step}"),
        };
        Command::new(env::current_exe().expect("this program"))
            .args(["--exact", "child::program", "--nocapture"])
            .env(STORE, self.store)
            .env(SERVER, self.server)
            .env(HALT, halt)
            .env(REUSE, self.reuse)
            .env(DEADLINE, self.deadline.as_millis().to_string())
            .env(PATIENCE, self.patience.as_millis().to_string())
            .env(SKEW, self.skew.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a child")
    }
}

#[test]
fn program() {
    let (Ok(store), Ok(server)) = (env::var(STORE), env::var(SERVER)) else { return };
    let number = |name| env::var(name).expect("set").parse::<i64>().expect("a number");
    let duration = |name| Duration::from_millis(number(name).unsigned_abs());
    let window = Duration::from_secs(120);
    let reuse = match &*env::var(REUSE).expect("set") {
        "strict" => Reuse::Strict,
        "idempotent" => Reuse::idempotent(window),
        other => panic!("no policy {other}"),
    };
    let policy = Policy::builder().reuse(reuse).refresh_deadline(duration(DEADLINE));
    let policy = policy.build().expect("valid");
    let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let refresh =
        refresh_grant(Client::builder(&server, "perennial-demo").build().expect("a client"));
    let session = Session::builder_blocking(move |request| {
        at("before the request");
        let response = refresh(request);
        at("after the request");
        *ANSWERED.0.lock().expect("no panic") = true;
        ANSWERED.1.notify_all();
        response
    })
    .store(Stepping { store: Shared::open(&store, &runtime), at })
    .policy(policy);
    let session = match number(SKEW) {
        0 => session,
        skew => session.clock(Skewed(StandardClock::new(), skew)).timer(ThreadTimer::new()),
    };
    let session = session.build().expect("a session");
    let result = session.token().retry_for(duration(PATIENCE)).wait();
    at("after publishing");
    say(&told(&result));
    if env::var(HALT).is_ok_and(|it| it.starts_with("paused")) {
        // A service: it goes on, and its request is answered at last.
        let answered = ANSWERED.0.lock().expect("no panic");
        drop(ANSWERED.1.wait_while(answered, |answered| !*answered).expect("no panic"));
        let last = loop {
            match session.token_blocking() {
                Err(error) if !error.is_login_required() => thread::yield_now(),
                last => break last,
            }
        };
        say(&format!("then {}", told(&last)));
    }
    // What could not be stored is stored now, or reported.
    if let Err(error) = session.close_blocking() {
        say(&failure(&error));
    }
}

fn told(result: &Result<AccessToken, session::Error>) -> String {
    match result {
        Ok(token) => format!("token {}", token.expose()),
        Err(error) => failure(error),
    }
}

fn failure(error: &session::Error) -> String {
    let kind = match error {
        _ if error.is_login_required() => "login",
        _ if error.is_unavailable() => "unavailable",
        _ => "other",
    };
    let mut text = format!("failed {kind}: {error}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        write!(text, ": {cause}").expect("a text takes all");
        source = cause.source();
    }
    text
}

/// In one write, as a kill may come between two.
fn say(line: &str) {
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Whether the program has halted: once, as it may come to that step again.
static HALTED: AtomicBool = AtomicBool::new(false);

/// Says that the program is at `step`, and halts where it is to halt there.
fn at(step: &str) {
    say(&format!("at {step}"));
    let halt = env::var(HALT).unwrap_or_default();
    match halt.split_once(' ') {
        Some((how, place)) if place == step && !HALTED.swap(true, Ordering::SeqCst) => {
            let signal = if how == "killed" { Signal::KILL } else { Signal::STOP };
            kill_process(getpid(), signal).expect("a signal to itself");
            if how == "paused" {
                let _ = std::io::stdin().read_line(&mut String::new());
            }
        }
        Some(_) | None => {}
    }
}

/// A wall clock that is wrong by so many seconds.
struct Skewed(StandardClock, i64);

impl Clock for Skewed {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn wall(&self) -> Timestamp {
        let (wall, by) = (self.0.wall(), Span::from(Duration::from_secs(self.1.unsigned_abs())));
        if self.1 < 0 { wall.saturating_sub(by) } else { wall.saturating_add(by) }
    }
}
