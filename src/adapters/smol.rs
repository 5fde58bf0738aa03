//! A timer and a spawner on smol, also for executors that have none of their own.
//!
//! ```
//! use perennial::adapters::smol::Smol;
//! # use perennial::{refresh::{RefreshError, Request}, session::Session, token::Grant};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let session = Session::builder(|_request: Request| async {
//!     Ok::<_, RefreshError>(Grant::new("at-1", "rt-1", core::time::Duration::from_secs(60)))
//! })
//! .without_grant()
//! .timer(Smol)
//! .spawner(Smol::spawner())
//! .build()?;
//! assert_eq!(smol::block_on(session.token())?.expose(), "at-1");
//! # Ok(())
//! # }
//! ```

use core::time::Duration;
use std::boxed::Box;

use crate::clock::Timer;
use crate::refresh::BoxFuture;

/// Smol's timer and spawner: `async-io`'s timer, and smol's global executor. Neither needs a
/// runtime context, so it works on any thread.
#[derive(Copy, Clone, Debug, Default)]
pub struct Smol;

impl Smol {
    /// Returns a spawner for [`Builder::spawner`](crate::session::Builder::spawner), on the global
    /// executor.
    pub fn spawner() -> impl Fn(BoxFuture<()>) + Send + Sync + 'static {
        |task| smol::spawn(task).detach()
    }
}

impl Timer for Smol {
    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        Box::pin(async move {
            smol::Timer::after(duration).await;
        })
    }
}
