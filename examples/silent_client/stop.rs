//! Ending before all requests are made.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// Tells callers on tasks and on threads to stop, and knows which of the latter still run.
pub(crate) struct Stop {
    told: watch::Sender<bool>,
    running: Mutex<u64>,
    changed: Condvar,
}

impl Default for Stop {
    fn default() -> Self {
        Self { told: watch::Sender::new(false), running: Mutex::default(), changed: Condvar::new() }
    }
}

impl Stop {
    /// Everybody is to stop.
    pub(crate) fn tell(&self) {
        let running = self.lock();
        self.told.send_replace(true);
        drop(running);
        self.changed.notify_all();
    }

    pub(crate) fn is_told(&self) -> bool {
        *self.told.borrow()
    }

    /// Ends when everybody is to stop.
    pub(crate) async fn told(&self) {
        // An error would say that the sender is gone, and it is borrowed.
        drop(self.told.subscribe().wait_for(|told| *told).await);
    }

    /// Waits on this thread until everybody is to stop, at most for `limit`.
    pub(crate) fn told_within(&self, limit: Duration) -> bool {
        let running = self.lock();
        drop(self.changed.wait_timeout_while(running, limit, |_| !self.is_told()));
        self.is_told()
    }

    /// Counts the caller in that will hold it.
    pub(crate) fn running(self: &Arc<Self>) -> Running {
        *self.lock() += 1;
        Running(Arc::clone(self))
    }

    /// Waits on this thread until nobody runs, or everybody is to stop: a call that hangs is not
    /// waited for.
    pub(crate) fn until_nobody_runs(&self) {
        let running = self.lock();
        drop(self.changed.wait_while(running, |running| *running > 0 && !self.is_told()));
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A caller that has not come to its end.
pub(crate) struct Running(Arc<Stop>);

impl Drop for Running {
    fn drop(&mut self) {
        *self.0.lock() -= 1;
        self.0.changed.notify_all();
    }
}
