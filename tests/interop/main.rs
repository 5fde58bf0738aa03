//! The adapters against authorization servers that are not ours: `oidc-provider`,
//! `oauth2-mock-server` and Authlib, pinned in `tests/interop`, which start with the tests.
//! And clients that are not ours against our own server: `clients.rs`.
//!
//! On the real clock, as theirs is: what is shown is that sessions get on with them, and no rule's
//! timing. Tokens live for two or four seconds, and all runs are at once, so it takes some twenty;
//! longer where the machine is so busy that tokens lapse on their way.
//! The first run fetches their packages; where they cannot be had, a line that begins with
//! `SKIPPED` says so.

mod adapters;
mod clients;
mod ours;
mod servers;
mod start;

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use adapters::{Adapter, Caller, Lifetimes, Source};
use servers::{Server, servers};

/// How many expiries each run goes through.
const EXPIRIES: u64 = 10;

/// Callers of one session at once.
const CALLERS: u64 = 3;

/// How long a caller pauses between requests.
const PAUSE: Duration = Duration::from_millis(100);

/// What a request within this machine takes only where others keep it busy.
const SLOW: Duration = Duration::from_millis(250);

/// What no run takes, unless something hangs.
const TOO_LONG: Duration = Duration::from_secs(300);

/// Runs `run` for each adapter against each of `servers`, all at once.
fn for_each_pair(servers: &[&Server], run: impl Fn(Adapter, &Server) + Sync) {
    thread::scope(|scope| {
        for server in servers {
            for adapter in Adapter::ALL {
                let run = &run;
                let name = format!("{adapter:?} against {}", server.name);
                let thread = thread::Builder::new().name(name);
                thread.spawn_scoped(scope, move || run(adapter, server)).expect("a thread");
            }
        }
    });
}

/// What came of a run.
#[derive(Default)]
struct Run {
    /// What went wrong.
    wrong: Vec<String>,
    /// The longest that a request took.
    longest: Duration,
}

impl Run {
    /// Calls the API from several threads until there were enough refreshes. Every request must
    /// come back with a 200.
    fn through_expiries(caller: &Caller) -> Self {
        let (begun, run) = (now(), Mutex::new(Self::default()));
        thread::scope(|scope| {
            for _ in 0..CALLERS {
                scope.spawn(|| {
                    while caller.refreshes() < EXPIRIES && begun.elapsed() < TOO_LONG {
                        let asked = now();
                        let answer = caller.get();
                        run.lock().expect("no panic").note(asked.elapsed(), answer.as_ref().ok());
                        if let Err(error) = answer {
                            panic!("no answer: {error:?}");
                        }
                        thread::sleep(PAUSE);
                    }
                });
            }
        });
        assert!(begun.elapsed() < TOO_LONG, "{} expiries", caller.refreshes());
        caller.session.close_blocking().expect("nothing in the air");
        run.into_inner().expect("no panic")
    }

    fn note(&mut self, took: Duration, status: Option<&u16>) {
        self.longest = self.longest.max(took);
        self.check(status.is_none_or(|status| *status == 200), || format!("answered {status:?}"));
    }

