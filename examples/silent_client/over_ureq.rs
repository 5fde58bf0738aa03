//! Requests and refreshes over ureq, from plain threads.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use perennial::adapters::thread::ThreadTimer;
use perennial::adapters::ureq::{BlockingBearerMiddleware, refresh_grant};
use perennial::interceptor::Interceptor;
use perennial::session::{Builder, Session};
use perennial::wire::Client;

use crate::counting::{Observe as _, Outcome};
use crate::counts::Counts;
use crate::program::Run;
use crate::schedule::Schedule;
use crate::words::told;

pub(crate) fn session(client: Client, counts: &Arc<Counts>) -> Builder {
    let (refresh, counts) = (refresh_grant(client), Arc::clone(counts));
    Session::builder_blocking(move |request| {
        let result = refresh(request);
        if let Err(error) = &result {
            counts.erred(error);
        }
        counts.ended(Outcome::of(&result));
        result
    })
    .timer(ThreadTimer::new())
}

/// Makes all requests, or those that come before everybody is told to stop; a call that hangs is
/// not waited for then.
pub(crate) fn call(interceptor: Interceptor, url: &str, schedule: Schedule, run: &Arc<Run>) {
    let bearer = BlockingBearerMiddleware::new(interceptor).http_status_as_error(false);
    // Through no proxy, which would see the token: this example has no TLS.
    let config = ureq::Agent::config_builder().middleware(bearer).proxy(None);
    let agent: ureq::Agent = config.http_status_as_error(false).build().into();
    let mut callers: Vec<JoinHandle<()>> = Vec::new();
    for share in schedule.shares() {
        let (agent, url, run) = (agent.clone(), url.to_owned(), Arc::clone(run));
        let (running, counts) = (run.stop.running(), Arc::clone(&run.counts));
        let call = move || {
            let _running = running;
            for (number, due) in share {
                if run.stop.told_within(schedule.left(due)) {
                    return;
                }
                let answer = agent.get(&url).call();
                run.counts.note(number, answer.map(|answer| answer.status()).map_err(in_words));
            }
        };
        match thread::Builder::new().spawn(call) {
            Ok(caller) => callers.push(caller),
            Err(error) => counts.trouble(format!("no thread for a caller: {error}")),
        }
    }
    run.stop.until_nobody_runs();
    for caller in callers {
        if !run.stop.is_told() && caller.join().is_err() {
            run.counts.trouble("a caller panicked");
        }
    }
}

fn in_words(error: ureq::Error) -> String {
    // It names no source of an error that came from middleware.
    if let ureq::Error::Other(error) = error { told(&*error) } else { told(&error) }
}
