//! Edges: one millisecond before, at and after; counts at their limit; clocks that go back.

use std::time::Duration;

use perennial::rotation::{
    Effect, Event, Family, Policy, RefusalReason, Reuse, Row, State, Tolerance, apply,
};
use perennial::time::{Span, Timestamp};

const WINDOW: i64 = 30_000;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + millis)
}

fn window() -> Duration {
    Duration::from_millis(WINDOW.unsigned_abs())
}

/// A family, its policy, and short words for telling it things.
struct Rig {
    policy: Policy,
    family: Family,
}

impl Rig {
    fn new(reuse: Reuse) -> Self {
        Self::of(Policy::new(reuse))
    }

    fn of(policy: Policy) -> Self {
        Self { policy, family: Family::new(at(0)) }
    }

    fn tell(&mut self, event: Event, millis: i64) -> Effect {
        let (family, effect) = apply(&self.policy, self.family, event, at(millis));
        self.family = family;
        effect
    }

    fn present(&mut self, number: u64, millis: i64) -> Effect {
        self.tell(Event::Presented { number }, millis)
    }

    fn confirm(&mut self, number: u64, millis: i64) {
        assert_eq!(self.tell(Event::Confirmed { number }, millis), Effect::Nothing);
    }

    fn state(&self, millis: i64) -> State {
        self.family.state(&self.policy, at(millis))
    }
}

const NEXT: Effect = Effect::IssueSuccessor { number: 2 };
const AGAIN: Effect = Effect::RepeatSuccessor { number: 2 };

const fn sibling(sibling: u32) -> Effect {
    Effect::IssueSibling { number: 2, sibling }
}

fn policies() -> [Reuse; 5] {
    [
        Reuse::Strict,
        Reuse::overlap_access_only(window()),
        Reuse::overlap_successors(window()),
        Reuse::idempotent(window()),
        Reuse::ConfirmByUse,
    ]
}

/// The policies with a window.
fn windows(window: Duration) -> [Reuse; 3] {
    [
        Reuse::overlap_access_only(window),
        Reuse::overlap_successors(window),
        Reuse::idempotent(window),
    ]
}

// Rules D1, D2.
#[test]
fn of_a_thousand_presentations_of_one_token_exactly_one_rotates_under_every_policy() {
    for reuse in policies() {
        let mut rig = Rig::new(reuse);
        let rotated = (0..1000).filter(|_| rig.present(1, 10) == NEXT).count();
        assert_eq!(rotated, 1, "{reuse:?}");
        assert_eq!(rig.family.newest(), 2, "{reuse:?}");
    }
}

// Rules D2, D3.
#[test]
fn strict_revokes_the_family_at_the_second_presentation() {
    let mut rig = Rig::new(Reuse::Strict);
    assert_eq!(rig.present(1, 1), NEXT);
    assert_eq!(rig.state(1), State::Active);
    assert_eq!(rig.present(1, 1), Effect::RevokeFamily);
    assert_eq!(rig.state(1), State::Revoked);
    assert!(rig.family.is_revoked());
    for number in [1, 2] {
        assert_eq!(rig.present(number, 2), Effect::Refuse(RefusalReason::Revoked), "{number}");
    }
}

// Rules D2, D3.
#[test]
fn the_overlap_ends_to_the_millisecond_counted_from_the_first_use_and_never_slides() {
    let tolerated: [fn(u32) -> Effect; 3] = [|_| Effect::RenewAccess, sibling, |_| AGAIN];
    for (reuse, tolerated) in windows(window()).into_iter().zip(tolerated) {
        let mut rig = Rig::new(reuse);
        assert_eq!(rig.present(1, 5), NEXT);
        for (time, millis) in (1..).zip([5, 6, 5 + WINDOW - 2, 5 + WINDOW - 1]) {
            assert_eq!(rig.present(1, millis), tolerated(time), "{reuse:?} {millis}");
            assert_eq!(rig.state(millis), State::Rotated);
        }
        assert_eq!(rig.state(5 + WINDOW), State::Active);
        assert_eq!(rig.present(1, 5 + WINDOW), Effect::RevokeFamily, "{reuse:?}");
    }
}

// Rule D2.
#[test]
fn a_predecessor_is_tolerated_as_often_as_the_policy_says_and_not_once_more() {
    let window = Span::from(window());
    for reuse in [
        Reuse::OverlapAccessOnly { window, uses: 2 },
        Reuse::OverlapSuccessors { window, uses: 2 },
        Reuse::Idempotent { window, uses: 2 },
    ] {
        let mut rig = Rig::new(reuse);
        assert_eq!(rig.present(1, 0), NEXT);
        assert_ne!(rig.present(1, 1), Effect::Refuse(RefusalReason::TooOften));
        assert_ne!(rig.present(1, 2), Effect::Refuse(RefusalReason::TooOften));
        let before = rig.family;
        assert_eq!(rig.present(1, 3), Effect::Refuse(RefusalReason::TooOften), "{reuse:?}");
        assert_eq!(rig.family, before, "a storm of honest retries revokes nothing");
        assert_eq!(rig.present(2, 4), Effect::IssueSuccessor { number: 3 });
    }
}

