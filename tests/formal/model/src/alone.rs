//! The machine alone: every event, with every parameter that matters, at every order of instants.
//!
//! A state is the machine, now, and the history that the rules are read off; all instants are
//! relative to now, and all identities to the newest, so that the model is finite without a bound on
//! time, on refreshes or on tokens. The whole of it is explored to a depth, and two parts of it to their
//! end: with a resource server that never says anything, and with an authorization server that fails in
//! fewer ways and gives fewer kinds of answers.

use std::hash::{Hash, Hasher};

use perennial::lifecycle::{Event, Failure, Novelty, Reuse, TokenTimes};
use perennial::time::Draw;

use crate::corners::{self, Corner};
use crate::history::History;
use crate::rules::{self, Rule};
use crate::runner::{Scenario, Set, Step};
use crate::tick::{FLIGHTS, MOST, Relative, Tick};
use crate::world::{Machine, Told, World};

/// The furthest that the clock goes back behind where it has been.
const BACK: u8 = 2;

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    machine: Machine,
    history: History,
    now: Tick,
    /// How far the clock is behind where it has been.
    behind: u8,
}

impl Hash for State {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let relative = &mut Relative::new(state, self.now);
        self.machine.hash(relative);
        self.history.hash(relative);
        self.behind.hash(relative);
    }
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Tell(Told),
    Forward(u8),
    Back,
}

/// Which events are told.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    /// All that an authorization server may answer, and nothing that a resource server may.
    Refusals,
    /// All that a resource server may answer, and a part of what an authorization server may.
    Rejections,
}

#[derive(Debug)]
pub(crate) struct Alone {
    pub(crate) world: World,
    pub(crate) part: Part,
}

impl Scenario for Alone {
    type State = State;
    type Action = Action;

    fn rules(&self) -> &'static [&'static str] {
        Rule::ALL
    }

    fn corners(&self) -> &'static [&'static str] {
        Corner::ALL
    }

    fn possible(&self) -> Set {
        let possible = corners::possible(self.world.reuse);
        match self.part {
            Part::Whole => possible,
            Part::Refusals => match self.world.reuse {
                Reuse::Strict
                | Reuse::OverlapAccessOnly(_)
                | Reuse::OverlapSuccessors(_)
                | Reuse::Idempotent(_) => possible & !corners::OF_REJECTIONS,
                // Only where it falls together with the end of a doubt does what the budget allows show.
                Reuse::ConfirmByUse | Reuse::Unrotated => {
                    possible & !(corners::OF_REJECTIONS | Corner::WhyBudget.set())
                }
            },
            Part::Rejections => possible & !corners::OF_REFUSALS,
        }
    }

    fn rare(&self) -> Set {
        Corner::WaitsSuperseded.set() | Corner::RefusedInBackoff.set()
    }

    fn start(&self) -> State {
        let machine = self.world.past();
        State { machine, history: History::NONE, now: Tick(0), behind: 0 }
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.extend([Action::Forward(1), Action::Forward(4)]);
        if state.behind == 0 {
            actions.push(Action::Back);
        }
        let mut tell = |event| actions.push(Action::Tell(event));
        tell(Event::Requested { usable_for: 0 });
        tell(Event::Requested { usable_for: 3 });
        tell(Event::TimePassed { draw: MOST });
        match self.part {
            Part::Whole => {
                tell(Event::Requested { usable_for: 20 });
                tell(Event::TimePassed { draw: Draw::NONE });
                self.answers(state, &mut tell);
                self.resource_server(state, &mut tell);
                Self::logins(state, &mut tell);
            }
            Part::Refusals => {
                tell(Event::TimePassed { draw: Draw::NONE });
                self.answers(state, &mut tell);
                Self::logins(state, &mut tell);
            }
            Part::Rejections => {
                self.few_answers(state, &mut tell);
                self.resource_server(state, &mut tell);
                tell(Event::Cleared);
                tell(Event::Installed { token: Some(lives(state.now, 8)), intent: None });
                tell(Event::Installed { token: None, intent: Some(state.now.minus(1)) });
            }
        }
    }

    fn step(&self, state: &State, action: Action, wanted: Set) -> Step<State> {
        let mut next = *state;
        match action {
            Action::Forward(by) => {
                next.now = state.now.plus(by);
                next.behind = state.behind.saturating_sub(by);
                Step { next, broken: 0, corners: 0 }
            }
            Action::Back => {
                next.now = state.now.minus(BACK);
                next.behind = state.behind + BACK;
                Step { next, broken: 0, corners: 0 }
            }
            Action::Tell(event) => {
                let State { machine, history, now, .. } = state;
                let outcome = rules::tell(&self.world, machine, history, event, *now);
                let before = (machine, history);
                let corners = corners::reached(&self.world, before, event, *now, &outcome, wanted);
                next.machine = outcome.machine;
                next.history = outcome.history;
                Step { next, broken: outcome.broken, corners }
            }
        }
    }

    fn judge(&self, state: &State) -> Set {
        rules::judge(&self.world, &state.machine, state.now)
    }
}

