//! One session per user or tenant, for programs that hold a grant for each: a million of them.
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
//! # How it is kept
//! In shards, each under a lock of its own. A session that is in use is an ordinary
//! [`Session`]; one that nobody uses is packed into about a hundred bytes,
//! and taken up again by the next who asks. What it takes to be packed: no other handle, nothing in
//! the air, nobody who waits, everything saved. Generations stay (rule B4), so that a 401 for a
//! token that was handed out before is told apart all the same.
//!
//! A key with no grant is forgotten once it was packed: one that was logged out, or whose store holds
//! none; the next look-up reads the store anew. One whose store could not be read is kept for its
//! backoff, and for a minute after its last look-up; one whose logout could not be stored is kept until
//! it is, since its grant would come back.
//!
//! # Invariants
//! - The look-up of a session in use takes one shard's lock for reading (rule C1).
//! - Neither packing nor eviction loses a flight, or a grant that is not stored (rule F2).
//! - Of the program's code only a key's `Hash`, `Eq`, `Clone` and `Drop` run under a lock (rule C6).

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

/// Very many sessions, each under its key. Cloning gives another handle to the same ones.
pub struct Sessions<K> {
    all: Arc<All<K>>,
}

impl<K: Key> Sessions<K> {
    /// A usable token of this key's grant, as [`Session::token`].
    ///
    /// # Errors
    /// Where there is no such session, or as for [`Session::token`].
    ///
    /// # Cancellation
    /// As for [`Session::token`].
    pub async fn token(&self, key: &K) -> Result<AccessToken, Error> {
        let session = self.find(key)?;
        session.token().await
    }

    /// A usable token, waiting on this thread.
    ///
    /// # Errors
    /// As for [`token`](Sessions::token).
    pub fn token_blocking(&self, key: &K) -> Result<AccessToken, Error> {
        self.find(key)?.token_blocking()
    }

    /// The token, if one can be handed out without waiting.
    ///
    /// # Errors
    /// As for [`Session::try_token`], and where there is no such session.
    pub fn try_token(&self, key: &K) -> Result<AccessToken, Error> {
        self.find(key)?.try_token()
    }

    /// Says that a resource server rejected `token`, as [`Session::reject`].
    pub fn reject(&self, key: &K, token: &AccessToken) -> Rejection {
        self.find(key).map_or(Rejection::Stale, |session| session.reject(token))
    }

    /// Says that a rejected request succeeded with `token`, as [`Session::recovered`].
    pub fn recovered(&self, key: &K, token: &AccessToken) {
        let _ = self.find(key).map(|session| session.recovered(token));
    }

    /// Says that a resource server accepted `token`, as [`Session::accept`].
    pub fn accept(&self, key: &K, token: &AccessToken) {
        if let Ok(session) = self.find(key) {
            session.accept(token);
        }
    }

    /// The state that callers would meet now; `None` where there is no such session. Takes up none.
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

    /// The session itself, for whatever else it can do. While this handle is kept it is not packed.
    pub fn session(&self, key: &K) -> Option<Session> {
        self.find(key).ok()
    }

    /// Installs the grant of a login, as [`Session::install`]. A session that is new and has no
    /// store begins packed.
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

    /// [`install`](Sessions::install), waiting on this thread.
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

    /// Logs this key out, as [`Session::logout`], and forgets it once nothing of it is in the air.
    ///
    /// # Errors
    /// As for [`Session::logout`]. Where there is no such session there is nothing to do.
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

    /// How many sessions there are, packed ones included.
    pub fn len(&self) -> usize {
        self.all.shards.iter().map(|shard| lock_for_reading(shard).len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many are in use at this moment, and not packed.
    pub fn in_use(&self) -> usize {
        self.all.shards.iter().map(|shard| lock_for_reading(shard).in_use()).sum()
    }

    /// Packs, and evicts by policy, all that may be, at once. Look-ups do so by and by.
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

    /// Begins a session packed, where it is new and nothing else is to be done; gives the one that is
    /// there, and the grant for it.
    fn begin_or_find(&self, key: &K, mut grant: Grant) -> Result<Option<(Session, Grant)>, Error> {
        loop {
            match self.begin(key, grant) {
                Begun::Packed => return Ok(None),
                Begun::Refused(error) => return Err(error),
                Begun::Exists(kept) => match self.find(key) {
                    Ok(session) => return Ok(Some((session, kept))),
                    // It was logged out in between, and forgotten.
                    Err(_) => grant = kept,
                },
            }
        }
    }

    /// Begins a session packed, where it is new and nothing else is to be done.
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
