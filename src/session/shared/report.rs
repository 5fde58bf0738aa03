//! The events of a session: collected under its lock, and reported once that is released.

use std::prelude::rust_2024::*;

#[cfg(feature = "http")]
use crate::events::Sink;
use crate::events::{Event, EventKind, GrantOrigin, SessionView, TokenView};
use crate::lifecycle::{Cause, FlightId, Generation, Lifecycle, Schedule, Start};
use crate::primitives::contained;
use crate::session::error::Error;
use crate::session::ports::{Ports, Settings};
use crate::session::shared::Shared;
use crate::session::shared::deferred::Deferred;
use crate::session::shared::inner::Inner;
use crate::time::{Span, Timestamp};
use crate::token::AccessToken;

/// What a session with a hook for events has still to report, and what it has reported.
#[derive(Default)]
pub(crate) struct Reporting {
    /// The number of the session, also where its state has been taken away to be packed.
    number: u64,
    /// The number of the last event.
    sequence: u64,
    /// The refresh that was reported as started, and not yet as ended.
    open: Option<OpenRefresh>,
    /// How many refreshes have failed since the last success, and when the first of these did.
    failures: u32,
    failing_since: Option<Timestamp>,
    /// Whether a grant was reported as not stored.
    unsaved: bool,
    pending: Vec<Pending>,
}

struct OpenRefresh {
    flight: FlightId,
    cause: Cause,
    started: Timestamp,
}

/// An event without what is known only once the change is complete.
enum Pending {
    Complete(EventKind),
    Failed { flight: FlightId, error: Error },
    Removed,
    Arrived { flight: Option<FlightId>, generation: Option<Generation>, origin: GrantOrigin },
}

impl Inner {
    /// Notes an event, where there is a hook for events.
    pub(crate) fn note(&mut self, kind: impl FnOnce() -> EventKind) {
        if let Some(reporting) = &mut self.reporting {
            reporting.pending.push(Pending::Complete(kind()));
        }
    }

    pub(crate) fn note_started(&mut self, start: Start<Timestamp>, now: Timestamp) {
        let Some(reporting) = &mut self.reporting else { return };
        reporting.supersede(now);
        let Start { flight, cause, deadline } = start;
        reporting.open = Some(OpenRefresh { flight, cause, started: now });
        let limit = deadline.since(now).to_duration();
        let started = EventKind::RefreshStarted { refresh: flight.number(), cause, limit };
        reporting.pending.push(Pending::Complete(started));
    }

    pub(crate) fn note_removed(&mut self) {
        if let Some(reporting) = &mut self.reporting {
            reporting.pending.push(Pending::Removed);
        }
    }

    pub(crate) fn note_failed(&mut self, flight: FlightId, error: &Error) {
        if let Some(reporting) = &mut self.reporting {
            reporting.pending.push(Pending::Failed { flight, error: error.clone() });
        }
    }

    /// Notes a grant that is installed now, which `flight` has brought, if it was a refresh.
    pub(crate) fn note_arrived(&mut self, flight: Option<FlightId>, origin: GrantOrigin) {
        let generation = self.token.as_ref().map(AccessToken::generation);
        if let Some(reporting) = &mut self.reporting {
            reporting.pending.push(Pending::Arrived { flight, generation, origin });
        }
    }

    /// Completes what was noted, to be reported once the lock is released.
    pub(crate) fn complete_events(
        &mut self,
        settings: &Settings,
        now: Timestamp,
        deferred: &mut Deferred,
    ) {
        let Some(reporting) = &mut self.reporting else { return };
        let lifecycle = &self.lifecycle;
        for pending in core::mem::take(&mut reporting.pending) {
            let kind = match pending {
                Pending::Complete(kind) => Some(kind),
                Pending::Removed => {
                    Some(EventKind::GrantRemoved { failures: reporting.recover().0 })
                }
                Pending::Failed { flight, error } => reporting.failed(flight, error, now),
                Pending::Arrived { flight, generation, origin } => {
                    Some(reporting.arrived(lifecycle, flight, generation, origin, now))
                }
            };
            if let Some(kind) = kind {
                deferred.events.push(reporting.event(lifecycle, settings, now, kind));
            }
        }
        let flying = lifecycle.refresh_deadline().map(|_| lifecycle.newest_flight());
        if reporting.open.as_ref().is_some_and(|open| flying != Some(open.flight)) {
            reporting.supersede(now);
        }
        if reporting.unsaved && self.unsaved.is_none() {
            reporting.unsaved = false;
            reporting.pending.push(Pending::Complete(EventKind::GrantSaved));
        }
        for pending in core::mem::take(&mut reporting.pending) {
            if let Pending::Complete(kind) = pending {
                deferred.events.push(reporting.event(lifecycle, settings, now, kind));
            }
        }
    }

    /// Notes that a received grant could not be stored, unless that was reported before.
    pub(crate) fn note_unsaved(&mut self, error: &crate::store::StoreError) {
        let Some(reporting) = &mut self.reporting else { return };
        if !core::mem::replace(&mut reporting.unsaved, true) {
            let unsaved = EventKind::GrantUnsaved { error: error.clone() };
            reporting.pending.push(Pending::Complete(unsaved));
        }
    }
}

impl Reporting {
    pub(crate) fn new(ports: &Ports, lifecycle: &Lifecycle) -> Option<Box<Self>> {
        let number = lifecycle.session();
        ports.hooks.events.as_ref().map(|_| Box::new(Self { number, ..Self::default() }))
    }

    /// Rule H1: "Each started refresh MUST be reported as ended once".
    fn supersede(&mut self, now: Timestamp) {
        if let Some(open) = self.open.take() {
            let took = now.since(open.started).to_duration();
            let superseded = EventKind::RefreshSuperseded { refresh: open.flight.number(), took };
            self.pending.push(Pending::Complete(superseded));
        }
    }

