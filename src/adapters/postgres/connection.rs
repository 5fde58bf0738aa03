//! The connections that stores share: a pool, a limit on how long the database may take, and one
//! connection that listens for changes.

use core::fmt;
use core::future::{Future, pending, poll_fn};
use core::pin::pin;
use core::time::Duration;
use std::prelude::rust_2024::*;
use std::sync::{Arc, PoisonError};

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod};
use futures_util::future::select;
use tokio::runtime::Handle;
use tokio::sync::broadcast;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{AsyncMessage, Config, Error, Row, Socket};

use super::columns::Value;
use super::said;
use super::statements::SCHEMA;
use crate::primitives::{AtomicU64, Mutex, Ordering};
use crate::refresh::BoxFuture;
use crate::store::StoreError;
use crate::store::remote::{Hint, Hints, Listener, Seen};

/// How long the database may take, unless the program says otherwise, in milliseconds.
const TIMEOUT: u64 = 2000;

/// How many connections there are at most, unless the program says otherwise.
const CONNECTIONS: usize = 8;

/// How often a statement is repeated that another transaction has made fail.
const ATTEMPTS: usize = 4;

/// Connections to a database, for any number of stores. Clones share them.
///
/// They belong to the tokio runtime in which this was created, and work for stores that are used
/// outside of it as well.
#[derive(Clone)]
pub struct PostgresConnection(Arc<Shared>);

struct Shared {
    runtime: Handle,
    /// In milliseconds.
    limit: Arc<AtomicU64>,
    pool: Pool,
    /// Listens for changes; `None` for a pool of the program's.
    subscribe: Option<Box<Subscribe>>,
    seen: Seen,
    hints: Hints,
    listening: Mutex<Option<Ended>>,
}

/// A task that ends when this is dropped.
struct Ended(AbortHandle);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Listens as long as the connection lasts.
type Subscribe = dyn Fn(Duration, broadcast::Sender<Hint>) -> BoxFuture<()> + Send + Sync;

/// What is run on a connection.
enum Work<'a> {
    Statement(&'a str, &'a [Value]),
    Script(&'a str),
}

impl PostgresConnection {
    /// Creates connections to the database of `config`, over TLS as `tls` has it, or
    /// [`NoTls`](tokio_postgres::NoTls). Nothing is sent before they are used. They are opened again
    /// by themselves.
    ///
    /// # Errors
    /// Outside a tokio runtime.
    pub fn open<T>(config: Config, tls: T) -> Result<Self, StoreError>
    where
        T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::Stream: Send + Sync,
        T::TlsConnect: Send + Sync,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let limit = Arc::new(AtomicU64::new(TIMEOUT));
        let settings = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(config.clone(), tls.clone(), settings);
        let pool =
            Pool::builder(manager).max_size(CONNECTIONS).post_create(limited(&limit)).build();
        let pool = pool.map_err(|_| said::no_runtime())?;
        let subscribe = move |limit, hints| -> BoxFuture<()> {
            Box::pin(subscribe(config.clone(), tls.clone(), limit, hints))
        };
        Self::new(pool, limit, Some(Box::new(subscribe)))
    }

    /// Creates it from a pool of the program's own. Changes are noticed by polling, once a second
    /// while somebody waits for them. The program sets `statement_timeout`, without which a statement
    /// that was given up here may go on waiting there.
    ///
    /// # Errors
    /// Outside a tokio runtime.
    pub fn from_pool(pool: Pool) -> Result<Self, StoreError> {
        Self::new(pool, Arc::new(AtomicU64::new(TIMEOUT)), None)
    }

    fn new(
        pool: Pool,
        limit: Arc<AtomicU64>,
        subscribe: Option<Box<Subscribe>>,
    ) -> Result<Self, StoreError> {
        Ok(Self(Arc::new(Shared {
            runtime: Handle::try_current().map_err(|_| said::no_runtime())?,
            limit,
            pool,
            subscribe,
            seen: Seen::default(),
            hints: Hints::new(),
            listening: Mutex::new(None),
        })))
    }

    /// Sets how long the database may take to connect or to answer. Default: 2 s.
    #[must_use]
    pub fn timeout(self, limit: Duration) -> Self {
        let millis = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        self.0.limit.store(millis.max(1), Ordering::Relaxed);
        self
    }

    /// Sets how many connections there are at most, besides the one that listens. Default: 8.
    #[must_use]
    pub fn max_connections(self, count: usize) -> Self {
        self.0.pool.resize(count.max(1));
        self
    }

    /// Creates the tables of [`SCHEMA`](super::SCHEMA), where they are missing. Several processes may do so at once.
    ///
    /// # Errors
    /// If the database cannot be reached, or the user may not create tables.
    pub fn migrate(&self) -> impl Future<Output = Result<(), StoreError>> + Send + 'static {
        // Two that create a table at once would fail; the number is arbitrary.
        let script =
            std::format!("BEGIN; SELECT pg_advisory_xact_lock(7041776104212); {SCHEMA} COMMIT;");
        let shared = Arc::clone(&self.0);
        self.spawned(async move { shared.run(Work::Script(&script)).await.map(drop) })
    }

    pub(super) fn seen(&self) -> &Seen {
        &self.0.seen
    }

    /// Runs one statement.
    pub(super) async fn query(
        &self,
        statement: &'static str,
        values: &[Value],
    ) -> Result<Vec<Row>, StoreError> {
        self.0.run(Work::Statement(statement, values)).await
    }

    /// Runs `work` in the connections' runtime, to its end, even if the future is dropped: a
    /// connection is not used for something else before its statement has ended.
    pub(super) fn spawned<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + 'static {
        let runtime = self.0.runtime.clone();
        async move { runtime.spawn(work).await.unwrap_or_else(|_| Err(said::no_runtime())) }
    }

    /// Runs `work` in the connections' runtime; it is dropped along with the future.
    pub(super) fn attended(
        &self,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        let runtime = self.0.runtime.clone();
        async move {
            let task = runtime.spawn(work);
            let _ended = Ended(task.abort_handle());
            let _ = task.await;
        }
    }

    /// Starts to listen for changes, from now on.
    pub(super) fn listen(&self) -> Listener {
        let listener = self.0.hints.listen();
        if let Some(subscribe) = &self.0.subscribe {
            let mut listening = self.0.listening.lock().unwrap_or_else(PoisonError::into_inner);
            listening.get_or_insert_with(|| {
                let subscription = subscribe(self.0.limit(), self.0.hints.sender());
                Ended(self.0.runtime.spawn(subscription).abort_handle())
            });
        }
        listener
    }
}

