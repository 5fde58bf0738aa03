//! What a session makes of what happens: a small copy of it, around the real machine.

use perennial::lifecycle::{Effect, Event, Failure, Reuse};

use super::actions::Action;
use super::callers::{Caller, OLD, Wish};
use super::{Adversary, CHARGES, Held, Scene, State};
use crate::corners;
use crate::rules;
use crate::runner::{Set, Step};
use crate::tick::{FLIGHTS, Tick};
use crate::world::{Answer, BUDGET_INTERVAL, BUDGET_WINDOW, Told};

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
            Action::Takes(place) => making.answered(place, true),
            Action::Rejects(place) => making.answered(place, false),
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
        if outcome.effect.start().is_some() {
            let paid = outcome.history.full_at > history.full_at.filter(|full_at| now < *full_at);
            self.presents(paid);
        }
        outcome.effect
    }

    /// A refresh is sent.
    fn presents(&mut self, paid: bool) {
        let state = &mut self.state;
        state.grant_from = (state.grant_from + 1).min(FLIGHTS);
        state.of_epoch = (state.of_epoch + 1).min(FLIGHTS);
        state.presented = (state.presented + 1).min(3);
        state.presented_late += u8::from(state.history.last_resort);
        self.corners |= Scene::Again.if_so(state.presented == 2);
        let kept = match self.model.world.reuse {
            Reuse::Strict => state.presented <= 2 && state.presented_late <= 1,
            Reuse::OverlapAccessOnly(_) | Reuse::OverlapSuccessors(_) | Reuse::Idempotent(_) => state.presented_late <= 1,
            Reuse::ConfirmByUse | Reuse::Unrotated => state.presented_late == 0,
        };
        self.broken |= Held::Presented.when_not(kept);
        state.presented = match self.model.world.reuse {
            Reuse::Strict => state.presented,
            // How often makes no difference.
            Reuse::OverlapAccessOnly(_) | Reuse::OverlapSuccessors(_) | Reuse::Idempotent(_) | Reuse::ConfirmByUse | Reuse::Unrotated => {
                state.presented.min(1)
            }
        };
        if paid {
            self.pays();
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
        if is == Caller::Carrying(0) {
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

    /// The resource server answers the request of the caller at this place.
    fn answered(&mut self, place: usize, takes: bool) {
        let Caller::Carrying(back) = self.state.callers[place] else { return };
        let generation = self.model.world.generation(&self.state.machine, back);
        let generation = generation.expect("the token was published");
        if takes {
            let _ = self.tell(Event::Accepted { generation });
            self.state.callers[place] = Caller::Away;
        } else {
            let _ = self.tell(Event::Rejected { generation });
            self.asks(place, Wish::Now);
        }
        let spent = self.wanted != 0 && {
            let answer = self.model.world.answer(&self.state.machine, self.state.now);
            matches!(answer, Effect::BackOff { reason: perennial::lifecycle::Delay::Budget, .. })
        };
        self.corners |= Scene::Loop.if_so(spent && !takes);
    }

    /// Something is told that is no caller's doing.
    fn hears(&mut self, event: Told) {
        let before = self.state;
        let waiting = before.callers.iter().filter(|caller| caller.is_waiting()).count();
        let effect = self.tell(event);
        match event {
            Event::Refreshed { flight, .. } => self.lands(&before, flight.number(), effect),
            Event::RefreshFailed { failure: Failure::Unavailable { .. }, .. }
                if effect == Effect::EndAttempt && !before.history.outrun =>
            {
                // It was definitely not honoured.
                self.state.presented = self.state.presented.saturating_sub(1);
                self.state.presented_late -= u8::from(before.history.last_resort);
            }
            Event::Installed { intent, .. } => {
                self.begins(u8::from(intent.is_some()));
            }
            Event::Cleared => self.begins(0),
            Event::Requested { .. }
            | Event::RefreshFailed { .. }
            | Event::Rejected { .. }
            | Event::Accepted { .. }
            | Event::TimePassed { .. } => {}
        }
        let failed = matches!(effect, Effect::EndAttempt)
            || (matches!(event, Event::Refreshed { .. }) && effect == Effect::KeepRefreshToken);
        let changed = matches!(event, Event::Cleared | Event::Installed { .. });
        if failed || changed || matches!(effect, Effect::Publish { .. }) {
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
    fn lands(&mut self, before: &State, flight: u64, effect: Answer) {
        let back = before.machine.newest_flight().number() - flight;
        let back = u8::try_from(back).expect("older refreshes are not told of");
        let of_epoch = back < before.of_epoch;
        let newer = back < before.grant_from;
        let kept = matches!(effect, Effect::Publish { .. } | Effect::KeepRefreshToken);
        let right = match (of_epoch, newer) {
            (true, true) => kept,
            (true, false) => effect == Effect::Discard,
            (false, _) => effect == Effect::ReleaseOrphan,
        };
        self.broken |= Held::Newest.when_not(right);
        if kept {
            self.state.grant_from = back;
            self.state.presented = 0;
            self.state.presented_late = 0;
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

    /// A new epoch begins, with a refresh token that was presented so often.
    fn begins(&mut self, presented: u8) {
        self.state.grant_from = FLIGHTS;
        self.state.of_epoch = 0;
        self.state.presented = presented;
        self.state.presented_late = 0;
        self.state.charges = [None; CHARGES];
        if self.state.machine.generation().is_some() {
            self.ages();
        }
    }

    /// Another token was published: the tokens that callers carry are older by one.
    fn ages(&mut self) {
        for caller in &mut self.state.callers {
            if let Caller::Carrying(back) = caller {
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
        next.callers.sort_unstable();
        let matters = |charged: &Tick| next.now.0 - charged.0 <= i16::from(BUDGET_WINDOW);
        next.charges = next.charges.map(|charged| charged.filter(matters));
        Step { next, broken, corners }
    }
}
