//! One flight, from the store to the authorization server and back: what is sent, and in which
//! order (rule F2): intent, exchange, persist. Publishing is the session's part.

use core::future::poll_fn;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use super::alarm::Alarm;
use super::answered::{Answer, Answered};
use super::flight::discard;
use super::persist::{Persisted, persist};
use super::ports::Ports;
use super::received::{Outcome, PanicKept, Report, SetOut, Unsaved, same_credential};
use super::stage::Stage;
use super::timed_store::TimedStore;
use crate::lifecycle::{Cause, Failure, FlightId, Freshness, Schedule};
use crate::primitives::{AtomicU64, Ordering, contained};
use crate::refresh::{RefreshError, Refused, Request};
use crate::store::{StoreError, StoredGrant, Swap, Version, Versioned};
use crate::time::{Draw, Timestamp};
use crate::token::Grant;

/// What a flight sets out with.
pub(super) struct Orders {
    pub(super) flight: FlightId,
    pub(super) cause: Cause,
    pub(super) deadline: Timestamp,
    /// The grant to renew, unless the store shows a newer one.
    pub(super) grant: Option<Grant>,
    /// The store's version that `grant` was read or written at; `None` before the first reading.
    pub(super) version: Option<Version>,
    /// A grant that was received and could not be stored.
    pub(super) unsaved: Option<Unsaved>,
    pub(super) refused: Refused,
    pub(super) ended: Arc<Ended>,
    pub(super) stage: Arc<Stage>,
    /// The answers that have come, and how many had landed when this set out.
    pub(super) answered: Arc<Answered>,
    pub(super) landed: u64,
}

impl Orders {
    /// Whether an answer has come that had not landed when this set out: what it would present may be
    /// spent (rule B6).
    fn is_outrun(&self) -> bool {
        self.answered.count() != self.landed
    }
}

/// Rule B6: "What was never sent is never unknown."
pub(super) fn not_sent(why: &str) -> RefreshError {
    RefreshError::unavailable(format!("the refresh was not sent: {why}"))
}

pub(super) fn outrun() -> RefreshError {
    RefreshError::unavailable("an earlier refresh was answered meanwhile")
}

/// Which flights are of an epoch that has ended, by login or logout: they send nothing any more,
/// and write to no store.
#[derive(Default)]
pub(super) struct Ended(AtomicU64);

impl Ended {
    /// Ends the epoch of `newest` and all before it.
    pub(super) fn through(&self, newest: FlightId) {
        // Relaxed: this comes before what the login or logout writes to the store. A flight that has
        // read that from the store is ordered after this by the store, as any reader of a value is
        // after its writer; one that has not is free to see either.
        self.0.store(newest.number(), Ordering::Relaxed);
    }

    pub(super) fn includes(&self, flight: FlightId) -> bool {
        flight.number() <= self.0.load(Ordering::Relaxed)
    }
}

/// Flies: never panics of its own, and drops no grant that was received.
pub(super) async fn fly(ports: Arc<Ports>, orders: Orders) -> Report {
    let dial = &ports.settings.dial;
    let set_out = SetOut { now: dial.now(), wall: dial.wall() };
    let mut report = Report::new(Outcome::Empty { received: None }, orders.version, set_out);
    if orders.is_outrun() {
        // Nor is anything written, which would come to nothing.
        report.outcome = Outcome::Failed(outrun());
        return report;
    }
    let panic = PanicKept::default();
    report.outcome = match &ports.store {
        Some(store) => {
            let (store, deadline) = (&**store, orders.deadline);
            let store = TimedStore { store, ports: &ports, deadline, panic: &panic };
            stored_flight(&ports, store, &orders, &mut report).await
        }
        None if orders.grant.is_none() && ports.settings.needs_grant => report.outcome,
        None => match ask(&ports, &orders, orders.grant.clone(), &panic).await {
            Ok(grant) => {
                report.answer = Some(Answer::noted_in(&orders.answered));
                Outcome::Granted { grant, stored: Ok(()) }
            }
            Err(error) => Outcome::Failed(error),
        },
    };
    report.panic = panic.take();
    report
}

/// Revokes a grant that belongs to nobody. Rings at `deadline`, where there is a timer: whoever polls
/// this then lets go of it.
pub(super) async fn revoke(ports: Arc<Ports>, grant: Grant, mut deadline: Timestamp) {
    let mut revocation = ports.refresher.revoke(grant);
    let mut alarm = Alarm::new(ports.settings.timer.clone());
    poll_fn(|cx| {
        let polled = revocation.as_mut().poll(cx);
        if polled.is_pending() {
            // A timer or a clock that panics rings for nobody, and harms nobody.
            let _ = contained(|| {
                let now = ports.settings.dial.now();
                // Where the clock went back since, no more than a refresh may take (rule A5).
                deadline = deadline.min(now.saturating_add(ports.settings.longest()));
                // Once more where it rang early.
                let _ = alarm.is_due(deadline, now, cx.waker())
                    && alarm.is_due(deadline, now, cx.waker());
            });
        }
        polled
    })
    .await;
    discard([revocation]);
}

