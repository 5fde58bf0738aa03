//! Eight callers on real threads who do as they like, again and again; the same as shuttle's, for
//! what only hardware does. Under `ThreadSanitizer` in `.ci/tsan`. `STRESS_ROUNDS` sets how often.

#[path = "actors/mod.rs"]
mod actors;

/// Threads, an executor and dice, all of them real.
mod runner {
    pub(crate) struct Thread(std::thread::JoinHandle<()>);

    impl Thread {
        pub(crate) fn join(self) {
            self.0.join().expect("no panic");
        }
    }

    pub(crate) fn spawn(work: impl FnOnce() + Send + 'static) -> Thread {
        Thread(std::thread::spawn(work))
    }

    pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
        futures::executor::block_on(future)
    }

    pub(crate) fn dice(sides: usize) -> usize {
        fastrand::usize(..sides)
    }
}

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use actors::{Scenario, run};
use perennial::refresh::{RefreshError, Request};
use perennial::session::Session;
use perennial::token::Grant;

fn rounds() -> usize {
    std::env::var("STRESS_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(40)
}

/// Runs a scenario over and over, and fails where it hangs.
fn stress(scenario: Scenario) {
    let (sender, receiver) = mpsc::channel();
    let running = thread::spawn(move || {
        let refreshes: usize = (0..rounds()).map(|_| run(scenario)).sum();
        sender.send(()).expect("somebody waits");
        assert!(refreshes > 0, "nothing was refreshed: this shows nothing");
    });
    match receiver.recv_timeout(Duration::from_secs(240)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => {}
    }
    running.join().expect("no panic");
}

const PLAIN: Scenario =
    Scenario { callers: 8, actions: 40, spawner: false, store: false, logins: false, hurry: false };

// Rules B3, B8, C3, C4, C5.
#[test]
fn callers_on_threads_that_come_and_go_share_one_flight_at_a_time() {
    stress(PLAIN);
}

// Rules C4, C9.
#[test]
fn callers_on_threads_and_spawned_drivers_share_one_flight_at_a_time() {
    stress(Scenario { spawner: true, ..PLAIN });
}

// Rules B4, B11, B13, B14, F2.
#[test]
fn logins_logouts_and_time_that_runs_leave_no_thread_hanging() {
    stress(Scenario { logins: true, hurry: true, store: true, ..PLAIN });
}

// Rules B3, C2.
#[test]
fn tasks_of_a_runtime_with_workers_and_threads_share_one_flight() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
    let runtime = runtime.expect("a runtime");
    for _ in 0..rounds() {
        let refresher = |_: Request| async {
            tokio::task::yield_now().await;
            Ok::<_, RefreshError>(Grant::new("at-2", "rt-2", Duration::from_secs(3600)))
        };
        let handle = runtime.handle().clone();
        let session = Session::builder(refresher)
            .grant(Grant::of_refresh_token("rt-1"))
            .spawner(move |task| drop(handle.spawn(task)))
            .build()
            .expect("sendable");
        let tasks: Vec<_> = (0..32)
            .map(|_| {
                let session = session.clone();
                runtime.spawn(async move { session.token().await.map(|token| token.generation()) })
            })
            .collect();
        let first = session.token_blocking().expect("a token").generation();
        for task in tasks {
            let got = runtime.block_on(task).expect("no panic").expect("a token");
            assert_eq!(got, first);
        }
    }
}
