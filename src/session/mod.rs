//! The shared session: one grant, any number of callers, at most one refresh.
//!
//! ```
//! use core::time::Duration;
//! use perennial::refresh::{RefreshError, Request};
//! use perennial::session::Session;
//! use perennial::token::Grant;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let session = Session::builder(|_request: Request| async {
//!     Ok::<_, RefreshError>(Grant::new("at-2", "rt-2", Duration::from_secs(3600)))
//! })
//! .grant(Grant::new("at-1", "rt-1", Duration::from_secs(3600)))
//! .build()?;
//!
//! let token = session.token_blocking()?; // or `session.token().await?`
//! assert_eq!(token.expose(), "at-1");
//! session.reject(&token); // it got a 401
//! assert_eq!(session.token_blocking()?.expose(), "at-2");
//! # Ok(())
//! # }
//! ```
//!
//! # How a refresh is driven
//! By whoever needs it, unless told otherwise: each caller that waits polls the refresh, one at a
//! time, on whatever executor or thread it runs. With [`Builder::spawner`] a task drives it; with
//! [`Session::keep_fresh`] it starts without any caller. All three share one flight.
//!
//! # How a token is read
//! While it is valid, from a published snapshot: no lock, no shared write (rule C1). Lend it by
//! [`Session::with_token`], keep a [`Reader`] for a hot loop, or own a clone. Everything else takes
//! one short lock around the lifecycle, publishes, unlocks, and only then wakes.
//!
//! # Invariants
//! - One flight at a time, whoever asks; its failure is told to all who wait (rules B3, B7).
//! - Dropping callers neither cancels nor repeats it (rule C4). While the old token works nobody
//!   waits for it (rule C7).
//! - A grant is persisted before its token is handed out (rule F2).
//! - No user code runs under the session's lock (rule C6).
//!
//! # Deliberately absent
//! A background thread, a runtime of its own, and any request to a resource server: those are
//! adapters.

mod alarm;
mod error;
mod exchange;
mod handle;
#[cfg(all(test, loom))]
mod models;
mod panics;
pub(crate) mod ports;
mod shared;
mod singleflight;

pub use crate::verdict::Rejection;
pub use error::{BuildError, Error, Part};
pub use handle::acquire::Acquire;
pub use handle::builder::Builder;
pub use handle::changed::Changed;
pub use handle::keep_fresh::KeepFresh;
pub use handle::local::builder::LocalBuilder;
pub use handle::local::{LocalAcquire, LocalSession};
pub use handle::reader::Reader;
pub use handle::session::Session;
#[cfg(feature = "keyed")]
pub(crate) use handle::suspend;
