//! Every pair of a login, a logout, a close and a refresh, on threads: the later one of two that decide
//! wins, in memory and in the store, and none reports success for what the other has undone.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use loom::thread;
use perennial::refresh::{RefreshError, Request};
use perennial::session::{Builder, Error, Session};
use perennial::store::MemoryStore;
use perennial::token::{Grant, Secret};

use crate::exhaust::{
    Bound::{self, Preemptions, Unbounded},
    exhaust,
};
use crate::world::{Hand, Late, block_on, built, grant};

const HOUR: Duration = Duration::from_secs(3600);

/// What one thread does.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Op {
    /// A login with the `n`th grant.
    Install(usize),
    Logout,
    Close,
    /// A caller whose token has lapsed, and is rejected once it has another.
    Token,
}

fn refresh_token(grant: &Grant) -> String {
    grant.refresh_token().map(Secret::expose).expect("each has one").to_owned()
}

/// The server renews `rt-6` to `rt-6+`, and that to `rt-6++`, once each.
fn renewing() -> Builder {
    let spent = Mutex::new(BTreeSet::new());
    Session::builder(move |request: Request| {
        let presented = request.grant().map(refresh_token).expect("there is one");
        assert!(spent.lock().expect("no panic").insert(presented.clone()), "{presented} is spent");
        async move {
            let access = presented.replace("rt", "at");
            let renewed = Grant::new(format!("{access}+"), format!("{presented}+"), HOUR);
            Ok::<_, RefreshError>(renewed)
        }
    })
}

/// Does one of them.
fn act(session: &Session, op: Op) -> Result<(), Error> {
    match op {
        Op::Install(n) => block_on(session.install(grant(n))),
        Op::Logout => block_on(session.logout()),
        Op::Close => block_on(session.close()),
        Op::Token => {
            let token = block_on(session.token())?;
            let _ = session.reject(&token);
            block_on(session.token()).map(drop)
        }
    }
}

/// A session on a store that says late what it has done, whose token has lapsed.
fn session(hand: &Hand, orphans: &Arc<AtomicUsize>) -> (Session, MemoryStore) {
    let store = MemoryStore::new();
    let counter = Arc::clone(orphans);
    let builder = renewing().store(Late(store.clone())).on_orphan(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
    });
    let session = built(builder, hand);
    block_on(session.token()).expect("the first reads the store");
    hand.advance(3600);
    (session, store)
}

/// Whether what came of `op` is what session and store hold.
fn stands(op: Op, held: Option<&str>) -> bool {
    match op {
        Op::Install(n) => {
            held.map(|held| held.trim_end_matches('+')) == Some(&refresh_token(&grant(n)))
        }
        Op::Logout => held.is_none(),
        Op::Close | Op::Token => false,
    }
}

/// Both at once, and what may have come of it.
fn together(bound: Bound, one: Op, other: Op) {
    exhaust(bound, move || {
        let (hand, orphans) = (Hand::new(), Arc::new(AtomicUsize::new(0)));
        let (session, store) = session(&hand, &orphans);
        let second = session.clone();
        let thread = thread::spawn(move || act(&second, other));
        let came = [(one, act(&session, one)), (other, thread.join().expect("no panic"))];
        let held = session.grant().as_ref().map(refresh_token);
        let stored = store.content().grant.map(|stored| refresh_token(&stored.grant));
        assert_eq!(held, stored, "memory and store agree: {came:?}");
        let decide = |op: Op| matches!(op, Op::Install(_) | Op::Logout);
        for (op, came) in came.iter().filter(|(op, _)| decide(*op)) {
            match came {
                // Whoever is undone by a later one may have ended before that began.
                Ok(()) => assert!(stands(*op, held.as_deref()) || (decide(one) && decide(other))),
                Err(error) => {
                    assert!(error.is_superseded(), "{op:?}: {error}");
                    assert!(
                        !stands(*op, held.as_deref()),
                        "{op:?} stands, and is said to have failed"
                    );
                }
            }
        }
        let won =
            |(op, came): &(Op, Result<(), Error>)| came.is_ok() && stands(*op, held.as_deref());
        assert!(
            !(decide(one) || decide(other)) || came.iter().any(won),
            "nobody has won: {came:?}"
        );
        if one == Op::Logout || other == Op::Logout {
            assert_eq!(session.try_token().is_ok(), held.is_some());
        }
    });
}

// Rule B11.
#[test]
fn of_two_logins_the_later_one_stands() {
    together(Unbounded, Op::Install(5), Op::Install(7));
}

// Rule B11. Case X31.
#[test]
fn of_a_login_and_a_logout_the_later_one_stands() {
    together(Unbounded, Op::Install(5), Op::Logout);
}

// Rule B11.
#[test]
fn of_two_logouts_both_stand() {
    together(Unbounded, Op::Logout, Op::Logout);
}

// Rules B11, C9.
#[test]
fn a_close_undoes_no_login() {
    together(Unbounded, Op::Install(5), Op::Close);
}

// Rules B11, C9.
#[test]
fn a_close_undoes_no_logout() {
    together(Unbounded, Op::Logout, Op::Close);
}

// Rules B11, F2. Case X32.
#[test]
fn a_refresh_undoes_no_login() {
    together(Preemptions(3), Op::Install(5), Op::Token);
}

// Rules B11, F2.
#[test]
fn a_refresh_undoes_no_logout() {
    together(Preemptions(3), Op::Logout, Op::Token);
}
