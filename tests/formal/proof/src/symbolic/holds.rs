//! Every turn, policy and event of the lease machine: numbers written out one by one, instants and
//! spans any at all. Nothing is assumed of a turn.

use perennial::lease::RawPolicy;
use perennial::lease::formal::{
    Lease, Limit, Note, Parts, Phase, Queue, Renewal, Stage, Tenure, Theirs,
};

use super::states::{now, then};
use super::sym::{Instant, Length};
use crate::hold::{Brought, Glance, Hold, events};

/// The newest version; those beside it stand for all others.
const NEWEST: u64 = 5;
const POLLS: [u32; 4] = [0, 1, 5, u32::MAX];
const STAGES: [Stage; 4] = [Stage::Preparing, Stage::Ready, Stage::Sent, Stage::Abandoned];

fn policy() -> RawPolicy<Instant> {
    RawPolicy {
        refresh_deadline: Length::any("policy.refresh_deadline"),
        term: Length::any("policy.term"),
        margin: Length::any("policy.margin"),
        wait_limit: Length::any("policy.wait_limit"),
        poll_base: Length::any("policy.poll_base"),
        poll_cap: Length::any("policy.poll_cap"),
    }
}

fn limit(instant: &'static str, at_most: &'static str) -> [Limit<Instant>; 2] {
    [Limit::Over, Limit::At { instant: Instant::any(instant), at_most: Length::any(at_most) }]
}

fn queues() -> Vec<Queue<Instant>> {
    let mut all = Vec::new();
    for give_up in limit("give_up", "give_up.at_most") {
        for deadline in limit("deadline", "deadline.at_most") {
            for polls in POLLS {
                let ends = limit("theirs", "theirs.at_most").map(Theirs::Ends);
                for theirs in ends.into_iter().chain([Theirs::Unknown]) {
                    all.push(Queue { give_up, deadline, polls, theirs });
                }
            }
        }
    }
    all
}

fn tenures() -> Vec<Tenure<Instant>> {
    let mut all = vec![Tenure::Unlimited];
    for end in limit("end", "end.at_most") {
        let at = limit("renewal", "renewal.at_most").map(Renewal::At);
        let asked = Renewal::Asked(Instant::any("renewal.asked"));
        for renewal in at.into_iter().chain([asked, Renewal::None]) {
            all.push(Tenure::Until { end, renewal });
        }
    }
    all
}

fn phases() -> Vec<Phase<Instant>> {
    let mut all =
        vec![Phase::Idle, Phase::Lost { fence: NEWEST - 1 }, Phase::Released, Phase::Over];
    for queue in queues() {
        all.push(Phase::Asking { queue, asked: Instant::any("asked") });
        all.extend(limit("poll", "poll.at_most").map(|poll| Phase::Waiting { queue, poll }));
    }
    for tenure in tenures() {
        for stage in STAGES {
            for deadline in limit("deadline", "deadline.at_most") {
                for fence in [NEWEST - 1, NEWEST] {
                    all.push(Phase::Holding(Lease { fence, tenure, stage, deadline }));
                }
            }
        }
    }
    all
}

/// What is remembered of a note: it meets nothing but another that is found.
fn notes(phase: &Phase<Instant>) -> Vec<Note<Instant>> {
    let mut all = vec![Note::Unseen];
    if let Phase::Idle | Phase::Asking { .. } = phase {
        for version in [NEWEST, NEWEST + 1] {
            let ends = limit("note", "note.at_most");
            all.extend(ends.map(|end| Note::Seen { version, end }));
        }
    }
    all
}

fn turns() -> Vec<Parts<Instant>> {
    let mut all = Vec::new();
    for phase in phases() {
        for note in notes(&phase) {
            all.push(Parts { phase, version: NEWEST, note });
        }
    }
    all
}

/// Every step that there is to be taken, in the hands of the one who takes it.
pub fn holds() -> impl Iterator<Item = impl Fn() -> Hold<Instant>> {
    let brought = Brought {
        instant: Instant::any("event.instant"),
        other: Instant::any("event.other"),
        span: Length::any("event.span"),
    };
    let policy = policy();
    turns().into_iter().flat_map(move |turn| {
        events(brought, NEWEST).into_iter().map(move |event| {
            move || Hold::take(policy, turn, event, now(), [then(), Instant::any("later")])
        })
    })
}

/// Every turn to be looked at.
pub fn glances() -> impl Iterator<Item = Glance<Instant>> {
    let policy = policy();
    let unseen = turns().into_iter().filter(|turn| turn.note == Note::Unseen);
    unseen.map(move |turn| Glance { policy, turn, now: now(), then: then() })
}
