//! Families of refresh tokens in Redis, for an authorization server of several processes.

use core::fmt;
use std::collections::HashMap;
use std::format;
use std::prelude::rust_2024::*;
use std::sync::{Arc, LazyLock};
use std::vec;

use redis::Script;

use super::connection::RedisConnection;
use super::said;
use crate::issue::{FamilyId, FamilyRecord, FamilyStore, FamilySwap, OwnClaims, VersionedFamily};
use crate::rotation::{Row, Tolerance};
use crate::store::{StoreError, Version};
use crate::time::Timestamp;

static FAMILY: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("family.lua")));

/// Keeps families of refresh tokens in Redis (features `redis` and `issue`). Clones share them, and
/// so do all processes that use the same name.
///
/// ```no_run
/// use perennial::adapters::redis::{RedisConnection, RedisFamilies};
/// use perennial::issue::{Issuer, Keys};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let connection = RedisConnection::open(redis::Client::open("redis://127.0.0.1/")?)?;
/// let keys = Keys::new([7; 32])?; // from your secret store; the same in every process
/// let issuer = Issuer::builder(keys, RedisFamilies::new(&connection, "auth")).build();
/// # drop(issuer);
/// # Ok(())
/// # }
/// ```
///
/// Each step is one script, so that of two processes that rotate one token one does. All keys begin
/// with `{name}:`, so that they lie on one node of a cluster. The server deletes a family an hour after it may
/// be forgotten, by its own clock; nothing has to be purged. Where that clock jumps ahead, what is due by then is gone:
/// let it be slewed.
#[derive(Clone)]
pub struct RedisFamilies {
    connection: RedisConnection,
    families: Arc<str>,
    subjects: Arc<str>,
}

impl RedisFamilies {
    /// Creates the store with this name, which must not be empty. Nothing is sent.
    pub fn new(connection: &RedisConnection, name: &str) -> Self {
        Self {
            connection: connection.clone(),
            families: format!("{{{name}}}:family:").into(),
            subjects: format!("{{{name}}}:subject:").into(),
        }
    }

    fn key(&self, id: FamilyId) -> String {
        format!("{}{id}", self.families)
    }

    /// Runs one step, and returns its reply: a word, and what belongs to it.
    async fn step(
        &self,
        step: &str,
        key: String,
        arguments: Vec<String>,
    ) -> Result<(String, Vec<String>), StoreError> {
        let fixed = [step, &self.families, &self.subjects].map(String::from);
        let all = fixed.into_iter().chain(arguments).map(String::into_bytes).collect();
        let parts = self.connection.run(&FAMILY, key, all).await?;
        let texts = parts.into_iter().map(|part| String::from_utf8(part.unwrap_or_default()));
        let mut texts = texts.collect::<Result<Vec<_>, _>>().map_err(|_| damaged())?.into_iter();
        let word = texts.next().ok_or_else(said::unknown_answer)?;
        Ok((word, texts.collect()))
    }
}

impl FamilyStore for RedisFamilies {
    async fn insert(&self, id: FamilyId, record: FamilyRecord) -> Result<(), StoreError> {
        let mut arguments =
            vec![id.to_string(), record.subject.clone(), optional(record.forget_at)];
        arguments.push(u8::from(record.has_refresh_token()).to_string());
        push(&mut arguments, "client", &record.client);
        push(&mut arguments, "subject", &record.subject);
        if let Some(scope) = record.scope {
            push(&mut arguments, "scope", &scope);
        }
        if let Some(device) = record.device {
            push(&mut arguments, "device", &device);
        }
        if let Some(claims) = record.claims.to_json() {
            push(&mut arguments, "claims", &claims);
        }
        state(&mut arguments, record.family, record.forget_at);
        match self.step("insert", self.key(id), arguments).await?.0.as_str() {
            "done" => Ok(()),
            "taken" => Err(StoreError::unreachable("a family with this name exists already")),
            _ => Err(said::unknown_answer()),
        }
    }

    async fn find(&self, id: FamilyId) -> Result<Option<VersionedFamily>, StoreError> {
        read(self.step("find", self.key(id), vec![]).await?.1)
    }

    async fn swap(
        &self,
        id: FamilyId,
        expected: Version,
        family: Row,
        forget_at: Option<Timestamp>,
    ) -> Result<FamilySwap, StoreError> {
        let mut arguments = vec![expected.number().to_string(), optional(forget_at)];
        state(&mut arguments, family, forget_at);
        let (word, found) = self.step("swap", self.key(id), arguments).await?;
        match word.as_str() {
            "done" => Ok(FamilySwap::Done),
            "conflict" => Ok(FamilySwap::Conflict(read(found)?)),
            _ => Err(said::unknown_answer()),
        }
    }

