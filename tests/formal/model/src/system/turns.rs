//! Holders that take turns: the real lease machine, and a store that serves it. A small copy of what a
//! session does with the machine's answers (rules F3, F4).

use perennial::lease::{self, Effect, Event, Found, GiveUpReason, Term, Turn, apply};
use perennial::lifecycle::{Event as Told, Failure, Start};

use super::faults::{Holders, Kind};
use super::state::{Fate, Leased, Leg, Message, Stored, lives};
use super::steps::Step;
use super::told::Who;
use super::{DEADLINE, LIFETIME};
use crate::tick::Tick;

/// How long a lease is, in ticks: the margin, and as long again.
const TERM: u8 = 2 * DEADLINE;

pub(super) fn policy() -> lease::Policy<Tick> {
    lease::Policy::from(lease::RawPolicy {
        refresh_deadline: DEADLINE,
        term: TERM,
        margin: DEADLINE,
        wait_limit: DEADLINE,
        poll_base: 1,
        poll_cap: 1,
    })
}

impl Step<'_> {
    pub(super) fn kind(&self) -> Option<Kind> {
        match self.system.row.holders {
            Holders::TwoInTurn(kind) => Some(kind),
            Holders::One | Holders::TwoApart | Holders::TwoTogether => None,
        }
    }

    /// A refresh begins, and with it a turn.
    pub(super) fn takes_turn(&mut self, holder: usize, start: &Start<Tick>) {
        let it = &mut self.state.holders[holder];
        it.turn = it.turn.next_turn();
        self.turns(holder, Event::Started { deadline: start.deadline });
    }

    /// Tells the turn, and does what it says until there is nothing more to be done.
    pub(super) fn turns(&mut self, holder: usize, event: Event<Tick>) {
        let mut next = Some(event);
        while let Some(event) = next {
            let it = &mut self.state.holders[holder];
            let (turn, effect) = apply(&self.system.lease, it.turn, event, self.state.now);
            it.turn = turn;
            next = self.does(holder, effect);
        }
    }

    fn does(&mut self, holder: usize, effect: Effect<Tick>) -> Option<Event<Tick>> {
        let flight = self.state.holders[holder].machine.newest_flight();
        let now = self.state.now;
        match effect {
            Effect::Nothing | Effect::Wait { .. } => None,
            // What is received is kept by compare-and-swap in any case: see `lands`.
            Effect::Store { .. } | Effect::StoreUnlessOutpaced { .. } => None,
            Effect::Lost => {
                self.told.note(Who::Holder(holder), "has lost its lease");
                None
            }
            Effect::Acquire { term } => Some(self.asks_store(holder, term)),
            Effect::TakeOver { term, .. } => {
                let sent = self.stored().intent.expect("a note was found");
                self.told.note(Who::Holder(holder), "takes over a note of intent");
                self.writes_note(holder, Some(term));
                let (fence, term) = (self.stored().version, Term::For(term));
                Some(Event::Acquired { fence, term, found: Found::Note { sent } })
            }
            Effect::Adopt => {
                let token = self.stored().token;
                let text = format!("finds refresh token {token} in the store");
                self.told.note(Who::Holder(holder), &text);
                self.adopts(holder, flight);
                Some(Event::Finished)
            }
            Effect::Prepare { intent } => Some(self.prepares(holder, intent)),
            Effect::Renew { fence, term } => Some(self.renews(holder, fence, term)),
            Effect::Send => {
                let token = self.stored().token;
                self.state.holders[holder].doubted = Some(token);
                let deadline = self.state.holders[holder].machine.refresh_deadline();
                let deadline = deadline.expect("its refresh is out");
                let (leg, fate) = (Leg::Request, Fate::Ordinary);
                let message =
                    Message { holder, flight, heard: true, token, sent: now, deadline, leg, fate };
                self.told.note(Who::Holder(holder), &format!("sends refresh token {token}"));
                self.posts(message);
                None
            }
            Effect::Release { fence } => {
                self.releases(holder, fence);
                None
            }
            Effect::GiveUp(reason) => {
                if let GiveUpReason::Busy { .. } = reason {
                    self.told.note(Who::Holder(holder), "gives up waiting for its turn");
                }
                self.fails(holder, flight, Failure::Unavailable { retry_after: None });
                Some(Event::Finished)
            }
        }
    }

    fn stored(&mut self) -> &mut Stored {
        &mut self.state.stores[0]
    }

    /// Notes the intent; where notes are leases, for a term.
    fn writes_note(&mut self, holder: usize, term: Option<u8>) {
        let (now, flight) = (self.state.now, self.state.holders[holder].machine.newest_flight());
        let stored = self.stored();
        stored.intent.get_or_insert(now);
        stored.writer = Some((holder, flight));
        stored.version += 1;
        if let Some(term) = term {
            stored.until = Some(now.plus(term));
        }
    }

    /// Asks the store for the lease, and reads it.
    fn asks_store(&mut self, holder: usize, term: u8) -> Event<Tick> {
        let (now, held) = (self.state.now, self.state.holders[holder].held);
        let Stored { token, asked, intent, until, version, .. } = *self.stored();
        if token != held && now < asked.plus(LIFETIME - 1) {
            return Event::NewerFound;
        }
        let kind = self.kind().expect("holders that take turns");
        let lease = match kind {
            Kind::Notes => {
                if let Some(sent) = intent {
                    return Event::NoteFound { version, sent, until };
                }
                self.writes_note(holder, Some(term));
                let (fence, term) = (self.stored().version, Term::For(term));
                return Event::Acquired { fence, term, found: Found::Unchanged };
            }
            Kind::Term => Some(now.plus(term)),
            Kind::Lock => None,
        };
        if let Some(theirs) = self.state.lease
            && theirs.until.is_none_or(|until| now < until)
        {
            let remaining =
                theirs.until.map(|until| u8::try_from(until.0 - now.0).expect("a term at most"));
            return Event::Busy { remaining };
        }
        // Each lease has a number of its own.
        self.stored().version += 1;
        let fence = self.stored().version;
        self.state.lease = Some(Leased { holder, fence, until: lease });
        let term = if lease.is_some() { Term::For(term) } else { Term::WhileHeld };
        let found = intent.map_or(Found::Unchanged, |sent| Found::Note { sent });
        Event::Acquired { fence, term, found }
    }

    /// Notes the intent, unless a note of another holder was found: then what became of its request
    /// is not known, and the client machine says when the refresh token may be presented again.
    fn prepares(&mut self, holder: usize, intent: Option<Tick>) -> Event<Tick> {
        let Stored { token, asked, .. } = *self.stored();
        if intent.is_some() && self.state.holders[holder].doubted != Some(token) {
            self.told.note(Who::Holder(holder), "does not know whether that was sent");
            let it = &mut self.state.holders[holder];
            (it.doubted, it.held, it.access, it.asked) = (Some(token), token, token, asked);
            let _ = self.tell(holder, Told::Installed { token: Some(lives(asked)), intent });
            return Event::Finished;
        }
        if self.kind() != Some(Kind::Notes) {
            self.writes_note(holder, None);
        }
        Event::Prepared { version: self.stored().version }
    }

    fn renews(&mut self, holder: usize, fence: u64, span: u8) -> Event<Tick> {
        let until = self.state.now.plus(span);
        let version = self.state.holders[holder].turn.version();
        let renewed = match self.kind() {
            Some(Kind::Notes) if self.stored().version == version => {
                self.stored().until = Some(until);
                true
            }
            Some(Kind::Term) => match &mut self.state.lease {
                Some(lease) if lease.fence == fence => {
                    lease.until = Some(until);
                    true
                }
                Some(_) | None => false,
            },
            Some(Kind::Notes | Kind::Lock) | None => false,
        };
        if renewed { Event::Renewed { term: Term::For(span), version } } else { Event::Outpaced }
    }

    fn releases(&mut self, holder: usize, fence: u64) {
        if self.state.lease.is_some_and(|lease| lease.fence == fence) {
            self.state.lease = None;
        }
        let (now, version) = (self.state.now, self.state.holders[holder].turn.version());
        if self.kind() == Some(Kind::Notes) && self.stored().version == version {
            // The note stays, as doubt, where the request's outcome is not known.
            let stored = self.stored();
            stored.until = stored.until.map(|until| until.min(now));
        }
    }

    /// The process is gone: a lock ends with it, a lease and a note do not.
    pub(super) fn turn_crashes(&mut self, holder: usize) {
        let gone = self.kind() == Some(Kind::Lock)
            && self.state.lease.is_some_and(|lease| lease.holder == holder);
        if gone {
            self.state.lease = None;
        }
        self.state.holders[holder].turn = Turn::new();
    }

    /// Time has passed for its turn, before the refresh's deadline is judged.
    pub(super) fn turn_in_time(&mut self, holder: usize) {
        if self.kind().is_some() {
            self.turns(holder, Event::TimePassed);
        }
    }
}
