//! The rules of the machines as properties of one step, each stated once, over any time.
//!
//! A property is ordinary code: where it compares two instants the symbolic engine forks. It says
//! what must hold in the words of `src/spec.md`, and calls nothing of the machine that it judges but
//! what a caller could.

mod arithmetic;
mod credential;
mod epoch;
mod flight;
mod late;
mod lease;
mod life;
mod pace;
mod parts;
mod payment;
mod rotation;
mod start;
mod timeout;
mod trouble;

use perennial::time::Time;

use crate::hold::{Glance, Hold};
use crate::step::{Kind, Look, Step};
use crate::turn::Turn;

pub use arithmetic::{Numbers, arithmetic};
pub use epoch::invariant;
pub use late::consistent as superseded_invariant;
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
    ($($name:literal, $rules:literal, $says:literal, $on:expr, $holds:path;)+) => {
        vec![$(Property {
            name: $name,
            rules: $rules,
            says: $says,
            on: $on,
            holds: $holds,
        }),+]
    };
}

const REQUESTED: &[Kind] = &[Kind::Requested];
const REFRESHED: &[Kind] = &[Kind::Refreshed];
const REJECTED: &[Kind] = &[Kind::Rejected];
const BRINGS: &[Kind] = &[Kind::Refreshed, Kind::Installed];
const OUTCOME: &[Kind] = &[Kind::Refreshed, Kind::RefreshFailed];
const FAILS: &[Kind] = &[Kind::RefreshFailed, Kind::TimePassed];
const RESOURCE: &[Kind] = &[Kind::Rejected, Kind::Accepted, Kind::Recovered];

/// Every property of one step.
pub fn of_steps<T: Time>() -> Vec<Property<Step<T>>> {
    let mut all = of_tokens();
    all.extend(of_refreshes());
    all.extend(of_every_step());
    all
}

/// Of the life of a token, and of what resource servers say of it.
#[rustfmt::skip]
fn of_tokens<T: Time>() -> Vec<Property<Step<T>>> {
    properties![
        "observed", "A5", "a now shows facts, pulls in what lies too far ahead, and nothing else; twice is once",
            REJECTED, life::observed_at;
        "schedule", "B1", "sent <= refresh_after <= unusable_from <= expires_at, each where the rule puts it",
            BRINGS, life::schedule;
        "same-again", "B1", "the same token again, not longer-lived, is a failure",
            REFRESHED, life::same_again;
        "handed-out", "B2", "handed out only before unusable_from, and not once withdrawn",
            REQUESTED, life::handed_out;
        "served", "B5", "a token that works is handed out, whatever else is the matter",
            REQUESTED, life::served;
        "takes-nothing", "B5", "a failure or a deadline touches no token",
            FAILS, life::takes_nothing;
        "born-dead", "B10", "what cannot be used when it comes is a failure, not a token",
            BRINGS, life::born_dead;
        "rejected", "B8", "what is stale changes nothing; what is said of the held token touches no flight",
            RESOURCE, payment::rejected;
        "payment", "B8 B9", "withdrawn exactly where another is out, is free, or is paid for; else nothing changes",
            REJECTED, payment::payment;
        "budget", "B9", "paid where nothing made it due, and only then, once; never more than the window holds",
            &Kind::ALL, payment::budget;
        "allowance", "B9", "no more rejections than its count within its window; given back where one helped, once an interval",
            &Kind::ALL, payment::allowance;
    ]
}

/// Of refreshes, and of what is known of the refresh token.
#[rustfmt::skip]
fn of_refreshes<T: Time>() -> Vec<Property<Step<T>>> {
    properties![
        "one-out", "B3", "a refresh starts only while none is out, under the next identity; else it is joined",
            REQUESTED, start::one_out;
        "wanted", "B5 B6 B9", "one starts where it is wanted and nothing stands in its way, and only there",
            REQUESTED, start::wanted;
        "superseded", "B3 B4", "a superseded result changes nothing",
            OUTCOME, flight::superseded;
        "landing", "B4 B14", "an answer counts once, unless a newer one has; its refresh token is kept",
            REFRESHED, flight::landing;
        "hold-back", "B14", "confirm by use: an older answer while a repetition is out is held back, and changes nothing",
            REFRESHED, flight::hold_back;
        "deadline", "B13", "at its deadline, not before, a refresh is unknown; its result still counts",
            &[Kind::TimePassed, Kind::Requested], flight::deadline;
        "declined", "B6", "declined is final: nothing starts, and once the token lapses a login is due; nothing else is",
            &[Kind::RefreshFailed, Kind::Requested], credential::declined;
        "doubt", "B6", "what an unknown outcome leaves, for each kind of server; never the end",
            &[Kind::RefreshFailed, Kind::TimePassed, Kind::Installed], credential::doubt;
        "retry", "B6", "doubted: not before the last chance, nor while an answer is waited for; else within its window",
            REQUESTED, credential::retry;
        "late-answers", "B3 B6", "what a retry superseded is still waited for, until an answer comes or the grant ends",
            &Kind::ALL, late::superseded;
        "window-room", "B6", "in an open window what is drawn is at most an eighth of it",
            FAILS, pace::window_room;
        "misconfigured", "B6", "between base and cap, not while strict and usable, and never the end",
            &[Kind::Requested, Kind::RefreshFailed], trouble::misconfigured;
        "unexplained", "B6", "counted while in a row; any other outcome ends the row",
            &Kind::ALL, trouble::unexplained;
        "lasts", "B6", "a login may be needed exactly once count and window are over; tries go on at the cap",
            &Kind::ALL, trouble::lasts;
        "backoff", "B7", "each failure counts, and holds off for no longer than base x 2^(n-1), the cap, Retry-After",
            &Kind::ALL, pace::backoff;
        "waits", "B7", "during backoff nothing starts, and everybody is told the same instant",
            REQUESTED, pace::waits;
    ]
}

