//! One flight, from the store to the authorization server and back: what is sent, and in which
//! order (rule F2): intent, exchange, persist. Publishing is the session's part.

use core::any::Any;
use core::future::poll_fn;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use crate::lifecycle::{Cause, Failure, FlightId, Freshness, Schedule};
use crate::primitives::{contained, discard};
use crate::refresh::{RefreshError, Refused, Request};
use crate::session::alarm::Alarm;
use crate::session::exchange::answers::{AnswerCount, AnswerGuard};
use crate::session::exchange::epoch::EpochFence;
use crate::session::exchange::persist::{Persisted, persist};
use crate::session::exchange::received::same_credential;
use crate::session::exchange::received::{Outcome, Report, Unsaved};
use crate::session::exchange::stage::Stage;
use crate::session::exchange::timed_store::TimedStore;
use crate::session::panics::FirstPanic;
use crate::session::ports::{Launched, Ports};
use crate::store::{StoreError, StoredGrant, Swap, Version, Versioned};
use crate::time::{Draw, Timestamp};
use crate::token::Grant;

/// What a flight sets out with.
pub(crate) struct ExchangeParams {
    pub(crate) flight: FlightId,
    pub(crate) cause: Cause,
    pub(crate) deadline: Timestamp,
    /// The grant to renew, unless the store shows a newer one.
    pub(crate) grant: Option<Grant>,
    /// The store's version that `grant` was read or written at; `None` before the first reading.
    pub(crate) version: Option<Version>,
    /// A grant that was received and could not be stored.
    pub(crate) unsaved: Option<Unsaved>,
    pub(crate) refused: Refused,
    pub(crate) epoch_fence: Arc<EpochFence>,
    pub(crate) stage: Arc<Stage>,
    /// The answers that have come, and how many had landed when this set out.
    pub(crate) answers: Arc<AnswerCount>,
    pub(crate) landed: u64,
}

impl ExchangeParams {
    /// Whether an answer has come that had not landed when this set out: what it would present may be
    /// spent (rule B6).
    fn is_outrun(&self) -> bool {
        self.answers.count() != self.landed
    }
}

/// Rule B6: "What was never sent is never unknown."
pub(crate) fn not_sent(why: &str) -> RefreshError {
    RefreshError::unavailable(format!("the refresh was not sent: {why}"))
}

pub(crate) fn outrun() -> RefreshError {
    RefreshError::unavailable("an earlier refresh was answers meanwhile")
}

