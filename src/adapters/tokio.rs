//! A timer, a spawner and a runtime on tokio.
//!
//! ```
//! use perennial::adapters::tokio::Tokio;
//! # use perennial::{refresh::{RefreshError, Request}, session::Session, token::Grant};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let tokio = Tokio::current()?;
//! let session = Session::builder(|_request: Request| async {
//!     Ok::<_, RefreshError>(Grant::new("at-1", "rt-1", core::time::Duration::from_secs(60)))
//! })
//! .without_grant()
//! .timer(tokio.clone())
//! .spawner(tokio.spawner())
//! .build()?;
//! assert_eq!(session.token().await?.expose(), "at-1");
//! # Ok(())
//! # }
//! ```

use core::time::Duration;
use std::boxed::Box;

use thiserror::Error as ThisError;
use tokio::runtime::Handle;

use crate::clock::Timer;
use crate::refresh::{BoxFuture, Runtime};

/// A tokio runtime's timer and spawner. The runtime needs its time driver (`enable_time`).
#[derive(Clone, Debug)]
pub struct Tokio(Handle);

/// The error for a call outside a tokio runtime.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, ThisError)]
#[error("no tokio runtime here: build this inside one, or pass its handle to `Tokio::new`")]
pub struct NoRuntime;

impl Tokio {
    /// Creates it from a runtime's handle.
    pub fn new(handle: Handle) -> Self {
        Self(handle)
    }

    /// Creates it from the runtime in which this is called.
    ///
    /// # Errors
    /// [`NoRuntime`], outside a tokio runtime.
    pub fn current() -> Result<Self, NoRuntime> {
        Handle::try_current().map(Self).map_err(|_| NoRuntime)
    }

    /// Returns a spawner for [`Builder::spawner`](crate::session::Builder::spawner).
    pub fn spawner(&self) -> impl Fn(BoxFuture<()>) + Send + Sync + 'static {
        let handle = self.0.clone();
        move |task| drop(handle.spawn(task))
    }
}

impl Timer for Tokio {
    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        // A sleep keeps the runtime in which it was created, wherever it is polled.
        let _entered = self.0.enter();
        Box::pin(tokio::time::sleep(duration))
    }
}

impl Runtime for Tokio {
    fn enter(&self, poll: &mut dyn FnMut()) {
        let _entered = self.0.enter();
        poll();
    }
}
