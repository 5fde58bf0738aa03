//! Models of the private protocols, small enough to be checked exhaustively without a bound. Those of
//! the session as a whole are in `tests/loom`.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use loom::thread;

use crate::lifecycle::{Event, Lifecycle, Policy, Schedule, TokenTimes};
use crate::offload::offload;
use crate::primitives::{Mutex, Parker};
use crate::session::exchange::epoch::EpochFence;
use crate::session::exchange::stage::Stage;
use crate::session::ports::SessionClock;
use crate::session::shared::snapshot::{Slot, Snapshot};
use crate::time::{Draw, Span, Timestamp};
use crate::token::{AccessToken, Secret};

#[path = "../../tests/loom/exhaust.rs"]
mod exhaust;

use exhaust::{Bound::Unbounded, exhaust};

/// Returns the `n`th token of a session.
fn token(n: u64) -> AccessToken {
    let mut lifecycle = Lifecycle::new(1);
    for _ in 0..n {
        let lifetime = Some(Span::from(Duration::from_secs(3600)));
        let times =
            TokenTimes { sent: Timestamp::MIN, lifetime, refresh_in: None, jitter: Draw::NONE };
        let event = Event::Installed { token: Some(times), intent: None };
        let _ = lifecycle.handle(&Policy::default(), event, Timestamp::MIN);
    }
    let generation = lifecycle.generation().expect("a token was installed");
    AccessToken::new(Secret::from("at"), generation, Schedule::UntilRejected)
}

fn snapshot(n: u64) -> Option<Snapshot> {
    Some(Snapshot::new(token(n), Timestamp::MIN, Timestamp::MAX))
}

fn slot() -> Arc<Slot> {
    Arc::new(Slot::new(SessionClock::Other(Arc::new(|| Timestamp::from_millis(0)))))
}

// Rule C1.
#[test]
fn what_is_kept_under_a_version_is_of_that_version_or_newer() {
    exhaust(Unbounded, || {
        let slot = slot();
        let publisher = Arc::clone(&slot);
        let publishing = thread::spawn(move || {
            for n in 1..=3 {
                drop(publisher.publish(snapshot(n)));
            }
        });
        let version = slot.version();
        let kept = slot.latest().map_or(0, |kept| kept.token.generation().number());
        assert!(kept >= version, "token {kept} under version {version}");
        publishing.join().expect("no panic");
    });
}

// Rules B2, C1.
#[test]
fn two_publishers_in_turn_leave_the_second_ones_snapshot() {
    exhaust(Unbounded, || {
        let (slot, lock) = (slot(), Arc::new(Mutex::new(0)));
        let publish = |slot: Arc<Slot>, lock: Arc<Mutex<u64>>| {
            let mut published = lock.lock().expect("no panic");
            *published += 1;
            drop(slot.publish(snapshot(*published)));
        };
        let (other, others) = (Arc::clone(&slot), Arc::clone(&lock));
        let thread = thread::spawn(move || publish(other, others));
        publish(Arc::clone(&slot), lock);
        thread.join().expect("no panic");
        assert_eq!(slot.read(|token| token.generation().number()), Some(2));
    });
}

// Rule C2.
#[test]
fn the_result_of_off_loaded_work_is_had_whenever_it_comes() {
    exhaust(Unbounded, || {
        let hook = |job: crate::offload::Job| {
            thread::spawn(job);
            Ok(())
        };
        let mut pending = pin!(offload(&hook, || 7).expect("a thread"));
        let parker = Parker::new();
        let waker = parker.waker();
        let result = loop {
            // Polled once with a waker that nobody listens to: the last waker counts.
            let early = pending.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            if let Poll::Ready(result) = early {
                break result;
            }
            match pending.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(result) => break result,
                Poll::Pending => parker.park(),
            }
        };
        assert_eq!(result, Some(7));
    });
}

// Rules B11, F2.
#[test]
fn a_flight_that_finds_its_epoch_not_ended_has_read_the_store_before_the_logout_wrote() {
    exhaust(Unbounded, || {
        let (ended, store) = (Arc::new(EpochFence::default()), Arc::new(Mutex::new("rt-1")));
        let mut lifecycle = Lifecycle::new(1);
        let policy = Policy::default();
        let _ = lifecycle.handle_installed(&policy, None, None, Timestamp::MIN);
        let _ = lifecycle.handle_requested(&policy, Timestamp::MIN);
        let flight = lifecycle.newest_flight();
        let (marked, written) = (Arc::clone(&ended), Arc::clone(&store));
        let logout = thread::spawn(move || {
            marked.through(flight);
            *written.lock().expect("no panic") = "nothing";
        });
        let read = *store.lock().expect("no panic");
        if !ended.includes(flight) {
            assert_eq!(read, "rt-1");
        }
        logout.join().expect("no panic");
    });
}

// Rules B6, B13.
#[test]
fn of_sending_and_calling_off_exactly_one_happens() {
    exhaust(Unbounded, || {
        let stage = Arc::new(Stage::default());
        let (first, second) = (Arc::clone(&stage), Arc::clone(&stage));
        let first = thread::spawn(move || first.call_off());
        let second = thread::spawn(move || second.call_off());
        let sent = stage.send(None);
        let called_off = (first.join().expect("no panic"), second.join().expect("no panic"));
        assert_eq!(called_off, (!sent, !sent));
        assert_eq!(stage.is_sent(), sent);
    });
}
