//! Everything that can happen to a machine whose instants have three bits, up to a depth: each event
//! at each now, from each state that was reached, forwards and backwards in time.

use std::collections::HashSet;
use std::panic::resume_unwind;
use std::thread;

use perennial::lifecycle::{
    Effect, Ending, Event, Failure, FlightId, Freshness, Generation, Lifecycle, MissingLifetime,
    Novelty, Policy, RawPolicy, Requested, Reuse, State, TokenTimes, apply,
};
use perennial::time::Draw;

use crate::lifecycle::seen::seen;
use crate::tick::{LAST, Tick, all};

/// How many events deep.
const DEPTH: usize = 4;
/// No more refreshes and tokens than that are followed.
const IDENTITIES: u8 = 2;

type Machine = Lifecycle<Tick>;

/// A machine, and how many refreshes it has started and tokens it has published.
#[derive(Copy, Clone, PartialEq, Eq, Hash)]
struct Node {
    machine: Machine,
    started: usize,
    published: u64,
}

struct World {
    policy: Policy<Tick>,
    flights: Vec<FlightId>,
    generations: Vec<Generation>,
    foreign: Generation,
}

fn policy(reuse: Reuse<Tick>) -> Policy<Tick> {
    Policy::from(RawPolicy {
        refresh_window: 2,
        margin: 1,
        missing_lifetime: MissingLifetime::UntilRejected,
        backoff_base: 2,
        backoff_cap: 3,
        misconfigured_base: 2,
        misconfigured_cap: 3,
        retry_after_cap: 4,
        unexplained_count: 1,
        unexplained_window: 2,
        budget_interval: 3,
        budget_window: 3,
        rejections_count: 1,
        rejections_window: 3,
        rejections_interval: 2,
        refresh_deadline: 2,
        reuse,
    })
}

impl World {
    fn new(reuse: Reuse<Tick>) -> Self {
        let policy = policy(reuse);
        let (mut machine, mut other) = (Machine::new(1), Machine::new(2));
        let (mut flights, mut generations) = (Vec::new(), Vec::new());
        let token = token(Tick(0), None);
        for _ in 0..=IDENTITIES {
            let _ = machine.handle_installed(&policy, Some(token), None, Tick(0));
            generations.extend(machine.generation());
            let _ = machine.handle_installed(&policy, None, None, Tick(0));
            let requested = machine.handle_requested(&policy, Tick(0));
            if let Requested::StartRefresh(start) = requested {
                flights.push(start.flight);
            }
        }
        let _ = other.handle_installed(&policy, Some(token), None, Tick(0));
        let foreign = other.generation().expect("a token is held");
        Self { policy, flights, generations, foreign }
    }

    /// Everything that may be told at `now`.
    fn events(&self, now: Tick) -> Vec<Event<Tick>> {
        let mut events = vec![
            Event::Requested { usable_for: 0 },
            Event::Requested { usable_for: LAST },
            Event::Cleared,
            Event::Installed { token: None, intent: None },
            Event::Installed { token: Some(token(now, Some(6))), intent: Some(now) },
            Event::Installed { token: Some(token(now, Some(6))), intent: None },
        ];
        let most = Draw::new(u32::MAX);
        events.push(Event::TimePassed { draw: most });
        for &flight in &self.flights[..2] {
            for (lifetime, novelty) in [
                (Some(6), Novelty::New),
                (Some(0), Novelty::New),
                (Some(3), Novelty::Same),
                (None, Novelty::New),
            ] {
                events.push(Event::Refreshed {
                    flight,
                    token: token(now, lifetime),
                    novelty,
                    draw: most,
                });
            }
            let retry_after = Some(3);
            for (failure, draw) in [
                (Failure::Declined, most),
                (Failure::Unknown, most),
                (Failure::Unknown, Draw::NONE),
                (Failure::Unavailable { retry_after }, most),
                (Failure::Misconfigured { retry_after: None }, most),
                (Failure::Unexplained { retry_after: None }, most),
            ] {
                events.push(Event::RefreshFailed { flight, failure, draw });
            }
        }
        for &generation in &self.generations[..2] {
            events.push(Event::Rejected { generation });
            events.push(Event::Accepted { generation });
            events.push(Event::Recovered { generation });
        }
        events
    }

    /// The machine once it has seen `now`, and nothing else.
    fn shown(&self, machine: Machine, now: Tick) -> Machine {
        let generation = self.foreign;
        apply(&self.policy, machine, Event::Rejected { generation }, now).0
    }
}

