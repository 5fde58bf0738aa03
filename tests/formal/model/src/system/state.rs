//! What a state is made of, and how states that differ in nothing that matters are taken to be one.

use std::fmt;
use std::hash::{Hash, Hasher};

use perennial::lease::Turn;
use perennial::lifecycle::{Event, FlightId, TokenTimes};
use perennial::rotation::{Family, Tolerance};
use perennial::time::Draw;

use super::faults::Fault;
use super::{LIFETIME, System};
use crate::tick::{Relative, Tick};
use crate::world::Machine;

pub(super) const HOLDERS: usize = 2;
/// Messages under way at once: a refresh of each holder, one that was given up, and a copy.
pub(super) const SLOTS: usize = 4;
/// Tokens further behind the newest, and instants further back, are not told apart.
const OLDER: u64 = 3;
const PAST: i16 = 12;

/// A refresh token.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Token {
    pub(super) number: u64,
    /// Which of the tokens with this number it is; the one that the rotation issued is 0.
    pub(super) sibling: u32,
}

impl Token {
    /// The one that a rotation, or the login, issued.
    pub(super) const fn first(number: u64) -> Self {
        Self { number, sibling: 0 }
    }
}

/// `2`, and then `2.1`, `2.2`.
impl fmt::Display for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sibling {
            0 => write!(formatter, "{}", self.number),
            sibling => write!(formatter, "{}.{sibling}", self.number),
        }
    }
}

/// A process that holds the grant.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) machine: Machine,
    /// Its refresh token.
    pub(super) held: Token,
    /// The refresh token that its access token came with, and when that was asked for.
    pub(super) access: Token,
    pub(super) asked: Tick,
    /// Somebody waits for a token.
    pub(super) waiting: bool,
    /// An answer that is stored, and is told again once no refresh is out.
    pub(super) held_back: Option<Answer>,
    /// Its turn to refresh, where holders take turns.
    pub(super) turn: Turn<Tick>,
    /// The refresh token that the machine knows may have been presented.
    pub(super) doubted: Option<Token>,
}

/// A grant that an answer brought.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) flight: FlightId,
    pub(super) token: Token,
    pub(super) asked: Tick,
}

/// A grant as it is stored.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) token: Token,
    pub(super) asked: Tick,
    /// Since when its refresh token may have been presented.
    pub(super) intent: Option<Tick>,
    /// The refresh that wrote it.
    pub(super) writer: Option<(usize, FlightId)>,
    pub(super) version: u64,
    /// Until when the note of intent is a lease, where notes are.
    pub(super) until: Option<Tick>,
}

/// The lease that a store has granted last.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Leased {
    pub(super) holder: usize,
    pub(super) fence: u64,
    /// `None`: a lock, which has no end.
    pub(super) until: Option<Tick>,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Reply {
    /// The refresh token that works from now on.
    Granted(Token),
    Declined,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Leg {
    Request,
    Answer(Reply),
}

/// How long a message may be under way.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fate {
    /// It arrives before its refresh is given up.
    Ordinary,
    /// It may take as long again.
    OneMore,
    WithinWindow,
    Whenever,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) holder: usize,
    pub(super) flight: FlightId,
    /// Whether anybody listens for the answer.
    pub(super) heard: bool,
    /// The refresh token that is presented.
    pub(super) token: Token,
    pub(super) sent: Tick,
    pub(super) deadline: Tick,
    pub(super) leg: Leg,
    pub(super) fate: Fate,
}

/// What has happened to the family, kept by code of its own.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct History {
    /// When the predecessor of the newest token was first used.
    pub(super) first_use: Option<Tick>,
    /// Whether what came with the newest token was used.
    pub(super) confirmed: bool,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(super) now: Tick,
    pub(super) family: Family<Tick>,
    pub(super) history: History,
    pub(super) holders: [Holder; HOLDERS],
    pub(super) stores: [Stored; HOLDERS],
    pub(super) lease: Option<Leased>,
    pub(super) messages: [Option<Message>; SLOTS],
    /// The refresh token that the thief has.
    pub(super) thief: Option<Token>,
    /// How often the fault may still come.
    pub(super) faults_left: u8,
}

pub(super) fn lives(asked: Tick) -> TokenTimes<Tick> {
    TokenTimes { sent: asked, lifetime: Some(LIFETIME), refresh_in: None, jitter: Draw::NONE }
}

impl State {
    /// Just after the login.
    pub(super) fn start(system: &System) -> Self {
        let now = Tick(0);
        let stored = Stored {
            token: Token::first(1),
            asked: now,
            intent: None,
            writer: None,
            version: 1,
            until: None,
        };
        Self {
            now,
            family: Family::new(now),
            history: History { first_use: None, confirmed: false },
            holders: [Holder::started(system, &stored, now); HOLDERS],
            stores: [stored; HOLDERS],
            lease: None,
            messages: [None; SLOTS],
            thief: None,
            faults_left: if system.row.fault == Fault::Nothing { 0 } else { system.row.times },
        }
    }
}

