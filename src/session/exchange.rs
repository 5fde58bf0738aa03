//! One flight, from the store to the authorization server and back: what is sent, and in which
//! order (rule F2): intent, exchange, persist. Publishing is the session's part.

use core::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use super::Ports;
use crate::lifecycle::{Cause, Failure};
use crate::refresh::{RefreshError, Request};
use crate::store::{AnyStore, StoreError, StoredGrant, Swap, Version};
use crate::time::Timestamp;
use crate::token::{Grant, Secret};

/// What a flight sets out with.
pub(super) struct Orders {
    pub(super) cause: Cause,
    pub(super) deadline: Timestamp,
    /// The grant to renew, unless the store shows a newer one.
    pub(super) grant: Option<Grant>,
    /// The store's version that `grant` was read or written at; `None` before the first reading.
    pub(super) version: Option<Version>,
    /// A grant that was received and could not be stored.
    pub(super) unsaved: Option<Unsaved>,
}

/// A grant that was received and could not be stored: rotated but not persisted (rule F2).
#[derive(Clone)]
pub(super) struct Unsaved {
    pub(super) stored: StoredGrant,
    /// When its request was sent, on the session's timeline.
    pub(super) sent: Timestamp,
    /// The refresh token that was presented for it.
    pub(super) presented: Option<Secret>,
    /// Whether its access token is handed out already.
    pub(super) published: bool,
}

/// What a flight brings back.
pub(super) struct Report {
    pub(super) outcome: Outcome,
    /// The store's version, as last seen.
    pub(super) version: Option<Version>,
    /// Whether the unsaved grant that it set out with is stored now.
    pub(super) saved: bool,
}

pub(super) enum Outcome {
    /// A new grant, complete.
    Granted { grant: Unsaved, stored: Result<(), StoreError> },
    /// The store holds this grant: the first that was read.
    Loaded(StoredGrant),
    /// The store holds a newer grant than the one to renew.
    Adopted(StoredGrant),
    /// The store holds none: nobody has logged in, or somebody has logged out.
    Empty,
    /// No grant came.
    Failed(RefreshError),
    /// The store failed before anything was sent.
    StoreFailed(StoreError),
}

/// Flies: never panics of its own, and drops no grant that was received.
pub(super) async fn fly(ports: Arc<Ports>, orders: Orders) -> Report {
    let mut report = Report { outcome: Outcome::Empty, version: orders.version, saved: false };
    report.outcome = match &ports.store {
        Some(store) => stored_flight(&ports, &**store, orders, &mut report).await,
        None if orders.grant.is_none() && ports.needs_grant => Outcome::Empty,
        None => {
            let grant = orders.grant.clone();
            match ask(&ports, &orders, grant).await {
                Ok(grant) => Outcome::Granted { grant, stored: Ok(()) },
                Err(error) => Outcome::Failed(error),
            }
        }
    };
    report
}

async fn stored_flight(
    ports: &Ports,
    store: &dyn AnyStore,
    orders: Orders,
    report: &mut Report,
) -> Outcome {
    match prepare(ports, store, &orders, report).await {
        Ok(Ready::Land(outcome)) => outcome,
        Ok(Ready::Ask(before)) => ask_and_store(ports, store, &orders, before, report).await,
        Err(error) => Outcome::StoreFailed(error),
    }
}

/// What the store says before anything is sent.
enum Ready {
    Land(Outcome),
    /// Ask, to renew what is stored, if anything is.
    Ask(Option<StoredGrant>),
}

/// Stores what is unsaved, reads what is there, and adopts it where it is newer.
async fn prepare(
    ports: &Ports,
    store: &dyn AnyStore,
    orders: &Orders,
    report: &mut Report,
) -> Result<Ready, StoreError> {
    if let (Some(unsaved), Some(version)) = (&orders.unsaved, orders.version) {
        match persist(store, version, unsaved).await? {
            Persisted::Done(version) => {
                report.version = Some(version);
                report.saved = true;
                if !unsaved.published {
                    let grant = unsaved.clone();
                    return Ok(Ready::Land(Outcome::Granted { grant, stored: Ok(()) }));
                }
            }
            Persisted::Outpaced(stored, version) => {
                report.version = Some(version);
                report.saved = true;
                return Ok(Ready::Land(stored.map_or(Outcome::Empty, Outcome::Adopted)));
            }
        }
    }
    let content = store.load().await?;
    report.version = Some(content.version);
    match (orders.version, content.grant, &orders.grant) {
        (None, Some(stored), _) => Ok(Ready::Land(Outcome::Loaded(stored))),
        (None, None, Some(seed)) => {
            let stored = StoredGrant::new(seed.clone(), ports.clock.wall());
            match store.swap(content.version, Some(stored.clone())).await? {
                Swap::Done(version) => {
                    report.version = Some(version);
                    Ok(Ready::Land(Outcome::Loaded(stored)))
                }
                Swap::Conflict(now) => {
                    report.version = Some(now.version);
                    Ok(Ready::Land(now.grant.map_or(Outcome::Empty, Outcome::Loaded)))
                }
            }
        }
        (_, None, _) if ports.needs_grant => Ok(Ready::Land(Outcome::Empty)),
        (_, None, _) => Ok(Ready::Ask(None)),
        (Some(_), Some(stored), Some(held)) if !same_credential(&stored.grant, held) => {
            Ok(Ready::Land(Outcome::Adopted(stored)))
        }
        (Some(_), Some(stored), None) => Ok(Ready::Land(Outcome::Adopted(stored))),
        (Some(_), Some(stored), Some(_)) => Ok(Ready::Ask(Some(stored))),
    }
}

