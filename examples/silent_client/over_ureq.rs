//! Requests and refreshes over ureq, from plain threads.

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use perennial::adapters::thread::ThreadTimer;
use perennial::adapters::ureq::{Bearer, refresh_grant};
use perennial::interceptor::Interceptor;
use perennial::session::{Builder, Session};
use perennial::wire::Client;

use crate::counting::{Observe as _, Outcome};
use crate::counts::Counts;
use crate::schedule::Schedule;

pub(crate) fn session(client: Client, counts: &Arc<Counts>) -> Builder {
    let (refresh, counts) = (refresh_grant(client), Arc::clone(counts));
    Session::builder_blocking(move |request| {
        let result = refresh(request);
        counts.ended(Outcome::of(&result));
        result
    })
    .timer(ThreadTimer::new())
}

pub(crate) fn call(interceptor: Interceptor, url: &str, schedule: Schedule, counts: &Counts) {
    let bearer = Bearer::new(interceptor).http_status_as_error(false);
    let config = ureq::Agent::config_builder().middleware(bearer).http_status_as_error(false);
    let agent: ureq::Agent = config.build().into();
    #[expect(clippy::disallowed_methods, reason = "requests are spread over real time")]
    let start = Instant::now();
    thread::scope(|scope| {
        for share in schedule.shares() {
            let agent = &agent;
            scope.spawn(move || {
                for (number, after) in share {
                    thread::sleep(after.saturating_sub(start.elapsed()));
                    let answer = agent.get(url).call();
                    counts.note(number, answer.map(|answer| answer.status()));
                }
            });
        }
    });
}
