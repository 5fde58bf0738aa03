//! Long sequences of events, and policies, for proptest; drawn towards the instants that matter.

use perennial::lifecycle::Reuse;
use perennial::time::Span;
use proptest::prelude::*;

use super::model::{Model, Rules, Token, Told, clamp};

/// How the next `now` follows from what was.
#[derive(Copy, Clone, Debug)]
pub(crate) enum Clock {
    Stands,
    Goes(i64),
    /// To one of the instants at which something may change, or next to it.
    ToInstant(usize, i64),
    Jumps(i64),
}

/// Which of the flights, or generations.
#[derive(Copy, Clone, Debug)]
pub(crate) enum Which {
    Newest,
    Before(u64),
    /// One that does not exist yet.
    Beyond(u64),
}

#[derive(Copy, Clone, Debug)]
pub(crate) struct Answer {
    /// How long before now its request was sent; negative where the clock went back.
    age: i64,
    lifetime: Option<u64>,
    hint: Option<u64>,
    jitter: u32,
}

#[derive(Copy, Clone, Debug)]
pub(crate) enum Op {
    Requested(u64),
    Refreshed(Which, Answer, bool, u32),
    Declined(Which),
    Unavailable(Which, Option<u64>, u32),
    Misconfigured(Which, Option<u64>, u32),
    Unexplained(Which, Option<u64>, u32),
    Unknown(Which, u32),
    Rejected(Which),
    Accepted(Which),
    Recovered(Which),
    Installed(Option<Answer>, Option<i64>),
    Cleared,
    TimePassed(u32),
}

impl Clock {
    pub(crate) fn now(self, model: &Model) -> i128 {
        let now = model.now();
        clamp(match self {
            Self::Stands => now,
            Self::Goes(by) => now + i128::from(by),
            Self::ToInstant(which, delta) => {
                let instants = model.instants();
                let chosen = instants.get(which % instants.len().max(1));
                chosen.copied().unwrap_or(now) + i128::from(delta)
            }
            Self::Jumps(to) => i128::from(to),
        })
    }
}

impl Which {
    fn of(self, newest: u64) -> u64 {
        match self {
            Self::Newest => newest,
            Self::Before(by) => newest.saturating_sub(by),
            Self::Beyond(by) => newest + by,
        }
    }
}

impl Op {
    /// What is told, in the terms of the history so far.
    pub(crate) fn told(self, model: &Model, now: i128) -> Told {
        let flight = |which: Which| which.of(model.started()).max(1);
        let generation = |which: Which| which.of(model.published()).max(1);
        let token = |answer: Answer| Token {
            sent: clamp(now - i128::from(answer.age)),
            lifetime: answer.lifetime.map(i128::from),
            hint: answer.hint.map(i128::from),
            jitter: answer.jitter,
        };
        match self {
            Self::Requested(usable_for) => Told::Requested(usable_for.into()),
            Self::Refreshed(which, answer, new, draw) => {
                Told::Refreshed(flight(which), token(answer), new, draw)
            }
            Self::Declined(which) => Told::Declined(flight(which)),
            Self::Unavailable(which, asked, draw) => {
                Told::Unavailable(flight(which), asked.map(i128::from), draw)
            }
            Self::Misconfigured(which, asked, draw) => {
                Told::Misconfigured(flight(which), asked.map(i128::from), draw)
            }
            Self::Unexplained(which, asked, draw) => {
                Told::Unexplained(flight(which), asked.map(i128::from), draw)
            }
            Self::Unknown(which, draw) => Told::Unknown(flight(which), draw),
            Self::Rejected(which) => Told::Rejected(generation(which)),
            Self::Accepted(which) => Told::Accepted(generation(which)),
            Self::Recovered(which) => Told::Recovered(generation(which)),
            Self::Installed(answer, intent) => {
                Told::Installed(answer.map(token), intent.map(|ago| clamp(now - i128::from(ago))))
            }
            Self::Cleared => Told::Cleared,
            Self::TimePassed(draw) => Told::TimePassed(draw),
        }
    }
}

fn draws() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), Just(u32::MAX), Just(1 << 31), any::<u32>()]
}

/// Spans from none to all there is, mostly of the order of `usual`.
fn spans(usual: u64) -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => 0..usual,
        1 => 0_u64..3,
        1 => Just(u64::MAX),
        1 => any::<u64>(),
    ]
}

fn which() -> impl Strategy<Value = Which> {
    prop_oneof![
        8 => Just(Which::Newest),
        3 => (1_u64..3).prop_map(Which::Before),
        1 => (1_u64..3).prop_map(Which::Beyond),
    ]
}

fn answers() -> impl Strategy<Value = Answer> {
    let age = prop_oneof![4 => Just(0), 4 => 0_i64..40, 1 => -40_i64..0, 1 => any::<i64>()];
    let lifetime = prop_oneof![1 => Just(None), 9 => spans(100).prop_map(Some)];
    let hint = prop_oneof![3 => Just(None), 1 => spans(100).prop_map(Some)];
    (age, lifetime, hint, draws()).prop_map(|(age, lifetime, hint, jitter)| Answer {
        age,
        lifetime,
        hint,
        jitter,
    })
}

fn clocks() -> impl Strategy<Value = Clock> {
    prop_oneof![
        10 => Just(Clock::Stands),
        6 => (0_i64..30).prop_map(Clock::Goes),
        10 => (0_usize..8, -1_i64..=1).prop_map(|(which, by)| Clock::ToInstant(which, by)),
        2 => (-60_i64..0).prop_map(Clock::Goes),
        1 => prop_oneof![Just(i64::MIN), Just(i64::MAX), any::<i64>(), -50_i64..50]
            .prop_map(Clock::Jumps),
    ]
}

