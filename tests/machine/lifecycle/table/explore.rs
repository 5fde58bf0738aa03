//! Walks the machine through everything that a handful of events can make of it, and notes what was
//! seen from outside. It looks at no private field.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use perennial::lifecycle::{
    Delay, Effect, Ending, Event, Failure, FlightId, Generation, Lifecycle, Novelty, Policy, Reuse,
    State, TokenTimes, apply,
};
use perennial::time::{Draw, Span, Timestamp};

/// How many machines are followed of those of which each event makes the same: the ones that were
/// reached in the fewest steps.
const FOLLOWED: usize = 2;

/// What a machine shows: all that tells one shape from another.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Shape {
    pub(crate) state: State,
    /// What a caller is told.
    pub(crate) answer: &'static str,
    /// What a caller is told who wants a token that lives longer than the one that is held.
    pub(crate) longer: &'static str,
    pub(crate) ending: Option<Ending>,
    /// What would become of an answer to the newest refresh.
    pub(crate) newest: &'static str,
}

/// What is told to the machine, in the order of the table. The first word is the kind.
pub(crate) const EVENTS: [&str; 23] = [
    "requested",
    "requested for longer",
    "refreshed",
    "refreshed: due on arrival",
    "refreshed: dead on arrival",
    "refreshed: the same token",
    "refreshed: by an older refresh",
    "failed: declined",
    "failed: unavailable",
    "failed: unknown",
    "failed: misconfigured",
    "failed: unexplained",
    "failed: an older refresh",
    "rejected",
    "rejected: an older token",
    "accepted",
    "recovered",
    "installed",
    "installed: due already",
    "installed without a token",
    "installed in mid-flight",
    "cleared",
    "time passes",
];

/// One machine at one instant, with the identities that it has given out.
#[derive(Copy, Clone)]
struct Node {
    machine: Lifecycle,
    now: Timestamp,
    flights: [Option<FlightId>; 2],
    generations: [Option<Generation>; 2],
}

