//! The rules of both machines as properties of one step, each stated once, over any time.
//!
//! A property is ordinary code: where it compares two instants the symbolic engine forks. It says
//! what must hold in the words of `src/spec.md`, and calls nothing of the machine that it judges but
//! what a caller could.

mod arithmetic;
mod credential;
mod epoch;
mod flight;
mod life;
mod pace;
mod rotation;
mod timeout;

use perennial::lifecycle::formal::{Credential, Flight, Held, Holding, Parts, Standing};
use perennial::lifecycle::{Freshness, Schedule};
use perennial::time::Time;

use crate::step::{Kind, Look, Step};
use crate::turn::Turn;

pub use arithmetic::{Numbers, arithmetic};
pub use epoch::invariant;
pub use timeout::settled;

/// What a property finds: nothing, or what is broken.
pub type Verdict = Result<(), &'static str>;

/// A rule, or a part of one, as a property of one step.
#[derive(Copy, Clone, Debug)]
pub struct Property<S> {
    pub name: &'static str,
    /// The rules of `src/spec.md`.
    pub rules: &'static str,
    pub says: &'static str,
    /// The events of the client that it speaks of.
    pub on: &'static [Kind],
    pub holds: fn(&S) -> Verdict,
}

/// `Ok` where it holds.
pub(crate) fn ensure(holds: bool, broken: &'static str) -> Verdict {
    if holds { Ok(()) } else { Err(broken) }
}

macro_rules! properties {
    ($($name:literal, $rules:literal, $says:literal, [$($kind:ident),*], $holds:path;)+) => {
        vec![$(Property {
            name: $name,
            rules: $rules,
            says: $says,
            on: &[$(Kind::$kind),*],
            holds: $holds,
        }),+]
    };
}

/// Every property of one step.
#[rustfmt::skip]
pub fn of_steps<T: Time>() -> Vec<Property<Step<T>>> {
    let mut all = properties![
        "observed", "A5", "a now shows facts, pulls in what lies too far ahead, and nothing else; twice is once",
            [Rejected], life::observed_at;
        "schedule", "B1", "sent <= refresh_after <= unusable_from <= expires_at, each where the rule puts it",
            [Refreshed, Installed], life::schedule;
        "same-again", "B1", "the same token again, not longer-lived, is a failure",
            [Refreshed], life::same_again;
        "handed-out", "B2", "handed out only before unusable_from, and not once rejected",
            [Requested], life::handed_out;
        "served", "B5", "a token that works is handed out, whatever else is the matter",
            [Requested], life::served;
        "takes-nothing", "B5", "a failure or a deadline touches no token",
            [RefreshFailed, TimePassed], life::takes_nothing;
        "born-dead", "B10", "what cannot be used when it comes is a failure, not a token",
            [Refreshed, Installed], life::born_dead;
        "one-out", "B3", "a refresh starts only while none is out, under the next identity; else it is joined",
            [Requested], flight::one_out;
        "superseded", "B3 B4", "a superseded result changes nothing",
            [Refreshed, RefreshFailed], flight::superseded;
        "landing", "B4 B14", "an answer counts once, unless a newer one has; its refresh token is kept",
            [Refreshed], flight::landing;
        "deadline", "B13", "at its deadline, not before, a refresh is unknown; its result still counts",
            [TimePassed, Requested], flight::deadline;
        "declined", "B6", "declined is final: nothing starts, and once the token lapses a login is due",
            [RefreshFailed, Requested], credential::declined;
        "doubt", "B6", "what an unknown outcome leaves, for each kind of server",
            [RefreshFailed, TimePassed, Installed], credential::doubt;
        "retry", "B6", "after doubt: nothing while the token works, then one try; a retry ends in its window",
            [Requested], credential::retry;
        "backoff", "B7", "each failure counts, and holds off for no longer than base x 2^(n-1), the cap, Retry-After",
            [Requested, Refreshed, RefreshFailed, TimePassed, Rejected, Accepted], pace::backoff;
        "waits", "B7", "during backoff nothing starts, and everybody is told the same instant",
            [Requested], pace::waits;
        "rejected", "B8", "a stale rejection changes nothing, a current one withdraws at once; no flight is touched",
            [Rejected, Accepted], pace::rejected;
        "budget", "B9", "paid where nothing made it due, and only then; never more than the window holds",
            [Requested, Refreshed, RefreshFailed, Rejected, Accepted, TimePassed], pace::budget;
        "epoch", "B9 B11", "a logout or login ends the epoch, fills the budget; after a logout nothing comes back",
            [Requested, Refreshed, RefreshFailed, Rejected, Accepted, Installed, Cleared, TimePassed], epoch::epoch;
    ];
    all.extend(of_every_step());
    all
}

