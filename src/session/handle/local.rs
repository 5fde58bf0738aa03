//! The `!Send` variant of the session, for single-threaded runtimes.
//!
//! It decides nothing itself: it wraps an ordinary session, whose refresher, spawner and hooks are
//! proxies for those that stay on their thread (see `bound`). Whatever could take it off the thread is
//! `!Send`.

mod bound;
pub(in crate::session) mod builder;

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::prelude::rust_2024::*;
use std::rc::Rc;

use crate::clock::Timer;
use crate::lifecycle::State;
use crate::session::error::Error;
use crate::session::handle::acquire::Acquire;
use crate::session::handle::changed::Changed;
use crate::session::handle::local::bound::Local;
use crate::session::handle::session::Session;
use crate::token::{AccessToken, Grant};
use crate::verdict::Rejection;

/// A [`Session`] for single-threaded runtimes: its refresher may hold `Rc` and `RefCell`, and its tasks
/// are spawned without leaving the thread.
///
/// Cloning it creates another handle to the same session. Each method does what the method of
/// [`Session`] with the same name does; but this is `!Send`, and so are the futures that drive a
/// refresh.
///
/// ```
/// use core::{cell::Cell, time::Duration};
/// use std::rc::Rc;
///
/// use perennial::session::LocalSession;
/// use perennial::token::Grant;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # futures::executor::block_on(async {
/// let asked = Rc::new(Cell::new(0));
/// let count = Rc::clone(&asked);
/// let session = LocalSession::builder(move |_request| {
///     let count = Rc::clone(&count); // neither this closure nor its future is `Send`
///     async move {
///         count.set(count.get() + 1);
///         Ok(Grant::new("at-2", "rt-2", Duration::from_secs(3600)))
///     }
/// })
/// .grant(Grant::new("at-1", "rt-1", Duration::from_secs(3600)))
/// .build()?;
///
/// let token = session.token().await?;
/// session.reject(&token); // it got a 401
/// assert_eq!(session.token().await?.expose(), "at-2");
/// assert_eq!(asked.get(), 1);
/// # Ok(())
/// # })
/// # }
/// ```
///
/// # Out of scope
/// - Middleware for HTTP clients: `interceptor::Interceptor` takes a [`Session`]. With a local session,
///   attach the token to each request in the program.
/// - A [`Reader`](crate::session::Reader), which exposes the session that it reads.
/// - The `_blocking` methods. A thread that blocks stops the executor on which the refresher's future
///   lives, with its timers and sockets: it would wait for itself. Where a thread may block, use
///   [`Session`].
#[derive(Clone)]
pub struct LocalSession {
    session: Session,
    local: Rc<Local>,
}

impl LocalSession {
    /// As [`Session::token`].
    pub fn token(&self) -> LocalAcquire<'_> {
        LocalAcquire { acquire: self.session.token(), _local: &self.local }
    }

    /// As [`Session::token_within`].
    pub fn token_within(&self, limit: Duration) -> LocalAcquire<'_> {
        LocalAcquire { acquire: self.session.token_within(limit), _local: &self.local }
    }

    /// As [`Session::token_valid_for`].
    pub fn token_valid_for(&self, duration: Duration) -> LocalAcquire<'_> {
        LocalAcquire { acquire: self.session.token_valid_for(duration), _local: &self.local }
    }

    /// As [`Session::try_token`].
    ///
    /// # Errors
    /// As for [`Session::try_token`].
    pub fn try_token(&self) -> Result<AccessToken, Error> {
        self.session.try_token()
    }

    /// As [`Session::with_token`].
    ///
    /// # Errors
    /// As for [`Session::with_token`].
    pub fn with_token<R>(&self, lend: impl FnOnce(&AccessToken) -> R) -> Result<R, Error> {
        self.session.with_token(lend)
    }

    /// As [`Session::reject`].
    pub fn reject(&self, token: &AccessToken) -> Rejection {
        self.session.reject(token)
    }

    /// As [`Session::recovered`].
    pub fn recovered(&self, token: &AccessToken) {
        self.session.recovered(token);
    }

    /// As [`Session::accept`].
    pub fn accept(&self, token: &AccessToken) {
        self.session.accept(token);
    }

    /// As [`Session::state`].
    pub fn state(&self) -> State {
        self.session.state()
    }

    /// As [`Session::changed`]. It only watches, so it may be awaited on any thread.
    pub fn changed(&self) -> Changed {
        self.session.changed()
    }

    /// As [`Session::grant`].
    pub fn grant(&self) -> Option<Grant> {
        self.session.grant()
    }

    /// As [`Session::is_saved`].
    pub fn is_saved(&self) -> bool {
        self.session.is_saved()
    }

    /// As [`Session::install`].
    ///
    /// # Errors
    /// As for [`Session::install`].
    ///
    /// # Cancellation
    /// As for [`Session::install`].
    pub async fn install(&self, grant: Grant) -> Result<(), Error> {
        self.session.install(grant).await
    }

    /// As [`Session::logout`].
    ///
    /// # Errors
    /// As for [`Session::logout`].
    pub async fn logout(&self) -> Result<(), Error> {
        self.session.logout().await
    }

    /// As [`Session::close`].
    ///
    /// # Errors
    /// As for [`Session::close`].
    pub async fn close(&self) -> Result<(), Error> {
        self.session.close().await
    }

    /// As [`Session::keep_fresh`]. Spawn the future on this thread.
    pub fn keep_fresh<T: Timer>(&self, timer: T) -> impl Future<Output = ()> + 'static + use<T> {
        let keeper = self.session.keep_fresh(timer);
        // Weak: the keeper ends with the last handle.
        let local = Rc::downgrade(&self.local);
        async move {
            keeper.await;
            drop(local);
        }
    }
}

impl fmt::Debug for LocalSession {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LocalSession").field("state", &self.state()).finish_non_exhaustive()
    }
}

/// A wait for a token of a [`LocalSession`]: an [`Acquire`] that stays on its thread.
///
/// # Cancellation
/// Dropping it at any point neither cancels nor repeats the refresh.
#[must_use = "a wait does nothing until it is awaited"]
pub struct LocalAcquire<'a> {
    acquire: Acquire<'a>,
    /// Makes this `!Send`, and keeps the refresher alive while this is polled.
    _local: &'a Rc<Local>,
}

impl LocalAcquire<'_> {
    /// As [`Acquire::retry_for`].
    pub fn retry_for(self, retry_for: Duration) -> Self {
        Self { acquire: self.acquire.retry_for(retry_for), ..self }
    }

    /// As [`Acquire::within`].
    pub fn within(self, limit: Duration) -> Self {
        Self { acquire: self.acquire.within(limit), ..self }
    }

    /// As [`Acquire::valid_for`].
    pub fn valid_for(self, duration: Duration) -> Self {
        Self { acquire: self.acquire.valid_for(duration), ..self }
    }
}

impl Future for LocalAcquire<'_> {
    type Output = Result<AccessToken, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.acquire).poll(cx)
    }
}

impl fmt::Debug for LocalAcquire<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LocalAcquire").finish_non_exhaustive()
    }
}
