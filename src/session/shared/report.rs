//! Collects the events of a session under its lock, and reports them once that is released.

use std::prelude::rust_2024::*;

#[cfg(feature = "http")]
use crate::events::Sink;
use crate::events::{Event, EventKind, GrantOrigin};
use crate::lifecycle::{FlightId, Start};
use crate::primitives::contained;
use crate::session::error::Error;
use crate::session::ports::Settings;
use crate::session::shared::Shared;
use crate::session::shared::deferred::Deferred;
use crate::session::shared::inner::Inner;
use crate::session::shared::reporting::{Issued, OpenRefresh, Pending, seen};
use crate::store::StoreError;
use crate::time::Timestamp;
use crate::token::AccessToken;

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
            reporting.pending.push(Pending::Failed { flight, error: error.into() });
        }
    }

    /// Notes a grant that is installed now, which `flight` has brought, if it was a refresh.
    pub(crate) fn note_arrived(&mut self, flight: Option<FlightId>, origin: GrantOrigin) {
        let Some(reporting) = &mut self.reporting else { return };
        let schedule = self.lifecycle.schedule();
        let generation = self.token.as_ref().map(AccessToken::generation);
        let token = generation.map(|generation| Issued { generation, schedule });
        reporting.pending.push(Pending::Arrived { flight, token, origin });
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
                Pending::Started(token) => {
                    let token = token.map(|token| token.view(now));
                    Some(EventKind::SessionStarted { token })
                }
                Pending::Removed => {
                    Some(EventKind::GrantRemoved { failures: reporting.recover().0 })
                }
                Pending::Failed { flight, error } => reporting.failed(flight, error, now),
                Pending::Arrived { flight, token, origin } => {
                    Some(reporting.arrived(flight, token.as_ref(), origin, now))
                }
            };
            if let Some(kind) = kind {
                deferred.calls().events.push(reporting.event(lifecycle, settings, now, kind));
            }
        }
        let flying = lifecycle.refresh_deadline().map(|_| lifecycle.newest_flight());
        if reporting.open.as_ref().is_some_and(|open| flying != Some(open.flight)) {
            reporting.supersede(now);
        }
        if reporting.unsaved && self.unsaved.is_none() {
            reporting.unsaved = false;
            reporting.pending.push(Pending::Complete(EventKind::GrantSaved { stored: true }));
        }
        for pending in core::mem::take(&mut reporting.pending) {
            if let Pending::Complete(kind) = pending {
                deferred.calls().events.push(reporting.event(lifecycle, settings, now, kind));
            }
        }
    }

    /// Notes that a grant which could not be stored is not to be stored any more.
    pub(crate) fn note_unsaved_ended(&mut self) {
        if let Some(reporting) = &mut self.reporting {
            if core::mem::take(&mut reporting.unsaved) {
                let ended = EventKind::GrantSaved { stored: false };
                reporting.pending.push(Pending::Complete(ended));
            }
        }
    }

    /// Notes how the session appears, which is about to be packed.
    #[cfg(feature = "keyed")]
    pub(crate) fn note_packed(&mut self, settings: &Settings, now: Timestamp) {
        if let Some(reporting) = &mut self.reporting {
            reporting.packed = Some(seen(&self.lifecycle, settings, now));
        }
    }

    /// Notes that the grant which is still to be stored could not be, unless that was reported before.
    pub(crate) fn note_unsaved(&mut self, error: &StoreError) {
        let Some(reporting) = self.reporting.as_mut().filter(|_| self.unsaved.is_some()) else {
            return;
        };
        if !core::mem::replace(&mut reporting.unsaved, true) {
            let unsaved = EventKind::GrantUnsaved { error: error.into() };
            reporting.pending.push(Pending::Complete(unsaved));
        }
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
        let (before, event) = self.event(now, kind);
        self.report_all(&before);
        self.report_all(core::slice::from_ref(&event));
    }

    /// Reports an event of an interceptor of this session, to its hooks and to `others`.
    #[cfg(feature = "http")]
    pub(crate) fn report_also(&self, others: Option<&Sink>, kind: impl FnOnce() -> EventKind) {
        if self.ports.hooks.events.is_none() && others.is_none() {
            return;
        }
        let Ok(now) = contained(|| self.now()) else { return };
        let (before, event) = self.event(now, kind());
        self.report_all(&before);
        self.report_all(core::slice::from_ref(&event));
        if let Some(others) = others {
            others.report(&event);
        }
    }

    /// Returns an event of a session whose state has not changed, and those that come before it.
    fn event(&self, now: Timestamp, kind: EventKind) -> (Vec<Event>, Event) {
        let settings = &self.ports.settings;
        let mut before = Deferred::default();
        let mut inner = self.lock();
        inner.complete_events(settings, now, &mut before);
        let before = before.calls.unwrap_or_default().events;
        let Inner { reporting, lifecycle, .. } = &mut *inner;
        if let Some(reporting) = reporting {
            return (before, reporting.event(lifecycle, settings, now, kind));
        }
        let session = Some(seen(lifecycle, settings, now));
        (before, Event { at: now, name: settings.name.clone(), session, kind })
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
        self.report_all(&deferred.calls.unwrap_or_default().events);
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
