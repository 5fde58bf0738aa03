//! What is checked where an operation is given up, or the storage fails.

use core::task::{Context, Waker};
use std::boxed::Box;
use std::format;
use std::prelude::rust_2024::*;

use super::drive::Drive;
use super::flaw::{StoreFlaw, StoreProperty, ensure};
use super::samples::numbered;
use crate::store::{Store, StoreError, Swap, Versioned};

/// How often a future is polled before it is dropped, at most.
const POLLS: u64 = 3;

/// How often a write is tried again that a late one has anticipated.
const LATE: usize = 8;

pub(super) async fn drops<S: Store>(
    open: &(dyn Fn() -> S + Send + Sync),
    drive: &Drive,
) -> Result<(), StoreFlaw> {
    let property = StoreProperty::DroppedSwapIsWhole;
    for polls in 0..=POLLS {
        let store = open();
        let (old, new) = (numbered(3000 + polls), numbered(3100 + polls));
        let before = drive.put(&store, Some(old.clone())).await?;
        give_up(store.swap(before, Some(new.clone())), polls);
        let found = drive.load(&store).await?;
        let is_old = found == Versioned { version: before, grant: Some(old) };
        let is_new = found.version > before && found.grant.as_ref() == Some(&new);
        ensure(property, is_old || is_new, || {
            format!(
                "a swap that is dropped after {polls} polls leaves neither the old grant nor the new one"
            )
        })?;
        let last = numbered(3200 + polls);
        let mut found = found;
        let mut version = None;
        for _ in 0..LATE {
            match drive.swap(&store, found.version, Some(last.clone())).await? {
                Swap::Done(done) => version = Some(done),
                // The write that was dropped was done just now.
                Swap::Conflict(told) => {
                    found = told;
                    continue;
                }
            }
            break;
        }
        let found = drive.load(&open()).await?;
        let stands = Some(found.version) == version && found.grant.as_ref() == Some(&last);
        ensure(property, stands, || {
            format!(
                "after a swap that is dropped after {polls} polls, the next write does not stand"
            )
        })?;
    }
    give_up(open().load(), 1);
    drive.load(&open()).await.map(drop)
}

/// Polls a future a few times, and drops it.
fn give_up<T>(operation: impl Future<Output = T>, polls: u64) {
    let mut operation = Box::pin(operation);
    for _ in 0..polls {
        if operation.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            return;
        }
    }
}

pub(super) async fn unreachable<S: Store>(
    open: &(dyn Fn() -> S + Send + Sync),
    drive: &Drive,
) -> Result<(), StoreFlaw> {
    let store = open();
    let load = drive.try_run("load", store.load()).await?;
    failed("a load", load)?;
    let swap = store.swap(Versioned::EMPTY.version, Some(numbered(4000)));
    failed("a swap", drive.try_run("swap", swap).await?)?;
    let replaced = store.replace_damaged(Some(numbered(4001)));
    let replaced = drive.try_run("replacement", replaced).await?;
    ensure(
        StoreProperty::ReportsErrors,
        replaced.is_err(),
        || "a replacement in a store that cannot be reached succeeds",
    )
}

fn failed<T>(what: &str, result: Result<T, StoreError>) -> Result<(), StoreFlaw> {
    let property = StoreProperty::ReportsErrors;
    match result {
        Ok(_) => {
            let found = format!("{what} of a store that cannot be reached succeeds");
            Err(StoreFlaw::new(property, found))
        }
        Err(error) => ensure(property, !error.is_damaged(), || {
            format!("{what} of a store that cannot be reached says that its content is damaged")
        }),
    }
}

/// Returns whether a login can replace the damage.
pub(super) async fn damaged<S: Store>(
    open: &(dyn Fn() -> S + Send + Sync),
    damage: &(dyn Fn() + Send + Sync),
    drive: &Drive,
) -> Result<bool, StoreFlaw> {
    let store = open();
    let before = drive.put(&store, Some(numbered(5000))).await?;
    damage();
    for store in [&store, &open()] {
        is_damage("a load", drive.try_run("load", store.load()).await?)?;
        let swap = store.swap(before, Some(numbered(5001)));
        is_damage("a swap", drive.try_run("swap", swap).await?)?;
        is_damage("a load after a swap", drive.try_run("load", store.load()).await?)?;
    }
    let login = numbered(5002);
    let replaced = drive.try_run("replacement", store.replace_damaged(Some(login.clone()))).await?;
    match replaced {
        Ok(Swap::Done(version)) => {
            let found = drive.load(&open()).await?;
            let stands = found == Versioned { version, grant: Some(login) };
            ensure(
                StoreProperty::ReportsDamage,
                stands,
                || "what replaced damaged content is not what a load returns",
            )?;
            Ok(true)
        }
        Ok(Swap::Conflict(_)) => Err(StoreFlaw::new(
            StoreProperty::ReportsDamage,
            "`replace_damaged` takes damaged content for a grant",
        )),
        Err(error) => {
            ensure(StoreProperty::ReportsDamage, error.is_damaged(), || {
                format!("damaged content cannot be replaced, for another reason: {error}")
            })?;
            Ok(false)
        }
    }
}

fn is_damage<T>(what: &str, result: Result<T, StoreError>) -> Result<(), StoreFlaw> {
    let property = StoreProperty::ReportsDamage;
    match result {
        Ok(_) => Err(StoreFlaw::new(property, format!("{what} of damaged content succeeds"))),
        Err(error) => ensure(property, error.is_damaged(), || {
            format!("{what} of damaged content fails, and does not say that it is damage: {error}")
        }),
    }
}
