//! Packed, taken up, evicted: nothing of it shows.

use std::sync::{Arc, Mutex};

use perennial::lifecycle::{
    Event, Failure, Lifecycle, MissingLifetime, Novelty, Policy, State, TokenTimes,
};
use perennial::store::MemoryStore;
use perennial::testing::VirtualTime;
use perennial::time::{Draw, Span, Timestamp};
use perennial::token::Grant;
use proptest::prelude::*;

use crate::session_support::{DUE, HOUR, Hand, SECOND, START, at_once, text};
use crate::{Server, grant};

fn world() -> (Server, VirtualTime) {
    (Server::default(), VirtualTime::at(START))
}

// Rules B4, B8.
#[test]
fn a_401_for_a_token_from_before_the_packing_is_told_apart() {
    let (server, time) = world();
    let sessions = server.sessions(&time).build();
    sessions.install_blocking(&1, grant(1, 1)).expect("sendable");
    let first = sessions.token_blocking(&1).expect("a token");
    time.advance(HOUR);
    let second = sessions.token_blocking(&1).expect("a token");
    sessions.sweep();
    assert_eq!(sessions.in_use(), 0);
    sessions.reject(&1, &first);
    assert_eq!(text(sessions.try_token(&1)), "at-1-2");
    sessions.sweep();
    sessions.reject(&1, &second);
    assert_eq!(text(sessions.token_blocking(&1)), "at-1-3");
    assert_eq!(sessions.token_blocking(&1).expect("a token").generation().number(), 3);
}

// Rules C4, F2.
#[test]
fn a_session_with_something_in_the_air_or_a_handle_is_not_packed() {
    let time = VirtualTime::at(START);
    let gate = Arc::new(Mutex::new(None::<std::task::Waker>));
    let waker = Arc::clone(&gate);
    let sessions = perennial::keyed::Sessions::builder(move |_: &u64, _| {
        let waker = Arc::clone(&waker);
        std::future::poll_fn(move |cx| {
            *waker.lock().expect("no panic") = Some(cx.waker().clone());
            std::task::Poll::Pending
        })
    });
    let sessions = sessions.clock(time.clone()).build();
    for key in [1, 2, 3] {
        sessions.install_blocking(&key, grant(key, 1)).expect("sendable");
    }
    let handle = sessions.session(&1).expect("it exists");
    time.advance(DUE);
    at_once(sessions.token(&2)).expect("the old token, while the refresh is out");
    assert_eq!(sessions.state(&3), Some(State::Expiring));
    sessions.sweep();
    assert_eq!(sessions.in_use(), 2);
    drop(handle);
    sessions.sweep();
    assert_eq!(sessions.in_use(), 1);
}

// Rule F2.
#[test]
fn eviction_takes_what_a_store_holds_and_nothing_that_would_be_lost() {
    let (server, time) = world();
    let sessions = server.sessions(&time).evict_unused_after(HOUR).build();
    sessions.install_blocking(&1, grant(1, 1)).expect("sendable");
    time.advance(2 * HOUR);
    sessions.sweep();
    assert_eq!(sessions.len(), 1, "its grant is nowhere else");

    let store = MemoryStore::new();
    let kept = store.clone();
    let stores = move |_: &u64| kept.clone();
    let sessions = server.sessions(&time).stores(stores).evict_unused_after(HOUR).build();
    sessions.install_blocking(&2, grant(2, 1)).expect("sendable");
    assert_eq!(text(sessions.token_blocking(&2)), "at-2-1");
    sessions.sweep();
    assert_eq!((sessions.len(), sessions.in_use()), (1, 0));
    time.advance(2 * HOUR);
    sessions.sweep();
    assert_eq!(sessions.len(), 0);
    assert_eq!(text(sessions.token_blocking(&2)), "at-2-2");
}

// Rule F2.
#[test]
fn what_is_evicted_without_a_store_is_handed_to_the_program() {
    let (server, time) = world();
    let evicted = Arc::new(Mutex::new(Vec::new()));
    let taken = Arc::clone(&evicted);
    let sessions = server.sessions(&time).evict_unused_after(HOUR).on_evict(move |key, grant| {
        taken.lock().expect("no panic").push((key, grant));
    });
    let sessions = sessions.build();
    for key in [1, 2] {
        sessions.install_blocking(&key, grant(key, 1)).expect("sendable");
    }
    time.advance(3599 * SECOND);
    assert_eq!(text(sessions.token_blocking(&1)), "at-1-2");
    time.advance(SECOND);
    sessions.sweep();
    assert_eq!(*evicted.lock().expect("no panic"), [(2, grant(2, 1))]);
    assert_eq!(sessions.len(), 1);
}

// Rule C1.
#[test]
fn using_very_many_in_turn_does_not_keep_them_all_unpacked() {
    let (server, time) = world();
    let sessions = server.sessions(&time).build();
    for key in 0..20_000 {
        sessions.install_blocking(&key, grant(key, 1)).expect("sendable");
    }
    for key in 0..20_000 {
        assert!(sessions.try_token(&key).is_ok());
    }
    assert!(sessions.in_use() < 15_000, "{} are in use", sessions.in_use());
    sessions.sweep();
    assert_eq!(sessions.in_use(), 0);
}

/// What happens to a key.
#[derive(Clone, Debug)]
enum Step {
    Pass(u32),
    Token,
    Reject,
    Accept,
    Install,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (1..4000_u32).prop_map(Step::Pass),
        4 => Just(Step::Token),
        2 => Just(Step::Reject),
        1 => Just(Step::Accept),
        1 => Just(Step::Install),
    ];
    prop::collection::vec(step, 1..30)
}

