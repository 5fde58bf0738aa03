//! What a session makes of what happens: a small copy of it, around the real machine.

use perennial::lifecycle::{Effect, Event, Failure, Generation, Novelty, Reuse, TokenTimes};

use super::actions::{Action, lives};
use super::callers::{Caller, OLD, Wish};
use super::{Adversary, CHARGES, Held, HeldBack, Scene, State};
use crate::corners;
use crate::history::History;
use crate::rules;
use crate::runner::{Set, Step};
use crate::tick::{FLIGHTS, MOST, Tick};
use crate::world::{Answer, BUDGET_INTERVAL, BUDGET_WINDOW, REFRESH_DEADLINE, Told};

/// One step in the making.
struct Making<'a> {
    model: &'a Adversary,
    state: State,
    broken: Set,
    corners: Set,
    wanted: Set,
}

impl Adversary {
    pub(super) fn take(&self, state: &State, action: Action, wanted: Set) -> Step<State> {
        let mut making = Making { model: self, state: *state, broken: 0, corners: 0, wanted };
        match action {
            Action::Time(by) => making.state.now = state.now.plus(by),
            Action::Comes(wish) => {
                let place = state.callers.iter().position(|caller| *caller == Caller::Away);
                making.asks(place.expect("it is offered where somebody is away"), wish);
            }
            Action::Leaves(place) => making.state.callers[place] = Caller::Away,
            Action::Looks(place) => {
                if let Caller::Waiting(wish) = state.callers[place] {
                    making.asks(place, wish);
                }
            }
            Action::Takes(place) => making.takes(place),
            Action::Rejects(place) => making.rejects(place),
            Action::Told(event) => making.hears(event),
        }
        making.finish()
    }
}

