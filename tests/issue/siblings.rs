//! Overlap with successors: each response within the overlap has a refresh token of its own, all of
//! them with the newest number.

use std::sync::Barrier;
use std::thread;

use perennial::issue::{InvalidGrant, Issued};
use perennial::rotation::{Policy, RefusalReason, Reuse};
use perennial::token::Secret;

use super::support::{Rig, SECOND, WINDOW, just_before, refresh_token};

fn rig() -> Rig {
    Rig::new(Policy::new(Reuse::overlap_successors(WINDOW)))
}

/// Whether a client that holds this refresh token goes on from refresh to refresh, each beyond the
/// window of the one before.
#[track_caller]
fn goes_on(rig: &Rig, mut held: Secret) {
    for _ in 0..4 {
        rig.time.advance(WINDOW);
        held = refresh_token(&rig.present(&held).expect("it works"));
    }
}

// Rule D2. Case X50: the client has only what the second response brought.
#[test]
fn a_client_that_lost_the_first_response_keeps_its_login_once_the_window_is_over() {
    let rig = rig();
    let login = rig.log_in();
    let lost = rig.present(&refresh_token(&login)).expect("it rotates");
    rig.time.advance(just_before(WINDOW));
    let received = rig.present(&refresh_token(&login)).expect("it is tolerated");
    assert_ne!(refresh_token(&received), refresh_token(&lost), "each has a text of its own");
    assert_ne!(refresh_token(&received), refresh_token(&login));
    assert_eq!(rig.store.newest(login.family), 2, "nothing was rotated again");
    goes_on(&rig, refresh_token(&received));
}

// Rule D2.
#[test]
fn a_client_that_lost_two_responses_in_a_row_keeps_its_login_with_the_third() {
    let rig = rig();
    let login = rig.log_in();
    let mut seen = vec![refresh_token(&login)];
    for _ in 0..3 {
        let issued = rig.present(&refresh_token(&login)).expect("it works");
        assert!(!seen.contains(&refresh_token(&issued)));
        seen.push(refresh_token(&issued));
        rig.time.advance(SECOND);
    }
    assert_eq!(rig.store.newest(login.family), 2);
    goes_on(&rig, seen.pop().expect("the third"));
}

/// What two who present the token at one moment get.
fn at_once(rig: &Rig, token: &Secret) -> [Issued; 2] {
    let start = Barrier::new(2);
    let present = || {
        start.wait();
        rig.present(token).expect("it works")
    };
    thread::scope(|scope| {
        let both = [scope.spawn(present), scope.spawn(present)];
        both.map(|one| one.join().expect("no panic"))
    })
}

// Rules D1, D2.
#[test]
fn two_who_present_the_predecessor_at_once_get_a_token_each_that_works_after_the_others_use() {
    let rig = rig();
    let login = rig.log_in();
    rig.present(&refresh_token(&login)).expect("it rotates");
    let [one, other] = at_once(&rig, &refresh_token(&login)).map(|issued| refresh_token(&issued));
    assert_ne!(one, other);
    assert_eq!(rig.store.newest(login.family), 2);
    let next = refresh_token(&rig.present(&one).expect("it is the newest"));
    rig.time.advance(just_before(WINDOW));
    let theirs = refresh_token(&rig.present(&other).expect("within the window of the other's use"));
    assert_ne!(next, theirs);
    assert_eq!(rig.store.newest(login.family), 3, "one token rotates once, whoever uses it");
    goes_on(&rig, theirs);
}

// Rule D3.
#[test]
fn a_sibling_presented_beyond_the_window_of_anothers_use_revokes_the_family() {
    let rig = rig();
    let login = rig.log_in();
    let first = refresh_token(&rig.present(&refresh_token(&login)).expect("it rotates"));
    let second = refresh_token(&rig.present(&refresh_token(&login)).expect("it is tolerated"));
    let next = rig.present(&second).expect("it is the newest");
    rig.time.advance(WINDOW);
    assert_eq!(rig.refused(&first), InvalidGrant::Reused(login.family));
    assert!(!rig.works(&next.access_token));
    let revoked = InvalidGrant::Refused(login.family, RefusalReason::Revoked);
    for token in [&second, &refresh_token(&next)] {
        assert_eq!(rig.refused(token), revoked);
    }
}
