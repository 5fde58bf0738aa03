//! What is too large for loom: eight callers who do as they like, under schedules that are drawn at
//! random or by priority (PCT). All atomics are sequentially consistent here; weaker orders are
//! loom's business.
//!
//! Run with `RUSTFLAGS="--cfg shuttle" cargo test --release --test shuttle`. A schedule that fails
//! is printed; to see it again, put it into `SHUTTLE_REPLAY` and name the one test.
#![cfg(shuttle)]

#[path = "../actors/mod.rs"]
mod actors;

/// Threads, an executor and dice, all of them shuttle's.
mod runner {
    use shuttle::rand::Rng as _;

    pub(crate) struct Thread(shuttle::thread::JoinHandle<()>);

    impl Thread {
        pub(crate) fn join(self) {
            self.0.join().expect("no panic");
        }
    }

    pub(crate) fn spawn(work: impl FnOnce() + Send + 'static) -> Thread {
        Thread(shuttle::thread::spawn(work))
    }

    pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
        shuttle::future::block_on(future)
    }

    pub(crate) fn dice(sides: usize) -> usize {
        shuttle::rand::thread_rng().gen_range(0..sides)
    }
}

use actors::{Scenario, run};

const PLAIN: Scenario =
    Scenario { callers: 8, actions: 4, spawner: false, store: false, logins: false, hurry: false };

fn explore(name: &str, scenario: Scenario) {
    // Panics that are planned are not worth reading.
    static QUIET: std::sync::Once = std::sync::Once::new();
    QUIET.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if panic.payload().downcast_ref::<&str>() != Some(&"planned") {
                usual(panic);
            }
        }));
    });
    let check = move || {
        run(scenario);
    };
    if let Ok(schedule) = std::env::var("SHUTTLE_REPLAY") {
        shuttle::replay(check, &schedule);
        return;
    }
    let each =
        std::env::var("SHUTTLE_SCHEDULES").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000);
    shuttle::check_random(check, each);
    shuttle::check_pct(check, each, 3);
    println!("SHUTTLE {{\"scenario\":\"{name}\",\"schedules\":{}}}", 2 * each);
}

// Rules B3, B8, C3, C4, C5.
#[test]
fn callers_that_come_and_go_share_one_flight_at_a_time() {
    explore("callers", PLAIN);
}

// Rules C4, C9.
#[test]
fn callers_and_spawned_drivers_share_one_flight_at_a_time() {
    explore("spawned", Scenario { spawner: true, callers: 6, ..PLAIN });
}

// Rules B4, B11, B14.
#[test]
fn logins_and_logouts_at_any_moment_leave_no_caller_hanging() {
    explore("logins", Scenario { logins: true, ..PLAIN });
}

// Rules B11, F2.
#[test]
fn logins_and_logouts_leave_in_the_store_what_the_session_holds() {
    explore("stored logins", Scenario { store: true, logins: true, ..PLAIN });
}

// Rules F2, B13.
#[test]
fn with_a_store_and_time_that_runs_no_caller_hangs() {
    explore("hurry", Scenario { store: true, hurry: true, logins: true, ..PLAIN });
}
