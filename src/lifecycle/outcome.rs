//! What can follow each event. [`Effect`] is the sum of all of them.

use super::event::{Delay, Effect, Ending, Start};
use super::state::Generation;
use crate::time::Time;

/// What can follow [`Event::Requested`](super::Event::Requested).
///
/// Exhaustive, as [`Effect`] is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Requested<T: Time> {
    /// Hand out the held token.
    Use,
    /// Hand out the held token, and start a refresh.
    UseAndStartRefresh(Start<T>),
    /// Start a refresh; the caller waits for it.
    StartRefresh(Start<T>),
    /// The caller waits for the refresh in flight. At `until`, poll the refresh once more, then
    /// report [`Event::TimePassed`](super::Event::TimePassed).
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
}

/// What can follow [`Event::Refreshed`](super::Event::Refreshed).
///
/// Exhaustive, as [`Effect`] is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Refreshed {
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
}

/// What can follow [`Event::RefreshFailed`](super::Event::RefreshFailed) and
/// [`Event::TimePassed`](super::Event::TimePassed).
///
/// Exhaustive, as [`Effect`] is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Failed {
    /// The attempt is over: notify its waiters, each of which decides whether to keep waiting.
    EndAttempt,
    /// Nobody waits for this attempt: nothing changes.
    Nothing,
}

/// What can follow [`Event::Rejected`](super::Event::Rejected).
///
/// Exhaustive, as [`Effect`] is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Rejected {
    /// Stop handing out the held token.
    Withdraw,
    /// Keep handing out the held token although it was rejected, because the budget for replacing
    /// it is spent. The caller gets its 401.
    KeepUsing,
    /// The rejected token is not the held one: nothing changes.
    Nothing,
}

/// What can follow [`Event::Installed`](super::Event::Installed).
///
/// Exhaustive, as [`Effect`] is.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Installed {
    /// Persist the grant, then hand out its access token with this generation.
    Publish {
        /// The new token's generation.
        generation: Generation,
    },
    /// Persist the grant for its refresh token; it has no usable access token.
    KeepRefreshToken,
}

impl<T: Time> Requested<T> {
    /// Returns the refresh to start, if any.
    pub fn start(&self) -> Option<Start<T>> {
        match self {
            Self::UseAndStartRefresh(start) | Self::StartRefresh(start) => Some(*start),
            Self::Use | Self::Wait { .. } | Self::BackOff { .. } | Self::LogIn(_) => None,
        }
    }

    /// Returns whether the held token is to be handed out.
    pub fn hands_out(&self) -> bool {
        match self {
            Self::Use | Self::UseAndStartRefresh(_) => true,
            Self::StartRefresh(_) | Self::Wait { .. } | Self::BackOff { .. } | Self::LogIn(_) => {
                false
            }
        }
    }
}

impl<T: Time> From<Requested<T>> for Effect<T> {
    fn from(requested: Requested<T>) -> Self {
        match requested {
            Requested::Use => Self::Use,
            Requested::UseAndStartRefresh(start) => Self::UseAndStartRefresh(start),
            Requested::StartRefresh(start) => Self::StartRefresh(start),
            Requested::Wait { until } => Self::Wait { until },
            Requested::BackOff { until, reason } => Self::BackOff { until, reason },
            Requested::LogIn(ending) => Self::LogIn(ending),
        }
    }
}

impl<T: Time> From<Refreshed> for Effect<T> {
    fn from(refreshed: Refreshed) -> Self {
        match refreshed {
            Refreshed::Publish { generation } => Self::Publish { generation },
            Refreshed::KeepRefreshToken => Self::KeepRefreshToken,
            Refreshed::ReleaseOrphan => Self::ReleaseOrphan,
            Refreshed::HoldBack => Self::HoldBack,
            Refreshed::Discard => Self::Discard,
        }
    }
}

impl<T: Time> From<Failed> for Effect<T> {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::EndAttempt => Self::EndAttempt,
            Failed::Nothing => Self::Nothing,
        }
    }
}

impl<T: Time> From<Rejected> for Effect<T> {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::Withdraw => Self::Withdraw,
            Rejected::KeepUsing => Self::KeepUsing,
            Rejected::Nothing => Self::Nothing,
        }
    }
}

impl<T: Time> From<Installed> for Effect<T> {
    fn from(installed: Installed) -> Self {
        match installed {
            Installed::Publish { generation } => Self::Publish { generation },
            Installed::KeepRefreshToken => Self::KeepRefreshToken,
        }
    }
}
