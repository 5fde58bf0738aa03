//! The state under the session's lock.

use core::task::Waker;
use std::collections::BTreeMap;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use crate::lifecycle::{FlightId, Generation, Lifecycle, Policy, Requested, Start, TokenTimes};
use crate::refresh::Refused;
use crate::session::error::Error;
use crate::session::exchange::answers::AnswerCount;
use crate::session::exchange::epoch::EpochFence;
use crate::session::exchange::params::ExchangeParams;
use crate::session::exchange::received::{Report, Unsaved};
use crate::session::exchange::run::{panicked, run};
use crate::session::exchange::stage::Stage;
use crate::session::ports::{Ports, Settings};
use crate::session::shared::deferred::Deferred;
use crate::session::shared::precedence::Precedence;
use crate::session::shared::snapshot::{Slot, Snapshot};
use crate::session::singleflight::flights::{Flights, Job, RefreshJob};
use crate::store::Version;
use crate::time::Timestamp;
use crate::token::{AccessToken, Grant};

/// The state under the lock. No user code runs while it is held (rule C6).
pub(crate) struct Inner {
    pub(crate) lifecycle: Lifecycle,
    /// The newest published token, usable or not; the lifecycle says which.
    pub(crate) token: Option<AccessToken>,
    /// Whether the slot holds a token now.
    pub(crate) exposed: bool,
    /// The grant to renew.
    pub(crate) grant: Option<Grant>,
    /// The store's version, once it was read.
    pub(crate) version: Option<Version>,
    pub(crate) unsaved: Option<Unsaved>,
    /// What a refresh of this epoch has stored last, if nothing else was found there since.
    pub(crate) last_stored: Option<Grant>,
    pub(crate) flights: Flights<Report>,
    /// Which flights are of an epoch that has ended.
    pub(crate) epoch_fence: Arc<EpochFence>,
    /// The answers that have come to flights of this epoch.
    pub(crate) answers: Arc<AnswerCount>,
    /// How far the newest flight has come.
    pub(crate) stage: Arc<Stage>,
    /// An answer whose repetition is out.
    pub(crate) held_back: Option<HeldBack>,
    /// The last attempt that failed, and how: told to all who waited for it.
    pub(crate) last_failure: Option<(FlightId, Error)>,
    /// What the refusals of its client tell (rule B6).
    pub(crate) refused: Refused,
    pub(crate) precedence: Precedence,
    pub(crate) watchers: Watchers,
}

/// An answer that came while its repetition was out, under confirm by use (rule B14).
pub(crate) struct HeldBack {
    pub(crate) flight: FlightId,
    pub(crate) grant: Grant,
    pub(crate) times: TokenTimes<Timestamp>,
}

/// Who watches for changes.
#[derive(Default)]
pub(crate) struct Watchers {
    /// Counts the changes.
    pub(crate) changes: u64,
    pub(crate) wakers: BTreeMap<u64, Waker>,
    pub(crate) next: u64,
}

impl Inner {
    /// Launches the flight that the lifecycle ordered. The future is built when first polled.
    pub(crate) fn launch(
        &mut self,
        ports: &Arc<Ports>,
        start: Start<Timestamp>,
        deferred: &mut Deferred,
    ) {
        self.stage = Arc::default();
        let params = ExchangeParams {
            stage: Arc::clone(&self.stage),
            flight: start.flight,
            cause: start.cause,
            deadline: start.deadline,
            grant: self.grant.clone(),
            version: self.version,
            unsaved: self.unsaved.clone(),
            refused: self.refused,
            epoch_fence: Arc::clone(&self.epoch_fence),
            answers: Arc::clone(&self.answers),
            landed: self.answers.landed(),
        };
        let (stage, launched) = (Arc::clone(&self.stage), ports.launched_for(start.deadline));
        let refresh = RefreshJob {
            id: start.flight,
            future: Box::pin(run(Arc::clone(ports), params)),
            deadline: start.deadline,
            on_panic: Box::new(move |panic| panicked(&stage, launched, &**panic)),
            alarm: None,
        };
        let crowded_out = self.flights.launch(Job::Refresh(refresh), start.deadline);
        deferred.jobs.extend(crowded_out);
    }

    /// Ends the attempt for those who wait for it.
    pub(crate) fn fail(&mut self, flight: FlightId, error: Error, deferred: &mut Deferred) {
        let before = self.last_failure.replace((flight, error));
        deferred.errors.extend(before.map(|(_, error)| error));
        self.notify_all(deferred);
    }

    /// The new state is in place; all who wait or watch are to look at it (rule C3).
    pub(crate) fn notify_all(&mut self, deferred: &mut Deferred) {
        self.watchers.changes += 1;
        deferred.wake(self.flights.waiters.take_all());
        let watchers = core::mem::take(&mut self.watchers.wakers);
        deferred.wake(watchers.into_values().map(Some).collect());
    }

    /// Publishes the token, where it can be handed out with no question asked, and for how long;
    /// withdraws it otherwise (rules B2, C1).
    pub(crate) fn publish(
        &mut self,
        slot: &Slot,
        settings: &Settings,
        now: Timestamp,
        deferred: &mut Deferred,
    ) {
        // What is in the air and has no task of its own is polled by whoever comes (rule C4).
        let attended = settings.spawner.is_some()
            || self.flights.is_over(now, now.saturating_add(settings.longest()));
        let token = self.token.clone().filter(|_| attended);
        let snapshot = token.and_then(|token| {
            let until = undisturbed_until(&self.lifecycle, &settings.policy, now)?;
            Some(Snapshot::new(token, now, until))
        });
        if self.exposed || snapshot.is_some() {
            self.exposed = snapshot.is_some();
            deferred.snapshots.extend(slot.publish(snapshot));
        }
    }
}

/// Until when callers are simply given the token; `None` where one that comes now is not.
fn undisturbed_until(lifecycle: &Lifecycle, policy: &Policy, now: Timestamp) -> Option<Timestamp> {
    let mut next = *lifecycle;
    let requested = next.handle_requested(policy, now);
    // Nothing visible changes before the timeout, and that answer is visible (rule B12).
    let until = lifecycle.poll_timeout(policy, now).map_or(Timestamp::MAX, |timeout| timeout.at);
    (requested == Requested::Use).then_some(until)
}

/// The access token of `grant`, which `lifecycle` has published as this `generation`.
pub(crate) fn access_token(
    lifecycle: &Lifecycle,
    generation: Generation,
    grant: &Grant,
) -> Option<AccessToken> {
    let (secret, schedule) = (grant.access_token()?, lifecycle.schedule()?);
    Some(AccessToken::new(secret.clone(), generation, schedule))
}