// Rules D1, D2.
#[test]
fn siblings_are_counted_and_the_use_of_one_makes_all_of_them_the_predecessor() {
    let mut rig = Rig::new(Reuse::overlap_successors(window()));
    assert_eq!(rig.present(1, 1), NEXT);
    for time in 1..=3 {
        assert_eq!(rig.present(1, 2), sibling(time));
        assert_eq!(rig.family.newest(), 2);
    }
    // Whichever of them is used, it has the number 2.
    assert_eq!(rig.present(2, 3), Effect::IssueSuccessor { number: 3 });
    assert_eq!(rig.present(2, 4), Effect::IssueSibling { number: 3, sibling: 1 });
    assert_eq!(rig.present(2, 3 + WINDOW), Effect::RevokeFamily);
}

// Rule D2.
#[test]
fn no_sibling_comes_twice_where_the_policy_changes_within_the_overlap() {
    let mut rig = Rig::new(Reuse::overlap_successors(window()));
    assert_eq!(rig.present(1, 1), NEXT);
    assert_eq!(rig.present(1, 2), sibling(1));
    rig.policy = Policy::new(Reuse::idempotent(window()));
    assert_eq!(rig.present(1, 3), AGAIN);
    rig.policy = Policy::new(Reuse::overlap_successors(window()));
    assert_eq!(rig.present(1, 4), sibling(3));
}

// Rule D2.
#[test]
fn grandparents_never_work() {
    for reuse in policies() {
        let mut rig = Rig::new(reuse);
        assert_eq!(rig.present(1, 1), NEXT);
        assert_eq!(rig.present(2, 2), Effect::IssueSuccessor { number: 3 });
        assert_eq!(rig.present(1, 2), Effect::RevokeFamily, "{reuse:?}");
    }
}

// Rule D2.
#[test]
fn under_confirm_by_use_the_predecessor_dies_when_its_successor_is_first_used() {
    // By its access token, which a resource server reports.
    let mut rig = Rig::new(Reuse::ConfirmByUse);
    assert_eq!(rig.present(1, 1), NEXT);
    assert_eq!(rig.present(1, WINDOW * 100), AGAIN, "there is no window");
    rig.confirm(1, WINDOW * 100);
    assert_eq!(rig.present(1, WINDOW * 100), AGAIN, "its own confirmation says nothing");
    rig.confirm(2, WINDOW * 100);
    assert_eq!(rig.state(WINDOW * 100), State::Active);
    assert_eq!(rig.present(1, WINDOW * 100), Effect::RevokeFamily);
    // Or by itself.
    let mut rig = Rig::new(Reuse::ConfirmByUse);
    assert_eq!(rig.present(1, 1), NEXT);
    assert_eq!(rig.present(2, 2), Effect::IssueSuccessor { number: 3 });
    assert_eq!(rig.present(2, 3), Effect::RepeatSuccessor { number: 3 });
    assert_eq!(rig.present(1, 3), Effect::RevokeFamily);
}

// Rule D2.
#[test]
fn a_confirmation_takes_nothing_from_an_overlap() {
    for reuse in windows(window()) {
        let mut rig = Rig::new(reuse);
        assert_eq!(rig.present(1, 1), NEXT);
        let before = rig.family;
        rig.confirm(2, 2);
        assert_eq!(rig.family, before, "{reuse:?}");
    }
}

// Rule D4.
#[test]
fn a_family_ends_to_the_millisecond_by_its_absolute_and_by_its_idle_lifetime() {
    let policy = Policy::new(Reuse::Strict).idle_lifetime(Duration::from_millis(100));
    let mut rig = Rig::of(policy);
    assert_eq!(rig.present(1, 99), NEXT);
    assert_eq!(rig.present(2, 198), Effect::IssueSuccessor { number: 3 }, "used, so not idle");
    assert_eq!(rig.state(297), State::Active);
    assert_eq!(rig.state(298), State::Expired);
    assert_eq!(rig.present(3, 298), Effect::Refuse(RefusalReason::Expired));
    let mut rig = Rig::of(policy.absolute_lifetime(Duration::from_millis(150)));
    assert_eq!(rig.present(1, 99), NEXT);
    assert_eq!(rig.present(2, 149), Effect::IssueSuccessor { number: 3 });
    assert_eq!(rig.present(3, 150), Effect::Refuse(RefusalReason::Expired));
    // A reuse is not looked at any more, and a revocation still counts.
    assert_eq!(rig.present(1, 150), Effect::Refuse(RefusalReason::Expired));
    assert_eq!(rig.tell(Event::Revoked, 150), Effect::RevokeFamily);
    assert_eq!(rig.present(3, 150), Effect::Refuse(RefusalReason::Revoked));
}

