//! The state under the session's lock.

use core::task::Waker;
use std::collections::BTreeMap;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use crate::lifecycle::{FlightId, Generation, Lifecycle, Policy, Requested, Start, TokenTimes};
use crate::refresh::Refused;
use crate::session::error::Error;
use crate::session::exchange::epoch::EpochFence;
use crate::session::exchange::grant_count::GrantCount;
use crate::session::exchange::params::ExchangeParams;
use crate::session::exchange::received::{Report, Unsaved};
use crate::session::exchange::run::{panicked, run};
use crate::session::exchange::seen_note::SeenNote;
use crate::session::exchange::stage::Stage;
use crate::session::ports::{Ports, Settings};
use crate::session::shared::deferred::Deferred;
use crate::session::shared::precedence::Precedence;
use crate::session::shared::reporting::Reporting;
use crate::session::shared::side_job::SideJob;
use crate::session::shared::snapshot::{Slot, Snapshot};
use crate::session::singleflight::flights::{Flights, Job, RefreshJob};
use crate::store::Version;
use crate::time::{Span, Time, Timestamp};
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
    /// The store's version, once the store was read.
    pub(crate) version: Option<Version>,
    /// The store's version at which `grant` was found there or stored, or found removed.
    pub(crate) held_at: Option<Version>,
    /// When the newest flight was launched.
    pub(crate) launched: Option<Timestamp>,
    pub(crate) seen_note: Arc<SeenNote>,
    pub(crate) unsaved: Option<Unsaved>,
    /// The grant that a refresh of this epoch has stored last, if no other was found in the store
    /// since.
    pub(crate) last_stored: Option<Grant>,
    pub(crate) flights: Flights<Report>,
    /// The flights of epochs that have ended.
    pub(crate) epoch_fence: Arc<EpochFence>,
    /// Counts the grants received by flights of this epoch.
    pub(crate) grants: Arc<GrantCount>,
    /// How far the newest flight has come.
    pub(crate) stage: Arc<Stage>,
    /// A received grant whose repetition is in flight.
    pub(crate) held_back: Option<HeldBack>,
    /// The last attempt that failed, and its error, which all who waited for it get.
    pub(crate) last_failure: Option<(FlightId, Error)>,
    /// Whether the server has refused this session's client (rule B6).
    pub(crate) refused: Refused,
    pub(crate) precedence: Precedence,
    pub(crate) watchers: Watchers,
    /// Looks at the store for the login of another process.
    pub(crate) looks: SideJob,
    /// Attempts to store `unsaved`.
    pub(crate) saves: SideJob,
    /// The grant that was removed last, by a logout here or elsewhere.
    pub(crate) removed: Option<Grant>,
    /// What is to be reported to the hooks for events, if there are any.
    pub(crate) reporting: Option<Box<Reporting>>,
}

/// A grant that was received while its repetition was in flight, under confirm by use (rule B14).
pub(crate) struct HeldBack {
    pub(crate) flight: FlightId,
    pub(crate) grant: Grant,
    pub(crate) times: TokenTimes<Timestamp>,
}

/// All who watch for changes.
#[derive(Default)]
pub(crate) struct Watchers {
    /// Counts the changes.
    pub(crate) changes: u64,
    pub(crate) wakers: BTreeMap<u64, Waker>,
    pub(crate) next: u64,
}

impl Inner {
    /// Launches the refresh that the lifecycle ordered `now`. The future is built when first polled.
    pub(crate) fn launch(
        &mut self,
        ports: &Arc<Ports>,
        start: Start<Timestamp>,
        now: Timestamp,
        deferred: &mut Deferred,
    ) {
        self.stage = Arc::default();
        self.launched = Some(start.deadline.saturating_sub(ports.settings.longest()));
        let params = ExchangeParams {
            stage: Arc::clone(&self.stage),
            flight: start.flight,
            cause: start.cause,
            deadline: start.deadline,
            send_by: start.deadline.saturating_sub(least_left(start.deadline.since(now))),
            grant: self.grant.clone(),
            version: self.version,
            seen_note: Arc::clone(&self.seen_note),
            in_doubt: self.lifecycle.is_in_doubt(),
            unsaved: self.unsaved.clone(),
            refused: self.refused,
            epoch_fence: Arc::clone(&self.epoch_fence),
            grants: Arc::clone(&self.grants),
            landed: self.grants.landed(),
        };
        let (stage, launched) = (Arc::clone(&self.stage), ports.launched_for(start.deadline));
        let future = Box::pin(run(Arc::clone(ports), params));
        #[cfg(feature = "tracing")]
        let future = crate::session::exchange::span::in_span(ports, start, future);
        let refresh = RefreshJob {
            id: start.flight,
            future,
            deadline: start.deadline,
            on_panic: Box::new(move |panic| panicked(&stage, launched, &**panic)),
            alarm: None,
        };
        self.note_started(start, now);
        let crowded_out = self.flights.launch(Job::Refresh(refresh), start.deadline);
        deferred.jobs.extend(crowded_out);
    }

