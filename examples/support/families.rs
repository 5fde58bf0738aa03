//! A store for families of refresh tokens, by the text that `--store` takes, and the keys that go with it.

use std::path::Path;

#[cfg(feature = "postgres")]
use perennial::adapters::postgres::PostgresFamilies;
#[cfg(feature = "redis")]
use perennial::adapters::redis::RedisFamilies;
use perennial::issue::{
    FamilyId, FamilyRecord, FamilyStore, FamilySwap, Keys, MemoryFamilies, VersionedFamily,
};
use perennial::rotation::Row;
use perennial::store::{StoreError, Version};
use perennial::time::Timestamp;

use crate::place::{Kind, Result};

/// A store of one of the kinds. Clones are of the same store.
#[derive(Clone)]
pub(crate) enum Families {
    Memory(MemoryFamilies),
    #[cfg(feature = "redis")]
    Redis(RedisFamilies),
    #[cfg(feature = "postgres")]
    Postgres(PostgresFamilies),
}

/// Opens the store that `place` names.
///
/// # Errors
/// If there is no such kind of store, or it cannot be opened; the text is not repeated, as it may hold a
/// password.
#[allow(clippy::unused_async, reason = "some stores are opened asynchronously")]
pub(crate) async fn open(place: &str) -> Result<Families> {
    match Kind::of(place) {
        Some((Kind::Memory, _)) => Ok(Families::Memory(MemoryFamilies::new())),
        #[cfg(feature = "redis")]
        Some((Kind::Redis, url)) => {
            Ok(Families::Redis(RedisFamilies::new(&crate::place::redis(url)?, "perennial")))
        }
        #[cfg(not(feature = "redis"))]
        Some((Kind::Redis, _)) => Err(crate::place::not_built("redis")),
        #[cfg(feature = "postgres")]
        Some((Kind::Postgres, url)) => {
            Ok(Families::Postgres(PostgresFamilies::new(&crate::place::postgres(url).await?)))
        }
        #[cfg(not(feature = "postgres"))]
        Some((Kind::Postgres, _)) => Err(crate::place::not_built("postgres")),
        Some((Kind::File, _)) | None => {
            Err("there is no such store for families of refresh tokens, and none in a file: name `memory`, \
                 or with the features of these names `redis://…` or `postgres://…`"
                .into())
        }
    }
}

/// Reads the keys from a file of 32 random bytes or more; without a file they are new.
///
/// # Errors
/// If there is no such file, or it is too short; or without a file, where the store outlives the process.
pub(crate) fn keys(place: &str, file: Option<&Path>) -> Result<Keys> {
    let Some(file) = file else {
        if place != "memory" {
            return Err(
                "a store that is shared, or outlives this process, needs keys that do so as well: \
                        `openssl rand -out FILE 32`, and --key-file FILE for each server"
                    .into(),
            );
        }
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        return Ok(Keys::new(secret)?);
    };
    let secret = std::fs::read(file);
    let secret = secret.map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    Keys::new(secret).map_err(|error| format!("{}: {error}", file.display()).into())
}

/// The same for each kind.
macro_rules! each {
    ($self:ident, $store:ident => $work:expr) => {
        match $self {
            Self::Memory($store) => $work,
            #[cfg(feature = "redis")]
            Self::Redis($store) => $work,
            #[cfg(feature = "postgres")]
            Self::Postgres($store) => $work,
        }
    };
}

impl FamilyStore for Families {
    async fn insert(
        &self,
        id: FamilyId,
        record: FamilyRecord,
    ) -> std::result::Result<(), StoreError> {
        each!(self, store => store.insert(id, record).await)
    }

    async fn find(&self, id: FamilyId) -> std::result::Result<Option<VersionedFamily>, StoreError> {
        each!(self, store => store.find(id).await)
    }

    async fn swap(
        &self,
        id: FamilyId,
        expected: Version,
        family: Row,
        forget_at: Option<Timestamp>,
    ) -> std::result::Result<FamilySwap, StoreError> {
        each!(self, store => store.swap(id, expected, family, forget_at).await)
    }

    async fn revoke(&self, id: FamilyId) -> std::result::Result<(), StoreError> {
        each!(self, store => store.revoke(id).await)
    }

    async fn revoke_subject(&self, subject: &str) -> std::result::Result<u64, StoreError> {
        each!(self, store => store.revoke_subject(subject).await)
    }

    async fn families_of(
        &self,
        subject: &str,
        most: usize,
    ) -> std::result::Result<Vec<(FamilyId, FamilyRecord)>, StoreError> {
        each!(self, store => store.families_of(subject, most).await)
    }

    async fn purge(&self, now: Timestamp) -> std::result::Result<u64, StoreError> {
        each!(self, store => store.purge(now).await)
    }
}

#[cfg(test)]
mod tests {
    use super::{keys, open};

    // Rule G1.
    #[tokio::test]
    async fn a_place_that_cannot_be_opened_is_told_without_its_text() {
        for place in [
            "file:planted",
            "planted",
            "mysql://u:planted@a/",
            "redis://u:planted@a:port/",
            "postgres://u:planted@a:port/d",
            "postgres://u:p?planted=w@a/d",
            "postgres://u:planted@127.0.0.1:1/d",
        ] {
            let Err(error) = open(place).await else { panic!("{place}") };
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("planted"), "{place}: {shown}");
        }
        let Err(error) = open("file:families.json").await else { panic!("there is no such store") };
        assert!(error.to_string().contains("`memory`, or with"), "{error}");
    }

    #[test]
    fn a_store_that_outlives_the_process_needs_keys_that_do() {
        assert!(keys("memory", None).is_ok());
        let error = keys("postgres://a/", None).expect_err("it has no key");
        assert!(error.to_string().contains("--key-file"), "{error}");
        let folder = tempfile::tempdir().expect("there is a temporary folder");
        let file = folder.path().join("key");
        assert!(keys("postgres://a/", Some(&file)).is_err());
        for (length, works) in [(31, false), (32, true)] {
            std::fs::write(&file, vec![7; length]).expect("it is ours");
            assert_eq!(keys("postgres://a/", Some(&file)).is_ok(), works, "{length}");
        }
    }
}
