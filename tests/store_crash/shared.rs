//! The store that processes share: a file, or a server that the test starts. This is the one place that knows
//! the kinds.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use perennial::adapters::file::FileStore;
use perennial::refresh::BoxFuture;
use perennial::store::{Acquired, Lease, Store, StoreError, StoredGrant, Swap, Version, Versioned};
use tempfile::TempDir;
use tokio::runtime::Runtime;

#[cfg(feature = "postgres")]
use crate::postgres_server;
#[cfg(feature = "redis")]
use crate::redis_server;

/// Under which a server keeps the grant.
#[cfg(any(feature = "redis", feature = "postgres"))]
const KEY: &str = "grant:alice";

/// A kind of store.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    #[cfg(feature = "redis")]
    Redis,
    #[cfg(feature = "postgres")]
    Postgres,
}

impl Kind {
    pub(crate) const ALL: &[Self] = &[
        Self::File,
        #[cfg(feature = "redis")]
        Self::Redis,
        #[cfg(feature = "postgres")]
        Self::Postgres,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            #[cfg(feature = "redis")]
            Self::Redis => "redis",
            #[cfg(feature = "postgres")]
            Self::Postgres => "postgres",
        }
    }

    /// Whether the lease is a lock, which ends with its process, and not before its deadline.
    pub(crate) fn is_lock(self) -> bool {
        self == Self::File
    }
}

/// Where the grant is: a folder, or a server that ends with this value.
pub(crate) enum Place {
    Folder(TempDir),
    #[cfg(feature = "redis")]
    Redis(redis_server::Server),
    #[cfg(feature = "postgres")]
    Postgres(postgres_server::Server),
}

impl Place {
    /// `None`, said aloud, where the server's program is missing.
    pub(crate) fn new(kind: Kind, runtime: &Runtime) -> Option<Self> {
        // Of the runtime alone where there are servers.
        let _ = runtime;
        Some(match kind {
            Kind::File => Self::Folder(tempfile::tempdir().expect("a directory")),
            #[cfg(feature = "redis")]
            Kind::Redis => Self::Redis(runtime.block_on(redis_server::Server::start())?),
            #[cfg(feature = "postgres")]
            Kind::Postgres => Self::Postgres(runtime.block_on(postgres_server::Server::start())?),
        })
    }

    /// The name by which [`Shared::open`] finds it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Folder(folder) => format!("file:{}", folder.path().join("grant.json").display()),
            #[cfg(feature = "redis")]
            Self::Redis(server) => format!("redis://127.0.0.1:{}/", server.port()),
            #[cfg(feature = "postgres")]
            Self::Postgres(server) => {
                format!("postgres://postgres@127.0.0.1:{}/postgres", server.port())
            }
        }
    }
}

/// A store of any kind, as one process has it.
pub(crate) enum Shared {
    File(FileStore),
    #[cfg(feature = "redis")]
    Redis(perennial::adapters::redis::RedisStore),
    #[cfg(feature = "postgres")]
    Postgres(perennial::adapters::postgres::PostgresStore),
}

impl Shared {
    /// Opens the store of this name; a server's belongs to `runtime`.
    pub(crate) fn open(name: &str, runtime: &Runtime) -> Self {
        let _entered = runtime.enter();
        match name.split_once(':') {
            Some(("file", path)) => {
                Self::File(FileStore::open(PathBuf::from(path)).expect("a store"))
            }
            #[cfg(feature = "redis")]
            Some(("redis", _)) => {
                use perennial::adapters::redis::{RedisConnection, RedisStore};

                let client = redis::Client::open(name).expect("the address is well-formed");
                let connection = RedisConnection::open(client).expect("this is a runtime");
                Self::Redis(RedisStore::new(&connection, KEY))
            }
            #[cfg(feature = "postgres")]
            Some(("postgres", _)) => {
                use perennial::adapters::postgres::{PostgresConnection, PostgresStore};

                let config = name.parse().expect("the address is well-formed");
                let connection = PostgresConnection::open(config, tokio_postgres::NoTls);
                Self::Postgres(PostgresStore::new(&connection.expect("this is a runtime"), KEY))
            }
            Some(_) | None => panic!("no store {name}"),
        }
    }
}

/// Calls `$method` of the store of whichever kind.
macro_rules! of {
    ($shared:expr, $store:ident => $call:expr) => {
        match $shared {
            Shared::File($store) => $call,
            #[cfg(feature = "redis")]
            Shared::Redis($store) => $call,
            #[cfg(feature = "postgres")]
            Shared::Postgres($store) => $call,
        }
    };
}

impl Store for Shared {
    fn load(&self) -> impl Future<Output = Result<Versioned, StoreError>> + Send + 'static {
        of!(self, store => Box::pin(store.load()) as BoxFuture<_>)
    }

    fn swap(
        &self,
        expected: Version,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        of!(self, store => Box::pin(store.swap(expected, next)) as BoxFuture<_>)
    }

    fn lease(&self) -> Option<Arc<dyn Lease>> {
        of!(self, store => store.lease())
    }
}

/// A store that says each step to `at`.
pub(crate) struct Stepping {
    pub(crate) store: Shared,
    pub(crate) at: fn(&str),
}

impl Store for Stepping {
    fn load(&self) -> impl Future<Output = Result<Versioned, StoreError>> + Send + 'static {
        let (load, at) = (self.store.load(), self.at);
        async move {
            at("before loading");
            let loaded = load.await;
            at("after loading");
            loaded
        }
    }

    fn swap(
        &self,
        expected: Version,
        next: Option<StoredGrant>,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send + 'static {
        let is_intent = next.as_ref().is_some_and(|it| it.intent.is_some());
        let (swap, at) = (self.store.swap(expected, next), self.at);
        async move {
            at(if is_intent { "before the intent" } else { "before persisting" });
            let swapped = swap.await;
            at(if is_intent { "after the intent" } else { "after persisting" });
            swapped
        }
    }

    fn lease(&self) -> Option<Arc<dyn Lease>> {
        Some(Arc::new(SteppingLease { lease: self.store.lease()?, at: self.at }))
    }
}

struct SteppingLease {
    lease: Arc<dyn Lease>,
    at: fn(&str),
}

impl Lease for SteppingLease {
    fn acquire(&self, term: Duration) -> BoxFuture<Result<Acquired, StoreError>> {
        let (acquire, at) = (self.lease.acquire(term), self.at);
        Box::pin(async move {
            at("before acquiring");
            let acquired = acquire.await;
            at("after acquiring");
            acquired
        })
    }

    fn renew(&self, fence: Version, term: Duration) -> BoxFuture<Result<bool, StoreError>> {
        self.lease.renew(fence, term)
    }

    fn release(&self, fence: Version) -> BoxFuture<Result<(), StoreError>> {
        let at = self.at;
        at("before releasing");
        let released = self.lease.release(fence);
        Box::pin(async move {
            let released = released.await;
            at("after releasing");
            released
        })
    }

    fn abandon(&self, fence: Version) {
        self.lease.abandon(fence);
    }

    fn is_lock(&self) -> bool {
        self.lease.is_lock()
    }

    fn changed(&self) -> BoxFuture<()> {
        self.lease.changed()
    }
}