impl Holder {
    /// A process that starts with what is stored.
    pub(super) fn started(system: &System, stored: &Stored, now: Tick) -> Self {
        let Stored { token, asked, intent, .. } = *stored;
        let mut machine = system.world.past();
        let event = Event::Installed { token: Some(lives(asked)), intent };
        let _ = machine.handle(&system.world.policy, event, now);
        let (held, access, doubted) = (token, token, intent.map(|_| token));
        let (waiting, held_back, turn) = (false, None, Turn::new());
        Self { machine, held, access, asked, waiting, held_back, turn, doubted }
    }
}

/// Versions further behind the store's are not told apart.
const VERSIONS: u64 = 6;
/// More polls than this are not told apart: the interval has reached its cap.
const POLLS: u32 = 1;

/// Hashes a turn as it looks from now, and from the store's version.
struct TurnHasher<'a, H> {
    inner: &'a mut H,
    now: Tick,
    newest: u64,
}

impl<H: Hasher> Hasher for TurnHasher<'_, H> {
    fn finish(&self) -> u64 {
        self.inner.finish()
    }

    fn write(&mut self, bytes: &[u8]) {
        self.inner.write(bytes);
    }

    fn write_isize(&mut self, discriminant: isize) {
        self.inner.write_isize(discriminant);
    }

    /// An instant.
    fn write_i16(&mut self, instant: i16) {
        self.inner.write_i16((instant - self.now.0).max(-PAST));
    }

    /// A count of polls.
    fn write_u32(&mut self, polls: u32) {
        self.inner.write_u32(polls.min(POLLS));
    }

    /// A version.
    fn write_u64(&mut self, version: u64) {
        self.inner.write_u64(self.newest.saturating_sub(version).min(VERSIONS));
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let Self { now, family, .. } = self;
        let ago = |then: Tick| (then.0 - now.0).max(-PAST);
        let behind = |Token { number, sibling }: Token| {
            let behind = family.newest().saturating_sub(number).min(OLDER);
            (behind, if behind < OLDER { sibling } else { 0 })
        };
        let back = |holder: usize, flight: FlightId| {
            let newest = self.holders[holder].machine.newest_flight().number();
            newest.saturating_sub(flight.number()).min(OLDER)
        };
        for holder in &self.holders {
            holder.machine.hash(&mut Relative::new(hasher, *now));
            (behind(holder.held), behind(holder.access)).hash(hasher);
            (ago(holder.asked), holder.waiting).hash(hasher);
            let of_it = |flight: FlightId| {
                let newest = holder.machine.newest_flight().number();
                newest.saturating_sub(flight.number()).min(OLDER)
            };
            let held_back = holder.held_back;
            let held_back = held_back.map(|it| (of_it(it.flight), behind(it.token), ago(it.asked)));
            held_back.hash(hasher);
            holder.doubted.map(behind).hash(hasher);
            let newest = self.stores[0].version;
            holder.turn.hash(&mut TurnHasher { inner: hasher, now: *now, newest });
        }
        let lease = self.lease.map(|it| {
            let newest = self.stores[0].version.saturating_sub(it.fence).min(VERSIONS);
            // One that is over is as good as none, but for being renewed.
            (it.holder, newest, it.until.map(ago))
        });
        lease.hash(hasher);
        for Stored { token, asked, intent, writer, until, version: _ } in self.stores {
            (behind(token), ago(asked), intent.map(ago), until.map(ago)).hash(hasher);
            writer.map(|(holder, flight)| (holder, back(holder, flight))).hash(hasher);
        }
        for message in self.messages {
            let Some(Message { holder, flight, heard, token, sent, deadline, leg, fate }) = message
            else {
                0_u8.hash(hasher);
                continue;
            };
            // What nobody hears has no flight any more.
            let flight = if heard { back(holder, flight) } else { OLDER };
            (1_u8, holder, flight, heard, behind(token), ago(sent), ago(deadline)).hash(hasher);
            let reply = match leg {
                Leg::Request => None,
                Leg::Answer(Reply::Declined) => Some(None),
                Leg::Answer(Reply::Granted(token)) => Some(Some(behind(token))),
            };
            (reply, fate).hash(hasher);
        }
        let tolerance = match family.to_row().tolerance {
            Tolerance::Closed => None,
            Tolerance::Open { until, uses } => Some(Some((ago(until), uses))),
            Tolerance::Unconfirmed => Some(None),
        };
        (tolerance, family.is_revoked()).hash(hasher);
        (self.history.first_use.map(ago), self.history.confirmed).hash(hasher);
        (self.thief.map(behind), self.faults_left).hash(hasher);
    }
}
