//! The parts of the machine's state. Freshness and flight are separate; [`State`] is the view of
//! both that callers see.

use super::policy::Policy;
use super::schedule::{Freshness, Schedule};
use crate::time::Time;

/// The public view of a [`Lifecycle`](super::Lifecycle) at some instant.
///
/// Exhaustive on purpose: a program that shows a state shows each.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// The token is handed out, and is not due for refresh.
    Valid,
    /// The token is handed out, and is due for refresh; no refresh is in flight.
    Expiring,
    /// A refresh is in flight.
    Refreshing(Meanwhile),
    /// There is no token to hand out, and no refresh is in flight.
    Expired(Remedy),
}

/// What callers get while a refresh is in flight.
///
/// Exhaustive on purpose: the old token works or it does not.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Meanwhile {
    /// The old token, which still works.
    UseOld,
    /// Nothing: they wait for the new token.
    Wait,
}

/// What would bring a token back.
///
/// Exhaustive on purpose: a program acts on each.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Remedy {
    /// The next caller's refresh, immediately or after backoff.
    Refresh,
    /// A correction of the client's configuration: the authorization server does not accept the
    /// client or its request. Refreshes are still tried, rarely; a login would not help.
    Reconfigure,
    /// Perhaps a login: the authorization server has refused for long without saying why. Refreshes
    /// are still tried.
    TryLogIn,
    /// A new login, and nothing else.
    LogIn,
}

/// The identity of a token within this process. It is never stored.
// Rule B4: it "carries its session's identity, only grows and never repeats".
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Generation {
    pub(super) session: u64,
    pub(super) number: u64,
}

impl Generation {
    /// Returns the token's number within its session, counted from one.
    pub const fn number(self) -> u64 {
        self.number
    }

    /// Returns the session that the token belongs to.
    pub const fn session(self) -> u64 {
        self.session
    }
}

/// The identity of one refresh within its session. Later refreshes are greater.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlightId(pub(super) u64);

impl FlightId {
    /// Returns the refresh's number within its session, counted from one.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// What is known about the access token.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Holding<T: Time> {
    Nothing,
    Token(Held<T>),
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Held<T: Time> {
    pub(super) schedule: Schedule<T>,
    /// The latest stage that any `now` has shown: a fact, not a time (rule A5).
    pub(super) freshness: Freshness,
    pub(super) acceptance: Acceptance,
}

/// What resource servers have said about the held token.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Acceptance {
    Untried,
    Accepted,
    /// Rejected, and the next refresh is paid for (rule B9).
    WithdrawnPaid,
    /// Rejected; the refresh that was paid for has been sent, and further ones are paid from the
    /// budget.
    Withdrawn,
}

/// What is known about the refresh token, or whatever else the refresher presents.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Credential<T: Time> {
    Absent,
    Ready,
    /// It was sent with unknown outcome; the server still accepts it again until then.
    InDoubtUntil(T),
    /// It was sent with unknown outcome, and the server may refuse it a second time.
    InDoubt,
    Declined,
}

/// The refresh in progress, if any.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Flight<T: Time> {
    Idle,
    Out {
        sent: T,
        deadline: T,
        attempt: Attempt,
    },
    /// Its deadline expired; its result still counts until a newer one starts (rule B3).
    Overdue {
        attempt: Attempt,
        /// For how long its late response is waited for if the server may refuse its refresh token
        /// a second time (rule B6).
        open: Pause<T>,
    },
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Attempt {
    Ordinary,
    /// A newer grant was installed while it was in flight: its failure says nothing about that one.
    Outrun,
}

/// Which refreshes still count.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Flights {
    /// The newest that was started.
    pub(super) started: u64,
    /// The newest that landed with a grant, or was cut off by the end of its epoch.
    pub(super) landed: u64,
    /// The newest of an earlier epoch: its grant, and those before it, belong to no session (rule
    /// B11).
    pub(super) ended: u64,
}

/// A period that ends at some instant, such as a backoff.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Pause<T: Time> {
    Over,
    Until { instant: T, at_most: T::Span },
}

impl<T: Time> Pause<T> {
    /// Returns a pause of this length from `now` on.
    pub(super) fn of(length: T::Span, now: T) -> Self {
        let instant = now.saturating_add(length);
        // A zero length, or one at the end of time, leaves nothing to wait for.
        if instant > now { Self::Until { instant, at_most: length } } else { Self::Over }
    }

    /// Rule A5: "An instant to wait for that lies further ahead than its own longest delay MUST be
    /// pulled in to that."
    pub(super) fn observed(self, now: T) -> Self {
        match self {
            Self::Until { instant, at_most } if now < instant => {
                Self::Until { instant: instant.min(now.saturating_add(at_most)), at_most }
            }
            Self::Until { .. } | Self::Over => Self::Over,
        }
    }

    /// Returns the one that lasts longer.
    pub(super) fn or_longer(self, other: Self) -> Self {
        match (self, other) {
            (Self::Over, longer) | (longer, Self::Over) => longer,
            (Self::Until { instant: one, .. }, Self::Until { instant: another, .. }) => {
                if another > one { other } else { self }
            }
        }
    }

    pub(super) fn lasts_beyond(&self, instant: T) -> bool {
        match self {
            Self::Over => false,
            Self::Until { instant: until, .. } => *until > instant,
        }
    }

    pub(super) fn is_over(&self, now: T) -> bool {
        match self {
            Self::Over => true,
            Self::Until { instant, .. } => now >= *instant,
        }
    }
}

