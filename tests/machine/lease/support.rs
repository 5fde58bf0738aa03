//! A turn, its policy, and short words for telling it things.

use perennial::lease::{Effect, Event, Found, Policy, RawPolicy, State, Term, Turn, apply};
use perennial::time::{Span, Timestamp};

pub(crate) const DEADLINE: i64 = 30;
pub(crate) const TERM: i64 = 50;
pub(crate) const MARGIN: i64 = 30;
pub(crate) const WAIT: i64 = 20;
pub(crate) const POLL: i64 = 2;
pub(crate) const POLL_CAP: i64 = 8;

pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub(crate) fn span(millis: i64) -> Span {
    Span::from_millis(millis.unsigned_abs())
}

pub(crate) fn policy() -> Policy {
    Policy::from(RawPolicy {
        refresh_deadline: span(DEADLINE),
        term: span(TERM),
        margin: span(MARGIN),
        wait_limit: span(WAIT),
        poll_base: span(POLL),
        poll_cap: span(POLL_CAP),
    })
}

pub(crate) struct Rig {
    pub(crate) policy: Policy,
    pub(crate) turn: Turn,
}

impl Rig {
    /// A turn that has not begun.
    pub(crate) fn new() -> Self {
        Self { policy: policy(), turn: Turn::new() }
    }

    /// A turn that began at 0, of a refresh that has its whole deadline.
    pub(crate) fn started() -> Self {
        let mut rig = Self::new();
        let effect = rig.tell(Event::Started { deadline: at(DEADLINE) }, 0);
        assert_eq!(effect, Effect::Acquire { term: span(TERM) });
        rig
    }

    /// A turn that acquired the lease at version 5, at 0, for a whole term.
    pub(crate) fn held() -> Self {
        let mut rig = Self::started();
        assert_eq!(rig.acquired(5, timed(TERM), 0), Effect::Prepare { intent: None });
        rig
    }

    /// A turn that sent its request at 0, the intent noted at version 6.
    pub(crate) fn sent() -> Self {
        let mut rig = Self::held();
        assert_eq!(rig.prepared(6, 0), Effect::Send);
        rig
    }

    pub(crate) fn tell(&mut self, event: Event<Timestamp>, millis: i64) -> Effect<Timestamp> {
        let (turn, effect) = apply(&self.policy, self.turn, event, at(millis));
        self.turn = turn;
        effect
    }

    pub(crate) fn acquired(
        &mut self,
        fence: u64,
        term: Term<Timestamp>,
        millis: i64,
    ) -> Effect<Timestamp> {
        self.tell(Event::Acquired { fence, term, found: Found::Unchanged }, millis)
    }

    pub(crate) fn busy(&mut self, remaining: Option<i64>, millis: i64) -> Effect<Timestamp> {
        self.tell(Event::Busy { remaining: remaining.map(span) }, millis)
    }

    pub(crate) fn note(
        &mut self,
        version: u64,
        sent: i64,
        until: Option<i64>,
        millis: i64,
    ) -> Effect<Timestamp> {
        self.tell(Event::NoteFound { version, sent: at(sent), until: until.map(at) }, millis)
    }

    pub(crate) fn prepared(&mut self, version: u64, millis: i64) -> Effect<Timestamp> {
        self.tell(Event::Prepared { version }, millis)
    }

    pub(crate) fn renewed(&mut self, term: i64, millis: i64) -> Effect<Timestamp> {
        let version = self.turn.version();
        self.tell(Event::Renewed { term: timed(term), version }, millis)
    }

    pub(crate) fn passed(&mut self, millis: i64) -> Effect<Timestamp> {
        self.tell(Event::TimePassed, millis)
    }

    pub(crate) fn state(&self, millis: i64) -> State {
        self.turn.state(at(millis))
    }

    /// When the turn next changes by itself.
    pub(crate) fn next(&self, millis: i64) -> Option<i64> {
        self.turn.poll_timeout(&self.policy, at(millis)).map(|timeout| timeout.at.as_millis())
    }
}

pub(crate) fn timed(millis: i64) -> Term<Timestamp> {
    Term::For(span(millis))
}

pub(crate) fn renew(fence: u64) -> Effect<Timestamp> {
    Effect::Renew { fence, term: span(TERM) }
}

pub(crate) fn acquire() -> Effect<Timestamp> {
    Effect::Acquire { term: span(TERM) }
}