    /// Ends the attempt for those who wait for it.
    pub(crate) fn fail(&mut self, flight: FlightId, error: Error, deferred: &mut Deferred) {
        self.note_failed(flight, &error);
        let before = self.last_failure.replace((flight, error));
        deferred.errors.extend(before.map(|(_, error)| error));
        self.notify_all(deferred);
    }

    /// Wakes all who wait or watch, since a new state is in place (rule C3).
    pub(crate) fn notify_all(&mut self, deferred: &mut Deferred) {
        self.watchers.changes += 1;
        deferred.wake(self.flights.waiters.take_all());
        let watchers = core::mem::take(&mut self.watchers.wakers);
        deferred.wake(watchers.into_values().map(Some).collect());
    }

    /// Returns from when on whoever comes has the grant stored that could not be stored before, if there
    /// is one (rule F2).
    pub(crate) fn next_save(&self, settings: &Settings, now: Timestamp) -> Option<Timestamp> {
        let unsaved = self.unsaved.as_ref().filter(|unsaved| unsaved.published);
        unsaved.map(|_| self.saves.next(settings.longest(), now))
    }

    /// Publishes the token, with the time for which it can be handed out without asking the lifecycle;
    /// withdraws it where it cannot (rules B2, C1).
    pub(crate) fn publish(
        &mut self,
        slot: &Slot,
        settings: &Settings,
        now: Timestamp,
        deferred: &mut Deferred,
    ) {
        self.complete_events(settings, now, deferred);
        self.expose(slot, settings, now, deferred);
    }

    /// Does the same, and reports nothing.
    pub(super) fn expose(
        &mut self,
        slot: &Slot,
        settings: &Settings,
        now: Timestamp,
        deferred: &mut Deferred,
    ) {
        // Without a task of its own, what is in flight is polled by whichever caller comes (rule C4).
        let attended = settings.spawner.is_some()
            || self.flights.is_over(now, now.saturating_add(settings.longest()));
        let token = self.token.clone().filter(|_| attended);
        let snapshot = token.and_then(|token| {
            let until = undisturbed_until(&self.lifecycle, &settings.policy, now)?;
            let until = self.next_save(settings, now).map_or(until, |save| until.min(save));
            Some(Snapshot::new(token, now, until))
        });
        if self.exposed || snapshot.is_some() {
            self.exposed = snapshot.is_some();
            deferred.snapshots.extend(slot.publish(snapshot));
        }
    }
}

/// Returns how much of the time that a refresh may take must be left when its request is sent. Rule B6:
/// "A request MUST NOT be sent with less than a quarter of its time left".
fn least_left(time: Span) -> Span {
    Timestamp::halved(time, 2)
}

/// Returns until when callers simply get the token; `None` where a caller that comes now does not.
fn undisturbed_until(lifecycle: &Lifecycle, policy: &Policy, now: Timestamp) -> Option<Timestamp> {
    let mut next = *lifecycle;
    let requested = next.handle_requested(policy, now);
    // Nothing visible changes before the timeout, and what a caller gets is visible (rule B12).
    let until = lifecycle.poll_timeout(policy, now).map_or(Timestamp::MAX, |timeout| timeout.at);
    (requested == Requested::Use).then_some(until)
}

/// Returns the access token of `grant`, which `lifecycle` has published as this `generation`.
pub(crate) fn access_token(
    lifecycle: &Lifecycle,
    generation: Generation,
    grant: &Grant,
) -> Option<AccessToken> {
    let (secret, schedule) = (grant.access_token()?, lifecycle.schedule()?);
    Some(AccessToken::new(secret.clone(), generation, schedule))
}