/// How the last refresh failed, if none has succeeded since (rule B6).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Trouble<T: Time> {
    None,
    /// A temporary failure.
    Passing,
    /// The server does not accept the client.
    Misconfigured,
    /// The server has refused without saying why.
    Unexplained {
        /// How many more such refusals it takes for it to last.
        missing: u32,
        /// Until when it does not last, however many refusals there were.
        early: Pause<T>,
    },
}

impl<T: Time> Trouble<T> {
    /// Whether unexplained refusals have gone on for so long that a login may be needed.
    pub(super) fn lasts(&self, now: T) -> bool {
        match self {
            Self::Unexplained { missing: 0, early } => early.is_over(now),
            Self::Unexplained { .. } | Self::None | Self::Passing | Self::Misconfigured => false,
        }
    }
}

impl<T: Time> Budget<T> {
    /// Returns what is left after paying for a refresh, or else when one can be paid for. Rule B9:
    /// "paid from one budget: [5 per 30 s], as a token bucket". It is kept as the instant at which
    /// it is full again.
    pub(super) fn less_one(self, policy: &Policy<T>, now: T) -> Result<Self, T> {
        let full_at = match self {
            Self::Full => now,
            Self::FullAt(instant) => instant,
        };
        let full_at = full_at.saturating_add(policy.budget.interval);
        if full_at.since(now) <= policy.budget.window {
            Ok(Self::FullAt(full_at))
        } else {
            Err(full_at.saturating_sub(policy.budget.window))
        }
    }
}

/// The allowance for rejections of tokens that had been accepted (rule B9).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Rejections<T: Time> {
    /// How much of it is spent.
    pub(super) spent: u32,
    /// When it is full again.
    pub(super) renewed: Pause<T>,
    pub(super) refund: Refund<T>,
}

/// Whether the cost of a refresh that helped is given back (rule B9).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Refund<T: Time> {
    /// Immediately.
    Ready,
    /// One was given back, and the next must wait.
    Given(Pause<T>),
    /// The same, and another refresh has helped since: one more is given back at the end of the
    /// pause.
    Owed(Pause<T>),
}

impl<T: Time> Rejections<T> {
    pub(super) const WHOLE: Self = Self { spent: 0, renewed: Pause::Over, refund: Refund::Ready };

    pub(super) fn observed(self, policy: &Policy<T>, now: T) -> Self {
        let renewed = self.renewed.observed(now);
        let spent = match renewed {
            Pause::Over => 0,
            Pause::Until { .. } => self.spent,
        };
        let this = Self { spent, renewed, ..self };
        match this.refund {
            Refund::Ready => this,
            Refund::Given(pause) => Self { refund: Refund::after(pause.observed(now)), ..this },
            Refund::Owed(pause) => match pause.observed(now) {
                Pause::Over => Self { refund: Refund::Ready, ..this }.given_back(policy, now),
                pause @ Pause::Until { .. } => Self { refund: Refund::Owed(pause), ..this },
            },
        }
    }

    fn given_back(self, policy: &Policy<T>, now: T) -> Self {
        match self.spent.checked_sub(1) {
            Some(spent) => {
                let refund = Refund::after(Pause::of(policy.rejections.interval, now));
                Self { spent, refund, ..self }
            }
            None => self,
        }
    }

    /// Returns what is left after paying for the rejection of a token that lives for `lifetime`, if
    /// anything is.
    pub(super) fn less_one(
        self,
        policy: &Policy<T>,
        lifetime: Option<T::Span>,
        now: T,
    ) -> Option<Self> {
        if self.spent >= policy.rejections.count {
            return None;
        }
        let whole = policy.rejections.window;
        let renewed = match self.renewed {
            Pause::Over => Pause::of(lifetime.map_or(whole, |lifetime| whole.min(lifetime)), now),
            Pause::Until { .. } => self.renewed,
        };
        let spent = match renewed {
            // If its window is over immediately, so is what was spent.
            Pause::Over => 0,
            Pause::Until { .. } => self.spent + 1,
        };
        Some(Self { spent, renewed, ..self })
    }

    /// Records that a refresh helped. Rule B9: "one is given back, no sooner than [1 s] after the
    /// last".
    pub(super) fn helped(self, policy: &Policy<T>, now: T) -> Self {
        match self.refund {
            Refund::Ready => self.given_back(policy, now),
            Refund::Given(pause) | Refund::Owed(pause) if self.spent > 0 => {
                Self { refund: Refund::Owed(pause), ..self }
            }
            Refund::Given(_) | Refund::Owed(_) => self,
        }
    }
}

impl<T: Time> Refund<T> {
    fn after(pause: Pause<T>) -> Self {
        match pause {
            Pause::Over => Self::Ready,
            Pause::Until { .. } => Self::Given(pause),
        }
    }
}

/// The budget of rule B9, as the instant at which it will be full again.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Budget<T: Time> {
    Full,
    FullAt(T),
}

impl<T: Time> Held<T> {
    /// Whether the token may be handed out. Rule B2: "A token MUST NOT be handed out at or after its
    /// `unusable_from`, nor once a rejection withdrew it."
    pub(super) fn usable(&self, now: T) -> bool {
        match self.acceptance {
            Acceptance::Untried | Acceptance::Accepted => match self.freshness_at(now) {
                Freshness::Fresh | Freshness::Due => true,
                Freshness::Lapsed => false,
            },
            Acceptance::Withdrawn | Acceptance::WithdrawnPaid => false,
        }
    }

    /// Returns how far its life has come, and never an earlier stage than was once seen (rule A5).
    pub(super) fn freshness_at(&self, now: T) -> Freshness {
        self.schedule.freshness(now).max(self.freshness)
    }
}