/// Those that speak of every event.
#[rustfmt::skip]
fn of_every_step<T: Time>() -> Vec<Property<Step<T>>> {
    properties![
        "epoch", "B9 B11", "a logout or login ends the epoch, makes all whole; after a logout nothing comes back",
            &Kind::ALL, epoch::epoch;
        "latched", "A5", "what a now has shown of a token stays shown, also when the clock goes back",
            &Kind::ALL, life::latched;
        "pulled-in", "A5", "no instant to wait for lies further ahead than its own longest delay",
            &Kind::ALL, life::pulled_in;
        "view", "B2", "the public view names a token usable exactly where it may be handed out",
            &Kind::ALL, life::view;
        "generations", "B4", "a generation only grows, by one, and only with a token",
            &Kind::ALL, epoch::generations;
        "invariant", "B1 B3 B11", "what is assumed of reachable states: new has it, every step keeps it",
            &Kind::ALL, epoch::invariant_kept;
    ]
}

/// Every property of one step of the server's machine; each judges for itself which events it speaks of.
#[rustfmt::skip]
pub fn of_turns<T: Time>() -> Vec<Property<Turn<T>>> {
    properties![
        "rotates-once", "A1 D1", "the newest alone has a successor, and one; numbers grow by one, and by nothing else",
            &[], rotation::rotates_once;
        "answered", "D2", "served: the newest, and its predecessor while tolerated, each as the policy says",
            &[], rotation::answered;
        "overlap", "D2 A5", "an overlap is its window from the first use on; nothing reopens or defers it",
            &[], rotation::overlap_bound;
        "overlap-uses", "D2", "each use of an overlap counts, and past so many there is none",
            &[], rotation::overlap_uses;
        "siblings", "D1 D2", "under its policy alone, another token of the newest number each time, and none twice",
            &[], rotation::siblings;
        "reuse", "D3", "what was issued, is spent and is not tolerated revokes; nothing else that is presented does",
            &[], rotation::reuse;
        "revoked", "D3", "a revoked family stays so, and tells nothing else, whatever comes and whenever",
            &[], rotation::family_revoked;
        "lifetimes", "D4 A1", "refused as expired from the instant that either lifetime is over, and not before",
            &[], rotation::lifetimes;
        "family-state", "D2 D4", "the public view and `ends_at` say what is answered",
            &[], rotation::family_state;
        "overlap-shown", "A5", "an overlap that a now has shown to be over stays so, also when the clock goes back",
            &[], rotation::overlap_shown;
        "refusal", "D3 A5", "a refusal changes nothing but what its now has shown",
            &[], rotation::refusal;
        "told", "D2 D3", "a confirmation of the newest closes what waits for it, a revocation revokes; no more",
            &[], rotation::told;
    ]
}

/// Every property of one step of the lease machine; each judges for itself which events it speaks of.
#[rustfmt::skip]
pub fn of_holds<T: Time>() -> Vec<Property<Hold<T>>> {
    properties![
        "lease-send", "F3", "sent exactly where the lease is held with the margin left, at a version no older than known",
            &[], lease::send;
        "lease-once", "F3", "once sent, lost or given up, a turn sends nothing more",
            &[], lease::once;
        "lease-lost", "F3 A5", "under a lost lease nothing is sent, renewed or stored; it is not held again, whenever",
            &[], lease::lost;
        "lease-fence", "F3", "versions only grow, and only to what was told; an older content is not trusted",
            &[], lease::fence;
        "lease-kept", "F3", "a response is stored while the lease is held, else kept unless outpaced; never thrown away",
            &[], lease::kept;
        "lease-note", "F3 A5", "a note is taken over once it is over or is one's own; found again, it is over no later",
            &[], lease::note;
        "lease-renewed", "F3", "renewed when due, one at a time; a renewal that fails takes nothing from the term",
            &[], lease::renewal;
        "lease-begun", "F3", "adopt what is newer, take over a note's doubt; a term is counted from when it was asked for",
            &[], lease::begun;
        "lease-wait", "F4", "waits and polls within its limits, which never move, and gives up at them, not before",
            &[], lease::wait;
        "lease-down", "F4", "a store that is down ends what needs it, and takes nothing else",
            &[], lease::store_down;
        "lease-released", "F3 F4", "what is finished, overdue or nobody's any more is released; nothing else is",
            &[], lease::released;
        "lease-pulled", "A5", "no instant to wait for is over, or lies further ahead than its own longest delay",
            &[], lease::pulled_in;
        "lease-latched", "A5", "a now shows what is over, for good, pulls in what lies too far ahead, and nothing else",
            &[], lease::latched;
        "lease-state", "F3", "the public view says what is held",
            &[], lease::seen_as;
    ]
}

/// The property of a turn's `poll_timeout`.
pub fn of_glances<T: Time>() -> Property<Glance<T>> {
    Property {
        name: "lease-timeout",
        rules: "F3 F4",
        says: "nothing or later than now, and exact: nothing visible changes before it, something at it",
        on: &[],
        holds: lease::exact,
    }
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
