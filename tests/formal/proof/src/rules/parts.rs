//! What the rules say of the parts of a state: small questions that several properties ask.

use perennial::lifecycle::formal::{
    Acceptance, Credential, Flight, Held, Holding, Parts, Pause, Refund, Trouble,
};
use perennial::lifecycle::{Deadlines, Freshness, Reuse, Schedule};
use perennial::time::Time;

/// What the server is declared to do with a refresh token seen twice.
pub(super) enum Declared<T: Time> {
    Refuses,
    /// It answers for so long.
    Answers(T::Span),
    /// It answers as often as it is asked.
    Always,
}

pub(super) fn declared<T: Time>(reuse: Reuse<T>) -> Declared<T> {
    match reuse {
        Reuse::Strict => Declared::Refuses,
        Reuse::OverlapAccessOnly(window)
        | Reuse::OverlapSuccessors(window)
        | Reuse::Idempotent(window) => Declared::Answers(window),
        Reuse::ConfirmByUse | Reuse::Unrotated => Declared::Always,
    }
}

/// How far a token's life has come, by the clock alone.
pub(super) fn by_clock<T: Time>(schedule: &Schedule<T>, now: T) -> Freshness {
    match schedule {
        Schedule::UntilRejected => Freshness::Fresh,
        Schedule::Timed(deadlines) => {
            if now >= deadlines.unusable_from {
                Freshness::Lapsed
            } else if now >= deadlines.refresh_after {
                Freshness::Due
            } else {
                Freshness::Fresh
            }
        }
    }
}

/// An eighth of the token's lifetime, counted from when it was sent for.
pub(super) fn eighth<T: Time>(life: &Deadlines<T>) -> T::Span {
    T::halved(life.expires_at.since(life.sent), 3)
}

pub(super) fn is_withdrawn(acceptance: Acceptance) -> bool {
    match acceptance {
        Acceptance::Withdrawn | Acceptance::WithdrawnPaid => true,
        Acceptance::Untried | Acceptance::Accepted => false,
    }
}

pub(super) fn token<T: Time>(parts: &Parts<T>) -> Option<Held<T>> {
    match parts.holding {
        Holding::Token(held) => Some(held),
        Holding::Nothing => None,
    }
}

/// Whether the token may be handed out at `now`.
pub(super) fn usable<T: Time>(parts: &Parts<T>, now: T) -> bool {
    token(parts).is_some_and(|held| {
        !is_withdrawn(held.acceptance)
            && held.freshness != Freshness::Lapsed
            && by_clock(&held.schedule, now) != Freshness::Lapsed
    })
}

pub(super) fn is_out<T: Time>(parts: &Parts<T>) -> bool {
    matches!(parts.flight, Flight::Out { .. })
}

/// Whether only a login can help.
pub(super) fn is_final<T: Time>(credential: Credential<T>) -> bool {
    match credential {
        Credential::Absent | Credential::Declined => true,
        Credential::Ready | Credential::InDoubt | Credential::InDoubtUntil(_) => false,
    }
}

/// Whether the answer to this refresh counts: it was started in this epoch, and nothing as new has
/// landed.
pub(super) fn counts<T: Time>(parts: &Parts<T>, number: u64) -> bool {
    parts.ended < number && parts.landed < number && number <= parts.started
}

/// A stretch of time as a `now` shows it: over, or no longer than it could ever be.
pub(super) fn observed<T: Time>(pause: Pause<T>, now: T) -> Pause<T> {
    match pause {
        Pause::Over => Pause::Over,
        Pause::Until { instant, .. } if now >= instant => Pause::Over,
        Pause::Until { instant, at_most } => {
            Pause::Until { instant: instant.min(now.saturating_add(at_most)), at_most }
        }
    }
}

/// A stretch of time that begins now. At the end of time there is none.
pub(super) fn from_now<T: Time>(length: T::Span, now: T) -> Pause<T> {
    let instant = now.saturating_add(length);
    if now < instant { Pause::Until { instant, at_most: length } } else { Pause::Over }
}

/// What follows where one of the allowance is given back now: nothing more until an interval later.
pub(super) fn given_back<T: Time>(interval: T::Span, now: T) -> Refund<T> {
    match from_now(interval, now) {
        Pause::Over => Refund::Ready,
        pause @ Pause::Until { .. } => Refund::Given(pause),
    }
}

/// Whether nothing is remembered of how the last refresh failed but that it did.
pub(super) fn is_passing<T: Time>(trouble: Trouble<T>) -> bool {
    match trouble {
        Trouble::None | Trouble::Passing => true,
        Trouble::Misconfigured | Trouble::Unexplained { .. } => false,
    }
}
