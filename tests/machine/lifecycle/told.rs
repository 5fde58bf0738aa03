//! What is told and answered, in the machine's terms and in the model's.

use std::sync::LazyLock;

use perennial::lifecycle::{
    Effect, Event, Failure, FlightId, Generation, Lifecycle, MissingLifetime, Novelty, Policy,
    RawPolicy, Requested, Schedule, TokenTimes,
};
use perennial::time::{Draw, Span, Timestamp};

use super::model::{Life, Reply, Rules, Token, Told};

/// More identities than any sequence can use.
const IDENTITIES: usize = 512;

/// Identities as the machine gives them out, from a machine of their own.
static FLIGHTS: LazyLock<Vec<FlightId>> = LazyLock::new(|| {
    let policy = Policy::default();
    let mut machine = Lifecycle::new(1);
    let now = Timestamp::UNIX_EPOCH;
    let start = |_| {
        let _ = machine.handle_installed(&policy, None, None, now);
        let requested = machine.handle_requested(&policy, now);
        let Requested::StartRefresh(start) = requested else {
            return None;
        };
        Some(start.flight)
    };
    (0..IDENTITIES).filter_map(start).collect()
});

static GENERATIONS: LazyLock<Vec<Generation>> = LazyLock::new(|| {
    let policy = Policy::default();
    let mut machine = Lifecycle::new(1);
    let now = Timestamp::UNIX_EPOCH;
    let publish = |_| {
        let _ = machine.handle_installed(&policy, Some(endless()), None, now);
        machine.generation()
    };
    (0..IDENTITIES).filter_map(publish).collect()
});

pub(crate) fn at(millis: i128) -> Timestamp {
    Timestamp::from_millis(i64::try_from(millis).expect("an instant fits"))
}

fn named<I: Copy>(identities: &[I], number: u64) -> I {
    identities[usize::try_from(number).expect("it is small") - 1]
}

pub(crate) fn times(token: Token) -> TokenTimes<Timestamp> {
    TokenTimes {
        sent: at(token.sent),
        lifetime: token.lifetime.map(span),
        refresh_in: token.hint.map(span),
        jitter: Draw::new(token.jitter),
    }
}

/// What was told to the model, in the machine's terms.
pub(crate) fn event(told: Told) -> Event<Timestamp> {
    let failed = |flight, failure, draw| Event::RefreshFailed {
        flight: named(&FLIGHTS, flight),
        failure,
        draw: Draw::new(draw),
    };
    match told {
        Told::Requested(usable_for) => Event::Requested { usable_for: span(usable_for) },
        Told::Refreshed(flight, token, new, draw) => Event::Refreshed {
            flight: named(&FLIGHTS, flight),
            token: times(token),
            novelty: if new { Novelty::New } else { Novelty::Same },
            draw: Draw::new(draw),
        },
        Told::Declined(flight) => failed(flight, Failure::Declined, 0),
        Told::Unavailable(flight, asked, draw) => {
            let retry_after = asked.map(span);
            failed(flight, Failure::Unavailable { retry_after }, draw)
        }
        Told::Misconfigured(flight, asked, draw) => {
            let retry_after = asked.map(span);
            failed(flight, Failure::Misconfigured { retry_after }, draw)
        }
        Told::Unexplained(flight, asked, draw) => {
            let retry_after = asked.map(span);
            failed(flight, Failure::Unexplained { retry_after }, draw)
        }
        Told::Unknown(flight, draw) => failed(flight, Failure::Unknown, draw),
        Told::Rejected(number) => Event::Rejected { generation: named(&GENERATIONS, number) },
        Told::Accepted(number) => Event::Accepted { generation: named(&GENERATIONS, number) },
        Told::Recovered(number) => Event::Recovered { generation: named(&GENERATIONS, number) },
        Told::Installed(token, intent) => {
            Event::Installed { token: token.map(times), intent: intent.map(at) }
        }
        Told::Cleared => Event::Cleared,
        Told::TimePassed(draw) => Event::TimePassed { draw: Draw::new(draw) },
    }
}

/// The machine's effect, in the model's terms.
pub(crate) fn reply(effect: Effect<Timestamp>) -> Reply {
    let millis = |instant: Timestamp| i128::from(instant.as_millis());
    match effect {
        Effect::Nothing => Reply::Nothing,
        Effect::Use => Reply::Use,
        Effect::UseAndStartRefresh(start) | Effect::StartRefresh(start) => Reply::Start {
            flight: start.flight.number(),
            deadline: millis(start.deadline),
            cause: start.cause,
        },
        Effect::Wait { until } => Reply::Wait(millis(until)),
        Effect::BackOff { until, reason } => Reply::BackOff(millis(until), reason),
        Effect::LogIn(ending) => Reply::LogIn(ending),
        Effect::Publish { generation } => Reply::Publish(generation.number()),
        Effect::KeepRefreshToken => Reply::Keep,
        Effect::ReleaseOrphan => Reply::Orphan,
        Effect::HoldBack => Reply::HoldBack,
        Effect::Discard => Reply::Discard,
        Effect::Withdraw => Reply::Withdraw,
        Effect::KeepUsing => Reply::KeepUsing,
        Effect::EndAttempt => Reply::EndAttempt,
    }
}

/// The life of the token that is held, in the model's terms.
pub(crate) fn life(machine: &Lifecycle) -> Option<Life> {
    machine.schedule().map(|schedule| match schedule {
        Schedule::UntilRejected => None,
        Schedule::Timed(life) => {
            let deadlines = [life.sent, life.refresh_after, life.unusable_from, life.expires_at];
            Some(deadlines.map(|instant| instant.as_millis().into()))
        }
    })
}

/// A token of the longest life.
pub(crate) fn endless() -> TokenTimes<Timestamp> {
    TokenTimes {
        sent: Timestamp::MIN,
        lifetime: Some(Span::MAX),
        refresh_in: None,
        jitter: Draw::NONE,
    }
}

pub(crate) fn span(millis: i128) -> Span {
    Span::from_millis(u64::try_from(millis).expect("a span fits"))
}

/// The policy that these rules describe.
pub(crate) fn policy(rules: &Rules) -> Policy {
    Policy::from(RawPolicy {
        refresh_window: span(rules.refresh_window),
        margin: span(rules.margin),
        missing_lifetime: rules.missing.map_or(MissingLifetime::UntilRejected, |missing| {
            MissingLifetime::Assume(span(missing))
        }),
        backoff_base: span(rules.base),
        backoff_cap: span(rules.cap),
        misconfigured_base: span(rules.misconfigured.0),
        misconfigured_cap: span(rules.misconfigured.1),
        retry_after_cap: span(rules.retry_after_cap),
        unexplained_count: rules.unexplained.0,
        unexplained_window: span(rules.unexplained.1),
        budget_interval: span(rules.interval),
        budget_window: span(rules.budget_window),
        rejections_count: rules.rejections.0,
        rejections_window: span(rules.rejections.1),
        rejections_interval: span(rules.rejections.2),
        refresh_deadline: span(rules.deadline),
        reuse: rules.reuse,
    })
}
