//! Login, logout, and closing: what a program does to a session beyond asking it for tokens.

use std::prelude::rust_2024::*;
use std::sync::Arc;

use super::Session;
use super::block_on::block_on;
use super::builder;
use super::error::Error;
use super::keep::{Drive, Extent};
use super::persist::{Persisted, persist};
use super::timed_store::TimedStore;
use crate::store::{StoreError, StoredGrant, Swap, Version};
use crate::time::Timestamp;
use crate::token::Grant;

impl Session {
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
        let ports = &self.shared.ports;
        let stored = StoredGrant::new(grant, ports.settings.dial.wall());
        let version = self.overwrite(Some(&stored)).await?;
        let moment = ports.settings.moment();
        self.shared.change(moment.now, |inner, afterwards| {
            inner.version = version.or(inner.version);
            inner.install(ports, stored, moment, afterwards);
            inner.tell_held_back(ports, moment, afterwards);
        });
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
        let ports = &self.shared.ports;
        let moment = ports.settings.moment();
        self.shared.change(moment.now, |inner, afterwards| {
            // Not known until the store has forgotten it: `keyed` tells by that whether it has.
            inner.version = None;
            inner.clear(&ports.settings.policy, moment.now, afterwards);
            inner.tell_held_back(ports, moment, afterwards);
        });
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
        let unsaved = self.shared.lock().unsaved.clone();
        let (Some(store), Some(unsaved)) = (&ports.store, unsaved) else {
            return Ok(());
        };
        let store = TimedStore { store: &**store, ports, deadline: Timestamp::MAX };
        let persisted = persist(store, &unsaved).await?;
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

    /// Writes over whatever the store holds; a login or a logout goes before anything else.
    async fn overwrite(&self, next: Option<&StoredGrant>) -> Result<Option<Version>, StoreError> {
        let Some(store) = &self.shared.ports.store else {
            return Ok(None);
        };
        let mut expected = match store.load().await {
            Ok(content) => content.version,
            // Rule F5: "nothing may be overwritten but by a login or a logout".
            Err(error) if error.is_damaged() => match store.replace_damaged(next.cloned()).await? {
                Swap::Done(version) => return Ok(Some(version)),
                Swap::Conflict(content) => content.version,
            },
            Err(error) => return Err(error),
        };
        for _ in 0..8 {
            match store.swap(expected, next.cloned()).await? {
                Swap::Done(version) => return Ok(Some(version)),
                Swap::Conflict(content) => expected = content.version,
            }
        }
        Err(StoreError::unreachable("the store kept changing while it was written"))
    }
}