// Rules A5, D4.
#[test]
fn a_servers_clock_that_jumps_there_and_back_ends_no_family_for_good() {
    let mut rig = Rig::of(Policy::default().absolute_lifetime(Duration::from_secs(86_400)));
    let far = i64::MAX - 1_700_000_000_000;
    assert_eq!(rig.present(1, far), Effect::Refuse(RefusalReason::Expired));
    assert_eq!(rig.present(1, 10), NEXT);
}

// Rule A5.
#[test]
fn an_overlap_that_lies_further_ahead_than_it_is_long_is_pulled_in() {
    let mut rig = Rig::new(Reuse::idempotent(window()));
    assert_eq!(rig.present(1, WINDOW * 1000), NEXT);
    // The clock goes back: what is left is one window, and no more.
    assert_eq!(rig.present(1, 0), AGAIN);
    assert_eq!(rig.present(1, WINDOW - 1), AGAIN);
    assert_eq!(rig.present(1, WINDOW), Effect::RevokeFamily);
}

// Rules A1, D1.
#[test]
fn no_number_and_no_instant_overflows() {
    for millis in [i64::MIN, i64::MAX] {
        let now = Timestamp::from_millis(millis);
        for reuse in policies() {
            for number in [0, 1, 2, u64::MAX] {
                let policy = Policy::new(reuse).absolute_lifetime(Duration::MAX);
                for newest in [0, 1, u64::MAX] {
                    let family = Family::from_row(Row {
                        began: Timestamp::MAX,
                        used: Timestamp::MIN,
                        newest,
                        tolerance: Tolerance::Open { until: Timestamp::MAX, uses: u32::MAX },
                        revoked: false,
                    });
                    let (next, _) = apply(&policy, family, Event::Presented { number }, now);
                    assert!(next.newest() >= family.newest());
                }
            }
        }
    }
    let mut rig = Rig::new(Reuse::Strict);
    rig.family = Family::from_row(Row { newest: u64::MAX, ..rig.family.to_row() });
    assert_eq!(rig.present(u64::MAX, 1), Effect::Refuse(RefusalReason::Expired));
}

// Rule D4.
#[test]
fn a_number_that_was_never_issued_is_refused_and_changes_nothing() {
    for reuse in policies() {
        let mut rig = Rig::new(reuse);
        let before = rig.family;
        for number in [0, 2, 3, u64::MAX] {
            assert_eq!(rig.present(number, 1), Effect::Refuse(RefusalReason::Unknown), "{number}");
            assert_eq!(rig.family, before);
        }
    }
}

#[test]
fn a_family_comes_back_from_its_row_as_it_was() {
    for reuse in policies() {
        let mut rig = Rig::new(reuse);
        let mut seen = vec![rig.family];
        let _ = rig.present(1, 1);
        seen.push(rig.family);
        let _ = rig.present(1, 2);
        seen.push(rig.family);
        let _ = rig.tell(Event::Revoked, 3);
        seen.push(rig.family);
        for family in seen {
            assert_eq!(Family::from_row(family.to_row()), family);
        }
    }
}

// Rule D2.
#[test]
fn a_policy_that_became_stricter_closes_what_the_old_one_left_open() {
    for before in windows(window()).into_iter().chain([Reuse::ConfirmByUse]) {
        let mut rig = Rig::new(before);
        assert_eq!(rig.present(1, 1), NEXT);
        rig.policy = Policy::new(Reuse::Strict);
        assert_eq!(rig.state(2), State::Active);
        assert_eq!(rig.present(1, 2), Effect::RevokeFamily, "{before:?}");
    }
}

// Rules A5, D2.
#[test]
fn an_overlap_that_the_policy_has_made_none_bears_nothing_that_is_left_of_it() {
    let none = Duration::ZERO;
    for reuse in windows(none) {
        let mut rig = Rig::new(Reuse::idempotent(window()));
        assert_eq!(rig.present(1, 1), NEXT);
        rig.policy = Policy::new(reuse);
        assert_eq!(rig.state(2), State::Active, "{reuse:?}");
        assert_eq!(rig.present(1, 2), Effect::RevokeFamily, "{reuse:?}");
    }
}
