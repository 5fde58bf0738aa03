//! The nudge, which wakes the keeper of keyed sessions.

use core::task::Waker;
use std::prelude::rust_2024::*;
use std::sync::PoisonError;

use crate::primitives::{AtomicBool, Mutex, MutexGuard, Ordering};

/// Wakes the keeper when there is something new to wait for.
#[derive(Default)]
pub(super) struct Nudge {
    kept: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Nudge {
    /// Registers the keeper. Called before it looks, under the shards' locks, at what there is to wait
    /// for.
    pub(super) fn wait(&self, waker: Waker) {
        // Relaxed: whoever leaves something new under that lock after the look has seen this by the
        // lock; what was left there before, the look finds.
        self.kept.store(true, Ordering::Relaxed);
        let replaced = self.lock().replace(waker);
        drop(replaced);
    }

    /// Wakes the keeper. Called after something new was left under a shard's lock.
    pub(super) fn call(&self) {
        if self.kept.load(Ordering::Relaxed) {
            let waker = self.lock().take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Waker>> {
        self.waker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