    fn check(&mut self, right: bool, what: impl FnOnce() -> String) {
        if !right {
            self.wrong.push(what());
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the servers' clocks are real")]
fn now() -> Instant {
    Instant::now()
}

/// Runs with tokens that live for `seconds`. If it went wrong, and the machine was so busy that
/// tokens could lapse on their way, that proves nothing, and it is done again with longer lives.
fn until_proved(mut seconds: u64, run: impl Fn(u64) -> Run) {
    loop {
        let Run { wrong, longest } = run(seconds);
        if wrong.is_empty() {
            return;
        }
        assert!(longest > SLOW && seconds < 16, "requests took {longest:?} at most: {wrong:#?}");
        seconds *= 2;
    }
}

/// One more refresh, so the grant is still good.
fn assert_alive(caller: &Caller) {
    let refreshes = caller.refreshes();
    caller.session.reject(&caller.session.token_blocking().expect("a token"));
    assert_eq!(caller.get().expect("an answer"), 200);
    // More than one, if it became due besides.
    assert!(caller.refreshes() > refreshes);
}

// Rules E1, B3, B5.
#[test]
fn tokens_whose_lifetime_is_told_are_refreshed_ahead_and_no_caller_notices() {
    let servers: Vec<_> = servers().iter().collect();
    for_each_pair(&servers, |adapter, server| {
        until_proved(4, |seconds| {
            let login = server.login(&format!("told-{adapter:?}-{seconds}"), seconds);
            let source = Source::Login { seconds };
            let caller = Caller::new(adapter, &login, source, Lifetimes::Told);
            let mut run = Run::through_expiries(&caller);
            let stats = login.stats();
            assert_eq!(stats.token_refused, 0, "{stats:?}");
            assert_eq!(stats.token_requests, caller.refreshes(), "{stats:?}");
            run.check(stats.lapsed == 0, || format!("met as a 401: {stats:?}"));
            assert_alive(&caller);
            run
        });
    });
}

// Rules E2, E4, B8.
#[test]
fn each_expiry_that_is_met_as_a_401_costs_one_refresh_and_no_caller_notices() {
    let servers: Vec<_> = servers().iter().collect();
    for_each_pair(&servers, |adapter, server| {
        until_proved(2, |seconds| {
            let login = server.login(&format!("untold-{adapter:?}-{seconds}"), seconds);
            let source = Source::Login { seconds };
            let caller = Caller::new(adapter, &login, source, Lifetimes::Untold);
            let mut run = Run::through_expiries(&caller);
            let stats = login.stats();
            assert_eq!(stats.token_refused, 0, "{stats:?}");
            assert_eq!(stats.token_requests, caller.refreshes(), "{stats:?}");
            run.check(stats.token_requests == stats.lapsed, || format!("too many: {stats:?}"));
            run.check(stats.api_401 <= stats.lapsed * CALLERS, || format!("again: {stats:?}"));
            assert_alive(&caller);
            run
        });
    });
}

// Rule B6.
#[test]
fn a_spent_refresh_token_that_is_seen_again_ends_in_one_refusal_and_log_in() {
    let strict = |server: &&Server| server.name != "oauth2_mock_server";
    let servers: Vec<_> = servers().iter().filter(strict).collect();
    for_each_pair(&servers, |adapter, server| {
        let login = server.login(&format!("stolen-{adapter:?}"), 600);
        let source = Source::Login { seconds: 600 };
        let caller = Caller::new(adapter, &login, source, Lifetimes::Told);
        assert_alive(&caller);
        assert_eq!(login.steal(&login.text("refresh_token")), 400, "it was spent");
        for number in 0..50 {
            let error = caller.get().expect_err("the server revoked all of it");
            assert!(is_login_required(&*error), "{number}: {error:?}");
        }
        let stats = login.stats();
        assert_eq!(stats.token_requests, 3, "a refresh, the thief's, and one refusal: {stats:?}");
        assert_eq!(stats.api_401, 1, "{stats:?}");
    });
}

fn is_login_required(error: &(dyn std::error::Error + 'static)) -> bool {
    if let Some(error) = error.downcast_ref::<perennial::session::Error>() {
        return error.is_login_required();
    }
    // ureq names no source of an error that came from middleware.
    if let Some(ureq::Error::Other(error)) = error.downcast_ref() {
        return is_login_required(&**error);
    }
    error.source().is_some_and(is_login_required)
}

// Rules E1, E2.
#[test]
fn a_grant_of_the_clients_own_is_had_without_a_login_and_had_again_after_a_rejection() {
    let grants = |server: &&Server| server.name != "oidc_provider";
    let servers: Vec<_> = servers().iter().filter(grants).collect();
    for_each_pair(&servers, |adapter, server| {
        let login = server.login(&format!("own-{adapter:?}"), 600);
        let caller = Caller::new(adapter, &login, Source::ClientCredentials, Lifetimes::Told);
        assert_eq!(caller.get().expect("an answer"), 200);
        assert_alive(&caller);
        let stats = login.stats();
        assert_eq!((stats.token_requests, stats.token_refused), (2, 0), "{stats:?}");
    });
}
