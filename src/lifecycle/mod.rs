//! The client machine: the life of one access token as its holder sees it.
//!
//! [`apply`] is a pure function of policy, state, event and now. It reads no clock, draws no random
//! number, allocates nothing and never sees a token; whoever runs it brings those. [`Lifecycle`]'s
//! `handle_*` methods are the same, one per event, and return what can follow that event.
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
//! - `sent <= refresh_after <= unusable_from <= expires_at` for every token (rule B1).
//! - No token is handed out once it was seen lapsed, or was rejected, whatever `now` does next
//!   (rules B2, A5).
//! - At most one refresh is out (rule B3), and generations only grow (rule B4).
//!
//! # Deliberately absent
//! Token material, clocks, randomness, I/O, waiting. What waits lives in [`crate::session`].

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

use crate::time::{Draw, Time, Timestamp};
use state::{Budget, Credential, Flight, Flights, Holding, Pause, Rejections, Trouble};

/// The state of the machine: small, `Copy`, comparable, and free of secrets.
///
/// Freshness (what the clock says of the token) and flight (is a refresh out?) are kept apart;
/// [`Lifecycle::state`] shows both as one of four names.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lifecycle<T: Time = Timestamp> {
    generation: Generation,
    holding: Holding<T>,
    credential: Credential<T>,
    flight: Flight<T>,
    flights: Flights,
    failures: u32,
    trouble: Trouble<T>,
    /// For how long the late answers of refreshes before the newest are waited for: they presented the
    /// refresh token that is in doubt (rule B6).
    superseded: Pause<T>,
    pause: Pause<T>,
    budget: Budget<T>,
    rejections: Rejections<T>,
}

impl<T: Time> Lifecycle<T> {
    /// A machine with no grant. `session` tells its tokens from those of other sessions of this
    /// process, and must differ between them (rule B4).
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

    /// The public view at `now`. It changes without an event only at [`Lifecycle::poll_timeout`].
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

    /// What would bring a token back, once there is none.
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

    /// The generation of the token that is held, usable or not.
    pub fn generation(&self) -> Option<Generation> {
        match self.holding {
            Holding::Nothing => None,
            Holding::Token(_) => Some(self.generation),
        }
    }

    /// How many tokens have been published.
    pub fn published(&self) -> u64 {
        self.generation.number
    }

    /// The life of the token that is held, usable or not.
    pub fn schedule(&self) -> Option<Schedule<T>> {
        match self.holding {
            Holding::Nothing => None,
            Holding::Token(held) => Some(held.schedule),
        }
    }

    /// The refresh that was started last, whatever became of it.
    pub fn newest_flight(&self) -> FlightId {
        FlightId(self.flights.started)
    }

    /// When the refresh that is out meets its deadline; `None` where none is out.
    pub fn refresh_deadline(&self) -> Option<T> {
        match self.flight {
            Flight::Out { deadline, .. } => Some(deadline),
            Flight::Idle | Flight::Overdue { .. } => None,
        }
    }

    /// Whether a resource server has accepted the token that is held, and none rejected it since.
    pub fn is_accepted(&self) -> bool {
        match self.holding {
            Holding::Nothing => false,
            Holding::Token(held) => held.acceptance == state::Acceptance::Accepted,
        }
    }

    /// Until when the next refresh waits for its backoff; `None` where it does not.
    pub fn backoff_until(&self) -> Option<T> {
        match self.pause {
            Pause::Until { instant, .. } => Some(instant),
            Pause::Over => None,
        }
    }

    /// How many refreshes have failed since one last succeeded.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// TimeoutReason only a new login can help, if that is so (rule B6). The held token serves out its life.
    pub fn ending(&self) -> Option<Ending> {
        match self.credential {
            Credential::Absent => Some(Ending::NoGrant),
            Credential::Declined => Some(Ending::Declined),
            Credential::Ready | Credential::InDoubt | Credential::InDoubtUntil(_) => None,
        }
    }

    /// Applies `event`, in place.
    pub fn handle(&mut self, policy: &Policy<T>, event: Event<T>, now: T) -> Effect<T> {
        self.advance(policy, event, now)
    }

    /// A caller wants a token. See [`Event::Requested`].
    pub fn handle_requested(&mut self, policy: &Policy<T>, now: T) -> Requested<T> {
        self.handle_requested_for(policy, T::zero(), now)
    }

    /// A caller wants a token that stays usable for at least `usable_for`. See [`Event::Requested`].
    pub fn handle_requested_for(
        &mut self,
        policy: &Policy<T>,
        usable_for: T::Span,
        now: T,
    ) -> Requested<T> {
        self.observe(policy, now);
        self.requested(policy, usable_for, now)
    }

    /// A refresh brought a grant. See [`Event::Refreshed`].
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

    /// A refresh ended without a grant. See [`Event::RefreshFailed`].
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

    /// A resource server rejected a token. See [`Event::Rejected`].
    pub fn handle_rejected(
        &mut self,
        policy: &Policy<T>,
        generation: Generation,
        now: T,
    ) -> Rejected {
        self.observe(policy, now);
        self.rejected(policy, generation, now)
    }

    /// A resource server accepted a token. See [`Event::Accepted`].
    pub fn handle_accepted(&mut self, policy: &Policy<T>, generation: Generation, now: T) {
        self.observe(policy, now);
        self.accepted(generation);
    }

    /// A rejected request succeeded with another token. See [`Event::Recovered`].
    pub fn handle_recovered(&mut self, policy: &Policy<T>, generation: Generation, now: T) {
        self.observe(policy, now);
        self.recovered(policy, generation, now);
    }

    /// A grant was installed from outside. `intent` is when a store says that its refresh token was
    /// sent, if it was and no outcome is known. See [`Event::Installed`].
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

    /// The grant was dropped. See [`Event::Cleared`].
    pub fn handle_cleared(&mut self, policy: &Policy<T>, now: T) {
        self.observe(policy, now);
        self.cleared();
    }

    /// Time went by. See [`Event::TimePassed`].
    pub fn handle_timeout(&mut self, policy: &Policy<T>, draw: Draw, now: T) -> Failed {
        self.observe(policy, now);
        self.time_passed(policy, draw, now)
    }
}
