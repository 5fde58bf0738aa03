//! The shared session: one grant, any number of callers, at most one refresh.
//!
//! ```
//! use core::time::Duration;
//! use perennial::refresh::{RefreshError, Request};
//! use perennial::session::Session;
//! use perennial::token::Grant;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let session = Session::builder(|_request: Request| async {
//!     Ok::<_, RefreshError>(Grant::new("at-2", "rt-2", Duration::from_secs(3600)))
//! })
//! .grant(Grant::new("at-1", "rt-1", Duration::from_secs(3600)))
//! .build()?;
//!
//! let token = session.token_blocking()?; // or `session.token().await?`
//! assert_eq!(token.expose(), "at-1");
//! session.reject(&token); // it got a 401
//! assert_eq!(session.token_blocking()?.expose(), "at-2");
//! # Ok(())
//! # }
//! ```
//!
//! # How a refresh is driven
//! By whoever needs it, unless told otherwise: each caller that waits polls the refresh, one at a
//! time, on whatever executor or thread it runs. With [`Builder::spawner`] a task drives it; with
//! [`Session::keep_fresh`] it starts without any caller. All three share one flight.
//!
//! # How a token is read
//! While it is valid, from a published snapshot: no lock, no shared write (rule C1). Lend it by
//! [`Session::with_token`], keep a [`Reader`] for a hot loop, or own a clone. Everything else takes
//! one short lock around the lifecycle, publishes, unlocks, and only then wakes.
//!
//! # Invariants
//! - One flight at a time, whoever asks; its failure is told to all who wait (rules B3, B7).
//! - Dropping callers neither cancels nor repeats it (rule C4). While the old token works nobody
//!   waits for it (rule C7).
//! - A grant is persisted before its token is handed out (rule F2).
//! - No user code runs under the session's lock (rule C6).
//!
//! # Deliberately absent
//! A background thread, a runtime of its own, and any request to a resource server: those are
//! adapters.

mod acquire;
mod alarm;
mod answered;
mod builder;
mod core;
mod error;
mod exchange;
mod flight;
mod keep;
mod kept;
mod landing;
mod limits;
mod local;
mod login;
#[cfg(all(test, loom))]
mod models;
mod persist;
pub(crate) mod ports;
mod precedence;
mod reader;
mod received;
#[cfg(feature = "keyed")]
pub(crate) mod rest;
mod slot;
mod stage;
mod timed;
mod timed_store;
mod turn;
mod waiters;
mod watch;

pub use crate::verdict::Rejection;
pub use acquire::Acquire;
pub use builder::{BuildError, Builder, Part};
pub use error::Error;
pub use keep::KeepFresh;
pub use local::{LocalAcquire, LocalBuilder, LocalSession};
pub use reader::Reader;
pub use watch::Changed;

use ::core::fmt;
use ::core::future::Future;
use ::core::time::Duration;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use self::core::Shared;
use self::error::Kind;
use crate::clock::Timer;
use crate::lifecycle::{Effect, State};
use crate::refresh::{Refresh, RefreshError, Request};
use crate::token::{AccessToken, Grant};

/// A grant that renews itself, shared by any number of tasks and threads.
///
/// Cloning it gives another handle to the same session.
pub struct Session {
    shared: Arc<Shared>,
}

impl Session {
    /// A session that asks `refresh`, a closure that returns a future, for new grants.
    pub fn builder<F, Fut>(refresh: F) -> Builder
    where
        F: Fn(Request) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Grant, RefreshError>> + Send + 'static,
    {
        Builder::of_fn(refresh)
    }

    /// A session that asks `refresher` for new grants.
    pub fn builder_with(refresher: impl Refresh) -> Builder {
        Builder::of(refresher)
    }

    /// A session that asks `refresh`, a closure that blocks, for new grants. It runs on a short-lived
    /// thread of its own, unless [`Builder::offload`] says otherwise, so that a server that hangs keeps
    /// no caller beyond the refresh's deadline, and what it answers later is still heard.
    pub fn builder_blocking<F>(refresh: F) -> Builder
    where
        F: Fn(Request) -> Result<Grant, RefreshError> + Send + Sync + 'static,
    {
        Builder::of_blocking(refresh)
    }