    async fn revoke(&self, id: FamilyId) -> Result<(), StoreError> {
        self.step("revoke", self.key(id), vec![]).await.map(drop)
    }

    async fn revoke_subject(&self, subject: &str) -> Result<u64, StoreError> {
        let key = format!("{}{subject}", self.subjects);
        let (_, counted) = self.step("revoke_subject", key, vec![]).await?;
        counted.first().and_then(|it| it.parse().ok()).ok_or_else(said::unknown_answer)
    }

    async fn families_of(
        &self,
        subject: &str,
        most: usize,
    ) -> Result<Vec<(FamilyId, FamilyRecord)>, StoreError> {
        let key = format!("{}{subject}", self.subjects);
        let (_, texts) = self.step("families_of", key, vec![most.to_string()]).await?;
        let (mut texts, mut families) = (texts.into_iter(), Vec::new());
        while let (Some(name), Some(count)) = (texts.next(), texts.next()) {
            let count = count.parse().map_err(|_| said::unknown_answer())?;
            let found = read(texts.by_ref().take(count).collect())?;
            let id = FamilyId::parse(&name).ok_or_else(said::unknown_answer)?;
            families.extend(found.map(|found| (id, found.record)));
        }
        Ok(families)
    }

    /// The server deletes what has expired.
    async fn purge(&self, _now: Timestamp) -> Result<u64, StoreError> {
        Ok(0)
    }
}

impl fmt::Debug for RedisFamilies {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("RedisFamilies");
        shown.field("families", &self.families).finish_non_exhaustive()
    }
}

fn push(arguments: &mut Vec<String>, field: &str, value: &impl ToString) {
    arguments.extend([field.into(), value.to_string()]);
}

/// Pushes the fields that a swap writes.
fn state(arguments: &mut Vec<String>, row: Row, forget_at: Option<Timestamp>) {
    push(arguments, "began", &row.began.as_millis());
    push(arguments, "used", &row.used.as_millis());
    push(arguments, "newest", &row.newest);
    let (tolerance, until, uses) = match row.tolerance {
        Tolerance::Closed => ("closed", None, 0),
        Tolerance::Unconfirmed => ("unconfirmed", None, 0),
        Tolerance::Open { until, uses } => ("open", Some(until), uses),
    };
    push(arguments, "tolerance", &tolerance);
    push(arguments, "until", &optional(until));
    push(arguments, "uses", &uses);
    push(arguments, "revoked", &u8::from(row.revoked));
    push(arguments, "forget_at", &optional(forget_at));
}

fn optional(instant: Option<Timestamp>) -> String {
    instant.map_or_else(String::new, |instant| instant.as_millis().to_string())
}

/// Reads the fields and values of a family; `None` if there are none.
fn read(fields: Vec<String>) -> Result<Option<VersionedFamily>, StoreError> {
    if fields.is_empty() {
        return Ok(None);
    }
    let mut fields = fields.into_iter();
    let mut values = HashMap::new();
    while let (Some(field), Some(value)) = (fields.next(), fields.next()) {
        values.insert(field, value);
    }
    versioned(&mut values).map(Some).ok_or_else(damaged)
}

fn versioned(values: &mut HashMap<String, String>) -> Option<VersionedFamily> {
    let instant = |text: &String| text.parse().ok().map(Timestamp::from_millis);
    let maybe = |text: &String| if text.is_empty() { Some(None) } else { instant(text).map(Some) };
    let tolerance = match values.get("tolerance")?.as_str() {
        "closed" => Tolerance::Closed,
        "unconfirmed" => Tolerance::Unconfirmed,
        "open" => Tolerance::Open {
            until: instant(values.get("until")?)?,
            uses: values.get("uses")?.parse().ok()?,
        },
        _ => return None,
    };
    let family = Row {
        began: instant(values.get("began")?)?,
        used: instant(values.get("used")?)?,
        newest: values.get("newest")?.parse().ok()?,
        tolerance,
        revoked: match values.get("revoked")?.as_str() {
            "0" => false,
            "1" => true,
            _ => return None,
        },
    };
    let version = Version::new(values.get("version")?.parse().ok()?);
    let forget_at = maybe(values.get("forget_at")?)?;
    let (client, subject) = (values.remove("client")?, values.remove("subject")?);
    let (scope, device) = (values.remove("scope"), values.remove("device"));
    let claims = values.remove("claims");
    let claims = claims.map_or(Ok(OwnClaims::new()), |it| OwnClaims::from_json(&it)).ok()?;
    Some(VersionedFamily {
        version,
        record: FamilyRecord { client, subject, scope, device, claims, family, forget_at },
    })
}

fn damaged() -> StoreError {
    StoreError::damaged("a stored family of refresh tokens cannot be understood")
}
