//! What may happen next, and what comes of it.

use perennial::lifecycle::{
    Effect, Ending, Event, Failure, FlightId, Meanwhile, Novelty, Start, State as View, apply,
};
use perennial::time::Draw;

use super::faults::Fault;
use super::state::{Answer, Fate, Holder, Leg, Message, Reply, State, Stored, Token, lives};
use super::told::{Told, Who};
use super::{Action, Claim, DEADLINE, LIFETIME, System, WINDOW};
use crate::runner::Set;
use crate::tick::{MOST, Tick};

/// How long, and with how many steps between, whoever waits may wait once nothing goes wrong.
const ENOUGH: usize = 200;

impl System {
    pub(super) fn offer(&self, state: &State, actions: &mut Vec<Action>) {
        let theft = self.row.fault == Fault::Theft;
        if !theft && state.holders.iter().any(must_log_in) {
            return;
        }
        let uses = theft || self.reuse == perennial::rotation::Reuse::ConfirmByUse;
        let room = state.messages.contains(&None);
        for holder in 0..self.row.holders.count() {
            if room {
                actions.push(Action::Asks(holder));
            }
            if uses && is_usable(state, holder) {
                actions.push(Action::Uses(holder));
            }
            let mut own = state.messages.iter().flatten();
            let out = own.find(|message| message.heard && message.holder == holder);
            let crashes = matches!(
                (self.row.fault, out.map(|message| message.leg)),
                (Fault::CrashSending, Some(Leg::Request))
                    | (Fault::CrashHearing, Some(Leg::Answer(_)))
                    | (Fault::CrashAtRest, None)
            );
            if state.faults_left > 0 && crashes {
                actions.push(Action::Crashes(holder));
            }
        }
        for (place, message) in state.messages.iter().enumerate() {
            let Some(message) = message else { continue };
            actions.push(Action::Arrives(place));
            if state.faults_left > 0 {
                let fault = match (self.row.fault, message.leg) {
                    (Fault::RequestLost, Leg::Request) => Some(Action::Lost(place)),
                    (Fault::AnswerLost, Leg::Answer(_)) => Some(Action::Lost(place)),
                    (Fault::RequestTwice | Fault::CopyLate, Leg::Request) if room => {
                        Some(Action::Doubled(place))
                    }
                    (Fault::RequestLate(_), Leg::Request) => Some(Action::Delayed(place)),
                    (Fault::AnswerLate(_), Leg::Answer(_)) => Some(Action::Delayed(place)),
                    _ => None,
                };
                actions.extend(fault);
            }
        }
        if self.may_wait(state) {
            actions.push(Action::Time);
        }
        if theft {
            match state.thief {
                None if state.faults_left > 0 => actions.push(Action::Steals),
                None => {}
                Some(_) => actions.extend([Action::Presents, Action::Abuses]),
            }
        }
    }

    /// What a caller of this holder would be told.
    fn would_tell(&self, state: &State, holder: usize) -> Effect<Tick> {
        let asked = Event::Requested { usable_for: 0 };
        apply(&self.world.policy, state.holders[holder].machine, asked, state.now).1
    }

    /// Whether time may go on: messages arrive in time, and whoever is prompt has done what it may.
    fn may_wait(&self, state: &State) -> bool {
        let then = state.now.plus(1);
        let arrives = state.messages.iter().flatten().all(|message| match message.fate {
            Fate::Ordinary => then < message.deadline,
            Fate::OneMore => then < message.deadline.plus(DEADLINE),
            Fate::WithinWindow => then < message.sent.plus(WINDOW),
            Fate::Whenever => true,
        });
        let starts = |holder: usize| {
            let answer = self.would_tell(state, holder);
            answer.start().is_some()
        };
        arrives && !(self.row.prompt && (0..self.row.holders.count()).any(starts))
    }

    /// Takes a step. Gives what it breaks.
    pub(super) fn take(
        &self,
        before: &State,
        action: Action,
        told: Option<&mut Told>,
    ) -> (State, Set) {
        let mut unheard = Told::default();
        let told = told.unwrap_or(&mut unheard);
        let mut step = Step { system: self, state: *before, broken: 0, told };
        match action {
            Action::Asks(holder) => step.asks(holder),
            Action::Uses(holder) => step.uses(holder),
            Action::Arrives(place) => step.arrives(place),
            Action::Lost(place) => step.lost(place),
            Action::Doubled(place) => step.doubled(place),
            Action::Delayed(place) => step.delayed(place),
            Action::Crashes(holder) => step.crashes(holder),
            Action::Time => step.time(),
            Action::Steals => step.steals(),
            Action::Presents => step.presents(),
            Action::Abuses => step.abuses(),
        }
        step.finish(before)
    }

