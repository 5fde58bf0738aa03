//! The client machine: the life of one access token as its holder sees it.
//!
//! [`apply`] is a pure function of policy, state, event and now. It reads no clock, draws no random
//! number, allocates nothing and never sees a token; the caller supplies what it needs of those.
//! [`Lifecycle`]'s `handle_*` methods do the same, one per event, and return what can follow that
//! event.
//!
//! ```
//! use perennial::lifecycle::{Lifecycle, Policy, Requested, State, TokenTimes};
//! use perennial::time::{Draw, Span, Timestamp};
//!
//! let policy = Policy::default();
//! let sent = Timestamp::from_secs(1_700_000_000);
//! let mut lifecycle = Lifecycle::new(1);
//! let hour = TokenTimes { sent, lifetime: Some(Span::from_secs(3600)), refresh_in: None, jitter: Draw::NONE };
//! let _ = lifecycle.handle_installed(&policy, Some(hour), None, sent);
//! assert_eq!(lifecycle.state(sent), State::Valid);
//!
//! // Five minutes before the end, the next caller gets the old token and the order to refresh it.
//! let late = sent.saturating_add(Span::from_secs(3300));
//! assert!(matches!(lifecycle.handle_requested(&policy, late), Requested::UseAndStartRefresh(_)));
//! ```
//!
//! # States
//! Each arrow names the kinds of events that lead from one [`State`] to another. The page
//! [`states`](crate::states) has the same as a table.
//!
#![doc = include_str!("../states.svg")]
//!
//! # Invariants
//! - `sent <= refresh_after <= unusable_from <= expires_at` for every token
//!   ([B1](crate::spec#b-the-client-machine)).
//! - A token that was seen lapsed, or was rejected, is not handed out again, even if `now` goes
//!   back ([B2](crate::spec#b-the-client-machine), [A5](crate::spec#a-time)).
//! - At most one refresh is in flight ([B3](crate::spec#b-the-client-machine)), and generations
//!   only grow ([B4](crate::spec#b-the-client-machine)).
//!
//! # Out of scope
//! Token material, clocks, randomness, I/O and waiting. Waiting is done by [`crate::session`].

mod builder;
mod event;
#[cfg(formal)]
pub mod formal;
mod outcome;
mod packed;
mod policy;
mod request;
mod resource;
mod schedule;
mod state;
mod timeout;
mod transition;

pub use builder::{Field, PolicyBuilder, PolicyError};
pub use event::{Cause, Delay, Effect, Ending, Event, Failure, Novelty, Start};
pub use outcome::{Failed, Installed, Refreshed, Rejected, Requested};
pub use packed::Packed;
pub use policy::{MissingLifetime, Policy, RawPolicy, Reuse};
pub use schedule::{Deadlines, Freshness, Schedule, TokenTimes};
pub use state::{FlightId, Generation, Meanwhile, Remedy, State};
pub use timeout::{Timeout, TimeoutReason};
pub use transition::apply;

use crate::time::{Draw, Span, Time, Timestamp};
use state::{Budget, Credential, Flight, Flights, Holding, Pause, Rejections, Trouble};

/// The state of the machine: small, `Copy`, comparable, and free of secrets.
///
/// Freshness (what the clock says about the token) and flight (whether a refresh is in flight) are
/// separate; [`Lifecycle::state`] shows both as one of four names.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lifecycle<T: Time = Timestamp> {
    generation: Generation,
    holding: Holding<T>,
    credential: Credential<T>,
    flight: Flight<T>,
    flights: Flights,
    failures: u32,
    trouble: Trouble<T>,
    /// For how long the late responses to refreshes before the newest are waited for: they
    /// presented the refresh token that is in doubt (rule B6).
    superseded: Pause<T>,
    pause: Pause<T>,
    budget: Budget<T>,
    rejections: Rejections<T>,
}

impl<T: Time> Lifecycle<T> {
    /// Creates a machine with no grant.
    ///
    /// `session` distinguishes its tokens from those of other sessions of this process, and must be
    /// unique within the process.
    pub const fn new(session: u64) -> Self {
        Self {
            generation: Generation { session, number: 0 },
            holding: Holding::Nothing,
            credential: Credential::Absent,
            flight: Flight::Idle,
            flights: Flights { started: 0, landed: 0, ended: 0 },
            failures: 0,
            trouble: Trouble::None,
            superseded: Pause::Over,
            pause: Pause::Over,
            budget: Budget::Full,
            rejections: Rejections::WHOLE,
        }
    }

