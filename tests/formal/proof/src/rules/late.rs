//! Which late answers are waited for: rules B3, B6.

use perennial::lifecycle::formal::{Attempt, Credential, Flight, Parts, Pause};
use perennial::lifecycle::{Effect, Event, Failure, RawPolicy};
use perennial::time::Time;

use super::parts::{Declared, declared};
use super::{Verdict, ensure};
use crate::step::Step;

/// Rule B6: "the late answer to a request that is still open is waited for": to the newest, and to those
/// that it superseded.
pub(super) fn waited_for<T: Time>(parts: &Parts<T>) -> Pause<T> {
    let newest = match parts.flight {
        Flight::Overdue { open, .. } => open,
        Flight::Idle | Flight::Out { .. } => Pause::Over,
    };
    match (newest, parts.superseded) {
        (Pause::Over, only) | (only, Pause::Over) => only,
        (Pause::Until { instant: one, .. }, Pause::Until { instant: another, .. }) => {
            if one < another { parts.superseded } else { newest }
        }
    }
}

/// What is waited for beside the newest request presented the refresh token that is in doubt, to a server
/// that answers it again for a while: a part of [`invariant`](super::invariant).
///
/// # Errors
/// Says what does not hold.
pub fn consistent<T: Time>(policy: &RawPolicy<T>, parts: &Parts<T>) -> Verdict {
    let Pause::Until { at_most, .. } = parts.superseded else {
        return Ok(());
    };
    let doubted = matches!(parts.credential, Credential::InDoubt | Credential::InDoubtUntil(_));
    ensure(doubted, "the answer to a request that presented another refresh token is waited for")?;
    let outrun = match parts.flight {
        Flight::Out { attempt, .. } | Flight::Overdue { attempt, .. } => attempt == Attempt::Outrun,
        Flight::Idle => false,
    };
    ensure(!outrun, "an answer came, and an older one is waited for")?;
    let answers = matches!(declared(policy.reuse), Declared::Answers(_));
    ensure(answers, "superseded, and the server answers nothing again")?;
    let within = T::zero() < at_most && at_most <= policy.refresh_deadline;
    ensure(within, "the answer to what was superseded is waited for too long")
}

pub(super) fn superseded<T: Time>(step: &Step<T>) -> Verdict {
    let Step { shown, after, effect, .. } = *step;
    let expected = match (step.event, effect) {
        (Event::Requested { .. }, _) if effect.start().is_some() => match shown.credential {
            Credential::InDoubtUntil(_) => waited_for(&shown),
            _ => Pause::Over,
        },
        (Event::Refreshed { .. }, Effect::Publish { .. } | Effect::KeepRefreshToken)
        | (Event::Installed { .. } | Event::Cleared, _) => Pause::Over,
        (Event::RefreshFailed { failure: Failure::Declined, .. }, _)
            if after.credential == Credential::Declined =>
        {
            Pause::Over
        }
        _ => shown.superseded,
    };
    ensure(
        after.superseded == expected,
        "what a retry superseded is not waited for as it should be",
    )
}
