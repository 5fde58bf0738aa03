//! What a refresh returns to its session.

use std::prelude::rust_2024::*;

use crate::lifecycle::{Freshness, Policy, Schedule};
use crate::refresh::RefreshError;
#[cfg(feature = "tracing")]
use crate::session::error::Error;
use crate::session::exchange::grant_count::GrantGuard;
use crate::session::panics::Panic;
use crate::session::ports::Launched;
use crate::store::{StoreError, StoredGrant, Version};
use crate::time::{Draw, Span, Timestamp};
use crate::token::Grant;

/// A grant that a refresh has received.
#[derive(Clone)]
pub(crate) struct Received {
    pub(crate) record: StoredGrant,
    /// When its request was sent, on the session's timeline.
    pub(crate) sent: Timestamp,
    /// The grant that it renews.
    pub(crate) renewed: Option<Grant>,
}

/// A grant that was received and could not be stored: rotated but not persisted (rule F2).
#[derive(Clone)]
pub(crate) struct Unsaved {
    pub(crate) received: Received,
    /// The store's version at which the renewed grant was last seen.
    pub(crate) over: Version,
    /// Whether its access token is handed out already.
    pub(crate) published: bool,
}

/// Whether a received grant is in the store.
pub(crate) enum Stored {
    Done,
    /// There is no store, or a login or a logout has replaced the grant.
    NotNeeded,
    Failed(StoreError),
}

/// The report of a finished refresh.
pub(crate) struct Report {
    pub(crate) outcome: Outcome,
    /// The store's version, as last seen.
    pub(crate) version: Option<Version>,
    /// The unsaved grant that the refresh started with, if it is stored now.
    pub(crate) saved: Option<StoredGrant>,
    /// Counts as landed once it is dropped, which is after the outcome was applied.
    #[expect(dead_code, reason = "it is kept for its destructor")]
    pub(crate) guard: Option<GrantGuard>,
    /// When the refresh was launched, for use where the clocks cannot be read as it lands.
    pub(crate) launched: Launched,
    /// A panic of the program's code that cost nothing; it is resumed once this has landed.
    pub(crate) panic: Option<Panic>,
}

impl Report {
    pub(crate) fn new(outcome: Outcome, version: Option<Version>, launched: Launched) -> Self {
        Self { outcome, version, saved: None, guard: None, launched, panic: None }
    }
}

/// A new grant, complete.
pub(crate) struct Granted {
    pub(crate) received: Received,
    /// The store's version at which the renewed grant was last seen, if there is a store.
    pub(crate) over: Option<Version>,
    pub(crate) stored: Stored,
}

pub(crate) enum Outcome {
    Granted(Granted),
    /// The store was read for the first time, and holds this grant.
    Loaded(StoredGrant),
    /// The store holds a newer grant than the one to renew, and than the one received, if any.
    Adopted {
        stored: StoredGrant,
        received: Option<Grant>,
    },
    /// The store holds this grant, whose refresh token another holder has sent with unknown outcome.
    InDoubt(StoredGrant),
    /// Another holder is refreshing the grant, and was waited for in vain. It may have the lease for
    /// this long, if that is known.
    Busy(Option<Span>),
    /// The store holds no grant: nobody has logged in, or somebody has logged out.
    Empty {
        received: Option<Grant>,
    },
    /// No grant was received.
    Failed(RefreshError),
    /// The store failed before anything was sent.
    StoreFailed(StoreError),
}

impl Outcome {
    /// Returns the error of a refresh that has failed.
    #[cfg(feature = "tracing")]
    pub(crate) fn error(&self) -> Option<Error> {
        match self {
            Self::Busy(remaining) => Some(Error::busy(*remaining)),
            Self::Failed(error) => Some(error.clone().into()),
            Self::StoreFailed(error) => Some(error.clone().into()),
            Self::Granted(_)
            | Self::Loaded(_)
            | Self::Adopted { .. }
            | Self::InDoubt(_)
            | Self::Empty { .. } => None,
        }
    }

    /// Returns whether it brings what the store holds, or that it holds nothing.
    pub(crate) fn shows_grant(&self) -> bool {
        match self {
            Self::Granted(_)
            | Self::Loaded(_)
            | Self::Adopted { .. }
            | Self::InDoubt(_)
            | Self::Empty { .. } => true,
            Self::Busy(_) | Self::Failed(_) | Self::StoreFailed(_) => false,
        }
    }

    /// Returns the outcome where another holder has written `stored`.
    pub(crate) fn outpaced(stored: Option<StoredGrant>, received: Option<Grant>) -> Self {
        match stored {
            Some(stored) => Self::Adopted { stored, received },
            None => Self::Empty { received },
        }
    }
}

/// Returns whether a refresh would present the same credential for both.
pub(crate) fn same_credential(one: &Grant, other: &Grant) -> bool {
    match (one.refresh_token(), other.refresh_token()) {
        (Some(one), Some(other)) => one == other,
        (None, None) => one.access_token() == other.access_token(),
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// Returns whether the access token of `stored` can be handed out at `now`, which is at `wall` on the
/// wall clock.
pub(crate) fn is_usable(
    stored: &StoredGrant,
    policy: &Policy,
    now: Timestamp,
    wall: Timestamp,
) -> bool {
    stored
        .times(now, wall, Draw::NONE)
        .is_some_and(|times| Schedule::of(policy, times, now).freshness(now) != Freshness::Lapsed)
}
