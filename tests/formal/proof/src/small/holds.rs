//! The lease machine: every turn, told of everything.

use perennial::lease::RawPolicy;
use perennial::lease::formal::{
    Lease, Limit, Note, Parts, Phase, Queue, Renewal, Stage, Tenure, Theirs,
};

use super::Count;
use super::any::Any;
use super::tick::{Tick, instants, spans};
use crate::hold::{Brought, Glance, Hold, events};

const NEWEST: u64 = 2;
const POLLS: [u32; 5] = [0, 1, 2, 3, u32::MAX];
const STAGES: [Stage; 4] = [Stage::Preparing, Stage::Ready, Stage::Sent, Stage::Abandoned];

fn policy(any: &mut Any) -> RawPolicy<Tick> {
    RawPolicy {
        refresh_deadline: any.span(),
        term: any.span(),
        margin: any.span(),
        wait_limit: any.span(),
        poll_base: any.span(),
        poll_cap: any.span(),
    }
}

fn limits() -> Vec<Limit<Tick>> {
    let at = |instant| spans().map(move |at_most| Limit::At { instant, at_most });
    [Limit::Over].into_iter().chain(instants().flat_map(at)).collect()
}

fn note(any: &mut Any, limits: &[Limit<Tick>]) -> Note<Tick> {
    let version = NEWEST + u64::from(any.span() & 1);
    if any.span() == 0 { Note::Unseen } else { Note::Seen { version, end: any.one(limits) } }
}

/// Every event to this turn at every now, and a look at it.
fn told(count: &mut Count, any: &mut Any, policy: RawPolicy<Tick>, turn: Parts<Tick>) {
    for now in instants() {
        let brought = Brought { instant: any.instant(), other: any.instant(), span: any.span() };
        for event in events(brought, NEWEST) {
            let then = [any.instant(), any.instant()];
            count.hold(&Hold::take(policy, turn, event, now, then));
        }
        count.glance(&Glance { policy, turn, now, then: any.instant() });
    }
}

/// Every end of a term meets every renewal and stage; the deadline is drawn.
pub(super) fn held(count: &mut Count, any: &mut Any) {
    let limits = limits();
    for &end in &limits {
        let at = limits.iter().copied().map(Renewal::At);
        let asked = instants().map(Renewal::Asked);
        for renewal in at.chain(asked).chain([Renewal::None]) {
            for stage in STAGES {
                let tenure = Tenure::Until { end, renewal };
                let fence = NEWEST - u64::from(any.span() & 1);
                let lease = Lease { fence, tenure, stage, deadline: any.one(&limits) };
                let (policy, note) = (policy(any), note(any, &limits));
                let turn = Parts { phase: Phase::Holding(lease), version: NEWEST, note };
                told(count, any, policy, turn);
            }
        }
    }
    for &deadline in &limits {
        for stage in STAGES {
            let lease = Lease { fence: NEWEST, tenure: Tenure::Unlimited, stage, deadline };
            let (policy, note) = (policy(any), note(any, &limits));
            told(count, any, policy, Parts { phase: Phase::Holding(lease), version: NEWEST, note });
        }
    }
}

/// Every limit meets every note, poll and another's term; the deadline is drawn.
pub(super) fn queued(count: &mut Count, any: &mut Any) {
    let limits = limits();
    for &give_up in &limits {
        for &other in &limits {
            for polls in POLLS {
                let theirs = match any.span() {
                    0 => Theirs::Unknown,
                    _ => Theirs::Ends(other),
                };
                let queue = Queue { give_up, deadline: any.one(&limits), polls, theirs };
                let version = NEWEST + u64::from(any.span() & 1);
                let asking = Phase::Asking { queue, asked: any.instant() };
                let waiting = Phase::Waiting { queue, poll: any.one(&limits) };
                let note = Note::Seen { version, end: any.one(&limits) };
                for (phase, note) in [(asking, note), (waiting, Note::Unseen)] {
                    let policy = policy(any);
                    told(count, any, policy, Parts { phase, version: NEWEST, note });
                }
            }
        }
    }
    for phase in [Phase::Idle, Phase::Lost { fence: 1 }, Phase::Released, Phase::Over] {
        for &end in &limits {
            let (policy, note) = (policy(any), Note::Seen { version: NEWEST, end });
            told(count, any, policy, Parts { phase, version: NEWEST, note });
        }
    }
}
