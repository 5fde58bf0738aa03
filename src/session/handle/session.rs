//! The handle that a program holds.

use core::fmt;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use crate::lifecycle::{Rejected, Requested, State};
use crate::session::error::{Error, Kind};
use crate::session::handle::drive::change_and_start;
use crate::session::shared::Shared;
use crate::token::{AccessToken, Grant};
use crate::verdict::Rejection;

/// A grant that renews itself, shared by any number of tasks and threads.
///
/// Cloning it gives another handle to the same session.
pub struct Session {
    pub(crate) shared: Arc<Shared>,
}

impl Session {
    /// What its clock shows.
    #[cfg(any(feature = "reqwest", feature = "tower", feature = "ureq"))]
    pub(crate) fn now(&self) -> crate::time::Timestamp {
        self.shared.now()
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

    /// Asks the lifecycle for a token without waiting.
    #[cold]
    fn try_slowly(&self) -> Result<AccessToken, Error> {
        drop(self.shared.lock_after_draining(None));
        let now = self.shared.now();
        let ports = &self.shared.ports;
        let (_, result) = change_and_start(&self.shared, now, |inner, _| {
            let mut next = inner.lifecycle;
            let requested = next.handle_requested(&ports.settings.policy, now);
            let start = requested.start().filter(|_| ports.settings.spawner.is_some());
            // What nobody would drive is not started; what the clock shows is remembered (rule A5).
            if requested == Requested::Use || start.is_some() {
                inner.lifecycle = next;
            } else {
                inner.lifecycle.observe(&ports.settings.policy, now);
            }
            let result = match (requested, inner.token.clone().filter(|_| requested.hands_out())) {
                (_, Some(token)) => Ok(token),
                (Requested::LogIn(ending), None) => Err(Error::from_ending(ending)),
                (_, None) => Err(Error::new(Kind::NotReady)),
            };
            (start, result)
        });
        result
    }

    /// Says that a resource server rejected `token`. A stale one changes nothing (rule B8). Where
    /// too many refreshes have not helped, the token stays in use: replay the request only if the
    /// answer is not [`Rejection::Kept`] (rule B9).
    pub fn reject(&self, token: &AccessToken) -> Rejection {
        let now = self.shared.now();
        let policy = self.shared.policy();
        self.shared.change(now, |inner, deferred| {
            match inner.lifecycle.handle_rejected(policy, token.generation(), now) {
                Rejected::Withdraw => {
                    inner.notify_all(deferred);
                    Rejection::Withdrawn
                }
                Rejected::KeepUsing => Rejection::Kept,
                Rejected::Nothing => Rejection::Stale,
            }
        })
    }

    /// Says that a request whose token had been rejected succeeded with `token`: the refresh helped,
    /// and gives back what the rejection was paid with (rule B9). Interceptors say so by themselves.
    pub fn recovered(&self, token: &AccessToken) {
        let now = self.shared.now();
        let policy = self.shared.policy();
        self.shared.lock().lifecycle.handle_recovered(policy, token.generation(), now);
        token.set_accepted();
    }

    /// Says that a resource server accepted `token`, so that its rejection later on is paid from the
    /// allowance of tokens that had worked (rule B9). Once it is known, further calls take no lock.
    pub fn accept(&self, token: &AccessToken) {
        if !token.is_accepted() {
            let now = self.shared.now();
            let policy = self.shared.policy();
            self.shared.lock().lifecycle.handle_accepted(policy, token.generation(), now);
            // Only now: who finds it set may reject the token at once.
            token.set_accepted();
        }
    }

    /// The state that callers would meet now.
    pub fn state(&self) -> State {
        let now = self.shared.now();
        self.shared.lock().lifecycle.state(now)
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
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Session").field("state", &self.state()).finish_non_exhaustive()
    }
}

impl Clone for Session {
    fn clone(&self) -> Self {
        self.shared.ports.handle_cloned();
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shared.ports.handle_dropped();
    }
}
