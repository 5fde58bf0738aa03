//! Grants and families in Redis or Valkey (feature `redis`), shared by many processes on many hosts.
//!
//! ```no_run
//! use perennial::adapters::redis::{RedisConnection, RedisStore};
//! use perennial::refresh::{RefreshError, Request};
//! use perennial::session::Session;
//! use perennial::token::Grant;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let connection = RedisConnection::open(redis::Client::open("redis://127.0.0.1/")?)?;
//! let session = Session::builder(|_request: Request| async {
//!     Err::<Grant, _>(RefreshError::unavailable("not in this example"))
//! })
//! .store(RedisStore::new(&connection, "grant:alice"))
//! .build()?;
//! # drop(session);
//! # Ok(())
//! # }
//! ```
//!
//! For a grant for each user, `keyed::Sessions` takes
//! `.stores(move |user| RedisStore::new(&connection, format!("grant:{user}")))`: all share one
//! connection, and one more that listens.
//!
//! # What is stored
//! A grant is one hash under its key, so that it lies on one node of a cluster, with the fields
//! `version`, `record` ([`Versioned::to_json`]) and `sum`, its SHA-1, without which a record that was
//! changed in place counts as damaged; and `fence`, `until` and `term` while a lease is held. The tokens are not encrypted. Every write is published on the channel
//! `perennial:changed`, with the key as the message. A family of refresh tokens is one hash
//! `{name}:family:ID`, without any token, and a set `{name}:subject:SUBJECT` lists the families of a subject.
//!
//! There is no schema to create, nothing to migrate so far, and nothing to purge: grants have no expiry,
//! and the server deletes a family an hour after it may be forgotten.
//!
//! # Invariants
//! - Each step is one script, which the server runs alone, with its own clock. It writes by one
//!   command, so that a crash leaves the old state or the new one ([F1](crate::spec#f-storage)).
//! - A version is at least the server's time in milliseconds, and never used twice: not after the
//!   key was removed, and not by a replica that takes over without the latest writes.
//! - A logout leaves a record without a grant. A key that is gone, or whose version is lower than one
//!   that this process has seen, is [`StoreError::emptied`], and no logout.
//! - No error repeats what the server says, nor the connection's address, which may have a password.
//!
//! # What it relies on
//! A write must survive a crash of the server: `appendonly yes`, with `appendfsync always` where not
//! even the last second may be lost. A failover to a replica may lose writes that were answered
//! (`min-replicas-to-write` and `WAIT` narrow that): a process that has seen them notices, a new one
//! cannot. Keys must not be evicted (`maxmemory-policy noeviction`) and have no expiry. Redis 5 or
//! later, or Valkey.
//!
//! # Out of scope
//! TLS, unless the program enables it in `redis`; and wiping the tokens from that crate's buffers.

mod connection;
#[cfg(feature = "issue")]
mod families;
mod reply;
mod said;

use core::fmt;
use core::future::Future;
use core::time::Duration;
use std::prelude::rust_2024::*;
use std::sync::{Arc, LazyLock};
use std::vec;

use redis::Script;
use tokio::time::timeout;

pub use self::connection::RedisConnection;
#[cfg(feature = "issue")]
pub use self::families::RedisFamilies;
use self::reply::{Reply, Said, millis, number, record};
use crate::primitives::{AtomicU64, Ordering};
use crate::refresh::BoxFuture;
use crate::store::remote::{Glance, Listener, POLL};
use crate::store::{Acquired, Lease, Store, StoreError, StoredGrant, Swap, Version, Versioned};

static GRANT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("redis/grant.lua")));

/// How often a repair is repeated that somebody else's change has made void.
const ATTEMPTS: usize = 8;

/// A store that keeps a grant in a hash of Redis, with a [`Lease`]. Clones share the grant, and so do
/// all stores of the same key.
#[derive(Clone)]
pub struct RedisStore {
    connection: RedisConnection,
    key: Arc<str>,
    /// The fencing number of the holder that was last found to have the lease.
    busy: Arc<AtomicU64>,
}

impl RedisStore {
    /// Creates the store of the grant under `key`. Nothing is sent.
    pub fn new(connection: &RedisConnection, key: impl Into<Arc<str>>) -> Self {
        Self { connection: connection.clone(), key: key.into(), busy: Arc::default() }
    }

    /// Returns the key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Runs one step, and notes the version that it returns.
    async fn step(self, step: &str, arguments: Vec<Vec<u8>>) -> Result<Reply, StoreError> {
        let seen = self.connection.seen().of(&self.key);
        let mut all = vec![step.as_bytes().to_vec(), number(seen)];
        all.extend(arguments);
        let parts = self.connection.run(&GRANT, self.key.to_string(), all).await?;
        let reply = Reply::of(parts, &self.key)?;
        self.connection.seen().note(&self.key, reply.version);
        Ok(reply)
    }

