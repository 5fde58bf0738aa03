//! Every turn that any history on three-bit instants leads to, told of everything at every now: the
//! rules that concern one step and those after it.

use std::collections::HashSet;

use perennial::lease::{Effect, Event, Found, Policy, RawPolicy, State, Term, Turn, apply};
use perennial::time::Time;

use crate::tick::{LAST, Tick, all};

/// The greatest version that a history of these has.
const NEWEST: u64 = 2;

/// A policy that leaves every order of its deadlines open, and those at the ends.
fn policies() -> Vec<RawPolicy<Tick>> {
    let mut all = Vec::new();
    for (refresh_deadline, margin, term) in
        [(2, 2, 4), (1, 1, 2), (1, 2, 3), (0, 0, 2), (3, 3, 3), (2, 2, LAST), (0, 0, 0)]
    {
        for wait_limit in [2, 0, LAST] {
            for (poll_base, poll_cap) in [(1, 2), (0, 0), (1, 1)] {
                all.push(RawPolicy {
                    refresh_deadline,
                    term,
                    margin,
                    wait_limit,
                    poll_base,
                    poll_cap,
                });
            }
        }
    }
    all
}

fn events(policy: RawPolicy<Tick>) -> Vec<Event<Tick>> {
    let mut events = vec![
        Event::NewerFound,
        Event::Changed,
        Event::Outpaced,
        Event::Failed,
        Event::Answered,
        Event::Finished,
        Event::TimePassed,
        Event::Busy { remaining: None },
    ];
    let terms = [Term::WhileHeld, Term::For(policy.term), Term::For(2), Term::For(LAST)];
    events.extend([0, 1, 3, LAST].map(|span| Event::Busy { remaining: Some(span) }));
    events.extend([0, 2, 4, LAST].map(|deadline| Event::Started { deadline: Tick(deadline) }));
    for version in 0..=NEWEST {
        events.push(Event::Prepared { version });
        for term in terms {
            events.push(Event::Renewed { term, version });
        }
        for until in [None, Some(Tick(0)), Some(Tick(3)), Some(Tick(LAST))] {
            events.push(Event::NoteFound { version, sent: Tick(2), until });
        }
        for term in terms {
            for found in [Found::Newer, Found::Unchanged, Found::Note { sent: Tick(3) }] {
                events.push(Event::Acquired { fence: version, term, found });
            }
        }
    }
    events
}

struct Judge {
    raw: RawPolicy<Tick>,
    policy: Policy<Tick>,
    events: Vec<Event<Tick>>,
}

impl Judge {
    fn new(raw: RawPolicy<Tick>) -> Self {
        Self { raw, policy: raw.into(), events: events(raw) }
    }

    fn step(&self, turn: Turn<Tick>, event: Event<Tick>, now: Tick) -> (Turn<Tick>, Effect<Tick>) {
        apply(&self.policy, turn, event, now)
    }

    /// Judges one step, and returns the turn after it.
    fn check(&self, before: Turn<Tick>, event: Event<Tick>, now: Tick) -> Turn<Tick> {
        let (after, effect) = self.step(before, event, now);
        let context =
            || format!("{:?}\n{before:?}\n{event:?} at {now:?}: {effect:?}\n{after:?}", self.raw);
        // Rule F3: versions only grow.
        assert!(after.version() >= before.version(), "{}", context());
        // Rule F3: nothing is sent without a held lease, nor with less than the margin left.
        if effect == Effect::Send {
            assert_eq!(before.state(now), State::Held, "{}", context());
            assert_eq!(after.state(now), State::Sent, "{}", context());
            assert!(after.fence().is_some(), "{}", context());
            for then in all().filter(|then| *then >= now && then.since(now) < self.margin()) {
                let later = self.step(after, Event::TimePassed, then).1;
                assert_ne!(later, Effect::Lost, "{then:?} {}", context());
            }
        }
        match effect {
            Effect::Wait { until } => {
                assert!(until > now, "{}", context());
                assert!(until.since(now) <= self.raw.poll_cap, "{}", context());
            }
            Effect::Renew { fence, .. } | Effect::Release { fence } => {
                let held = before.fence().is_none_or(|held| held == fence);
                let other = matches!(event, Event::Acquired { .. });
                assert!(held || other, "{}", context());
            }
            Effect::Store { after } | Effect::StoreUnlessOutpaced { after } => {
                assert_eq!(after, before.version(), "{}", context());
                assert_eq!(event, Event::Answered, "{}", context());
            }
            Effect::Nothing
            | Effect::Acquire { .. }
            | Effect::TakeOver { .. }
            | Effect::Adopt
            | Effect::Prepare { .. }
            | Effect::Send
            | Effect::Lost
            | Effect::GiveUp(_) => {}
        }
        // Rule F3: a response is never thrown away.
        if event == Event::Answered {
            let stored = matches!(effect, Effect::Store { .. });
            let kept = matches!(effect, Effect::StoreUnlessOutpaced { .. });
            assert_eq!(stored, before.state(now) == State::Sent, "{}", context());
            assert_eq!(kept, !stored, "{}", context());
        }
        // Rule F4: a store that cannot be asked ends the turn, or takes nothing from a held lease.
        if event == Event::Failed && before.state(now) == State::Asking {
            assert_eq!(after.state(now), State::Over, "{}", context());
        }
        after
    }

