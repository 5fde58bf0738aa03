//! What is checked with one writer.

use core::time::Duration;
use std::format;
use std::prelude::rust_2024::*;

use super::drive::{Drive, time_of_polls};
use super::flaw::{StoreFlaw, StoreProperty, ensure};
use super::samples::{difference, numbered, of_every_kind};
use crate::store::{Store, StoredGrant, Swap, Version, Versioned};

/// The longest that all polls of one operation may take, at best. Waiting for a disk or a network
/// takes longer, and a poll of work that goes on elsewhere a thousandth of it.
const BLOCKED: Duration = Duration::from_millis(20);

/// How often that is measured: the machine may be busy with something else.
const TRIES: usize = 5;

pub(super) async fn check<S: Store>(
    open: &(dyn Fn() -> S + Send + Sync),
    drive: &Drive,
    longest_token: usize,
) -> Result<(), StoreFlaw> {
    let store = &open();
    starts_empty(store, drive).await?;
    keeps_every_field(open, store, drive, longest_token).await?;
    version_moves(store, drive).await?;
    conflict_writes_nothing(open, store, drive).await?;
    refuses_other_versions(store, drive).await?;
    spares_good_content(store, drive).await?;
    logout_stays(open, store, drive).await?;
    does_not_block(store, drive).await
}

/// Leaves the store without a grant.
pub(super) async fn empties<S: Store>(
    open: &(dyn Fn() -> S + Send + Sync),
    drive: &Drive,
) -> Result<(), StoreFlaw> {
    let store = open();
    if drive.load(&store).await?.grant.is_some() {
        drive.put(&store, None).await?;
    }
    Ok(())
}

async fn starts_empty(store: &impl Store, drive: &Drive) -> Result<(), StoreFlaw> {
    let found = drive.load(store).await?;
    ensure(StoreProperty::StartsEmpty, found == Versioned::EMPTY, || {
        format!(
            "a store that was never written is at version {}, and holds {}; the test begins with an empty store",
            found.version.number(),
            if found.grant.is_some() { "a grant" } else { "none" },
        )
    })
}

async fn keeps_every_field<S: Store>(
    open: &(dyn Fn() -> S + Send + Sync),
    store: &S,
    drive: &Drive,
    longest_token: usize,
) -> Result<(), StoreFlaw> {
    for (number, written) in of_every_kind(longest_token).iter().enumerate() {
        drive.put(store, Some(written.clone())).await?;
        let found = drive.load(store).await?.grant;
        if let Some(differs) = difference(found.as_ref(), written) {
            let found = format!("of sample grant {number} as it was read, {differs}");
            return Err(StoreFlaw::new(StoreProperty::KeepsEveryField, found));
        }
        let found = drive.load(&open()).await?.grant;
        if let Some(differs) = difference(found.as_ref(), written) {
            let found = format!("of sample grant {number} as a second handle reads it, {differs}");
            return Err(StoreFlaw::new(StoreProperty::OutlivesItsHandle, found));
        }
    }
    Ok(())
}

async fn version_moves(store: &impl Store, drive: &Drive) -> Result<(), StoreFlaw> {
    let mut before = drive.load(store).await?.version;
    for number in 1..=4 {
        let done = drive.put(store, Some(numbered(number))).await?;
        let loaded = drive.load(store).await?.version;
        let wrong = |what: &str| {
            let numbers = (before.number(), done.number(), loaded.number());
            format!("{what}: before, as the swap returned it, as loaded: {numbers:?}")
        };
        ensure(StoreProperty::VersionMoves, done > before, || wrong("a write does not raise it"))?;
        ensure(StoreProperty::VersionMoves, done == loaded, || wrong("a load returns another"))?;
        before = done;
    }
    Ok(())
}

async fn conflict_writes_nothing<S: Store>(
    open: &(dyn Fn() -> S + Send + Sync),
    store: &S,
    drive: &Drive,
) -> Result<(), StoreFlaw> {
    let stale = drive.load(store).await?.version;
    drive.put(&open(), Some(numbered(10))).await?;
    let before = drive.load(store).await?;
    let Swap::Conflict(told) = drive.swap(store, stale, Some(numbered(11))).await? else {
        return Err(accepted(stale, before.version));
    };
    let same = |found: &Versioned, whose: &str| {
        ensure(StoreProperty::ConflictWritesNothing, found.version == before.version, || {
            let (found, before) = (found.version.number(), before.version.number());
            format!("the version is {before} before a conflict, and {found} {whose}")
        })?;
        let differs = before.grant.as_ref().and_then(|it| difference(found.grant.as_ref(), it));
        ensure(StoreProperty::ConflictWritesNothing, differs.is_none(), || {
            format!("of the grant {whose}, {}", differs.unwrap_or_default())
        })
    };
    same(&told, "as the conflict returns it")?;
    same(&drive.load(store).await?, "after it")?;
    same(&drive.load(&open()).await?, "after it, for another handle")
}

