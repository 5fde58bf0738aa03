//! Tests of rotation, with time passed in and nobody sleeping.

use std::sync::Mutex;
use std::thread;

use super::super::family::Rotation;
use super::super::token::SuccessorKey;
use super::*;

const OVERLAP: Duration = Duration::from_secs(30);

fn at(seconds: u64) -> Moment {
    Moment::from_secs(seconds)
}

fn store(rotation: Rotation) -> Store {
    let rule = Rule { rotation, overlap: OVERLAP };
    Store::new(Lifetimes {
        access_ttl: Duration::from_secs(10),
        refresh_ttl: Some(Duration::from_secs(1000)),
        rule,
    })
}

/// Presents the refresh token of `parent` and returns the verdict with what would be issued.
fn present(store: &mut Store, parent: &Minted, now: Moment) -> (Verdict, Minted) {
    let minted = Minted::random();
    let verdict = store.refresh(&parent.refresh.digest, &minted, now);
    (verdict, minted)
}

fn seeded(rotation: Rotation) -> (Store, Minted) {
    let mut store = store(rotation);
    let login = Minted::random();
    assert_eq!(store.seed(&login, at(0)), 1);
    (store, login)
}

#[test]
fn strict_reuse_revokes_the_family_with_its_access_tokens() {
    let (mut store, login) = seeded(Rotation::Strict);
    let (verdict, second) = present(&mut store, &login, at(1));
    assert_eq!(verdict, Verdict::Rotated);
    assert!(store.authorize(Some(&login.access.digest), at(1)));
    assert!(store.authorize(Some(&second.access.digest), at(1)));

    assert_eq!(present(&mut store, &login, at(1)).0, Verdict::Reused);
    assert!(!store.authorize(Some(&login.access.digest), at(1)));
    assert!(!store.authorize(Some(&second.access.digest), at(1)));
    assert_eq!(present(&mut store, &second, at(1)).0, Verdict::Refused);

    let counters = store.counters_of(1).expect("family 1 was seeded");
    assert_eq!(counters.rotations, 1);
    assert_eq!(counters.granted, 1);
    assert_eq!(counters.family_revocations, 1);
    assert_eq!(counters.invalid_grant, 2);
    assert_eq!((counters.api_ok, counters.api_unauthorized), (2, 2));
}

#[test]
fn revoking_one_family_leaves_the_others_alone() {
    let (mut store, login) = seeded(Rotation::Strict);
    let other = Minted::random();
    assert_eq!(store.seed(&other, at(0)), 2);
    present(&mut store, &login, at(1));
    assert_eq!(present(&mut store, &login, at(2)).0, Verdict::Reused);
    assert!(store.authorize(Some(&other.access.digest), at(2)));
    assert_eq!(present(&mut store, &other, at(2)).0, Verdict::Rotated);
}

#[test]
fn the_overlap_is_bounded_and_does_not_slide() {
    let (mut store, login) = seeded(Rotation::OverlapSuccessors);
    let (verdict, second) = present(&mut store, &login, at(100));
    assert_eq!(verdict, Verdict::Rotated);
    for seconds in [100, 115, 129] {
        let (verdict, sibling) = present(&mut store, &login, at(seconds));
        assert_eq!(verdict, Verdict::Repeated);
        assert!(store.authorize(Some(&sibling.access.digest), at(seconds)));
    }
    // Had the repeat at 129 moved the window, 130 would still be inside.
    assert_eq!(present(&mut store, &login, at(130)).0, Verdict::Reused);
    assert_eq!(present(&mut store, &second, at(130)).0, Verdict::Refused);
}

#[test]
fn a_repeat_in_the_overlap_gives_a_working_sibling() {
    let (mut store, login) = seeded(Rotation::OverlapSuccessors);
    let (_, lost) = present(&mut store, &login, at(0));
    let (verdict, kept) = present(&mut store, &login, at(5));
    assert_eq!(verdict, Verdict::Repeated);
    assert_eq!(present(&mut store, &kept, at(200)).0, Verdict::Rotated);
    // Once its sibling has rotated, the lost one is a predecessor like any other.
    assert_eq!(present(&mut store, &lost, at(229)).0, Verdict::Repeated);
    assert_eq!(present(&mut store, &lost, at(230)).0, Verdict::Reused);
}

#[test]
fn idempotent_rotation_gives_the_very_same_successor() {
    let (mut store, login) = seeded(Rotation::Idempotent);
    let key = SuccessorKey::random();
    let mut present = |parent: &Minted, now| {
        let mut minted = Minted::random();
        minted.refresh = key.successor_of(&parent.refresh.digest);
        (store.refresh(&parent.refresh.digest, &minted, now), minted)
    };
    let (first_verdict, first) = present(&login, at(10));
    let (again_verdict, again) = present(&login, at(39));
    assert_eq!((first_verdict, again_verdict), (Verdict::Rotated, Verdict::Repeated));
    assert_eq!(first.refresh.text, again.refresh.text);
    assert_ne!(first.access.text, again.access.text);
    assert_ne!(first.refresh.text, login.refresh.text);

    let (verdict, third) = present(&again, at(39));
    assert_eq!(verdict, Verdict::Rotated);
    assert_ne!(third.refresh.text, first.refresh.text);
    assert_eq!(present(&first, at(69)).0, Verdict::Reused);
    assert_eq!(present(&third, at(69)).0, Verdict::Refused);
}