/// Those that speak of every event.
#[rustfmt::skip]
fn of_every_step<T: Time>() -> Vec<Property<Step<T>>> {
    properties![
        "latched", "A5", "what a now has shown of a token stays shown, also when the clock goes back",
            [Requested, Refreshed, RefreshFailed, Rejected, Accepted, Installed, Cleared, TimePassed], life::latched;
        "pulled-in", "A5", "no instant to wait for lies further ahead than its own longest delay",
            [Requested, Refreshed, RefreshFailed, Rejected, Accepted, Installed, Cleared, TimePassed], life::pulled_in;
        "view", "B2", "the public view names a token usable exactly where it may be handed out",
            [Requested, Refreshed, RefreshFailed, Rejected, Accepted, Installed, Cleared, TimePassed], life::view;
        "generations", "B4", "a generation only grows, by one, and only with a token",
            [Requested, Refreshed, RefreshFailed, Rejected, Accepted, Installed, Cleared, TimePassed], epoch::generations;
        "invariant", "B1 B3 B11", "what is assumed of reachable states: new has it, every step keeps it",
            [Requested, Refreshed, RefreshFailed, Rejected, Accepted, Installed, Cleared, TimePassed], epoch::invariant_kept;
    ]
}

/// Every property of one step of the server's machine; each judges for itself which events it speaks of.
#[rustfmt::skip]
pub fn of_turns<T: Time>() -> Vec<Property<Turn<T>>> {
    properties![
        "rotates-once", "A1 D1", "the newest alone has a successor, and one; numbers grow by one, and by nothing else",
            [], rotation::rotates_once;
        "answered", "D2", "served: the newest, and its predecessor while tolerated, each as the policy says",
            [], rotation::answered;
        "overlap", "D2 A5", "an overlap is its window from the first use on; nothing reopens or defers it",
            [], rotation::overlap_bound;
        "overlap-uses", "D2", "each use of an overlap counts, and past so many there is none",
            [], rotation::overlap_uses;
        "reuse", "D3", "what was issued, is spent and is not tolerated revokes; nothing else that is presented does",
            [], rotation::reuse;
        "revoked", "D3", "a revoked family stays so, and tells nothing else, whatever comes and whenever",
            [], rotation::family_revoked;
        "lifetimes", "D4 A1", "refused as expired from the instant that either lifetime is over, and not before",
            [], rotation::lifetimes;
        "family-state", "D2 D4", "the public view and `ends_at` say what is answered",
            [], rotation::family_state;
        "overlap-shown", "A5", "an overlap that a now has shown to be over stays so, also when the clock goes back",
            [], rotation::overlap_shown;
        "refusal", "D3 A5", "a refusal changes nothing but what its now has shown",
            [], rotation::refusal;
        "told", "D2 D3", "a confirmation of the newest closes what waits for it, a revocation revokes; no more",
            [], rotation::told;
    ]
}

/// The property of `poll_timeout`.
pub fn of_looks<T: Time>() -> Property<Look<T>> {
    Property {
        name: "timeout",
        rules: "B12",
        says: "nothing or later than now, and exact: nothing visible changes before it, something at it",
        on: &[],
        holds: timeout::exact,
    }
}

/// How far a token's life has come, by the clock alone.
pub(crate) fn by_clock<T: Time>(schedule: &Schedule<T>, now: T) -> Freshness {
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

pub(crate) fn is_rejected(standing: Standing) -> bool {
    match standing {
        Standing::RejectedUntried | Standing::RejectedAccepted => true,
        Standing::Untried | Standing::Accepted => false,
    }
}

pub(crate) fn token<T: Time>(parts: &Parts<T>) -> Option<Held<T>> {
    match parts.holding {
        Holding::Token(held) => Some(held),
        Holding::Nothing => None,
    }
}

/// Whether the token may be handed out at `now`.
pub(crate) fn usable<T: Time>(parts: &Parts<T>, now: T) -> bool {
    token(parts).is_some_and(|held| {
        !is_rejected(held.standing)
            && held.freshness != Freshness::Lapsed
            && by_clock(&held.schedule, now) != Freshness::Lapsed
    })
}

pub(crate) fn is_out<T: Time>(parts: &Parts<T>) -> bool {
    matches!(parts.flight, Flight::Out { .. })
}

/// Whether only a login can help.
pub(crate) fn is_final<T: Time>(credential: Credential<T>) -> bool {
    match credential {
        Credential::Absent | Credential::Declined | Credential::Unsettled => true,
        Credential::Ready | Credential::Doubted | Credential::DoubtedUntil(_) => false,
    }
}
