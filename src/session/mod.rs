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
mod block_on;
mod builder;
mod core;
mod error;
mod exchange;
mod flight;
mod keep;
mod landing;
mod local;
mod timed_store;
mod turn;
mod watch;

pub use acquire::Acquire;
pub use builder::{BuildError, Builder, Part};
pub use error::Error;
pub use keep::KeepFresh;
pub use local::{LocalAcquire, LocalBuilder, LocalSession};
pub use watch::Changed;

use ::core::fmt;
use ::core::future::Future;
use ::core::time::Duration;
use std::prelude::rust_2024::*;
use std::sync::{Arc, Weak};

use self::block_on::block_on;
use self::core::{Afterwards, Shared};
use self::error::Kind;
use self::exchange::{Persisted, persist};
use self::keep::{Drive, Extent};
use self::timed_store::TimedStore;
use crate::clock::{Clock, Timer};
use crate::lifecycle::{Effect, Policy, State};
use crate::refresh::{AnyRefresh, BoxFuture, Home, Refresh, RefreshError, Request};
use crate::store::{AnyStore, StoreError, StoredGrant, Swap, Version};
use crate::time::Timestamp;
use crate::token::{AccessToken, Grant};

/// A grant that renews itself, shared by any number of tasks and threads.
///
/// Cloning it gives another handle to the same session.
#[derive(Clone)]
pub struct Session {
    shared: Arc<Shared>,
    handle: Arc<Handle>,
}

/// Held by all that a session is wanted for: handles, and callers that wait. A task that only
/// drives what is in the air keeps the session alive and holds none (rule C9).
struct Handle;

/// What a session was built with. Never changes.
struct Ports {
    handles: Weak<Handle>,
    /// The wall clock when the session was built, which its first grant counts from.
    built_at: Timestamp,
    refresher: Box<dyn AnyRefresh>,
    home: Home,
    store: Option<Box<dyn AnyStore>>,
    policy: Policy,
    clock: Box<dyn Clock>,
    timer: Option<Arc<dyn Timer>>,
    spawner: Option<Box<dyn Fn(BoxFuture<()>) + Send + Sync>>,
    draw: Box<dyn Fn() -> u32 + Send + Sync>,
    jitter: bool,
    needs_grant: bool,
    hooks: Hooks,
}

/// What the program wants to be told.
#[derive(Default)]
struct Hooks {
    on_rotate: Option<Box<OnRotate>>,
    on_orphan: Option<Box<OnOrphan>>,
}

