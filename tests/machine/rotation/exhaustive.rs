//! Every family on three-bit instants, under every policy, told of everything at every now: the
//! rules that concern one step and the next.

use perennial::rotation::{
    Effect, Event, Family, Policy, RawPolicy, RefusalReason, Reuse, Row, State, Tolerance, apply,
};

use crate::tick::{LAST, Tick, all};

const NEWEST: u64 = 3;

fn policies() -> Vec<Policy<Tick>> {
    let mut reuses = vec![Reuse::Strict, Reuse::ConfirmByUse];
    for window in [0, 1, 3, LAST] {
        for uses in [0, 1, 2] {
            reuses.push(Reuse::OverlapAccessOnly { window, uses });
            reuses.push(Reuse::OverlapSuccessors { window, uses });
            reuses.push(Reuse::Idempotent { window, uses });
        }
    }
    let lifetimes = [None, Some(0), Some(2), Some(LAST)];
    let mut policies = Vec::new();
    for reuse in reuses {
        for absolute in lifetimes {
            for idle in lifetimes {
                policies.push(Policy::from(RawPolicy { reuse, absolute, idle }));
            }
        }
    }
    policies
}

fn families() -> Vec<Family<Tick>> {
    let mut tolerances = vec![Tolerance::Closed, Tolerance::Unconfirmed];
    for until in all() {
        for uses in [0, 1, 2] {
            tolerances.push(Tolerance::Open { until, uses });
        }
    }
    let mut families = Vec::new();
    for began in all() {
        for used in all() {
            for newest in [1, 2, NEWEST] {
                for &tolerance in &tolerances {
                    for revoked in [false, true] {
                        let row = Row { began, used, newest, tolerance, revoked };
                        families.push(Family::from_row(row));
                    }
                }
            }
        }
    }
    families
}

fn events() -> Vec<Event> {
    let mut events = vec![Event::Revoked];
    for number in 0..=NEWEST + 1 {
        events.push(Event::Presented { number });
        events.push(Event::Confirmed { number });
    }
    events
}

fn serves(effect: Effect) -> bool {
    matches!(
        effect,
        Effect::IssueSuccessor { .. }
            | Effect::RepeatSuccessor { .. }
            | Effect::IssueSibling { .. }
            | Effect::RenewAccess
    )
}

fn check(policy: &Policy<Tick>, before: Family<Tick>, event: Event, now: Tick) {
    let (after, effect) = apply(policy, before, event, now);
    let context = || format!("{policy:?}\n{before:?}\n{event:?} at {now:?}: {effect:?}\n{after:?}");
    let state = before.state(policy, now);
    // Rule D3: what is revoked stays so, and tells nobody anything else.
    assert!(!before.is_revoked() || after.is_revoked(), "{}", context());
    // Rule D1: numbers only grow, by one, and only where a successor is issued.
    let issued = matches!(effect, Effect::IssueSuccessor { .. });
    assert_eq!(after.newest(), before.newest() + u64::from(issued), "{}", context());
    let Event::Presented { number } = event else {
        assert!(matches!(effect, Effect::Nothing | Effect::RevokeFamily), "{}", context());
        return;
    };
    // Rule D4.
    if matches!(state, State::Revoked | State::Expired) {
        assert!(matches!(effect, Effect::Refuse(_)), "{}", context());
    }
    // Rule D2: nobody but the newest and its tolerated predecessor is served.
    if serves(effect) {
        let newest = number == before.newest();
        let tolerated = number + 1 == before.newest() && state == State::Rotated;
        assert!(newest || tolerated, "{}", context());
        assert_eq!(issued, newest, "{}", context());
    }
    // Rule D2: a sibling is of the newest number, and no other sibling of that number comes later.
    if let Effect::IssueSibling { number: issued, sibling } = effect {
        assert_eq!(issued, after.newest(), "{}", context());
        assert!(sibling > 0, "{}", context());
        for then in all() {
            if let Effect::IssueSibling { sibling: next, .. } = apply(policy, after, event, then).1
            {
                assert!(next > sibling, "{} {then:?}", context());
            }
        }
    }
    // Rules D2, D3: whatever was issued and is no longer tolerated revokes.
    let alive = matches!(state, State::Active | State::Rotated);
    let spent = (1..before.newest()).contains(&number)
        && (number + 1 < before.newest() || state == State::Active);
    assert_eq!(effect == Effect::RevokeFamily, alive && spent, "{}", context());
    // Rule D1: once presented, a token does not rotate a second time, whenever it comes.
    for then in all() {
        let again = apply(policy, after, event, then).1;
        if issued {
            assert!(!matches!(again, Effect::IssueSuccessor { .. }), "{} {then:?}", context());
        }
    }
    // A refusal changes nothing that the now has not shown.
    if let Effect::Refuse(reason) = effect {
        let told = apply(policy, before, Event::Confirmed { number: 0 }, now).0;
        assert_eq!(after, told, "{}", context());
        let known = (1..=before.newest()).contains(&number);
        assert!(known || reason != RefusalReason::TooOften, "{}", context());
    }
}

// Rules A1, A5, D1, D2, D3, D4.
#[test]
fn no_event_at_any_three_bit_now_breaks_a_rule_of_any_family() {
    let (families, events) = (families(), events());
    // Debug builds look at some of them, spread evenly; the others at all.
    let (policy_step, family_step) = if cfg!(debug_assertions) { (37, 11) } else { (1, 1) };
    let mut transitions = 0_u64;
    for policy in policies().iter().step_by(policy_step) {
        for &family in families.iter().step_by(family_step) {
            for now in all() {
                for &event in &events {
                    check(policy, family, event, now);
                    transitions += 1;
                }
            }
        }
    }
    println!("{transitions} transitions");
    assert!(transitions > 500_000, "only {transitions} transitions");
}
