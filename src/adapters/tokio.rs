//! Tokio: a timer, a spawner, and a home for futures that need its runtime.
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

/// A tokio runtime, as sessions use it. It needs the runtime's time driver (`enable_time`).
#[derive(Clone, Debug)]
pub struct Tokio(Handle);

/// There is no tokio runtime here.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, ThisError)]
#[error("no tokio runtime here: build this inside one, or pass its handle to `Tokio::new`")]
pub struct NoRuntime;

impl Tokio {
    /// The runtime with this handle.
    pub fn new(handle: Handle) -> Self {
        Self(handle)
    }

    /// The runtime that this is called in.
    ///
    /// # Errors
    /// Outside any; the error names the fix.
    pub fn current() -> Result<Self, NoRuntime> {
        Handle::try_current().map(Self).map_err(|_| NoRuntime)
    }

    /// A spawner for [`Builder::spawner`](crate::session::Builder::spawner).
    pub fn spawner(&self) -> impl Fn(BoxFuture<()>) + Send + Sync + 'static {
        let handle = self.0.clone();
        move |task| drop(handle.spawn(task))
    }
}

impl Timer for Tokio {
    fn sleep(&self, duration: Duration) -> BoxFuture<()> {
        // A sleep keeps the runtime that it was made in; where it is polled does not matter.
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
