//! Adapters to other crates. Each is a module behind a feature of its own, and uses no other
//! adapter; its crate's types appear only there.
//!
//! | module | feature | contents |
//! |---|---|---|
//! | `axum` | `axum` | an authorization server's endpoints, and a layer for resource servers |
//! | `file` | `file` | a [`Store`](crate::store::Store) in a file |
//! | `jwt` | `jwt` | access tokens as JWT, for an `issue::Issuer` |
//! | `keyring` | `keyring` | a [`Store`](crate::store::Store) in the platform's keyring |
//! | `metrics` | `metrics` | a hook for events: counters, gauges and histograms of the facade `metrics` |
//! | `oauth2` | `oauth2` | the refresh_token and client_credentials grants, each a [`Refresh`](crate::refresh::Refresh) |
//! | `postgres` | `postgres` | a [`Store`](crate::store::Store) with a [`Lease`](crate::store::Lease), and a store of families, in PostgreSQL |
//! | `redis` | `redis` | the same in Redis or Valkey |
//! | `reqwest` | `reqwest` | middleware for `reqwest-middleware` |
//! | `resource_server` | `resource-server` | verification of access tokens on machines other than the authorization server |
//! | `sealed` | `sealed` | a [`Store`](crate::store::Store) around another, which sees encrypted grants only |
//! | `smol` | `smol` | timer and spawner on smol |
//! | `thread` | | a timer on a thread of its own |
//! | `tokio` | `tokio` | timer, spawner and runtime on tokio |
//! | `tower` | `tower` | a layer for hyper, tonic and other `tower` clients |
//! | `tracing` | `tracing` | a hook for events, and a span for each refresh |
//! | `ureq` | `ureq` | middleware for the blocking client `ureq` |

#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "file")]
pub mod file;
mod find;
#[cfg(feature = "jwt")]
pub mod jwt;
#[cfg(feature = "keyring")]
pub mod keyring;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(feature = "oauth2")]
pub mod oauth2;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "reqwest")]
pub mod reqwest;
#[cfg(feature = "resource-server")]
pub mod resource_server;
#[cfg(feature = "sealed")]
pub mod sealed;
#[cfg(feature = "smol")]
pub mod smol;
pub mod thread;
#[cfg(feature = "tokio")]
pub mod tokio;
#[cfg(feature = "tower")]
pub mod tower;
#[cfg(feature = "tracing")]
pub mod tracing;
#[cfg(feature = "ureq")]
pub mod ureq;