    /// Returns the public view at `now`. Without an event it changes only at
    /// [`Lifecycle::poll_timeout`].
    pub fn state(&self, now: T) -> State {
        let usable = match &self.holding {
            Holding::Nothing => None,
            Holding::Token(held) if held.usable(now) => Some(held.freshness_at(now)),
            Holding::Token(_) => None,
        };
        match (usable, self.flight) {
            (Some(_), Flight::Out { .. }) => State::Refreshing(Meanwhile::UseOld),
            (None, Flight::Out { .. }) => State::Refreshing(Meanwhile::Wait),
            (Some(Freshness::Fresh), Flight::Idle | Flight::Overdue { .. }) => State::Valid,
            (Some(Freshness::Due | Freshness::Lapsed), Flight::Idle | Flight::Overdue { .. }) => {
                State::Expiring
            }
            (None, Flight::Idle | Flight::Overdue { .. }) => State::Expired(self.remedy(now)),
        }
    }

    /// What would bring a token back, if there is none.
    fn remedy(&self, now: T) -> Remedy {
        match self.credential {
            Credential::Absent | Credential::Declined => Remedy::LogIn,
            Credential::Ready | Credential::InDoubt | Credential::InDoubtUntil(_) => {
                match self.trouble {
                    Trouble::Misconfigured => Remedy::Reconfigure,
                    // Rule B6: "callers MUST be told that a login may be needed".
                    Trouble::Unexplained { .. } if self.trouble.lasts(now) => Remedy::TryLogIn,
                    Trouble::Unexplained { .. } | Trouble::None | Trouble::Passing => {
                        Remedy::Refresh
                    }
                }
            }
        }
    }

    /// Returns the generation of the held token, usable or not.
    pub fn generation(&self) -> Option<Generation> {
        match self.holding {
            Holding::Nothing => None,
            Holding::Token(_) => Some(self.generation),
        }
    }

    /// Returns how many tokens have been published.
    pub fn published(&self) -> u64 {
        self.generation.number
    }

    /// Returns the schedule of the held token, usable or not.
    pub fn schedule(&self) -> Option<Schedule<T>> {
        match self.holding {
            Holding::Nothing => None,
            Holding::Token(held) => Some(held.schedule),
        }
    }

    /// Returns the refresh that was started last, whether or not it has ended.
    pub fn newest_flight(&self) -> FlightId {
        FlightId(self.flights.started)
    }

    /// Returns when the refresh in flight reaches its deadline; `None` if no refresh is in flight.
    pub fn refresh_deadline(&self) -> Option<T> {
        match self.flight {
            Flight::Out { deadline, .. } => Some(deadline),
            Flight::Idle | Flight::Overdue { .. } => None,
        }
    }

    /// Returns whether the refresh token was sent with unknown outcome, and no outcome is known since.
    pub fn is_in_doubt(&self) -> bool {
        match self.credential {
            Credential::InDoubtUntil(_) | Credential::InDoubt => true,
            Credential::Absent | Credential::Ready | Credential::Declined => false,
        }
    }

    /// Returns whether a resource server has accepted the held token, and none has rejected it
    /// since.
    pub fn is_accepted(&self) -> bool {
        match self.holding {
            Holding::Nothing => false,
            Holding::Token(held) => held.acceptance == state::Acceptance::Accepted,
        }
    }

    /// Returns when the backoff ends; `None` if there is none.
    pub fn backoff_until(&self) -> Option<T> {
        match self.pause {
            Pause::Until { instant, .. } => Some(instant),
            Pause::Over => None,
        }
    }

    /// Returns the session's number, as in [`Lifecycle::new`].
    #[cfg(feature = "std")]
    pub(crate) fn session(&self) -> u64 {
        self.generation.session
    }

