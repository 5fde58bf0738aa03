//! Login, logout, and closing: what a program does to a session beyond asking it for tokens.

use core::future::Future;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use super::Session;
use super::builder;
use super::error::{Error, Kind};
use super::keep::{Drive, Extent};
use super::persist::{Persisted, persist};
use super::ports::Moment;
use super::precedence::{Number, has_been_seen};
use super::received::PanicKept;
use super::timed::Timed;
use super::timed_store::TimedStore;
use crate::store::{AnyStore, StoreError, StoredGrant, Swap, Version};
use crate::time::Timestamp;
use crate::token::Grant;

/// A login, a logout or a close that has begun.
#[derive(Copy, Clone)]
struct Begun {
    number: Number,
    moment: Moment,
    /// Of all that it asks of the store.
    deadline: Timestamp,
    /// The store's version by then, as far as the session knew.
    version: Option<Version>,
}

impl Session {
    /// Installs the grant of a login: persists it, then hands it out. What was there before is
    /// replaced, and a refresh of it that is still out lands as an orphan (rules B4, B14).
    ///
    /// It begins with the first poll. Of several logins and logouts of one session the one that began last
    /// wins, in memory and in the store; between processes the last write does (rule B11).
    ///
    /// # Errors
    /// Where the store could not be written within the refresh's deadline, or the grant holds a token that
    /// could not be sent; it is not installed then, though a store that did not answer may hold it. And
    /// where a later login or logout took its place ([`Error::is_superseded`]).
    ///
    /// # Cancellation
    /// Dropped before it ends, the grant may be stored and not yet handed out.
    pub async fn install(&self, grant: Grant) -> Result<(), Error> {
        builder::check(&grant)?;
        self.installing(grant).await
    }

    /// [`install`](Session::install), waiting on this thread.
    ///
    /// # Errors
    /// As for [`install`](Session::install).
    pub fn install_blocking(&self, grant: Grant) -> Result<(), Error> {
        builder::check(&grant)?;
        self.installing(grant).wait()
    }

    /// Logs out: from the first poll on nothing of the grant is handed out any more (rule B11);
    /// then the store forgets it.
    ///
    /// # Errors
    /// Where the store could not be written within the refresh's deadline. The session is logged out all
    /// the same, but a restart would find the grant again: call it once more. And where a later login took
    /// its place, or has begun to ([`Error::is_superseded`]).
    ///
    /// # Cancellation
    /// Dropped before it ends, the session is logged out, and the store may still hold the grant.
    pub async fn logout(&self) -> Result<(), Error> {
        self.logging_out().await
    }

    /// [`logout`](Session::logout), waiting on this thread.
    ///
    /// # Errors
    /// As for [`logout`](Session::logout).
    pub fn logout_blocking(&self) -> Result<(), Error> {
        self.logging_out().wait()
    }

    /// Waits until nothing is in the air, and stores what could not be stored before. The session
    /// can still be used afterwards. A refresh that hangs is waited for until its deadline: on a
    /// timer's word, or async without one when something else wakes this. One that a later refresh has
    /// superseded, or a login or a logout, is not waited for any longer than that.
    ///
    /// # Errors
    /// Where the store still could not be written, or the newest refresh has met its deadline.
    ///
    /// # Cancellation
    /// Dropped before it ends, nothing is lost: what is in the air stays there.
    pub async fn close(&self) -> Result<(), Error> {
        let begun = self.begin();
        let landed = Drive::new(Arc::clone(&self.shared), Extent::Deadline).await;
        self.catching_up(begun).await?;
        landed
    }

    /// [`close`](Session::close), waiting on this thread.
    ///
    /// # Errors
    /// As for [`close`](Session::close).
    pub fn close_blocking(&self) -> Result<(), Error> {
        let begun = self.begin();
        let landed = Drive::new(Arc::clone(&self.shared), Extent::Deadline).wait();
        self.catching_up(begun).wait()?;
        landed
    }

