//! However short the backoff and the tokens' lives are, nobody spins: refreshes that one waiter starts
//! lie a millisecond apart, and each poll comes to an end.

use std::future::{poll_fn, ready};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use crate::session_support::{HOUR, Hand, SECOND, START, watched};
use perennial::clock::Clock;
use perennial::keyed::Sessions;
use perennial::lifecycle::Policy;
use perennial::refresh::{BoxFuture, RefreshError, Request};
use perennial::session::{Builder, Session};
use perennial::testing::VirtualTime;
use perennial::time::{Span, Timestamp};
use perennial::token::Grant;

const MILLISECOND: Duration = Duration::from_millis(1);

/// Tries again after a millisecond, or after nothing where the draw is; as often as it likes.
fn hurried() -> Policy {
    let policy = Policy::builder().backoff(MILLISECOND, MILLISECOND).budget(u32::MAX, SECOND);
    policy.build().expect("valid")
}

/// When it was asked, by the clock of the test.
type Asked = Arc<Mutex<Vec<Timestamp>>>;

/// What the server answers at once, each time.
#[derive(Copy, Clone, Debug)]
enum Server {
    Fails,
    BornDead,
    NoLifetime,
    OneMillisecond,
    Same,
}

impl Server {
    const ALL: [Self; 5] =
        [Self::Fails, Self::BornDead, Self::NoLifetime, Self::OneMillisecond, Self::Same];

    fn answer(self, number: usize) -> Result<Grant, RefreshError> {
        let grant = |lifetime: Duration| Grant::new(format!("at-{number}"), "rt", lifetime);
        match self {
            Self::Fails => Err(RefreshError::unavailable("503")),
            Self::BornDead => Ok(Grant::of_refresh_token("rt")),
            Self::NoLifetime => Ok(grant(Duration::ZERO)),
            Self::OneMillisecond => Ok(grant(MILLISECOND)),
            Self::Same => Ok(Grant::new("at-1", "rt", MILLISECOND)),
        }
    }

    fn builder(self, clock: impl Clock, draw: u32) -> (Builder, Asked) {
        let (clock, asked) = (Arc::new(clock), Asked::default());
        let (watch, noted) = (Arc::clone(&clock), Arc::clone(&asked));
        let builder = Session::builder(move |_: Request| {
            let mut asked = noted.lock().expect("no panic");
            asked.push(watch.now());
            ready(self.answer(asked.len() + 1))
        });
        let grant = Grant::new("at-1", "rt", Duration::ZERO);
        let builder = builder.policy(hurried()).random(move || draw).without_jitter().grant(grant);
        (builder.clock(move || clock.now()), asked)
    }
}

#[track_caller]
fn a_millisecond_apart(asked: &Asked, what: &impl std::fmt::Debug) {
    for pair in asked.lock().expect("no panic").windows(2) {
        assert!(pair[1] >= pair[0].saturating_add(Span::from_millis(1)), "{what:?}: {pair:?}");
    }
}

fn count(asked: &Asked) -> usize {
    asked.lock().expect("no panic").len()
}

/// A timer that rings at once, always.
fn broken_timer(_: Duration) -> BoxFuture<()> {
    Box::pin(ready(()))
}

// Rules B7, B10. Case X38. On a clock that moves with each reading, and on one that stands.
#[test]
fn a_keeper_starts_one_refresh_a_poll_whatever_the_server_answers_and_the_draw_is() {
    watched(|| {
        for server in Server::ALL {
            for (draw, step) in [(u32::MAX, 1), (0, 1), (0, 0), (u32::MAX, 0), (0, 3_600_000)] {
                let time = VirtualTime::at(START);
                let moving = time.clone();
                let clock = move || {
                    moving.advance(Duration::from_millis(step));
                    moving.now()
                };
                let (builder, asked) = server.builder(clock, draw);
                let session = builder.build().expect("sendable");
                let mut keeper = Hand::new(session.keep_fresh(broken_timer));
                for poll in 1..=100 {
                    keeper.pending();
                    assert!(count(&asked) <= poll, "{server:?} {draw} {step}: poll {poll}");
                    assert!(keeper.woken() >= 1, "{server:?} {draw} {step}: nobody polls it again");
                }
                a_millisecond_apart(&asked, &(server, draw, step));
                // By the hour nothing is in time to be sent.
                assert!(step != 1 || count(&asked) >= 10, "{server:?} {draw} {step}: it goes on");
                assert!(step > 0 || count(&asked) <= 1, "{server:?} {draw}: time stands still");
            }
        }
    });
}

