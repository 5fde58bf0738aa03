//! What the machine is told, and what it asks for: past facts in, imperatives out.

use super::schedule::TokenTimes;
use super::state::{FlightId, Generation};
use crate::time::{Draw, Time};

/// Something that has happened.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event<T: Time> {
    /// A caller wants a token that stays usable for at least `usable_for` (often nothing).
    Requested {
        /// How much longer the token must be usable.
        usable_for: T::Span,
    },
    /// An authorization server answered a refresh with a new grant. Also told of a newer grant
    /// that the flight found in the store instead of asking.
    Refreshed {
        /// The refresh that it answers.
        flight: FlightId,
        /// What it says of the access token.
        token: TokenTimes<T>,
        /// Whether the access token is the very one that is held.
        novelty: Novelty,
        /// Drawn for the delay, should the token prove to be of no use.
        draw: Draw,
    },
    /// A refresh ended without a grant.
    RefreshFailed {
        /// The refresh that failed.
        flight: FlightId,
        /// In which way.
        failure: Failure<T>,
        /// Drawn for the delay before the next try.
        draw: Draw,
    },
    /// A resource server rejected a token (a 401 that classifies as one).
    Rejected {
        /// The token that the request carried.
        generation: Generation,
    },
    /// A resource server accepted a token. Only the first time per generation matters.
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
        /// What is known of its access token, if it has one.
        token: Option<TokenTimes<T>>,
        /// When the store says that its refresh token was sent, if it was and no answer is known.
        intent: Option<T>,
    },
    /// The grant was dropped: a logout.
    Cleared,
    /// Time went by; deadlines are judged. Before telling this of a refresh that has an answer
    /// waiting, tell the answer: it wins (rule B13).
    TimePassed {
        /// Drawn for the delay, should a refresh have met its deadline.
        draw: Draw,
    },
}

/// Whether an answer brought another access token than the one that is held.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Novelty {
    /// Another one.
    New,
    /// The very same one again.
    Same,
}

/// The ways in which a refresh fails (rule B6).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Failure<T: Time> {
    /// The server will not honour this grant again: `invalid_grant` and its like.
    Declined,
    /// The server does not accept the client, or what it asks for: `invalid_client` and its like.
    /// The configuration must be corrected; a login would not help.
    Misconfigured {
        /// How long all sessions of the client are to wait, where one of them has been told before.
        retry_after: Option<T::Span>,
    },
    /// The request was definitely not honoured: no connection, 429, a 503 that says so.
    Unavailable {
        /// How long the server asks to be left alone, if it said.
        retry_after: Option<T::Span>,
    },
    /// The server refused, and not in the words of RFC 6749, section 5.2: a 4xx without an `error`.
    /// Treated as unavailable; where it goes on for long, a login may be needed.
    Unexplained {
        /// How long the server asks to be left alone, if it said.
        retry_after: Option<T::Span>,
    },
    /// It was sent, and no answer was understood: timeout, reset, dropped, unparsable, 500, 502, 504.
    Unknown,
}

/// What the shell around the machine is to do.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Effect<T: Time> {
    /// Nothing.
    Nothing,
    /// Hand out the held token.
    Use,
    /// Hand out the held token, and send a refresh.
    UseAndStartRefresh(Start<T>),
    /// Send a refresh; the caller waits for it.
    StartRefresh(Start<T>),
    /// The caller waits for the refresh that is out. Once `until` has come, poll the refresh once
    /// more and tell [`Event::TimePassed`].
    Wait {
        /// The refresh's deadline.
        until: T,
    },
    /// The caller waits, or is refused: no refresh may start before `until`.
    BackOff {
        /// When the next refresh may start.
        until: T,
        /// What stands in its way.
        reason: Delay,
    },
    /// Refuse the caller: only a new login can help.
    LogIn(Ending),
    /// Persist the grant that came, then hand out its access token under this generation.
    Publish {
        /// The new token's generation.
        generation: Generation,
    },
    /// Persist the grant that came for its refresh token; its access token is of no use.
    KeepRefreshToken,
    /// The grant that came belongs to nobody any more: revoke it, if that can be done.
    ReleaseOrphan,
    /// Persist the grant that came, and tell of it again once no refresh is out: that refresh has
    /// presented the same refresh token, which stops working when this answer's token is used.
    HoldBack,
    /// Drop the grant that came: a newer refresh has already landed.
    Discard,
    /// Stop handing out the held token.
    Withdraw,
    /// Go on handing out the held token, although it was rejected: another one cannot be paid for
    /// (rule B9). The caller gets its 401.
    KeepUsing,
    /// The attempt is over: tell those who wait, and let each decide whether to stay.
    EndAttempt,
}

impl<T: Time> Effect<T> {
    /// The refresh that is to be sent, if one is.
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

    /// Whether the held token is to be handed out.
    pub fn hands_out(&self) -> bool {
        matches!(self, Self::Use | Self::UseAndStartRefresh(_))
    }
}

/// The order to send a refresh.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Start<T: Time> {
    /// Its identity, to be given back with its outcome.
    pub flight: FlightId,
    /// When its outcome becomes unknown for want of an answer.
    pub deadline: T,
    /// Why it is sent.
    pub cause: Cause,
}

/// Why a refresh is sent.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// There is a grant but no access token.
    NoToken,
    /// The token is due; it is still handed out meanwhile.
    Due,
    /// The token has lapsed.
    Lapsed,
    /// A resource server rejected the token.
    Rejected,
    /// A caller wants a token that is good for longer.
    TooBrief,
}

/// What stands between a caller and the next refresh.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Delay {
    /// A refresh failed; the next one waits for its backoff.
    Failure,
    /// The budget for retries, and for tokens that must live longer, is spent (rule B9).
    Budget,
    /// The last refresh's outcome is unknown, and the server may refuse its refresh token a second
    /// time: it is not presented again before the old token is nearly over, nor while a late answer
    /// may still come (rule B6).
    Doubt,
    /// The server does not accept the client, and may revoke the refresh token with each try: it is
    /// not presented again while the old token still works (rule B6).
    Misconfigured,
}

/// Why only a new login can help.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// There is no grant: none was installed, or it was cleared.
    NoGrant,
    /// The authorization server declined the grant.
    Declined,
}