    /// A usable token: at once while there is one, else after the refresh, which this caller joins
    /// or starts. Await it, or call [`Acquire::wait`] on a plain thread.
    ///
    /// # Errors
    /// See [`Error`]. A bare call ends with the first attempt that fails; see
    /// [`Acquire::patience`].
    ///
    /// # Cancellation
    /// Dropping the future neither cancels nor repeats the refresh (rule C4).
    pub fn token(&self) -> Acquire<'_> {
        Acquire::new(self)
    }

    /// A usable token, waiting on this thread. The same as `token().wait()`.
    ///
    /// # Errors
    /// As for [`token`](Session::token).
    pub fn token_blocking(&self) -> Result<AccessToken, Error> {
        self.token().wait()
    }

    /// A usable token within `limit`, through failures and backoff. The limit ends the wait and
    /// not the refresh (rule C8).
    ///
    /// Async without a timer, neither the limit nor the backoff can wake the caller.
    pub fn token_within(&self, limit: Duration) -> Acquire<'_> {
        self.token().patience(limit).within(limit)
    }

    /// A token that stays usable for at least `duration`, refreshed first where the held one does
    /// not (and paid from the budget of rule B9 where it was not due).
    pub fn token_valid_for(&self, duration: Duration) -> Acquire<'_> {
        self.token().valid_for(duration)
    }

    /// What its clock shows.
    #[cfg(any(feature = "reqwest", feature = "tower", feature = "ureq"))]
    pub(crate) fn now(&self) -> crate::time::Timestamp {
        self.shared.slot.dial.now()
    }

    /// The token, if one can be handed out without waiting. Starts no refresh unless a spawner
    /// can drive it.
    ///
    /// # Errors
    /// Where there is none: log in, or use a call that waits.
    pub fn try_token(&self) -> Result<AccessToken, Error> {
        self.with_token(AccessToken::clone)
    }

    /// Lends the token to `lend`, if there is one to hand out without waiting: the cheapest way to
    /// put it into a request. A valid token costs a reading of the clock, a load and a compare; no
    /// lock is taken, nothing that others read is written, nothing is allocated (rule C1).
    ///
    /// ```
    /// # use core::time::Duration;
    /// # use perennial::refresh::{RefreshError, Request};
    /// # use perennial::{session::Session, token::Grant};
    /// # let refresher = |_: Request| async { Err::<Grant, _>(RefreshError::declined("none")) };
    /// # let session = Session::builder(refresher)
    /// #     .grant(Grant::new("at-1", "rt-1", Duration::from_secs(3600))).build()?;
    /// let header = session.with_token(|token| format!("Bearer {}", token.expose()))?;
    /// # assert_eq!(header, "Bearer at-1");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As for [`try_token`](Session::try_token); `lend` is not called then.
    pub fn with_token<R>(&self, lend: impl FnOnce(&AccessToken) -> R) -> Result<R, Error> {
        let mut lend = Some(lend);
        let result = self.shared.slot.read(|token| lend.take().map(|lend| lend(token))).flatten();
        match (result, lend) {
            (Some(result), _) => Ok(result),
            (None, Some(lend)) => self.try_slowly().map(|token| lend(&token)),
            (None, None) => Err(Error::new(Kind::NotReady)),
        }
    }

    /// A handle of one's own for hot loops, that keeps the token at hand.
    pub fn reader(&self) -> Reader {
        Reader::new(self.clone())
    }

    /// Asks the lifecycle for a token without waiting.
    #[cold]
    fn try_slowly(&self) -> Result<AccessToken, Error> {
        drop(self.shared.lock_having_heard(None));
        let now = self.shared.slot.dial.now();
        let ports = &self.shared.ports;
        let (result, started) = self.shared.change(now, |inner, afterwards| {
            let mut next = inner.lifecycle;
            let effect = next.handle_requested(&ports.settings.policy, now);
            let start = effect.start().filter(|_| ports.settings.spawner.is_some());
            // What nobody would drive is not started; what the clock shows is remembered (rule A5).
            if effect == Effect::Use || start.is_some() {
                inner.lifecycle = next;
            } else {
                inner.lifecycle.observe(&ports.settings.policy, now);
            }
            if let Some(start) = start {
                inner.launch(ports, start, afterwards);
            }
            let result = match (effect, inner.token.clone().filter(|_| effect.hands_out())) {
                (_, Some(token)) => Ok(token),
                (Effect::LogIn(ending), None) => Err(Error::from_ending(ending)),
                (_, None) => Err(Error::new(Kind::NotReady)),
            };
            (result, start.is_some())
        });
        if started {
            keep::spawn(&self.shared);
        }
        result
    }

    /// Says that a resource server rejected `token`. A stale one changes nothing (rule B8). Where
    /// too many refreshes have not helped, the token stays in use: replay the request only if the
    /// answer is not [`Rejection::Kept`] (rule B9).
    pub fn reject(&self, token: &AccessToken) -> Rejection {
        let now = self.shared.slot.dial.now();
        let policy = &self.shared.ports.settings.policy;
        self.shared.change(now, |inner, afterwards| {
            match inner.lifecycle.handle_rejected(policy, token.generation(), now) {
                Effect::Withdraw => {
                    inner.tell_all(afterwards);
                    Rejection::Withdrawn
                }
                Effect::KeepUsing => Rejection::Kept,
                // The lifecycle answers a rejection in no other way.
                Effect::Nothing
                | Effect::Use
                | Effect::UseAndStartRefresh(_)
                | Effect::StartRefresh(_)
                | Effect::Wait { .. }
                | Effect::BackOff { .. }
                | Effect::LogIn(_)
                | Effect::Publish { .. }
                | Effect::KeepRefreshToken
                | Effect::ReleaseOrphan
                | Effect::HoldBack
                | Effect::Discard
                | Effect::EndAttempt => Rejection::Stale,
            }
        })
    }

    /// Says that a request whose token had been rejected succeeded with `token`: the refresh helped,
    /// and gives back what the rejection was paid with (rule B9). Interceptors say so by themselves.
    pub fn recovered(&self, token: &AccessToken) {
        let now = self.shared.slot.dial.now();
        let policy = &self.shared.ports.settings.policy;
        let _ = self.shared.lock().lifecycle.handle_recovered(policy, token.generation(), now);
        token.set_accepted();
    }

    /// Says that a resource server accepted `token`, so that its rejection later on is paid from the
    /// allowance of tokens that had worked (rule B9). Once it is known, further calls take no lock.
    pub fn accept(&self, token: &AccessToken) {
        if !token.is_accepted() {
            let now = self.shared.slot.dial.now();
            let policy = &self.shared.ports.settings.policy;
            let _ = self.shared.lock().lifecycle.handle_accepted(policy, token.generation(), now);
            // Only now: who finds it set may reject the token at once.
            token.set_accepted();
        }
    }

    /// The state that callers would meet now.
    pub fn state(&self) -> State {
        let now = self.shared.slot.dial.now();
        self.shared.lock().lifecycle.state(now)
    }

    /// Ends when something has changed since this call: a new token, a rejection, a failure, a
    /// login or a logout. The passing of time alone is not told.
    pub fn changed(&self) -> Changed {
        Changed::new(&self.shared)
    }

    /// The grant, with the further fields of the last answer such as `scope` and `id_token`.
    pub fn grant(&self) -> Option<Grant> {
        self.shared.lock().grant.clone()
    }

    /// Whether everything that was granted is in the store. False after a store failed, until a
    /// later refresh or [`close`](Session::close) has caught up (rule F2). True without a store.
    pub fn is_saved(&self) -> bool {
        self.shared.lock().unsaved.is_none()
    }

    /// A future that renews the token when it is due, without any caller. Spawn it; it ends once
    /// the last handle of the session is dropped.
    pub fn keep_fresh(&self, timer: impl Timer) -> KeepFresh {
        KeepFresh::new(&self.shared, Arc::new(timer))
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Session").field("state", &self.state()).finish_non_exhaustive()
    }
}

impl Clone for Session {
    fn clone(&self) -> Self {
        self.shared.ports.handle_made();
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shared.ports.handle_dropped();
    }
}
