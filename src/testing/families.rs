//! A conformance test for stores of token families.

use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::Poll;
use std::prelude::rust_2024::*;

use crate::issue::{
    FamilyId, FamilyRecord, FamilyStore, FamilySwap, OwnClaims, PURGE_CONFIRMED_AFTER,
    VersionedFamily,
};
use crate::rotation::{Row, Tolerance};
use crate::store::Version;
use crate::time::{Span, Timestamp};

/// How many claims are made on one family at once.
const CLAIMS: u64 = 64;

/// Tests that a store does what an [`Issuer`](crate::issue::Issuer) relies on: it keeps a family
/// intact, exactly one of many concurrent claims succeeds, no update is lost, no revocation is
/// undone, no purge deletes too early, and times and counts are kept up to their limits. It adds families under random names
/// and does not remove them.
///
/// # Panics
/// If the store does otherwise; the message says what it did.
pub async fn family_store_conforms<S: FamilyStore>(store: &S) {
    keeps_families_whole(store).await;
    claims_once(store).await;
    loses_no_update(store).await;
    undoes_no_revocation(store).await;
    revokes_a_subject(store).await;
    shows_a_subject(store).await;
    purges(store).await;
}

fn name() -> FamilyId {
    let mut bytes = [0; FamilyId::BYTES];
    getrandom::fill(&mut bytes).expect("the operating system gives random numbers");
    FamilyId::from_bytes(bytes)
}