fn token(sent: Tick, lifetime: Option<u8>) -> TokenTimes<Tick> {
    TokenTimes { sent, lifetime, refresh_in: None, jitter: Draw::NONE }
}

/// At which instants the token would be handed out.
fn usable(machine: &Machine) -> [bool; LAST as usize + 1] {
    let mut instants = all();
    std::array::from_fn(|_| {
        let state = instants.next().map(|now| machine.state(now));
        matches!(state, Some(State::Valid | State::Expiring))
            || state == Some(State::Refreshing(perennial::lifecycle::Meanwhile::UseOld))
    })
}

fn out(machine: &Machine, now: Tick) -> bool {
    matches!(machine.state(now), State::Refreshing(_))
}

/// The rules that concern one state alone.
fn check_state(world: &World, node: &Node) {
    let machine = node.machine;
    for now in all() {
        // Rule B12.
        let next = machine.poll_timeout(&world.policy, now);
        let shown = world.shown(machine, now);
        assert_eq!(world.shown(shown, now), shown);
        let here = seen(&world.policy, shown, now);
        let end = next.map_or(Tick(LAST + 1), |next| next.at);
        assert!(end > now);
        for then in all().filter(|then| (now..end).contains(then)) {
            assert_eq!(seen(&world.policy, shown, then), here, "{machine:?} {now:?} {next:?}");
        }
        if let Some(next) = next {
            assert_ne!(seen(&world.policy, shown, next.at), here, "{machine:?} {now:?} {next:?}");
        }
    }
    // Rule A1: at the end of time there is no later instant to wait for.
    let end = seen(&world.policy, machine, Tick(LAST));
    assert_eq!(end.refused, None, "{machine:?}");
}

/// The rules that concern one step.
fn check_step(
    world: &World,
    before: &Node,
    event: Event<Tick>,
    now: Tick,
    after: &Node,
    effect: Effect<Tick>,
) {
    let context =
        || format!("{:?}\n  {event:?} at {now:?}: {effect:?}\n{:?}", before.machine, after.machine);
    let shown = world.shown(before.machine, now);
    // Rule B1.
    if let (Effect::Publish { .. }, Some(schedule)) = (effect, after.machine.schedule()) {
        assert_ne!(schedule.freshness(now), Freshness::Lapsed, "{}", context());
    }
    // Rules A5, B2, B5, B8: a token is never handed out at more instants than before; only a
    // rejection takes any away.
    if after.published == before.published && after.machine.generation().is_some() {
        let (was, is) = (usable(&shown), usable(&after.machine));
        if matches!(event, Event::Rejected { .. }) && effect == Effect::Withdraw {
            assert_eq!(is, [false; LAST as usize + 1], "{}", context());
        } else {
            assert_eq!(is, was, "{}", context());
        }
        let lapsed = after.machine.schedule().map(|schedule| schedule.freshness(now));
        if lapsed == Some(Freshness::Lapsed) {
            assert_eq!(is, [false; LAST as usize + 1], "{}", context());
        }
    }
    match effect {
        // Rule B3.
        Effect::StartRefresh(start) | Effect::UseAndStartRefresh(start) => {
            assert!(!out(&before.machine, now), "{}", context());
            assert_eq!(start.flight, world.flights[before.started], "{}", context());
            assert!(start.deadline >= now && start.deadline <= Tick((now.0 + 2).min(LAST)));
        }
        // Rule B4.
        Effect::Publish { generation } => {
            assert_eq!(generation.number(), before.published + 1, "{}", context());
            assert_eq!(generation.session(), 1);
        }
        // Rule B13.
        Effect::Wait { until } => {
            let due = until.max(now);
            let draw = Draw::NONE;
            let told = apply(&world.policy, after.machine, Event::TimePassed { draw }, due);
            assert_eq!(told.1, Effect::EndAttempt, "{}", context());
            assert!(!out(&told.0, due), "{}", context());
        }
        // Rules B7, B9.
        Effect::BackOff { until, .. } => assert!(until > now, "{}", context()),
        Effect::Use => assert!(usable(&shown)[usize::from(now.0)], "{}", context()),
        Effect::Nothing | Effect::LogIn(_) | Effect::KeepRefreshToken | Effect::ReleaseOrphan => {}
        Effect::Discard | Effect::Withdraw | Effect::EndAttempt => {}
        Effect::HoldBack | Effect::KeepUsing => {}
    }
    let quiet = matches!(
        effect,
        Effect::Discard | Effect::ReleaseOrphan | Effect::HoldBack | Effect::KeepUsing
    ) || (effect == Effect::Nothing && matches!(event, Event::Rejected { .. }));
    // Rules B3, B8, B11: what is stale changes nothing but what its now has shown.
    if quiet {
        assert_eq!(after.machine, shown, "{}", context());
    }
    // Rules B4, B11, B14: no answer counts twice, and none at all after the epoch.
    let again = |event| apply(&world.policy, after.machine, event, now);
    match event {
        Event::Refreshed { .. } => {
            let told = again(event).1;
            let held_back = effect == Effect::HoldBack && told == Effect::HoldBack;
            let gone = matches!(told, Effect::Discard | Effect::ReleaseOrphan);
            assert!(gone || held_back, "{}", context());
        }
        Event::RefreshFailed { .. } => assert_eq!(again(event).1, Effect::Nothing, "{}", context()),
        Event::Cleared => {
            let nothing = Effect::LogIn(Ending::NoGrant);
            for then in all() {
                let request = Event::Requested { usable_for: 0 };
                assert_eq!(apply(&world.policy, after.machine, request, then).1, nothing);
            }
            for &flight in world.flights.iter().take(after.started) {
                let late = Event::Refreshed {
                    flight,
                    token: token(now, Some(6)),
                    novelty: Novelty::New,
                    draw: Draw::NONE,
                };
                assert_eq!(again(late).1, Effect::ReleaseOrphan, "{}", context());
            }
        }
        Event::Requested { .. } | Event::Rejected { .. } | Event::Accepted { .. } => {}
        Event::Recovered { .. } | Event::Installed { .. } | Event::TimePassed { .. } => {}
    }
}

