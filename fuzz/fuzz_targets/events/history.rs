//! Drawing a history from a byte string: a policy, and events with a clock that does as it likes.

use perennial::lifecycle::MissingLifetime;
use perennial::time::Span;
use perennial_fuzz::Draws;

use super::model::{Model, Rules, Token, Told, clamp};

/// A policy, in the model's terms.
pub(crate) fn rules(draws: &mut Draws<'_>) -> Rules {
    let raw = draws.policy();
    let millis = |span: Span| i128::from(span.as_millis());
    Rules {
        refresh_window: millis(raw.refresh_window),
        margin: millis(raw.margin),
        missing: match raw.missing_lifetime {
            MissingLifetime::Assume(span) => Some(millis(span)),
            MissingLifetime::UntilRejected => None,
        },
        base: millis(raw.backoff_base),
        cap: millis(raw.backoff_cap),
        misconfigured: (millis(raw.misconfigured_base), millis(raw.misconfigured_cap)),
        retry_after_cap: millis(raw.retry_after_cap),
        interval: millis(raw.budget_interval),
        budget_window: millis(raw.budget_window),
        unexplained: (raw.unexplained_count, millis(raw.unexplained_window)),
        rejections: (
            raw.rejections_count,
            millis(raw.rejections_window),
            millis(raw.rejections_interval),
        ),
        deadline: millis(raw.refresh_deadline),
        reuse: raw.reuse,
    }
}

/// The next `now`: mostly the last one, or one of the instants at which something may change.
pub(crate) fn now(draws: &mut Draws<'_>, model: &Model) -> i128 {
    let now = model.now();
    let choice = draws.byte();
    clamp(match choice {
        0..=79 => now,
        80..=159 => now + i128::from(choice - 80),
        160..=231 => {
            let instants = model.instants();
            let chosen = instants.get(usize::from(choice - 160) / 3 % instants.len().max(1));
            chosen.copied().unwrap_or(now) + i128::from(choice % 3) - 1
        }
        232..=247 => now - i128::from(draws.byte()),
        248..=255 => draws.instant(&[]).into(),
    })
}

/// Something that happens at `now`, in the terms of the history so far.
pub(crate) fn told(draws: &mut Draws<'_>, model: &Model, now: i128) -> Told {
    let choice = draws.byte();
    // Mostly the newest of them, at times an older one, or one that does not exist yet.
    let which = |newest: u64| match choice >> 5 {
        0..=4 => newest.max(1),
        5 => newest.saturating_sub(1).max(1),
        6 => newest.saturating_sub(2).max(1),
        _ => newest + 1,
    };
    let (flight, generation) = (which(model.started()), which(model.published()));
    match choice % 32 {
        0..=10 => Told::Requested(0),
        11 => Told::Requested(draws.span().into()),
        12..=16 => Told::Refreshed(flight, token(draws, now), draws.byte() < 192, draws.share()),
        17 => Told::Declined(flight),
        18 => Told::Unavailable(flight, draws.optional_span().map(i128::from), draws.share()),
        19 => Told::Misconfigured(flight, draws.optional_span().map(i128::from), draws.share()),
        20 => Told::Unexplained(flight, draws.optional_span().map(i128::from), draws.share()),
        21..=22 => Told::Unknown(flight, draws.share()),
        23..=24 => Told::Rejected(generation),
        25 => Told::Recovered(generation),
        26 => Told::Accepted(generation),
        27 => Told::Installed(Some(token(draws, now)), None),
        28 => {
            let token = draws.flag().then(|| token(draws, now));
            Told::Installed(token, draws.optional_span().map(|ago| clamp(now - i128::from(ago))))
        }
        29 => Told::Cleared,
        _ => Told::TimePassed(draws.share()),
    }
}

/// A token whose request was sent a while ago, or, where the clock went back, a while from now.
fn token(draws: &mut Draws<'_>, now: i128) -> Token {
    let sent = match draws.byte() {
        0..=127 => now,
        age @ 128..=239 => now - i128::from(age - 128),
        240..=247 => now + i128::from(draws.byte()),
        248..=255 => draws.instant(&[]).into(),
    };
    Token {
        sent: clamp(sent),
        lifetime: draws.optional_span().map(i128::from),
        hint: draws.optional_span().map(i128::from),
        jitter: draws.share(),
    }
}
