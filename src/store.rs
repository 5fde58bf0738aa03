//! The trait through which a session keeps its grant, and an in-memory store.
//!
//! A store holds one grant with a version, and writes by compare-and-swap
//! ([F1](crate::spec#f-storage)). The version belongs to the store; it is not the
//! [`Generation`](crate::lifecycle::Generation) of a token, which is never stored.

#[cfg(feature = "json")]
pub(crate) mod json;
mod lease;
mod memory;
mod observed;
#[cfg(any(feature = "postgres", feature = "redis"))]
pub(crate) mod remote;

use core::fmt;
use core::future::Future;
use std::boxed::Box;
use std::error::Error as StdError;
use std::string::String;
use std::sync::Arc;

use crate::events::{ErrorView, Event};
use crate::lifecycle::TokenTimes;
use crate::refresh::BoxFuture;
use crate::time::{Draw, Lifetime, Span, Timestamp};
use crate::token::Grant;

pub use self::lease::{Acquired, Lease};
pub use self::memory::MemoryStore;
pub use self::observed::Observed;
pub(crate) use self::observed::observed;

/// The number of writes to a store. A store that was never written is at [`Version::EMPTY`].
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u64);

impl Version {
    /// The version of a store that was never written.
    pub const EMPTY: Self = Self(0);

    /// Creates the version with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Returns its number.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// Returns the version after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// A grant as it is stored: its times are wall-clock times, so that other processes can use them.
///
/// Clock skew between hosts makes the token appear to expire that much earlier or later.
// Rule A3: "skew between hosts lengthens or shortens its life by as much".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredGrant {
    /// The grant.
    pub grant: Grant,
    /// When the request for it was sent, by the wall clock.
    pub acquired_at: Timestamp,
    /// When its access token expires, by the wall clock; `None` if no lifetime was stated.
    pub expires_at: Option<Timestamp>,
    /// The note of intent: set before the refresh token is sent, and removed once the outcome is
    /// known and stored ([F2](crate::spec#f-storage)).
    pub intent: Option<Intent>,
}

/// A note that the refresh token of a stored grant was, or is about to be, sent. Instants are of
/// the wall clock.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Intent {
    /// When the refresh token was first sent without an outcome being stored.
    pub since: Timestamp,
    /// The deadline of the request that is under way; `None` in a record of format 1, which has
    /// none.
    ///
    /// In a store without a [`Lease`] of its own, other holders do not send the refresh token
    /// before this instant.
    pub until: Option<Timestamp>,
    /// A random number, by which the session that wrote the note recognizes it; `None` in a record
    /// of format 1. Below 2^53, so that every JSON parser reads it exactly.
    pub holder: Option<u64>,
}

impl StoredGrant {
    /// Returns this without an access token that no header can carry: a store may hold anything.
    pub(crate) fn sendable(mut self) -> Self {
        self.grant = self.grant.sendable();
        self
    }

    /// Creates a stored grant whose lifetime is counted from `sent`, by the wall clock.
    pub fn new(grant: Grant, sent: Timestamp) -> Self {
        let expires_at = grant.lifetime().span(sent).map(|lifetime| sent.saturating_add(lifetime));
        Self { grant, acquired_at: sent, expires_at, intent: None }
    }

    /// Creates a stored grant with an expired access token: when it was obtained is not known.
    pub(crate) fn over(grant: Grant, wall: Timestamp) -> Self {
        Self { grant, acquired_at: wall, expires_at: Some(wall), intent: None }
    }

    /// Returns this with an access token that has expired.
    pub(crate) fn lapsed(self) -> Self {
        Self { expires_at: Some(self.acquired_at), ..self }
    }

    /// Returns the access token's times on a session's own timeline, where `now` corresponds to
    /// `wall` on the wall clock; `None` without an access token.
    pub(crate) fn times(
        &self,
        now: Timestamp,
        wall: Timestamp,
        jitter: Draw,
    ) -> Option<TokenTimes<Timestamp>> {
        self.grant.access_token()?;
        let lifetime = self.expires_at.map(|expires_at| expires_at.since(self.acquired_at));
        Some(TokenTimes {
            sent: on_timeline(self.acquired_at, now, wall),
            lifetime,
            refresh_in: self.grant.refresh_in(),
            jitter,
        })
    }
}

/// Converts an instant of the wall clock to the timeline on which `now` corresponds to `wall`.
pub(crate) fn on_timeline(instant: Timestamp, now: Timestamp, wall: Timestamp) -> Timestamp {
    if instant <= wall {
        now.saturating_sub(wall.since(instant))
    } else {
        now.saturating_add(instant.since(wall))
    }
}

/// Returns the times of a grant that was requested at `sent`, when the wall clock showed `wall`.
pub(crate) fn times_of_grant(
    grant: &Grant,
    sent: Timestamp,
    wall: Timestamp,
    jitter: Draw,
) -> TokenTimes<Timestamp> {
    let lifetime = match (grant.access_token(), grant.lifetime()) {
        // Read only in part: kept for its refresh token (rule B14).
        (None, _) => Some(Span::ZERO),
        (Some(_), stated @ (Lifetime::For(_) | Lifetime::Until { .. } | Lifetime::Unstated)) => {
            stated.span(wall)
        }
    };
    TokenTimes { sent, lifetime, refresh_in: grant.refresh_in(), jitter }
}

/// What a store holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned {
    /// Its version.
    pub version: Version,
    /// The grant; `None` before the first login and after a logout.
    pub grant: Option<StoredGrant>,
}

impl Versioned {
    /// An empty store.
    pub const EMPTY: Self = Self { version: Version::EMPTY, grant: None };
}