/// Follows everything from the machine that nobody has logged in to; returns how many states and
/// transitions there were.
fn explore(reuse: Reuse<Tick>, depth: usize) -> (usize, usize) {
    let world = World::new(reuse);
    let root = Node { machine: Machine::new(1), started: 0, published: 0 };
    let mut reached = HashSet::from([root]);
    let mut level = vec![root];
    let mut transitions = 0;
    for _ in 0..depth {
        if level.is_empty() {
            break;
        }
        let mut further = Vec::new();
        for node in &level {
            check_state(&world, node);
            for now in all() {
                for event in world.events(now) {
                    let (machine, effect) = apply(&world.policy, node.machine, event, now);
                    let starts =
                        matches!(effect, Effect::StartRefresh(_) | Effect::UseAndStartRefresh(_));
                    let publishes = matches!(effect, Effect::Publish { .. });
                    let next = Node {
                        machine,
                        started: node.started + usize::from(starts),
                        published: node.published + u64::from(publishes),
                    };
                    check_step(&world, node, event, now, &next, effect);
                    transitions += 1;
                    let within =
                        next.started <= IDENTITIES.into() && next.published <= IDENTITIES.into();
                    if within && reached.insert(next) {
                        further.push(next);
                    }
                }
            }
        }
        level = further;
    }
    (reached.len(), transitions)
}

/// Every kind of server, two at a time; prints how far it went.
fn explore_all(depth: usize) {
    let pairs =
        [[Reuse::Strict, Reuse::OverlapSuccessors(4)], [Reuse::ConfirmByUse, Reuse::Unrotated]];
    for pair in pairs {
        thread::scope(|scope| {
            let explored = pair.map(|reuse| (reuse, scope.spawn(move || explore(reuse, depth))));
            for (reuse, explored) in explored {
                let (states, transitions) =
                    explored.join().unwrap_or_else(|why| resume_unwind(why));
                println!("{reuse:?}: {states} states, {transitions} transitions");
            }
        });
    }
}

// Rules A1, A5, B1, B2, B3, B4, B5, B8, B11, B12, B13, B14.
#[test]
fn no_four_events_at_three_bit_instants_break_a_rule() {
    explore_all(DEPTH);
}

// Rules A1, A5, B1, B2, B3, B4, B5, B8, B11, B12, B13, B14.
#[test]
#[ignore = "long in debug: cargo test --release --test machine lifecycle::orders -- --ignored --nocapture"]
fn no_events_at_all_at_three_bit_instants_break_a_rule() {
    explore_all(usize::MAX);
}
