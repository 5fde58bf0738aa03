//! The lease on a grant file: a lock of the operating system on a file of its own, `<name>.refresh`,
//! which is held while a refresh reads, asks and stores. It ends with its process, and at the latest
//! with its term, by the thread that acquired it, whether or not anybody polls the refresh.
//!
//! Invariants: all stores of one file in one process share one lock, so that at most one of them is
//! at the file at a time; no login, logout or plain write waits for it; a holder that is dropped
//! releases it; nothing of it is inherited by a program that is executed.
//!
//! A child that is forked while the lock is held does not hold it: the holder in its copy of this state
//! is known by the parent's number. The child passes over it and never unlocks for it, as that would
//! unlock the parent's file, which is the same.

use core::sync::atomic::{AtomicU64, Ordering};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek, Write};
use std::path::{Path, PathBuf};
use std::prelude::rust_2024::*;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use core::future::poll_fn;

use fs4::{FileExt, TryLockError};

use super::lock;
use super::said::failed;
use crate::clock::{Clock, SharedClock, Stopwatch};
use crate::offload::{Job, offload, on_a_thread};
use crate::primitives::{contained, discard};
use crate::refresh::BoxFuture;
use crate::store::{Acquired, Lease, StoreError, Version, Versioned};
use crate::time::{Span, Timestamp};

type Read = fn(&Path) -> Result<Versioned, StoreError>;

/// The lease of all stores of one grant file in this process.
pub(super) struct FileLease {
    path: PathBuf,
    /// Reads the grant file.
    read: Read,
    state: Mutex<State>,
    /// The holder has changed.
    changed: Condvar,
    watch: Stopwatch,
}

#[derive(Default)]
struct State {
    holder: Option<Holder>,
    /// Counts the holders.
    number: u64,
    /// Of sessions of this process that wait for the holder.
    waiting: Vec<Waker>,
}

struct Holder {
    number: u64,
    /// That has acquired the lease: another one only in a forked child.
    process: u32,
    /// Unknown until the grant file was read.
    fence: Option<Version>,
    /// On the watch.
    until: Duration,
    /// Locked, once that has been tried.
    file: Option<File>,
}

impl FileLease {
    /// Returns the lease of the grant file at `path`, which has all links resolved.
    pub(super) fn of(path: &Path, read: Read) -> Arc<Self> {
        static ALL: Mutex<BTreeMap<PathBuf, Weak<FileLease>>> = Mutex::new(BTreeMap::new());
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, lease| lease.strong_count() > 0);
        let known = all.get(path).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let lease = Arc::new(Self {
                path: path.to_owned(),
                read,
                state: Mutex::default(),
                changed: Condvar::new(),
                watch: Stopwatch::new(),
            });
            all.insert(path.to_owned(), Arc::downgrade(&lease));
            lease
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a caller the holder within this process. Returns its number, or for how long another
    /// is the holder.
    fn enter(&self, term: Duration) -> Result<u64, Duration> {
        let now = self.watch.elapsed();
        let mut state = self.lock();
        let process = std::process::id();
        if let Some(holder) = state.holder.as_ref().filter(|it| it.process == process) {
            return Err(holder.until.saturating_sub(now));
        }
        state.number += 1;
        let (number, until) = (state.number, now.saturating_add(term));
        state.holder = Some(Holder { number, process, fence: None, until, file: None });
        Ok(number)
    }

    /// Ends the holder that `is` picks: unlocks the file, and wakes who waits in this process.
    fn leave(&self, is: impl Fn(&Holder) -> bool) {
        let mut state = self.lock();
        let Some(left) = state.holder.take_if(|holder| is(holder)) else { return };
        if let (Some(file), true) = (left.file, left.process == std::process::id()) {
            // Explicitly: a forked child has the same open file.
            let _ = FileExt::unlock(&file);
        }
        let waiting = core::mem::take(&mut state.waiting);
        drop(state);
        self.changed.notify_all();
        for waker in waiting {
            let _ = contained(|| waker.wake());
        }
    }

