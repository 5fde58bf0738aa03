//! A store for a grant, by the text that `--store` takes.

use std::sync::Arc;

use perennial::adapters::file::FileStore;
#[cfg(feature = "postgres")]
use perennial::adapters::postgres::PostgresStore;
#[cfg(feature = "redis")]
use perennial::adapters::redis::RedisStore;
use perennial::refresh::BoxFuture;
use perennial::store::{Lease, Store, StoreError, StoredGrant, Swap, Version, Versioned};

use crate::place::{Kind, Result};

/// What may be named.
pub(crate) const KINDS: &str =
    "`file:PATH`, or with the features of these names `redis://…` or `postgres://…`";

/// A store of one of the kinds.
pub(crate) enum GrantStore {
    File(FileStore),
    #[cfg(feature = "redis")]
    Redis(RedisStore),
    #[cfg(feature = "postgres")]
    Postgres(PostgresStore),
}

/// Opens the store that `place` names; on a server the grant is kept under `key`.
///
/// # Errors
/// If there is no such kind of store, or it cannot be opened; the text is not repeated, as it may hold a
/// password.
#[allow(clippy::unused_async, reason = "some stores are opened asynchronously")]
pub(crate) async fn open(place: &str, key: &str) -> Result<GrantStore> {
    let _ = key;
    match Kind::of(place) {
        Some((Kind::File, path)) => Ok(GrantStore::File(FileStore::open(path)?)),
        #[cfg(feature = "redis")]
        Some((Kind::Redis, url)) => {
            Ok(GrantStore::Redis(RedisStore::new(&crate::place::redis(url)?, key)))
        }
        #[cfg(not(feature = "redis"))]
        Some((Kind::Redis, _)) => Err(crate::place::not_built("redis")),
        #[cfg(feature = "postgres")]
        Some((Kind::Postgres, url)) => {
            Ok(GrantStore::Postgres(PostgresStore::new(&crate::place::postgres(url).await?, key)))
        }
        #[cfg(not(feature = "postgres"))]
        Some((Kind::Postgres, _)) => Err(crate::place::not_built("postgres")),
        Some((Kind::Memory, _)) | None => {
            Err(format!("there is no such store for a grant (not shown, as it may hold a password): name {KINDS}").into())
        }
    }
}

/// The same for each kind.
macro_rules! each {
    ($self:ident, $store:ident => $work:expr) => {
        match $self {
            Self::File($store) => $work,
            #[cfg(feature = "redis")]
            Self::Redis($store) => $work,
            #[cfg(feature = "postgres")]
            Self::Postgres($store) => $work,
        }
    };
}

impl Store for GrantStore {
    fn load(
        &self,
    ) -> impl Future<Output = std::result::Result<Versioned, StoreError>> + Send + 'static {
        each!(self, store => Box::pin(store.load()) as BoxFuture<_>)
    }

    fn swap(
        &self,
        expected: Version,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = std::result::Result<Swap, StoreError>> + Send + 'static {
        each!(self, store => Box::pin(store.swap(expected, next)) as BoxFuture<_>)
    }

    fn replace_damaged(
        &self,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = std::result::Result<Swap, StoreError>> + Send + 'static {
        each!(self, store => Box::pin(store.replace_damaged(next)) as BoxFuture<_>)
    }

    fn lease(&self) -> Option<Arc<dyn Lease>> {
        each!(self, store => store.lease())
    }
}
