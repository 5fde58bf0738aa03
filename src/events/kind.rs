//! The kinds of events.

use core::time::Duration;
use std::string::String;

use super::error::ErrorView;
use super::issuer::IssuerEvent;
use crate::lifecycle::{Cause, Generation};
use crate::verdict::Rejection;

/// What has happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum EventKind {
    /// A session was built, or `keyed` has resumed it.
    #[non_exhaustive]
    SessionStarted {
        /// The token that it starts with, if it has one. With a store, that is read later.
        token: Option<TokenView>,
    },
    /// A refresh was started. It ends with [`RefreshSucceeded`](Self::RefreshSucceeded),
    /// [`RefreshFailed`](Self::RefreshFailed) or [`RefreshSuperseded`](Self::RefreshSuperseded).
    #[non_exhaustive]
    RefreshStarted {
        /// Its number within its session, counted from one.
        refresh: u64,
        /// Why it is needed.
        cause: Cause,
        /// How long it may take.
        limit: Duration,
    },
    /// A refresh brought a token, which is handed out from now on.
    #[non_exhaustive]
    RefreshSucceeded {
        /// Its number.
        refresh: u64,
        /// Why it was needed.
        cause: Cause,
        /// The token.
        token: TokenView,
        /// Whether the authorization server issued it now, or another process had stored it.
        origin: GrantOrigin,
        /// How long the refresh took.
        took: Duration,
        /// How many refreshes had failed since the last success.
        failures: u32,
        /// How long ago the first of these failed; `None` if none did since the session was last
        /// resumed.
        outage: Option<Duration>,
    },
    /// A refresh failed. [`SessionView::retry_in`](super::SessionView::retry_in) says when the next one may
    /// start.
    #[non_exhaustive]
    RefreshFailed {
        /// Its number.
        refresh: u64,
        /// Why it was needed.
        cause: Cause,
        /// Why it failed: what callers get who waited for it.
        error: ErrorView,
        /// How long it took.
        took: Duration,
        /// How many refreshes have failed in a row, this one included.
        failures: u32,
        /// Whether the one before failed as well, and in the same way.
        repeated: bool,
    },
    /// A refresh ended without a result of its own: a login, a logout or another process's grant came
    /// first, the store held no grant, or the session ended.
    #[non_exhaustive]
    RefreshSuperseded {
        /// Its number.
        refresh: u64,
        /// How long it took.
        took: Duration,
    },
    /// A grant was installed that the refresh in flight did not bring: by a login, from the store, or by
    /// the late response to an earlier refresh.
    #[non_exhaustive]
    GrantInstalled {
        /// Its token; `None` if it has no usable access token.
        token: Option<TokenView>,
        /// Where it comes from.
        origin: GrantOrigin,
        /// How many refreshes had failed since the last success.
        failures: u32,
    },
    /// The grant was removed, by a logout of this process or another one.
    #[non_exhaustive]
    GrantRemoved {
        /// How many refreshes had failed since the last success.
        failures: u32,
    },
    /// A grant that was received could not be stored. It is kept in memory, and storing it is tried
    /// again.
    #[non_exhaustive]
    GrantUnsaved {
        /// Why.
        error: ErrorView,
    },
    /// The grant that could not be stored is stored now, or a newer one that followed it; or a login or a
    /// logout has ended it.
    #[non_exhaustive]
    GrantSaved {
        /// Whether it, or a newer one, is in the store.
        stored: bool,
    },
    /// A grant was received that no longer belongs to the session, after a login or a logout. It is
    /// revoked, or passed to `on_orphan`.
    #[non_exhaustive]
    GrantOrphaned,
    /// A resource server rejected the current token.
    #[non_exhaustive]
    TokenRejected {
        /// Its generation.
        generation: Generation,
        /// What the session did: a token that is [`Kept`](Rejection::Kept) stays in use, since the budget
        /// is spent.
        rejection: Rejection,
    },
    /// A request whose token had been rejected succeeded with this one.
    #[non_exhaustive]
    TokenRecovered {
        /// Its generation.
        generation: Generation,
    },
    /// A caller had to wait for a token, or got none. Callers that get one at once cause no event, nor do
    /// calls that never wait, such as [`try_token`](crate::session::Session::try_token).
    #[non_exhaustive]
    TokenWaited {
        /// How long.
        waited: Duration,
        /// Why there was none in the end; `None` if there was one.
        error: Option<ErrorView>,
    },
    /// The session ended: its last handle was dropped, or `keyed` has packed it.
    #[non_exhaustive]
    SessionEnded {
        /// How many refreshes had failed since the last success.
        failures: u32,
        /// Whether it held a grant that could not be stored.
        unsaved: bool,
    },
    /// A store or a lease was called, and has answered.
    #[non_exhaustive]
    StoreCalled {
        /// What it was called for.
        operation: StoreOperation,
        /// How it answered.
        outcome: StoreOutcome,
        /// How long that took.
        took: Duration,
    },
    /// A request was not sent.
    #[non_exhaustive]
    RequestRefused {
        /// Why: `no_token`, `plain_http`, `unknown_origin`, `proxied` or `too_many_redirects`.
        error: ErrorView,
        /// The origin that it was for, where that is the reason.
        origin: Option<String>,
    },
    /// A response rejected the token that its request carried.
    #[non_exhaustive]
    ResponseRejected {
        /// Its status.
        status: u16,
        /// The generation of the token.
        generation: Generation,
        /// Whether the request is sent again with another token. If not, the caller gets the response.
        replayed: bool,
    },
    /// An issuer has done something for a client, or denied it.
    Issuer(IssuerEvent),
}