    /// What is asked of a state by itself.
    pub(super) fn judge(&self, state: &State) -> Set {
        let waits = (0..self.row.holders.count()).filter(|holder| state.holders[*holder].waiting);
        let answered = waits.into_iter().all(|holder| self.is_answered(state, holder));
        Claim::AtMostTwo.when(self.honours_too_many(state)) | Claim::Answered.when(!answered)
    }

    /// Whether a caller of this holder that waits is given a token, or told to log in, if from now on
    /// every message arrives and every holder asks when it may.
    fn is_answered(&self, state: &State, holder: usize) -> bool {
        let mut state = *state;
        for _ in 0..ENOUGH {
            let it = &state.holders[holder];
            if !it.waiting || must_log_in(it) {
                return true;
            }
            let action = if let Some(place) = state.messages.iter().position(Option::is_some) {
                Action::Arrives(place)
            } else {
                let asks = (0..self.row.holders.count()).find(|holder| {
                    let answer = self.would_tell(&state, *holder);
                    answer.start().is_some()
                        || (answer.hands_out() && state.holders[*holder].waiting)
                });
                asks.map_or(Action::Time, Action::Asks)
            };
            state = self.take(&state, action, None).0;
        }
        false
    }
}

/// Whether the machine would hand out its token now.
fn is_usable(state: &State, holder: usize) -> bool {
    match state.holders[holder].machine.state(state.now) {
        View::Valid | View::Expiring | View::Refreshing(Meanwhile::UseOld) => true,
        View::Refreshing(Meanwhile::Wait) | View::Expired(_) => false,
    }
}

fn must_log_in(holder: &Holder) -> bool {
    holder.machine.ending() == Some(Ending::Declined)
}

/// A step in the making.
pub(super) struct Step<'a> {
    pub(super) system: &'a System,
    pub(super) state: State,
    broken: Set,
    pub(super) told: &'a mut Told,
}