type OnRotate = dyn Fn(&Grant) + Send + Sync;
type OnOrphan = dyn Fn(Grant) + Send + Sync;

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

    /// A session that asks `refresh`, a closure that blocks, for new grants. It runs on the thread
    /// of a blocking caller that must wait anyway; for all others see [`Builder::offload`].
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
    pub fn token(&self) -> Acquire {
        Acquire::new(Arc::clone(&self.shared), Arc::clone(&self.handle))
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
    pub fn token_within(&self, limit: Duration) -> Acquire {
        self.token().patience(limit).within(limit)
    }

    /// A token that stays usable for at least `duration`, refreshed first where the held one does
    /// not (and paid from the budget of rule B9 where it was not due).
    pub fn token_valid_for(&self, duration: Duration) -> Acquire {
        self.token().valid_for(duration)
    }

    /// The token, if one can be handed out without waiting. Starts no refresh unless a spawner
    /// can drive it.
    ///
    /// # Errors
    /// Where there is none: log in, or use a call that waits.
    pub fn try_token(&self) -> Result<AccessToken, Error> {
        let now = self.shared.ports.clock.now();
        let policy = &self.shared.ports.policy;
        let mut afterwards = Afterwards::default();
        let (result, started) = {
            let mut inner = self.shared.lock();
            let mut next = inner.lifecycle;
            let effect = next.handle_requested(policy, now);
            let start = effect.start().filter(|_| self.shared.ports.spawner.is_some());
            // What nobody would drive is not started.
            if effect == Effect::Use || start.is_some() {
                inner.lifecycle = next;
            }
            if let Some(start) = start {
                inner.launch(&self.shared.ports, start, &mut afterwards);
            }
            let result = match (effect, inner.token.clone().filter(|_| effect.hands_out())) {
                (_, Some(token)) => Ok(token),
                (Effect::LogIn(ending), None) => Err(Error::from_ending(ending)),
                (_, None) => Err(Error::new(Kind::NotReady)),
            };
            (result, start.is_some())
        };
        self.shared.finish(afterwards);
        if started {
            keep::spawn(&self.shared);
        }
        result
    }

    /// Says that a resource server rejected `token`. A stale one changes nothing (rule B8).
    pub fn reject(&self, token: &AccessToken) {
        let now = self.shared.ports.clock.now();
        let mut afterwards = Afterwards::default();
        {
            let mut inner = self.shared.lock();
            let policy = &self.shared.ports.policy;
            let effect = inner.lifecycle.handle_rejected(policy, token.generation(), now);
            if effect == Effect::Withdraw {
                inner.tell_all(&mut afterwards);
            }
        }
        self.shared.finish(afterwards);
    }

    /// Says that a resource server accepted `token`, so that its rejection later on is not paid
    /// from the budget (rule B9). Once it is known, further calls take no lock.
    pub fn accept(&self, token: &AccessToken) {
        if !token.is_accepted() {
            let now = self.shared.ports.clock.now();
            let policy = &self.shared.ports.policy;
            let _ = self.shared.lock().lifecycle.handle_accepted(policy, token.generation(), now);
            // Only now: who finds it set may reject the token at once.
            token.set_accepted();
        }
    }

    /// The state that callers would meet now.
    pub fn state(&self) -> State {
        let now = self.shared.ports.clock.now();
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

    /// Installs the grant of a login: persists it, then hands it out. What was there before is
    /// replaced, and a refresh of it that is still out lands as an orphan (rules B4, B14).
    ///
    /// # Errors
    /// Where the store could not be written, or the grant holds a token that could not be sent;
    /// it is not installed then.
    ///
    /// # Cancellation
    /// Dropped before it ends, the grant may be stored and not yet handed out.
    pub async fn install(&self, grant: Grant) -> Result<(), Error> {
        builder::check(&grant)?;
        let stored = StoredGrant::new(grant, self.shared.ports.clock.wall());
        let version = self.overwrite(Some(&stored)).await?;
        let moment = self.shared.ports.moment();
        let mut afterwards = Afterwards::default();
        {
            let mut inner = self.shared.lock();
            inner.version = version.or(inner.version);
            inner.install(&self.shared.ports, stored, moment, &mut afterwards);
        }
        self.shared.finish(afterwards);
        Ok(())
    }

    /// [`install`](Session::install), waiting on this thread.
    ///
    /// # Errors
    /// As for [`install`](Session::install).
    pub fn install_blocking(&self, grant: Grant) -> Result<(), Error> {
        block_on(self.install(grant))
    }

    /// Logs out: from the first poll on nothing of the grant is handed out any more (rule B11);
    /// then the store forgets it.
    ///
    /// # Errors
    /// Where the store could not be written. The session is logged out all the same, but a restart
    /// would find the grant again: call it once more.
    pub async fn logout(&self) -> Result<(), Error> {
        let now = self.shared.ports.clock.now();
        let mut afterwards = Afterwards::default();
        {
            let mut inner = self.shared.lock();
            inner.clear(&self.shared.ports.policy, now, &mut afterwards);
        }
        self.shared.finish(afterwards);
        let version = self.overwrite(None).await?;
        let mut inner = self.shared.lock();
        inner.version = version.or(inner.version);
        Ok(())
    }

    /// [`logout`](Session::logout), waiting on this thread.
    ///
    /// # Errors
    /// As for [`logout`](Session::logout).
    pub fn logout_blocking(&self) -> Result<(), Error> {
        block_on(self.logout())
    }

    /// Waits until nothing is in the air, and stores what could not be stored before. The session
    /// can still be used afterwards. A refresh that hangs is waited for until its deadline: on a
    /// timer's word, or async without one when something else wakes this.
    ///
    /// # Errors
    /// Where the store still could not be written, or a refresh has met its deadline.
    pub async fn close(&self) -> Result<(), Error> {
        let landed = Drive::new(Arc::clone(&self.shared), Extent::Deadline).await;
        self.catch_up().await?;
        landed
    }

    /// [`close`](Session::close), waiting on this thread.
    ///
    /// # Errors
    /// As for [`close`](Session::close).
    pub fn close_blocking(&self) -> Result<(), Error> {
        let landed = Drive::new(Arc::clone(&self.shared), Extent::Deadline).wait();
        block_on(self.catch_up())?;
        landed
    }

    /// Stores what could not be stored before.
    async fn catch_up(&self) -> Result<(), Error> {
        let ports = &self.shared.ports;
        let (unsaved, version) = {
            let inner = self.shared.lock();
            (inner.unsaved.clone(), inner.version)
        };
        let (Some(store), Some(unsaved)) = (&ports.store, unsaved) else {
            return Ok(());
        };
        let store = TimedStore { store: &**store, ports, deadline: Timestamp::MAX };
        let persisted = persist(store, version.unwrap_or(Version::EMPTY), &unsaved).await?;
        let mut inner = self.shared.lock();
        // Another grant may have come meanwhile.
        if inner.unsaved.as_ref().is_some_and(|present| present.stored == unsaved.stored) {
            inner.unsaved = None;
            inner.version = Some(match persisted {
                Persisted::Done(version) | Persisted::Outpaced(_, version) => version,
            });
        }
        Ok(())
    }

    /// A future that renews the token when it is due, without any caller. Spawn it; it ends once
    /// the last handle of the session is dropped.
    pub fn keep_fresh(&self, timer: impl Timer) -> KeepFresh {
        KeepFresh::new(&self.shared, Arc::new(timer))
    }

    /// Writes over whatever the store holds; a login or a logout goes before anything else.
    async fn overwrite(&self, next: Option<&StoredGrant>) -> Result<Option<Version>, StoreError> {
        let Some(store) = &self.shared.ports.store else {
            return Ok(None);
        };
        let mut expected = store.load().await?.version;
        for _ in 0..8 {
            match store.swap(expected, next.cloned()).await? {
                Swap::Done(version) => return Ok(Some(version)),
                Swap::Conflict(content) => expected = content.version,
            }
        }
        Err(StoreError::unreachable("the store kept changing while it was written"))
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Session").field("state", &self.state()).finish_non_exhaustive()
    }
}
