//! The connection that stores share: it reconnects by itself, limits how long a server may take, and
//! listens for changes.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::prelude::rust_2024::*;
use std::sync::{Arc, PoisonError};

use futures_util::StreamExt as _;
use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Cmd, Pipeline, RedisFuture, RedisResult, Script, Value};
use tokio::runtime::Handle;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::said;
use crate::primitives::{AtomicU64, Mutex, Ordering};
use crate::store::StoreError;
use crate::store::remote::{Hint, Hints, Listener, Seen};

/// The channel on which all keys' changes are published; the message is the key.
const CHANNEL: &str = "perennial:changed";

/// How long the server may take, unless the program says otherwise, in milliseconds.
const TIMEOUT: u64 = 2000;

/// One connection to a server, for any number of stores. Clones share it.
///
/// It belongs to the tokio runtime in which it was created, and works for stores that are used
/// outside of it as well.
#[derive(Clone)]
pub struct RedisConnection(Arc<Shared>);

struct Shared {
    runtime: Handle,
    /// In milliseconds.
    limit: AtomicU64,
    link: Mutex<Arc<Link>>,
    /// Whom to connect to for another link, and to listen; `None` for a connection of the program's.
    client: Option<Client>,
    seen: Seen,
    hints: Hints,
    listening: Mutex<Option<Task<()>>>,
}

/// Returns a handle of the connection.
type Link = dyn Fn() -> Erased + Send + Sync;

impl RedisConnection {
    /// Creates a connection to the server of `client`. Nothing is sent before it is used. It
    /// reconnects by itself.
    ///
    /// # Errors
    /// Outside a tokio runtime.
    pub fn open(client: Client) -> Result<Self, StoreError> {
        let runtime = runtime()?;
        let link = manager(&client)?;
        Ok(Self::new(runtime, link, Some(client)))
    }

    /// Creates it from a connection of the program's own, such as one to a cluster. Changes are
    /// noticed by polling, once a second while somebody waits for them.
    ///
    /// # Errors
    /// Outside a tokio runtime.
    pub fn from_connection<C>(connection: C) -> Result<Self, StoreError>
    where
        C: ConnectionLike + Clone + Send + Sync + 'static,
    {
        let link = move || Erased(Box::new(connection.clone()));
        Ok(Self::new(runtime()?, Arc::new(link), None))
    }

    fn new(runtime: Handle, link: Arc<Link>, client: Option<Client>) -> Self {
        Self(Arc::new(Shared {
            runtime,
            limit: AtomicU64::new(TIMEOUT),
            link: Mutex::new(link),
            client,
            seen: Seen::default(),
            hints: Hints::new(),
            listening: Mutex::new(None),
        }))
    }

    /// Sets how long the server may take to connect or to answer. Default: 2 s.
    #[must_use]
    pub fn timeout(self, limit: Duration) -> Self {
        let millis = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        self.0.limit.store(millis.max(1), Ordering::Relaxed);
        self
    }

    pub(super) fn seen(&self) -> &Seen {
        &self.0.seen
    }

    /// Runs a script on a key.
    pub(super) fn run(
        &self,
        script: &'static Script,
        key: String,
        arguments: Vec<Vec<u8>>,
    ) -> impl Future<Output = Result<Vec<Option<Vec<u8>>>, StoreError>> + Send + 'static {
        let shared = Arc::clone(&self.0);
        self.spawned(async move { shared.run(script, &key, &arguments).await })
    }

    /// Runs `work` in the connection's runtime; it is dropped along with the future.
    pub(super) fn spawned<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + 'static {
        let runtime = self.0.runtime.clone();
        async move { Task(runtime.spawn(work)).await.unwrap_or_else(|| Err(said::no_runtime())) }
    }

    /// Starts to listen for changes, from now on.
    pub(super) fn listen(&self) -> Listener {
        let listener = self.0.hints.listen();
        if let Some(client) = &self.0.client {
            let mut listening = self.0.listening.lock().unwrap_or_else(PoisonError::into_inner);
            listening.get_or_insert_with(|| {
                let (client, limit) = (client.clone(), self.0.limit());
                Task(self.0.runtime.spawn(subscribe(client, limit, self.0.hints.sender())))
            });
        }
        listener
    }
}

impl Shared {
    fn limit(&self) -> Duration {
        Duration::from_millis(self.limit.load(Ordering::Relaxed))
    }

    async fn run(
        &self,
        script: &Script,
        key: &str,
        arguments: &[Vec<u8>],
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let link = Arc::clone(&self.link.lock().unwrap_or_else(PoisonError::into_inner));
        let mut call = script.prepare_invoke();
        call.key(key);
        for argument in arguments {
            call.arg(argument.as_slice());
        }
        let invoked = async {
            let first = call.invoke_async(&mut link()).await;
            match first {
                // Of a failed attempt to connect, which may be an old one: nothing was sent.
                Err(error) if error.is_connection_refusal() => call.invoke_async(&mut link()).await,
                first => first,
            }
        };
        let Ok(answer) = timeout(self.limit(), invoked).await else {
            self.replace(&link);
            return Err(said::late());
        };
        answer.map_err(|error| said::failed(&error))
    }

    /// Replaces a connection on which no answer came: its server may never answer on it.
    fn replace(&self, late: &Arc<Link>) {
        let Some(client) = &self.client else { return };
        let mut link = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&link, late) {
            if let Ok(another) = manager(client) {
                *link = another;
            }
        }
    }
}

fn runtime() -> Result<Handle, StoreError> {
    Handle::try_current().map_err(|_| said::no_runtime())
}

/// Returns a connection that reconnects, within its runtime.
fn manager(client: &Client) -> Result<Arc<Link>, StoreError> {
    let config = ConnectionManagerConfig::new()
        // All that a step takes is limited by `run`.
        .set_response_timeout(None)
        .set_connection_timeout(None)
        .set_number_of_retries(1);
    let manager = ConnectionManager::new_lazy_with_config(client.clone(), config);
    let manager = manager.map_err(|error| said::failed(&error))?;
    Ok(Arc::new(move || Erased(Box::new(manager.clone()))))
}

/// Passes on what the server publishes; reconnects where that ends.
async fn subscribe(client: Client, limit: Duration, hints: broadcast::Sender<Hint>) {
    loop {
        let opened = async {
            let mut subscription = client.get_async_pubsub().await?;
            subscription.subscribe(CHANNEL).await?;
            RedisResult::Ok(subscription)
        };
        if let Ok(Ok(mut subscription)) = timeout(limit, opened).await {
            let _ = hints.send(Hint::Any);
            let mut messages = subscription.on_message();
            while let Some(message) = messages.next().await {
                let key = core::str::from_utf8(message.get_payload_bytes()).ok();
                let _ = hints.send(key.map_or(Hint::Any, |key| Hint::Key(key.into())));
            }
        }
        sleep(limit.min(Duration::from_secs(1))).await;
    }
}

impl fmt::Debug for RedisConnection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address may contain a password.
        formatter
            .debug_struct("RedisConnection")
            .field("timeout", &self.0.limit())
            .finish_non_exhaustive()
    }
}

/// A task that ends when this is dropped.
pub(super) struct Task<T>(JoinHandle<T>);

impl<T> Future for Task<T> {
    /// `None` if the runtime was shut down, or the task panicked.
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        Pin::new(&mut self.0).poll(cx).map(Result::ok)
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A connection of any type.
struct Erased(Box<dyn ConnectionLike + Send + Sync>);

impl ConnectionLike for Erased {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        self.0.req_packed_command(cmd)
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        cmd: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.0.req_packed_commands(cmd, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.0.get_db()
    }
}
