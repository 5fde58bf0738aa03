//! One clock for a verifier and its session.

use std::sync::Arc;

use crate::clock::{Clock, SharedClock};
use crate::time::Timestamp;

/// A clock that can be cloned.
#[derive(Clone)]
pub(super) struct AnyClock(Arc<dyn Clock>);

impl AnyClock {
    pub(super) fn new(clock: impl Clock) -> Self {
        Self(Arc::new(clock))
    }
}

impl Default for AnyClock {
    fn default() -> Self {
        Self::new(SharedClock)
    }
}

impl Clock for AnyClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn wall(&self) -> Timestamp {
        self.0.wall()
    }
}
