//! Runs the operations on one file, or one entry of a keyring, one after another, on one thread that ends with the last of
//! them. So a held lock, or a file system that hangs, occupies one thread, however many callers
//! give up.
//!
//! Invariants: an operation abandoned before its claim was taken is never done; an abandoned job
//! does not stay in the queue. No code of the program runs under the lock here.

use core::sync::atomic::{AtomicU8, Ordering};
use std::collections::VecDeque;
use std::io;
use std::prelude::rust_2024::*;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::offload::{Job, offload, on_a_thread};
use crate::primitives::contained;

/// Jobs that wait for one thread.
#[derive(Default)]
pub(crate) struct Lane(Mutex<Jobs>);

#[derive(Default)]
struct Jobs {
    waiting: VecDeque<(Arc<Claim>, Job)>,
    running: bool,
}

impl Lane {
    /// Runs `work` in its turn; returns `None` if it panicked, or no thread could be started for
    /// those before it.
    ///
    /// # Cancellation
    /// Dropping this before its first poll has no effect. Dropping it later abandons the claim that
    /// is passed to `work`; if `work` has already taken the claim, it completes.
    pub(crate) async fn run<T: Send + 'static>(
        self: Arc<Self>,
        work: impl FnOnce(&Claim) -> T + Send + 'static,
    ) -> io::Result<Option<T>> {
        let claim = Arc::new(Claim::default());
        let _given_up_when_dropped = GiveUp(Arc::clone(&claim));
        let pending = {
            let shown = Arc::clone(&claim);
            let hook = move |job| self.push(Arc::clone(&claim), job);
            offload(&hook, move || work(&shown))?
        };
        Ok(pending.await)
    }

    fn push(self: &Arc<Self>, claim: Arc<Claim>, job: Job) -> io::Result<()> {
        let (begins, given_up) = {
            let mut jobs = self.lock();
            let waiting = core::mem::take(&mut jobs.waiting).into_iter();
            let (given_up, mut waiting): (VecDeque<_>, VecDeque<_>) =
                waiting.partition(|(claim, _)| claim.is_given_up());
            waiting.push_back((claim, job));
            jobs.waiting = waiting;
            (!core::mem::replace(&mut jobs.running, true), given_up)
        };
        discard(given_up);
        if !begins {
            return Ok(());
        }
        let lane = Arc::clone(self);
        on_a_thread(Box::new(move || lane.work())).inspect_err(|_| {
            let stranded = {
                let mut jobs = self.lock();
                jobs.running = false;
                core::mem::take(&mut jobs.waiting)
            };
            discard(stranded);
        })
    }

    fn work(&self) {
        loop {
            let next = {
                let mut jobs = self.lock();
                let next = jobs.waiting.pop_front();
                jobs.running = next.is_some();
                next
            };
            match next {
                None => return,
                Some((claim, job)) if claim.is_given_up() => discard([(claim, job)]),
                Some((_, job)) => {
                    let _ = contained(job);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drops jobs, each of which wakes its waiter: that runs the program's code (rule C6).
fn discard(jobs: impl IntoIterator<Item = (Arc<Claim>, Job)>) {
    for job in jobs {
        let _ = contained(|| drop(job));
    }
}

/// Whether a write is abandoned by its caller, or goes ahead on its thread: whichever comes first.
#[derive(Default)]
pub(crate) struct Claim(AtomicU8);

const OPEN: u8 = 0;
const GIVEN_UP: u8 = 1;
const TAKEN: u8 = 2;

impl Claim {
    /// Takes the claim, unless it was abandoned.
    pub(crate) fn take(&self) -> bool {
        // Relaxed, as all here: only the order of these two matters.
        self.0.compare_exchange(OPEN, TAKEN, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    pub(crate) fn is_given_up(&self) -> bool {
        self.0.load(Ordering::Relaxed) == GIVEN_UP
    }

    fn give_up(&self) {
        let _ = self.0.compare_exchange(OPEN, GIVEN_UP, Ordering::Relaxed, Ordering::Relaxed);
    }
}

struct GiveUp(Arc<Claim>);

impl Drop for GiveUp {
    fn drop(&mut self) {
        self.0.give_up();
    }
}