impl Alone {
    /// What the authorization server may answer to any of the last refreshes, at any time, again and
    /// again.
    fn answers(&self, state: &State, tell: &mut impl FnMut(Told)) {
        let State { machine, history, now, .. } = state;
        for back in 0..FLIGHTS {
            let Some(flight) = self.world.flight(machine, back) else { return };
            let mut failed = |failure, draw| {
                tell(Event::RefreshFailed { flight, failure, draw });
            };
            failed(Failure::Declined, MOST);
            if back == 0 {
                failed(Failure::Unavailable { retry_after: Some(6) }, Draw::NONE);
                failed(Failure::Unavailable { retry_after: None }, MOST);
                failed(Failure::Unavailable { retry_after: None }, Draw::NONE);
                failed(Failure::Unknown, MOST);
                failed(Failure::Unknown, Draw::NONE);
                failed(Failure::Misconfigured { retry_after: None }, MOST);
                failed(Failure::Misconfigured { retry_after: Some(6) }, Draw::NONE);
                failed(Failure::Unexplained { retry_after: None }, MOST);
                failed(Failure::Unexplained { retry_after: None }, Draw::NONE);
            }
            // An answer that is not kept is tried in one form alone.
            let kept = back < history.landed.min(history.ended);
            for (token, novelty) in answers(*now).into_iter().take(if kept { 9 } else { 1 }) {
                tell(Event::Refreshed { flight, token, novelty, draw: MOST });
            }
        }
    }

    /// A part of that.
    fn few_answers(&self, state: &State, tell: &mut impl FnMut(Told)) {
        let State { machine, history, now, .. } = state;
        for back in 0..FLIGHTS - 1 {
            let Some(flight) = self.world.flight(machine, back) else { return };
            if back == 0 {
                let unavailable = Failure::Unavailable { retry_after: None };
                for failure in [Failure::Declined, Failure::Unknown, unavailable] {
                    tell(Event::RefreshFailed { flight, failure, draw: MOST });
                }
            }
            let kept = back < history.landed.min(history.ended);
            let until_rejected = TokenTimes { lifetime: None, ..lives(*now, 0) };
            let answers = [lives(*now, 8), until_rejected, lives(now.minus(3), 8)];
            for token in answers.into_iter().take(if kept { 3 } else { 1 }) {
                tell(Event::Refreshed { flight, token, novelty: Novelty::New, draw: MOST });
            }
        }
    }

    fn resource_server(&self, state: &State, tell: &mut impl FnMut(Told)) {
        for back in 0..2 {
            if let Some(generation) = self.world.generation(&state.machine, back) {
                tell(Event::Rejected { generation });
                tell(Event::Accepted { generation });
                tell(Event::Recovered { generation });
            }
        }
        tell(Event::Rejected { generation: self.world.foreign });
    }

    fn logins(state: &State, tell: &mut impl FnMut(Told)) {
        let now = state.now;
        tell(Event::Cleared);
        tell(Event::Installed { token: None, intent: Some(now.minus(1)) });
        tell(Event::Installed { token: Some(lives(now, 8)), intent: None });
        tell(Event::Installed { token: None, intent: None });
        let hinted = TokenTimes { refresh_in: Some(4), ..lives(now.minus(1), 8) };
        tell(Event::Installed { token: Some(hinted), intent: Some(now.plus(1)) });
        tell(Event::Installed { token: Some(lives(now, 0)), intent: None });
    }
}

/// A token that was sent for then.
fn lives(sent: Tick, lifetime: u8) -> TokenTimes<Tick> {
    TokenTimes { sent, lifetime: Some(lifetime), refresh_in: None, jitter: Draw::NONE }
}

/// The forms of an answer.
fn answers(now: Tick) -> [(TokenTimes<Tick>, Novelty); 9] {
    let early = now.minus(3);
    let until_rejected = TokenTimes { lifetime: None, ..lives(now, 0) };
    [
        (lives(now, 8), Novelty::New),
        (lives(now, 0), Novelty::New),
        (lives(now, 8), Novelty::Same),
        (TokenTimes { jitter: MOST, ..lives(early, 8) }, Novelty::New),
        (until_rejected, Novelty::New),
        // It seems to have been asked for after it came: the clock went back.
        (TokenTimes { refresh_in: Some(1), ..lives(now.plus(2), 4) }, Novelty::New),
        (lives(early, 8), Novelty::Same),
        (until_rejected, Novelty::Same),
        (lives(early, 3), Novelty::New),
    ]
}
