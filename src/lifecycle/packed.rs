//! The state of a machine at rest in 56 bytes, for programs with very many sessions.

use super::Lifecycle;
use super::schedule::{Deadlines, Freshness, Schedule};
use super::state::{
    Acceptance, Budget, Credential, Flight, Flights, Generation, Held, Holding, Pause, Refund,
    Rejections, Trouble,
};
use crate::time::{Span, Timestamp};

/// A [`Lifecycle`] at rest: no refresh is in flight, none has failed, and nothing is in doubt or
/// paid for.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Packed {
    session: u64,
    sent: Timestamp,
    refresh_after: Timestamp,
    /// Milliseconds from `refresh_after` on.
    unusable_after: u32,
    /// Milliseconds from `refresh_after` on.
    expires_after: u32,
    number: u32,
    started: u32,
    landed: u32,
    ended: u32,
    life: Life,
    freshness: Freshness,
    acceptance: Acceptance,
    credential: Known,
}

impl Packed {
    /// A machine with no grant and no session.
    pub const EMPTY: Self = Self {
        session: 0,
        sent: Timestamp::UNIX_EPOCH,
        refresh_after: Timestamp::UNIX_EPOCH,
        unusable_after: 0,
        expires_after: 0,
        number: 0,
        started: 0,
        landed: 0,
        ended: 0,
        life: Life::NoToken,
        freshness: Freshness::Fresh,
        acceptance: Acceptance::Untried,
        credential: Known::Absent,
    };
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
enum Life {
    NoToken,
    UntilRejected,
    Timed,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
enum Known {
    Absent,
    Ready,
    Declined,
}

impl Lifecycle {
    /// Returns the state in 56 bytes; `None` if it is not at rest or does not fit: a token that
    /// lives for more than 49 days after it is due, or four billion refreshes.
    pub fn pack(&self) -> Option<Packed> {
        let at_rest = matches!(
            (self.flight, self.failures, self.trouble, self.pause, self.budget, self.rejections),
            (
                Flight::Idle,
                0,
                Trouble::None,
                Pause::Over,
                Budget::Full,
                Rejections { spent: 0, renewed: Pause::Over, refund: Refund::Ready }
            )
        );
        let credential = match self.credential {
            Credential::Absent => Known::Absent,
            Credential::Ready => Known::Ready,
            Credential::Declined => Known::Declined,
            Credential::InDoubtUntil(_) | Credential::InDoubt => return None,
        };
        let (life, deadlines, freshness, acceptance) = match self.holding {
            Holding::Nothing => {
                (Life::NoToken, NO_DEADLINES, Freshness::Fresh, Acceptance::Untried)
            }
            Holding::Token(Held { schedule, freshness, acceptance }) => match schedule {
                Schedule::UntilRejected => {
                    (Life::UntilRejected, NO_DEADLINES, freshness, acceptance)
                }
                Schedule::Timed(deadlines) => (Life::Timed, deadlines, freshness, acceptance),
            },
        };
        let after = |instant: Timestamp| {
            u32::try_from(instant.since(deadlines.refresh_after).as_millis()).ok()
        };
        let packed = Packed {
            session: self.generation.session,
            sent: deadlines.sent,
            refresh_after: deadlines.refresh_after,
            unusable_after: after(deadlines.unusable_from)?,
            expires_after: after(deadlines.expires_at)?,
            number: u32::try_from(self.generation.number).ok()?,
            started: u32::try_from(self.flights.started).ok()?,
            landed: u32::try_from(self.flights.landed).ok()?,
            ended: u32::try_from(self.flights.ended).ok()?,
            life,
            freshness,
            acceptance,
            credential,
        };
        at_rest.then_some(packed)
    }

    /// Returns the state that was packed.
    pub fn unpack(packed: Packed) -> Self {
        let after =
            |millis: u32| packed.refresh_after.saturating_add(Span::from_millis(millis.into()));
        let held = |schedule| {
            let Packed { freshness, acceptance, .. } = packed;
            Holding::Token(Held { schedule, freshness, acceptance })
        };
        Self {
            generation: Generation { session: packed.session, number: packed.number.into() },
            holding: match packed.life {
                Life::NoToken => Holding::Nothing,
                Life::UntilRejected => held(Schedule::UntilRejected),
                Life::Timed => held(Schedule::Timed(Deadlines {
                    sent: packed.sent,
                    refresh_after: packed.refresh_after,
                    unusable_from: after(packed.unusable_after),
                    expires_at: after(packed.expires_after),
                })),
            },
            credential: match packed.credential {
                Known::Absent => Credential::Absent,
                Known::Ready => Credential::Ready,
                Known::Declined => Credential::Declined,
            },
            flight: Flight::Idle,
            flights: Flights {
                started: packed.started.into(),
                landed: packed.landed.into(),
                ended: packed.ended.into(),
            },
            failures: 0,
            trouble: Trouble::None,
            superseded: Pause::Over,
            pause: Pause::Over,
            budget: Budget::Full,
            rejections: Rejections::WHOLE,
        }
    }
}

const NO_DEADLINES: Deadlines<Timestamp> = Deadlines {
    sent: Timestamp::UNIX_EPOCH,
    refresh_after: Timestamp::UNIX_EPOCH,
    unusable_from: Timestamp::UNIX_EPOCH,
    expires_at: Timestamp::UNIX_EPOCH,
};
