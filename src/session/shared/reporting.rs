//! What a session has reported, and what it has still to report.

use std::prelude::rust_2024::*;

use crate::events::{ErrorView, Event, EventKind, GrantOrigin, SessionView, TokenView};
use crate::lifecycle::{Cause, FlightId, Generation, Lifecycle, Schedule};
use crate::session::ports::{Ports, Settings};
use crate::time::{Span, Timestamp};

/// What a session with a hook for events has still to report, and what it has reported.
#[derive(Default)]
pub(crate) struct Reporting {
    /// The number of the session, also where its state has been taken away to be packed.
    number: u64,
    /// The number of the last event.
    sequence: u64,
    /// The refresh that was reported as started, and not yet as ended.
    pub(super) open: Option<OpenRefresh>,
    /// How many refreshes have failed since the last success, and when the first of these did.
    pub(super) failures: u32,
    failing_since: Option<Timestamp>,
    /// How the last of them failed.
    failed_as: Option<&'static str>,
    /// Whether a grant was reported as not stored.
    pub(super) unsaved: bool,
    /// How the session appeared when it was packed, which takes its state away.
    pub(super) packed: Option<SessionView>,
    pub(super) pending: Vec<Pending>,
}

pub(super) struct OpenRefresh {
    pub(super) flight: FlightId,
    pub(super) cause: Cause,
    pub(super) started: Timestamp,
}

/// An event without what is known only once the change is complete.
pub(super) enum Pending {
    Complete(EventKind),
    Failed { flight: FlightId, error: ErrorView },
    Started(Option<Issued>),
    Removed,
    Arrived { flight: Option<FlightId>, token: Option<Issued>, origin: GrantOrigin },
}

/// A token as it was published.
pub(super) struct Issued {
    pub(super) generation: Generation,
    pub(super) schedule: Option<Schedule<Timestamp>>,
}

impl Reporting {
    pub(crate) fn new(ports: &Ports, lifecycle: &Lifecycle) -> Option<Box<Self>> {
        let number = lifecycle.session();
        ports.hooks.events.as_ref()?;
        let pending = vec![Pending::Started(
            lifecycle
                .generation()
                .map(|generation| Issued { generation, schedule: lifecycle.schedule() }),
        )];
        Some(Box::new(Self { number, pending, ..Self::default() }))
    }

    /// Rule H1: "Each started refresh MUST be reported as ended once".
    pub(super) fn supersede(&mut self, now: Timestamp) {
        if let Some(open) = self.open.take() {
            let took = now.since(open.started).to_duration();
            let superseded = EventKind::RefreshSuperseded { refresh: open.flight.number(), took };
            self.pending.push(Pending::Complete(superseded));
        }
    }

    /// Returns how many refreshes have failed since the last success, and when the first of these did, and
    /// counts from zero again.
    pub(super) fn recover(&mut self) -> (u32, Option<Timestamp>) {
        self.failed_as = None;
        (core::mem::take(&mut self.failures), self.failing_since.take())
    }

    pub(super) fn failed(
        &mut self,
        flight: FlightId,
        error: ErrorView,
        now: Timestamp,
    ) -> Option<EventKind> {
        // What a refresh brings after its end was reported is no second end.
        let open = self.open.take_if(|open| open.flight == flight)?;
        self.failures = self.failures.saturating_add(1);
        self.failing_since.get_or_insert(now);
        let repeated = self.failed_as.replace(error.name()) == Some(error.name());
        Some(EventKind::RefreshFailed {
            refresh: flight.number(),
            cause: open.cause,
            error,
            took: now.since(open.started).to_duration(),
            failures: self.failures,
            repeated,
        })
    }

    pub(super) fn arrived(
        &mut self,
        flight: Option<FlightId>,
        token: Option<&Issued>,
        origin: GrantOrigin,
        now: Timestamp,
    ) -> EventKind {
        let token = token.map(|token| token.view(now));
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

    pub(super) fn event(
        &mut self,
        lifecycle: &Lifecycle,
        settings: &Settings,
        now: Timestamp,
        kind: EventKind,
    ) -> Event {
        self.sequence += 1;
        let session = self.packed.unwrap_or_else(|| seen(lifecycle, settings, now));
        let session = SessionView { number: self.number, ..session };
        let session = Some(SessionView { sequence: self.sequence, ..session });
        Event { at: now, name: settings.name.clone(), session, kind }
    }
}

/// Returns how a session appears whose events nobody counts.
pub(super) fn seen(lifecycle: &Lifecycle, settings: &Settings, now: Timestamp) -> SessionView {
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

impl Issued {
    pub(super) fn view(&self, now: Timestamp) -> TokenView {
        let deadlines = match self.schedule {
            Some(Schedule::Timed(deadlines)) => Some(deadlines),
            Some(Schedule::UntilRejected) | None => None,
        };
        let until = |at: Timestamp| at.since(now).to_duration();
        TokenView {
            generation: self.generation,
            due_in: deadlines.map(|it| until(it.refresh_after)),
            usable_for: deadlines.map(|it| until(it.unusable_from)),
            expires_in: deadlines.map(|it| until(it.expires_at)),
        }
    }
}
