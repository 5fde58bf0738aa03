//! An authorization server and a resource server in one process, for demonstrations and tests.
//!
//! It speaks the `refresh_token` grant of RFC 6749, checks bearer tokens as of RFC 6750 and rotates
//! refresh tokens as RFC 9700 asks for. Everything lives in memory. It depends neither on the
//! command line next to it nor on the crate `perennial`, so that a test of the crate is not judged
//! by the crate. To reuse it:
//!
//! ```ignore
//! #[path = "../examples/authorization_server/server/mod.rs"]
//! mod server;
//! ```
//!
//! `/seed`, `/expire` and `/stats` let anybody log in, log everybody out and watch. Never expose
//! them.
#![allow(dead_code, reason = "each program that includes this module uses another part of it")]

mod api;
mod client;
mod counters;
mod family;
mod faults;
mod store;
mod token;
mod token_endpoint;
mod token_error;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::serve::ListenerExt;
use axum::{Json, Router};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

#[allow(
    unused_imports,
    reason = "each program that includes this module uses another part of it"
)]
pub(crate) use {
    api::echo,
    counters::Counters,
    family::Rotation,
    faults::{Fault, Faults, Presentation},
};

use client::Client;
use family::{Moment, Rule};
use store::{Lifetimes, Store};
use token::{Digest, Minted, SuccessorKey};

/// How long `shutdown` waits for connections that are in the middle of a request.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// How the server behaves.
#[derive(Clone)]
pub(crate) struct Config {
    /// How long an access token works.
    pub(crate) access_ttl: Duration,
    /// How long a refresh token works if it is not used; `None` for ever.
    pub(crate) refresh_ttl: Option<Duration>,
    /// How refresh tokens rotate.
    pub(crate) rotation: Rotation,
    /// How long a rotated refresh token stays usable, unless rotation is strict.
    pub(crate) overlap: Duration,
    /// The one client that the server knows.
    pub(crate) client_id: String,
    /// Its secret; `None` makes it a public client.
    pub(crate) client_secret: Option<String>,
    /// What goes wrong at the token endpoint.
    pub(crate) faults: Faults,
}

impl Config {
    /// Strict rotation, a public client named `perennial-demo`, refresh tokens without expiry, no
    /// faults.
    pub(crate) fn new(access_ttl: Duration) -> Self {
        Self {
            access_ttl,
            refresh_ttl: None,
            rotation: Rotation::Strict,
            overlap: Duration::from_secs(30),
            client_id: "perennial-demo".to_owned(),
            client_secret: None,
            faults: Faults::none(),
        }
    }
}

/// Where the running server answers.
#[derive(Clone, Debug)]
pub(crate) struct Urls {
    pub(crate) token_endpoint: String,
    pub(crate) api: String,
    pub(crate) seed: String,
    pub(crate) expire: String,
    pub(crate) stats: String,
}

impl Urls {
    pub(crate) fn at(address: SocketAddr) -> Self {
        // A server that listens on every interface is reached on this machine by loopback.
        let host = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
        };
        let base = format!("http://{}", SocketAddr::new(host, address.port()));
        Self {
            token_endpoint: format!("{base}/token"),
            api: format!("{base}/api"),
            seed: format!("{base}/seed"),
            expire: format!("{base}/expire"),
            stats: format!("{base}/stats"),
        }
    }
}

/// What a login gives.
#[derive(Clone)]
pub(crate) struct Login {
    /// Id of the new family of refresh tokens.
    pub(crate) family: u64,
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
    /// How long the access token works from now.
    pub(crate) expires_in: Duration,
}

impl fmt::Debug for Login {
    // The tokens stay out of logs.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Login")
            .field("family", &self.family)
            .field("expires_in", &self.expires_in)
            .finish_non_exhaustive()
    }
}

/// What all requests share.
struct Shared {
    store: Mutex<Store>,
    started: Instant,
    access_ttl: Duration,
    client: Client,
    faults: Faults,
    /// Present if rotation is idempotent.
    successor_key: Option<SuccessorKey>,
    shutdown: watch::Receiver<()>,
}

impl Shared {
    fn new(config: &Config, shutdown: watch::Receiver<()>) -> Self {
        let lifetimes = Lifetimes {
            access_ttl: config.access_ttl,
            refresh_ttl: config.refresh_ttl,
            rule: Rule { rotation: config.rotation, overlap: config.overlap },
        };
        Self {
            store: Mutex::new(Store::new(lifetimes)),
            started: now(),
            access_ttl: config.access_ttl,
            client: Client::new(&config.client_id, config.client_secret.as_deref()),
            faults: config.faults.clone(),
            successor_key: matches!(config.rotation, Rotation::Idempotent | Rotation::ConfirmByUse)
                .then(SuccessorKey::random),
            shutdown,
        }
    }