impl Making<'_> {
    /// Tells the machine, and keeps the books.
    fn tell(&mut self, event: Told) -> Answer {
        let State { machine, history, now, .. } = self.state;
        let world = &self.model.world;
        let outcome = rules::tell(world, &machine, &history, event, now);
        self.broken |= outcome.broken;
        if self.wanted != 0 {
            let before = (&machine, &history);
            self.corners |= corners::reached(world, before, event, now, &outcome, self.wanted);
        }
        self.state.machine = outcome.machine;
        self.state.history = outcome.history;
        if outcome.history.purse.full_at > history.purse.full_at.filter(|full_at| now < *full_at) {
            self.pays();
        }
        if let Some(start) = outcome.effect.start() {
            self.presents(&history, start.deadline);
        }
        outcome.effect
    }

    /// A refresh is sent, after what was told before.
    fn presents(&mut self, before: &History, deadline: Tick) {
        let state = &mut self.state;
        let now = state.now;
        state.grant_from = (state.grant_from + 1).min(FLIGHTS);
        state.of_epoch = (state.of_epoch + 1).min(FLIGHTS);
        // While one is out nothing is held back from before it.
        self.broken |= Held::Newest.when_not(state.held_back.is_none());
        let closes = match (self.model.world.reuse, self.model.world.reuse_window()) {
            (Reuse::ConfirmByUse | Reuse::Unrotated, _) => None,
            (_, window) => state.first_sent.map(|sent| sent.plus(window.unwrap_or(0))),
        };
        if let Some(closes) = closes {
            let may_be_refused = now >= closes;
            let working = before.token.filter(|token| token.works(now));
            let last_chance = working
                .is_none_or(|token| token.life.is_some_and(|life| now >= life.last_chance()));
            let waits = state.late_until.is_some_and(|until| now < until);
            self.broken |= Held::Presented.when_not(!may_be_refused || (last_chance && !waits))
                | Held::Within.when_not(may_be_refused || deadline <= closes);
        }
        state.late_until = None;
        state.presented = (state.presented + 1).min(2);
        self.corners |= Scene::Again.if_so(state.presented == 2);
        state.first_sent = state.first_sent.or(Some(now));
        if closes.is_none()
            && matches!(self.model.world.reuse, Reuse::ConfirmByUse | Reuse::Unrotated)
        {
            // How often, and when, makes no difference.
            state.presented = 1;
            state.first_sent = None;
        }
    }

    /// A refresh is paid for: in no stretch of time that ends now are there more of them than the
    /// budget holds at once and gets back meanwhile (rule B9).
    fn pays(&mut self) {
        let State { now, charges, .. } = &mut self.state;
        charges.rotate_right(1);
        let room = charges[0].is_none();
        charges[0] = Some(*now);
        let held = BUDGET_WINDOW / BUDGET_INTERVAL;
        let bounded = (1..).zip(charges.iter().flatten()).all(|(count, from): (i16, _)| {
            count <= i16::from(held) + (now.0 - from.0) / i16::from(BUDGET_INTERVAL)
        });
        self.broken |= Held::Bounded.when_not(bounded && room);
    }

    /// The caller at this place asks.
    fn asks(&mut self, place: usize, wish: Wish) {
        let answer = self.tell(wish.event());
        let was = self.state.callers[place];
        let is = Caller::given(wish, answer);
        self.state.callers[place] = is;
        if matches!(is, Caller::Carrying(0) | Caller::Repeating(0)) {
            let newest = self.model.world.generation(&self.state.machine, 0);
            let held = self.state.machine.generation();
            let works = self.state.history.works(self.state.now);
            self.broken |= Held::HandsNewest.when_not(held.is_some() && held == newest && works);
        }
        let out = self.state.history.is_out();
        let delayed = matches!(answer, Effect::BackOff { .. });
        self.corners |= Scene::ServedMeanwhile.if_so(out && answer == Effect::Use)
            | Scene::StaleHelped.if_so(was == Caller::Carrying(1) && answer.hands_out())
            | Scene::Joins
                .if_so(was == Caller::Carrying(0) && matches!(answer, Effect::Wait { .. }))
            | Scene::WaitsOut.if_so(was.is_waiting() && is.is_waiting() && delayed);
    }

    /// The resource server takes the token of the caller at this place.
    fn takes(&mut self, place: usize) {
        match self.state.callers[place] {
            Caller::Away | Caller::Waiting(_) => {}
            Caller::Carrying(back) => {
                let generation = self.generation(back);
                let _ = self.tell(Event::Accepted { generation });
            }
            Caller::Repeating(back) => {
                let generation = self.generation(back);
                let _ = self.tell(Event::Recovered { generation });
                self.corners |= Scene::ReplayHelps.if_so(true);
            }
        }
        self.state.callers[place] = Caller::Away;
    }

    /// The resource server answers 401 to the caller at this place. One that repeats a request gets
    /// that as it is, and so does one whose rejection cannot be paid for.
    fn rejects(&mut self, place: usize) {
        let back = match self.state.callers[place] {
            Caller::Away | Caller::Waiting(_) => return,
            Caller::Repeating(_) => {
                self.state.callers[place] = Caller::Away;
                self.corners |= Scene::ReplayInVain.if_so(true);
                return;
            }
            Caller::Carrying(back) => back,
        };
        let generation = self.generation(back);
        if self.tell(Event::Rejected { generation }) == Effect::KeepUsing {
            self.state.callers[place] = Caller::Away;
            self.corners |= Scene::KeepsItsAnswer.if_so(self.state.history.works(self.state.now));
            return;
        }
        self.asks(place, Wish::Another);
        let spent = self.wanted != 0 && {
            let answer = self.model.world.answer(&self.state.machine, self.state.now);
            matches!(answer, Effect::BackOff { reason: perennial::lifecycle::Delay::Budget, .. })
        };
        self.corners |= Scene::Loop.if_so(spent);
    }

    /// The token that was published so many before the newest one.
    fn generation(&self, back: u8) -> Generation {
        let generation = self.model.world.generation(&self.state.machine, back);
        generation.expect("the token was published")
    }

    /// Something is told that is no caller's doing.
    fn hears(&mut self, event: Told) {
        let before = self.state;
        let waiting = before.callers.iter().filter(|caller| caller.is_waiting()).count();
        let effect = self.tell(event);
        match event {
            Event::Refreshed { flight, .. } => {
                self.lands(&before, flight.number(), event, effect);
            }
            Event::RefreshFailed { failure, .. } if effect == Effect::EndAttempt => {
                self.state.late_until = None;
                let honoured = match failure {
                    Failure::Unknown => true,
                    Failure::Declined
                    | Failure::Misconfigured { .. }
                    | Failure::Unavailable { .. }
                    | Failure::Unexplained { .. } => false,
                };
                // What comes after the deadline was judged unknown there, and stays so (rule B13).
                if !honoured && !before.history.outrun && before.history.is_out() {
                    self.state.presented = self.state.presented.saturating_sub(1);
                    if self.state.presented == 0 {
                        self.state.first_sent = None;
                    }
                }
            }
            Event::TimePassed { .. } if effect == Effect::EndAttempt => {
                self.state.late_until = Some(self.state.now.plus(REFRESH_DEADLINE));
            }
            Event::Installed { intent, .. } => {
                self.begins(intent);
            }
            Event::Cleared => self.begins(None),
            Event::Requested { .. }
            | Event::RefreshFailed { .. }
            | Event::Rejected { .. }
            | Event::Accepted { .. }
            | Event::Recovered { .. }
            | Event::TimePassed { .. } => {}
        }
        let again = self.tells_again();
        let failed = matches!(effect, Effect::EndAttempt)
            || (matches!(event, Event::Refreshed { .. }) && effect == Effect::KeepRefreshToken);
        let changed = matches!(event, Event::Cleared | Event::Installed { .. });
        if failed || changed || again || matches!(effect, Effect::Publish { .. }) {
            self.wakes(failed);
        }
        let logged_in = matches!(event, Event::Installed { .. });
        let left = self.state.callers.iter().any(|caller| caller.is_waiting());
        if event == Event::Cleared {
            self.broken |= Held::NobodyLeft.when_not(!left);
        }
        let served = self.state.callers.contains(&Caller::Carrying(0));
        self.corners |= Scene::TwoWait.if_so(waiting >= 2 && before.history.is_out())
            | Scene::LoggedOut.if_so(waiting > 0 && event == Event::Cleared)
            | Scene::LoggedIn.if_so(waiting > 0 && logged_in && served);
    }

    /// An answer with a grant has come.
    fn lands(&mut self, before: &State, flight: u64, event: Told, effect: Answer) {
        let back = before.machine.newest_flight().number() - flight;
        let back = u8::try_from(back).expect("older refreshes are not told of");
        let of_epoch = back < before.of_epoch;
        let newer = back < before.grant_from;
        let kept = matches!(effect, Effect::Publish { .. } | Effect::KeepRefreshToken);
        let out = before.history.is_out() && back > 0;
        let held_back = out && self.model.world.reuse == Reuse::ConfirmByUse;
        let right = match (of_epoch, newer) {
            (true, true) if held_back => effect == Effect::HoldBack,
            (true, true) => kept,
            (true, false) => effect == Effect::Discard,
            (false, _) => effect == Effect::ReleaseOrphan,
        };
        self.broken |= Held::Newest.when_not(right);
        if kept {
            self.state.grant_from = back;
            self.state.presented = 0;
            self.state.first_sent = None;
            self.state.late_until = None;
        }
        if effect == Effect::HoldBack {
            self.holds_back(back, event);
        }
        if let Effect::Publish { .. } = effect {
            self.ages();
        }
        let waits = before.callers.iter().any(|caller| caller.is_waiting());
        let installed = before.history.works(before.now);
        self.corners |= Scene::ForNobody.if_so(kept && !waits && before.history.is_out())
            | Scene::OrphanAfterLogin.if_so(effect == Effect::ReleaseOrphan && installed)
            | Scene::Twice.if_so(effect == Effect::Discard && back == before.grant_from);
    }

    /// An answer is stored, and told again later. Of several the newest is.
    fn holds_back(&mut self, back: u8, event: Told) {
        let Event::Refreshed { token: TokenTimes { sent, lifetime, .. }, novelty, .. } = event
        else {
            unreachable!("it is an answer");
        };
        if self.state.held_back.is_none_or(|held| back < held.back) {
            let lifetime = lifetime.expect("the server says so");
            let same = novelty == Novelty::Same;
            self.state.held_back = Some(HeldBack { back, sent, lifetime, same });
        }
    }

    /// What was held back is told again once no refresh is out. Gives whether it is handed out.
    fn tells_again(&mut self) -> bool {
        if self.state.history.is_out() {
            return false;
        }
        let Some(HeldBack { back, sent, lifetime, same }) = self.state.held_back.take() else {
            return false;
        };
        let before = self.state;
        let flight = self.model.world.flight(&before.machine, back).expect("it was started");
        let novelty = if same { Novelty::Same } else { Novelty::New };
        let token = lives(sent, lifetime);
        let event = Event::Refreshed { flight, token, novelty, draw: MOST };
        let effect = self.tell(event);
        self.lands(&before, flight.number(), event, effect);
        let published = matches!(effect, Effect::Publish { .. });
        self.corners |= Scene::TellsAgain.if_so(published)
            | Scene::NotTwice.if_so(effect == Effect::Discard)
            | Scene::OrphanedAgain.if_so(effect == Effect::ReleaseOrphan);
        published
    }

    /// A new epoch begins, with a refresh token that was presented then, if it was.
    fn begins(&mut self, presented: Option<Tick>) {
        let matters = !matches!(self.model.world.reuse, Reuse::ConfirmByUse | Reuse::Unrotated);
        self.state.grant_from = FLIGHTS;
        self.state.of_epoch = 0;
        self.state.presented = u8::from(presented.is_some() && matters);
        self.state.first_sent = presented.filter(|_| matters);
        self.state.late_until = None;
        self.state.charges = [None; CHARGES];
        if self.state.machine.generation().is_some() {
            self.ages();
        }
    }

    /// Another token was published: the tokens that callers carry are older by one.
    fn ages(&mut self) {
        for caller in &mut self.state.callers {
            if let Caller::Carrying(back) | Caller::Repeating(back) = caller {
                *back = (*back + 1).min(OLD);
            }
        }
    }

    /// All who wait are woken; an attempt that failed ends the wait of those who are not patient.
    fn wakes(&mut self, failed: bool) {
        for place in 0..self.state.callers.len() {
            let Caller::Waiting(wish) = self.state.callers[place] else { continue };
            if failed && wish != Wish::Patiently && !self.state.history.works(self.state.now) {
                self.state.callers[place] = Caller::Away;
                self.corners |= Scene::Told.if_so(true);
                continue;
            }
            self.asks(place, wish);
            let still = self.state.callers[place].is_waiting();
            self.corners |= Scene::StaysOn.if_so(still && failed);
            // What came is no longer-lived than what was: that is told.
            if still && wish == Wish::Lasting && self.state.history.works(self.state.now) {
                self.state.callers[place] = Caller::Away;
            }
        }
    }

    fn finish(self) -> Step<State> {
        let Self { state: mut next, broken, corners, .. } = self;
        // The places that this model has no use for stay the last.
        next.callers[..self.model.callers].sort_unstable();
        let matters = |charged: &Tick| next.now.0 - charged.0 <= i16::from(BUDGET_WINDOW);
        next.charges = next.charges.map(|charged| charged.filter(matters));
        next.late_until = next.late_until.filter(|until| next.now < *until);
        Step { next, broken, corners }
    }
}