/// Flies: never panics of its own, and drops no grant that was received.
pub(crate) async fn run(ports: Arc<Ports>, params: ExchangeParams) -> Report {
    let clock = &ports.settings.clock;
    let set_out = Launched { now: clock.now(), wall: clock.wall() };
    let mut report = Report::new(Outcome::Empty { received: None }, params.version, set_out);
    if params.is_outrun() {
        // Nor is anything written, which would come to nothing.
        report.outcome = Outcome::Failed(outrun());
        return report;
    }
    let panic = FirstPanic::default();
    report.outcome = match &ports.store {
        Some(store) => {
            let (store, deadline) = (&**store, params.deadline);
            let store = TimedStore { store, ports: &ports, deadline, panic: &panic };
            stored_flight(&ports, store, &params, &mut report).await
        }
        None if params.grant.is_none() && ports.settings.needs_grant => report.outcome,
        None => match ask(&ports, &params, params.grant.clone(), &panic).await {
            Ok(grant) => {
                report.answer = Some(AnswerGuard::counted_in(&params.answers));
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
pub(crate) async fn revoke(ports: Arc<Ports>, grant: Grant, mut deadline: Timestamp) {
    let mut revocation = ports.refresher.revoke(grant);
    let mut alarm = Alarm::new(ports.settings.timer.clone());
    poll_fn(|cx| {
        let polled = revocation.as_mut().poll(cx);
        if polled.is_pending() {
            // A timer or a clock that panics rings for nobody, and harms nobody.
            let _ = contained(|| {
                let now = ports.settings.clock.now();
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

/// What a refresh whose future panicked brings. Rule C5: "A panicking refresher MUST harm only its own
/// flight."
pub(crate) fn panicked(stage: &Stage, launched: Launched, panic: &(dyn Any + Send)) -> Report {
    // The refresher is not called before it is sent.
    let error = if stage.call_off() {
        RefreshError::unavailable("the refresh was not sent: the store or the clock panicked")
    } else {
        RefreshError::unknown(describe_panic(panic))
    };
    Report::new(Outcome::Failed(error), None, launched)
}

/// What an error says of a panic. Its own message is left out, since it may hold a secret (rule G1); but
/// where it is tokio's, outside its runtime, the fix is named (rule C2).
fn describe_panic(panic: &(dyn Any + Send)) -> &'static str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    let message = owned.or_else(|| panic.downcast_ref::<&str>().copied());
    match message {
        Some(message) if message.contains("Tokio 1.x") => {
            "the refresher panicked, as it needs tokio and was polled outside it: \
             name its runtime, in `Refresh::home` or by `Builder::home`"
        }
        Some(_) | None => "the refresher panicked",
    }
}

async fn stored_flight(
    ports: &Ports,
    store: TimedStore<'_>,
    params: &ExchangeParams,
    report: &mut Report,
) -> Outcome {
    match prepare(ports, store, params, report).await {
        Ok(Ready::Land(outcome)) => outcome,
        Ok(Ready::Ask(before)) => ask_and_store(ports, store, params, before, report).await,
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
    params: &ExchangeParams,
    report: &mut Report,
) -> Result<Ready, StoreError> {
    if let Some(unsaved) = &params.unsaved {
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
    let content = match (store.load().await, params.version, &params.grant) {
        // Nothing is a logout only where somebody has written it: this was lost, and is written back.
        (Err(error), Some(_), Some(held)) if error.is_emptied() => {
            return Ok(Ready::Ask(Some(StoredGrant::over(
                held.clone(),
                ports.settings.clock.wall(),
            ))));
        }
        (Err(error), _, _) if error.is_emptied() => Versioned::EMPTY,
        (content, _, _) => content?,
    };
    report.version = Some(content.version);
    match (params.version, content.grant, &params.grant) {
        (None, Some(stored), _) => Ok(Ready::Land(Outcome::Loaded(stored))),
        (None, None, Some(_)) if params.epoch_fence.includes(params.flight) => {
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
    let (now, wall) = (ports.settings.clock.now(), ports.settings.clock.wall());
    stored.times(now, wall, Draw::NONE).is_some_and(|times| {
        Schedule::of(&ports.settings.policy, times, now).freshness(now) != Freshness::Lapsed
    })
}

/// Rule F2: "The order MUST be intent, exchange, persist, publish."
async fn ask_and_store(
    ports: &Ports,
    store: TimedStore<'_>,
    params: &ExchangeParams,
    before: Option<StoredGrant>,
    report: &mut Report,
) -> Outcome {
    let mut version = report.version.unwrap_or(Version::EMPTY);
    if let Some(before) = &before {
        // An earlier sending of unknown outcome still counts: the window runs from the first.
        let intent = before.intent.or_else(|| Some(ports.settings.clock.wall()));
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
    let grant = match ask(ports, params, grant, store.panic).await {
        Ok(grant) => grant,
        Err(error) => return not_granted(store, version, before, error, report).await,
    };
    report.answer = Some(AnswerGuard::counted_in(&params.answers));
    let grant = Unsaved { version, ..grant };
    if params.epoch_fence.includes(params.flight) {
        // An orphan: what a login or a logout has left in the store stays.
        return Outcome::Granted { grant, stored: Ok(()) };
    }
    // An answer that came too late for those who waited has time of its own to be stored.
    let store = match store.panic.call(|| ports.settings.clock.now()) {
        Some(now) if now >= params.deadline => store.until_later(now),
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
    params: &ExchangeParams,
    grant: Option<Grant>,
    panic: &FirstPanic,
) -> Result<Unsaved, RefreshError> {
    let sent = ports.settings.clock.now();
    let wall = ports.settings.clock.wall();
    if params.is_outrun() {
        return Err(outrun());
    }
    // Rule C9: "Dropping the last handle MUST stop all that is not yet sent."
    if params.epoch_fence.includes(params.flight) || !ports.is_wanted() {
        return Err(not_sent("it was called off"));
    }
    if sent >= params.deadline {
        return Err(not_sent(TOO_LATE));
    }
    if let Some(left) = ports.client_backoff.left(params.refused, sent, &ports.settings.policy) {
        let text = "not sent: the authorization server has just refused this client, \
             for this session or for another";
        return Err(RefreshError::misconfigured(text).retry_after(left));
    }
    if !params.stage.send() {
        return Err(not_sent(TOO_LATE));
    }
    // Where the clock went back since the launch, no more than a refresh may take (rule A5).
    let longest = ports.settings.policy.refresh_deadline();
    let time_left = params.deadline.since(sent).to_duration().min(longest);
    let request = Request { grant: grant.clone(), cause: params.cause, time_left };
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
        Some(on_rotate) if !params.epoch_fence.includes(params.flight) => {
            let _ = panic.call(|| on_rotate(&complete));
        }
        Some(_) | None => {}
    }
    let stored = StoredGrant::new(complete, wall);
    let version = Version::EMPTY;
    Ok(Unsaved { stored, sent, renewed: grant, version, published: false })
}
