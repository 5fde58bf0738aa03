//! What the policy's builder refuses, and in which words.

use std::time::Duration;

use perennial::lifecycle::{
    Effect, Field, MissingLifetime, Policy, PolicyBuilder, PolicyError, Reuse,
};

use crate::lifecycle::support::{Rig, at, built, hour, lives, sec, secs, started};

const TOO_SHORT: Duration = Duration::from_micros(999);

// Rule B7.
#[test]
fn a_backoff_base_below_a_millisecond_is_refused_by_name() {
    let error = Policy::builder().backoff(TOO_SHORT, secs(1)).build();
    assert_eq!(error, Err(PolicyError::TooShort(Field::BackoffBase)));
    assert_eq!(error.unwrap_err().to_string(), "backoff base must be at least one millisecond");
}

// Rule B7.
#[test]
fn a_backoff_cap_below_its_base_is_refused_by_name() {
    let base = Duration::from_nanos(1_000_000_001);
    let error = Policy::builder().backoff(base, secs(1)).build();
    assert_eq!(error, Err(PolicyError::CapBelowBase));
    assert_eq!(error.unwrap_err().to_string(), "backoff cap must not be shorter than backoff base");
    assert!(Policy::builder().backoff(secs(1), secs(1)).build().is_ok());
}

// Rule B13.
#[test]
fn a_refresh_deadline_below_a_millisecond_is_refused_by_name() {
    let error = Policy::builder().refresh_deadline(TOO_SHORT).build();
    assert_eq!(error, Err(PolicyError::TooShort(Field::RefreshDeadline)));
    assert_eq!(error.unwrap_err().to_string(), "refresh_deadline must be at least one millisecond");
    let shortest = Policy::builder().refresh_deadline(Duration::from_millis(1));
    assert_eq!(built(shortest).refresh_deadline(), Duration::from_millis(1));
}

// Rule B9.
#[test]
fn a_budget_window_below_a_millisecond_is_refused_by_name() {
    let error = Policy::builder().budget(1, TOO_SHORT).build();
    assert_eq!(error, Err(PolicyError::TooShort(Field::BudgetWindow)));
    assert_eq!(error.unwrap_err().to_string(), "budget window must be at least one millisecond");
}

// Rule B9.
#[test]
fn a_budget_of_none_is_refused_by_name() {
    let error = Policy::builder().budget(0, secs(30)).build();
    assert_eq!(error, Err(PolicyError::NoBudget));
    assert_eq!(error.unwrap_err().to_string(), "budget count must be at least 1");
}

// Rule B6.
#[test]
fn a_reuse_window_below_a_millisecond_is_refused_by_name() {
    for reuse in [Reuse::overlap_successors(TOO_SHORT), Reuse::idempotent(TOO_SHORT)] {
        let error = Policy::builder().reuse(reuse).build();
        assert_eq!(error, Err(PolicyError::TooShort(Field::Reuse)));
        assert_eq!(error.unwrap_err().to_string(), "reuse window must be at least one millisecond");
    }
}

// Rules B1, B6, B7, B9, B13.
#[test]
fn the_defaults_are_those_that_the_rules_name() {
    let spelled_out = Policy::builder()
        .refresh_window(secs(300))
        .margin(secs(10))
        .backoff(secs(1), secs(60))
        .retry_after_cap(secs(3600))
        .budget(5, secs(30))
        .refresh_deadline(secs(30))
        .reuse(Reuse::Strict);
    assert_eq!(built(spelled_out), Policy::default());
    assert_eq!(Policy::default().reuse(), Reuse::Strict);
}

// Rule A1.
#[test]
fn a_policy_of_the_longest_durations_is_accepted_and_kept() {
    let longest = Duration::MAX;
    let policy = Policy::builder()
        .refresh_window(longest)
        .margin(longest)
        .backoff(longest, longest)
        .retry_after_cap(longest)
        .budget(u32::MAX, longest)
        .refresh_deadline(Duration::from_millis(u64::MAX / 2))
        .reuse(Reuse::overlap_successors(longest));
    let mut rig = Rig::empty(built(policy));
    let _ = rig.install(Some(lives(at(0), 80)), None, at(0));
    assert_eq!(rig.request(at(39)), Effect::Use);
    assert!(matches!(rig.request(at(40)), Effect::UseAndStartRefresh(_)));
}

// Rule B9.
#[test]
fn a_count_that_does_not_divide_its_window_is_still_granted_in_full() {
    for count in [1, 3, 7, 1000, 29_999] {
        let mut rig = Rig::with_hour(built(Policy::builder().budget(count, secs(30))), sec(0));
        for _ in 0..count {
            let flight = started(rig.request_for(u64::MAX, sec(0))).flight;
            let _ = rig.land(flight, hour(sec(0)), sec(0));
        }
        assert!(matches!(rig.request_for(u64::MAX, sec(0)), Effect::BackOff { .. }), "{count}");
    }
}

// Rules B6, B13.
#[test]
fn a_policy_says_what_it_was_built_with() {
    let policy = Policy::builder().reuse(Reuse::ConfirmByUse).refresh_deadline(secs(7));
    let policy = built(policy);
    assert_eq!((policy.reuse(), policy.refresh_deadline()), (Reuse::ConfirmByUse, secs(7)));
    let policy = Policy::default();
    assert_eq!((policy.reuse(), policy.refresh_deadline()), (Reuse::Strict, secs(30)));
}

// Rules B1, B6, B7, B9, B13.
#[test]
fn settings_can_be_given_in_any_order_and_each_is_kept() {
    let settings: [fn(PolicyBuilder) -> PolicyBuilder; 8] = [
        |builder| builder.refresh_window(secs(7)),
        |builder| builder.margin(secs(7)),
        |builder| builder.missing_lifetime(MissingLifetime::UntilRejected),
        |builder| builder.backoff(secs(7), secs(70)),
        |builder| builder.retry_after_cap(secs(7)),
        |builder| builder.budget(7, secs(7)),
        |builder| builder.refresh_deadline(secs(7)),
        |builder| builder.reuse(Reuse::Unrotated),
    ];
    for (index, one) in settings.iter().enumerate() {
        for other in &settings[index + 1..] {
            let both = built(one(other(Policy::builder())));
            assert_eq!(both, built(other(one(Policy::builder()))));
            assert_ne!(both, built(one(Policy::builder())));
            assert_ne!(both, built(other(Policy::builder())));
        }
    }
}