impl Shared {
    fn limit(&self) -> Duration {
        Duration::from_millis(self.limit.load(Ordering::Relaxed))
    }

    async fn run(&self, work: Work<'_>) -> Result<Vec<Row>, StoreError> {
        for _ in 1..ATTEMPTS {
            match self.attempt(&work).await? {
                Err(error) if is_repeatable(&error) => {}
                result => return result.map_err(|error| said::failed(&error)),
            }
        }
        self.attempt(&work).await?.map_err(|error| said::failed(&error))
    }

    async fn attempt(&self, work: &Work<'_>) -> Result<Result<Vec<Row>, Error>, StoreError> {
        let connected = timeout(self.limit(), self.pool.get()).await;
        let connected = connected.map_err(|_| said::late())?;
        let client = connected.map_err(|error| said::not_connected(&error))?;
        let done = match work {
            Work::Statement(statement, values) => {
                let parameters: Vec<_> = values.iter().map(Value::parameter).collect();
                timeout(self.limit(), client.query_typed(statement, &parameters)).await
            }
            Work::Script(script) => {
                let done = timeout(self.limit(), client.batch_execute(script)).await;
                done.map(|result| result.map(|()| Vec::new()))
            }
        };
        done.map_err(|_| {
            // Its statement goes on: nobody else may wait for that.
            drop(Object::take(client));
            said::late()
        })
    }
}

/// Whether a statement that failed had no effect because of another transaction.
fn is_repeatable(error: &Error) -> bool {
    let code = error.code();
    code == Some(&SqlState::T_R_SERIALIZATION_FAILURE)
        || code == Some(&SqlState::T_R_DEADLOCK_DETECTED)
}

/// Limits how long the database goes on with a statement that was given up here.
fn limited(limit: &Arc<AtomicU64>) -> Hook {
    let limit = Arc::clone(limit);
    Hook::async_fn(move |client, _| {
        let millis = limit.load(Ordering::Relaxed).min(u64::from(u32::MAX >> 1));
        Box::pin(async move {
            let setting = std::format!("SET statement_timeout = {millis}");
            client.batch_execute(&setting).await.map_err(HookError::Backend)
        })
    })
}

/// Passes on what the database notifies of; connects again where that ends.
async fn subscribe<T>(config: Config, tls: T, limit: Duration, hints: broadcast::Sender<Hint>)
where
    T: MakeTlsConnect<Socket> + Clone + Send,
    T::Stream: Send,
{
    loop {
        if let Ok(Ok((client, mut connection))) = timeout(limit, config.connect(tls.clone())).await
        {
            let hears = async {
                while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                    if let AsyncMessage::Notification(change) = message {
                        let _ = hints.send(Hint::Key(change.payload().into()));
                    }
                }
            };
            let asks = async {
                if client.batch_execute("LISTEN perennial_changed").await.is_ok() {
                    let _ = hints.send(Hint::Any);
                    pending::<()>().await;
                }
            };
            select(pin!(hears), pin!(asks)).await;
        }
        sleep(limit.min(Duration::from_secs(1))).await;
    }
}

impl fmt::Debug for PostgresConnection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The configuration contains a password.
        let mut shown = formatter.debug_struct("PostgresConnection");
        shown.field("timeout", &self.0.limit()).finish_non_exhaustive()
    }
}
