//! Keeping all of very many sessions fresh, on one timer.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;
use std::prelude::rust_2024::*;
use std::sync::{Arc, PoisonError, Weak};

use super::{All, Key, lock_for_reading, lock_for_writing};
use crate::clock::Timer;
use crate::primitives::{AtomicBool, Mutex, MutexGuard, Ordering};
use crate::refresh::BoxFuture;
use crate::session::suspend::Alarm;
use crate::time::Timestamp;

/// How often a timer may ring early within one poll, before others on the executor have a turn.
const EARLY_RINGS: usize = 8;

/// Tells the one that keeps all fresh that there is something new to wait for.
#[derive(Default)]
pub(super) struct Nudge {
    kept: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Nudge {
    /// Comes before the look at what there is to wait for, under the shard's lock.
    pub(super) fn wait(&self, waker: Waker) {
        // Relaxed: whoever leaves something new under that lock after the look has seen this by the
        // lock; what is left there before it, the look finds.
        self.kept.store(true, Ordering::Relaxed);
        let replaced = self.lock().replace(waker);
        drop(replaced);
    }

    /// Comes after what is new was left under a shard's lock.
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

impl<K> Drop for All<K> {
    /// The last handle is gone: what keeps all fresh is told, and ends.
    fn drop(&mut self) {
        self.nudge.call();
    }
}

impl<K: Key> All<K> {
    /// Has `key` renewed when it is next due, if anything keeps it fresh.
    pub(super) fn schedule(&self, key: &K) {
        let program = &self.program;
        let now = program.settings.now();
        self.write(key).schedule(self.hash(key), key, program.settings.policy(), now);
        self.nudge.call();
    }

    fn keep_time(&self, now: Timestamp) {
        for shard in &self.shards {
            lock_for_writing(shard).keep_time(self.program.settings.policy(), now);
        }
    }

    /// When to look again; each shard is asked.
    fn next_stir(&self) -> Option<Timestamp> {
        self.shards.iter().filter_map(|shard| lock_for_reading(shard).next_stir()).min()
    }
}

/// Renews the tokens of all keys: a future that never ends while a handle is left.
///
/// Made by [`Sessions::keep_fresh`](super::Sessions::keep_fresh). Spawn it. It drives the refreshes
/// that it starts, a bounded number at once.
///
/// # Cancellation
/// Dropping it stops the renewal by itself, and nothing else: what it has begun goes on with the
/// next caller of that key.
#[must_use = "nothing is renewed until this is spawned or awaited"]
pub struct KeepFresh<K> {
    all: Weak<All<K>>,
    began: bool,
    alarm: Alarm,
    /// Due, and not yet begun.
    due: VecDeque<K>,
    /// Begun.
    out: Vec<(K, BoxFuture<()>)>,
}

impl<K> Unpin for KeepFresh<K> {}

impl<K: Key> KeepFresh<K> {
    pub(super) fn new(all: &Arc<All<K>>, timer: Arc<dyn Timer>) -> Self {
        Self {
            all: Arc::downgrade(all),
            began: false,
            alarm: Alarm::new(Some(timer)),
            due: VecDeque::new(),
            out: Vec::new(),
        }
    }

    /// Begins what is due, as far as there is room.
    fn begin(&mut self, all: &All<K>, now: Timestamp) {
        if self.due.is_empty() {
            for shard in &all.shards {
                let is_due = lock_for_reading(shard).next_stir().is_some_and(|stir| stir <= now);
                if is_due {
                    self.due.extend(lock_for_writing(shard).due(now));
                }
            }
        }
        while self.out.len() < all.program.at_once {
            let Some(key) = self.due.pop_front() else { return };
            // It may have been evicted or logged out meanwhile; or renewed, and not be due.
            if all.state_is_due(&key, now) {
                if let Ok(session) = all.find(&key) {
                    self.out.push((key, session.renew()));
                    continue;
                }
            }
            all.schedule_quietly(&key, now);
        }
    }
}

impl<K: Key> All<K> {
    /// Whether a caller that comes now would begin a refresh. Takes up no packed session.
    fn state_is_due(&self, key: &K, now: Timestamp) -> bool {
        let hash = self.hash(key);
        self.read(key).is_due(hash, key, self.program.settings.policy(), now)
    }

    fn schedule_quietly(&self, key: &K, now: Timestamp) {
        self.write(key).schedule(self.hash(key), key, self.program.settings.policy(), now);
    }
}

impl<K: Key> Future for KeepFresh<K> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let (this, mut rings) = (self.get_mut(), 0);
        loop {
            let Some(all) = this.all.upgrade() else { return Poll::Ready(()) };
            all.nudge.wait(cx.waker().clone());
            let now = all.program.settings.now();
            if !this.began {
                this.began = true;
                all.keep_time(now);
            }
            this.begin(&all, now);
            let mut landed = Vec::new();
            let mut index = 0;
            while let Some((_, refresh)) = this.out.get_mut(index) {
                match refresh.as_mut().poll(cx) {
                    Poll::Pending => index += 1,
                    Poll::Ready(()) => landed.push(this.out.swap_remove(index).0),
                }
            }
            if !landed.is_empty() {
                let now = all.program.settings.now();
                for key in &landed {
                    all.schedule_quietly(key, now);
                }
                // There may be no end to it: others on the executor have their turn first.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            // With no room left, what is out wakes this.
            let until = if this.due.is_empty() { all.next_stir() } else { None };
            match until {
                Some(until) if this.alarm.is_due(until, now, cx.waker()) => rings += 1,
                Some(_) | None => return Poll::Pending,
            }
            if rings > EARLY_RINGS {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }
}

impl<K> fmt::Debug for KeepFresh<K> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KeepFresh").finish_non_exhaustive()
    }
}