impl Step<'_> {
    fn finish(mut self, before: &State) -> (State, Set) {
        for holder in 0..self.system.row.holders.count() {
            self.tells_again(holder);
        }
        for (holder, it) in self.state.holders.iter().enumerate() {
            if must_log_in(it) && !must_log_in(&before.holders[holder]) {
                self.told.note(Who::Holder(holder), "must log in again");
                // A thief's victim has to.
                let theft = self.system.row.fault == Fault::Theft;
                self.broken |= Claim::StaysLoggedIn.when(!theft);
            }
        }
        (self.state, self.broken)
    }

    pub(super) fn tell(&mut self, holder: usize, event: Event<Tick>) -> Effect<Tick> {
        let machine = &mut self.state.holders[holder].machine;
        machine.handle(&self.system.world.policy, event, self.state.now)
    }

    fn asks(&mut self, holder: usize) {
        let effect = self.tell(holder, Event::Requested { usable_for: 0 });
        let waiting = !effect.hands_out() && !matches!(effect, Effect::LogIn(_));
        self.state.holders[holder].waiting = waiting;
        if let Some(start) = effect.start() {
            self.sends(holder, start);
        }
    }

    /// A refresh begins: the store is read; what is newer there is adopted, else an intent is noted
    /// and the refresh token presented.
    fn sends(&mut self, holder: usize, start: Start<Tick>) {
        if self.kind().is_some() {
            return self.takes_turn(holder, &start);
        }
        let now = self.state.now;
        let place = self.system.row.holders.store(holder);
        let stored = &mut self.state.stores[place];
        let lapse = stored.asked.plus(LIFETIME - 1);
        if stored.token != self.state.holders[holder].held && now < lapse {
            let text = format!("finds refresh token {} in the store", stored.token);
            self.told.note(Who::Holder(holder), &text);
            return self.adopts(holder, start.flight);
        }
        stored.intent.get_or_insert(now);
        stored.writer = Some((holder, start.flight));
        let message = Message {
            holder,
            flight: start.flight,
            heard: true,
            token: stored.token,
            sent: now,
            deadline: start.deadline,
            leg: Leg::Request,
            fate: Fate::Ordinary,
        };
        self.told.note(Who::Holder(holder), &format!("sends refresh token {}", stored.token));
        self.posts(message);
    }

    pub(super) fn posts(&mut self, message: Message) {
        let slot = self.state.messages.iter_mut().find(|slot| slot.is_none());
        *slot.expect("asked for only where there is room") = Some(message);
    }

    fn takes_out(&mut self, place: usize) -> Message {
        self.state.messages[place].take().expect("offered where there is one")
    }

    fn arrives(&mut self, place: usize) {
        let message = self.takes_out(place);
        let holder = Who::Holder(message.holder);
        match message.leg {
            Leg::Request => {
                let text = format!("refresh token {}", message.token);
                self.told.arrow(holder, Who::Server, &text, true);
                let reply = self.serves(message.token);
                if message.heard {
                    self.state.messages[place] =
                        Some(Message { leg: Leg::Answer(reply), ..message });
                }
            }
            Leg::Answer(reply) => {
                self.told.arrow(Who::Server, holder, &of_reply(reply), true);
                self.lands(&message, reply);
            }
        }
    }

    fn serves(&mut self, token: Token) -> Reply {
        let revoked = self.state.family.is_revoked();
        let (reply, broken) = self.system.presented(&mut self.state, token);
        self.broken |= broken;
        if self.state.family.is_revoked() && !revoked {
            self.told.note(Who::Server, "takes it for theft, revokes the family");
        }
        reply
    }

    fn lost(&mut self, place: usize) {
        self.state.faults_left -= 1;
        let message = self.takes_out(place);
        let holder = Who::Holder(message.holder);
        match message.leg {
            Leg::Request => {
                let text = format!("refresh token {}", message.token);
                self.told.arrow(holder, Who::Server, &text, false);
            }
            Leg::Answer(reply) => {
                self.told.arrow(Who::Server, holder, &of_reply(reply), false);
            }
        }
    }

    fn doubled(&mut self, place: usize) {
        self.state.faults_left -= 1;
        let message = self.state.messages[place].expect("offered where there is one");
        let late = self.system.row.fault == Fault::CopyLate;
        let fate = if late { Fate::Whenever } else { message.fate };
        self.posts(Message { heard: !late, fate, ..message });
        self.told.note(Who::Holder(message.holder), "its request is duplicated on the way");
    }

    fn delayed(&mut self, place: usize) {
        self.state.faults_left -= 1;
        let message = self.state.messages[place].as_mut().expect("offered where there is one");
        message.fate = match self.system.row.fault {
            Fault::AnswerLate(fate) | Fault::RequestLate(fate) => fate,
            Fault::Nothing
            | Fault::RequestLost
            | Fault::AnswerLost
            | Fault::RequestTwice
            | Fault::CopyLate
            | Fault::CrashSending
            | Fault::CrashHearing
            | Fault::CrashAtRest
            | Fault::Theft => unreachable!("offered where something may be late"),
        };
        let what = if message.leg == Leg::Request { "its request" } else { "the response" };
        let text = format!("{what} is delayed");
        self.told.note(Who::Holder(message.holder), &text);
    }

    /// Nobody hears what else is under way for this refresh, or any of the holder.
    fn hangs_up(&mut self, holder: usize, flight: Option<FlightId>) {
        for slot in &mut self.state.messages {
            let Some(message) = slot else { continue };
            let of_it = message.heard
                && message.holder == holder
                && flight.is_none_or(|flight| message.flight == flight);
            match message.leg {
                _ if !of_it => {}
                Leg::Request => message.heard = false,
                Leg::Answer(_) => *slot = None,
            }
        }
    }

    /// An answer is heard: it is kept, then handed out.
    fn lands(&mut self, message: &Message, reply: Reply) {
        let newest = self.state.holders[message.holder].machine.newest_flight();
        self.taken_in(message, reply);
        if self.kind().is_some() && message.flight == newest {
            self.turns(message.holder, perennial::lease::Event::Finished);
        }
    }

    fn taken_in(&mut self, message: &Message, reply: Reply) {
        let Message { holder, flight, token: presented, sent, .. } = *message;
        self.hangs_up(holder, Some(flight));
        let place = self.system.row.holders.store(holder);
        let held = self.state.holders[holder].held;
        let newest = self.state.holders[holder].machine.newest_flight() == flight;
        let stored = &mut self.state.stores[place];
        match reply {
            Reply::Granted(token) if stored.token == presented || stored.token == token => {
                // Safe already, and being presented: the note of that stays.
                if stored.token == presented || stored.intent.is_none() {
                    let writer = Some((holder, flight));
                    let version = stored.version + 1;
                    *stored =
                        Stored { token, asked: sent, intent: None, writer, version, until: None };
                }
                // An answer that the server has given before.
                if newest || held != token || presented == token {
                    self.refreshed(holder, flight, token, sent);
                }
            }
            Reply::Granted(_) => {
                if newest || held != stored.token {
                    self.adopts(holder, flight);
                }
            }
            Reply::Declined if stored.writer == Some((holder, flight)) => {
                (stored.intent, stored.until) = (None, None);
                stored.version += 1;
                self.fails(holder, flight, Failure::Declined);
            }
            // Theirs may be the answer that was granted.
            Reply::Declined if stored.token == presented => {
                self.fails(holder, flight, Failure::Unavailable { retry_after: None });
            }
            Reply::Declined => {
                if newest {
                    self.adopts(holder, flight);
                }
            }
        }
    }

    pub(super) fn fails(&mut self, holder: usize, flight: FlightId, failure: Failure<Tick>) {
        let _ = self.tell(holder, Event::RefreshFailed { flight, failure, draw: MOST });
    }

    /// Somebody else has stored something newer.
    pub(super) fn adopts(&mut self, holder: usize, flight: FlightId) {
        let Stored { token, asked, .. } = self.state.stores[self.system.row.holders.store(holder)];
        self.refreshed(holder, flight, token, asked);
    }

    fn refreshed(&mut self, holder: usize, flight: FlightId, token: Token, asked: Tick) {
        let before = self.state.holders[holder];
        let same = (before.access, before.asked) == (token, asked);
        let novelty = if same { Novelty::Same } else { Novelty::New };
        let event = Event::Refreshed { flight, token: lives(asked), novelty, draw: Draw::NONE };
        let effect = self.tell(holder, event);
        let it = &mut self.state.holders[holder];
        if matches!(effect, Effect::Publish { .. }) {
            *it = Holder { held: token, access: token, asked, waiting: false, ..*it };
        } else if effect == Effect::KeepRefreshToken {
            it.held = token;
        } else if effect == Effect::HoldBack {
            it.held_back = Some(Answer { flight, token, asked });
            self.told.note(Who::Holder(holder), "stores the response, and waits for the second");
        }
    }

    /// What was held back is told again once no refresh is out (rule B14).
    fn tells_again(&mut self, holder: usize) {
        let it = &mut self.state.holders[holder];
        if it.machine.refresh_deadline().is_none()
            && let Some(Answer { flight, token, asked }) = it.held_back.take()
        {
            self.refreshed(holder, flight, token, asked);
        }
    }

    fn crashes(&mut self, holder: usize) {
        self.state.faults_left -= 1;
        self.hangs_up(holder, None);
        let stored = &mut self.state.stores[self.system.row.holders.store(holder)];
        if stored.writer.is_some_and(|(writer, _)| writer == holder) {
            stored.writer = None;
        }
        let stored = *stored;
        self.turn_crashes(holder);
        self.state.holders[holder] = Holder::started(self.system, &stored, self.state.now);
        let text = format!("crashes, and finds refresh token {} in its store", stored.token);
        self.told.note(Who::Holder(holder), &text);
    }

    fn time(&mut self) {
        self.state.now = self.state.now.plus(1);
        self.told.tick();
        for holder in 0..self.system.row.holders.count() {
            self.turn_in_time(holder);
            let deadline = self.state.holders[holder].machine.refresh_deadline();
            if deadline.is_some_and(|deadline| deadline <= self.state.now) {
                let _ = self.tell(holder, Event::TimePassed { draw: MOST });
                self.told.note(Who::Holder(holder), "gives up waiting for the response");
            }
        }
    }

    /// Its access token meets a resource server.
    fn uses(&mut self, holder: usize) {
        let access = self.state.holders[holder].access;
        let taken = self.system.used(&mut self.state, access);
        let text = format!("the access token that came with {access}");
        self.told.arrow(Who::Holder(holder), Who::Resource, &text, true);
        if !taken {
            self.told.note(Who::Resource, "refuses it: its family is revoked");
            let generation = self.state.holders[holder].machine.generation();
            let generation = generation.expect("it is handed out");
            let _ = self.tell(holder, Event::Rejected { generation });
        }
    }

    fn steals(&mut self) {
        self.state.faults_left -= 1;
        let token = self.state.holders[0].held;
        self.state.thief = Some(token);
        self.told.note(Who::Thief, &format!("copies refresh token {token}"));
    }

    fn presents(&mut self) {
        let token = self.state.thief.expect("offered to one who has it");
        self.told.arrow(Who::Thief, Who::Server, &format!("refresh token {token}"), true);
        let reply = self.serves(token);
        self.told.arrow(Who::Server, Who::Thief, &of_reply(reply), true);
        self.state.thief = match reply {
            Reply::Granted(token) => Some(token),
            Reply::Declined => None,
        };
    }

    fn abuses(&mut self) {
        let token = self.state.thief.expect("offered to one who has it");
        let text = format!("the access token that came with {token}");
        self.told.arrow(Who::Thief, Who::Resource, &text, true);
        if !self.system.used(&mut self.state, token) {
            self.told.note(Who::Resource, "refuses it: its family is revoked");
        }
    }
}

fn of_reply(reply: Reply) -> String {
    match reply {
        Reply::Granted(token) => format!("an access token, refresh token {token}"),
        Reply::Declined => "invalid_grant".to_owned(),
    }
}