fn ops() -> impl Strategy<Value = Op> {
    let brief = prop_oneof![3 => Just(0), 1 => spans(60)];
    let asked = || prop_oneof![1 => Just(None), 1 => spans(40).prop_map(Some)];
    let intent = prop_oneof![4 => Just(None), 1 => (-20_i64..60).prop_map(Some)];
    prop_oneof![
        20 => brief.prop_map(Op::Requested),
        8 => (which(), answers(), prop::bool::weighted(0.7), draws())
            .prop_map(|(which, answer, new, draw)| Op::Refreshed(which, answer, new, draw)),
        1 => which().prop_map(Op::Declined),
        3 => (which(), asked(), draws())
            .prop_map(|(which, asked, draw)| Op::Unavailable(which, asked, draw)),
        2 => (which(), asked(), draws())
            .prop_map(|(which, asked, draw)| Op::Misconfigured(which, asked, draw)),
        3 => (which(), asked(), draws())
            .prop_map(|(which, asked, draw)| Op::Unexplained(which, asked, draw)),
        4 => (which(), draws()).prop_map(|(which, draw)| Op::Unknown(which, draw)),
        5 => which().prop_map(Op::Rejected),
        3 => which().prop_map(Op::Accepted),
        2 => which().prop_map(Op::Recovered),
        2 => (prop::option::weighted(0.8, answers()), intent)
            .prop_map(|(answer, intent)| Op::Installed(answer, intent)),
        1 => Just(Op::Cleared),
        6 => draws().prop_map(Op::TimePassed),
    ]
}

/// A few events that belong together and that chance alone would seldom put in a row: what wears
/// out a budget, and what is free of it.
fn together() -> impl Strategy<Value = Vec<(Clock, Op)>> {
    let fresh = Answer { age: 0, lifetime: Some(80), hint: None, jitter: 0 };
    let newest = Which::Newest;
    let at_once = |ops: &[Op]| Just(ops.iter().map(|op| (Clock::Stands, *op)).collect());
    prop_oneof![
        at_once(&[Op::Requested(u64::MAX), Op::Unavailable(newest, None, 0)]),
        at_once(&[Op::Accepted(newest), Op::Rejected(newest), Op::Requested(0)]),
        at_once(&[Op::Rejected(newest), Op::Requested(0), Op::Refreshed(newest, fresh, true, 0),]),
        at_once(&[
            Op::Accepted(newest),
            Op::Rejected(newest),
            Op::Requested(0),
            Op::Refreshed(newest, fresh, true, 0),
            Op::Recovered(newest),
        ]),
        at_once(&[Op::Requested(u64::MAX), Op::Unknown(newest, 0)]),
        at_once(&[Op::Requested(0), Op::Unexplained(newest, None, 0)]),
    ]
}

/// Some 200 events at most and the clock before each, always beginning with a login.
pub(crate) fn sequences() -> impl Strategy<Value = Vec<(Clock, Op)>> {
    let first = (prop::option::of(answers()), -1000_i64..1000)
        .prop_map(|(answer, at)| (Clock::Jumps(at), Op::Installed(answer, None)));
    // Boxed, for the stack's sake.
    let one = (clocks().boxed(), ops().boxed()).prop_map(|told| vec![told]);
    let some = prop_oneof![5 => one.boxed(), 2 => together().boxed()];
    (first, prop::collection::vec(some, 0..130)).prop_map(|(first, rest)| {
        let mut sequence = vec![first];
        sequence.extend(rest.into_iter().flatten());
        sequence
    })
}

/// Policies of all kinds: sensible, tiny, huge and useless ones.
pub(crate) fn rules() -> impl Strategy<Value = Rules> {
    let reuse = prop_oneof![
        3 => Just(Reuse::Strict),
        3 => spans(60).prop_map(|window| Reuse::OverlapSuccessors(Span::from_millis(window))),
        1 => spans(60).prop_map(|window| Reuse::Idempotent(Span::from_millis(window))),
        1 => Just(Reuse::ConfirmByUse),
        1 => Just(Reuse::Unrotated),
    ];
    let missing = prop::option::of(spans(80)).prop_map(|missing| missing.map(i128::from));
    let life = (spans(40), spans(12), missing);
    let delays = (spans(8), spans(60), spans(40), spans(20));
    let budget = (spans(12), 1_u64..5, prop::bool::weighted(0.1), spans(10));
    let rejections = (0_u32..4, spans(40), spans(6));
    let troubles = (spans(8), spans(30), 0_u32..4, spans(30));
    (life, delays, (budget, rejections), troubles, reuse).prop_map(
        |(life, delays, (budget, rejections), troubles, reuse)| {
            let (interval, count, odd, odd_window) = budget;
            let window = if odd { odd_window } else { interval.saturating_mul(count) };
            Rules {
                refresh_window: life.0.into(),
                margin: life.1.into(),
                missing: life.2,
                base: delays.0.into(),
                cap: delays.1.into(),
                misconfigured: (troubles.0.into(), troubles.1.into()),
                unexplained: (troubles.2, troubles.3.into()),
                rejections: (rejections.0, rejections.1.into(), rejections.2.into()),
                retry_after_cap: delays.2.into(),
                // A budget smaller than one refresh is taken as one.
                interval: interval.min(window).into(),
                budget_window: window.into(),
                deadline: delays.3.into(),
                reuse,
            }
        },
    )
}
