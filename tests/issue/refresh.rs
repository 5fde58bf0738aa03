//! Refresh tokens: how they rotate, who may use them, and until when.

use std::collections::HashSet;
use std::thread;

use perennial::issue::{GrantError, InvalidGrant};
use perennial::rotation::{Policy, RefusalReason, Reuse};
use perennial::token::Secret;

use super::support::{
    DAY, HOUR, MILLI, Rig, SECOND, WINDOW, block_on, just_before, policies, refresh_token, why,
};

// Rule D1.
#[test]
fn of_a_thousand_presentations_at_once_exactly_one_rotates_under_every_policy() {
    for policy in policies() {
        let rig = Rig::new(policy);
        let login = rig.log_in();
        let token = refresh_token(&login);
        let successors: Vec<_> = thread::scope(|scope| {
            let present = || (0..125).filter_map(|_| rig.present(&token).ok()).collect::<Vec<_>>();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(present)).collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
        });
        assert_eq!(rig.store.newest(login.family), 2, "{policy:?}");
        let texts: Vec<_> = successors.iter().filter_map(|it| it.refresh_token.as_ref()).collect();
        let texts: HashSet<_> = texts.into_iter().map(Secret::expose).collect();
        let siblings = matches!(policy.reuse(), Reuse::OverlapSuccessors { .. });
        let expected = if siblings { 1000 } else { 1 };
        assert_eq!(texts.len(), expected, "{policy:?}: the same, or a sibling for each");
    }
}

// Rules D2, D3.
#[test]
fn reuse_outside_the_overlap_ends_the_family_and_its_access_tokens_at_once() {
    for policy in policies() {
        let rig = Rig::new(policy);
        let login = rig.log_in();
        let second = rig.present(&refresh_token(&login)).expect("it rotates");
        rig.time.advance(WINDOW);
        let third = rig.present(&refresh_token(&second)).expect("it rotates");
        assert!(rig.works(&login.access_token) && rig.works(&third.access_token));
        assert_eq!(
            rig.refused(&refresh_token(&login)),
            InvalidGrant::Reused(login.family),
            "{policy:?}"
        );
        for issued in [&login, &second, &third] {
            assert!(!rig.works(&issued.access_token), "{policy:?}");
            let refused = InvalidGrant::Refused(login.family, RefusalReason::Revoked);
            assert_eq!(rig.refused(&refresh_token(issued)), refused, "{policy:?}");
        }
    }
}

// Rule D2.
#[test]
fn within_the_overlap_the_predecessor_stays_what_it_is_or_gets_the_very_same_successor() {
    let [_, overlap, _, idempotent, confirm] = policies();
    for (policy, same) in [(overlap, false), (idempotent, true), (confirm, true)] {
        let rig = Rig::new(policy);
        let login = rig.log_in();
        let first = rig.present(&refresh_token(&login)).expect("it rotates");
        rig.time.advance(just_before(WINDOW));
        let again = rig.present(&refresh_token(&login)).expect("it is tolerated");
        assert_eq!(again.refresh_token, first.refresh_token.clone().filter(|_| same), "{policy:?}");
        assert_ne!(again.access_token, first.access_token, "each answer has a fresh one");
        assert!(rig.works(&again.access_token));
    }
}

// Rule D2.
#[test]
fn the_first_use_of_an_access_token_confirms_what_it_came_with() {
    let rig = Rig::new(Policy::new(Reuse::ConfirmByUse));
    let login = rig.log_in();
    let second = rig.present(&refresh_token(&login)).expect("it rotates");
    rig.time.advance(DAY);
    assert!(!rig.works(&login.access_token), "expired");
    let again = rig.present(&refresh_token(&login)).expect("nobody has used the successor");
    assert_eq!(again.refresh_token, second.refresh_token);
    assert!(rig.works(&again.access_token));
    assert_eq!(rig.refused(&refresh_token(&login)), InvalidGrant::Reused(login.family));
}

// Rule D2.
#[test]
fn an_access_token_from_before_the_rotation_confirms_nothing() {
    let rig = Rig::new(Policy::new(Reuse::ConfirmByUse));
    let login = rig.log_in();
    rig.present(&refresh_token(&login)).expect("it rotates");
    assert!(rig.works(&login.access_token));
    rig.present(&refresh_token(&login)).expect("its answer may have been lost");
}

// Rule D3.
#[test]
fn a_revocation_is_not_lost_to_a_refresh_that_is_under_way() {
    let rig = Rig::new(Policy::default());
    let login = rig.log_in();
    rig.store.revoke_before_the_next_claim();
    let refused = InvalidGrant::Refused(login.family, RefusalReason::Revoked);
    assert_eq!(rig.refused(&refresh_token(&login)), refused);
    assert!(!rig.works(&login.access_token));
    assert_eq!(rig.store.newest(login.family), 1);
}