    /// Locks the file of the holder with this number, and reads the grant file. On its own thread.
    fn take(&self, number: u64, term: Duration) -> Result<Acquired, StoreError> {
        let path = refresh_file(&self.path);
        let file = lock::open_at(&path)?;
        loop {
            match FileExt::try_lock(&file) {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {
                    return Ok(Acquired::Busy { remaining: remaining(&file) });
                }
                Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Interrupted => {}
                Err(TryLockError::Error(error)) => return Err(failed("locked", &path, error)),
            }
        }
        note(&file, term);
        {
            let mut state = self.lock();
            match &mut state.holder {
                Some(holder) if holder.number == number => holder.file = Some(file),
                // It was given up meanwhile. Dropping the file unlocks it.
                Some(_) | None => return Ok(Acquired::Busy { remaining: None }),
            }
        }
        let content = (self.read)(&self.path)?;
        if let Some(holder) = self.lock().holder.as_mut().filter(|it| it.number == number) {
            holder.fence = Some(content.version);
        }
        Ok(Acquired::Held(content))
    }

    /// Waits until the holder with this number has left, or its term is over. On its own thread.
    fn keep(&self, number: u64) {
        let mut state = self.lock();
        while let Some(holder) = state.holder.as_ref().filter(|it| it.number == number) {
            let left = holder.until.saturating_sub(self.watch.elapsed());
            if left.is_zero() {
                break;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(state);
        self.leave(|holder| holder.number == number);
    }
}

/// The future of an acquisition, dropped: the lock is not kept for nobody.
struct Unfinished {
    lease: Arc<FileLease>,
    number: Option<u64>,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.lease.leave(|holder| holder.number == number);
        }
    }
}

/// A [`FileLease`] as one refresh holds it: what it has acquired, only it renews and releases. The
/// version alone would not tell two holders apart between which nobody has written.
pub(super) struct Handle {
    lease: Arc<FileLease>,
    /// The number of the holder that it acquired last.
    mine: Arc<AtomicU64>,
}

impl Handle {
    pub(super) fn new(lease: &Arc<FileLease>) -> Self {
        Self { lease: Arc::clone(lease), mine: Arc::default() }
    }

    fn holds(&self, holder: &Holder, fence: Version) -> bool {
        // Relaxed: the number is only compared.
        holder.fence == Some(fence) && holder.number == self.mine.load(Ordering::Relaxed)
    }
}

impl Lease for Handle {
    fn acquire(&self, term: Duration) -> BoxFuture<Result<Acquired, StoreError>> {
        let (lease, mine) = (Arc::clone(&self.lease), Arc::clone(&self.mine));
        Box::pin(async move {
            let number = match lease.enter(term) {
                Ok(number) => number,
                Err(remaining) => return Ok(Acquired::Busy { remaining: Some(remaining) }),
            };
            mine.store(number, Ordering::Relaxed);
            let mut unfinished = Unfinished { lease: Arc::clone(&lease), number: Some(number) };
            let keeper = Arc::clone(&lease);
            // The thread that has taken the lock keeps it to its end.
            let hook = move |job: Job| {
                let keeper = Arc::clone(&keeper);
                on_a_thread(Box::new(move || {
                    job();
                    keeper.keep(number);
                }))
            };
            let shared = Arc::clone(&lease);
            let pending = offload(&hook, move || {
                let acquired = shared.take(number, term);
                if !matches!(acquired, Ok(Acquired::Held(_))) {
                    shared.leave(|holder| holder.number == number);
                }
                acquired
            });
            let pending = pending.map_err(|error| {
                StoreError::unreachable("no thread could be started for the grant file")
                    .with_source(error)
            })?;
            let acquired = pending.await.unwrap_or_else(|| {
                Err(StoreError::unreachable("the thread of the grant file was lost"))
            });
            if let Ok(Acquired::Held(_)) = acquired {
                unfinished.number = None;
            }
            acquired
        })
    }

