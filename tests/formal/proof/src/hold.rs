//! One step of the lease machine, and one look at it: what rules F3 and F4 speak of.

use perennial::lease::formal::{Parts, observed};
use perennial::lease::{Effect, Event, Found, Policy, RawPolicy, State, Term, Turn, apply};
use perennial::time::Time;

/// What an event did to a holder's turn.
#[derive(Copy, Clone, Debug)]
pub struct Hold<T: Time> {
    pub policy: RawPolicy<T>,
    pub before: Parts<T>,
    pub event: Event<T>,
    pub now: T,
    /// Any two instants, for what is asked afterwards.
    pub then: [T; 2],
    /// The turn before, once it has seen `now`.
    pub shown: Parts<T>,
    pub after: Parts<T>,
    pub effect: Effect<T>,
}

impl<T: Time> Hold<T> {
    /// Has the shipped machine take the step.
    pub fn take(
        raw: RawPolicy<T>,
        before: Parts<T>,
        event: Event<T>,
        now: T,
        then: [T; 2],
    ) -> Self {
        let shown = observed(before.into(), now).into();
        let (after, effect) = apply(&Policy::from(raw), before.into(), event, now);
        Self { policy: raw, before, event, now, then, shown, after: after.into(), effect }
    }

    /// The step after this one.
    #[must_use]
    pub fn next(&self, event: Event<T>, now: T) -> Self {
        Self::take(self.policy, self.after, event, now, self.then)
    }

    /// The public view of the turn before the step.
    pub fn state_before(&self) -> State {
        Turn::from(self.before).state(self.now)
    }

    /// The public view of the turn after the step, at `then`.
    pub fn state_after(&self, then: T) -> State {
        Turn::from(self.after).state(then)
    }

    /// How much of a term must be left, as the policy has it.
    pub fn margin(&self) -> T::Span {
        self.policy.margin.max(self.policy.refresh_deadline)
    }
}

/// A turn looked at now and at some other instant.
#[derive(Copy, Clone, Debug)]
pub struct Glance<T: Time> {
    pub policy: RawPolicy<T>,
    pub turn: Parts<T>,
    pub now: T,
    pub then: T,
}

/// The instants and spans that events bring.
#[derive(Copy, Clone, Debug)]
pub struct Brought<T: Time> {
    pub instant: T,
    pub other: T,
    pub span: T::Span,
}

/// Every event, with each version that differs from the others in its place beside the newest, and each
/// order of a fencing number and the lease's.
pub fn events<T: Time>(brought: Brought<T>, newest: u64) -> Vec<Event<T>> {
    let Brought { instant, other, span } = brought;
    let mut all = vec![
        Event::Started { deadline: instant },
        Event::Busy { remaining: None },
        Event::Busy { remaining: Some(span) },
        Event::NewerFound,
        Event::Changed,
        Event::Outpaced,
        Event::Failed,
        Event::Answered,
        Event::Finished,
        Event::TimePassed,
    ];
    let terms = [Term::WhileHeld, Term::For(span)];
    for version in [newest - 1, newest, newest + 1] {
        all.push(Event::Prepared { version });
        for until in [None, Some(other)] {
            all.push(Event::NoteFound { version, sent: instant, until });
        }
        for term in terms {
            all.push(Event::Renewed { term, version });
            for found in [Found::Newer, Found::Unchanged, Found::Note { sent: instant }] {
                all.push(Event::Acquired { fence: version, term, found });
            }
        }
    }
    all
}
