//! What is checked with several writers at once, each with a handle of its own.

use core::sync::atomic::{AtomicBool, Ordering};
use std::format;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use super::drive::{Drive, at_once, let_others};
use super::flaw::{StoreFlaw, StoreProperty, ensure};
use super::samples::{number, numbered};
use crate::refresh::BoxFuture;
use crate::store::{Store, Swap, Version, Versioned};

pub(super) struct Crowd<'a, S> {
    pub(super) open: &'a (dyn Fn() -> S + Send + Sync),
    pub(super) drive: &'a Drive,
    pub(super) spawner: &'a (dyn Fn(BoxFuture<()>) + Send + Sync),
    pub(super) writers: usize,
    pub(super) rounds: usize,
}

impl<S: Store> Crowd<'_, S> {
    pub(super) async fn check(&self) -> Result<(), StoreFlaw> {
        for _ in 0..self.rounds {
            self.one_swap_wins().await?;
        }
        self.loses_no_write().await?;
        for _ in 0..self.rounds {
            self.logout_stays().await?;
        }
        Ok(())
    }

    /// Runs a task for each writer, given its number from 0.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        task: impl Fn(u64) -> BoxFuture<Result<T, StoreFlaw>>,
    ) -> Result<Vec<T>, StoreFlaw> {
        let tasks = (0..self.writers as u64).map(task).collect();
        let results = at_once(self.spawner, tasks).await;
        let lost = || {
            StoreFlaw::new(
                StoreProperty::Completes,
                "a future of the store panicked, or was not run",
            )
        };
        results.into_iter().map(|result| result.unwrap_or_else(|| Err(lost()))).collect()
    }

    /// Swaps at once, each for its writer's number.
    async fn swap_all(&self, expected: Version) -> Result<Vec<Swap>, StoreFlaw> {
        self.run(|writer| {
            let (store, drive) = ((self.open)(), self.drive.clone());
            Box::pin(async move { drive.swap(&store, expected, Some(numbered(writer))).await })
        })
        .await
    }

    async fn one_swap_wins(&self) -> Result<(), StoreFlaw> {
        let property = StoreProperty::OneSwapWins;
        let store = (self.open)();
        let before = self.drive.put(&store, Some(numbered(1000))).await?;
        let swaps = self.swap_all(before).await?;
        let winners = (0_u64..).zip(&swaps).filter_map(|(writer, swap)| match swap {
            Swap::Done(version) => Some((writer, *version)),
            Swap::Conflict(_) => None,
        });
        let winners = winners.collect::<Vec<_>>();
        let (count, all) = (winners.len(), self.writers);
        let &[(winner, version)] = &*winners else {
            let found = format!("of {all} swaps at once that expect one version, {count} are done");
            return Err(StoreFlaw::new(property, found));
        };
        let found = self.drive.load(&store).await?;
        let is_winners =
            |it: &Versioned| *it == Versioned { version, grant: Some(numbered(winner)) };
        ensure(
            property,
            is_winners(&found),
            || "after several swaps at once the store holds something else than what the one that was done has written",
        )?;
        let told = swaps.iter().all(|swap| match swap {
            Swap::Done(_) => true,
            Swap::Conflict(told) => is_winners(told),
        });
        ensure(
            property,
            told,
            || "a conflict among several swaps at once returns something else than the store holds",
        )
    }

    async fn loses_no_write(&self) -> Result<(), StoreFlaw> {
        let store = (self.open)();
        let before = self.drive.put(&store, Some(numbered(0))).await?;
        let done = Arc::new(AtomicBool::new(false));
        let rounds = self.rounds as u64;
        let writers = self.writers as u64;
        // The last task reads, while the others add.
        self.run(|task| {
            let (store, drive, done) = ((self.open)(), self.drive.clone(), Arc::clone(&done));
            Box::pin(async move {
                if task + 1 == writers {
                    // It only stops this loop: what the others did is seen by joining them.
                    while !done.load(Ordering::Relaxed) {
                        counted(&drive.load(&store).await?)?;
                        let_others().await;
                    }
                    return Ok(());
                }
                let added = add(&store, &drive, rounds).await;
                if task == 0 || added.is_err() {
                    done.store(true, Ordering::Relaxed);
                }
                added
            })
        })
        .await?;
        let found = self.drive.load(&store).await?;
        let (counted, expected) = (counted(&found)?, (writers - 1) * rounds);
        ensure(StoreProperty::LosesNoWrite, counted == expected, || {
            format!(
                "{expected} times one was added to what had been read, and the sum is {counted}"
            )
        })?;
        let versions = found.version.number() - before.number();
        ensure(StoreProperty::VersionMoves, versions >= expected, || {
            format!("{expected} writes by several writers raise the version by {versions}")
        })
    }

    async fn logout_stays(&self) -> Result<(), StoreFlaw> {
        let property = StoreProperty::LogoutStays;
        let store = (self.open)();
        let before = self.drive.put(&store, Some(numbered(2000))).await?;
        let done = self.run(|writer| {
            let (store, drive) = ((self.open)(), self.drive.clone());
            Box::pin(async move {
                if writer == 0 {
                    return log_out(&store, &drive).await.map(Some);
                }
                drive.swap(&store, before, Some(numbered(writer))).await.map(|_| None)
            })
        });
        let logged_out = done.await?.into_iter().flatten().next();
        let found = self.drive.load(&store).await?;
        ensure(
            property,
            found.grant.is_none() && Some(found.version) == logged_out,
            || "a logout among writes that expect the version before it does not stand",
        )
    }
}

/// Adds one to what the store holds, `times` times.
async fn add(store: &impl Store, drive: &Drive, times: u64) -> Result<(), StoreFlaw> {
    for _ in 0..times {
        let mut found = drive.load(store).await?;
        loop {
            let next = numbered(counted(&found)? + 1);
            match drive.swap(store, found.version, Some(next)).await? {
                Swap::Done(_) => break,
                Swap::Conflict(told) => found = told,
            }
        }
    }
    Ok(())
}

/// Logs out whatever version there is, as a session does.
async fn log_out(store: &impl Store, drive: &Drive) -> Result<Version, StoreFlaw> {
    let mut found = drive.load(store).await?;
    loop {
        match drive.swap(store, found.version, None).await? {
            Swap::Done(version) => return Ok(version),
            Swap::Conflict(told) => found = told,
        }
    }
}

fn counted(found: &Versioned) -> Result<u64, StoreFlaw> {
    found.grant.as_ref().and_then(number).ok_or_else(|| {
        let mixed =
            "among several writers a load or a conflict returns a grant that nobody has written";
        StoreFlaw::new(StoreProperty::ReadsWhole, mixed)
    })
}
