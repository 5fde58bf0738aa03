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
//! For single-threaded runtimes there is a `!Send` variant, [`LocalSession`]. The middleware for HTTP
//! clients takes a [`Session`] only.
//!
//! # How a refresh is driven
//! By default, by its callers: each caller that waits polls the refresh, one at a time, on its own
//! executor or thread. With [`Builder::spawner`] a spawned task drives it. With
//! [`Session::keep_fresh`] it starts without any caller. All of them share one refresh.
//!
//! # How a token is read
//! A valid token is read from a published snapshot, without a lock and without a write to shared memory
//! ([C1](crate::spec#c-the-shared-session)). Borrow it in [`Session::with_token`], keep a [`Reader`] for
//! a hot loop, or own a clone from [`Session::token`]. All other operations take one short lock around
//! the lifecycle, publish the new snapshot, release the lock, and only then wake those who wait.
//!
//! # Invariants
//! - At most one refresh is in flight. If it fails, each caller that waits for it gets the error, unless
//!   its [`retry_for`](Acquire::retry_for) lets it wait for the next attempt
//!   ([B3, B7](crate::spec#b-the-client-machine)).
//! - Dropping callers neither cancels nor repeats it ([C4](crate::spec#c-the-shared-session)). While the
//!   old token works, nobody waits for it ([C7](crate::spec#c-the-shared-session)).
//! - A new grant is written to the store before its access token is handed out. If that fails, it is kept
//!   in memory, the write is retried, and [`Session::is_saved`] returns false. Meanwhile its access token
//!   is used, except under [`Reuse::ConfirmByUse`](crate::lifecycle::Reuse::ConfirmByUse), where the old
//!   one is ([F2](crate::spec#f-storage)).
//! - No user code runs under the session's lock ([C6](crate::spec#c-the-shared-session)).
//!
//! # Out of scope
//! Background threads (only a blocking refresher gets a short-lived one), a runtime of its own, and
//! requests to resource servers, which the adapters make.

// The folders of the session, highest first. Each imports only from lower ones; singleflight and exchange
// know nothing of each other.
//
// handle/              What a program holds and calls.
//   session.rs         `Session`: reads, rejects and accepts tokens, without waiting.
//   builder.rs         `Builder`: the ports and the first grant of a session.
//   acquire.rs         `Acquire`: one caller's wait for a token, awaited or blocking.
//   acquire/ends.rs    Waiting for a refresh, and when that has ended without a token.
//   options.rs         What a caller asks for: its limits, and the pace of the refreshes it starts.
//   login.rs           Login, logout and close, with what they write to the store.
//   timed.rs           `Timed`: has a login, a logout or a close polled at its deadline.
//   turn.rs            `Wait`: the loop of turns, on an executor and on a thread.
//   drive.rs           `Drive`: drives what is in flight without a caller (a spawned task, `close`).
//   keep_fresh.rs      `KeepFresh`: starts a refresh when it is due.
//   reader.rs          `Reader`: keeps the last snapshot, for a hot loop.
//   changed.rs         `Changed`: completes when the session has changed.
//   suspend.rs         `Suspended`: the state of a session that `keyed` has packed.
//   local.rs           `LocalSession`, `LocalAcquire`: the `!Send` variant, which wraps a session.
//   local/builder.rs   `LocalBuilder`: its refresher, spawner and hooks may be `!Send`.
//   local/bound.rs     `Local`, `Away`: what stays on its thread, and its `Send` proxy.
//
// shared/              What all handles of one session share.
//   mod.rs             `Shared`: the lock, and how a change is published, driven and finished.
//   inner.rs           `Inner`: the state under the lock; launches refreshes, publishes snapshots.
//   landing.rs         How a flight's report, a login and a logout change the state.
//   kept.rs            Which refresh token is kept where responses overtake each other.
//   precedence.rs      `Precedence`: which of several logins and logouts is in effect.
//   snapshot.rs        `Snapshot`, `Slot`: what readers see, without the lock.
//   replace.rs         Installs a grant that no refresh brought, and removes one.
//   reporting.rs       `Reporting`: what a session has reported, and has still to report.
//   report.rs          The events of a session, for the hooks of `on_event`.
//   deferred.rs        `Deferred`: what is done once the lock is released.
//
// singleflight/        Who polls what is in flight, and who is woken. Knows no tokens.
//   flights.rs         `Flights`: the jobs in flight, their wakers and deadlines.
//   waiters.rs         `Waiters`: the places of those who wait, with their wakers.
//
// exchange/            One refresh: load, note the intent, ask, persist. Knows no waiters.
//   run.rs             `run`: one refresh from launch to report, with or without a store.
//   stored.rs          `StoredExchange`: the order of load, intent, request and persist.
//   ask.rs             `ask`: the request to the authorization server.
//   persist.rs         `persist`: stores a received grant over the one it renewed, and nothing else.
//   revoke.rs          `revoke`: revokes a grant that belongs to nobody.
//   timed_store.rs     `TimedStore`: the store, within a deadline and with its panics contained.
//   params.rs          `ExchangeParams`: what a refresh knows of its session.
//   received.rs        `Report`, `Outcome`, `Received`: what a refresh returns.
//   span.rs            A refresh in a span of `tracing`.
//   stage.rs           `Stage`: whether it was sent, and what, or called off.
//   epoch.rs           `EpochFence`: which flights a login or a logout has superseded.
//   grant_count.rs     `GrantCount`: the grants that were received, and those that have landed.
//
// ports.rs             `Ports`, `Settings`, `Hooks`, `Sample`: what a session was built with.
// error.rs             `Error`, `BuildError`: why there is no token, or no session.
// alarm.rs             `Alarm`: one caller's use of the timer.
// panics.rs            `FirstPanic`: a panic of the program's code, kept until it can be resumed.
// models.rs            Loom models of the private protocols above.

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
