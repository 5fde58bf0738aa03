//! One session per user or tenant, for programs that hold a grant for each: up to millions of them.
//!
//! ```
//! use core::time::Duration;
//! use perennial::keyed::Sessions;
//! use perennial::refresh::{RefreshError, Request};
//! use perennial::token::Grant;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sessions = Sessions::builder(|user: &u64, _request: Request| {
//!     let text = format!("at-2-of-{user}");
//!     async move { Ok::<_, RefreshError>(Grant::new(text, "rt-2", Duration::from_secs(3600))) }
//! })
//! .build();
//! sessions.install_blocking(&7, Grant::new("at-1-of-7", "rt-1", Duration::from_secs(3600)))?;
//! let token = sessions.token_blocking(&7)?; // or `sessions.token(&7).await?`
//! sessions.reject(&7, &token); // it got a 401
//! assert_eq!(sessions.token_blocking(&7)?.expose(), "at-2-of-7");
//! # Ok(())
//! # }
//! ```
//!
//! # How sessions are kept
//! In shards, each under its own lock. A session in use is an ordinary [`Session`]. One that nobody
//! uses is packed into about a hundred bytes, and resumed by the next caller. It is packed only where
//! it has no other handle, no refresh in flight, no waiter, and nothing left to store. Its token keeps
//! its generation, so that a 401 for a token that was handed out before packing is still recognised
//! ([B4](crate::spec#b-the-client-machine)).
//!
//! A key without a grant is removed some time after it was packed: one that was logged out, or whose
//! store holds no grant; the next look-up reads the store again. One whose store could not be read is
//! kept for the time of its backoff, and for a minute after its last look-up. One whose logout could
//! not be stored is kept until it is, since its grant would come back otherwise.
//!
//! # Invariants
//! - The look-up of a session in use takes one shard's lock for reading
//!   ([C1](crate::spec#c-the-shared-session)).
//! - Neither packing nor eviction loses a refresh in flight, or a grant that is not stored
//!   ([F2](crate::spec#f-storage)).
//! - No program code runs under a lock, except a key's `Hash`, `Eq`, `Clone` and `Drop`
//!   ([C6](crate::spec#c-the-shared-session)).

mod aging;
mod all;
mod builder;
mod close;
mod keep;
#[cfg(all(test, loom))]
mod models;
mod nudge;
mod program;
mod record;
mod shard;
mod wheel;

pub use builder::Builder;
pub use keep::KeepFresh;
pub use program::Key;
pub use wheel::Wheel;

use core::fmt;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use self::all::{All, SWEPT, lock_for_reading, lock_for_writing};
use self::record::{Idle, Record};
use self::shard::Garbage;
use crate::lifecycle::State;
use crate::session::suspend::{Suspended, check_grant};
use crate::session::{Error, Rejection, Session};
use crate::token::{AccessToken, Grant};

/// Any number of sessions, each under its key.
///
/// Cloning it creates another handle to the same sessions.
pub struct Sessions<K> {
    all: Arc<All<K>>,
}

impl<K: Key> Sessions<K> {
    /// Returns a usable token of this key's grant, as [`Session::token`] does.
    ///
    /// # Errors
    /// If there is no such session, and as for [`Session::token`].
    ///
    /// # Cancellation
    /// As for [`Session::token`].
    pub async fn token(&self, key: &K) -> Result<AccessToken, Error> {
        let session = self.find(key)?;
        session.token().await
    }

    /// Returns a usable token, and blocks this thread until there is one.
    ///
    /// # Errors
    /// As for [`token`](Sessions::token).
    pub fn token_blocking(&self, key: &K) -> Result<AccessToken, Error> {
        self.find(key)?.token_blocking()
    }

    /// Returns the token, if one can be handed out without waiting.
    ///
    /// # Errors
    /// If there is no such session, and as for [`Session::try_token`].
    pub fn try_token(&self, key: &K) -> Result<AccessToken, Error> {
        self.find(key)?.try_token()
    }

    /// Reports that a resource server rejected `token`, as [`Session::reject`] does.
    pub fn reject(&self, key: &K, token: &AccessToken) -> Rejection {
        self.find(key).map_or(Rejection::Stale, |session| session.reject(token))
    }

    /// Reports that a rejected request succeeded with `token`, as [`Session::recovered`] does.
    pub fn recovered(&self, key: &K, token: &AccessToken) {
        let _ = self.find(key).map(|session| session.recovered(token));
    }

    /// Reports that a resource server accepted `token`, as [`Session::accept`] does.
    pub fn accept(&self, key: &K, token: &AccessToken) {
        if let Ok(session) = self.find(key) {
            session.accept(token);
        }
    }

    /// Returns the state that a caller would meet now; `None` where there is no such session. Resumes
    /// no packed session.
    pub fn state(&self, key: &K) -> Option<State> {
        let now = self.all.program.settings.now();
        let session = {
            let shard = self.all.read(key);
            match shard.get(self.all.hash(key), key)? {
                Record::Live(_, live) => live.get(),
                Record::Idle(_, idle) => return Some(idle.lifecycle().state(now)),
                Record::Vacant => return None,
            }
        };
        Some(session.state())
    }

