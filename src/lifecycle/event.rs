//! The machine's inputs and outputs: past facts in, imperatives out.

use super::schedule::TokenTimes;
use super::state::{FlightId, Generation};
use crate::time::{Draw, Time};

/// Something that has happened.
///
/// Exhaustive on purpose: a model or a port that replays events handles each of them.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event<T: Time> {
    /// A caller wants a token that stays usable for at least `usable_for` (often zero).
    Requested {
        /// How much longer the token must be usable.
        usable_for: T::Span,
    },
    /// A refresh returned a new grant. Also reported for a newer grant that the flight found in the
    /// store instead of asking the server.
    Refreshed {
        /// The refresh that returned it.
        flight: FlightId,
        /// What it says about the access token.
        token: TokenTimes<T>,
        /// Whether the access token is the one that is already held.
        novelty: Novelty,
        /// Drawn for the delay if the token turns out to be unusable.
        draw: Draw,
    },
    /// A refresh ended without a grant.
    RefreshFailed {
        /// The refresh that failed.
        flight: FlightId,
        /// In which way.
        failure: Failure<T>,
        /// Drawn for the delay before the next refresh.
        draw: Draw,
    },
    /// A resource server rejected a token (a 401 that classifies as one).
    Rejected {
        /// The token that the request carried.
        generation: Generation,
    },
    /// A resource server accepted a token. Only the first report per generation has an effect.
    Accepted {
        /// The token that the request carried.
        generation: Generation,
    },
    /// A request whose token had been rejected succeeded with this one: the refresh helped.
    Recovered {
        /// The token that the replayed request carried.
        generation: Generation,
    },
    /// A grant was installed from outside: a login, or what a store held at the start.
    Installed {
        /// What is known about its access token, if it has one.
        token: Option<TokenTimes<T>>,
        /// When, according to the store, its refresh token was sent, if it was and the outcome is
        /// unknown.
        intent: Option<T>,
    },
    /// The grant was dropped: a logout.
    Cleared,
    /// Time passed; deadlines are checked. If the refresh in flight has ended, report its outcome
    /// first: an outcome takes precedence over the deadline. See rule
    /// [B13](crate::spec#b-the-client-machine).
    TimePassed {
        /// Drawn for the delay if a refresh has reached its deadline.
        draw: Draw,
    },
}

/// Whether a response contains another access token than the one that is held.
///
/// Exhaustive on purpose: a token is the same or it is not.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Novelty {
    /// Another token.
    New,
    /// The same token again.
    Same,
}

/// The ways in which a refresh fails. See rule [B6](crate::spec#b-the-client-machine).
///
/// Exhaustive on purpose: a refresher that named another would not say what may follow it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Failure<T: Time> {
    /// The server will not accept this grant again: `invalid_grant` and the like.
    Declined,
    /// The server does not accept the client or its request: `invalid_client` and the like. The
    /// configuration must be corrected; a login would not help.
    Misconfigured {
        /// How long to wait at least: what the server asked for, or what is left of the backoff
        /// that the client's sessions share.
        retry_after: Option<T::Span>,
    },
    /// The server did not act on the request: no connection, a 429, or a 503 with `Retry-After` or an
    /// OAuth `error`.
    Unavailable {
        /// How long the server asks clients to wait, if it said so.
        retry_after: Option<T::Span>,
    },
    /// The server refused without an `error` of RFC 6749, section 5.2. Treated as
    /// [`Unavailable`](Self::Unavailable); if it goes on for long, a login may be needed.
    Unexplained {
        /// How long the server asks clients to wait, if it said so.
        retry_after: Option<T::Span>,
    },
    /// The request was sent, and its outcome is unknown: timeout, reset, dropped, an unreadable
    /// response, or a 500, 502 or 504.
    Unknown,
}