async fn stored_flight(
    ports: &Ports,
    store: TimedStore<'_>,
    orders: &Orders,
    report: &mut Report,
) -> Outcome {
    match prepare(ports, store, orders, report).await {
        Ok(Ready::Land(outcome)) => outcome,
        Ok(Ready::Ask(before)) => ask_and_store(ports, store, orders, before, report).await,
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
    store: TimedStore<'_>,
    orders: &Orders,
    report: &mut Report,
) -> Result<Ready, StoreError> {
    if let Some(unsaved) = &orders.unsaved {
        let persisted = persist(store, unsaved).await?;
        report.saved = Some(unsaved.stored.clone());
        match persisted {
            Persisted::Done(version) => {
                report.version = Some(version);
                if !unsaved.published {
                    let grant = unsaved.clone();
                    return Ok(Ready::Land(Outcome::Granted { grant, stored: Ok(()) }));
                }
            }
            Persisted::Outpaced(stored, version) => {
                report.version = Some(version);
                let received = Some(unsaved.stored.grant.clone());
                return Ok(Ready::Land(Outcome::outpaced(stored, received)));
            }
        }
    }
    let content = match (store.load().await, orders.version, &orders.grant) {
        // Nothing is a logout only where somebody has written it: this was lost, and is written back.
        (Err(error), Some(_), Some(held)) if error.is_emptied() => {
            return Ok(Ready::Ask(Some(StoredGrant::over(
                held.clone(),
                ports.settings.dial.wall(),
            ))));
        }
        (Err(error), _, _) if error.is_emptied() => Versioned::EMPTY,
        (content, _, _) => content?,
    };
    report.version = Some(content.version);
    match (orders.version, content.grant, &orders.grant) {
        (None, Some(stored), _) => Ok(Ready::Land(Outcome::Loaded(stored))),
        (None, None, Some(_)) if orders.ended.includes(orders.flight) => {
            Ok(Ready::Land(Outcome::Empty { received: None }))
        }
        (None, None, Some(seed)) => {
            let stored = StoredGrant::new(seed.clone(), ports.built_at);
            let swap = store.swap(content.version, Some(stored.clone())).await;
            // Until it is stored nothing was read: the next flight begins anew.
            report.version = None;
            match swap? {
                Swap::Done(version) => {
                    report.version = Some(version);
                    Ok(Ready::Land(Outcome::Loaded(stored)))
                }
                Swap::Conflict(now) => {
                    report.version = Some(now.version);
                    let nothing = Outcome::Empty { received: None };
                    Ok(Ready::Land(now.grant.map_or(nothing, Outcome::Loaded)))
                }
            }
        }
        (_, None, _) if ports.settings.needs_grant => {
            Ok(Ready::Land(Outcome::Empty { received: None }))
        }
        (_, None, _) => Ok(Ready::Ask(None)),
        (Some(_), Some(stored), held) => {
            let newer = held.as_ref().is_none_or(|held| !same_credential(&stored.grant, held));
            // One whose access token is of no use any more is renewed at once.
            if newer && is_usable(ports, &stored) {
                Ok(Ready::Land(Outcome::Adopted { stored, received: None }))
            } else {
                Ok(Ready::Ask(Some(stored)))
            }
        }
    }
}

/// Whether the access token of `stored` can be handed out at this moment.
fn is_usable(ports: &Ports, stored: &StoredGrant) -> bool {
    let (now, wall) = (ports.settings.dial.now(), ports.settings.dial.wall());
    stored.times(now, wall, Draw::NONE).is_some_and(|times| {
        Schedule::of(&ports.settings.policy, times, now).freshness(now) != Freshness::Lapsed
    })
}

/// Rule F2: "The order MUST be intent, exchange, persist, publish."
async fn ask_and_store(
    ports: &Ports,
    store: TimedStore<'_>,
    orders: &Orders,
    before: Option<StoredGrant>,
    report: &mut Report,
) -> Outcome {
    let mut version = report.version.unwrap_or(Version::EMPTY);
    if let Some(before) = &before {
        // An earlier sending of unknown outcome still counts: the window runs from the first.
        let intent = before.intent.or_else(|| Some(ports.settings.dial.wall()));
        let noted = StoredGrant { intent, ..before.clone() };
        match store.swap(version, Some(noted)).await {
            Ok(Swap::Done(noted)) => version = noted,
            Ok(Swap::Conflict(content)) => {
                report.version = Some(content.version);
                return match content.grant {
                    // Another holder has noted that they are about to present it.
                    Some(stored) if stored.grant == before.grant => Outcome::Failed(
                        RefreshError::unavailable("another holder presents the same grant"),
                    ),
                    newer => Outcome::outpaced(newer, None),
                };
            }
            Err(error) => return Outcome::StoreFailed(error),
        }
        report.version = Some(version);
    }
    let grant = before.as_ref().map(|stored| stored.grant.clone());
    let grant = match ask(ports, orders, grant, store.panic).await {
        Ok(grant) => grant,
        Err(error) => return not_granted(store, version, before, error, report).await,
    };
    report.answer = Some(Answer::noted_in(&orders.answered));
    let grant = Unsaved { version, ..grant };
    if orders.ended.includes(orders.flight) {
        // An orphan: what a login or a logout has left in the store stays.
        return Outcome::Granted { grant, stored: Ok(()) };
    }
    // An answer that came too late for those who waited has time of its own to be stored.
    let store = match store.panic.call(|| ports.settings.dial.now()) {
        Some(now) if now >= orders.deadline => store.until_later(now),
        Some(_) | None => store,
    };
    match persist(store, &grant).await {
        Ok(Persisted::Done(version)) => {
            report.version = Some(version);
            Outcome::Granted { grant, stored: Ok(()) }
        }
        Ok(Persisted::Outpaced(stored, version)) => {
            report.version = Some(version);
            Outcome::outpaced(stored, Some(grant.stored.grant))
        }
        Err(error) => Outcome::Granted { grant, stored: Err(error) },
    }
}

/// No grant came. Where the refresh token was not spent, the store may say so: should that fail, a
/// restart takes the outcome for unknown, which is safe.
async fn not_granted(
    store: TimedStore<'_>,
    version: Version,
    before: Option<StoredGrant>,
    error: RefreshError,
    report: &mut Report,
) -> Outcome {
    let declined = match error.failure() {
        Failure::Declined => true,
        Failure::Unavailable { .. }
        | Failure::Misconfigured { .. }
        | Failure::Unexplained { .. } => false,
        Failure::Unknown => return Outcome::Failed(error),
    };
    let Some(before) = before else {
        return Outcome::Failed(error);
    };
    let presented = before.grant.clone();
    let content = match store.swap(version, Some(before)).await {
        Ok(Swap::Done(version)) => {
            report.version = Some(version);
            return Outcome::Failed(error);
        }
        Ok(Swap::Conflict(content)) if declined => content,
        Ok(Swap::Conflict(_)) | Err(_) => return Outcome::Failed(error),
    };
    // Somebody else has written: a grant that is newer than the one declined, or the note that
    // they present the same one. Then theirs may be the answer that was granted.
    report.version = Some(content.version);
    match content.grant {
        Some(stored) if same_credential(&stored.grant, &presented) => Outcome::Failed(
            RefreshError::unavailable("declined, while another holder presented the same grant")
                .with_source(error),
        ),
        newer => Outcome::outpaced(newer, None),
    }
}

const TOO_LATE: &str = "its deadline had passed before anybody could send it";

/// Asks the authorization server. What comes back is complete: kept where the answer was silent.
async fn ask(
    ports: &Ports,
    orders: &Orders,
    grant: Option<Grant>,
    panic: &PanicKept,
) -> Result<Unsaved, RefreshError> {
    let sent = ports.settings.dial.now();
    let wall = ports.settings.dial.wall();
    if orders.is_outrun() {
        return Err(outrun());
    }
    // Rule C9: "Dropping the last handle MUST stop all that is not yet sent."
    if orders.ended.includes(orders.flight) || !ports.is_wanted() {
        return Err(not_sent("it was called off"));
    }
    if sent >= orders.deadline {
        return Err(not_sent(TOO_LATE));
    }
    if let Some(left) = ports.client_backoff.left(orders.refused, sent, &ports.settings.policy) {
        let text = "not sent: the authorization server has just refused this client, \
             for this session or for another";
        return Err(RefreshError::misconfigured(text).retry_after(left));
    }
    if !orders.stage.send() {
        return Err(not_sent(TOO_LATE));
    }
    // Where the clock went back since the launch, no more than a refresh may take (rule A5).
    let longest = ports.settings.policy.refresh_deadline();
    let time_left = orders.deadline.since(sent).to_duration().min(longest);
    let request = Request { grant: grant.clone(), cause: orders.cause, time_left };
    let mut refresh = ports.refresher.refresh(request);
    let answer = poll_fn(|cx| refresh.as_mut().poll(cx)).await;
    // What came is not lost to a destructor that panics (rule B14).
    discard([refresh]);
    let answer = answer?.sendable();
    let complete = match &grant {
        Some(previous) => answer.renewing(previous),
        None => answer,
    };
    if complete.access_token().or(complete.refresh_token()).is_none() {
        // Nothing of it could be used or stored.
        return Err(RefreshError::unknown("the answer holds no usable token"));
    }
    match &ports.hooks.on_rotate {
        // A panicking hook must not cost the grant that it was told of.
        Some(on_rotate) if !orders.ended.includes(orders.flight) => {
            let _ = panic.call(|| on_rotate(&complete));
        }
        Some(_) | None => {}
    }
    let stored = StoredGrant::new(complete, wall);
    let version = Version::EMPTY;
    Ok(Unsaved { stored, sent, renewed: grant, version, published: false })
}
