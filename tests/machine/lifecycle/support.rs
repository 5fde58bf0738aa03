//! A machine with its policy, and short words for telling it things.
#![allow(dead_code, reason = "each test crate uses its own part of it")]

use std::time::Duration;

use perennial::lifecycle::{
    Delay, Effect, Event, Failure, FlightId, Generation, Lifecycle, Novelty, Policy, PolicyBuilder,
    Start, State, TokenTimes,
};
use perennial::time::{Draw, Span, Timestamp};

pub(crate) const UNAVAILABLE: Failure<Timestamp> = Failure::Unavailable { retry_after: None };
/// Nearly all of whatever is drawn from.
pub(crate) const MOST: Draw = Draw::new(u32::MAX);
/// One half.
pub(crate) const HALF: Draw = Draw::new(1 << 31);

/// `millis` after some ordinary day.
pub(crate) const fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + millis)
}

/// `seconds` after that day.
pub(crate) const fn sec(seconds: i64) -> Timestamp {
    at(seconds * 1000)
}

pub(crate) const fn unavailable_for(span: Span) -> Failure<Timestamp> {
    Failure::Unavailable { retry_after: Some(span) }
}

/// A token sent for at `sent` that lives so many milliseconds; no hint, no jitter.
pub(crate) const fn lives(sent: Timestamp, millis: u64) -> TokenTimes<Timestamp> {
    TokenTimes {
        sent,
        lifetime: Some(Span::from_millis(millis)),
        refresh_in: None,
        jitter: Draw::NONE,
    }
}

/// A token that lives an hour: due at 3,300 s, lapsed at 3,590 s.
pub(crate) const fn hour(sent: Timestamp) -> TokenTimes<Timestamp> {
    lives(sent, 3_600_000)
}

/// A refresh is held off until then, since the refresh token may have been spent.
pub(crate) const fn doubt(until: Timestamp) -> Effect<Timestamp> {
    Effect::BackOff { until, reason: Delay::Doubt }
}

pub(crate) struct Rig {
    pub(crate) policy: Policy,
    pub(crate) machine: Lifecycle,
}

impl Rig {
    /// Nobody has logged in yet.
    pub(crate) fn empty(policy: Policy) -> Self {
        let machine = Lifecycle::new(1);
        Self { policy, machine }
    }

    /// A login with a token of one hour at `now`.
    pub(crate) fn with_hour(policy: Policy, now: Timestamp) -> Self {
        let mut rig = Self::empty(policy);
        let _ = rig.install(Some(hour(now)), None, now);
        rig
    }

    /// A login at `now` with a refresh token alone.
    pub(crate) fn without_token(policy: Policy, now: Timestamp) -> Self {
        let mut rig = Self::empty(policy);
        let _ = rig.install(None, None, now);
        rig
    }

    pub(crate) fn tell(&mut self, event: Event<Timestamp>, now: Timestamp) -> Effect<Timestamp> {
        self.machine.handle(&self.policy, event, now)
    }

    pub(crate) fn install(
        &mut self,
        token: Option<TokenTimes<Timestamp>>,
        intent: Option<Timestamp>,
        now: Timestamp,
    ) -> Effect<Timestamp> {
        self.tell(Event::Installed { token, intent }, now)
    }

    pub(crate) fn clear(&mut self, now: Timestamp) -> Effect<Timestamp> {
        self.tell(Event::Cleared, now)
    }

    pub(crate) fn request(&mut self, now: Timestamp) -> Effect<Timestamp> {
        self.machine.handle_requested(&self.policy, now).into()
    }

    pub(crate) fn request_for(&mut self, millis: u64, now: Timestamp) -> Effect<Timestamp> {
        let usable_for = Span::from_millis(millis);
        self.tell(Event::Requested { usable_for }, now)
    }

    /// Requests, and expects a refresh to start.
    #[track_caller]
    pub(crate) fn start(&mut self, now: Timestamp) -> Start<Timestamp> {
        started(self.request(now))
    }

    /// Wants a token for longer than any lives, and expects a refresh to start.
    #[track_caller]
    pub(crate) fn start_early(&mut self, now: Timestamp) -> Start<Timestamp> {
        started(self.request_for(u64::MAX, now))
    }

    pub(crate) fn land(
        &mut self,
        flight: FlightId,
        token: TokenTimes<Timestamp>,
        now: Timestamp,
    ) -> Effect<Timestamp> {
        let novelty = Novelty::New;
        self.machine.handle_refreshed(&self.policy, flight, token, novelty, Draw::NONE, now).into()
    }

    pub(crate) fn land_same(
        &mut self,
        flight: FlightId,
        token: TokenTimes<Timestamp>,
        draw: Draw,
        now: Timestamp,
    ) -> Effect<Timestamp> {
        let novelty = Novelty::Same;
        self.tell(Event::Refreshed { flight, token, novelty, draw }, now)
    }

    pub(crate) fn fail(
        &mut self,
        flight: FlightId,
        failure: Failure<Timestamp>,
        draw: Draw,
        now: Timestamp,
    ) -> Effect<Timestamp> {
        self.machine.handle_refresh_failed(&self.policy, flight, failure, draw, now).into()
    }

    pub(crate) fn time_passes(&mut self, draw: Draw, now: Timestamp) -> Effect<Timestamp> {
        self.machine.handle_timeout(&self.policy, draw, now).into()
    }

    /// The generation of the token that is held.
    #[track_caller]
    pub(crate) fn held(&self) -> Generation {
        self.machine.generation().expect("a token is held")
    }

    /// Rejects the token that is held.
    #[track_caller]
    pub(crate) fn reject(&mut self, now: Timestamp) -> Effect<Timestamp> {
        let generation = self.held();
        self.machine.handle_rejected(&self.policy, generation, now).into()
    }

    /// Accepts the token that is held.
    #[track_caller]
    pub(crate) fn accept(&mut self, now: Timestamp) -> Effect<Timestamp> {
        let generation = self.held();
        self.tell(Event::Accepted { generation }, now)
    }

    /// A rejected request succeeds with the token that is held.
    #[track_caller]
    pub(crate) fn recover(&mut self, now: Timestamp) -> Effect<Timestamp> {
        let generation = self.held();
        self.tell(Event::Recovered { generation }, now)
    }

    pub(crate) fn state(&self, now: Timestamp) -> State {
        self.machine.state(now)
    }

    /// When something changes by itself next.
    pub(crate) fn next(&self, now: Timestamp) -> Option<Timestamp> {
        self.machine.poll_timeout(&self.policy, now).map(|next| next.at)
    }
}

/// The order that the effect carries.
#[track_caller]
pub(crate) fn started(effect: Effect<Timestamp>) -> Start<Timestamp> {
    match effect {
        Effect::StartRefresh(start) | Effect::UseAndStartRefresh(start) => start,
        other @ (Effect::Nothing
        | Effect::Use
        | Effect::Wait { .. }
        | Effect::BackOff { .. }
        | Effect::LogIn(_)
        | Effect::Publish { .. }
        | Effect::KeepRefreshToken
        | Effect::ReleaseOrphan
        | Effect::HoldBack
        | Effect::Discard
        | Effect::Withdraw
        | Effect::KeepUsing
        | Effect::EndAttempt) => panic!("a refresh was to start, but: {other:?}"),
    }
}

#[track_caller]
pub(crate) fn built(builder: PolicyBuilder) -> Policy {
    builder.build().expect("a policy that can be kept")
}

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
