//! A run, from the arguments to the report.

use std::error::Error;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use perennial::adapters::oauth2::RefreshGrant;
use perennial::adapters::tokio::Tokio;
use perennial::interceptor::Interceptor;
use perennial::lifecycle::{MissingLifetime, Policy};
use perennial::session::{Builder, Session};
use perennial::time::Lifetime;
use perennial::token::Grant;
use perennial::wire::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::arguments::{Arguments, Http};
use crate::counting::Observed;
use crate::counts::{Acceptance, Counts};
use crate::schedule::Schedule;
use crate::signals::{Signal, signals};
use crate::stop::Stop;
use crate::words::{Hidden, told};
use crate::{grant_store, over_reqwest, over_tower, over_ureq};

/// How long an answer of the authorization server is waited for behind a signal.
const GRACE: Duration = Duration::from_secs(5);

/// What the callers have in common.
pub(crate) struct Run {
    pub(crate) counts: Arc<Counts>,
    pub(crate) stop: Arc<Stop>,
    session: OnceLock<Session>,
}

/// How a run came to its end.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Ended {
    Done,
    /// No request was made.
    NotStarted,
    /// Something else than a request went wrong.
    Broken,
    By(Signal),
}

enum Event {
    Ended(Ended),
    Signal(Signal),
}

/// Makes the requests, and says with a line of JSON, and a number for the caller of this program,
/// what came of them.
pub(crate) fn run(arguments: Arguments) -> (Value, u8) {
    let run = Arc::new(Run {
        counts: Arc::new(Counts::new(Hidden::of(&arguments))),
        stop: Arc::default(),
        session: OnceLock::new(),
    });
    let requests = arguments.requests;
    let ended = started(arguments, &run).unwrap_or_else(|error| {
        run.counts.trouble(format!("cannot start: {error}"));
        Ended::NotStarted
    });
    run.report(requests, ended)
}

/// Has the requests made on another thread, so that a signal is heard whatever hangs.
fn started(arguments: Arguments, run: &Arc<Run>) -> io::Result<Ended> {
    let (tell, told) = channel();
    hear_signals(tell.clone())?;
    let working = Arc::clone(run);
    thread::Builder::new().spawn(move || {
        let ended = catch_unwind(AssertUnwindSafe(|| working.work(&arguments)));
        let ended = ended.unwrap_or_else(|_| {
            working.counts.trouble("a panic: this is a bug");
            Ended::Broken
        });
        // Behind a second signal nobody listens.
        let _ = tell.send(Event::Ended(ended));
    })?;
    Ok(run.until_ended(&told))
}

/// Tells of signals from now on.
fn hear_signals(tell: Sender<Event>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let mut signals = {
        let _entered = runtime.enter();
        signals()?
    };
    let hear = async move { while tell.send(Event::Signal(signals.recv().await)).is_ok() {} };
    thread::Builder::new().spawn(move || runtime.block_on(hear)).map(drop)
}

impl Run {
    /// Waits for the end. A signal brings it about, and a second one, or the time, forces it.
    fn until_ended(&self, told: &Receiver<Event>) -> Ended {
        let signal = match told.recv().expect("whoever hears signals holds the other end") {
            Event::Ended(ended) => return ended,
            Event::Signal(signal) => signal,
        };
        self.stop.tell();
        match told.recv_timeout(GRACE) {
            Ok(Event::Ended(Ended::NotStarted)) => Ended::NotStarted,
            Ok(Event::Ended(Ended::Done | Ended::Broken | Ended::By(_)) | Event::Signal(_)) => {
                Ended::By(signal)
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                self.counts.trouble("the last refresh was still out, and is given up");
                Ended::By(signal)
            }
        }
    }

    fn work(self: &Arc<Self>, arguments: &Arguments) -> Ended {
        let ended = match arguments.http {
            Http::Ureq => self.on_threads(arguments),
            Http::Reqwest | Http::Tower => match tokio::runtime::Runtime::new() {
                Ok(runtime) => {
                    let ended = runtime.block_on(self.on_tasks(arguments));
                    // What hangs is not waited for.
                    runtime.shutdown_background();
                    ended
                }
                Err(error) => Err(error.into()),
            },
        };
        ended.unwrap_or_else(|error| {
            self.counts.trouble(format!("cannot start: {}", told(&*error)));
            Ended::NotStarted
        })
    }