    /// Returns the session itself, for whatever else it can do; `None` where there is none. It is not
    /// packed while this handle is kept.
    pub fn session(&self, key: &K) -> Option<Session> {
        self.find(key).ok()
    }

    /// Installs the grant of a login, as [`Session::install`] does. A session that is new and has no
    /// store starts packed.
    ///
    /// # Errors
    /// As for [`Session::install`].
    pub async fn install(&self, key: &K, grant: Grant) -> Result<(), Error> {
        if let Some((session, grant)) = self.begin_or_find(key, grant)? {
            session.install(grant).await?;
        }
        self.all.schedule(key);
        Ok(())
    }

    /// Does the same as [`install`](Sessions::install), and blocks this thread until it is done.
    ///
    /// # Errors
    /// As for [`install`](Sessions::install).
    pub fn install_blocking(&self, key: &K, grant: Grant) -> Result<(), Error> {
        if let Some((session, grant)) = self.begin_or_find(key, grant)? {
            session.install_blocking(grant)?;
        }
        self.all.schedule(key);
        Ok(())
    }

    /// Logs this key out, as [`Session::logout`] does, and removes it once nothing of it is in flight.
    /// Has no effect where there is no such session.
    ///
    /// # Errors
    /// As for [`Session::logout`].
    pub async fn logout(&self, key: &K) -> Result<(), Error> {
        let Ok(session) = self.find(key) else { return Ok(()) };
        session.logout().await?;
        drop(session);
        let now = self.all.program.settings.now();
        let (hash, mut garbage) = (self.all.hash(key), Garbage::default());
        self.all.write(key).forget(hash, key, &self.all.aging(now), &mut garbage);
        self.all.discard(garbage);
        Ok(())
    }

    /// Returns how many sessions there are, packed ones included.
    pub fn len(&self) -> usize {
        self.all.shards.iter().map(|shard| lock_for_reading(shard).len()).sum()
    }

    /// Returns whether there is no session.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many sessions are in use at this moment, and not packed.
    pub fn in_use(&self) -> usize {
        self.all.shards.iter().map(|shard| lock_for_reading(shard).in_use()).sum()
    }

    /// Packs all sessions that may be packed, and evicts those that the policy lets go. Look-ups do so
    /// gradually.
    pub fn sweep(&self) {
        for shard in &self.all.shards {
            let now = self.all.program.settings.now();
            let mut garbage = Garbage::default();
            let places = lock_for_reading(shard).places();
            // Twice round: what was used since the last sweep has had its second chance then.
            lock_for_writing(shard).sweep(
                places.saturating_mul(2),
                &self.all.aging(now),
                &mut garbage,
            );
            self.all.discard(garbage);
        }
    }

    fn find(&self, key: &K) -> Result<Session, Error> {
        self.all.find(key)
    }

    /// Creates a packed session, where it is new and nothing else is to be done. Otherwise returns the
    /// existing session, and the grant to install in it.
    fn begin_or_find(&self, key: &K, mut grant: Grant) -> Result<Option<(Session, Grant)>, Error> {
        loop {
            match self.begin(key, grant) {
                Begun::Packed => return Ok(None),
                Begun::Refused(error) => return Err(error),
                Begun::Exists(kept) => match self.find(key) {
                    Ok(session) => return Ok(Some((session, kept))),
                    // It was logged out in between, and removed.
                    Err(_) => grant = kept,
                },
            }
        }
    }

    /// Creates a packed session, where it is new and nothing else is to be done.
    fn begin(&self, key: &K, grant: Grant) -> Begun {
        if let Err(error) = check_grant(&grant) {
            return Begun::Refused(error);
        }
        if self.all.program.stores.is_some() {
            return Begun::Exists(grant);
        }
        let program = &self.all.program;
        let now = program.settings.now();
        let rest = Suspended::first(&program.settings, false, Some(grant));
        let idle = Idle::pack(rest, self.all.seconds(now));
        let mut garbage = Garbage::default();
        let begun = {
            let mut shard = self.all.write(key);
            let begun = shard.begin(self.all.hash(key), &self.all.hasher, key, idle);
            shard.sweep(SWEPT, &self.all.aging(now), &mut garbage);
            begun
        };
        self.all.discard(garbage);
        match begun {
            None => Begun::Packed,
            Some(idle) => idle.unpack().grant.map_or(Begun::Packed, Begun::Exists),
        }
    }
}

enum Begun {
    Packed,
    Exists(Grant),
    Refused(Error),
}

impl<K> Clone for Sessions<K> {
    fn clone(&self) -> Self {
        Self { all: Arc::clone(&self.all) }
    }
}

impl<K> fmt::Debug for Sessions<K> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sessions").finish_non_exhaustive()
    }
}