    async fn read(self) -> Result<Versioned, StoreError> {
        let key = Arc::clone(&self.key);
        self.step("load", vec![]).await?.content(&key)
    }

    async fn write(self, expected: Version, next: Vec<u8>) -> Result<Swap, StoreError> {
        let key = Arc::clone(&self.key);
        let reply = self.step("swap", vec![number(expected), next]).await?;
        match reply.said {
            Said::Done => Ok(Swap::Done(reply.version)),
            Said::Conflict => reply.content(&key).map(Swap::Conflict),
            Said::Found | Said::Held | Said::Busy | Said::Lost | Said::Damaged | Said::Changed => {
                reply.content(&key).and(Err(said::unknown_answer()))
            }
        }
    }

    async fn repair(self, next: Vec<u8>, keeps_copy: bool) -> Result<Swap, StoreError> {
        for _ in 0..ATTEMPTS {
            let key = Arc::clone(&self.key);
            let found = match self.clone().step("load", vec![]).await {
                Err(error) if error.is_emptied() => {
                    // There is nothing to repair, and nothing that could conflict.
                    return self.write(Version::EMPTY, next).await;
                }
                found => found?,
            };
            if let Ok(content) = found.content(&key) {
                return Ok(Swap::Conflict(content));
            }
            let copy = if keeps_copy { b"1".to_vec() } else { b"0".to_vec() };
            let Reply { raw_version, record, .. } = found;
            let record = record.map(|it| it.to_vec()).unwrap_or_default();
            let repaired = vec![raw_version, record, next.clone(), copy];
            let reply = self.clone().step("repair", repaired).await?;
            if reply.said == Said::Done {
                return Ok(Swap::Done(reply.version));
            }
        }
        Err(said::restless())
    }

    async fn glance(self) -> Result<Glance, StoreError> {
        let reply = self.step("load", vec![]).await?;
        Ok(Glance { version: reply.version, fence: reply.fence })
    }

    /// Completes once a glance differs from the present one.
    async fn wait(self, known: Glance, mut listener: Listener) {
        let mut before = known;
        loop {
            if let Ok(now) = self.clone().glance().await {
                if now.differs(before) {
                    return;
                }
                before = now;
            }
            if timeout(POLL, listener.hear(&self.key)).await.is_ok() {
                return;
            }
        }
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RedisStore").field("key", &self.key).finish_non_exhaustive()
    }
}

/// # Cancellation
/// Dropping a future before its first poll has no effect. A write that is dropped later may still be
/// done.
impl Store for RedisStore {
    fn load(&self) -> impl Future<Output = Result<Versioned, StoreError>> + Send + 'static {
        self.clone().read()
    }

    fn swap(
        &self,
        expected: Version,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        self.clone().write(expected, record(next.as_ref()))
    }

    fn replace_damaged(
        &self,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        self.clone().repair(record(next.as_ref()), next.is_some())
    }

    fn lease(&self) -> Option<Arc<dyn Lease>> {
        Some(Arc::new(self.clone()))
    }
}

impl Lease for RedisStore {
    fn acquire(&self, term: Duration) -> BoxFuture<Result<Acquired, StoreError>> {
        let this = self.clone();
        Box::pin(async move {
            let (key, busy) = (Arc::clone(&this.key), Arc::clone(&this.busy));
            let reply = this.step("acquire", vec![millis(term), record(None)]).await?;
            busy.store(reply.fence.map_or(0, Version::number), Ordering::Relaxed);
            match reply.said {
                Said::Held => reply.content(&key).map(Acquired::Held),
                Said::Busy => Ok(Acquired::Busy { remaining: reply.remaining }),
                Said::Done
                | Said::Found
                | Said::Conflict
                | Said::Lost
                | Said::Damaged
                | Said::Changed => reply.content(&key).and(Err(said::unknown_answer())),
            }
        })
    }

    fn renew(&self, fence: Version, term: Duration) -> BoxFuture<Result<bool, StoreError>> {
        let renewed = self.clone().step("renew", vec![number(fence), millis(term)]);
        Box::pin(async move { Ok(renewed.await?.said == Said::Held) })
    }

    fn release(&self, fence: Version) -> BoxFuture<Result<(), StoreError>> {
        let released = self.clone().step("release", vec![number(fence)]);
        Box::pin(async move { released.await.map(drop) })
    }

    fn changed(&self) -> BoxFuture<()> {
        let listener = self.connection.listen();
        let version = self.connection.seen().of(&self.key);
        let busy = self.busy.load(Ordering::Relaxed);
        let known = Glance { version, fence: (busy > 0).then(|| Version::new(busy)) };
        let this = self.clone();
        let connection = self.connection.clone();
        let waits = async move {
            this.wait(known, listener).await;
            Ok(())
        };
        Box::pin(async move { drop(connection.spawned(waits).await) })
    }
}