// Rules A5, B7. Case X38. By a timer that works, and a clock that is set back and forth.
#[test]
fn a_keeper_sleeps_a_millisecond_between_two_tries_and_no_longer_for_a_clock_that_was_set_back() {
    let time = VirtualTime::at(START);
    let (builder, asked) = Server::Fails.builder(time.clone(), 0);
    let session = builder.build().expect("sendable");
    let timer = VirtualTime::at(START);
    let mut keeper = Hand::new(session.keep_fresh(timer.clone()));
    for tries in 1..=50 {
        keeper.pending();
        assert_eq!(count(&asked), tries);
        keeper.pending();
        assert_eq!(count(&asked), tries, "no millisecond has passed");
        let alarm = timer.next_alarm().expect("it looks again");
        assert_eq!(alarm.since(timer.now()), Span::from_millis(1));
        if tries % 10 == 0 {
            time.set(time.now().saturating_sub(Span::from(HOUR)));
            keeper.pending();
        }
        time.advance(MILLISECOND);
        timer.advance(MILLISECOND);
    }
}

// Rules B7, C8. Case X38. More of the kind: a patient caller, with and without a timer.
#[test]
fn a_patient_caller_neither_spins_nor_asks_twice_within_a_millisecond() {
    watched(|| {
        for server in Server::ALL {
            let time = VirtualTime::at(START);
            let (builder, asked) = server.builder(time.clone(), 0);
            let session = builder.timer(time.clone()).build().expect("sendable");
            let mut caller = Hand::new(session.token().retry_for(SECOND));
            for tries in 1..=20 {
                if caller.poll().is_ready() {
                    break;
                }
                assert_eq!(count(&asked), tries, "{server:?}");
                time.advance(MILLISECOND);
            }
            a_millisecond_apart(&asked, &server);

            let (builder, asked) = server.builder(time.clone(), 0);
            let session = builder.build().expect("sendable");
            // Without a timer nobody would poll it again.
            let result = Hand::new(session.token().retry_for(SECOND)).ready();
            assert!(result.is_ok() || result.is_err_and(|error| error.when_to_retry().is_some()));
            assert_eq!(count(&asked), 1, "{server:?}");

            let broken = server.builder(time.clone(), 0).0.timer(broken_timer).build();
            let _ = Hand::new(broken.expect("sendable").token().retry_for(SECOND)).poll();
        }
    });
}

// Rules B7, C4. Case X38. More of the kind: the keeper of very many.
#[test]
fn the_keeper_of_many_gives_others_a_turn_after_each_landing() {
    watched(|| {
        let (time, asked) = (VirtualTime::at(START), Arc::new(AtomicUsize::new(0)));
        let (moving, counter) = (time.clone(), Arc::clone(&asked));
        let sessions = Sessions::builder(move |_: &u64, _: Request| {
            counter.fetch_add(1, Ordering::SeqCst);
            ready(Err(RefreshError::unavailable("503")))
        });
        let clock = move || {
            moving.advance(SECOND);
            moving.now()
        };
        let sessions = sessions.clock(clock).policy(hurried()).random(|| 0).build();
        sessions.install_blocking(&1, Grant::new("at", "rt", Duration::ZERO)).expect("sendable");
        let mut keeper = Hand::new(sessions.keep_fresh(broken_timer));
        for poll in 1..=100 {
            keeper.pending();
            assert!(asked.load(Ordering::SeqCst) <= poll, "poll {poll}");
        }
        assert!(asked.load(Ordering::SeqCst) > 10);
    });
}

// Rule C4. A refresh that is woken each time that it is polled is polled on by its executor.
#[test]
fn a_refresh_that_wakes_itself_keeps_no_poll_from_ending() {
    watched(|| {
        let session = Session::builder(|_: Request| {
            poll_fn(|cx| {
                cx.waker().wake_by_ref();
                Poll::<Result<Grant, RefreshError>>::Pending
            })
        });
        let session = session.without_grant().build().expect("nothing to check");
        let mut caller = Hand::new(session.token());
        let mut keeper = Hand::new(session.keep_fresh(broken_timer));
        for _ in 0..10 {
            let _ = (caller.poll(), keeper.poll());
        }
    });
}