    /// Returns how many refreshes have failed since the last success, and when the first of these did, and
    /// counts from zero again.
    fn recover(&mut self) -> (u32, Option<Timestamp>) {
        (core::mem::take(&mut self.failures), self.failing_since.take())
    }

    fn failed(&mut self, flight: FlightId, error: Error, now: Timestamp) -> Option<EventKind> {
        // What a refresh brings after its end was reported is no second end.
        let open = self.open.take_if(|open| open.flight == flight)?;
        self.failures = self.failures.saturating_add(1);
        self.failing_since.get_or_insert(now);
        Some(EventKind::RefreshFailed {
            refresh: flight.number(),
            cause: open.cause,
            error,
            took: now.since(open.started).to_duration(),
            failures: self.failures,
        })
    }

    fn arrived(
        &mut self,
        lifecycle: &Lifecycle,
        flight: Option<FlightId>,
        generation: Option<Generation>,
        origin: GrantOrigin,
        now: Timestamp,
    ) -> EventKind {
        let token = generation.map(|generation| view(generation, lifecycle, now));
        let (failures, since) = self.recover();
        let open = self.open.take_if(|open| token.is_some() && flight == Some(open.flight));
        let (Some(open), Some(token)) = (open, token) else {
            return EventKind::GrantInstalled { token, origin, failures };
        };
        EventKind::RefreshSucceeded {
            refresh: open.flight.number(),
            cause: open.cause,
            token,
            origin,
            took: now.since(open.started).to_duration(),
            failures,
            outage: since.map(|since| now.since(since).to_duration()),
        }
    }

    fn event(
        &mut self,
        lifecycle: &Lifecycle,
        settings: &Settings,
        now: Timestamp,
        kind: EventKind,
    ) -> Event {
        self.sequence += 1;
        let session = SessionView { number: self.number, ..seen(lifecycle, settings, now) };
        let session = Some(SessionView { sequence: self.sequence, ..session });
        Event { at: now, name: settings.name.clone(), session, kind }
    }
}

/// Returns how a session appears whose events nobody counts.
fn seen(lifecycle: &Lifecycle, settings: &Settings, now: Timestamp) -> SessionView {
    let retry_in = lifecycle.backoff_until().map(|until| until.since(now));
    SessionView {
        number: lifecycle.session(),
        sequence: 0,
        state: lifecycle.state(now),
        generation: Some(lifecycle.published()).filter(|number| *number > 0),
        retry_in: retry_in.filter(|span| *span > Span::ZERO),
        budget: lifecycle.budget(&settings.policy, now),
    }
}

fn view(generation: Generation, lifecycle: &Lifecycle, now: Timestamp) -> TokenView {
    let deadlines = match lifecycle.schedule() {
        Some(Schedule::Timed(deadlines)) => Some(deadlines),
        Some(Schedule::UntilRejected) | None => None,
    };
    let until = |at: Timestamp| at.since(now).to_duration();
    TokenView {
        generation,
        due_in: deadlines.map(|it| until(it.refresh_after)),
        usable_for: deadlines.map(|it| until(it.unusable_from)),
        expires_in: deadlines.map(|it| until(it.expires_at)),
    }
}

impl Shared {
    /// Reports one event of a session whose state has not changed, where there is a hook for events.
    pub(crate) fn report(&self, now: Timestamp, kind: impl FnOnce() -> EventKind) {
        if self.ports.hooks.events.is_some() {
            self.report_now(now, kind());
        }
    }

    #[cold]
    fn report_now(&self, now: Timestamp, kind: EventKind) {
        let event = self.event(now, kind);
        self.report_all(core::slice::from_ref(&event));
    }

    /// Reports an event of an interceptor of this session, to its hooks and to `others`.
    #[cfg(feature = "http")]
    pub(crate) fn report_also(
        &self,
        others: Option<&Sink>,
        now: Timestamp,
        kind: impl FnOnce() -> EventKind,
    ) {
        if self.ports.hooks.events.is_none() && others.is_none() {
            return;
        }
        let event = self.event(now, kind());
        self.report_all(core::slice::from_ref(&event));
        if let Some(others) = others {
            others.report(&event);
        }
    }

    /// Returns an event of a session whose state has not changed.
    fn event(&self, now: Timestamp, kind: EventKind) -> Event {
        let settings = &self.ports.settings;
        let mut inner = self.lock();
        let Inner { reporting, lifecycle, .. } = &mut *inner;
        if let Some(reporting) = reporting {
            return reporting.event(lifecycle, settings, now, kind);
        }
        let session = Some(seen(lifecycle, settings, now));
        Event { at: now, name: settings.name.clone(), session, kind }
    }

    /// Reports that the session has ended, where there is a hook for events.
    pub(crate) fn report_end(&self) {
        if self.ports.hooks.events.is_none() {
            return;
        }
        let now = contained(|| self.now()).unwrap_or(Timestamp::MIN);
        let mut deferred = Deferred::default();
        {
            let mut inner = self.lock();
            if let Some(reporting) = &mut inner.reporting {
                reporting.supersede(now);
                let (failures, unsaved) = (reporting.failures, reporting.unsaved);
                let ended = EventKind::SessionEnded { failures, unsaved };
                reporting.pending.push(Pending::Complete(ended));
            }
            inner.complete_events(&self.ports.settings, now, &mut deferred);
        }
        self.report_all(&deferred.events);
    }

    /// Calls the hooks for events.
    pub(crate) fn report_all(&self, events: &[Event]) {
        if let Some(sink) = &self.ports.hooks.events {
            for event in events {
                sink.report(event);
            }
        }
    }
}
