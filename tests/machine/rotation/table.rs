//! The whole table of the server machine, as a text that a person can read.

use std::fmt::Write as _;
use std::time::Duration;

use expect_test::expect_file;
use perennial::rotation::{Effect, Event, Family, Policy, Reuse, apply};
use perennial::time::Timestamp;

const WINDOW: Duration = Duration::from_millis(10);

/// How a family is led into each of its shapes, by what it is told when, in milliseconds.
const SHAPES: [(&str, &[(Event, i64)]); 6] = [
    ("after the login", &[]),
    ("just rotated", &[(presented(1), 100)]),
    ("rotated, the overlap over", &[(presented(1), 80)]),
    ("rotated, and confirmed", &[(presented(1), 100), (Event::Confirmed { number: 2 }, 100)]),
    ("rotated twice", &[(presented(1), 100), (presented(2), 100)]),
    ("revoked", &[(presented(1), 100), (Event::Revoked, 100)]),
];

const fn presented(number: u64) -> Event {
    Event::Presented { number }
}

/// What it is told then, at 100 ms.
const EVENTS: [(&str, Event); 6] = [
    ("1 presented", presented(1)),
    ("2 presented", presented(2)),
    ("3 presented", presented(3)),
    ("4 presented", presented(4)),
    ("2 confirmed", Event::Confirmed { number: 2 }),
    ("revoked", Event::Revoked),
];

fn policies() -> [(&'static str, Policy); 5] {
    let of = |reuse| Policy::new(reuse).idle_lifetime(Duration::from_secs(1));
    [
        ("strict", of(Reuse::Strict)),
        ("overlap (access only)", of(Reuse::overlap_access_only(WINDOW))),
        ("overlap (successors)", of(Reuse::overlap_successors(WINDOW))),
        ("idempotent", of(Reuse::idempotent(WINDOW))),
        ("confirm by use", of(Reuse::ConfirmByUse)),
    ]
}

fn word(effect: Effect) -> String {
    match effect {
        Effect::Nothing => "-".to_owned(),
        Effect::IssueSuccessor { number } => format!("issue {number}"),
        Effect::RepeatSuccessor { number } => format!("repeat {number}"),
        Effect::IssueSibling { number, sibling } => format!("issue {number}, sibling {sibling}"),
        Effect::RenewAccess => "renew access".to_owned(),
        Effect::Refuse(reason) => format!("refuse ({reason:?})").to_lowercase(),
        Effect::RevokeFamily => "REVOKE".to_owned(),
    }
}

// Rules D1, D2, D3, D4.
#[test]
fn every_event_in_every_shape_does_what_the_committed_table_says() {
    let now = Timestamp::from_millis(100);
    let mut table = String::new();
    for (name, policy) in policies() {
        writeln!(table, "{name}").expect("a string");
        for (shape, history) in SHAPES {
            let family =
                history.iter().fold(Family::new(Timestamp::from_millis(0)), |family, told| {
                    apply(&policy, family, told.0, Timestamp::from_millis(told.1)).0
                });
            let state = family.state(&policy, now);
            writeln!(table, "  {shape}: {state:?}").expect("a string");
            for (told, event) in EVENTS {
                let (next, effect) = apply(&policy, family, event, now);
                let then = next.state(&policy, now);
                writeln!(table, "    {told:<12} {:<22} {then:?}", word(effect)).expect("a string");
            }
        }
    }
    expect_file!["../../snapshots/rotation_table.txt"].assert_eq(&table);
}
