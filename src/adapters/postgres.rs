//! Grants and families in PostgreSQL (feature `postgres`), shared by many processes on many hosts.
//!
//! ```no_run
//! use perennial::adapters::postgres::{PostgresConnection, PostgresStore};
//! use perennial::refresh::{RefreshError, Request};
//! use perennial::session::Session;
//! use perennial::token::Grant;
//! use tokio_postgres::NoTls;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let connection = PostgresConnection::open("host=/run/postgresql user=app".parse()?, NoTls)?;
//! connection.migrate().await?; // or with your other migrations: see `SCHEMA`
//! let session = Session::builder(|_request: Request| async {
//!     Err::<Grant, _>(RefreshError::unavailable("not in this example"))
//! })
//! .store(PostgresStore::new(&connection, "alice"))
//! .build()?;
//! # drop(session);
//! # Ok(())
//! # }
//! ```
//!
//! For a grant for each user, `keyed::Sessions` takes
//! `.stores(move |user| PostgresStore::new(&connection, format!("grant:{user}")))`: all share one pool,
//! and one connection that listens.
//!
//! # What is stored
//! A grant is one row of `perennial_grants`: `version`, `record` ([`Versioned::to_json`]) and its
//! SHA-256, without which a record that was changed in place counts as damaged; and who has the lease
//! until when, by the database's clock. The tokens are not encrypted. Every write and
//! every release is notified on the channel `perennial_changed`, with the key as the payload. A family of refresh
//! tokens is one row of `perennial_families`, without any token.
//!
//! # Schema and migrations
#![doc = concat!("```sql\n", include_str!("postgres/schema.sql"), "```")]
//! [`SCHEMA`] is this text, for your other migrations; it changes nothing where the tables are there, and
//! [`PostgresConnection::migrate`] runs it under an advisory lock, so that processes that start at once may
//! all do so. It alters no table: a release that needs another one says so in the changelog, with its statements.
//! Before the first release `record_sum` was added, and then three columns of families:
//! ```sql
//! ALTER TABLE perennial_grants ADD COLUMN record_sum bytea;
//! UPDATE perennial_grants SET record_sum = sha256(convert_to(record, 'UTF8'));
//! ALTER TABLE perennial_grants ALTER COLUMN record_sum SET NOT NULL;
//! ALTER TABLE perennial_families ADD COLUMN device text, ADD COLUMN claims text, ADD COLUMN over_at bigint;
//! ```
//!
//! Rows of a table of your own move by an `INSERT … SELECT`. A grant's `record` is what
//! [`Versioned::to_json`] returns, its `record_sum` the SHA-256 of that, and its `version` the time in
//! milliseconds, here of records in a table `sessions`:
//! ```sql
//! INSERT INTO perennial_grants (key, version, record, record_sum)
//! SELECT name, (extract(epoch FROM now()) * 1000)::bigint, record, sha256(convert_to(record, 'UTF8'))
//! FROM sessions ON CONFLICT (key) DO NOTHING;
//! ```
//! Families are named by the tokens that were issued with them, so that only rows of another store of
//! families can be moved: `id` is `FamilyId::to_bytes`, instants are milliseconds since 1970, `version` is any.
//!
//! Grants stay until you delete their rows, which to a process that has seen one is no logout but a loss.
//! Families that may be forgotten stay until they are purged, by `PURGE` or `Issuer::purge`, about once an hour.
//! One with a refresh token is marked first and deleted by a later run, so that a clock that jumps ahead for less
//! than an hour deletes no login:
//! ```sql
//! WITH instant AS (SELECT (extract(epoch FROM now()) * 1000)::bigint AS now),
//! marked AS (UPDATE perennial_families
//!     SET over_at = CASE WHEN forget_at <= instant.now THEN instant.now END FROM instant
//!     WHERE newest > 0 AND CASE WHEN forget_at <= instant.now THEN over_at IS NULL OR over_at > instant.now
//!         ELSE over_at IS NOT NULL END),
//! deleted AS (DELETE FROM perennial_families USING instant
//!     WHERE forget_at <= instant.now - 60000 AND (newest = 0 OR over_at <= instant.now - 3600000)
//!     RETURNING 1)
//! SELECT count(*) FROM deleted;
//! ```
//!
//! # Invariants
//! - Each step is one statement, in a transaction of its own, and decides on the row that it has
//!   locked ([F1](crate::spec#f-storage)). What a conflict returns is read by a second one.
//! - A version is at least the database's time in milliseconds, and never used twice: not after the
//!   row was deleted, and not by a replica that takes over without the latest writes.
//! - A logout leaves a record without a grant. A row that is gone, or whose version is lower than one
//!   that this process has seen, is [`StoreError::emptied`], and no logout.
//! - No error repeats what the database says, nor the configuration, which may have a password.
//!
//! # What it relies on
//! `synchronous_commit` must not be off, or a crash may lose what was answered. With several hosts,
//! `target_session_attrs=read-write` finds the primary. A `NOTIFY` takes a lock of the whole cluster
//! as it commits, which is fine for some thousand writes a second. Stores work through a pooler that
//! pools transactions; listening needs a connection of its own.
//!
//! # Out of scope
//! TLS, which the program brings, and wiping the tokens from the client's buffers.

