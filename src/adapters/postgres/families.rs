//! Families of refresh tokens in PostgreSQL, for an authorization server of several processes.

use core::fmt;
use std::prelude::rust_2024::*;
use std::vec;

use tokio_postgres::Row as Columns;

use super::columns::{Value, column, number};
use super::connection::PostgresConnection;
use crate::issue::{FamilyId, FamilyRecord, FamilyStore, FamilySwap, OwnClaims, VersionedFamily};
use crate::rotation::{Row, Tolerance};
use crate::store::{StoreError, Version};
use crate::time::Timestamp;

/// The purge of families, with an SQL expression for the instant.
macro_rules! purge {
    ($now:literal) => {
        concat!(
            "WITH instant AS (SELECT ", $now, " AS now), \
             marked AS (UPDATE perennial_families \
             SET over_at = CASE WHEN forget_at <= instant.now THEN instant.now END FROM instant \
             WHERE newest > 0 AND CASE WHEN forget_at <= instant.now THEN over_at IS NULL OR over_at > instant.now \
             ELSE over_at IS NOT NULL END), \
             deleted AS (DELETE FROM perennial_families USING instant \
             WHERE forget_at <= instant.now - 60000 AND (newest = 0 OR over_at <= instant.now - 3600000) \
             RETURNING 1) \
             SELECT count(*) FROM deleted"
        )
    };
}

/// Deletes the families that may be forgotten: to be run about once an hour, such as by `pg_cron`.
/// [`FamilyStore::purge`] runs the same, with the issuer's clock. One with a refresh token is marked first, and
/// deleted by a run that comes an hour later or more, so that a clock that jumps ahead deletes none; others are deleted
/// a minute after they may be, as hosts' clocks differ.
pub const PURGE: &str = purge!("(extract(epoch FROM now()) * 1000)::bigint");

/// $1: the instant.
const PURGE_AT: &str = purge!("$1::bigint");

/// $1: the subject, $2: how many at most. The columns are those of [`FIND`], and the identifier.
const FAMILIES_OF: &str = "
SELECT version, client, subject, scope, began, used, newest, tolerance, overlap_until, overlap_uses,
    revoked, forget_at, device, claims, id
FROM perennial_families WHERE subject = $1 AND NOT revoked AND newest > 0
ORDER BY used DESC LIMIT $2";

const INSERT: &str = "
INSERT INTO perennial_families (id, client, subject, scope, began, used, newest, tolerance,
    overlap_until, overlap_uses, revoked, forget_at, device, claims, version)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,
    (extract(epoch FROM statement_timestamp()) * 1000)::bigint)
ON CONFLICT (id) DO NOTHING RETURNING version";

/// $1: the identifier. In a file, as `.ci/claims` has `pgbench` run the very same.
const FIND: &str = include_str!("find.sql");

/// Claims the next rotation of a family. $1 to $8: its new state, $9: the identifier, $10: the expected version. They
/// are numbered as they occur, as `pgbench` numbers them.
const SWAP: &str = include_str!("claim.sql");

const REVOKE: &str = "
UPDATE perennial_families SET
    version = greatest(version + 1, (extract(epoch FROM statement_timestamp()) * 1000)::bigint),
    revoked = true
WHERE id = $1 RETURNING version";

const REVOKE_SUBJECT: &str = "
UPDATE perennial_families SET
    version = greatest(version + 1, (extract(epoch FROM statement_timestamp()) * 1000)::bigint),
    revoked = true
WHERE subject = $1 AND NOT revoked RETURNING version";

/// Keeps families of refresh tokens in PostgreSQL (features `postgres` and `issue`), in the table
/// `perennial_families` of [`SCHEMA`](super::SCHEMA). All processes share them.
///
/// ```no_run
/// use perennial::adapters::postgres::{PostgresConnection, PostgresFamilies};
/// use perennial::issue::{Issuer, Keys};
/// use tokio_postgres::NoTls;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let connection = PostgresConnection::open("host=/run/postgresql user=app".parse()?, NoTls)?;
/// connection.migrate().await?;
/// let keys = Keys::new([7; 32])?; // from your secret store; the same in every process
/// let issuer = Issuer::builder(keys, PostgresFamilies::new(&connection)).build();
/// # drop(issuer);
/// # Ok(())
/// # }
/// ```
///
/// Each step is one statement, so that of two processes that rotate one token one does. Families that
/// may be forgotten stay until they are [purged](PURGE).
#[derive(Clone)]
pub struct PostgresFamilies(PostgresConnection);

impl PostgresFamilies {
    /// Creates the store. Nothing is sent.
    pub fn new(connection: &PostgresConnection) -> Self {
        Self(connection.clone())
    }

    async fn query(
        &self,
        statement: &'static str,
        values: Vec<Value>,
    ) -> Result<Vec<Columns>, StoreError> {
        let connection = self.0.clone();
        self.0.spawned(async move { connection.query(statement, &values).await }).await
    }
}