async fn refuses_other_versions(store: &impl Store, drive: &Drive) -> Result<(), StoreFlaw> {
    let current = drive.load(store).await?.version;
    let next = Version::new(current.number() + 1);
    let earlier = (0..current.number()).rev().take(16).map(Version::new);
    for other in earlier.chain([Version::EMPTY, next, Version::new(u64::MAX)]) {
        for change in [Some(numbered(20)), None] {
            if let Swap::Done(_) = drive.swap(store, other, change).await? {
                return Err(accepted(other, current));
            }
        }
    }
    Ok(())
}

fn accepted(expected: Version, current: Version) -> StoreFlaw {
    let (expected, current) = (expected.number(), current.number());
    let found = format!("a swap that expects version {expected} of a store at {current} is done");
    StoreFlaw::new(StoreProperty::RefusesOtherVersions, found)
}

async fn spares_good_content(store: &impl Store, drive: &Drive) -> Result<(), StoreFlaw> {
    let before = drive.load(store).await?;
    let replaced = drive.try_run("replacement", store.replace_damaged(Some(numbered(30)))).await?;
    ensure(
        StoreProperty::SparesGoodContent,
        !matches!(replaced, Ok(Swap::Done(_))),
        || "`replace_damaged` replaces a grant that can be read",
    )?;
    let told = match replaced {
        Ok(Swap::Conflict(told)) => told == before,
        Ok(Swap::Done(_)) | Err(_) => true,
    };
    ensure(
        StoreProperty::SparesGoodContent,
        told,
        || "the conflict of `replace_damaged` returns something else than the store holds",
    )?;
    ensure(
        StoreProperty::SparesGoodContent,
        drive.load(store).await? == before,
        || "`replace_damaged` changes a grant that can be read, or its version",
    )
}

async fn logout_stays<S: Store>(
    open: &(dyn Fn() -> S + Send + Sync),
    store: &S,
    drive: &Drive,
) -> Result<(), StoreFlaw> {
    let property = StoreProperty::LogoutStays;
    let first = Version::new(1);
    let logged_in = drive.put(store, Some(numbered(40))).await?;
    let logged_out = drive.put(store, None).await?;
    ensure(property, logged_out > logged_in, || {
        let (before, after) = (logged_in.number(), logged_out.number());
        format!("a logout does not raise the version: {before} before, {after} after")
    })?;
    let empty = |found: &Versioned, when: &str| {
        ensure(property, found.grant.is_none(), || format!("there is a grant {when}"))?;
        ensure(property, found.version == logged_out, || {
            let (told, found) = (logged_out.number(), found.version.number());
            format!("the logout is version {told}, and the version is {found} {when}")
        })
    };
    empty(&drive.load(store).await?, "after a logout")?;
    empty(&drive.load(&open()).await?, "after a logout, for another handle")?;
    for late in [logged_in, first, Version::EMPTY] {
        if let Swap::Done(_) = drive.swap(store, late, Some(numbered(41))).await? {
            let late = late.number();
            let found = format!("a write that expects version {late} is done after a logout");
            return Err(StoreFlaw::new(property, found));
        }
        empty(&drive.load(store).await?, "after a late write")?;
    }
    let again = drive.put(store, Some(numbered(42))).await?;
    ensure(property, again > logged_out, || "a login after a logout has a version from before it")
}

async fn does_not_block<S: Store>(store: &S, drive: &Drive) -> Result<(), StoreFlaw> {
    let mut loads = Duration::MAX;
    let mut swaps = Duration::MAX;
    for number in 0..TRIES {
        loads = loads.min(time_of_polls(|| store.load()).await);
        let version = drive.load(store).await?.version;
        let next: Option<StoredGrant> = Some(numbered(50 + number as u64));
        swaps = swaps.min(time_of_polls(|| store.swap(version, next)).await);
    }
    for (what, took) in [("load", loads), ("swap", swaps)] {
        ensure(StoreProperty::DoesNotBlock, took < BLOCKED, || {
            format!("each {what} blocks the thread that polls it for {took:?} or longer")
        })?;
    }
    Ok(())
}
