//! The store port: where a session keeps its grant, and an in-memory store.
//!
//! A store holds one grant with a version, and writes by compare-and-swap (rule F1). The version
//! belongs to the store; it is not a token's generation, which lives only in the process.

#[cfg(feature = "json")]
pub(crate) mod json;

use core::fmt;
use core::future::Future;
use std::boxed::Box;
use std::error::Error as StdError;
use std::string::String;
use std::sync::{Arc, PoisonError};

use crate::lifecycle::TokenTimes;
use crate::primitives::Mutex;
use crate::refresh::BoxFuture;
use crate::time::{Draw, Lifetime, Span, Timestamp};
use crate::token::Grant;

/// Counts the writes to a store. An untouched store is at [`Version::EMPTY`].
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u64);

impl Version {
    /// The version of a store that was never written.
    pub const EMPTY: Self = Self(0);

    /// The version with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The version that the next write makes.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// A grant as it is stored: with instants of the wall clock, that mean something to other
/// processes (rule A3: "skew between hosts lengthens or shortens its life by as much").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredGrant {
    /// The grant.
    pub grant: Grant,
    /// When its request was sent, by the wall clock.
    pub acquired_at: Timestamp,
    /// When its access token expires, by the wall clock; `None` where no lifetime was stated.
    pub expires_at: Option<Timestamp>,
    /// When its refresh token was sent, if that happened and no answer was stored (rule F2).
    pub intent: Option<Timestamp>,
}

impl StoredGrant {
    /// This without an access token that could not be sent: a store may hold anything.
    pub(crate) fn sendable(mut self) -> Self {
        self.grant = self.grant.sendable();
        self
    }

    /// `grant` as of now, with its lifetime counted from `sent`; both by the wall clock.
    pub fn new(grant: Grant, sent: Timestamp) -> Self {
        let expires_at = grant.lifetime().span(sent).map(|lifetime| sent.saturating_add(lifetime));
        Self { grant, acquired_at: sent, expires_at, intent: None }
    }

    /// `grant` whose access token is of no more use to others: when it came is not known.
    pub(crate) fn over(grant: Grant, wall: Timestamp) -> Self {
        Self { grant, acquired_at: wall, expires_at: Some(wall), intent: None }
    }

    /// The access token's times on a session's own timeline, where `now` is what the wall clock
    /// calls `wall`; `None` without an access token.
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

/// An instant of the wall clock, on the timeline where `now` is what that clock calls `wall`.
pub(crate) fn on_timeline(instant: Timestamp, now: Timestamp, wall: Timestamp) -> Timestamp {
    if instant <= wall {
        now.saturating_sub(wall.since(instant))
    } else {
        now.saturating_add(instant.since(wall))
    }
}

/// The grant of an answer to a request that was sent at `sent`, with the wall clock's `wall`.
pub(crate) fn times_of_answer(
    grant: &Grant,
    sent: Timestamp,
    wall: Timestamp,
    jitter: Draw,
) -> TokenTimes<Timestamp> {
    let lifetime = match (grant.access_token(), grant.lifetime()) {
        // Understood only in half: kept for its refresh token (rule B14).
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
    /// A store that was never written.
    pub const EMPTY: Self = Self { version: Version::EMPTY, grant: None };
}

/// What came of a compare-and-swap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swap {
    /// Written, under this version.
    Done(Version),
    /// Not written: the store holds this, under another version than was expected.
    Conflict(Versioned),
}

/// Keeps one grant.
///
/// Third parties implement it for the place of their choice. Whatever may block must be done off
/// the executor: sessions await these futures within their own polls.
///
/// # Cancellation
/// A session drops a future of this trait that has no answer by its refresh's deadline, and takes
/// it for failed. The write may be done all the same, now or later.
pub trait Store: Send + Sync + 'static {
    /// Reads what the store holds.
    ///
    /// # Errors
    /// [`StoreError::unreachable`] where it may work later, [`StoreError::damaged`] where what is
    /// there cannot be understood.
    fn load(&self) -> impl Future<Output = Result<Versioned, StoreError>> + Send + 'static;

    /// Replaces what the store holds by `next`, if its version is still `expected`. Once this has
    /// answered [`Swap::Done`] the new grant outlives a crash.
    ///
    /// # Errors
    /// As for [`load`](Store::load). Where it fails, the store holds the old grant or the new one.
    fn swap(
        &self,
        expected: Version,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static;

    /// Replaces content that cannot be understood by `next`, for a login or a logout, which nothing may
    /// stand in the way of. [`Swap::Conflict`] where it can be understood by now.
    ///
    /// By default an error: the store must be mended by hand.
    ///
    /// # Errors
    /// As for [`swap`](Store::swap).
    fn replace_damaged(
        &self,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        drop(next);
        core::future::ready(Err(StoreError::damaged(
            "what the store holds cannot be understood, and a login does not replace it: mend it by hand",
        )))
    }
}

/// A store that could not be read or written. The message must hold no secret.
#[derive(Clone)]
pub struct StoreError {
    damaged: bool,
    emptied: bool,
    message: String,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl StoreError {
    /// The store did not answer; it may later.
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self { damaged: false, emptied: false, message: message.into(), source: None }
    }

    /// What the store holds cannot be understood. Nothing may overwrite it.
    pub fn damaged(message: impl Into<String>) -> Self {
        Self { damaged: true, emptied: false, message: message.into(), source: None }
    }

    /// What the store holds is nothing at all, which no write has left: as a file that was cut to no
    /// bytes. It is damaged for a session that holds a grant, which writes that back by a
    /// [`swap`](Store::swap) of whatever version, and an empty store for one that holds none.
    pub fn emptied(message: impl Into<String>) -> Self {
        Self { emptied: true, ..Self::damaged(message) }
    }

    /// Adds the error underneath.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Whether the store holds nothing, where a write would have left something.
    pub fn is_emptied(&self) -> bool {
        self.emptied
    }

    /// Whether the store's content cannot be understood.
    pub fn is_damaged(&self) -> bool {
        self.damaged
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

/// A store in memory: for tests, and for several sessions of one process that share a grant.
/// Cloning it gives another handle to the same grant.
#[derive(Clone, Debug)]
pub struct MemoryStore(Arc<Mutex<Versioned>>);

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Versioned::EMPTY)))
    }

    /// What it holds.
    pub fn content(&self) -> Versioned {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Store for MemoryStore {
    fn load(&self) -> impl Future<Output = Result<Versioned, StoreError>> + Send + 'static {
        let content = self.content();
        async { Ok(content) }
    }

    fn swap(
        &self,
        expected: Version,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        let this = self.clone();
        async move {
            let mut content = this.0.lock().unwrap_or_else(PoisonError::into_inner);
            if content.version != expected {
                return Ok(Swap::Conflict(content.clone()));
            }
            *content = Versioned { version: expected.next(), grant: next };
            Ok(Swap::Done(content.version))
        }
    }
}

/// A store without its type, as sessions hold it.
pub(crate) trait AnyStore: Send + Sync {
    fn load(&self) -> BoxFuture<Result<Versioned, StoreError>>;
    fn swap(
        &self,
        expected: Version,
        next: Option<StoredGrant>,
    ) -> BoxFuture<Result<Swap, StoreError>>;
    fn replace_damaged(&self, next: Option<StoredGrant>) -> BoxFuture<Result<Swap, StoreError>>;
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
}