/// A token that was published.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenView {
    /// Its generation.
    pub generation: Generation,
    /// In how long it is due for refresh; `None`, as for the others, if no lifetime was stated.
    pub due_in: Option<Duration>,
    /// For how long it is handed out.
    pub usable_for: Option<Duration>,
    /// In how long it expires.
    pub expires_in: Option<Duration>,
}

/// Where a grant comes from.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GrantOrigin {
    /// The authorization server's response to a refresh of this session.
    Response,
    /// The store: another process, or an earlier run of this one, has put it there.
    Store,
    /// A login.
    Login,
}

/// An operation of a [`Store`](crate::store::Store) or a [`Lease`](crate::store::Lease).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreOperation {
    /// [`Store::load`](crate::store::Store::load).
    Load,
    /// [`Store::swap`](crate::store::Store::swap).
    Swap,
    /// [`Store::replace_damaged`](crate::store::Store::replace_damaged).
    ReplaceDamaged,
    /// [`Lease::acquire`](crate::store::Lease::acquire).
    Acquire,
    /// [`Lease::renew`](crate::store::Lease::renew).
    Renew,
    /// [`Lease::release`](crate::store::Lease::release).
    Release,
}

/// The answer of a store or a lease.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StoreOutcome {
    /// It was done.
    Done,
    /// Another holder has written since: nothing was written.
    Conflict,
    /// Another holder has the lease.
    Busy,
    /// The lease had been lost.
    Lost,
    /// It failed.
    Failed(ErrorView),
}

impl EventKind {
    /// Returns the name of the event, such as `refresh.failed`.
    // Rule H3: "The names of events and attributes MUST be kept from version to version."
    pub fn name(&self) -> &'static str {
        match self {
            Self::SessionStarted { .. } => "session.started",
            Self::RefreshStarted { .. } => "refresh.started",
            Self::RefreshSucceeded { .. } => "refresh.succeeded",
            Self::RefreshFailed { .. } => "refresh.failed",
            Self::RefreshSuperseded { .. } => "refresh.superseded",
            Self::GrantInstalled { .. } => "grant.installed",
            Self::GrantRemoved { .. } => "grant.removed",
            Self::GrantUnsaved { .. } => "grant.unsaved",
            Self::GrantSaved { .. } => "grant.saved",
            Self::GrantOrphaned => "grant.orphaned",
            Self::TokenRejected { .. } => "token.rejected",
            Self::TokenRecovered { .. } => "token.recovered",
            Self::TokenWaited { .. } => "token.waited",
            Self::SessionEnded { .. } => "session.ended",
            Self::StoreCalled { .. } => "store.called",
            Self::RequestRefused { .. } => "request.refused",
            Self::ResponseRejected { .. } => "response.rejected",
            Self::Issuer(_) => "issuer.responded",
        }
    }
}

impl GrantOrigin {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Response => "response",
            Self::Store => "store",
            Self::Login => "login",
        }
    }
}

impl StoreOperation {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Swap => "swap",
            Self::ReplaceDamaged => "replace_damaged",
            Self::Acquire => "acquire",
            Self::Renew => "renew",
            Self::Release => "release",
        }
    }
}

impl StoreOutcome {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Conflict => "conflict",
            Self::Busy => "busy",
            Self::Lost => "lost",
            Self::Failed(_) => "failed",
        }
    }
}