/// The result of a compare-and-swap.
///
/// Exhaustive on purpose: every store returns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swap {
    /// The grant was written, with this version.
    Done(Version),
    /// Nothing was written: the store holds this, with another version than was expected.
    Conflict(Versioned),
}

/// Keeps one grant.
///
/// Implement it for a storage of your own, and test that with `testing::store_conforms` (feature
/// `testing`). A blocking operation must run outside the executor:
/// sessions await these futures within their own polls.
///
/// # Cancellation
/// A session drops a future of this trait that has not completed by the refresh's deadline, and
/// treats it as failed. The write may still be done, then or later.
pub trait Store: Send + Sync + 'static {
    /// Reads what the store holds.
    ///
    /// # Errors
    /// [`StoreError::unreachable`] if it may work later, [`StoreError::damaged`] if the content
    /// cannot be understood.
    fn load(&self) -> impl Future<Output = Result<Versioned, StoreError>> + Send + 'static;

    /// Replaces what the store holds by `next`, if its version is still `expected`. Once this has
    /// returned [`Swap::Done`], the new grant must survive a crash.
    ///
    /// # Errors
    /// As for [`load`](Store::load). After an error the store holds the old grant or the new one.
    fn swap(
        &self,
        expected: Version,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static;

    /// Replaces damaged content by `next`, for a login or a logout, which damage must not prevent.
    /// Returns [`Swap::Conflict`] if the content can be understood after all.
    ///
    /// Default: an error, which says that the store must be repaired by hand.
    ///
    /// # Errors
    /// As for [`swap`](Store::swap).
    fn replace_damaged(
        &self,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        drop(next);
        core::future::ready(Err(StoreError::damaged(
            "what the store holds cannot be understood, and a login does not replace it: repair it by hand",
        )))
    }

    /// Returns the lease by which processes that share this store take turns to refresh.
    ///
    /// Default: `None`; the note of intent in the record is the lease then, until the deadline that
    /// the note carries.
    fn lease(&self) -> Option<Arc<dyn Lease>> {
        None
    }

    /// Returns this store with a hook that is called with an [`Event`] for each operation on it and on its
    /// lease. For a store that is used without a session; a session's own hooks receive them anyway
    /// ([`Builder::on_event`](crate::session::Builder::on_event)).
    fn on_event(self, hook: impl Fn(&Event) + Send + Sync + 'static) -> Observed<Self>
    where
        Self: Sized,
    {
        Observed::new(self, hook)
    }
}

/// A store that could not be read or written. The message must not contain a secret.
#[derive(Clone)]
pub struct StoreError {
    damaged: bool,
    emptied: bool,
    message: String,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl StoreError {
    /// Creates an error for a store that cannot be reached at present.
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self { damaged: false, emptied: false, message: message.into(), source: None }
    }

    /// Creates an error for content that cannot be understood. A session does not overwrite it.
    pub fn damaged(message: impl Into<String>) -> Self {
        Self { damaged: true, emptied: false, message: message.into(), source: None }
    }

    /// Creates an error for a store that has lost its content, such as a file truncated to zero
    /// bytes.
    ///
    /// A session that holds a grant treats the store as damaged, and writes the grant back by a
    /// [`swap`](Store::swap) with any version. A session that holds none treats the store as empty.
    pub fn emptied(message: impl Into<String>) -> Self {
        Self { emptied: true, ..Self::damaged(message) }
    }

    /// Sets the source of the error.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Returns the kind of the error in a word: `unreachable`, `damaged` or `emptied`.
    pub fn name(&self) -> &'static str {
        match (self.damaged, self.emptied) {
            (_, true) => "emptied",
            (true, false) => "damaged",
            (false, false) => "unreachable",
        }
    }

    /// Returns whether the store has lost its content.
    pub fn is_emptied(&self) -> bool {
        self.emptied
    }

    /// Returns whether the store's content cannot be understood.
    pub fn is_damaged(&self) -> bool {
        self.damaged
    }
}

impl From<&StoreError> for ErrorView {
    fn from(error: &StoreError) -> Self {
        Self::new(error.name(), None, error.clone())
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl fmt::Debug for StoreError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StoreError")
            .field("damaged", &self.damaged)
            .field("emptied", &self.emptied)
            .field("message", &self.message)
            .field("source", &self.source)
            .finish()
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// A type-erased store, as sessions hold it.
pub(crate) trait AnyStore: Send + Sync {
    fn load(&self) -> BoxFuture<Result<Versioned, StoreError>>;
    fn swap(
        &self,
        expected: Version,
        next: Option<StoredGrant>,
    ) -> BoxFuture<Result<Swap, StoreError>>;
    fn replace_damaged(&self, next: Option<StoredGrant>) -> BoxFuture<Result<Swap, StoreError>>;
    fn lease(&self) -> Option<Arc<dyn Lease>>;
}

impl<S: Store> AnyStore for S {
    fn load(&self) -> BoxFuture<Result<Versioned, StoreError>> {
        Box::pin(Store::load(self))
    }

    fn swap(
        &self,
        expected: Version,
        next: Option<StoredGrant>,
    ) -> BoxFuture<Result<Swap, StoreError>> {
        Box::pin(Store::swap(self, expected, next))
    }

    fn replace_damaged(&self, next: Option<StoredGrant>) -> BoxFuture<Result<Swap, StoreError>> {
        Box::pin(Store::replace_damaged(self, next))
    }

    fn lease(&self) -> Option<Arc<dyn Lease>> {
        Store::lease(self)
    }
}
