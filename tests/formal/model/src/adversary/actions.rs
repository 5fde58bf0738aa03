//! What may happen next.

use perennial::lifecycle::{Event, Failure, FlightId, Novelty, TokenTimes};
use perennial::time::Draw;

use super::callers::{Caller, Wish};
use super::{Adversary, State};
use crate::history::Refresh;
use crate::tick::{FLIGHTS, MOST, Tick};
use crate::world::{REFRESH_DEADLINE, Told};

/// How long a good token lives.
const LIFETIME: u8 = 8;
/// When the server wants a good token to be refreshed.
const HINT: u8 = 4;
/// How far time jumps: past any deadline and backoff, and to where a good token is due.
const JUMP: u8 = 6;

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Somebody comes.
    Comes(Wish),
    /// The caller at this place goes away.
    Leaves(usize),
    /// The caller at this place looks again, woken or not.
    Looks(usize),
    /// The resource server takes the token of the caller at this place.
    Takes(usize),
    /// The resource server answers 401 to the caller at this place, which repeats its request with another
    /// token, if there is one.
    Rejects(usize),
    /// The authorization server's answer, a login, a logout, or somebody who looks at the clock.
    Told(Told),
    Time(u8),
}

impl Adversary {
    pub(super) fn offer(&self, state: &State, actions: &mut Vec<Action>) {
        actions.extend([Action::Time(1), Action::Time(JUMP)]);
        actions.push(Action::Told(Event::TimePassed { draw: MOST }));
        let mut last = None;
        for (place, caller) in state.callers.into_iter().enumerate().take(self.callers) {
            // Those who are alike do alike.
            if last == Some(caller) {
                continue;
            }
            last = Some(caller);
            match caller {
                Caller::Away => actions.extend(Wish::ALL.map(Action::Comes)),
                Caller::Waiting(_) => {
                    actions.extend([Action::Leaves(place), Action::Looks(place)]);
                }
                Caller::Carrying(_) | Caller::Repeating(_) => actions.extend([
                    Action::Leaves(place),
                    Action::Takes(place),
                    Action::Rejects(place),
                ]),
            }
        }
        self.logins(state.now, actions);
        for back in 0..FLIGHTS {
            if let Some(flight) = self.world.flight(&state.machine, back) {
                Self::answers(state, flight, back, actions);
            }
        }
    }

    fn logins(&self, now: Tick, actions: &mut Vec<Action>) {
        let token = Some(lives(now, LIFETIME));
        let events = [
            Event::Cleared,
            Event::Installed { token, intent: None },
            Event::Installed { token: None, intent: None },
            Event::Installed { token: Some(lives(now.minus(1), LIFETIME)), intent: Some(now) },
        ];
        // Without a server that may refuse it makes no difference whether it was seen before.
        let count = if self.world.reuse_window().is_some() { 4 } else { 3 };
        actions.extend(events.into_iter().take(count).map(Action::Told));
        if self.world.reuse == perennial::lifecycle::Reuse::Strict {
            actions.extend(events.into_iter().skip(3).map(Action::Told));
        }
    }

    /// What the authorization server may answer to one refresh.
    fn answers(state: &State, flight: FlightId, back: u8, actions: &mut Vec<Action>) {
        let State { history, now, .. } = state;
        let mut failed = |failure, draw| {
            actions.push(Action::Told(Event::RefreshFailed { flight, failure, draw }));
        };
        failed(Failure::Declined, MOST);
        let sent = match history.refresh {
            Refresh::Out { sent, .. } if back == 0 => sent,
            Refresh::Out { .. } | Refresh::Overdue(_) | Refresh::Settled => {
                now.minus(REFRESH_DEADLINE)
            }
        };
        if back == 0 && history.refresh != Refresh::Settled {
            failed(Failure::Unavailable { retry_after: None }, MOST);
            failed(Failure::Unavailable { retry_after: Some(4) }, Draw::NONE);
            failed(Failure::Unknown, MOST);
            failed(Failure::Misconfigured { retry_after: None }, MOST);
            failed(Failure::Unexplained { retry_after: None }, MOST);
        }
        let mut came = |token, novelty| {
            let draw = MOST;
            actions.push(Action::Told(Event::Refreshed { flight, token, novelty, draw }));
        };
        came(lives(sent, LIFETIME), Novelty::New);
        let kept = back < history.landed.min(history.ended);
        if kept {
            came(lives(sent, 0), Novelty::New);
        }
        // The very token that is held, with what is left of its life.
        let life = history.token.and_then(|token| token.life).filter(|life| life.end > *now);
        if let Some(life) = life.filter(|_| kept && back == 0) {
            let left = u8::try_from(life.end.0 - now.0).expect("a life is short");
            came(lives(*now, left), Novelty::Same);
        }
    }
}

pub(super) fn lives(sent: Tick, lifetime: u8) -> TokenTimes<Tick> {
    TokenTimes { sent, lifetime: Some(lifetime), refresh_in: Some(HINT), jitter: Draw::NONE }
}
