//! A timer for plain threads, and for executors without a timer: one thread that sleeps for all.
//!
//! ```
//! use perennial::adapters::thread::ThreadTimer;
//! # use perennial::{refresh::{RefreshError, Request}, session::Session, token::Grant};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let session = Session::builder(|_request: Request| async {
//!     Ok::<_, RefreshError>(Grant::new("at-1", "rt-1", core::time::Duration::from_secs(60)))
//! })
//! .without_grant()
//! .timer(ThreadTimer::new())
//! .build()?;
//! assert_eq!(session.token_blocking()?.expose(), "at-1");
//! # Ok(())
//! # }
//! ```

pub use crate::thread_timer::ThreadTimer;