    fn margin(&self) -> u8 {
        self.raw.margin.max(self.raw.refresh_deadline)
    }

    /// Looks at a turn from `now` on: `poll_timeout` is exact, what is shown stays so, and what is lost
    /// or sent sends nothing more.
    fn look(&self, turn: Turn<Tick>, now: Tick) {
        let context = || format!("{:?}\n{turn:?} at {now:?}", self.raw);
        // A response changes nothing but what its now shows.
        let (turn, _) = self.step(turn, Event::Answered, now);
        let seen = |then| (turn.state(then), self.step(turn, Event::TimePassed, then).1);
        let kind = |(state, effect)| (state, core::mem::discriminant(&effect));
        let next = turn.poll_timeout(&self.policy, now);
        for then in all().filter(|then| *then > now) {
            let same = kind(seen(then)) == kind(seen(now));
            match next {
                Some(timeout) if then == timeout.at => assert!(!same, "{then:?} {}", context()),
                Some(timeout) if then > timeout.at => {}
                Some(_) | None => assert!(same, "{then:?} {next:?} {}", context()),
            }
        }
        assert!(next.is_none_or(|timeout| timeout.at > now), "{}", context());
        // Rule A5.
        let is_over = |state| matches!(state, State::Lost | State::Over);
        if is_over(turn.state(now)) {
            for then in all() {
                assert!(is_over(turn.state(then)), "{then:?} {}", context());
            }
        }
        // Rule F3: once in a turn, and not once it is lost.
        if matches!(turn.state(now), State::Sent | State::Lost | State::Over) {
            for version in 0..=NEWEST {
                for then in all() {
                    let renewed = Event::Renewed { term: Term::WhileHeld, version };
                    for event in [Event::Prepared { version }, renewed] {
                        let effect = self.step(turn, event, then).1;
                        assert_ne!(effect, Effect::Send, "{then:?} {}", context());
                    }
                }
            }
        }
    }

    /// Tells every turn that a history of at most `steps` events leads to everything, up to `most` turns:
    /// those of the shortest histories come first.
    fn explore(&self, steps: usize, most: usize) -> u64 {
        let mut known = HashSet::from([Turn::new()]);
        let mut newest: Vec<_> = known.iter().copied().collect();
        let mut transitions = 0;
        for _ in 0..steps {
            let mut found = Vec::new();
            for turn in newest {
                for now in all() {
                    for &event in &self.events {
                        transitions += 1;
                        let after = self.check(turn, event, now);
                        if known.len() < most && known.insert(after) {
                            all().for_each(|now| self.look(after, now));
                            found.push(after);
                        }
                    }
                }
            }
            newest = found;
        }
        transitions
    }
}

// Rules A1, A5, F3, F4.
#[test]
fn no_event_at_any_three_bit_now_breaks_a_rule_of_any_turn() {
    // Debug builds look at some turns of one policy; the others at all that a few steps lead to.
    let (policies, steps, most) = if cfg!(debug_assertions) {
        (policies()[..1].to_vec(), 3, 400)
    } else {
        (policies(), 5, 10_000)
    };
    let mut transitions = 0;
    for policy in policies {
        transitions += Judge::new(policy).explore(steps, most);
    }
    println!("{transitions} transitions");
    assert!(transitions > 100_000, "only {transitions} transitions");
}