    fn installing(&self, grant: Grant) -> Timed<'_, impl Future<Output = Result<(), Error>>> {
        let begun = self.begin();
        let stored = StoredGrant::new(grant, begun.moment.wall);
        let install = async move {
            let panic = PanicKept::default();
            let written = self.overwrite(begun, Some(&stored), &panic).await;
            let result =
                written.and_then(|version| self.takes_effect(begun, stored, version, &panic));
            panic.goes_on();
            result
        };
        Timed::new(&self.shared, begun.deadline, install)
    }

    fn logging_out(&self) -> Timed<'_, impl Future<Output = Result<(), Error>>> {
        let ports = &self.shared.ports;
        let moment = ports.settings.moment();
        let begun = self.shared.change(moment.now, |inner, afterwards| {
            let number = inner.precedence.logout();
            // Not known until the store has forgotten it: `keyed` tells by that whether it has.
            let version = inner.version.take();
            inner.clear(&ports.settings.policy, moment.now, afterwards);
            inner.tell_held_back(ports, moment, afterwards);
            Begun { number, moment, deadline: self.shared.longest(moment.now), version }
        });
        let logout = async move {
            let panic = PanicKept::default();
            let written = self.overwrite(begun, None, &panic).await;
            panic.goes_on();
            let version = written?;
            let mut inner = self.shared.lock();
            if !inner.precedence.logout_stands(begun.number) {
                return Err(Error::new(Kind::Superseded));
            }
            if inner.precedence.is_in_effect(begun.number) {
                inner.version = version.or(inner.version);
            }
            Ok(())
        };
        Timed::new(&self.shared, begun.deadline, logout)
    }

    fn begin(&self) -> Begun {
        let moment = self.shared.ports.settings.moment();
        let deadline = self.shared.longest(moment.now);
        let mut inner = self.shared.lock();
        Begun { number: inner.precedence.draw(), moment, deadline, version: inner.version }
    }

    /// The grant of a login is in the store, if there is one.
    fn takes_effect(
        &self,
        begun: Begun,
        mut stored: StoredGrant,
        version: Option<Version>,
        panic: &PanicKept,
    ) -> Result<(), Error> {
        let ports = &self.shared.ports;
        let moment = panic.call(|| ports.settings.moment()).unwrap_or(begun.moment);
        self.shared.change(moment.now, |inner, afterwards| {
            let found = inner.precedence.is_in_effect(begun.number);
            if !inner.precedence.login_takes_effect(begun.number) {
                return Err(Error::new(Kind::Superseded));
            }
            let seen = |version| has_been_seen(inner.version, begun.version, version);
            if found || version.is_some_and(seen) {
                // A refresh has found it in the store, or what came after it, and that stays: its token
                // may have been rejected and renewed since. Or another process has logged out.
                return inner.grant.as_ref().map(drop).ok_or(Error::new(Kind::Superseded));
            }
            inner.version = version.or(inner.version);
            // The very refresh token may be out, and its answer is waited for (rule B6).
            stored.intent = inner
                .sent_of(&stored.grant, ports.settings.longest())
                .map(|sent| moment.wall.saturating_sub(moment.now.since(sent)));
            inner.install(ports, stored, moment, afterwards);
            inner.tell_held_back(ports, moment, afterwards);
            Ok(())
        })
    }

    /// Stores what could not be stored before.
    fn catching_up(&self, begun: Begun) -> Timed<'_, impl Future<Output = Result<(), Error>>> {
        let now = self.shared.slot.dial.now();
        let deadline = self.shared.longest(now);
        Timed::new(&self.shared, deadline, self.catch_up(begun.number, deadline))
    }

    async fn catch_up(&self, number: Number, deadline: Timestamp) -> Result<(), Error> {
        let ports = &self.shared.ports;
        let unsaved = {
            let inner = self.shared.lock();
            // What a login or a logout has replaced since is no longer there to be stored.
            inner.unsaved.clone().filter(|_| inner.precedence.stands(number))
        };
        let (Some(store), Some(unsaved)) = (&ports.store, unsaved) else {
            return Ok(());
        };
        let panic = PanicKept::default();
        let store = self.timed_store(&**store, deadline, &panic);
        let persisted = persist(store, &unsaved).await;
        panic.goes_on();
        let persisted = persisted?;
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

    /// Writes over whatever the store holds, unless a later login or logout has begun to.
    async fn overwrite(
        &self,
        begun: Begun,
        next: Option<&StoredGrant>,
        panic: &PanicKept,
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
        panic: &'a PanicKept,
    ) -> TimedStore<'a> {
        TimedStore { store, ports: &self.shared.ports, deadline, panic }
    }
}