    /// Runs `action` with the store locked. The time is read under the lock, so that it never runs
    /// backwards.
    fn with_store<T>(&self, action: impl FnOnce(&mut Store, Moment) -> T) -> T {
        let mut store = self.store.lock().expect("nothing panics while the store is locked");
        let moment = now().saturating_duration_since(self.started);
        action(&mut store, moment)
    }

    /// New tokens for whoever presents this refresh token.
    fn mint_for(&self, presented: &Digest) -> Minted {
        let mut minted = Minted::random();
        if let Some(key) = &self.successor_key {
            minted.refresh = key.successor_of(presented);
        }
        minted
    }

    fn seed(&self) -> (u64, Minted) {
        let minted = Minted::random();
        let family = self.with_store(|store, now| store.seed(&minted, now));
        (family, minted)
    }

    async fn sleep_or_shutdown(&self, duration: Duration) {
        let mut shutdown = self.shutdown.clone();
        tokio::select! {
            () = tokio::time::sleep(duration) => {}
            _ = shutdown.changed() => {}
        }
    }
}

/// The monotonic clock.
#[allow(
    clippy::disallowed_methods,
    reason = "the server has its own clock, apart from the crate under test"
)]
fn now() -> Instant {
    Instant::now()
}

/// Starts servers.
pub(crate) struct Server;

impl Server {
    /// Listens on `address` (port 0 for any free port) and serves until the returned value is shut
    /// down or dropped.
    pub(crate) async fn start(address: SocketAddr, config: Config) -> io::Result<Running> {
        let listener = TcpListener::bind(address).await?;
        let urls = Urls::at(listener.local_addr()?);
        let (stop, mut stopped) = watch::channel(());
        let shared = Arc::new(Shared::new(&config, stopped.clone()));
        let router = Router::new()
            .route("/token", post(token_endpoint::handle))
            .route("/api", any(api::handle))
            .route("/api/{*rest}", any(api::handle))
            .route("/seed", post(seed))
            .route("/expire", post(expire))
            .route("/stats", get(stats))
            .with_state(Arc::clone(&shared));
        // Answers are small and awaited: do not let the kernel hold them back to fill a packet.
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        let serving = axum::serve(listener, router).with_graceful_shutdown(async move {
            // An error means that `Running` was dropped, which is to stop the server as well.
            let _ = stopped.changed().await;
        });
        Ok(Running { urls, shared, stop, task: tokio::spawn(async move { serving.await }) })
    }
}

/// A server that is serving.
pub(crate) struct Running {
    urls: Urls,
    shared: Arc<Shared>,
    stop: watch::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

impl Running {
    /// Where it answers.
    pub(crate) fn urls(&self) -> &Urls {
        &self.urls
    }

    /// Starts a new family, as a login does.
    pub(crate) fn seed(&self) -> Login {
        let (family, minted) = self.shared.seed();
        Login {
            family,
            access_token: minted.access.text,
            refresh_token: minted.refresh.text,
            expires_in: self.shared.access_ttl,
        }
    }

    /// Makes the newest access token that the family has used stop working, and that one alone:
    /// what was issued since, and its refresh token, stay good.
    ///
    /// Returns whether it still worked. If it did not, nothing changes and nothing is counted.
    pub(crate) fn revoke_token_in_use(&self, family: u64) -> bool {
        self.shared.with_store(|store, now| store.stop_token_in_use(family, now))
    }

    /// Counters of everything: of all families and of the requests that belong to none.
    pub(crate) fn stats(&self) -> Counters {
        self.shared.with_store(|store, _| store.totals())
    }

    /// Counters of one family.
    pub(crate) fn stats_of(&self, family: u64) -> Option<Counters> {
        self.shared.with_store(|store, _| store.counters_of(family))
    }

    /// Stops accepting, lets requests under way finish for a short while, and returns.
    pub(crate) async fn shutdown(self) {
        drop(self.stop);
        let mut task = self.task;
        if tokio::time::timeout(SHUTDOWN_GRACE, &mut task).await.is_err() {
            task.abort();
        }
    }
}

async fn seed(State(shared): State<Arc<Shared>>) -> Response {
    let (_, minted) = shared.seed();
    token_endpoint::success(token_endpoint::token_response(&minted, shared.access_ttl))
}

async fn expire(State(shared): State<Arc<Shared>>) -> Response {
    let expired = shared.with_store(Store::stop_access_tokens);
    Json(json!({ "expired": expired })).into_response()
}

async fn stats(State(shared): State<Arc<Shared>>) -> Response {
    let (families, totals) = shared.with_store(|store, _| (store.family_count(), store.totals()));
    let mut body = totals.to_json();
    body["families"] = json!(families);
    Json(body).into_response()
}