fn record(subject: &str, family: Row) -> FamilyRecord {
    let scope = Some("read write".into());
    FamilyRecord {
        client: "a client".into(),
        subject: subject.into(),
        scope,
        device: Some("a \"telephone\" \u{1f512}".into()),
        claims: OwnClaims::from_json(r#"{"roles":["a","b"],"tenant":"Zoë"}"#).expect("an object"),
        family,
        forget_at: None,
    }
}

fn row(newest: u64) -> Row {
    let now = Timestamp::from_secs(1_700_000_000);
    Row { began: now, used: now, newest, tolerance: Tolerance::Closed, revoked: false }
}

async fn found<S: FamilyStore>(store: &S, id: FamilyId) -> Option<VersionedFamily> {
    store.find(id).await.expect("a store that is tested can be read")
}

async fn there<S: FamilyStore>(store: &S, id: FamilyId) -> VersionedFamily {
    found(store, id).await.expect("a family that was added is found")
}

async fn added<S: FamilyStore>(store: &S, record: &FamilyRecord) -> (FamilyId, Version) {
    let id = name();
    store.insert(id, record.clone()).await.expect("a family is added under a new name");
    let found = there(store, id).await;
    assert_eq!(&found.record, record, "what was added is found as it was");
    (id, found.version)
}

async fn swap<S: FamilyStore>(
    store: &S,
    id: FamilyId,
    version: Version,
    family: Row,
) -> FamilySwap {
    store.swap(id, version, family, None).await.expect("a store that is tested can be written")
}

async fn keeps_families_whole<S: FamilyStore>(store: &S) {
    assert_eq!(found(store, name()).await, None, "a family that was never added is not found");
    let (least, most) = (Timestamp::MIN, Timestamp::MAX);
    let tolerances = [
        Tolerance::Closed,
        Tolerance::Unconfirmed,
        Tolerance::Open { until: least, uses: 0 },
        Tolerance::Open { until: most, uses: u32::MAX },
    ];
    for (began, used) in [(least, most), (most, least)] {
        for (tolerance, forget_at) in
            tolerances.into_iter().zip([None, Some(least), Some(most), None])
        {
            let newest = i64::MAX.unsigned_abs();
            let family = Row { began, used, newest, tolerance, revoked: false };
            let subject = "Zoë 'OR 1=1' \u{1f512}";
            let (id, version) = added(store, &record(subject, row(1))).await;
            let done = store.swap(id, version, family, forget_at).await.expect("it can be written");
            assert_eq!(done, FamilySwap::Done, "a claim on what was found is done");
            let claimed = there(store, id).await;
            let expected = FamilyRecord { forget_at, ..record(subject, family) };
            assert_eq!(claimed.record, expected, "what was claimed is found as it was");
        }
    }
    let nobody = FamilyRecord {
        client: String::new(),
        scope: None,
        device: None,
        claims: OwnClaims::new(),
        ..record("", row(1))
    };
    let (taken, _) = added(store, &nobody).await;
    let again = store.insert(taken, record("another", row(1))).await;
    assert!(again.is_err(), "a name that is taken is not given again");
    assert_eq!(there(store, taken).await.record, nobody, "and what has it stays as it was");
}

async fn claims_once<S: FamilyStore>(store: &S) {
    let (id, version) = added(store, &record("claimed", row(1))).await;
    let claims = (0..CLAIMS).map(|one| swap(store, id, version, row(2 + one)));
    let claims = together(claims).await;
    let done: Vec<_> =
        (0..CLAIMS).zip(&claims).filter(|(_, it)| **it == FamilySwap::Done).collect();
    assert_eq!(done.len(), 1, "of {CLAIMS} claims on one version at once, one is done");
    let there = there(store, id).await;
    assert_eq!(there.record.family.newest, 2 + done[0].0, "what is kept is what was claimed");
    for lost in claims.iter().filter(|it| **it != FamilySwap::Done) {
        assert_eq!(
            lost,
            &FamilySwap::Conflict(Some(there.clone())),
            "who loses sees what is there now"
        );
    }
    let unknown = swap(store, name(), version, row(2)).await;
    assert_eq!(unknown, FamilySwap::Conflict(None), "a family that is not there cannot be claimed");
}

async fn loses_no_update<S: FamilyStore>(store: &S) {
    let (id, _) = added(store, &record("counted", row(0))).await;
    let count_one = || async {
        let mut now = there(store, id).await;
        loop {
            let family = row(now.record.family.newest + 1);
            match swap(store, id, now.version, family).await {
                FamilySwap::Done => return,
                FamilySwap::Conflict(found) => now = found.expect("it is there"),
            }
        }
    };
    together((0..CLAIMS).map(|_| count_one())).await;
    let counted = there(store, id).await.record.family.newest;
    assert_eq!(counted, CLAIMS, "who claims what they have read counts each time");
}

async fn undoes_no_revocation<S: FamilyStore>(store: &S) {
    store.revoke(name()).await.expect("revoking what is not there is nothing");
    let (id, version) = added(store, &record("revoked", row(1))).await;
    store.revoke(id).await.expect("it can be written");
    assert!(there(store, id).await.record.is_revoked(), "what was revoked is found so");
    let late = swap(store, id, version, row(2)).await;
    assert!(
        matches!(late, FamilySwap::Conflict(_)),
        "a claim on what was found before it is not done"
    );
    assert!(there(store, id).await.record.is_revoked(), "nor does it undo the revocation");
    let (id, version) = added(store, &record("revoked meanwhile", row(1))).await;
    together((0..CLAIMS).map(|one| async move {
        if one == CLAIMS / 2 {
            store.revoke(id).await.expect("it can be written");
        } else {
            let _ = swap(store, id, version, row(2)).await;
        }
    }))
    .await;
    assert!(there(store, id).await.record.is_revoked(), "a revocation among claims stays");
}

async fn revokes_a_subject<S: FamilyStore>(store: &S) {
    let subject = std::format!("subject {}", name());
    let (first, version) = added(store, &record(&subject, row(1))).await;
    let (second, _) = added(store, &record(&subject, row(1))).await;
    let (other, _) = added(store, &record("somebody else", row(1))).await;
    store.revoke(second).await.expect("it can be written");
    let revoked = store.revoke_subject(&subject).await.expect("it can be written");
    assert_eq!(revoked, 1, "of two families one was revoked before");
    for id in [first, second] {
        assert!(there(store, id).await.record.is_revoked(), "each of the subject's is revoked");
    }
    assert!(!there(store, other).await.record.is_revoked(), "nobody else's is");
    let late = swap(store, first, version, row(2)).await;
    assert!(
        matches!(late, FamilySwap::Conflict(_)),
        "a claim on what was found before it is not done"
    );
    let nobody = store.revoke_subject(&std::format!("subject {}", name())).await;
    assert_eq!(nobody.expect("it can be written"), 0, "a subject without families has none");
}

async fn shows_a_subject<S: FamilyStore>(store: &S) {
    let subject = std::format!("shown {}", name());
    let used = |seconds| Row { used: Timestamp::from_secs(seconds), ..row(1) };
    let mut ids = Vec::new();
    for seconds in [30, 10, 20] {
        ids.push(added(store, &record(&subject, used(seconds))).await.0);
    }
    added(store, &record("somebody else who is shown", row(1))).await;
    let shown = async |most| store.families_of(&subject, most).await.expect("it can be read");
    let found = shown(10).await;
    let order: Vec<_> = found.iter().map(|(id, _)| *id).collect();
    assert_eq!(order, [ids[0], ids[2], ids[1]], "all of a subject's, those used last first");
    assert_eq!(found[0].1, record(&subject, used(30)), "each as it was added");
    assert_eq!(shown(2).await.len(), 2, "no more than were asked for");
    store.revoke(ids[1]).await.expect("it can be written");
    assert_eq!(shown(10).await.len(), 2, "one that was revoked is not shown");
    added(store, &record(&subject, Row { newest: 0, ..used(40) })).await;
    assert_eq!(shown(1).await[0].0, ids[0], "nor one without a refresh token");
}

/// A store that deletes by itself may keep records for longer.
async fn purges<S: FamilyStore>(store: &S) {
    let now = Timestamp::from_secs(1_700_000_000);
    let far_ahead = now.saturating_add(Span::from_secs(10 * 365 * 24 * 3600));
    let began = Timestamp::from_millis(now.as_millis() - 10_000);
    let row = |newest| Row { began, ..row(newest) };
    let over = |newest| FamilyRecord { forget_at: Some(now), ..record("purged", row(newest)) };
    let (login, version) = added(store, &over(1)).await;
    let (brief, _) = added(store, &over(0)).await;
    let later = FamilyRecord { forget_at: Some(far_ahead), ..record("purged", row(1)) };
    let (kept, _) = added(store, &later).await;
    let purge = async |at| store.purge(at).await.expect("it can be written");
    let after = |at: Timestamp| at.saturating_add(PURGE_CONFIRMED_AFTER);
    let margin = Span::from_secs(120);
    let before = Timestamp::from_millis(now.as_millis() - 1);
    purge(before).await;
    for id in [login, brief, kept] {
        there(store, id).await;
    }
    // The clock jumps ahead for a moment.
    purge(far_ahead.saturating_add(margin)).await;
    there(store, login).await;
    there(store, kept).await;
    purge(now).await;
    there(store, login).await;
    let done = store.swap(login, version, row(2), Some(now)).await.expect("it can be written");
    assert_eq!(
        done,
        FamilySwap::Done,
        "a purge that found a family over does not change its version"
    );
    purge(Timestamp::from_millis(after(now).as_millis() - 1)).await;
    there(store, login).await;
    there(store, kept).await;
    // Each purge here counts only what is over by then; others' families may be among them.
    purge(after(after(now)).saturating_add(margin)).await;
    purge(after(after(after(now))).saturating_add(margin)).await;
    there(store, kept).await;
}

/// Polls all of `futures` in turn, until all have completed.
async fn together<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<Pin<Box<F>>> = futures.map(Box::pin).collect();
    let mut outputs: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    poll_fn(|cx| {
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if output.is_none() {
                if let Poll::Ready(value) = future.as_mut().poll(cx) {
                    *output = Some(value);
                }
            }
        }
        if outputs.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    outputs.into_iter().flatten().collect()
}