impl FamilyStore for PostgresFamilies {
    async fn insert(&self, id: FamilyId, record: FamilyRecord) -> Result<(), StoreError> {
        let mut values = vec![
            name(id),
            Value::Text(Some(record.client)),
            Value::Text(Some(record.subject)),
            Value::Text(record.scope),
        ];
        values.extend(state(record.family, record.forget_at)?);
        values.extend([Value::Text(record.device), Value::Text(record.claims.to_json())]);
        if self.query(INSERT, values).await?.is_empty() {
            return Err(StoreError::unreachable("a family with this name exists already"));
        }
        Ok(())
    }

    async fn find(&self, id: FamilyId) -> Result<Option<VersionedFamily>, StoreError> {
        self.query(FIND, vec![name(id)]).await?.first().map(read).transpose()
    }

    async fn swap(
        &self,
        id: FamilyId,
        expected: Version,
        family: Row,
        forget_at: Option<Timestamp>,
    ) -> Result<FamilySwap, StoreError> {
        let mut values = Vec::from(state(family, forget_at)?);
        values.extend([name(id), Value::Number(Some(number(expected)))]);
        if self.query(SWAP, values).await?.is_empty() {
            return self.find(id).await.map(FamilySwap::Conflict);
        }
        Ok(FamilySwap::Done)
    }

    async fn revoke(&self, id: FamilyId) -> Result<(), StoreError> {
        self.query(REVOKE, vec![name(id)]).await.map(drop)
    }

    async fn revoke_subject(&self, subject: &str) -> Result<u64, StoreError> {
        let revoked = self.query(REVOKE_SUBJECT, vec![Value::Text(Some(subject.into()))]).await?;
        Ok(revoked.len() as u64)
    }

    async fn families_of(
        &self,
        subject: &str,
        most: usize,
    ) -> Result<Vec<(FamilyId, FamilyRecord)>, StoreError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let values = vec![Value::Text(Some(subject.into())), Value::Number(Some(most))];
        let found = self.query(FAMILIES_OF, values).await?;
        let named = found.iter().map(|row| {
            let id: &[u8] = column(row, 14)?;
            let id = FamilyId::from_bytes(id.try_into().map_err(|_| damaged())?);
            Ok((id, read(row)?.record))
        });
        named.collect()
    }

    async fn purge(&self, now: Timestamp) -> Result<u64, StoreError> {
        let found = self.query(PURGE_AT, vec![Value::Number(Some(now.as_millis()))]).await?;
        let deleted: i64 = found.first().map_or(Ok(0), |row| column(row, 0))?;
        Ok(deleted.unsigned_abs())
    }
}

impl fmt::Debug for PostgresFamilies {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("PostgresFamilies").field(&self.0).finish()
    }
}

fn name(id: FamilyId) -> Value {
    Value::Bytes(id.to_bytes().to_vec())
}

/// Returns the columns that a swap writes.
fn state(row: Row, forget_at: Option<Timestamp>) -> Result<[Value; 8], StoreError> {
    let newest = i64::try_from(row.newest)
        .map_err(|_| StoreError::unreachable("a family has more tokens than can be stored"))?;
    let (tolerance, until, uses) = match row.tolerance {
        Tolerance::Closed => ("closed", None, None),
        Tolerance::Unconfirmed => ("unconfirmed", None, None),
        Tolerance::Open { until, uses } => ("open", Some(until), Some(i64::from(uses))),
    };
    Ok([
        Value::Number(Some(row.began.as_millis())),
        Value::Number(Some(row.used.as_millis())),
        Value::Number(Some(newest)),
        Value::Text(Some(tolerance.into())),
        Value::Number(until.map(Timestamp::as_millis)),
        Value::Number(uses),
        Value::Flag(row.revoked),
        Value::Number(forget_at.map(Timestamp::as_millis)),
    ])
}

fn read(row: &Columns) -> Result<VersionedFamily, StoreError> {
    let instant = |place| column(row, place).map(Timestamp::from_millis);
    let (until, uses): (Option<i64>, Option<i64>) = (column(row, 8)?, column(row, 9)?);
    let tolerance = match (column(row, 7)?, until, uses.map(u32::try_from)) {
        ("closed", _, _) => Tolerance::Closed,
        ("unconfirmed", _, _) => Tolerance::Unconfirmed,
        ("open", Some(until), Some(Ok(uses))) => {
            Tolerance::Open { until: Timestamp::from_millis(until), uses }
        }
        _ => return Err(damaged()),
    };
    let (version, newest): (i64, i64) = (column(row, 0)?, column(row, 6)?);
    let forget_at: Option<i64> = column(row, 11)?;
    let claims: Option<&str> = column(row, 13)?;
    let claims = claims.map_or(Ok(OwnClaims::new()), OwnClaims::from_json);
    let family = Row {
        began: instant(4)?,
        used: instant(5)?,
        newest: newest.try_into().map_err(|_| damaged())?,
        tolerance,
        revoked: column(row, 10)?,
    };
    Ok(VersionedFamily {
        version: Version::new(version.unsigned_abs()),
        record: FamilyRecord {
            client: column(row, 1)?,
            subject: column(row, 2)?,
            scope: column(row, 3)?,
            device: column(row, 12)?,
            claims: claims.map_err(|_| damaged())?,
            family,
            forget_at: forget_at.map(Timestamp::from_millis),
        },
    })
}

fn damaged() -> StoreError {
    StoreError::damaged("a stored family of refresh tokens cannot be understood")
}
