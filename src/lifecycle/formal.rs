//! The machine taken apart and put together, for provers: compiled only under `--cfg formal`.
//!
//! Not part of the public API. What is private is mirrored here with public fields, so that a
//! prover can build any state, also one that no history leads to, and inspect it.

#![allow(missing_docs, reason = "each type mirrors the private one of its name in `state.rs`")]

use super::state::{self, Flights};
use super::{FlightId, Freshness, Generation, Lifecycle, Policy, Schedule};
use crate::time::Time;

/// A mirror of a private enum of `state.rs`, and the conversions between them.
macro_rules! mirror {
    ($name:ident $(<$time:ident>)? {
        $($variant:ident $(($inner:ident: $held:ty))? $({ $($field:ident: $type:ty),+ })?),+ $(,)?
    }) => {
        #[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
        pub enum $name $(<$time: Time>)? {
            $($variant $(($held))? $({ $($field: $type),+ })?),+
        }

        impl $(<$time: Time>)? From<$name $(<$time>)?> for state::$name $(<$time>)? {
            #[inline]
            fn from(mirrored: $name $(<$time>)?) -> Self {
                match mirrored {
                    $($name::$variant $(($inner))? $({ $($field),+ })? => {
                        Self::$variant $(($inner.into()))? $({ $($field: $field.into()),+ })?
                    })+
                }
            }
        }

        impl $(<$time: Time>)? From<state::$name $(<$time>)?> for $name $(<$time>)? {
            #[inline]
            fn from(private: state::$name $(<$time>)?) -> Self {
                match private {
                    $(state::$name::$variant $(($inner))? $({ $($field),+ })? => {
                        Self::$variant $(($inner.into()))? $({ $($field: $field.into()),+ })?
                    })+
                }
            }
        }
    };
}

mirror!(Holding<T> { Nothing, Token(held: Held<T>) });
mirror!(Acceptance { Untried, Accepted, WithdrawnPaid, Withdrawn });
mirror!(Credential<T> { Absent, Ready, InDoubtUntil(until: T), InDoubt, Declined });
mirror!(Flight<T> {
    Idle,
    Out { sent: T, deadline: T, attempt: Attempt },
    Overdue { attempt: Attempt, open: Pause<T> },
});
mirror!(Attempt { Ordinary, Outrun });
mirror!(Refund<T> { Ready, Given(pause: Pause<T>), Owed(pause: Pause<T>) });
mirror!(Trouble<T> {
    None,
    Passing,
    Misconfigured,
    Unexplained { missing: u32, early: Pause<T> },
});
mirror!(Pause<T> { Over, Until { instant: T, at_most: T::Span } });
mirror!(Budget<T> { Full, FullAt(instant: T) });

#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Held<T: Time> {
    pub schedule: Schedule<T>,
    pub freshness: Freshness,
    pub acceptance: Acceptance,
}

impl<T: Time> From<Held<T>> for state::Held<T> {
    #[inline]
    fn from(held: Held<T>) -> Self {
        let Held { schedule, freshness, acceptance } = held;
        Self { schedule, freshness, acceptance: acceptance.into() }
    }
}

impl<T: Time> From<state::Held<T>> for Held<T> {
    #[inline]
    fn from(held: state::Held<T>) -> Self {
        let state::Held { schedule, freshness, acceptance } = held;
        Self { schedule, freshness, acceptance: acceptance.into() }
    }
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rejections<T: Time> {
    pub spent: u32,
    pub renewed: Pause<T>,
    pub refund: Refund<T>,
}

impl<T: Time> From<Rejections<T>> for state::Rejections<T> {
    #[inline]
    fn from(mirrored: Rejections<T>) -> Self {
        let Rejections { spent, renewed, refund } = mirrored;
        Self { spent, renewed: renewed.into(), refund: refund.into() }
    }
}

impl<T: Time> From<state::Rejections<T>> for Rejections<T> {
    #[inline]
    fn from(private: state::Rejections<T>) -> Self {
        let state::Rejections { spent, renewed, refund } = private;
        Self { spent, renewed: renewed.into(), refund: refund.into() }
    }
}

/// The whole of a [`Lifecycle`].
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Parts<T: Time> {
    pub session: u64,
    pub number: u64,
    pub holding: Holding<T>,
    pub credential: Credential<T>,
    pub flight: Flight<T>,
    pub started: u64,
    pub landed: u64,
    pub ended: u64,
    pub failures: u32,
    pub trouble: Trouble<T>,
    pub superseded: Pause<T>,
    pub pause: Pause<T>,
    pub budget: Budget<T>,
    pub rejections: Rejections<T>,
}

impl<T: Time> From<Parts<T>> for Lifecycle<T> {
    #[inline]
    fn from(parts: Parts<T>) -> Self {
        let Parts { session, number, started, landed, ended, .. } = parts;
        Self {
            generation: Generation { session, number },
            holding: parts.holding.into(),
            credential: parts.credential.into(),
            flight: parts.flight.into(),
            flights: Flights { started, landed, ended },
            failures: parts.failures,
            trouble: parts.trouble.into(),
            superseded: parts.superseded.into(),
            pause: parts.pause.into(),
            budget: parts.budget.into(),
            rejections: parts.rejections.into(),
        }
    }
}

impl<T: Time> From<Lifecycle<T>> for Parts<T> {
    #[inline]
    fn from(machine: Lifecycle<T>) -> Self {
        Self {
            session: machine.generation.session,
            number: machine.generation.number,
            holding: machine.holding.into(),
            credential: machine.credential.into(),
            flight: machine.flight.into(),
            started: machine.flights.started,
            landed: machine.flights.landed,
            ended: machine.flights.ended,
            failures: machine.failures,
            trouble: machine.trouble.into(),
            superseded: machine.superseded.into(),
            pause: machine.pause.into(),
            budget: machine.budget.into(),
            rejections: machine.rejections.into(),
        }
    }
}

/// Returns the machine after it has seen `now`, and nothing else (rule A5).
#[must_use]
pub fn observed<T: Time>(policy: &Policy<T>, mut machine: Lifecycle<T>, now: T) -> Lifecycle<T> {
    machine.observe(policy, now);
    machine
}

/// Returns the refresh with this number.
pub const fn flight_id(number: u64) -> FlightId {
    FlightId(number)
}

/// Returns the token of this session with this number.
pub const fn generation(session: u64, number: u64) -> Generation {
    Generation { session, number }
}
