//! The handle that a program holds.

use core::fmt;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use crate::events::EventKind;
use crate::lifecycle::{Rejected, Requested, State};
use crate::session::error::{Error, Kind};
use crate::session::handle::drive::change_and_start;
use crate::session::shared::Shared;
use crate::session::shared::aside::Eagerness;
use crate::token::{AccessToken, Grant};
use crate::verdict::Rejection;

/// A grant that renews itself, shared by any number of tasks and threads.
///
/// Cloning it creates another handle to the same session.
pub struct Session {
    pub(crate) shared: Arc<Shared>,
}

impl Session {
    /// Returns the time on the session's clock.
    #[cfg(any(feature = "reqwest", feature = "tower", feature = "ureq"))]
    pub(crate) fn now(&self) -> crate::time::Timestamp {
        self.shared.now()
    }

    /// Returns the token, if one can be handed out without waiting. If the session has a spawner, it also
    /// starts a due refresh, or checks the store for another process's login, in the background; later
    /// calls see the result.
    ///
    /// # Errors
    /// [`is_login_required`](Error::is_login_required) if the user must log in;
    /// [`is_not_ready`](Error::is_not_ready) if a call that waits would help.
    pub fn try_token(&self) -> Result<AccessToken, Error> {
        self.with_token(AccessToken::clone)
    }

    /// Lends the token to `lend`, if there is one to hand out without waiting.
    ///
    /// This is the cheapest way to put a token into a request: a valid one costs one reading of the
    /// clock, one load and one comparison. No lock is taken, no shared memory is written, nothing is
    /// allocated ([C1](crate::spec#c-the-shared-session)).
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
        let is_spawned = ports.settings.spawner.is_some();
        let (_, result) = change_and_start(&self.shared, now, |inner, deferred| {
            let mut next = inner.lifecycle;
            let requested = next.handle_requested(&ports.settings.policy, now);
            let start = requested.start().filter(|_| is_spawned);
            if is_spawned && matches!(requested, Requested::LogIn(_)) {
                let _ = self.shared.look(inner, Eagerness::Caller, now, deferred);
            }
            // A refresh that nobody would drive is not started; what the clock has shown is remembered
            // (rule A5).
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

    /// Reports that a resource server rejected `token`. A token that is not the current one changes
    /// nothing.
    ///
    /// After too many refreshes that did not help, the token stays in use. Replay the request only
    /// where the result is not [`Rejection::Kept`] ([B9](crate::spec#b-the-client-machine)).
    pub fn reject(&self, token: &AccessToken) -> Rejection {
        let now = self.shared.now();
        let policy = self.shared.policy();
        self.shared.change(now, |inner, deferred| {
            let generation = token.generation();
            let rejection = match inner.lifecycle.handle_rejected(policy, generation, now) {
                Rejected::Withdraw => {
                    inner.notify_all(deferred);
                    Rejection::Withdrawn
                }
                Rejected::KeepUsing => Rejection::Kept,
                // Reported by the interceptor, if at all: there may be many.
                Rejected::Nothing => return Rejection::Stale,
            };
            inner.note(|| EventKind::TokenRejected { generation, rejection });
            rejection
        })
    }

    /// Reports that a request whose token had been rejected succeeded with `token`, its replacement.
    ///
    /// Because the refresh helped, the rejection usually no longer counts toward the limit on rejections
    /// ([B9](crate::spec#b-the-client-machine)). Interceptors report this by themselves.
    pub fn recovered(&self, token: &AccessToken) {
        let now = self.shared.now();
        let policy = self.shared.policy();
        let generation = token.generation();
        self.shared.lock().lifecycle.handle_recovered(policy, generation, now);
        token.set_accepted();
        self.shared.report(now, || EventKind::TokenRecovered { generation });
    }

    /// Reports that a resource server accepted `token`.
    ///
    /// A later rejection of it counts toward the limit for tokens that have worked, not the general budget
    /// ([B9](crate::spec#b-the-client-machine)). Once it is recorded, further calls take no lock.
    pub fn accept(&self, token: &AccessToken) {
        if !token.is_accepted() {
            let now = self.shared.now();
            let policy = self.shared.policy();
            self.shared.lock().lifecycle.handle_accepted(policy, token.generation(), now);
            // Set last, since whoever finds it set may reject the token at once.
            token.set_accepted();
        }
    }

    /// Returns the state that a caller would meet now.
    pub fn state(&self) -> State {
        let now = self.shared.now();
        self.shared.lock().lifecycle.state(now)
    }

    /// Returns the grant, with the additional fields of the last response such as `scope` and
    /// `id_token`.
    pub fn grant(&self) -> Option<Grant> {
        self.shared.lock().grant.clone()
    }

    /// Returns whether everything that was granted is in the store.
    ///
    /// False after the store has failed, until a later refresh or [`close`](Session::close) has stored
    /// the grant. Always true without a store.
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
