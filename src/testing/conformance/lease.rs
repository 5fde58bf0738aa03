//! What is checked of a store's lease, where it has one.

use core::time::Duration;
use std::format;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use super::crowd::Crowd;
use super::drive::Drive;
use super::flaw::{StoreFlaw, StoreProperty, ensure};
use super::samples::numbered;
use crate::store::{Acquired, Lease, Store, Swap, Version, Versioned};

/// Longer than the test holds any lease.
const TERM: Duration = Duration::from_secs(60);

const PROPERTY: StoreProperty = StoreProperty::LeaseHasOneHolder;

pub(super) async fn check<S: Store>(crowd: &Crowd<'_, S>) -> Result<(), StoreFlaw> {
    let (open, drive) = (crowd.open, crowd.drive);
    let stores = [open(), open(), open()];
    let [Some(first), Some(second), Some(third)] = stores.each_ref().map(Store::lease) else {
        return ensure(
            PROPERTY,
            stores.each_ref().map(Store::lease).iter().all(Option::is_none),
            || "some handles of the store have a lease, and others have none",
        );
    };
    let _ = drive.put(&stores[0], Some(numbered(6000))).await?;
    let fence = held(drive, &first, &stores[0]).await?;
    is_busy(drive, &second, "while another handle holds the lease").await?;
    renewed(drive, &first, fence, true, "the holder").await?;
    renewed(drive, &second, fence.next(), false, "whoever never had it").await?;
    // A write waits for no lease, and the lease keeps its number.
    let written = drive.swap(&stores[1], fence, Some(numbered(6001))).await?;
    ensure(PROPERTY, matches!(written, Swap::Done(_)), || "a lease keeps others from writing")?;
    renewed(drive, &first, fence, true, "the holder, after a write").await?;
    drive.run("release", second.release(fence.next())).await?;
    is_busy(drive, &second, "after the release of a lease that nobody holds").await?;
    drive.run("release", first.release(fence)).await?;
    let next = held(drive, &second, &stores[1]).await?;
    ensure(PROPERTY, next > fence, || "the fencing number does not grow with the store's version")?;
    // The first holder has lost it.
    renewed(drive, &first, fence, false, "an earlier holder").await?;
    drive.run("release", first.release(fence)).await?;
    is_busy(drive, &third, "after the release by an earlier holder").await?;
    drive.run("release", second.release(next)).await?;
    for _ in 0..crowd.rounds {
        one_of_many_holds(crowd).await?;
    }
    Ok(())
}

/// Acquires a lease that is free, and returns its fencing number.
async fn held(
    drive: &Drive,
    lease: &Arc<dyn Lease>,
    store: &impl Store,
) -> Result<Version, StoreFlaw> {
    let there = drive.load(store).await?;
    match drive.run("acquisition", lease.acquire(TERM)).await? {
        Acquired::Held(found) => {
            ensure(
                PROPERTY,
                found.grant == there.grant && found.version >= there.version,
                || "an acquired lease returns something else than the store holds",
            )?;
            Ok(found.version)
        }
        Acquired::Busy { .. } => Err(StoreFlaw::new(PROPERTY, "a lease that is free is busy")),
    }
}

async fn is_busy(drive: &Drive, lease: &Arc<dyn Lease>, when: &str) -> Result<(), StoreFlaw> {
    match drive.run("acquisition", lease.acquire(TERM)).await? {
        Acquired::Busy { remaining } => ensure(
            PROPERTY,
            remaining.is_none_or(|it| it <= TERM),
            || "a lease remains for longer than its term",
        ),
        Acquired::Held(_) => Err(StoreFlaw::new(PROPERTY, format!("the lease is acquired {when}"))),
    }
}

async fn renewed(
    drive: &Drive,
    lease: &Arc<dyn Lease>,
    fence: Version,
    expected: bool,
    who: &str,
) -> Result<(), StoreFlaw> {
    let renewed = drive.run("renewal", lease.renew(fence, TERM)).await?;
    ensure(PROPERTY, renewed == expected, || {
        let said = if renewed { "it is renewed" } else { "it is lost" };
        format!("{who} renews the lease, and is told that {said}")
    })
}

async fn one_of_many_holds<S: Store>(crowd: &Crowd<'_, S>) -> Result<(), StoreFlaw> {
    let fences = crowd.run(|_| {
        let (lease, drive) = ((crowd.open)().lease(), crowd.drive.clone());
        Box::pin(async move {
            let Some(lease) = lease else { return Ok(None) };
            match drive.run("acquisition", lease.acquire(TERM)).await? {
                // It is kept until all have tried.
                Acquired::Held(Versioned { version, .. }) => Ok(Some((lease, version))),
                Acquired::Busy { .. } => Ok(None),
            }
        })
    });
    let holders: Vec<_> = fences.await?.into_iter().flatten().collect();
    let (count, all) = (holders.len(), crowd.writers);
    ensure(PROPERTY, count == 1, || {
        format!("of {all} that acquire the lease at once, {count} hold it")
    })?;
    for (lease, fence) in holders {
        crowd.drive.run("release", lease.release(fence)).await?;
    }
    Ok(())
}