    /// Returns how many refreshes have failed since the last success.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Returns why only a new login can help, if that is so. A held token stays in use until it
    /// lapses.
    pub fn ending(&self) -> Option<Ending> {
        match self.credential {
            Credential::Absent => Some(Ending::NoGrant),
            Credential::Declined => Some(Ending::Declined),
            Credential::Ready | Credential::InDoubt | Credential::InDoubtUntil(_) => None,
        }
    }

    /// Applies `event` in place. See [`apply`].
    pub fn handle(&mut self, policy: &Policy<T>, event: Event<T>, now: T) -> Effect<T> {
        self.advance(policy, event, now)
    }

    /// Handles a caller that wants a token. See [`Event::Requested`].
    pub fn handle_requested(&mut self, policy: &Policy<T>, now: T) -> Requested<T> {
        self.handle_requested_for(policy, T::zero(), now)
    }

    /// Handles a caller that wants a token that stays usable for at least `usable_for`. See
    /// [`Event::Requested`].
    pub fn handle_requested_for(
        &mut self,
        policy: &Policy<T>,
        usable_for: T::Span,
        now: T,
    ) -> Requested<T> {
        self.observe(policy, now);
        self.requested(policy, usable_for, now)
    }

    /// Handles a refresh that returned a grant. See [`Event::Refreshed`].
    pub fn handle_refreshed(
        &mut self,
        policy: &Policy<T>,
        flight: FlightId,
        token: TokenTimes<T>,
        novelty: Novelty,
        draw: Draw,
        now: T,
    ) -> Refreshed {
        self.observe(policy, now);
        self.refreshed(policy, flight, token, novelty, draw, now)
    }

    /// Handles a refresh that ended without a grant. See [`Event::RefreshFailed`].
    pub fn handle_refresh_failed(
        &mut self,
        policy: &Policy<T>,
        flight: FlightId,
        failure: Failure<T>,
        draw: Draw,
        now: T,
    ) -> Failed {
        self.observe(policy, now);
        self.refresh_failed(policy, flight, failure, draw, now)
    }

    /// Handles a token that a resource server rejected. See [`Event::Rejected`].
    pub fn handle_rejected(
        &mut self,
        policy: &Policy<T>,
        generation: Generation,
        now: T,
    ) -> Rejected {
        self.observe(policy, now);
        self.rejected(policy, generation, now)
    }

    /// Handles a token that a resource server accepted. See [`Event::Accepted`].
    pub fn handle_accepted(&mut self, policy: &Policy<T>, generation: Generation, now: T) {
        self.observe(policy, now);
        self.accepted(generation);
    }

    /// Handles a rejected request that succeeded with another token. See [`Event::Recovered`].
    pub fn handle_recovered(&mut self, policy: &Policy<T>, generation: Generation, now: T) {
        self.observe(policy, now);
        self.recovered(policy, generation, now);
    }

    /// Handles a grant that was installed from outside. `intent` is when, according to the store,
    /// its refresh token was sent, if it was and the outcome is unknown. See [`Event::Installed`].
    pub fn handle_installed(
        &mut self,
        policy: &Policy<T>,
        token: Option<TokenTimes<T>>,
        intent: Option<T>,
        now: T,
    ) -> Installed {
        self.observe(policy, now);
        self.installed(policy, token, intent, now)
    }

    /// Handles a logout: the grant was dropped. See [`Event::Cleared`].
    pub fn handle_cleared(&mut self, policy: &Policy<T>, now: T) {
        self.observe(policy, now);
        self.cleared();
    }

    /// Handles the passing of time. See [`Event::TimePassed`].
    pub fn handle_timeout(&mut self, policy: &Policy<T>, draw: Draw, now: T) -> Failed {
        self.observe(policy, now);
        self.time_passed(policy, draw, now)
    }
}

impl Lifecycle {
    /// Returns how many refreshes the budget pays for at `now` (rule
    /// [B9](crate::spec#b-the-client-machine)).
    pub fn budget(&self, policy: &Policy, now: Timestamp) -> u32 {
        let allowance = &policy.budget;
        let spent = match self.budget {
            Budget::Full => Span::ZERO,
            Budget::FullAt(instant) => instant.since(now),
        };
        let left = allowance.window.as_millis().saturating_sub(spent.as_millis());
        let count = left.checked_div(allowance.interval.as_millis()).unwrap_or(u64::MAX);
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}
