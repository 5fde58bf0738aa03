//! The keeper of keyed sessions, which renews all of them on one timer.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::collections::VecDeque;
use std::prelude::rust_2024::*;
use std::sync::{Arc, Weak};

use super::Sessions;
use super::all::{All, lock_for_reading, lock_for_writing};
use super::program::Key;
use crate::clock::Timer;
use crate::refresh::BoxFuture;
use crate::session::suspend::Alarm;
use crate::time::Timestamp;

/// How often a timer may fire early within one poll, before this yields to others on the executor.
const EARLY_RINGS: usize = 8;

impl<K: Key> Sessions<K> {
    /// Returns a future that renews the tokens of all keys when they are due, without any caller. Spawn
    /// it; it ends once the last handle is dropped.
    ///
    /// With [`stores`](super::Builder::stores), the keys are those that were looked up in this process; where the
    /// store could not be read, the next caller tries again.
    /// Where the store has a [`Lease`](crate::store::Lease), any number of processes may keep the same
    /// keys fresh, without a leader: each draws for itself when a token is due, the first one refreshes
    /// it, and the others adopt what it stored once they are due
    /// ([F4](crate::spec#f-storage)). One that dies is replaced by the next that is due, once its lease
    /// has ended. Set [`timer`](super::Builder::timer), by which a process waits for another, and leave
    /// the jitter on: without it the processes are due at once, and wait for each other.
    pub fn keep_fresh(&self, timer: impl Timer) -> KeepFresh<K> {
        KeepFresh::new(&self.all, Arc::new(timer))
    }
}

/// A future that renews the tokens of all keys when they are due, as long as a handle is left.
///
/// Created by [`Sessions::keep_fresh`](super::Sessions::keep_fresh). Spawn it. It drives the refreshes
/// that it starts, a bounded number at once.
///
/// # Cancellation
/// Dropping it stops the automatic renewal, and nothing else: the next caller of a key drives the
/// refresh that was started for it.
#[must_use = "nothing is renewed until this is spawned or awaited"]
pub struct KeepFresh<K> {
    all: Weak<All<K>>,
    began: bool,
    alarm: Alarm,
    /// Due, and not started yet.
    due: VecDeque<K>,
    /// Started.
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

    /// Starts what is due, as far as there is room.
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
            // The key may have been evicted or logged out meanwhile, or renewed and not be due.
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
                // There may be no end to this: yields to others on the executor first.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            // With no room left, the refreshes in flight wake this.
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