#[test]
fn a_predecessor_is_borne_until_what_came_with_its_successor_is_used() {
    let (mut store, login) = seeded(Rotation::ConfirmByUse);
    let (_, lost) = present(&mut store, &login, at(0));
    // What came before the rotation confirms nothing.
    assert!(store.authorize(Some(&login.access.digest), at(1)));
    let (verdict, kept) = present(&mut store, &login, at(900));
    assert_eq!(verdict, Verdict::Repeated);
    assert!(store.authorize(Some(&kept.access.digest), at(901)));
    assert_eq!(present(&mut store, &login, at(902)).0, Verdict::Reused);
    assert_eq!(present(&mut store, &lost, at(902)).0, Verdict::Refused);
}

#[test]
fn a_repeated_successor_keeps_its_first_expiry() {
    let (mut store, login) = seeded(Rotation::Idempotent);
    let (_, successor) = present(&mut store, &login, at(0));
    let repeat = Minted { access: Minted::random().access, refresh: successor.refresh };
    assert_eq!(store.refresh(&login.refresh.digest, &repeat, at(20)), Verdict::Repeated);
    assert_eq!(present(&mut store, &repeat, at(1000)).0, Verdict::Refused);
}

#[test]
fn a_grandparent_revokes_even_within_the_overlap() {
    for rotation in [Rotation::OverlapSuccessors, Rotation::Idempotent] {
        let (mut store, login) = seeded(rotation);
        let (_, second) = present(&mut store, &login, at(1));
        let (verdict, third) = present(&mut store, &second, at(2));
        assert_eq!(verdict, Verdict::Rotated);
        assert_eq!(present(&mut store, &login, at(3)).0, Verdict::Reused);
        assert_eq!(present(&mut store, &third, at(3)).0, Verdict::Refused);
    }
}

#[test]
fn simultaneous_presentations_rotate_once() {
    for (rotation, granted) in
        [(Rotation::Strict, 1), (Rotation::OverlapSuccessors, 16), (Rotation::Idempotent, 16)]
    {
        let (store, login) = seeded(rotation);
        let store = Mutex::new(store);
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    let minted = Minted::random();
                    let mut store = store.lock().expect("nothing panics while the store is locked");
                    store.refresh(&login.refresh.digest, &minted, at(1));
                });
            }
        });
        let totals = store.lock().expect("all threads have ended well").totals();
        assert_eq!(totals.rotations, 1, "{rotation:?}");
        assert_eq!(totals.granted, granted, "{rotation:?}");
        assert_eq!(totals.invalid_grant, 16 - granted, "{rotation:?}");
    }
}

#[test]
fn an_expired_refresh_token_is_refused_but_its_reuse_still_revokes() {
    let (mut store, login) = seeded(Rotation::Strict);
    assert_eq!(present(&mut store, &login, at(1000)).0, Verdict::Refused);
    let (mut store, login) = seeded(Rotation::Strict);
    let (verdict, second) = present(&mut store, &login, at(999));
    assert_eq!(verdict, Verdict::Rotated);
    assert_eq!(present(&mut store, &login, at(1500)).0, Verdict::Reused);
    assert_eq!(present(&mut store, &second, at(1500)).0, Verdict::Refused);
}

#[test]
fn an_unknown_refresh_token_is_refused_and_counted_apart() {
    let (mut store, _) = seeded(Rotation::Strict);
    assert_eq!(present(&mut store, &Minted::random(), at(1)).0, Verdict::Refused);
    assert_eq!(store.totals().invalid_grant, 1);
    assert_eq!(store.counters_of(1).expect("family 1 was seeded").invalid_grant, 0);
}

#[test]
fn access_tokens_end_at_their_expiry_to_the_millisecond() {
    let (mut store, login) = seeded(Rotation::Strict);
    let access = Some(&login.access.digest);
    assert!(store.authorize(access, Duration::from_millis(9_999)));
    assert!(!store.authorize(access, at(10)));
    assert!(!store.authorize(None, at(0)));
}

#[test]
fn stopping_access_tokens_counts_only_what_still_worked() {
    let (mut store, login) = seeded(Rotation::Strict);
    let (_, second) = present(&mut store, &login, at(5));
    assert!(!store.stop_token_in_use(1, at(6)), "none was used");
    assert!(store.authorize(Some(&second.access.digest), at(6)));
    assert!(store.stop_token_in_use(1, at(6)));
    assert!(!store.authorize(Some(&second.access.digest), at(6)));
    assert!(!store.stop_token_in_use(1, at(6)), "it has stopped");
    assert!(!store.stop_token_in_use(7, at(6)), "there is no such family");
    assert!(store.authorize(Some(&login.access.digest), at(6)), "the others go on");

    let (verdict, third) = present(&mut store, &second, at(7));
    assert_eq!(verdict, Verdict::Rotated);
    assert!(store.authorize(Some(&third.access.digest), at(7)));
    assert_eq!(store.stop_access_tokens(at(17)), 0, "it has expired by itself");
    assert_eq!(store.counters_of(1).expect("family 1 was seeded").access_revocations, 1);
}
