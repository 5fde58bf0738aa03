//! Every order of the deadlines: who acts at each timeout does the same as who asks each millisecond.

use perennial::lease::{Effect, Event, Policy, RawPolicy, Term};
use perennial::time::Timestamp;

use super::support::{Rig, at, span, timed};

/// No instant of these turns lies further ahead.
const END: i64 = 14;

/// A turn without a margin, so that each deadline may come first. The refresh may take as long as
/// `deadline`, and another holder is waited for as long as `wait`.
fn started(wait: i64, deadline: i64) -> Rig {
    let policy = Policy::from(RawPolicy {
        refresh_deadline: span(deadline),
        term: span(END),
        margin: span(0),
        wait_limit: span(wait),
        poll_base: span(1),
        poll_cap: span(4),
    });
    let mut rig = Rig { policy, ..Rig::new() };
    let _ = rig.tell(Event::Started { deadline: at(deadline) }, 0);
    rig
}

type Seen = Vec<(i64, Effect<Timestamp>)>;

/// What the store and the holder answer to what is to be done.
fn answer(rig: &mut Rig, effect: Effect<Timestamp>, renews: Option<i64>, now: i64) {
    match effect {
        Effect::Acquire { .. } => {
            let _ = rig.busy(Some(3), now);
        }
        Effect::Renew { .. } => {
            let _ = match renews {
                Some(term) => rig.renewed(term, now),
                None => rig.tell(Event::Failed, now),
            };
        }
        Effect::Nothing
        | Effect::Wait { .. }
        | Effect::TakeOver { .. }
        | Effect::Adopt
        | Effect::Prepare { .. }
        | Effect::Send
        | Effect::Store { .. }
        | Effect::Lost
        | Effect::StoreUnlessOutpaced { .. }
        | Effect::Release { .. }
        | Effect::GiveUp(_) => {}
    }
}

/// What is to be done at which instants, where the turn is asked at each.
fn each_millisecond(mut rig: Rig, renews: Option<i64>) -> Seen {
    let mut seen = Vec::new();
    for now in 0..=2 * END {
        // Twice: the first answer may make another thing due.
        for _ in 0..3 {
            let effect = rig.passed(now);
            if effect != Effect::Nothing {
                seen.push((now, effect));
                answer(&mut rig, effect, renews, now);
            }
        }
    }
    seen
}

/// The same, where it is asked at once and then at its timeouts only.
fn each_timeout(mut rig: Rig, renews: Option<i64>) -> Seen {
    let mut seen = Vec::new();
    let mut now = 0;
    loop {
        for _ in 0..3 {
            let effect = rig.passed(now);
            if effect != Effect::Nothing {
                seen.push((now, effect));
                answer(&mut rig, effect, renews, now);
            }
        }
        match rig.next(now) {
            Some(next) => now = next,
            None => return seen,
        }
    }
}

fn both_see_the_same(make: impl Fn() -> Rig, renews: Option<i64>) -> Seen {
    let seen = each_timeout(make(), renews);
    assert_eq!(seen, each_millisecond(make(), renews), "{:?}", make().turn);
    seen
}

// Rules A5, F3.
#[test]
fn in_every_order_of_term_deadline_and_renewal_nothing_is_done_between_the_timeouts() {
    let (mut lost, mut released, mut gave_up, mut renewed) = (0, 0, 0, 0);
    for deadline in 0..END {
        for term in (0..END).map(timed).chain([Term::WhileHeld]) {
            for renews in (1..END).map(Some).chain([None]) {
                for sent in [false, true] {
                    let make = || {
                        let mut rig = started(END, deadline);
                        let _ = rig.acquired(5, term, 0);
                        if sent {
                            let _ = rig.prepared(5, 0);
                        }
                        rig
                    };
                    for (_, effect) in both_see_the_same(make, renews) {
                        match effect {
                            Effect::Lost => lost += 1,
                            Effect::Release { .. } => released += 1,
                            Effect::GiveUp(_) => gave_up += 1,
                            Effect::Renew { .. } => renewed += 1,
                            Effect::Nothing
                            | Effect::Acquire { .. }
                            | Effect::Wait { .. }
                            | Effect::TakeOver { .. }
                            | Effect::Adopt
                            | Effect::Prepare { .. }
                            | Effect::Send
                            | Effect::Store { .. }
                            | Effect::StoreUnlessOutpaced { .. } => panic!("{effect:?}"),
                        }
                    }
                }
            }
        }
    }
    assert!(lost > 0 && released > 0 && gave_up > 0 && renewed > 0);
}

// Rules A5, F4.
#[test]
fn in_every_order_of_poll_limit_and_anothers_term_nothing_is_done_between_the_timeouts() {
    for wait in 0..END {
        for deadline in 0..END {
            for remaining in (0..END).map(Some).chain([None]) {
                let make = || {
                    let mut rig = started(wait, deadline);
                    let _ = rig.busy(remaining, 0);
                    rig
                };
                let seen = both_see_the_same(make, None);
                let last = seen.last().map(|(_, effect)| *effect);
                let ended = matches!(last, Some(Effect::GiveUp(_)));
                assert!(ended || wait.min(deadline) == 0, "{wait} {deadline}: {seen:?}");
            }
        }
    }
}