mod columns;
mod connection;
#[cfg(feature = "issue")]
mod families;
mod said;
mod statements;

use core::fmt;
use core::future::Future;
use core::time::Duration;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use secrecy::zeroize::Zeroizing;
use tokio::time::timeout;

use self::columns::{Value, column, number, record_value, seconds};
pub use self::connection::PostgresConnection;
#[cfg(feature = "issue")]
pub use self::families::{PURGE, PostgresFamilies};
pub use self::statements::SCHEMA;
use crate::primitives::{AtomicU64, Ordering};
use crate::refresh::BoxFuture;
use crate::store::remote::{Glance, Listener, POLL};
use crate::store::{
    Acquired, Lease, Store, StoreError, StoredGrant, Swap, Version, Versioned, json,
};
use crate::token::Secret;

/// A store that keeps a grant in a row of PostgreSQL, with a [`Lease`]. Clones share the grant, and so
/// do all stores of the same key.
#[derive(Clone)]
pub struct PostgresStore {
    connection: PostgresConnection,
    key: Arc<str>,
    /// The fencing number of the holder that was last found to have the lease.
    busy: Arc<AtomicU64>,
}

/// How often a step is repeated that somebody else's change has made void.
const ATTEMPTS: usize = 8;

/// A row as it was found.
struct Found {
    version: i64,
    record: Zeroizing<String>,
    fence: Option<i64>,
    /// Whether the record is what was written.
    intact: bool,
}

impl PostgresStore {
    /// Creates the store of the grant under `key`, of 2 kB at most. Nothing is sent.
    pub fn new(connection: &PostgresConnection, key: impl Into<Arc<str>>) -> Self {
        Self { connection: connection.clone(), key: key.into(), busy: Arc::default() }
    }

    /// Returns the key.
    pub fn key(&self) -> &str {
        &self.key
    }

    fn key_value(&self) -> Value {
        Value::Text(Some(self.key.to_string()))
    }

    fn seen(&self) -> i64 {
        number(self.connection.seen().of(&self.key))
    }

    fn note(&self, version: i64) -> Version {
        let version = Version::new(version.unsigned_abs());
        self.connection.seen().note(&self.key, version);
        version
    }

    /// Reads the row; `None` if there is none, and nobody here has seen one.
    async fn find(&self) -> Result<Option<Found>, StoreError> {
        let seen = self.seen();
        let rows = self.connection.query(statements::LOAD, &[self.key_value()]).await?;
        let found = match rows.first() {
            None => None,
            Some(row) => Some(Found {
                version: column(row, 0)?,
                record: Zeroizing::new(column(row, 1)?),
                fence: column(row, 2)?,
                intact: column(row, 3)?,
            }),
        };
        match &found {
            Some(found) if found.version >= seen || !found.intact => drop(self.note(found.version)),
            None if seen == 0 => {}
            Some(_) | None => return Err(said::emptied(&self.key)),
        }
        Ok(found)
    }

    fn content(&self, found: &Found) -> Result<Versioned, StoreError> {
        let version = self.note(found.version);
        if !found.intact {
            return Err(said::damaged(&self.key, "the record is not what was written"));
        }
        let content = json::decode(found.record.as_bytes());
        let content = content.map_err(|reason| said::damaged(&self.key, &reason))?;
        Ok(Versioned { version, ..content })
    }

    async fn read(self) -> Result<Versioned, StoreError> {
        match self.find().await? {
            Some(found) => self.content(&found),
            None => Ok(Versioned::EMPTY),
        }
    }

    async fn write(self, expected: Version, next: Secret) -> Result<Swap, StoreError> {
        for _ in 0..ATTEMPTS {
            let parameters = [
                self.key_value(),
                Value::Number(Some(number(expected))),
                Value::Number(Some(self.seen())),
                record_value(&next),
            ];
            if let Some(row) = self.connection.query(statements::SWAP, &parameters).await?.first() {
                return Ok(Swap::Done(self.note(column(row, 0)?)));
            }
            match self.find().await {
                // It was lost just now.
                Err(error) if error.is_emptied() => {}
                Ok(Some(found)) => return self.content(&found).map(Swap::Conflict),
                Ok(None) => return Ok(Swap::Conflict(Versioned::EMPTY)),
                Err(error) => return Err(error),
            }
        }
        Err(said::restless())
    }

    async fn repair(self, next: Secret, keeps_copy: bool) -> Result<Swap, StoreError> {
        for _ in 0..ATTEMPTS {
            let found = match self.find().await {
                Ok(Some(found)) => found,
                Ok(None) => return Ok(Swap::Conflict(Versioned::EMPTY)),
                // There is nothing to repair, and nothing that could conflict.
                Err(error) if error.is_emptied() => return self.write(Version::EMPTY, next).await,
                Err(error) => return Err(error),
            };
            if let Ok(content) = self.content(&found) {
                return Ok(Swap::Conflict(content));
            }
            let parameters = [
                self.key_value(),
                Value::Number(Some(found.version)),
                Value::Record(found.record),
                Value::Number(Some(self.seen())),
                record_value(&next),
                Value::Flag(keeps_copy),
            ];
            if let Some(row) = self.connection.query(statements::REPAIR, &parameters).await?.first()
            {
                return Ok(Swap::Done(self.note(column(row, 0)?)));
            }
        }
        Err(said::restless())
    }

