//! Login, logout, and closing: what a program does to a session beyond asking it for tokens.

use core::future::{Future, poll_fn};
use core::task::Poll;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use crate::events::GrantOrigin;
use crate::session::alarm::Alarm;
use crate::session::error::{Error, Kind, check_sendable};
use crate::session::exchange::persist::{Persisted, persist};
use crate::session::exchange::received::is_usable;
use crate::session::exchange::timed_store::TimedStore;
use crate::session::handle::drive::{Drive, DriveUntil};
use crate::session::handle::session::Session;
use crate::session::handle::timed::Timed;
use crate::session::panics::FirstPanic;
use crate::session::ports::Sample;
use crate::session::shared::precedence::{Number, has_been_seen};
use crate::store::{AnyStore, Intent, StoreError, StoredGrant, Swap, Version};
use crate::time::Timestamp;
use crate::token::Grant;

/// A login, a logout or a close that has started.
#[derive(Copy, Clone)]
struct Begun {
    number: Number,
    sample: Sample,
    /// The deadline of all its operations on the store.
    deadline: Timestamp,
    /// The store's version at that time, as far as the session knew it, and the one that its grant was of.
    version: Option<Version>,
    held_at: Option<Version>,
}

impl Session {
    /// Installs the grant of a login: stores it, then hands it out. It replaces the previous grant; a
    /// refresh of that one which is still in flight lands as an orphan
    /// ([B14](crate::spec#b-the-client-machine)).
    ///
    /// The login starts with the first poll. Of several logins and logouts of one session the one that
    /// started last wins, in memory and in the store; between processes the last write wins
    /// ([B11](crate::spec#b-the-client-machine)).
    ///
    /// # Errors
    /// If the store could not be written within the deadline of a refresh, or the grant holds a token
    /// that could not be sent. The grant is not installed then, though a store that did not respond may
    /// hold it. Also if a later login or logout replaced this one ([`Error::is_superseded`]).
    ///
    /// # Cancellation
    /// If the future is dropped before it completes, the grant may be stored and not handed out yet.
    pub async fn install(&self, grant: Grant) -> Result<(), Error> {
        check_sendable(&grant)?;
        self.installing(grant).await
    }

    /// Does the same as [`install`](Session::install), and blocks this thread until it is done.
    ///
    /// # Errors
    /// As for [`install`](Session::install).
    pub fn install_blocking(&self, grant: Grant) -> Result<(), Error> {
        check_sendable(&grant)?;
        self.installing(grant).wait()
    }

    /// Logs out: from the first poll on, nothing of the grant is handed out any more; then it is
    /// removed from the store ([B11](crate::spec#b-the-client-machine)). Nothing is sent to the server: to
    /// revoke the grant there (RFC 7009), take it by [`grant`](Session::grant) before, and pass it to
    /// [`Refresh::revoke`](crate::refresh::Refresh::revoke).
    ///
    /// # Errors
    /// If the store could not be written within the deadline of a refresh. The session is logged out
    /// all the same, but a restart would find the grant again: call this once more. Also if a later
    /// login replaced the logout, or has started to ([`Error::is_superseded`]).
    ///
    /// # Cancellation
    /// If the future is dropped before it completes, the session is logged out, and the store may still
    /// hold the grant.
    pub async fn logout(&self) -> Result<(), Error> {
        self.logging_out().await
    }

    /// Does the same as [`logout`](Session::logout), and blocks this thread until it is done.
    ///
    /// # Errors
    /// As for [`logout`](Session::logout).
    pub fn logout_blocking(&self) -> Result<(), Error> {
        self.logging_out().wait()
    }

    /// Waits until nothing is in flight, and stores what could not be stored before. The session can
    /// still be used afterwards.
    ///
    /// A refresh that hangs is waited for until its deadline, which the timer keeps; when awaited
    /// without a timer, the deadline is noticed when something else wakes this. A refresh that was
    /// superseded, by a later one or by a login or a logout, is waited for no longer than that either
    /// ([C9](crate::spec#c-the-shared-session)).
    ///
    /// Where another process is refreshing the grant, its request is waited for, until its deadline at
    /// most, before a grant that this session could not store is stored
    /// ([F3](crate::spec#f-storage)).
    ///
    /// # Errors
    /// If the store still could not be written, or the deadline of the newest refresh has expired; or if
    /// another process may refresh the grant for longer than a refresh takes ([`Error::is_busy`]).
    ///
    /// # Cancellation
    /// If the future is dropped before it completes, nothing is lost: what is in flight stays in
    /// flight.
    pub async fn close(&self) -> Result<(), Error> {
        let begun = self.begin();
        let landed = Drive::new(Arc::clone(&self.shared), DriveUntil::Deadline).await;
        self.catching_up(begun).await?;
        landed
    }

