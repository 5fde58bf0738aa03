//! Who wants a token, and what each is told.

use perennial::lifecycle::{Effect, Event, apply};

use super::{Adversary, Held, State};
use crate::runner::Set;
use crate::tick::{MOST, Tick};
use crate::world::Answer;

/// What a caller asks for.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wish {
    /// A token, or word of the first failure.
    Now,
    /// A token, however many attempts it takes.
    Patiently,
    /// A token that lives on for a while, or word of the first failure.
    Lasting,
    /// Another token than the one that was rejected, to repeat the request with, or word of the first
    /// failure.
    Another,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Caller {
    Away,
    Waiting(Wish),
    /// Has the token that was published so many before the newest one, and sends a request with it.
    Carrying(u8),
    /// As before, and repeats a request that was rejected.
    Repeating(u8),
}

/// Older tokens than this are not told apart.
pub(crate) const OLD: u8 = 2;

impl Wish {
    /// Those of callers who come.
    pub(crate) const ALL: [Self; 3] = [Self::Now, Self::Patiently, Self::Lasting];

    pub(crate) fn event(self) -> Event<Tick> {
        let usable_for = match self {
            Self::Now | Self::Patiently | Self::Another => 0,
            Self::Lasting => 6,
        };
        Event::Requested { usable_for }
    }
}

impl Caller {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Away => 0,
            Self::Waiting(wish) => 1 + wish as u8,
            Self::Carrying(back) => 8 + back,
            Self::Repeating(back) => 16 + back,
        }
    }

    pub(crate) fn is_waiting(self) -> bool {
        matches!(self, Self::Waiting(_))
    }

    /// What becomes of a caller with that wish, once it is given this answer.
    pub(crate) fn given(wish: Wish, answer: Answer) -> Self {
        match (answer, wish) {
            (Effect::Use | Effect::UseAndStartRefresh(_), Wish::Another) => Self::Repeating(0),
            (
                Effect::Use | Effect::UseAndStartRefresh(_),
                Wish::Now | Wish::Patiently | Wish::Lasting,
            ) => Self::Carrying(0),
            (Effect::StartRefresh(_) | Effect::Wait { .. }, _)
            | (Effect::BackOff { .. }, Wish::Patiently) => Self::Waiting(wish),
            (Effect::BackOff { .. }, Wish::Now | Wish::Lasting | Wish::Another)
            | (Effect::LogIn(_), _) => Self::Away,
            (
                Effect::Nothing
                | Effect::Publish { .. }
                | Effect::KeepRefreshToken
                | Effect::ReleaseOrphan
                | Effect::HoldBack
                | Effect::Discard
                | Effect::Withdraw
                | Effect::KeepUsing
                | Effect::EndAttempt,
                _,
            ) => unreachable!("the rules say how a request is answered"),
        }
    }
}

impl Adversary {
    /// The rules of waiting, for one state.
    pub(super) fn waits(&self, state: &State) -> Set {
        let mut broken = 0;
        let mut last = Caller::Away;
        for caller in state.callers {
            if let Caller::Waiting(wish) = caller
                && caller != last
            {
                broken |= Held::Something.when_not(self.has_something(state, wish))
                    | Held::Told.when_not(self.is_told(state, wish));
            }
            last = caller;
        }
        broken
    }

    fn ask(&self, state: &State, wish: Wish) -> Answer {
        apply(&self.world.policy, state.machine, wish.event(), state.now).1
    }

    /// Whether something will wake a caller with that wish: the refresh that is out, an instant that
    /// the machine announces, or one that has come.
    fn has_something(&self, state: &State, wish: Wish) -> bool {
        let announced = || {
            let timeout = state.machine.poll_timeout(&self.world.policy, state.now);
            timeout.map(|timeout| timeout.at)
        };
        let answer = self.ask(state, wish);
        if let Effect::Wait { until } = answer {
            let due = until <= state.now || announced().is_some_and(|at| at <= until);
            return due && state.machine.refresh_deadline() == Some(until);
        }
        if let Effect::BackOff { until, .. } = answer {
            return announced().is_some_and(|at| at <= until);
        }
        answer.hands_out() || answer.start().is_some()
    }

    /// Whether a caller with that wish is told something, or a refresh is started for it, if nothing
    /// happens but that it looks at the clock when it was told to.
    fn is_told(&self, state: &State, wish: Wish) -> bool {
        let mut alone = *state;
        for _ in 0..5 {
            match (self.ask(&alone, wish), wish) {
                (Effect::Wait { until }, _) => {
                    alone.now = alone.now.max(until);
                    let told = Event::TimePassed { draw: MOST };
                    let effect;
                    (alone.machine, effect) =
                        apply(&self.world.policy, alone.machine, told, alone.now);
                    if effect == Effect::EndAttempt && wish != Wish::Patiently {
                        return true;
                    }
                }
                (Effect::BackOff { until, .. }, Wish::Patiently) => {
                    alone.now = alone.now.max(until);
                }
                (_, Wish::Now | Wish::Patiently | Wish::Lasting | Wish::Another) => return true,
            }
        }
        false
    }
}