    /// Makes the requests from tasks.
    ///
    /// # Errors
    /// Where it cannot start.
    async fn on_tasks(self: &Arc<Self>, arguments: &Arguments) -> Result<Ended, Box<dyn Error>> {
        let tokio = Tokio::current()?;
        let refresher = RefreshGrant::new(client(arguments)?)?;
        let refresher = Observed::new(refresher, Arc::clone(&self.counts));
        let builder =
            Session::builder_with(refresher).timer(tokio.clone()).spawner(tokio.spawner());
        let session = self.session(arguments, stored(arguments, builder).await?)?;
        let interceptor = interceptor(arguments, session)?;
        let url = &arguments.api_url;
        let schedule = Schedule::of(arguments);
        let tasks = match arguments.http {
            Http::Tower => over_tower::call(interceptor, &url.parse()?, schedule, self),
            Http::Reqwest | Http::Ureq => {
                let client = over_reqwest::client(interceptor)?;
                over_reqwest::call(&client, &url.parse()?, schedule, self)
            }
        };
        self.joined(tasks).await;
        Ok(self.closed(session.close().await))
    }

    /// Waits until all tasks have come to their end, or are to stop: then they are dropped.
    async fn joined(&self, mut tasks: JoinSet<()>) {
        loop {
            let ended = tokio::select! {
                ended = tasks.join_next() => ended,
                () = self.stop.told() => return,
            };
            match ended {
                Some(Ok(())) => {}
                Some(Err(_)) => self.counts.trouble("a caller panicked"),
                None => return,
            }
        }
    }

    /// Makes the requests from plain threads.
    ///
    /// # Errors
    /// Where it cannot start.
    fn on_threads(self: &Arc<Self>, arguments: &Arguments) -> Result<Ended, Box<dyn Error>> {
        // A connection to a store's server needs a runtime, and lasts as long as that.
        let runtime = arguments.store.is_some().then(tokio::runtime::Runtime::new).transpose()?;
        let builder = over_ureq::session(client(arguments)?, &self.counts);
        let builder = match &runtime {
            Some(runtime) => runtime.block_on(stored(arguments, builder))?,
            None => builder,
        };
        let session = self.session(arguments, builder)?;
        let interceptor = interceptor(arguments, session)?;
        over_ureq::call(interceptor, &arguments.api_url, Schedule::of(arguments), self);
        Ok(self.closed(session.close_blocking()))
    }

    fn session(&self, arguments: &Arguments, builder: Builder) -> Result<&Session, Box<dyn Error>> {
        let builder = match grant(arguments) {
            Some(grant) => builder.grant(grant),
            None => builder,
        };
        let session = builder.policy(policy(arguments)?).build()?;
        Ok(self.session.get_or_init(|| session))
    }

    fn closed(&self, closed: Result<(), perennial::session::Error>) -> Ended {
        match closed {
            Ok(()) => Ended::Done,
            Err(error) => {
                self.counts.trouble(format!("the session did not close: {}", told(&error)));
                Ended::Broken
            }
        }
    }

    /// The line of JSON, and the number to exit with.
    fn report(&self, requests: u64, ended: Ended) -> (Value, u8) {
        let session = match ended {
            Ended::NotStarted => None,
            Ended::Done | Ended::Broken | Ended::By(_) => self.session.get(),
        };
        let session = session.map(|session| self.counts.standing(session.state()));
        let unmade = requests.saturating_sub(self.counts.made());
        let mut report = self.counts.report();
        report["requests"] = json!(requests);
        report["unmade"] = json!(unmade);
        report["session"] = json!(session.map_or("not started", Acceptance::name));
        report["session_lost"] = json!(u64::from(session == Some(Acceptance::LogIn)));
        report["ended"] = json!(match ended {
            Ended::Done => "done",
            Ended::NotStarted => "not started",
            Ended::Broken => "error",
            Ended::By(Signal::Interrupt) => "interrupt",
            Ended::By(Signal::Terminate) => "terminate",
        });
        (report, code(ended, self.counts.failed(), session, unmade))
    }
}