/// An outcome: what the shell is told to do, and the shape that is left.
pub(crate) type Outcome = (&'static str, usize);

/// What each event of [`EVENTS`] would make of a machine.
type Profile = [Option<(&'static str, Shape)>; EVENTS.len()];

/// Every shape that was met, in the order of meeting, and what each event made of it.
pub(crate) struct Explored {
    pub(crate) shapes: Vec<Shape>,
    pub(crate) outcomes: BTreeMap<(usize, usize), Vec<Outcome>>,
}

/// All times are a few milliseconds: a token lives 32, is due after 24, lapses at 28.
pub(crate) fn policy(reuse: Reuse) -> Policy {
    let millis = Duration::from_millis;
    Policy::builder()
        .refresh_window(millis(8))
        .margin(millis(4))
        .backoff(millis(4), millis(4))
        .budget(1, millis(8))
        .misconfigured_backoff(millis(4), millis(4))
        .unexplained(1, millis(1))
        .rejections(1, millis(16), millis(2))
        .refresh_deadline(millis(5))
        .reuse(reuse)
        .build()
        .expect("a policy that can be kept")
}

fn token(sent: Timestamp, lifetime: u64) -> TokenTimes<Timestamp> {
    TokenTimes {
        sent,
        lifetime: Some(Span::from_millis(lifetime)),
        refresh_in: None,
        jitter: Draw::NONE,
    }
}

/// The event of that place in [`EVENTS`], if this machine can be told of it, and when.
fn event(which: usize, node: &Node, policy: &Policy) -> Option<(Event<Timestamp>, Timestamp)> {
    let now = node.now;
    let draw = Draw::new(1 << 31);
    let [newest, older] = node.flights;
    let refreshed = |flight, token, novelty| Event::Refreshed { flight, token, novelty, draw };
    let failed = |flight, failure| Event::RefreshFailed { flight, failure, draw };
    let installed = |token, intent| Event::Installed { token, intent };
    let fresh = token(now, 32);
    let due = token(now.saturating_sub(Span::from_millis(25)), 32);
    let unavailable = Failure::Unavailable { retry_after: None };
    let usable_for = Span::from_millis(if which == 1 { 100 } else { 0 });
    let event = match which {
        0 | 1 => Event::Requested { usable_for },
        2 => refreshed(newest?, fresh, Novelty::New),
        3 => refreshed(newest?, due, Novelty::New),
        4 => refreshed(newest?, token(now, 0), Novelty::New),
        5 => refreshed(newest?, token(now, 2), Novelty::Same),
        6 => refreshed(older?, fresh, Novelty::New),
        7 => failed(newest?, Failure::Declined),
        8 => failed(newest?, unavailable),
        9 => failed(newest?, Failure::Unknown),
        10 => failed(newest?, Failure::Misconfigured { retry_after: None }),
        11 => failed(newest?, Failure::Unexplained { retry_after: None }),
        12 => failed(older?, Failure::Declined),
        13 => Event::Rejected { generation: node.generations[0]? },
        14 => Event::Rejected { generation: node.generations[1]? },
        15 => Event::Accepted { generation: node.generations[0]? },
        16 => Event::Recovered { generation: node.generations[0]? },
        17 => installed(Some(fresh), None),
        18 => installed(Some(due), None),
        19 => installed(None, None),
        20 => installed(Some(fresh), Some(now)),
        21 => Event::Cleared,
        _ => {
            let at = node.machine.poll_timeout(policy, now)?.at;
            return Some((Event::TimePassed { draw }, at));
        }
    };
    Some((event, now))
}

/// What the machine would answer, without having been asked.
fn probe(node: &Node, which: usize, policy: &Policy) -> &'static str {
    match event(which, node, policy) {
        Some((event, now)) => named(&apply(policy, node.machine, event, now).1),
        None => "none was started",
    }
}

/// What each event would make of it: machines that agree in this are alike for the table.
fn profile(node: &Node, policy: &Policy) -> Profile {
    std::array::from_fn(|which| {
        let (event, now) = event(which, node, policy)?;
        let (next, effect) = step(node, event, now, policy);
        Some((named(&effect), shape(&next, policy)))
    })
}

fn shape(node: &Node, policy: &Policy) -> Shape {
    Shape {
        state: node.machine.state(node.now),
        answer: probe(node, 0, policy),
        longer: probe(node, 1, policy),
        ending: node.machine.ending(),
        newest: probe(node, 2, policy),
    }
}

/// An effect in a few words.
fn named(effect: &Effect<Timestamp>) -> &'static str {
    match effect {
        Effect::Nothing => "-",
        Effect::Use => "use",
        Effect::UseAndStartRefresh(_) => "use, and start a refresh",
        Effect::StartRefresh(_) => "start a refresh",
        Effect::Wait { .. } => "wait",
        Effect::BackOff { reason, .. } => match reason {
            Delay::Failure => "back off: failure",
            Delay::Budget => "back off: budget",
            Delay::Doubt => "back off: doubt",
            Delay::Misconfigured => "back off: misconfigured",
        },
        Effect::LogIn(Ending::NoGrant) => "log in: no grant",
        Effect::LogIn(Ending::Declined) => "log in: declined",
        Effect::Publish { .. } => "publish",
        Effect::KeepRefreshToken => "keep the refresh token",
        Effect::ReleaseOrphan => "release the orphan",
        Effect::HoldBack => "hold back",
        Effect::Discard => "discard",
        Effect::Withdraw => "withdraw",
        Effect::KeepUsing => "keep using",
        Effect::EndAttempt => "end the attempt",
    }
}

fn step(
    node: &Node,
    event: Event<Timestamp>,
    now: Timestamp,
    policy: &Policy,
) -> (Node, Effect<Timestamp>) {
    let (machine, effect) = apply(policy, node.machine, event, now);
    let mut next = Node { machine, now, ..*node };
    if let Effect::StartRefresh(start) | Effect::UseAndStartRefresh(start) = effect {
        next.flights = [Some(start.flight), node.flights[0]];
    }
    if let Effect::Publish { generation } = effect {
        next.generations = [Some(generation), node.generations[0]];
    }
    (next, effect)
}

/// Follows every event from the machine that nobody has logged in to.
pub(crate) fn explored(reuse: Reuse) -> Explored {
    let policy = policy(reuse);
    let root = Node {
        machine: Lifecycle::new(1),
        now: Timestamp::UNIX_EPOCH,
        flights: [None; 2],
        generations: [None; 2],
    };
    let mut shapes = vec![shape(&root, &policy)];
    let mut followed: HashMap<Profile, usize> = HashMap::new();
    let mut outcomes: BTreeMap<_, Vec<Outcome>> = BTreeMap::new();
    let mut queue = VecDeque::from([(root, 0)]);
    while let Some((node, from)) = queue.pop_front() {
        for which in 0..EVENTS.len() {
            let Some((event, now)) = event(which, &node, &policy) else {
                continue;
            };
            let (next, effect) = step(&node, event, now, &policy);
            let seen = shape(&next, &policy);
            let to = shapes.iter().position(|known| *known == seen);
            let to = to.unwrap_or_else(|| {
                shapes.push(seen);
                shapes.len() - 1
            });
            let known = outcomes.entry((from, which)).or_default();
            if !known.contains(&(named(&effect), to)) {
                known.push((named(&effect), to));
            }
            let alike = followed.entry(profile(&next, &policy)).or_default();
            if *alike < FOLLOWED {
                *alike += 1;
                queue.push_back((next, to));
            }
        }
    }
    Explored { shapes, outcomes }
}
