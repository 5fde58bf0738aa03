//! The conformance test for stores: it passes the stores of this crate, and notices each flaw.

use std::time::Duration;

use futures::executor::block_on;
use perennial::adapters::file::FileStore;
use perennial::store::MemoryStore;
use perennial::testing::{StoreConformance, StoreFlaw, StoreProperty, store_conforms};

use crate::flawed::{Flaw, Flawed};

// Rule F1.
#[test]
fn a_store_in_memory_conforms() {
    let store = MemoryStore::new();
    block_on(store_conforms(move || store.clone()));
}

// Rules F1, F5.
#[test]
fn a_store_in_a_file_conforms() {
    let directory = tempfile::tempdir().expect("a directory");
    let (path, gone) = (directory.path().join("grant.json"), directory.path().join("gone"));
    std::fs::create_dir(&gone).expect("a directory");
    let lost = FileStore::open(gone.join("grant.json")).expect("a store");
    std::fs::remove_dir_all(&gone).expect("removed");
    let file = path.clone();
    let checked = StoreConformance::new(move || FileStore::open(&path).expect("a store"))
        .damaged(move || std::fs::write(&file, "{\"format\":").expect("written"))
        .unreachable(move || lost.clone())
        .writers(4, 8)
        .check();
    assert_eq!(block_on(checked), Ok(()));
}

fn check(flaw: Flaw) -> Result<(), StoreFlaw> {
    let store = Flawed::new(flaw);
    let (unreachable, damaged) = (store.clone(), store.clone());
    let checked = StoreConformance::new(move || store.another_handle())
        .unreachable(move || unreachable.unreachable())
        .damaged(move || damaged.damage())
        .time_limit(Duration::from_millis(500))
        .check();
    block_on(checked)
}

#[test]
fn the_kit_notices_each_store_that_does_otherwise_and_names_the_property() {
    use StoreProperty::*;

    assert_eq!(check(Flaw::None), Ok(()), "the control");
    let flaws = [
        (Flaw::StartsAtAnotherVersion, StartsEmpty),
        (Flaw::NeverCompletes, Completes),
        (Flaw::FailsNowAndThen, Completes),
        (Flaw::BlocksWhoLoads, DoesNotBlock),
        (Flaw::BlocksWhoSwaps, DoesNotBlock),
        (Flaw::ForgetsIntent, KeepsEveryField),
        (Flaw::ForgetsExpiresAt, KeepsEveryField),
        (Flaw::ForgetsFields, KeepsEveryField),
        (Flaw::ForgetsRefreshIn, KeepsEveryField),
        (Flaw::RoundsToSeconds, KeepsEveryField),
        (Flaw::CutsLongTokens, KeepsEveryField),
        (Flaw::KeepsWritesInItsHandle, OutlivesItsHandle),
        (Flaw::VersionStays, VersionMoves),
        (Flaw::TellsAnotherVersion, VersionMoves),
        (Flaw::VersionMovesOnConflict, ConflictWritesNothing),
        (Flaw::WritesOnConflict, ConflictWritesNothing),
        (Flaw::TellsAConflictNothing, ConflictWritesNothing),
        (Flaw::TakesAnyVersion, RefusesOtherVersions),
        (Flaw::TakesAStaleVersion, RefusesOtherVersions),
        (Flaw::ComparesThenWrites, OneSwapWins),
        (Flaw::ReadsInTwoSteps, LosesNoWrite),
        (Flaw::TearsAGrant, ReadsWhole),
        (Flaw::LogoutDoesNothing, LogoutStays),
        (Flaw::LogoutForgetsTheVersion, LogoutStays),
        (Flaw::LateWriteUndoesLogout, LogoutStays),
        (Flaw::LeasesToEverybody, LeaseHasOneHolder),
        (Flaw::LeasesToTwoAtOnce, LeaseHasOneHolder),
        (Flaw::LeaseReadsNothing, LeaseHasOneHolder),
        (Flaw::RenewsWhatever, LeaseHasOneHolder),
        (Flaw::ReleasesWhatever, LeaseHasOneHolder),
        (Flaw::NeverReleases, LeaseHasOneHolder),
        (Flaw::LosesTheLeaseByAWrite, LeaseHasOneHolder),
        (Flaw::LeaseKeepsOthersFromWriting, Completes),
        (Flaw::WritesInTwoSteps, DroppedSwapIsWhole),
        (Flaw::KeepsItsLockWhenDropped, Completes),
        (Flaw::ReplacesWhatIsGood, SparesGoodContent),
        (Flaw::SwallowsErrors, ReportsErrors),
        (Flaw::SaysDamagedWhereUnreachable, ReportsErrors),
        (Flaw::TakesDamageForEmptiness, ReportsDamage),
        (Flaw::OverwritesDamage, ReportsDamage),
        (Flaw::ShowsTokensInErrors, ShowsNoSecret),
    ];
    let mut wrong = Vec::new();
    for (flaw, property) in flaws {
        match check(flaw) {
            Ok(()) => wrong.push(format!("{flaw:?} was not noticed")),
            Err(found) if found.property() == property => {
                assert!(found.to_string().contains(property.name()), "{found}");
            }
            Err(found) => wrong.push(format!("{flaw:?} was taken for something else: {found}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_store_that_does_not_conform_panics_with_the_name_of_the_property() {
    let store = Flawed::new(Flaw::ForgetsIntent);
    let run = || block_on(store_conforms(move || store.another_handle()));
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).expect_err("a flaw");
    let said = panic.downcast_ref::<String>().expect("a message");
    assert_eq!(
        said,
        "the store does not conform: keeps_every_field: of sample grant 1 as it was read, it differs in intent"
    );
}

#[test]
fn a_store_is_checked_within_a_runtime_of_one_thread() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let store = MemoryStore::new();
    let checked = StoreConformance::new(move || store.clone())
        .spawner(|future| drop(tokio::spawn(future)))
        .writers(3, 2)
        .check();
    // As a task, which may be sent to another thread.
    let checked = runtime.block_on(async { tokio::spawn(checked).await });
    assert_eq!(checked.expect("no panic"), Ok(()));
}