/// What to exit with.
fn code(ended: Ended, failed: u64, session: Option<Acceptance>, unmade: u64) -> u8 {
    let needs_a_person = match session {
        Some(Acceptance::LogIn | Acceptance::TryLogIn | Acceptance::Configuration) => true,
        Some(Acceptance::Ok | Acceptance::Unavailable) | None => false,
    };
    match ended {
        Ended::NotStarted => 2,
        Ended::Done | Ended::Broken | Ended::By(_) if failed > 0 => 1,
        Ended::Done | Ended::Broken | Ended::By(_) if needs_a_person => 3,
        Ended::Broken => 4,
        Ended::Done if unmade > 0 => 4,
        // As a shell says it of a program that a signal ended.
        Ended::By(Signal::Interrupt) => 128 + 2,
        Ended::By(Signal::Terminate) => 128 + 15,
        Ended::Done => 0,
    }
}

fn client(arguments: &Arguments) -> Result<Client, Box<dyn Error>> {
    let client = Client::builder(&arguments.token_endpoint, &arguments.client_id);
    let client = match &arguments.client_secret {
        Some(secret) => {
            client.client_secret(secret.clone()).client_authentication(arguments.authentication())
        }
        None => client,
    };
    client.build().map_err(|error| format!("--token-endpoint: {error}").into())
}

/// With the store that is asked for.
async fn stored(arguments: &Arguments, builder: Builder) -> Result<Builder, Box<dyn Error>> {
    let Some(store) = &arguments.store else { return Ok(builder) };
    let opened = grant_store::open(store.expose(), &arguments.store_key).await;
    let wrong = |error: Box<dyn Error + Send + Sync>| format!("--store: {}", told(&*error));
    Ok(builder.store(opened.map_err(wrong)?))
}

/// What to start from, where the store has nothing.
fn grant(arguments: &Arguments) -> Option<Grant> {
    let refresh = arguments.refresh_token.clone()?;
    Some(match (&arguments.access_token, arguments.expires_in) {
        (Some(access), Some(lifetime)) => Grant::new(access.clone(), refresh, lifetime),
        (Some(access), None) => Grant::new(access.clone(), refresh, Lifetime::Unstated),
        (None, _) => Grant::of_refresh_token(refresh),
    })
}

fn policy(arguments: &Arguments) -> Result<Policy, Box<dyn Error>> {
    let missing = match arguments.expires_in {
        Some(lifetime) => MissingLifetime::Assume(lifetime.into()),
        None => MissingLifetime::UntilRejected,
    };
    let policy = Policy::builder().missing_lifetime(missing).reuse(arguments.reuse());
    // Where it is not told the builder finds one that suits the rest.
    let policy = match arguments.deadline {
        Some(deadline) => policy.refresh_deadline(deadline),
        None => policy,
    };
    let wrong = |error| format!("--policy, --window and --deadline: {error}").into();
    policy.build().map_err(wrong)
}

fn interceptor(arguments: &Arguments, session: &Session) -> Result<Interceptor, Box<dyn Error>> {
    let interceptor = Interceptor::builder(session.clone()).origin(&arguments.api_url);
    let interceptor = match arguments.retry_for {
        Some(patience) => interceptor.retry_for(patience),
        None => interceptor,
    };
    interceptor.build().map_err(|error| format!("--api-url: {error}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_says_the_worst_that_happened() {
        let (interrupt, terminate) = (Ended::By(Signal::Interrupt), Ended::By(Signal::Terminate));
        for (ended, failed, session, unmade, expected) in [
            (Ended::NotStarted, 0, None, 7, 2),
            (Ended::Done, 1, Some(Acceptance::LogIn), 0, 1),
            (Ended::Broken, 1, Some(Acceptance::Ok), 0, 1),
            (terminate, 1, Some(Acceptance::Ok), 7, 1),
            (Ended::Done, 0, Some(Acceptance::LogIn), 0, 3),
            (Ended::Broken, 0, Some(Acceptance::Configuration), 0, 3),
            (interrupt, 0, Some(Acceptance::LogIn), 7, 3),
            (Ended::Done, 0, Some(Acceptance::TryLogIn), 0, 3),
            (Ended::Broken, 0, Some(Acceptance::Ok), 0, 4),
            (Ended::Done, 0, Some(Acceptance::Ok), 1, 4),
            (interrupt, 0, Some(Acceptance::Unavailable), 7, 130),
            (terminate, 0, None, 7, 143),
            (Ended::Done, 0, Some(Acceptance::Unavailable), 0, 0),
            (Ended::Done, 0, Some(Acceptance::Ok), 0, 0),
        ] {
            let told = code(ended, failed, session, unmade);
            assert_eq!(told, expected, "{ended:?} {failed} {session:?} {unmade}");
        }
    }
}
