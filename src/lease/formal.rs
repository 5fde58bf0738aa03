//! The machine taken apart and put together, for provers: compiled only under `--cfg formal`.
//!
//! Not part of the public API. What is private is mirrored here with public fields, so that a
//! prover can build any turn, also one that no history leads to, and inspect it.

#![allow(missing_docs, reason = "each type mirrors the private one of its name in `turn.rs`")]

use super::{Turn, turn};
use crate::time::Time;

/// A mirror of a private enum of `turn.rs`, and the conversions between them.
macro_rules! mirror {
    ($name:ident $(<$time:ident>)? {
        $($variant:ident $(($inner:ident: $held:ty))? $({ $($field:ident: $type:ty),+ })?),+ $(,)?
    }) => {
        #[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
        pub enum $name $(<$time: Time>)? {
            $($variant $(($held))? $({ $($field: $type),+ })?),+
        }

        impl $(<$time: Time>)? From<$name $(<$time>)?> for turn::$name $(<$time>)? {
            #[inline]
            fn from(mirrored: $name $(<$time>)?) -> Self {
                match mirrored {
                    $($name::$variant $(($inner))? $({ $($field),+ })? => {
                        Self::$variant $(($inner.into()))? $({ $($field: $field.into()),+ })?
                    })+
                }
            }
        }

        impl $(<$time: Time>)? From<turn::$name $(<$time>)?> for $name $(<$time>)? {
            #[inline]
            fn from(private: turn::$name $(<$time>)?) -> Self {
                match private {
                    $(turn::$name::$variant $(($inner))? $({ $($field),+ })? => {
                        Self::$variant $(($inner.into()))? $({ $($field: $field.into()),+ })?
                    })+
                }
            }
        }
    };
}

/// The same of a private struct.
macro_rules! mirror_struct {
    ($name:ident { $($field:ident: $type:ty),+ $(,)? }) => {
        #[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $name<T: Time> {
            $(pub $field: $type),+
        }

        impl<T: Time> From<$name<T>> for turn::$name<T> {
            #[inline]
            fn from($name { $($field),+ }: $name<T>) -> Self {
                Self { $($field: $field.into()),+ }
            }
        }

        impl<T: Time> From<turn::$name<T>> for $name<T> {
            #[inline]
            fn from(turn::$name { $($field),+ }: turn::$name<T>) -> Self {
                Self { $($field: $field.into()),+ }
            }
        }
    };
}

mirror!(Limit<T> { Over, At { instant: T, at_most: T::Span } });
mirror!(Theirs<T> { Unknown, Ends(end: Limit<T>) });
mirror!(Renewal<T> { At(limit: Limit<T>), Asked(asked: T), None });
mirror!(Tenure<T> { Unlimited, Until { end: Limit<T>, renewal: Renewal<T> } });
mirror!(Stage { Preparing, Ready, Sent, Abandoned });
mirror!(Note<T> { Unseen, Seen { version: u64, end: Limit<T> } });
mirror!(Phase<T> {
    Idle,
    Asking { queue: Queue<T>, asked: T },
    Waiting { queue: Queue<T>, poll: Limit<T> },
    Holding(lease: Lease<T>),
    Lost { fence: u64 },
    Released,
    Over,
});
mirror_struct!(Queue { give_up: Limit<T>, deadline: Limit<T>, polls: u32, theirs: Theirs<T> });
mirror_struct!(Lease { fence: u64, tenure: Tenure<T>, stage: Stage, deadline: Limit<T> });

/// The whole of a [`Turn`].
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Parts<T: Time> {
    pub phase: Phase<T>,
    pub version: u64,
    pub note: Note<T>,
}

impl<T: Time> From<Parts<T>> for Turn<T> {
    #[inline]
    fn from(Parts { phase, version, note }: Parts<T>) -> Self {
        Self { phase: phase.into(), version, note: note.into() }
    }
}

impl<T: Time> From<Turn<T>> for Parts<T> {
    #[inline]
    fn from(Turn { phase, version, note }: Turn<T>) -> Self {
        Self { phase: phase.into(), version, note: note.into() }
    }
}

/// Returns the turn after it has seen `now`, and nothing else.
#[must_use]
pub fn observed<T: Time>(mut turn: Turn<T>, now: T) -> Turn<T> {
    turn.observe(now);
    turn
}