    /// Does the same as [`close`](Session::close), and blocks this thread until it is done.
    ///
    /// # Errors
    /// As for [`close`](Session::close).
    pub fn close_blocking(&self) -> Result<(), Error> {
        let begun = self.begin();
        let landed = Drive::new(Arc::clone(&self.shared), DriveUntil::Deadline).wait();
        self.catching_up(begun).wait()?;
        landed
    }

    fn installing(&self, grant: Grant) -> Timed<'_, impl Future<Output = Result<(), Error>>> {
        let begun = self.begin();
        let stored = StoredGrant::new(grant, begun.sample.wall);
        let install = async move {
            let panic = FirstPanic::default();
            let written = self.overwrite(begun, Some(&stored), &panic).await;
            let result =
                written.and_then(|version| self.takes_effect(begun, stored, version, &panic));
            panic.resume_unwinding();
            result
        };
        Timed::new(&self.shared, begun.deadline, install)
    }

    fn logging_out(&self) -> Timed<'_, impl Future<Output = Result<(), Error>>> {
        let ports = &self.shared.ports;
        let sample = ports.settings.sample();
        let begun = self.shared.change(sample.now, |inner, deferred| {
            let number = inner.precedence.logout();
            // Unknown until the grant is removed from the store: `keyed` tells by that whether it was.
            let (version, held_at) = (inner.version.take(), inner.held_at.take());
            inner.clear(&ports.settings.policy, sample.now, deferred);
            inner.release_held_back(ports, sample, deferred);
            Begun { number, sample, deadline: self.shared.longest(sample.now), version, held_at }
        });
        let logout = async move {
            let panic = FirstPanic::default();
            let written = self.overwrite(begun, None, &panic).await;
            panic.resume_unwinding();
            let version = written?;
            let now = self.shared.now();
            self.shared.change(now, |inner, deferred| {
                if !inner.precedence.logout_stands(begun.number) {
                    return Err(Error::new(Kind::Superseded));
                }
                if inner.precedence.is_in_effect(begun.number) {
                    inner.version = version.or(inner.version);
                    inner.held_at = inner.version;
                    // From now on a keeper looks at the store.
                    deferred.wake(inner.flights.waiters.take_all());
                }
                Ok(())
            })
        };
        Timed::new(&self.shared, begun.deadline, logout)
    }

    fn begin(&self) -> Begun {
        let sample = self.shared.ports.settings.sample();
        let deadline = self.shared.longest(sample.now);
        let mut inner = self.shared.lock();
        let (version, held_at) = (inner.version, inner.held_at);
        Begun { number: inner.precedence.draw(), sample, deadline, version, held_at }
    }

    /// Puts a login into effect, once its grant is in the store, if there is one.
    fn takes_effect(
        &self,
        begun: Begun,
        mut stored: StoredGrant,
        version: Option<Version>,
        panic: &FirstPanic,
    ) -> Result<(), Error> {
        let ports = &self.shared.ports;
        let sample = panic.call(|| ports.settings.sample()).unwrap_or(begun.sample);
        self.shared.change(sample.now, |inner, deferred| {
            let found = inner.precedence.is_in_effect(begun.number);
            if !inner.precedence.login_takes_effect(begun.number) {
                return Err(Error::new(Kind::Superseded));
            }
            let seen = |version| has_been_seen(inner.held_at, begun.held_at, version);
            if found || version.is_some_and(seen) {
                // A refresh has found the grant in the store, or one that followed it, and that stays:
                // its token may have been rejected and renewed since. Or another process has logged
                // out.
                return inner.grant.as_ref().map(drop).ok_or(Error::new(Kind::Superseded));
            }
            // A refresh that found it in the store and failed may have left it in doubt.
            let tried = |written| has_been_seen(inner.version, begun.version, written);
            let tried = version.is_some_and(tried);
            let doubted = tried && inner.lifecycle.is_in_doubt();
            let sent = inner.launched.filter(|_| doubted);
            let backoff = inner.lifecycle.backoff_until().filter(|_| tried);
            inner.version = version.filter(|_| !tried).or(inner.version);
            inner.held_at = inner.version;
            // The very refresh token may be in flight, and its response is waited for (rule B6). A
            // refresh that was not sent yet is called off, since its grant is about to be replaced.
            let in_flight = if inner.stage.call_off() {
                None
            } else {
                inner.sent_of(&stored.grant, ports.settings.longest())
            };
            let policy = &ports.settings.policy;
            let usable = is_usable(&stored, policy, sample.now, sample.wall);
            if in_flight.is_some()
                && !usable
                && inner.is_joined_by(&stored.grant, policy, sample.now, deferred)
            {
                return Ok(());
            }
            stored.intent = in_flight
                .or(sent)
                .map(|sent| sample.wall.saturating_sub(sample.now.since(sent)))
                .map(|since| Intent { since, until: None, holder: None });
            inner.install(ports, stored, (None, GrantOrigin::Login), sample, deferred);
            inner.hold_off_until(backoff, policy, sample.now);
            inner.release_held_back(ports, sample, deferred);
            Ok(())
        })
    }

    /// Stores what could not be stored before.
    fn catching_up(&self, begun: Begun) -> Timed<'_, impl Future<Output = Result<(), Error>>> {
        let now = self.shared.now();
        let deadline = self.shared.longest(now);
        Timed::new(&self.shared, deadline, self.catch_up(begun.number, deadline))
    }

    async fn catch_up(&self, number: Number, deadline: Timestamp) -> Result<(), Error> {
        let ports = &self.shared.ports;
        let unsaved = {
            let inner = self.shared.lock();
            // A grant that a login or a logout has replaced since is not to be stored any more.
            inner.unsaved.clone().filter(|_| inner.precedence.stands(number))
        };
        let (Some(store), Some(unsaved)) = (&ports.store, unsaved) else {
            return Ok(());
        };
        let panic = FirstPanic::default();
        let timed = self.timed_store(&**store, deadline, &panic);
        let mut alarm = Alarm::new(ports.settings.waiting_timer());
        let version = loop {
            let persisted = persist(timed, &unsaved.received, unsaved.over).await;
            panic.resume_unwinding();
            if let Err(error) = &persisted {
                self.shared.change(self.shared.now(), |inner, _| inner.note_unsaved(error));
            }
            match persisted? {
                Persisted::Done(version) | Persisted::Outpaced(_, version) => break version,
                // What this session has received may be all that is left of the grant: the other one's
                // request is waited for.
                Persisted::Presented { until } => {
                    let now = self.shared.now();
                    if now >= deadline {
                        return Err(Error::busy(Some(until.since(now))));
                    }
                    // It may end long before its deadline.
                    let soon =
                        now.saturating_add((ports.settings.policy.refresh_deadline() / 32).into());
                    let until = until.min(soon).min(deadline);
                    let clock = &ports.settings.clock;
                    poll_fn(|cx| {
                        let come = alarm.has_come(until, self.shared.now(), || clock.now(), cx);
                        if come { Poll::Ready(()) } else { Poll::Pending }
                    })
                    .await;
                }
            }
        };
        self.shared.change(self.shared.now(), |inner, _| inner.has_saved(&unsaved, version));
        Ok(())
    }

    /// Writes over whatever the store holds, unless a later login or logout has started to.
    async fn overwrite(
        &self,
        begun: Begun,
        next: Option<&StoredGrant>,
        panic: &FirstPanic,
    ) -> Result<Option<Version>, Error> {
        let Some(store) = &self.shared.ports.store else {
            return Ok(None);
        };
        let store = self.timed_store(&**store, begun.deadline, panic);
        let login = next.map(|stored| &stored.grant);
        let may_write = || {
            let may_write = self.shared.lock().precedence.may_write(begun.number, login);
            if may_write { Ok(()) } else { Err(Error::new(Kind::Superseded)) }
        };
        let mut expected = match store.load().await {
            Ok(content) => content.version,
            // Rule F5: "nothing may be overwritten but by a login or a logout".
            Err(error) if error.is_damaged() => {
                may_write()?;
                match store.replace_damaged(next.cloned()).await? {
                    Swap::Done(version) => return Ok(Some(version)),
                    Swap::Conflict(content) => content.version,
                }
            }
            Err(error) => return Err(error.into()),
        };
        for _ in 0..8 {
            may_write()?;
            match store.swap(expected, next.cloned()).await? {
                Swap::Done(version) => return Ok(Some(version)),
                Swap::Conflict(content) => expected = content.version,
            }
        }
        Err(StoreError::unreachable("the store kept changing while it was written").into())
    }

    fn timed_store<'a>(
        &'a self,
        store: &'a dyn AnyStore,
        deadline: Timestamp,
        panic: &'a FirstPanic,
    ) -> TimedStore<'a> {
        TimedStore { store, ports: &self.shared.ports, deadline, panic }
    }
}