    fn renew(&self, fence: Version, term: Duration) -> BoxFuture<Result<bool, StoreError>> {
        let until = self.lease.watch.elapsed().saturating_add(term);
        let mut state = self.lease.lock();
        let held = state.holder.as_mut().filter(|holder| self.holds(holder, fence));
        let renewed = held.is_some();
        if let Some(holder) = held {
            holder.until = until;
            if let Some(file) = &holder.file {
                note(file, term);
            }
        }
        drop(state);
        self.lease.changed.notify_all();
        Box::pin(core::future::ready(Ok(renewed)))
    }

    fn release(&self, fence: Version) -> BoxFuture<Result<(), StoreError>> {
        self.abandon(fence);
        Box::pin(core::future::ready(Ok(())))
    }

    fn abandon(&self, fence: Version) {
        self.lease.leave(|holder| self.holds(holder, fence));
    }

    fn changed(&self) -> BoxFuture<()> {
        let lease = Arc::clone(&self.lease);
        let mut asked = false;
        Box::pin(poll_fn(move |cx: &mut Context<'_>| {
            let waker = cx.waker().clone();
            let mut state = lease.lock();
            if asked && state.holder.is_none() {
                return Poll::Ready(());
            }
            // Another process holds it: the session asks again by itself.
            if state.holder.is_none() {
                return Poll::Pending;
            }
            asked = true;
            let others = core::mem::take(&mut state.waiting).into_iter();
            let (replaced, mut others): (Vec<_>, Vec<_>) =
                others.partition(|other| other.will_wake(&waker));
            others.push(waker);
            state.waiting = others;
            drop(state);
            discard(replaced);
            Poll::Pending
        }))
    }

    fn is_lock(&self) -> bool {
        true
    }
}

/// Returns the path of the file that is locked.
fn refresh_file(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".refresh");
    name.into()
}

/// Notes in the locked file when its term ends, by the wall clock, for those who wait. A note that
/// fails is missing, and no harm.
fn note(mut file: &File, term: Duration) {
    let until = SharedClock.wall().saturating_add(Span::from(term));
    let _ = file.rewind().and_then(|()| {
        file.set_len(0)?;
        file.write_all(format!("{}\n", until.as_millis()).as_bytes())
    });
}

/// Returns how long another process may hold the lock on `file`, as it has noted.
fn remaining(file: &File) -> Option<Duration> {
    let mut noted = String::new();
    file.take(32).read_to_string(&mut noted).ok()?;
    let until = Timestamp::from_millis(noted.trim().parse().ok()?);
    Some(until.since(SharedClock.wall()).to_duration())
}

#[cfg(test)]
mod tests {
    use super::*;

    // Rule F3. A fork in a test would take unsafe code: this is what it leaves in the child.
    #[test]
    fn a_forked_child_passes_over_its_parents_holder_and_leaves_the_parents_lock_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("grant.json");
        let lease = FileLease::of(&path, |_| Ok(Versioned::EMPTY));
        let term = Duration::from_secs(60);
        let number = lease.enter(term).expect("nobody has it");
        assert!(matches!(lease.take(number, term), Ok(Acquired::Held(_))));
        assert!(lease.enter(term).is_err());
        let mut of_parent = lease.lock().holder.take().expect("the holder");
        of_parent.process = of_parent.process.wrapping_add(1);
        let parents = of_parent.file.as_ref().expect("it is locked").try_clone().expect("a copy");
        let other = lock::open_at(&refresh_file(&path)).expect("the file");
        let is_locked = || matches!(FileExt::try_lock(&other), Err(TryLockError::WouldBlock));

        lease.lock().holder = Some(of_parent);
        lease.leave(|holder| holder.number == number);
        assert!(is_locked(), "the child has unlocked its parent's file");

        let file = parents.try_clone().ok();
        let process = std::process::id().wrapping_add(1);
        lease.lock().holder = Some(Holder { number, process, fence: None, until: term, file });
        let childs = lease.enter(term).expect("the parent's holder is none of this process");
        assert!(matches!(lease.take(childs, term), Ok(Acquired::Busy { .. })));
        FileExt::unlock(&parents).expect("the parent's release");
        assert!(matches!(lease.take(childs, term), Ok(Acquired::Held(_))));
        lease.leave(|holder| holder.number == childs);
    }
}
