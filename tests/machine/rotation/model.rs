//! Long histories against a second reading of the rules: the model keeps everything that happened,
//! and finds each answer by searching it.

use std::time::Duration;

use perennial::rotation::{Effect, Event, Family, Policy, RefusalReason, Reuse, apply};
use perennial::time::{Span, Timestamp};
use proptest::prelude::*;

const WINDOW: i64 = 20;
const USES: u32 = 2;
const IDLE: i64 = 100;
const ABSOLUTE: i64 = 400;

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Kind {
    Strict,
    AccessOnly,
    Successors,
    Idempotent,
    ConfirmByUse,
}

fn policy(kind: Kind) -> Policy {
    let window = Span::from_millis(WINDOW.unsigned_abs());
    let reuse = match kind {
        Kind::Strict => Reuse::Strict,
        Kind::AccessOnly => Reuse::OverlapAccessOnly { window, uses: USES },
        Kind::Successors => Reuse::OverlapSuccessors { window, uses: USES },
        Kind::Idempotent => Reuse::Idempotent { window, uses: USES },
        Kind::ConfirmByUse => Reuse::ConfirmByUse,
    };
    let millis = |millis: i64| Duration::from_millis(millis.unsigned_abs());
    Policy::new(reuse).idle_lifetime(millis(IDLE)).absolute_lifetime(millis(ABSOLUTE))
}

/// When something happened, what, and what was answered.
type Step = (i64, Event, Effect);

/// Everything that happened, with what was answered.
struct History {
    kind: Kind,
    steps: Vec<Step>,
}

impl History {
    fn newest(&self) -> u64 {
        1 + self.count(|effect| matches!(effect, Effect::IssueSuccessor { .. })) as u64
    }

    fn count(&self, of: impl Fn(Effect) -> bool) -> usize {
        self.steps.iter().filter(|step| of(step.2)).count()
    }

    /// When the newest was issued, and what happened since.
    fn since_the_last_rotation(&self) -> Option<(i64, &[Step])> {
        let rotates = |step: &Step| matches!(step.2, Effect::IssueSuccessor { .. });
        let at = self.steps.iter().rposition(rotates)?;
        Some((self.steps[at].0, &self.steps[at + 1..]))
    }

    fn expected(&self, event: Event, now: i64) -> Effect {
        let number = match event {
            Event::Confirmed { .. } => return Effect::Nothing,
            Event::Revoked => return Effect::RevokeFamily,
            Event::Presented { number } => number,
        };
        let refuse = Effect::Refuse;
        if self.count(|effect| effect == Effect::RevokeFamily) > 0 {
            return refuse(RefusalReason::Revoked);
        }
        let served = |step: &&Step| {
            matches!(
                step.2,
                Effect::IssueSuccessor { .. }
                    | Effect::RepeatSuccessor { .. }
                    | Effect::IssueSibling { .. }
                    | Effect::RenewAccess
            )
        };
        let used = self.steps.iter().rfind(served).map_or(0, |step| step.0);
        if now >= ABSOLUTE || now >= used + IDLE {
            return refuse(RefusalReason::Expired);
        }
        let newest = self.newest();
        if number == 0 || number > newest {
            return refuse(RefusalReason::Unknown);
        }
        if number == newest {
            return Effect::IssueSuccessor { number: newest + 1 };
        }
        let Some((rotated, since)) = self.since_the_last_rotation() else {
            return Effect::RevokeFamily;
        };
        if number + 1 < newest {
            return Effect::RevokeFamily;
        }
        let again = since.iter().filter(served).count();
        match self.kind {
            Kind::Strict => Effect::RevokeFamily,
            Kind::AccessOnly | Kind::Successors | Kind::Idempotent if now >= rotated + WINDOW => {
                Effect::RevokeFamily
            }
            Kind::AccessOnly | Kind::Successors | Kind::Idempotent if again >= USES as usize => {
                refuse(RefusalReason::TooOften)
            }
            Kind::AccessOnly => Effect::RenewAccess,
            Kind::Successors => {
                let sibling = u32::try_from(again + 1).expect("two at most");
                Effect::IssueSibling { number: newest, sibling }
            }
            Kind::Idempotent => Effect::RepeatSuccessor { number: newest },
            Kind::ConfirmByUse => {
                let used = Event::Confirmed { number: newest };
                if since.iter().any(|step| step.1 == used) {
                    Effect::RevokeFamily
                } else {
                    Effect::RepeatSuccessor { number: newest }
                }
            }
        }
    }
}

/// How far back from the newest, and how much later. What ends a family is rare, so that most are
/// used again and again before they end.
fn step() -> impl Strategy<Value = (u8, u64, i64)> {
    let back = prop_oneof![1 => Just(0), 6 => Just(1), 12 => Just(2), 1 => Just(3_u64)];
    let later = prop_oneof![
        12 => 0..3_i64,
        4 => 0..=(WINDOW + 1),
        2 => (WINDOW - 1)..=(WINDOW + 1),
        2 => (IDLE - 3)..=IDLE,
    ];
    (0..12_u8, back, later)
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Strict),
        Just(Kind::AccessOnly),
        Just(Kind::Successors),
        Just(Kind::Idempotent),
        Just(Kind::ConfirmByUse)
    ]
}

proptest! {
    // Rules D1, D2, D3, D4.
    #[test]
    fn no_history_gets_another_answer_than_a_search_of_all_that_happened(
        kind in kinds(),
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let policy = policy(kind);
        let mut family = Family::new(Timestamp::from_millis(0));
        let mut history = History { kind, steps: Vec::new() };
        let mut now = 0;
        for (what, back, later) in steps {
            now += later;
            let number = (history.newest() + 1).saturating_sub(back);
            let event = match what {
                0 if back == 3 => Event::Revoked,
                0..=2 => Event::Confirmed { number },
                _ => Event::Presented { number },
            };
            let expected = history.expected(event, now);
            let (next, effect) = apply(&policy, family, event, Timestamp::from_millis(now));
            prop_assert_eq!(effect, expected, "{:?} {:?} at {} after {:?}", kind, event, now, &history.steps);
            family = next;
            history.steps.push((now, event, effect));
            prop_assert_eq!(family.newest(), history.newest());
        }
    }
}