/// Whether a refresh would present the same thing for both.
fn same_credential(one: &Grant, other: &Grant) -> bool {
    match (one.refresh_token(), other.refresh_token()) {
        (Some(one), Some(other)) => one == other,
        (None, None) => one.access_token() == other.access_token(),
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// Intent, exchange, persist.
async fn ask_and_store(
    ports: &Ports,
    store: &dyn AnyStore,
    orders: &Orders,
    before: Option<StoredGrant>,
    report: &mut Report,
) -> Outcome {
    let mut version = report.version.unwrap_or(Version::EMPTY);
    if let Some(before) = &before {
        // An earlier sending of unknown outcome still counts: the window runs from the first.
        let intent = before.intent.or_else(|| Some(ports.clock.wall()));
        let noted = StoredGrant { intent, ..before.clone() };
        match store.swap(version, Some(noted)).await {
            Ok(Swap::Done(noted)) => version = noted,
            Ok(Swap::Conflict(content)) => {
                report.version = Some(content.version);
                return content.grant.map_or(Outcome::Empty, Outcome::Adopted);
            }
            Err(error) => return Outcome::StoreFailed(error),
        }
        report.version = Some(version);
    }
    let grant = before.as_ref().map(|stored| stored.grant.clone());
    match ask(ports, orders, grant).await {
        Ok(grant) => match persist(store, version, &grant).await {
            Ok(Persisted::Done(version)) => {
                report.version = Some(version);
                Outcome::Granted { grant, stored: Ok(()) }
            }
            Ok(Persisted::Outpaced(stored, version)) => {
                report.version = Some(version);
                stored.map_or(Outcome::Empty, Outcome::Adopted)
            }
            Err(error) => Outcome::Granted { grant, stored: Err(error) },
        },
        Err(error) => {
            let unspent = match error.failure() {
                Failure::Unavailable { .. } | Failure::Declined => before,
                Failure::Unknown => None,
            };
            // The refresh token was not spent, and the store may say so. Should that fail, a
            // restart takes the outcome for unknown, which is safe.
            if let Some(before) = unspent {
                if let Ok(Swap::Done(version)) = store.swap(version, Some(before)).await {
                    report.version = Some(version);
                }
            }
            Outcome::Failed(error)
        }
    }
}

/// Asks the authorization server. What comes back is complete: kept where the answer was silent.
async fn ask(
    ports: &Ports,
    orders: &Orders,
    grant: Option<Grant>,
) -> Result<Unsaved, RefreshError> {
    let sent = ports.clock.now();
    let wall = ports.clock.wall();
    let request = Request {
        grant: grant.clone(),
        cause: orders.cause,
        time_left: orders.deadline.since(sent).to_duration(),
    };
    let answer = ports.refresher.refresh(request).await?;
    let complete = match &grant {
        Some(previous) => answer.renewing(previous),
        None => answer,
    };
    if let Some(on_rotate) = &ports.hooks.on_rotate {
        // A panicking hook must not cost the grant that it was told of.
        let _ = catch_unwind(AssertUnwindSafe(|| on_rotate(&complete)));
    }
    Ok(Unsaved {
        stored: StoredGrant::new(complete, wall),
        sent,
        presented: grant.and_then(|grant| grant.refresh_token().cloned()),
        published: false,
    })
}

pub(super) enum Persisted {
    Done(Version),
    /// Somebody else has stored something newer.
    Outpaced(Option<StoredGrant>, Version),
}

/// Stores `unsaved`, over the grant that it renewed and over nothing else.
pub(super) async fn persist(
    store: &dyn AnyStore,
    version: Version,
    unsaved: &Unsaved,
) -> Result<Persisted, StoreError> {
    let mut expected = version;
    // A note of intent of one's own may have moved the version; a few rounds see past any.
    for _ in 0..8 {
        match store.swap(expected, Some(unsaved.stored.clone())).await? {
            Swap::Done(version) => return Ok(Persisted::Done(version)),
            Swap::Conflict(content) => {
                let stored = content.grant.as_ref().and_then(|stored| stored.grant.refresh_token());
                let mine = unsaved.stored.grant.refresh_token();
                if stored.is_none() || (stored != unsaved.presented.as_ref() && stored != mine) {
                    return Ok(Persisted::Outpaced(content.grant, content.version));
                }
                expected = content.version;
            }
        }
    }
    Err(StoreError::unreachable("the store kept changing while the grant was written"))
}
