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
mod builder;
mod close;
mod keep;
#[cfg(all(test, loom))]
mod models;
mod record;
mod shard;
mod wheel;

pub use builder::Builder;
pub use keep::KeepFresh;
pub use wheel::Wheel;

use core::fmt;
use core::hash::{BuildHasher, Hash};
use std::hash::RandomState;
use std::prelude::rust_2024::*;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use self::aging::Aging;
use self::builder::Program;
use self::keep::Nudge;
use self::record::{Idle, Live, Record};
use self::shard::{Garbage, Shard};
use crate::lifecycle::State;
use crate::primitives::contained;
use crate::refresh::{RefreshError, Request};
use crate::session::suspend::{Prepared, Suspended, check_grant, no_such_session};
use crate::session::{Error, Rejection, Session};
use crate::time::Timestamp;
use crate::token::{AccessToken, Grant};

/// How many shards there are. A power of two.
const SHARDS: usize = 64;

/// Very many sessions, each under its key. Cloning gives another handle to the same ones.
pub struct Sessions<K> {
    all: Arc<All<K>>,
}

/// What the handles share.
struct All<K> {
    shards: Box<[RwLock<Shard<K>>]>,
    hasher: RandomState,
    program: Arc<Program<K>>,
    /// When the sessions were built.
    began: Timestamp,
    nudge: Nudge,
}

/// What a key may be.
pub trait Key: Hash + Eq + Clone + Send + Sync + 'static {}

impl<K: Hash + Eq + Clone + Send + Sync + 'static> Key for K {}

impl<K: Key> Sessions<K> {
    /// Sessions that ask `refresh`, a closure of key and request, for new grants.
    pub fn builder<F, Fut>(refresh: F) -> Builder<K>
    where
        F: Fn(&K, Request) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Grant, RefreshError>> + Send + 'static,
    {
        Builder::new(refresh)
    }

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

    /// Packs, and evicts by policy, all that may be, at once. Next-ups do so by and by.
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

    /// A future that renews the tokens of all keys when they are due, without any caller. Spawn it;
    /// it ends once the last handle is dropped.
    pub fn keep_fresh(&self, timer: impl crate::clock::Timer) -> KeepFresh<K> {
        KeepFresh::new(&self.all, Arc::new(timer))
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

/// How many records each write to a shard looks at besides: whether they may be packed or evicted.
const SWEPT: u32 = 4;

enum Begun {
    Packed,
    Exists(Grant),
    Refused(Error),
}

impl<K: Key> All<K> {
    /// The session of `key`, taken up where it was packed, read from its store where it is new.
    fn find(&self, key: &K) -> Result<Session, Error> {
        let hash = self.hash(key);
        match self.read(key).get(hash, key) {
            Some(Record::Live(_, live)) => return Ok(live.get()),
            Some(Record::Idle(..) | Record::Vacant) => {}
            None if self.program.stores.is_some() => {}
            None => return Err(no_such_session()),
        }
        // The program's code, called before any lock is taken (rule C6).
        let prepared = self.program.prepare(key);
        let first = self
            .program
            .stores
            .as_ref()
            .map(|_| Suspended::first(&self.program.settings, true, None));
        let now = self.program.settings.now();
        let mut garbage = Garbage::default();
        let session = {
            let mut shard = self.write(key);
            let session = shard.resume(hash, &self.hasher, key, prepared, first, &mut garbage);
            shard.sweep(SWEPT, &self.aging(now), &mut garbage);
            session
        };
        self.discard(garbage);
        session.ok_or_else(no_such_session)
    }

    fn hash(&self, key: &K) -> u64 {
        self.hasher.hash_one(key)
    }

    fn shard(&self, key: &K) -> &RwLock<Shard<K>> {
        // The highest bits: the lowest choose the place within the shard.
        let number = usize::try_from(self.hash(key) >> 40).unwrap_or(0) % SHARDS;
        &self.shards[number]
    }

    fn read(&self, key: &K) -> RwLockReadGuard<'_, Shard<K>> {
        lock_for_reading(self.shard(key))
    }

    fn write(&self, key: &K) -> RwLockWriteGuard<'_, Shard<K>> {
        lock_for_writing(self.shard(key))
    }

    /// Seconds since the sessions were built.
    fn seconds(&self, now: Timestamp) -> u32 {
        u32::try_from(now.since(self.began).as_millis() / 1000).unwrap_or(u32::MAX)
    }

    fn aging(&self, now: Timestamp) -> Aging<'_, K> {
        Aging { now, seconds: self.seconds(now), hasher: &self.hasher, program: &self.program }
    }

    /// Drops, outside of any lock, what was left over; hands over what was evicted.
    fn discard(&self, garbage: Garbage<K>) {
        if let Some(on_evict) = &self.program.on_evict {
            for (key, rest) in garbage.evicted {
                if let Some(grant) = rest.grant {
                    // One that panics keeps the others from nothing.
                    let _ = contained(|| on_evict(key, grant));
                }
            }
        }
    }
}

fn lock_for_reading<K>(shard: &RwLock<Shard<K>>) -> RwLockReadGuard<'_, Shard<K>> {
    shard.read().unwrap_or_else(PoisonError::into_inner)
}

fn lock_for_writing<K>(shard: &RwLock<Shard<K>>) -> RwLockWriteGuard<'_, Shard<K>> {
    shard.write().unwrap_or_else(PoisonError::into_inner)
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