// Rule D4.
#[test]
fn a_family_ends_to_the_millisecond_by_its_idle_and_by_its_absolute_lifetime() {
    let policy = Policy::default().idle_lifetime(DAY).absolute_lifetime(2 * DAY);
    let rig = Rig::new(policy);
    let login = rig.log_in();
    rig.time.advance(just_before(DAY));
    let second = rig.present(&refresh_token(&login)).expect("used in time");
    rig.time.advance(just_before(DAY));
    let third = rig.present(&refresh_token(&second)).expect("used in time");
    rig.time.advance(2 * MILLI);
    let expired = InvalidGrant::Refused(login.family, RefusalReason::Expired);
    assert_eq!(rig.refused(&refresh_token(&third)), expired, "the absolute one");
    let rig = Rig::new(policy);
    let login = rig.log_in();
    rig.time.advance(DAY);
    let expired = InvalidGrant::Refused(login.family, RefusalReason::Expired);
    assert_eq!(rig.refused(&refresh_token(&login)), expired, "the idle one");
}

// Rule D4.
#[test]
fn another_clients_refresh_token_is_refused_and_harmed_in_no_way() {
    let rig = Rig::new(Policy::default());
    let login = rig.log_in();
    let writes = rig.store.writes();
    let stolen = block_on(rig.issuer.refresh("another", &refresh_token(&login), None));
    assert_eq!(why(&stolen.expect_err("not theirs")), InvalidGrant::OtherClient(login.family));
    assert_eq!(rig.store.writes(), writes);
    rig.present(&refresh_token(&login)).expect("it still works for its own");
}

// Rule D3. All families of a subject are revoked at once.
#[test]
fn revoking_a_subject_ends_each_of_their_families_and_nobody_elses() {
    let rig = Rig::new(Policy::default());
    let (one, two) = (rig.log_in(), rig.log_in());
    let bob = perennial::issue::Login::new("web", "bob");
    let bobs = block_on(rig.issuer.login(bob)).expect("a login");
    assert_eq!(block_on(rig.issuer.revoke_subject("alice")).expect("in memory"), 2);
    assert!(!rig.works(&one.access_token) && !rig.works(&two.access_token));
    assert!(rig.works(&bobs.access_token));
}

// RFC 7009, section 2.1.
#[test]
fn revoking_either_token_ends_both_and_only_for_their_own_client() {
    let rig = Rig::new(Policy::default());
    for by_access_token in [false, true] {
        let login = rig.log_in();
        let refresh_token = refresh_token(&login);
        let token = if by_access_token { &login.access_token } else { &refresh_token };
        block_on(rig.issuer.revoke("another", token)).expect("it is none of theirs");
        assert!(rig.works(&login.access_token));
        block_on(rig.issuer.revoke("web", token)).expect("in memory");
        assert!(!rig.works(&login.access_token));
        assert_eq!(
            rig.refused(&refresh_token),
            InvalidGrant::Refused(login.family, RefusalReason::Revoked)
        );
    }
}

// RFC 6749, section 6.
#[test]
fn some_of_the_scope_can_be_asked_for_and_no_more_than_was_granted() {
    let rig = Rig::new(Policy::default());
    let login = rig.log_in();
    let token = refresh_token(&login);
    for more in ["read admin", "admin"] {
        let denied = block_on(rig.issuer.refresh("web", &token, Some(more)));
        assert!(matches!(denied, Err(GrantError::InvalidScope)), "{more:?}: {denied:?}");
    }
    let some = block_on(rig.issuer.refresh("web", &token, Some("read"))).expect("some of it");
    assert_eq!(some.scope.as_deref(), Some("read"));
    let all = rig.present(&refresh_token(&some)).expect("all of it again");
    assert_eq!(all.scope.as_deref(), Some("read write"));
}

#[test]
fn while_the_store_is_down_nothing_is_issued_and_nothing_rotates() {
    let rig = Rig::new(Policy::default());
    let login = rig.log_in();
    rig.store.set_down(true);
    let denied = rig.present(&refresh_token(&login)).expect_err("it is down");
    assert!(matches!(denied, GrantError::Unavailable(_)), "{denied:?}");
    rig.store.set_down(false);
    let after = rig.present(&refresh_token(&login)).expect("it works again");
    assert_eq!((after.expires_in, rig.store.newest(login.family)), (HOUR, 2));
    rig.time.advance(SECOND);
    assert!(rig.works(&after.access_token));
}