proptest! {
    // Rules B4, B9, F2.
    #[test]
    fn a_session_that_is_packed_after_each_step_behaves_as_one_that_never_is(steps in steps()) {
        let seen = |packed: bool, fields: bool| {
            let (server, time) = world();
            let sessions = server.sessions(&time).build();
            let login = |n| {
                let grant = grant(1, n);
                if fields { grant.with_field("scope", "all") } else { grant }
            };
            sessions.install_blocking(&1, login(100)).expect("sendable");
            let kept = (!packed).then(|| sessions.session(&1));
            let mut last = None;
            let mut seen = Vec::new();
            for (n, step) in steps.iter().enumerate() {
                match step {
                    Step::Pass(seconds) => time.advance(*seconds * SECOND),
                    Step::Token => {
                        last = Hand::new(sessions.token(&1)).ready().ok().or(last);
                    }
                    Step::Reject => last.iter().for_each(|token| {
                        sessions.reject(&1, token);
                    }),
                    Step::Accept => last.iter().for_each(|token| sessions.accept(&1, token)),
                    Step::Install => sessions.install_blocking(&1, login(200 + n)).expect("sendable"),
                }
                if packed {
                    sessions.sweep();
                }
                let grant = sessions.session(&1).and_then(|session| session.grant());
                let token = last.as_ref().map(|token| {
                    (token.expose().to_owned(), token.generation().number(), token.expires_at())
                });
                seen.push((format!("{:?}", sessions.state(&1)), token, grant, server.presented(1)));
            }
            drop(kept);
            seen
        };
        prop_assert_eq!(seen(true, false), seen(false, false));
        prop_assert_eq!(seen(true, true), seen(false, true));
    }

    // Rule B4.
    #[test]
    fn what_is_packed_comes_back_as_it_was(
        events in prop::collection::vec((0..8_u8, any::<u16>(), any::<u32>()), 0..40),
        until_rejected in any::<bool>(),
    ) {
        let policy = Policy::builder().missing_lifetime(MissingLifetime::UntilRejected).build();
        let policy = policy.expect("valid");
        let mut machine = Lifecycle::new(77);
        let mut now = Timestamp::from_secs(1_700_000_000);
        for (kind, wait, draw) in events {
            now = now.saturating_add(Span::from_secs(wait.into()));
            let lifetime = (!until_rejected).then(|| Span::from_secs(u64::from(draw) >> 18));
            let token = TokenTimes { sent: now, lifetime, refresh_in: None, jitter: Draw::new(draw) };
            let (flight, draw) = (machine.newest_flight(), Draw::new(draw));
            let generation = machine.generation();
            let event = match (kind, generation) {
                (0, _) => Event::Installed { token: Some(token), intent: None },
                (1, _) => Event::Requested { usable_for: Span::ZERO },
                (2, _) => Event::Refreshed { flight, token, novelty: Novelty::New, draw },
                (3, Some(generation)) => Event::Rejected { generation },
                (4, Some(generation)) => Event::Accepted { generation },
                (5, _) => Event::RefreshFailed { flight, failure: Failure::Declined, draw },
                (6, _) => Event::Cleared,
                _ => Event::TimePassed { draw },
            };
            let _ = machine.handle(&policy, event, now);
            if let Some(packed) = machine.pack() {
                prop_assert_eq!(Lifecycle::unpack(packed), machine);
            }
        }
    }
}

// Rule B4.
#[test]
fn a_grant_with_further_fields_or_none_at_all_is_packed_without_loss() {
    let (server, time) = world();
    let sessions = server.sessions(&time).build();
    let grants = [
        Grant::of_refresh_token("rt"),
        Grant::of_access_token("at", HOUR),
        Grant::new("at", "rt", HOUR).with_field("id_token", "id"),
        Grant::new("at", "rt", HOUR).with_refresh_in(Span::from_secs(60)),
        Grant::new("at", "rt", Span::MAX),
    ];
    for (key, grant) in (0..).zip(&grants) {
        sessions.install_blocking(&key, grant.clone()).expect("sendable");
    }
    for (key, grant) in (0..).zip(grants) {
        assert_eq!(sessions.session(&key).and_then(|session| session.grant()), Some(grant));
    }
}

// Rules C9, B13.
#[test]
fn a_session_that_a_keeper_of_its_own_waits_for_is_not_packed() {
    let (server, time) = world();
    let sessions = server.sessions(&time).build();
    sessions.install_blocking(&1, grant(1, 1)).expect("sendable");
    let session = sessions.session(&1).expect("it exists");
    let mut keeper = Hand::new(session.keep_fresh(time.clone()));
    keeper.pending();
    drop(session);
    sessions.sweep();
    sessions.sweep();
    assert_eq!(sessions.in_use(), 1);
    time.advance(DUE);
    keeper.pending();
    assert_eq!(server.presented(1), ["rt-1-1"]);
    drop(keeper);
    sessions.sweep();
    sessions.sweep();
    assert_eq!(sessions.in_use(), 0);
}

// Rule C1.
#[test]
fn a_machine_at_rest_is_packed_and_small() {
    let now = Timestamp::from_secs(1_700_000_000);
    let mut machine = Lifecycle::new(1);
    assert!(machine.pack().is_some());
    let lifetime = Some(Span::from_secs(3600));
    let token = TokenTimes { sent: now, lifetime, refresh_in: None, jitter: Draw::NONE };
    let _ = machine.handle_installed(&Policy::default(), Some(token), None, now);
    assert!(machine.pack().is_some());
    assert!(size_of::<perennial::lifecycle::Packed>() < size_of::<Lifecycle>() / 2);
    let _ = machine.handle_requested(&Policy::default(), now.saturating_add(Span::from_secs(3400)));
    assert!(machine.pack().is_none(), "a refresh is out");
}