/// What the caller of the machine must do.
///
/// Exhaustive on purpose: a shell that ignored an effect would break the protocol.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Effect<T: Time> {
    /// Nothing.
    Nothing,
    /// Hand out the held token.
    Use,
    /// Hand out the held token, and start a refresh.
    UseAndStartRefresh(Start<T>),
    /// Start a refresh; the caller waits for it.
    StartRefresh(Start<T>),
    /// The caller waits for the refresh in flight. At `until`, poll the refresh once more, then
    /// report [`Event::TimePassed`].
    Wait {
        /// The refresh's deadline.
        until: T,
    },
    /// The caller waits, or is refused: no refresh may start before `until`.
    BackOff {
        /// When the next refresh may start.
        until: T,
        /// Why.
        reason: Delay,
    },
    /// Refuse the caller: only a new login can help.
    LogIn(Ending),
    /// Persist the grant, then hand out its access token with this generation.
    Publish {
        /// The new token's generation.
        generation: Generation,
    },
    /// Persist the grant for its refresh token; its access token is unusable.
    KeepRefreshToken,
    /// The grant no longer belongs to any session: revoke it if possible.
    ReleaseOrphan,
    /// Persist the grant, and report it again once no refresh is in flight. That refresh has
    /// presented the same refresh token, which stops working when the new access token is used.
    HoldBack,
    /// Drop the grant: a newer refresh has already succeeded.
    Discard,
    /// Stop handing out the held token.
    Withdraw,
    /// Keep handing out the held token although it was rejected, because the budget for replacing
    /// it is spent ([B9](crate::spec#b-the-client-machine)). The caller gets its 401.
    KeepUsing,
    /// The attempt is over: notify its waiters, each of which decides whether to keep waiting.
    EndAttempt,
}

impl<T: Time> Effect<T> {
    /// Returns the refresh to start, if any.
    pub fn start(&self) -> Option<Start<T>> {
        match self {
            Self::UseAndStartRefresh(start) | Self::StartRefresh(start) => Some(*start),
            Self::Nothing
            | Self::Use
            | Self::Wait { .. }
            | Self::BackOff { .. }
            | Self::LogIn(_)
            | Self::Publish { .. }
            | Self::KeepRefreshToken
            | Self::ReleaseOrphan
            | Self::HoldBack
            | Self::Discard
            | Self::Withdraw
            | Self::KeepUsing
            | Self::EndAttempt => None,
        }
    }

    /// Returns whether the held token is to be handed out.
    pub fn hands_out(&self) -> bool {
        matches!(self, Self::Use | Self::UseAndStartRefresh(_))
    }
}

/// A refresh to start.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Start<T: Time> {
    /// Its identity, to be reported with its outcome.
    pub flight: FlightId,
    /// When its outcome counts as unknown.
    pub deadline: T,
    /// Why it is needed.
    pub cause: Cause,
}

/// Why a refresh is needed.
///
/// Exhaustive on purpose: models and figures tell each cause.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// There is a grant but no access token.
    NoToken,
    /// The token is due for refresh; it is still handed out meanwhile.
    Due,
    /// The token has lapsed.
    Lapsed,
    /// A resource server rejected the token.
    Rejected,
    /// A caller wants a token that stays usable for longer.
    TooBrief,
}

/// Why a refresh may not start yet.
///
/// Exhaustive on purpose: a caller that waits shows each.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Delay {
    /// A refresh failed; the next one waits for its backoff.
    Failure,
    /// The budget for refreshes of tokens that are not due is spent. See rule
    /// [B9](crate::spec#b-the-client-machine).
    Budget,
    /// The last refresh's outcome is unknown, and the server may refuse its refresh token a second
    /// time. It is not presented again until the old token is about to expire, nor while a late
    /// response may still arrive. See rule [B6](crate::spec#b-the-client-machine).
    Doubt,
    /// The server does not accept the client, and may revoke the refresh token with each attempt.
    /// It is not presented again while the old token works. See rule
    /// [B6](crate::spec#b-the-client-machine).
    Misconfigured,
}

/// Why only a new login can help.
///
/// Exhaustive on purpose: nothing else ends a grant.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// There is no grant: none was installed, or it was cleared.
    NoGrant,
    /// The authorization server declined the grant.
    Declined,
}