    async fn try_acquire(self, term: Duration) -> Result<Acquired, StoreError> {
        let seen = self.seen();
        let parameters = [
            self.key_value(),
            seconds(term),
            Value::Number(Some(seen)),
            record_value(&json::encode(Version::EMPTY.next(), None)),
        ];
        let rows = self.connection.query(statements::ACQUIRE, &parameters).await?;
        if let Some(row) = rows.first() {
            self.busy.store(0, Ordering::Relaxed);
            let record = Zeroizing::new(column(row, 1)?);
            let found = Found { version: column(row, 0)?, record, fence: None, intact: true };
            return self.content(&found).map(Acquired::Held);
        }
        let rows = self.connection.query(statements::BUSY, &[self.key_value()]).await?;
        let Some(row) = rows.first() else { return Err(said::emptied(&self.key)) };
        let (version, fence): (i64, Option<i64>) = (column(row, 0)?, column(row, 1)?);
        if !column::<bool>(row, 3)? {
            return Err(said::damaged(&self.key, "the record is not what was written"));
        }
        if version < seen {
            return Err(said::emptied(&self.key));
        }
        self.note(version);
        self.busy.store(fence.unwrap_or(0).unsigned_abs(), Ordering::Relaxed);
        let remaining: Option<f64> = column(row, 2)?;
        // It may have ended just now.
        let remaining = remaining.map_or(0.0, |seconds| seconds.max(0.0));
        Ok(Acquired::Busy { remaining: Duration::try_from_secs_f64(remaining).ok() })
    }

    async fn try_renew(self, fence: Version, term: Duration) -> Result<bool, StoreError> {
        let parameters = [
            self.key_value(),
            Value::Number(Some(number(fence))),
            seconds(term),
            Value::Number(Some(self.seen())),
        ];
        let rows = self.connection.query(statements::RENEW, &parameters).await?;
        Ok(!rows.is_empty())
    }

    async fn try_release(self, fence: Version) -> Result<(), StoreError> {
        let parameters = [self.key_value(), Value::Number(Some(number(fence)))];
        self.connection.query(statements::RELEASE, &parameters).await.map(drop)
    }

    /// Completes once the row differs from what is known.
    async fn wait(self, mut known: Glance, mut listener: Listener) {
        loop {
            if let Ok(found) = self.find().await {
                let version = found.as_ref().map_or(0, |found| found.version);
                let fence = found.and_then(|found| found.fence);
                let version = Version::new(version.unsigned_abs());
                let now =
                    Glance { version, fence: fence.map(|it| Version::new(it.unsigned_abs())) };
                if now.differs(known) {
                    return;
                }
                known = now;
            }
            if timeout(POLL, listener.hear(&self.key)).await.is_ok() {
                return;
            }
        }
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PostgresStore").field("key", &self.key).finish_non_exhaustive()
    }
}

/// # Cancellation
/// Dropping a future before its first poll has no effect. A write that is dropped later may still be
/// done.
impl Store for PostgresStore {
    fn load(&self) -> impl Future<Output = Result<Versioned, StoreError>> + Send + 'static {
        self.connection.spawned(self.clone().read())
    }

    fn swap(
        &self,
        expected: Version,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        let next = json::encode(Version::EMPTY.next(), next.as_ref());
        self.connection.spawned(self.clone().write(expected, next))
    }

    fn replace_damaged(
        &self,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        let record = json::encode(Version::EMPTY.next(), next.as_ref());
        self.connection.spawned(self.clone().repair(record, next.is_some()))
    }

    fn lease(&self) -> Option<Arc<dyn Lease>> {
        Some(Arc::new(self.clone()))
    }
}

impl Lease for PostgresStore {
    fn acquire(&self, term: Duration) -> BoxFuture<Result<Acquired, StoreError>> {
        Box::pin(self.connection.spawned(self.clone().try_acquire(term)))
    }

    fn renew(&self, fence: Version, term: Duration) -> BoxFuture<Result<bool, StoreError>> {
        Box::pin(self.connection.spawned(self.clone().try_renew(fence, term)))
    }

    fn release(&self, fence: Version) -> BoxFuture<Result<(), StoreError>> {
        Box::pin(self.connection.spawned(self.clone().try_release(fence)))
    }

    fn changed(&self) -> BoxFuture<()> {
        let listener = self.connection.listen();
        let busy = self.busy.load(Ordering::Relaxed);
        let version = self.connection.seen().of(&self.key);
        let known = Glance { version, fence: (busy > 0).then(|| Version::new(busy)) };
        let waits = self.connection.attended(self.clone().wait(known, listener));
        Box::pin(waits)
    }
}
